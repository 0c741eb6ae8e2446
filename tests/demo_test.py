# SPDX-License-Identifier: GPL-3.0-or-later
"""tools/demo where its port is taken, and on Ctrl-C. That it does what it should on the whole is a
step of tools/check."""

import os
import pathlib
import signal
import socket

from support.case import Case
from support.programs import TOP, Program

PORT = 8080  # which it would like to have
SESSIONS = pathlib.Path("/var/tmp/panoply-demo")


class Demo(Case):
    def take_port(self) -> None:
        """Unless somebody has it already."""
        taken = socket.socket()
        self.addCleanup(taken.close)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", PORT))
            taken.listen()
        except OSError:
            pass

    def test_ctrl_c(self):
        self.take_port()
        demo = Program("demo", [TOP / "tools/demo"], self.folder() / "demo.log",
                       {"ONESHOT": "", "BUILD": os.environ.get("BUILD", "build")})
        self.watch(demo.name, demo.log)
        self.addCleanup(demo.stop, 60)
        demo.start()
        port = demo.wait_for(r"the page is at  http://127\.0\.0\.1:(\d+)/\n", 60)[1]
        self.assertNotEqual(int(port), PORT)
        demo.wait_for("evaluation 1: running", 60)
        demo.signal(signal.SIGINT)
        self.assertEqual(demo.wait(60), 0)
        self.assertIn("nothing is left running or mounted", demo.output())
        self.assertNotIn("does not end", demo.output())
        session = SESSIONS / str(demo.process.pid)
        self.assertFalse(session.exists())
        self.assertNotIn(f" {session}/", pathlib.Path("/proc/self/mountinfo").read_text())
        left = [process.name for process in pathlib.Path("/proc").glob("[0-9]*")
                if f"{session}/" in self.command_line_of(process)]
        self.assertEqual(left, [])

    @staticmethod
    def command_line_of(process: pathlib.Path) -> str:
        try:
            return (process / "cmdline").read_text(errors="replace")
        except OSError:
            return ""  # it has ended
