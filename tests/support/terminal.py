# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program writes to a terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import termios

from .waiting import TIME_FACTOR


def on_a_terminal(words: list[str], environment: dict[str, str], columns: int = 0) -> str:
    """The output of the program, when that is a terminal of so many COLUMNS; 0: of one that does
    not tell."""
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
    process.wait(20 * TIME_FACTOR)
    return written.decode().replace("\r\n", "\n")
