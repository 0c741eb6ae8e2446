# SPDX-License-Identifier: GPL-3.0-or-later
"""The class that tests of whole programs derive from."""

import pathlib
import shutil
import unittest

from .channel import Channel
from .panoply import Agent, Server
from .programs import Program
from .roots import Machine, temporary_folder

LOG_TAIL = 6000  # characters of each log that a failed test shows


class Case(unittest.TestCase):
    """Makes what a test asks for, ends it afterwards in the opposite order, and keeps the
    programs' logs for the report of a failure."""

    timeout = 120  # seconds for one test, stretched by TIME_FACTOR
    maxDiff = None

    def setUp(self) -> None:
        self._logs: dict[str, pathlib.Path] = {}
        self._output = ""

    def folder(self, name: str = "test") -> pathlib.Path:
        folder = temporary_folder(name)
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def machine(self, name: str, **options) -> Machine:
        machine = Machine(name, **options)
        self.addCleanup(machine.delete)
        if machine.daemon is not None:
            self.watch(f"guix-daemon of {name}", machine.daemon_log)
        return machine

    def channel(self, **options) -> Channel:
        return Channel(self.folder("channel") / "repository", **options)

    def server(self, *arguments, **options) -> Server:
        return self._program(Server(*arguments, **options))

    def agent(self, *arguments, **options) -> Agent:
        return self._program(Agent(*arguments, **options))

    def _program(self, program: Program):
        self.watch(program.name, program.log)
        self.addCleanup(program.stop)
        return program

    def watch(self, name: str, log: pathlib.Path) -> None:
        """Shows the end of the file LOG when this test fails."""
        self._logs[name] = log
        self.addCleanup(self._keep_log, name)

    def _keep_log(self, name: str) -> None:
        text = self._logs[name].read_text(errors="replace") if self._logs[name].exists() else ""
        if text:
            self._output += f"---- {name}\n{text[-LOG_TAIL:]}\n"

    def captured_output(self) -> str:
        return self._output
