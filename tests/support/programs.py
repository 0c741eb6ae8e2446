# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that run beside a test, with their output in a file."""

import os
import pathlib
import re
import signal
import subprocess

from .waiting import TIME_FACTOR, wait_until

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = TOP / os.environ.get("BUILD", "build")


_started: list["Program"] = []


def end_all() -> None:
    """Ends every program that was started and not ended: the last first."""
    while _started:
        try:
            _started.pop().stop(10)
        except TimeoutError as error:
            print(error)


class Program:
    """A running program. Its standard output and error go to the file LOG, which grows over
    restarts."""

    def __init__(self, name: str, command: list[str], log: pathlib.Path,
                 environment: dict[str, str] | None = None):
        self.name = name
        self.command = [str(word) for word in command]
        self.log = log
        self.environment = {**os.environ, **(environment or {})}
        self.process: subprocess.Popen | None = None
        self.started_at = 0  # byte of the log where the latest start begins

    def start(self) -> None:
        assert not self.is_running(), f"{self.name} runs already"
        with open(self.log, "ab") as log:
            self.started_at = log.tell()
            # A session of its own: Ctrl-C on the terminal ends the test, which then ends this.
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=self.environment,
                                            start_new_session=True)
        if self not in _started:
            _started.append(self)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 30) -> int:
        """Waits for the end and returns the exit status (negative: the signal)."""
        return self.process.wait(timeout=seconds * TIME_FACTOR)

    def stop(self, seconds: float = 30) -> int | None:
        """Asks it to end (SIGTERM) and returns the exit status; None if it never ran. Kills it
        and raises TimeoutError when it does not end in time."""
        if self.process is None:
            return None
        if self.is_running():
            self.signal(signal.SIGTERM)
        try:
            return self.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError(f"{self.name} does not end on SIGTERM") from None

    def kill(self) -> None:
        """As a power cut would end it (SIGKILL)."""
        if self.is_running():
            self.process.kill()
            self.process.wait()

    def resident_mb(self) -> float:
        """The memory that it holds now."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024

    def output(self) -> str:
        """What it has printed since its latest start."""
        with open(self.log, "rb") as log:
            log.seek(self.started_at)
            return log.read().decode(errors="replace")

    def wait_for(self, pattern: str, seconds: float = 30) -> re.Match:
        """Waits until what it has printed since its latest start matches the regular expression
        PATTERN somewhere."""
        def found() -> re.Match | None:
            match = re.search(pattern, self.output())
            if match is None and not self.is_running():
                raise RuntimeError(f"{self.name} ended (status {self.process.returncode}):\n"
                                   f"{self.output()[-2000:]}")
            return match
        return wait_until(found, seconds, f"{self.name} prints {pattern!r}")

    def wait_for_line(self, start: str, seconds: float = 30) -> str:
        """Waits for a line that begins with START and returns the rest of it."""
        def found() -> str | None:
            for line in self.output().splitlines(keepends=True):
                if line.startswith(start) and line.endswith("\n"):
                    return line[len(start):].strip() or " "
            if not self.is_running():
                raise RuntimeError(f"{self.name} ended (status {self.process.returncode}):\n"
                                   f"{self.output()[-2000:]}")
            return None
        return wait_until(found, seconds, f"{self.name} prints {start!r}").strip()
