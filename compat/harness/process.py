"""Child processes: each in a session of its own, with a time limit, never left behind.

A child dies with the harness (PR_SET_PDEATHSIG) and its whole group is killed when its
time is over. Only processes started here are ever signalled, by their own group id.
"""

import ctypes
import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
_live: set[subprocess.Popen] = set()


class ProcessFailed(Exception):
    """A child ended with an unexpected exit code, or did not end in time."""


@dataclass
class Result:
    code: int
    out: str
    err: str

    def last_words(self, limit: int = 400) -> str:
        """The end of what the child said: enough to tell why it failed."""
        text = " | ".join(
            line.strip() for line in (self.out + "\n" + self.err).splitlines() if line.strip()
        )
        return text[-limit:]


def _die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(argv, **options) -> subprocess.Popen:
    """Start a child in its own session. The starting thread must outlive the child."""
    child = subprocess.Popen(
        [str(part) for part in argv],
        start_new_session=True,
        preexec_fn=_die_with_parent,
        **options,
    )
    _live.add(child)
    return child


def kill_group(child: subprocess.Popen) -> None:
    """Kill a child and whatever it started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()
    _live.discard(child)


def forget(child: subprocess.Popen) -> None:
    _live.discard(child)


def kill_all() -> None:
    for child in list(_live):
        kill_group(child)


def run(argv, seconds: float, stdin: str | bytes | None = None, check: bool = True,
        env: dict | None = None, cwd=None) -> Result:
    """Run a child to its end. Output goes to files, so that a flood cannot block it."""
    if isinstance(stdin, str):
        stdin = stdin.encode()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, \
            tempfile.TemporaryFile() as given:
        if stdin is not None:
            given.write(stdin)
            given.seek(0)
        child = spawn(
            argv, stdin=given if stdin is not None else subprocess.DEVNULL, stdout=out, stderr=err,
            env={**os.environ, **(env or {})}, cwd=cwd,
        )
        timed_out = False
        try:
            child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            kill_group(child)
        out.seek(0)
        err.seek(0)
        result = Result(
            child.returncode,
            out.read().decode(errors="replace"),
            err.read().decode(errors="replace"),
        )
    name = os.path.basename(str(argv[0]))
    if timed_out:
        raise ProcessFailed(f"{name} did not end within {seconds:.0f} s: {result.last_words()}")
    if check and result.code != 0:
        raise ProcessFailed(f"{name} ended with {result.code}: {result.last_words()}")
    return result
