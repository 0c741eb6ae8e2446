# SPDX-License-Identifier: GPL-3.0-or-later
"""A stock Guix fetches from the cache what another Guix built."""

import shutil
import urllib.request

from support.case import Case
from support.programs import BUILD, Program
from support.roots import Machine, temporary_folder
from support.waiting import wait_until

CHANNEL = "/channel"


def basename(path: str) -> str:
    return path.removeprefix("/gnu/store/")


class Substitutes(Case):
    timeout = 300

    @classmethod
    def setUpClass(cls) -> None:
        cls.builder = Machine("builder")
        cls.addClassCleanup(cls.builder.delete)

    def setUp(self) -> None:
        super().setUp()
        self.watch("guix-daemon of builder", self.builder.daemon_log)
        if not self.builder.outside(CHANNEL).exists():
            channel = self.channel()
            shutil.copytree(channel.folder, self.builder.outside(CHANNEL))

    def build(self, *words: str) -> list[str]:
        said = self.builder.run("guix", "build", "-L", CHANNEL, "--no-grafts", *words, seconds=200)
        return said.stdout.split()

    def serve(self, *paths: str) -> str:
        """Serves the builder's PATHS; the URL."""
        folder = temporary_folder("cache")
        (folder / "list").write_text("".join(path + "\n" for path in paths))
        self.server = Program("serve_store", [BUILD / "tests/cache/serve_store", folder,
                                              self.builder.root, folder / "list"], folder / "log")
        self.watch("serve_store", self.server.log)
        self.addCleanup(self.server.stop)
        self.server.start()
        return f"http://127.0.0.1:{self.server.wait_for_line('port ', 120)}"

    def get(self, url: str) -> bytes:
        with urllib.request.urlopen(url, timeout=60) as reply:
            return reply.read()

    def client(self, url: str) -> Machine:
        """A machine that trusts and asks the server at URL."""
        client = self.machine("client", daemon_options=(f"--substitute-urls={url}",))
        client.run("guix", "archive", "--authorize",
                   given=self.get(f"{url}/signing-key.pub").decode())
        return client

    def references(self, machine: Machine, path: str) -> list[str]:
        return sorted(machine.run("guix", "gc", "--references", path).stdout.split())

    def hash(self, machine: Machine, path: str) -> str:
        return machine.run("guix", "hash", "-S", "nar", path).stdout.strip()

    def expect_same(self, client: Machine, path: str) -> None:
        self.assertEqual(self.references(client, path), self.references(self.builder, path))
        self.assertEqual(self.hash(client, path), self.hash(self.builder, path))

    def test_guix_build_fetches(self):
        outputs = self.build("almanac", "libtide")
        url = self.serve(*outputs)
        client = self.client(url)
        client.run("guix", "build", *outputs, seconds=200)
        for output in outputs:
            self.expect_same(client, output)
        self.assertNotIn("build-started", client.daemon_log.read_text())

    def test_second_compression_is_announced(self):
        outputs = self.build("almanac")
        # Something that is large enough: the builder's BusyBox.
        closure = self.builder.run("guix", "gc", "--requisites", *outputs).stdout.split()
        url = self.serve(*closure)

        def narinfos() -> str:
            return "".join(self.get(f"{url}/{basename(path)[:32]}.narinfo").decode()
                           for path in closure)
        self.assertIn("Compression: zstd", narinfos())
        wait_until(lambda: "Compression: gzip" in narinfos(), 60, "gzip is announced")
        client = self.client(url)
        client.run("guix", "build", *outputs, seconds=200)
        for path in closure:
            self.expect_same(client, path)

    def test_challenge_agrees(self):
        outputs = self.build("almanac")
        url = self.serve(*outputs)
        self.builder.run("guix", "archive", "--authorize",
                         given=self.get(f"{url}/signing-key.pub").decode())
        said = self.builder.run("guix", "challenge", f"--substitute-urls={url}", *outputs,
                                check=False)
        self.assertRegex(said.stdout + said.stderr, r"1 \(100\.0%\) (was|were) identical")

    def test_derivations_are_substitutes(self):
        drv, = self.build("-d", "almanac")
        url = self.serve(drv)
        client = self.client(url)
        client.run("guix", "repl", "--", "/dev/stdin",
                   given=f'(use-modules (guix store)) (with-store s (ensure-path s "{drv}"))\n')
        closure = self.builder.run("guix", "gc", "--requisites", drv).stdout.split()
        for path in closure:
            self.expect_same(client, path)
        # Everything to build it is here.
        built = client.run("guix", "build", "--no-substitutes", drv, seconds=200).stdout.split()
        self.assertEqual(built, self.build("almanac"))

    def test_bundles_are_imported(self):
        drv, = self.build("-d", "almanac")
        outputs = self.build("almanac")
        url = self.serve(drv, *outputs)
        client = self.client(url)
        wanted = self.builder.run("guix", "gc", "--requisites", drv, *outputs).stdout.split()
        order = self.in_order(wanted)
        bundle = self.get(f"{url}/bundle?items=" + "+".join(basename(path) for path in order))
        client.outside("/bundle").write_bytes(bundle)
        client.run("sh", "-c", "guix archive --import < /bundle")
        for path in wanted:
            self.expect_same(client, path)

        # Damaged on its way: refused.
        other = self.machine("other")
        other.run("guix", "archive", "--authorize",
                  given=self.get(f"{url}/signing-key.pub").decode())
        other.outside("/bundle").write_bytes(bundle[:-9])
        said = other.run("sh", "-c", "guix archive --import < /bundle", check=False)
        self.assertNotEqual(said.returncode, 0)

    def in_order(self, paths: list[str]) -> list[str]:
        """References first."""
        done: dict[str, None] = {}

        def visit(path: str) -> None:
            if path in done:
                return
            for reference in self.references(self.builder, path):
                if reference != path:
                    visit(reference)
            done[path] = None
        for path in paths:
            visit(path)
        return list(done)
