"""A child that runs beside the case: what it says is collected line by line, it takes commands, it can be killed."""

import subprocess
import threading
import time
from pathlib import Path

from harness.process import ProcessFailed, forget, kill_group, spawn


class Child:
    """Started by the main thread. Lines of stdout and stderr are kept, and written to a file as well."""

    def __init__(self, name: str, argv: list, output: Path, env: dict | None = None):
        self.name, self.output = name, output
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._process = spawn(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env=env)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with open(self.output, "ab", buffering=0) as out:
            for raw in self._process.stdout:
                out.write(raw)
                with self._changed:
                    self.lines.append(raw.decode(errors="replace").rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def alive(self) -> bool:
        return self._process.poll() is None

    def said(self, beginning: str, since: int = 0) -> list[str]:
        return [line for line in self.lines[since:] if line.startswith(beginning)]

    def wait_for(self, beginning: str, seconds: float, since: int = 0) -> str:
        """The first line with this beginning, of those from `since` on."""
        end = time.monotonic() + seconds
        with self._changed:
            while not (found := self.said(beginning, since)):
                if not self._reader.is_alive():
                    raise ProcessFailed(f"{self.name} ended before it said {beginning!r}: {self.last_words()}")
                if time.monotonic() > end:
                    raise ProcessFailed(f"{self.name} did not say {beginning!r} within {seconds:.0f} s: "
                                        f"{self.last_words()}")
                self._changed.wait(0.5)
        return found[0]

    def ask(self, command: str, answer: str, seconds: float) -> str:
        """Give a command and wait for a line with this beginning; the rest of that line."""
        since = len(self.lines)
        try:
            self._process.stdin.write(command.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ProcessFailed(f"{self.name} is gone: {self.last_words()}") from None
        return self.wait_for(answer, seconds, since)[len(answer):].strip()

    def kill9(self) -> None:
        kill_group(self._process)
        self._reader.join()

    def end(self, seconds: float, codes: tuple = (0,)) -> None:
        """Close its stdin and wait for its end."""
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._wait(seconds, codes)

    def terminate(self, seconds: float, codes: tuple = (0, 143)) -> None:
        """SIGTERM, and wait for its end."""
        self._process.terminate()
        self._wait(seconds, codes)

    def _wait(self, seconds: float, codes: tuple) -> None:
        try:
            code = self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise ProcessFailed(f"{self.name} did not end within {seconds:.0f} s: {self.last_words()}") from None
        self._reader.join()
        forget(self._process)
        if code not in codes:
            raise ProcessFailed(f"{self.name} ended with {code}: {self.last_words()}")

    def last_words(self) -> str:
        return " | ".join(self.lines[-6:])[-500:]
