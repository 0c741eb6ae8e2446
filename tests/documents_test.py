# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of the user's guide, run as they stand, on a farm of one's own. A block in `sh` is
run; one in `text` wants another machine, root or a browser; one in `json` is a file."""

import json
import os
import pathlib
import re
import subprocess

from support.case import Case
from support.farm import Farm
from support.panoply import executable
from support.programs import TOP
from support.roots import temporary_folder
from support.waiting import TIME_FACTOR

GUIDE = TOP / "doc" / "using.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES_NAMED = re.compile(r"`([a-z-]+\.md)`")
PICTURES_NAMED = re.compile(r'(?:src|srcset)="([^"]+)"|!\[[^]]*\]\(([^)]+)\)')


class UsersGuide(Case):
    timeout = 240

    @classmethod
    def setUpClass(cls) -> None:
        cls.farm = Farm(agents=1)
        cls.addClassCleanup(cls.farm.delete)

    def setUp(self) -> None:
        super().setUp()
        self.farm.watch(self)
        self.folder = temporary_folder("guide")

    def write(self, text: str) -> None:
        """The specification of the guide, with a channel that is there."""
        specification = json.loads(text)
        specification["channels"][0] |= {"url": self.farm.channel.url, "branch": "master"}
        (self.folder / f"{specification['name']}.json").write_text(json.dumps(specification))

    def run_line(self, line: str) -> None:
        path = f"{pathlib.Path(executable()).parent}:{os.environ['PATH']}"
        done = subprocess.run(["bash", "-c", line], cwd=self.folder, text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=60 * TIME_FACTOR,
                              env={**self.farm.server.client_environment(), "PATH": path})
        self.assertEqual(done.returncode, 0, f"{line}\n{done.stdout}{done.stderr}")
        self.assertTrue(done.stdout or "evaluation log" in line, line)  # Guix may say nothing

    def test_every_command(self):
        ran = 0
        for kind, text in BLOCK.findall(GUIDE.read_text()):
            self.assertIn(kind, {"sh", "text", "json"})
            if kind == "json":
                self.write(text)
            for line in text.splitlines() if kind == "sh" else ():
                self.run_line(line)
                ran += 1
                if line.startswith("panoply spec add"):
                    self.farm.finish(self.farm.evaluation_of(
                        self.farm.channel.git("rev-parse", "HEAD"), "my-channel"))
        self.assertGreater(ran, 15)

    def test_documents_that_are_named(self):
        for document in (TOP / "README.md", *(TOP / "doc").glob("*.md")):
            for name in FILES_NAMED.findall(document.read_text()):
                self.assertTrue((TOP / "doc" / name).exists(), f"{document.name} names {name}")

    def test_pictures_that_are_named(self):
        named = {pathlib.Path(document.parent, *names).resolve()
                 for document in (TOP / "README.md", *(TOP / "doc").glob("*.md"))
                 for names in PICTURES_NAMED.findall(document.read_text())}
        self.assertEqual(named, set((TOP / "doc/screenshots").glob("*.png")))
