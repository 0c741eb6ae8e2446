# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the generators on small files in a temporary folder, and the C compiler
on what they made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
CC = os.environ.get("CC", "cc").split()
FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion",
         "-Wno-sign-conversion", "-Wno-overlength-strings", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Werror"]


class GeneratorTest(unittest.TestCase):
    """`self.folder` is the room "room"; files are written by name."""

    def setUp(self) -> None:
        self.top = Path(tempfile.mkdtemp(prefix="panoply-generators-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.folder = self.top / "room"
        self.folder.mkdir()

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def read(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def run_program(self, command: list[object], **more: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, cwd=self.folder, **more)

    def generator(self, name: str) -> list[object]:
        return [sys.executable, "-B", TOP / "tools" / name]

    def compile(self, source: str, *more: object) -> subprocess.CompletedProcess[str]:
        return self.run_program([*CC, *FLAGS, f"-I{self.top}", f"-I{TOP / 'src'}", source, *more])

    def assert_refused(self, done: subprocess.CompletedProcess[str], place: str, *words: str) -> None:
        """DONE failed and told `PLACE: error:` and the words, and no Python trace."""
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn(f"{place}: error: ", done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
