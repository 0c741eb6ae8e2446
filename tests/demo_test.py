# SPDX-License-Identifier: GPL-3.0-or-later
"""tools/demo where its port is taken, where no Guix root can be made, and however it is ended. That
it does what it should on the whole is a step of tools/check."""

import fcntl
import os
import pathlib
import signal
import socket
import subprocess
import termios

from support.case import Case
from support.programs import TOP, Program

PORT = 8080  # which it would like to have
SESSIONS = pathlib.Path("/var/tmp/panoply-demo")
DEMO = TOP / "tools/demo"
ENVIRONMENT = {"ONESHOT": "", "BUILD": os.environ.get("BUILD", "build")}


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
        demo = Program("demo", [DEMO], self.folder() / "demo.log", ENVIRONMENT)
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
        self.assert_nothing_is_left(demo.process.pid)

    def test_closed_terminal(self):
        """All that it says afterwards fails; and the kernel sends SIGHUP."""
        ours, its = os.openpty()
        demo = self.start_on(its, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.read_until_it_serves(ours)
        os.close(ours)
        self.assertEqual(demo.wait(60), 0)
        self.assert_nothing_is_left(demo.pid)

    def test_output_that_nobody_reads(self):
        ours, its = os.pipe()
        demo = self.start_on(its)
        self.read_until_it_serves(ours)
        os.close(ours)
        self.assertEqual(demo.wait(60), 0)
        self.assert_nothing_is_left(demo.pid)

    def test_no_guix_root(self):
        base = self.folder() / "base"
        done = subprocess.run([DEMO], stdin=subprocess.DEVNULL, text=True, capture_output=True, timeout=60,
                              env={**os.environ, **ENVIRONMENT, "PANOPLY_GUIX_BASE": str(base),
                                   "DEBIAN_MIRROR": "http://127.0.0.1:1/debian"})
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"its log, {base}.new.log, ends:\n", done.stderr)
        self.assertIn("\nE: ", done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def start_on(self, output: int, **options) -> subprocess.Popen:
        """Starts it in a session of its own, with OUTPUT, which is closed here, for all it says."""
        demo = subprocess.Popen([DEMO], stdin=output, stdout=output, stderr=output, start_new_session=True,
                                env={**os.environ, **ENVIRONMENT}, **options)
        os.close(output)
        self.addCleanup(demo.wait)
        self.addCleanup(demo.terminate)
        return demo

    def read_until_it_serves(self, output: int) -> None:
        said = b""
        while b"the page is at" not in said:
            more = os.read(output, 1000)
            self.assertTrue(more, said)
            said += more

    def assert_nothing_is_left(self, pid: int) -> None:
        session = SESSIONS / str(pid)
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
