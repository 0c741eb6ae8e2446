# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program writes to a terminal."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from .waiting import TIME_FACTOR


def on_a_terminal(words: list[str], environment: dict[str, str], columns: int = 0,
                  wanted: int = 0) -> str:
    """The output of the program, which is to end with status WANTED, when that is a terminal of so
    many COLUMNS; 0: of one that does not tell."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=theirs, env=environment)
    os.close(theirs)
    written = b""
    try:
        while piece := os.read(ours, 65536):
            written += piece
    except OSError:  # the other side was closed
        pass
    os.close(ours)
    text = written.decode().replace("\r\n", "\n")
    status = process.wait(20 * TIME_FACTOR)
    if status != wanted:
        raise AssertionError(f"{words} ended with status {status}: {text!r}")
    return text


class Screen:
    """A terminal with a program that goes on."""

    def __init__(self, words: list[str], environment: dict[str, str], columns: int = 80,
                 rows: int = 24):
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=theirs,
                                        env=environment)
        os.close(theirs)
        self.written = ""

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *_why: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.ours)

    def wait_for(self, pattern: str) -> str:
        """All that was written until it matches."""
        deadline = time.monotonic() + 20 * TIME_FACTOR
        while not re.search(pattern, self.written):
            ready, _, _ = select.select([self.ours], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"{pattern} does not come: {self.written!r}")
            piece = os.read(self.ours, 65536).decode(errors="replace")
            self.written += piece.replace("\r\n", "\n")
        return self.written
