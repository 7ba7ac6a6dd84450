"""The physical limit of a cleaning: the time that `cp` and fsync need for exactly the bytes that survived it."""

import os
import shutil
import statistics
import subprocess
import time

from .brokers import WORK


def copy_and_sync(files: list[str], repeats: int = 5) -> dict[str, float]:
    """Copies the files to the same file system and syncs each, several times; the source is in the page cache."""
    seconds = []
    for _ in range(repeats):
        target = os.path.join(WORK, "limit")
        shutil.rmtree(target, ignore_errors=True)
        os.makedirs(target)
        os.sync()
        begin = time.monotonic()
        subprocess.run(["cp", "--", *files, target], check=True, timeout=600)
        for name in [*os.listdir(target), "."]:
            handle = os.open(os.path.join(target, name), os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
        seconds.append(time.monotonic() - begin)
        shutil.rmtree(target)
    return {
        "limit_min_s": min(seconds),
        "limit_median_s": statistics.median(seconds),
        "limit_max_s": max(seconds),
    }
