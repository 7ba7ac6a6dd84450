"""Child processes, and what /proc says about them.

Every child dies with the harness (PR_SET_PDEATHSIG), and every wait has an end.
"""

import atexit
import ctypes
import os
import re
import signal
import subprocess
import time

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_TICKS = os.sysconf("SC_CLK_TCK")
_children: list[subprocess.Popen] = []


class Failed(Exception):
    """A step of the benchmark that did not do what it should."""


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(command: list[str], log_path: str, environment: dict | None = None, cwd: str | None = None):
    """Starts a long-running child that writes to log_path."""
    with open(log_path, "ab") as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            preexec_fn=_die_with_parent,
        )
    _children.append(child)
    return child


def call(command: list[str], timeout_seconds: float, environment: dict | None = None) -> str:
    """Runs a command to its end and returns what it printed."""
    done = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
        preexec_fn=_die_with_parent,
    )
    _children.append(done)
    try:
        out, err = done.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        done.kill()
        done.communicate()
        raise Failed(f"no end after {timeout_seconds:.0f} s: {' '.join(command[-6:])}") from None
    finally:
        _children.remove(done)
    if done.returncode != 0:
        raise Failed(f"exit {done.returncode}: {' '.join(command[-6:])}\n{(err or out)[-3000:]}")
    return out


def stop(child: subprocess.Popen, timeout_seconds: float = 60) -> float:
    """SIGTERM, then SIGKILL when that does not help. Returns the seconds it took."""
    start = time.monotonic()
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(10)
    if child in _children:
        _children.remove(child)
    return time.monotonic() - start


@atexit.register
def _stop_all() -> None:
    for child in list(_children):
        if child.poll() is None:
            child.kill()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, from /proc/PID/stat."""
    with open(f"/proc/{pid}/stat", "rb") as stat:
        fields = stat.read().rsplit(b")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mib(pid: int) -> dict[str, float]:
    """Resident memory now and at its highest."""
    found = {}
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        for line in status:
            name, _, rest = line.partition(":")
            if name in ("VmRSS", "VmHWM"):
                found[name] = int(rest.split()[0]) / 1024
    return found


def thread_cpu_seconds(pid: int, name_pattern: str) -> float:
    """CPU of the threads whose name matches, from /proc/PID/task/TID/schedstat. Threads that have ended are not in it."""
    total = 0
    for task in os.scandir(f"/proc/{pid}/task"):
        try:
            with open(f"{task.path}/comm", encoding="utf-8", errors="replace") as comm:
                if not re.search(name_pattern, comm.read().strip()):
                    continue
            with open(f"{task.path}/schedstat", encoding="ascii") as stat:
                total += int(stat.read().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total / 1e9


def reset_peak(pid: int) -> None:
    """Lets VmHWM begin again at the present resident memory."""
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as clear:
        clear.write("5")


def io_bytes(pid: int) -> dict[str, int]:
    """Bytes through read and write calls (page cache included), from /proc/PID/io."""
    with open(f"/proc/{pid}/io", encoding="ascii") as io:
        found = dict(line.strip().split(": ") for line in io)
    return {"read": int(found["rchar"]), "written": int(found["wchar"]), "reads": int(found["syscr"])}
