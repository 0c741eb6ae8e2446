# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for conditions, with deadlines."""

import os
import socket
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Sanitized programs and busy machines take longer: `TIME_FACTOR=4 tests/run`.
TIME_FACTOR = float(os.environ.get("TIME_FACTOR", "1"))


def wait_until(condition: Callable[[], T], seconds: float = 30, what: str = "",
               pause: float = 0.05) -> T:
    """Calls CONDITION until it returns something true, and returns that. Raises TimeoutError
    after SECONDS (stretched by TIME_FACTOR); an AssertionError from CONDITION means "not yet",
    and the last one is told."""
    deadline = time.monotonic() + seconds * TIME_FACTOR
    last = ""
    while True:
        try:
            value = condition()
            if value:
                return value
            last = f"last answer: {value!r}"
        except AssertionError as error:
            last = str(error)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what or condition.__name__}: not within "
                               f"{seconds * TIME_FACTOR:g} s; {last}")
        time.sleep(pause)


def free_port() -> int:
    """A TCP port on loopback that nobody listens on. Prefer ":0" where the program tells its
    port: between this call and its use anybody may take the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def deaf_port() -> socket.socket:
    """A socket that holds a TCP port on loopback and does not listen: who connects is refused,
    and nobody else can take the port until the socket is closed."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return holder


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
