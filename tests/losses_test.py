# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the cache that are gone: told, withdrawn when somebody says so, made again."""

import pathlib
import subprocess

from support.case import Case
from support.farm import Farm

# Above what the database holds itself; and what refers to it.
LARGE = "seq 1 200000 | sha512sum > $out\ni=0; while [ $i -lt 1200 ]; do echo $i | sha512sum >> $out; i=$((i+1)); done\n"
REFERRER = "mkdir $out\nln -s $large $out/large\n"


class Losses(Case):
    timeout = 180

    @classmethod
    def setUpClass(cls) -> None:
        cls.farm = Farm(jobs=2)
        cls.addClassCleanup(cls.farm.delete)
        cls.farm.channel.add_package("large", LARGE)
        cls.farm.channel.add_package("referrer", REFERRER, inputs="large",
                                     modules="(example packages large)")
        cls.farm.channel.commit("One large and one that refers to it")
        cls.builds = cls.farm.finish(cls.farm.evaluate())
        cls.client = cls.farm.client

    def setUp(self) -> None:
        super().setUp()
        self.farm.watch(self)

    def output(self, package: str) -> str:
        path, = (it["path"] for it in self.farm.build(self.builds[package]["id"])["outputs"])
        return path.removeprefix("/gnu/store/")

    def files(self) -> list[pathlib.Path]:
        return sorted(path for path in (self.farm.server.state / "cache/nars").rglob("*")
                      if path.is_file())

    def check(self, *options: str) -> subprocess.CompletedProcess:
        return self.farm.server.command_line("cache", "check", *options, check=False)

    def status(self, item: str) -> int:
        return self.client.request("GET", f"/{item[:32]}.narinfo").status

    def lose(self, item: str) -> None:
        narinfo = self.client.text(f"/{item[:32]}.narinfo")
        digits, = (line.removeprefix("NarHash: sha256:") for line in narinfo.splitlines()
                   if line.startswith("NarHash: "))
        lost = [file for file in self.files() if file.name.startswith(digits)]
        self.assertTrue(lost)
        for file in lost:
            file.unlink()

    def test_lost_file(self):
        large, referrer = self.output("large"), self.output("referrer")
        self.assertEqual(self.check().returncode, 0)
        self.lose(large)
        self.assertEqual(self.client.request("GET", f"/nar/zstd/{large}").status, 404)
        doctor = self.farm.server.command_line("doctor", check=False)
        self.assertEqual(doctor.returncode, 1)
        self.assertIn("LOOK a file of the cache", doctor.stdout)
        told = self.check()
        self.assertEqual(told.returncode, 1)
        self.assertIn("files are lost", told.stdout)
        self.assertEqual(self.status(large), 200)  # nothing was withdrawn yet

        # Nobody has it any more: the builder must make it again.
        self.farm.builders[0].run("guix", "gc", "-D", f"/gnu/store/{referrer}",
                                  f"/gnu/store/{large}")
        withdrawn = self.check("--withdraw")
        self.assertEqual((withdrawn.returncode, withdrawn.stderr), (0, ""))
        self.assertIn("2 items are no longer offered", withdrawn.stdout)
        self.assertIn("2 builds begin anew", withdrawn.stdout)
        for package in ("large", "referrer"):
            build = self.farm.wait_for_build(self.builds[package]["id"], "succeeded")
            self.farm.server.wait_for(f"/builds/{build['id']}", lambda it: len(it["attempts"]) > 1
                                      and it["state"] == "succeeded")
            self.assertEqual(self.status(self.output(package)), 200)
        self.assertEqual(self.client.request("GET", f"/nar/zstd/{large}").status, 200)
        self.assertEqual(self.check().returncode, 0)

    def test_lost_source(self):
        """No build could make it again, but the evaluator's store has it."""
        narinfo = self.client.text(f"/{self.output('almanac')[:32]}.narinfo")
        references = narinfo.split("References: ")[1].split("\n")[0].split()
        source, = (item for item in references if "busybox" in item)
        self.lose(source)
        self.assertRegex(self.check("--withdraw").stdout, r"of which [1-9]\d* were taken")
        self.assertEqual(self.status(source), 200)
        self.assertEqual(self.client.request("GET", f"/nar/zstd/{source}").status, 200)
        for build in self.builds.values():
            self.farm.wait_for_build(build["id"], lambda it: it["finished_at"])

    def test_cut_file(self):
        # Small ones may be left over: the database has them.
        file = next(file for file in self.files() if file.stat().st_size > 20000)
        whole = file.read_bytes()
        file.write_bytes(whole[:-1])
        self.addCleanup(self.check, "--withdraw")
        self.assertIn("1 of ", self.check().stdout)

    def test_folder_that_is_not_mounted(self):
        nars = self.farm.server.state / "cache/nars"
        away = nars.with_name("away")
        nars.rename(away)
        nars.mkdir()
        try:
            refused = self.check("--withdraw")
            self.assertEqual(refused.returncode, 1)
            self.assertIn("mounted", refused.stderr)
        finally:
            nars.rmdir()
            away.rename(nars)
        self.assertEqual(self.check().returncode, 0)
