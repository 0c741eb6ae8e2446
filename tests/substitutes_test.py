# SPDX-License-Identifier: GPL-3.0-or-later
"""What a farm has built, as stock Guix and other clients fetch it."""

import gzip
import hashlib
import io
import subprocess

from support import channel as example
from support.case import Case
from support.farm import Farm
from support.nar import base32, nar_of_file, sha256
from support.roots import Machine
from support.waiting import wait_until

PIPELINED = 1000
TIDES = "tides-2026.txt"  # the channel's fixed output


def basename(item: str) -> str:
    return item.removeprefix("/gnu/store/")


def fields(narinfo: str) -> dict[str, str]:
    """The fields of a narinfo that come once."""
    return dict(line.split(": ", 1) for line in narinfo.splitlines())


def urls(narinfo: str) -> dict[str, str]:
    """The addresses of the nar, by compression."""
    lines = narinfo.splitlines()
    return {lines[i + 1].removeprefix("Compression: "): line.removeprefix("URL: ")
            for i, line in enumerate(lines) if line.startswith("URL: ")}


class Substitutes(Case):
    timeout = 180

    @classmethod
    def setUpClass(cls) -> None:
        cls.farm = Farm(jobs=4)
        cls.addClassCleanup(cls.farm.delete)
        cls.client = cls.farm.client
        builds = cls.farm.finish(cls.farm.evaluate())
        cls.builds = {package: cls.farm.build(builds[package]["id"])
                      for package in sorted(example.SUCCEEDING)}
        cls.items = [output["path"] for build in cls.builds.values()
                     for output in build["outputs"]]

    def setUp(self) -> None:
        super().setUp()
        self.farm.watch(self)

    def output(self, package: str) -> str:
        return self.builds[package]["outputs"][0]["path"]

    def narinfo(self, item: str) -> str:
        return self.client.text(f"/{basename(item)[:32]}.narinfo")

    def get(self, path: str, **headers: str):
        return self.client.request("GET", path, headers={name.replace("_", "-"): value
                                                         for name, value in headers.items()})

    def user(self, trusts: bool = True) -> Machine:
        """A stock Guix with an empty store, which may not build."""
        user = self.machine("user", daemon_options=(f"--substitute-urls={self.farm.server.url}",
                                                    "--max-jobs=0"))
        if trusts:
            user.run("guix", "archive", "--authorize",
                     given=self.client.text("/signing-key.pub"))
        return user

    def tool(self) -> str:
        """BusyBox in the store: large enough to be a file."""
        references = fields(self.narinfo(self.output("almanac")))["References"].split()
        return next(item for item in references if item.endswith("-busybox-static"))

    # ---- by Guix itself ----

    def test_guix_fetches_what_is_signed_by_a_key_it_trusts(self):
        user = self.user(trusts=False)
        self.farm.channel.git("clone", "--quiet", self.farm.channel.url,
                              str(user.outside("/example")))
        build = ("guix", "build", "-L", "/example", *sorted(example.SUCCEEDING))
        self.assertNotEqual(user.run(*build, check=False).returncode, 0)
        user.run("guix", "archive", "--authorize", given=self.client.text("/signing-key.pub"))
        items = user.run(*build).stdout.split()
        self.assertEqual(sorted(items), sorted(self.items))
        almanac = user.run(f"{self.output('almanac')}/bin/almanac", "7").stdout
        self.assertIn("high water at 350 min: 369 cm", almanac)
        self.assertNotIn("modified", user.run("guix", "gc", "--verify=contents").stderr)

    def test_guix_fetches_a_derivation_and_builds_it(self):
        """Nothing of the channel is known to it but the name of the derivation."""
        user = self.user()
        derivation = self.builds["almanac"]["derivation"]
        user.run("guix", "build", derivation)
        self.assertTrue(user.has(derivation))
        user.run("guix", "gc", "--delete", self.output("almanac"))
        user.stop_daemon()
        user.start_daemon()  # builds, and asks nobody
        user.run("guix", "repl", "--", "/dev/stdin", given=f"""\
(use-modules (guix) (guix derivations))
(with-store store
  (build-derivations store (list (read-derivation-from-file "{derivation}"))))
""")
        self.assertTrue(user.has(self.output("almanac")))

    def test_guix_finds_the_log(self):
        build = self.builds["sounding-log"]
        user = self.user()
        user.run("guix", "build", build["derivation"])
        said = user.run("guix", "build", "--log-file", build["derivation"],
                        f"--substitute-urls={self.farm.server.url}").stdout.strip()
        self.assertTrue(said.startswith(f"{self.farm.server.url}/log/"), said)
        self.assertEqual(self.client.text(said.removeprefix(self.farm.server.url)),
                         self.farm.log(build["id"]))

    # ---- the protocol ----

    def test_logs(self):
        build = self.builds["sounding-log"]
        log = self.farm.log(build["id"])
        self.assertEqual(len(log.splitlines()), 20000)
        for item in (build["derivation"], build["outputs"][0]["path"]):
            answer = self.get(f"/log/{basename(item)}")
            self.assertEqual((answer.status, answer.body.decode()), (200, log))
        packed = self.get(f"/log/{basename(item)}", Accept_Encoding="gzip")
        self.assertEqual(packed.headers["Content-Encoding"], "gzip")
        self.assertEqual(gzip.decompress(packed.body).decode(), log)
        self.assertEqual(self.get("/log/" + "0" * 32 + "-none").status, 404)

    def test_nar_is_what_the_narinfo_says(self):
        for item in (*self.items, f"/gnu/store/{self.tool()}"):
            with self.subTest(basename(item)):
                narinfo = self.narinfo(item)
                packed = self.get("/" + urls(narinfo)["zstd"]).body
                nar = subprocess.run(["zstd", "-dcq"], input=packed, capture_output=True,
                                     check=True).stdout
                self.assertEqual(sha256(nar), fields(narinfo)["NarHash"])
                self.assertEqual(str(len(nar)), fields(narinfo)["NarSize"])
                self.assertEqual(self.get(f"/nar/{basename(item)}").body, nar)

    def test_second_form_appears(self):
        item = f"/gnu/store/{self.tool()}"
        path = wait_until(lambda: urls(self.narinfo(item)).get("gzip"), 60, "gzip is announced")
        packed = self.get("/" + path)
        self.assertEqual(packed.status, 200)
        nar = gzip.decompress(packed.body)
        self.assertEqual(sha256(nar), fields(self.narinfo(item))["NarHash"])
        self.assertIn(f"FileSize: {len(packed.body)}\n", self.narinfo(item))

    def test_head(self):
        item = self.output("almanac")
        for path in (f"/{basename(item)[:32]}.narinfo", "/" + urls(self.narinfo(item))["zstd"],
                     f"/nar/zstd/{self.tool()}", f"/nar/{self.tool()}", "/nix-cache-info"):
            with self.subTest(path):
                whole, head = self.get(path), self.client.request("HEAD", path)
                self.assertEqual((whole.status, head.status, head.body), (200, 200, b""))
                self.assertEqual(int(head.headers.get("Content-Length", len(whole.body))),
                                 len(whole.body))
                self.assertEqual(head.headers["Content-Type"], whole.headers["Content-Type"])

    def test_ranges_and_conditions(self):
        for path in ("/" + urls(self.narinfo(self.output("almanac")))["zstd"],  # in the database
                     f"/nar/zstd/{self.tool()}"):                               # a file
            with self.subTest(path):
                whole = self.get(path)
                size, etag = len(whole.body), whole.headers["ETag"]
                part = self.get(path, Range="bytes=10-99")
                self.assertEqual((part.status, part.body), (206, whole.body[10:100]))
                self.assertEqual(part.headers["Content-Range"], f"bytes 10-99/{size}")
                rest = self.get(path, Range=f"bytes={size - 5}-", If_Range=etag)
                self.assertEqual((rest.status, rest.body), (206, whole.body[-5:]))
                other = self.get(path, Range="bytes=0-0", If_Range='"another"')
                self.assertEqual((other.status, len(other.body)), (200, size))
                self.assertEqual(self.get(path, Range=f"bytes={size}-").status, 416)
                same = self.get(path, If_None_Match=etag)
                self.assertEqual((same.status, same.body), (304, b""))

    def test_pipelined_questions_are_answered_in_order(self):
        """One connection, all questions before the first answer; every third is of an item
        that is not here."""
        items = [None if i % 3 == 2 else self.items[i % len(self.items)] for i in range(PIPELINED)]
        connection = self.client.connect()
        self.addCleanup(connection.close)
        connection.connect()
        connection.sock.sendall(b"".join(
            b"GET /%s.narinfo HTTP/1.1\r\nHost: x\r\n\r\n"
            % (basename(item)[:32].encode() if item else b"0" * 32) for item in items))
        answers = io.BufferedReader(connection.sock.makefile("rb", buffering=0))
        for number, item in enumerate(items):
            status = int(answers.readline().split()[1])
            size = 0
            while (line := answers.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    size = int(line.split(b":")[1])
            body = answers.read(size).decode()
            self.assertEqual(status, 200 if item else 404, number)
            if item:
                self.assertEqual(fields(body)["StorePath"], item, number)

    def test_fixed_output_by_its_hash(self):
        """What Guix asks for when the origin's own address has gone."""
        contents = b"".join(b"%d %d %d\n" % (day, day * 50 % 745, 320 + day * 7 % 90)
                            for day in range(1, 366))
        digits = base32(hashlib.sha256(contents).digest())
        answer = self.get(f"/file/{TIDES}/sha256/{digits}")
        self.assertEqual((answer.status, answer.body), (200, contents))
        self.assertEqual(self.get(f"/file/another/sha256/{digits}").status, 404)
        self.assertEqual(self.get(f"/file/{TIDES}/sha256/{'0' * 52}").status, 404)
        self.assertEqual(self.get(f"/file/{TIDES}/sha256/none").status, 404)
        source = next(line for line in self.builds["tide-tables"]["dependencies"]
                      if line["name"].startswith(TIDES))
        path = self.farm.build(source["id"])["outputs"][0]["path"]
        self.assertEqual(self.get(f"/nar/{basename(path)}").body, nar_of_file(contents))

    def test_derivations_have_narinfos_too(self):
        derivation = self.builds["almanac"]["derivation"]
        narinfo = self.narinfo(derivation)
        self.assertEqual(fields(narinfo)["StorePath"], derivation)
        nar = self.get(f"/nar/{basename(derivation)}").body
        self.assertEqual(sha256(nar), fields(narinfo)["NarHash"])
        seen, waiting = set(), [basename(derivation)]
        while waiting:
            item = waiting.pop()
            if item not in seen:
                seen.add(item)
                waiting += fields(self.narinfo(f"/gnu/store/{item}"))["References"].split()
        self.assertIn(self.tool(), seen)
        self.assertGreater(len(seen), 8)
