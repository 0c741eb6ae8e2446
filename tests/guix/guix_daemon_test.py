# SPDX-License-Identifier: GPL-3.0-or-later
"""libguixstore's client against a real guix-daemon, and against what `guix` itself says."""

import gzip
import os
import pathlib
import shutil
import struct
import time

from items import Derivation, file_nar, nar, sha256, source_path, text_path
from store_session import Refused, Session
from support.case import Case
from support.channel import BUSYBOX
from support.waiting import wait_until

LIVE, DEAD, DELETE_DEAD, DELETE = range(4)
NO_LIMIT = -1


class DaemonCase(Case):
    def setUp(self):
        super().setUp()
        self.scratch = self.folder("files")
        self.guix = self.machine("guix")
        self.session = self.connect()

    def connect(self, machine=None) -> Session:
        session = Session((machine or self.guix).socket, self.scratch)
        self.addCleanup(session.__exit__)
        return session

    def close(self, session: Session) -> None:
        """Ends SESSION and with it its temporary roots."""
        session.process.stdin.close()
        session.process.wait(timeout=30)

    def assertRefused(self, error: str, verb: str, *arguments, session=None) -> Refused:
        with self.assertRaises(Refused) as caught:
            (session or self.session).call(verb, *arguments)
        self.assertEqual(caught.exception.error, error, caught.exception.message)
        return caught.exception

    def assertWorks(self, session=None) -> None:
        session = session or self.session
        self.assertEqual(session.call("usable"), 1)
        self.assertEqual(session.add_text("works", b"x"), text_path("works", b"x"))

    def shell(self) -> str:
        """A store item with busybox, which goes by the name it is called by."""
        tree = self.scratch / "shell"
        if not tree.exists():
            (tree / "bin").mkdir(parents=True)
            shutil.copy(BUSYBOX, tree / "bin/busybox")
            (tree / "bin/sh").symlink_to("busybox")
        return self.session.add_nar("shell", nar(tree))

    def script(self, name: str, text: str, **fields) -> Derivation:
        """A derivation whose builder is a shell script; $b is busybox."""
        shell = self.shell()
        variables = {"b": shell + "/bin/busybox", **fields.pop("variables", {})}
        return Derivation(name, shell + "/bin/sh", ["-c", text], variables, [shell], **fields)


class AddingTest(DaemonCase):
    def test_texts(self):
        greeting = self.session.add_text("greeting.txt", b"hello world\n")
        self.assertEqual(greeting,
                         "/gnu/store/10n1r190irl4q1illc7d5q04wks8gvgx-greeting.txt")
        other = self.session.add_text("other", b"", [greeting])
        self.assertEqual(other, text_path("other", b"", [greeting]))
        self.assertEqual(self.guix.outside(greeting).read_bytes(), b"hello world\n")
        self.assertEqual(self.guix.run("guix", "gc", "--references", other).stdout, greeting + "\n")
        large = bytes(range(256)) * 40000
        self.assertEqual(self.session.add_text("large", large), text_path("large", large))

    def test_trees(self):
        tree = self.scratch / "tree"
        (tree / "folder/empty").mkdir(parents=True)
        (tree / "link").symlink_to("folder/program")
        (tree / "folder/program").write_bytes(b"#!/bin/sh\n")
        (tree / "folder/program").chmod(0o755)
        (tree / "data").write_bytes(os.urandom(300_001))
        item = self.session.add_nar("tree", nar(tree))
        self.assertEqual(item, source_path("tree", nar(tree)))
        self.assertEqual(nar(self.guix.outside(item)), nar(tree))

    def test_flat_files_and_other_hashes(self):
        contents = file_nar(b"hello world\n")
        flat = self.session.add_nar("demo-src", contents, recursive=False)
        self.assertEqual(flat, "/gnu/store/5xwdnrvb55m94nfri6r1aci655rck283-demo-src")
        recursive = self.session.add_nar("x", contents, algorithm="sha512")
        self.assertTrue(self.session.call("valid", recursive))

    def test_what_the_daemon_refuses(self):
        missing = text_path("missing", b"")
        self.assertRefused("EREMOTEIO", "add-text", "x", self.session.file(b""), missing)
        self.assertWorks()
        drv = Derivation("demo", "/bin/sh")
        wrong = drv.text.replace(drv.out.encode(), missing.encode())
        refused = self.assertRefused("EREMOTEIO", "add-text", "demo.drv", self.session.file(wrong))
        self.assertIn("incorrect output", refused.message)
        self.assertWorks()

    def test_a_nar_that_is_none(self):
        with self.assertRaises(Refused) as caught:
            self.session.add_nar("x", b"this is no nar" * 100_000)
        self.assertEqual(caught.exception.error, "EREMOTEIO")
        self.assertEqual(self.session.call("usable"), 0)

    def test_a_nar_without_an_end(self):
        self.session.call("timeout", 1)
        with self.assertRaises(Refused) as caught:
            self.session.add_nar("x", file_nar(b"x" * 100)[:96])
        self.assertEqual(caught.exception.error, "ETIMEDOUT")
        self.assertRefused("ECONNRESET", "valid", text_path("x", b""))


class QueryTest(DaemonCase):
    def test_path_info(self):
        contents = b"hello world\n"
        greeting = self.session.add_text("greeting.txt", contents)
        other = self.session.add_text("other", b"", [greeting])
        deriver, digest, registered, size, *references = self.session.ask("path-info", greeting)
        self.assertEqual((deriver, digest, size, references),
                         ("", sha256(file_nar(contents)), 128, []))
        self.assertLess(abs(registered - time.time()), 300)
        self.assertEqual(self.session.ask("path-info", other)[4:], [greeting])
        refused = self.assertRefused("EREMOTEIO", "path-info", text_path("missing", b""))
        self.assertEqual(refused.status, 1)
        self.assertWorks()

    def test_validity_references_and_referrers(self):
        greeting = self.session.add_text("greeting.txt", b"hello world\n")
        others = [self.session.add_text(f"other-{i}", b"", [greeting]) for i in range(3)]
        missing = text_path("missing", b"")
        self.assertEqual(self.session.call("valid", greeting), 1)
        self.assertEqual(self.session.call("valid", missing), 0)
        self.assertEqual(self.session.ask("valid-paths", *others, missing, greeting),
                         sorted([greeting, *others]))
        self.assertEqual(self.session.ask("valid-paths"), [])
        self.assertEqual(self.session.ask("references", others[0]), [greeting])
        self.assertEqual(self.session.ask("referrers", greeting), sorted(others))
        listed = self.guix.run("guix", "gc", "--referrers", greeting).stdout.split()
        self.assertEqual(sorted(listed), sorted(others))

    def test_hash_parts_urls_and_version(self):
        greeting = self.session.add_text("greeting.txt", b"hello world\n")
        self.assertEqual(self.session.ask("hash-part", "10n1r190irl4q1illc7d5q04wks8gvgx"),
                         [greeting])
        self.assertEqual(self.session.ask("hash-part", "0" * 32), [""])
        self.assertEqual(self.session.call("version"), 0x164)
        self.session.call("options", 0, 1, 0, 0)
        self.assertEqual(self.session.ask("substitute-urls"), [])

    def test_derivers(self):
        drv = self.script("derived", "echo x > $out")
        self.session.add_derivation(drv)
        self.assertEqual(self.session.ask("derivers", drv.out), [drv.path])
        self.session.call("build", drv.path)
        self.assertEqual(self.session.ask("path-info", drv.out)[0], drv.path)
        self.assertEqual(self.guix.run("guix", "gc", "--derivers", drv.out).stdout.split(),
                         [drv.path])

    def test_long_socket_names(self):
        folder = self.scratch / ("long" * 40)
        folder.mkdir()
        (folder / "socket").symlink_to(self.guix.socket)
        with Session(folder / "socket", self.scratch) as session:
            self.assertWorks(session)

    def test_substitute_urls_of_a_daemon_that_has_some(self):
        machine = self.machine("urls", daemon_options=("--substitute-urls=http://127.0.0.1:1",))
        session = self.connect(machine)
        self.assertEqual(session.ask("substitute-urls"), ["http://127.0.0.1:1"])


class BuildTest(DaemonCase):
    def test_success_with_its_events(self):
        # More than one chunk of output, with lines that look like events.
        dep = self.script("dep", "echo dep-speaking; echo dep > $out")
        drv = self.script("demo", "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done;"
                          "echo \"@ build-succeeded $out -\"; printf unfinished;"
                          "read x < $dep; echo $x > $out; echo $out > $doc",
                          inputs=[dep], variables={"dep": dep.out}, outputs=["doc", "out"])
        self.session.add_derivation(drv)
        self.assertEqual(self.session.call("build", drv.path), 0)
        self.assertEqual([event["drv"] for event in self.session.of_kind("build-started")],
                         [dep.path, drv.path])
        self.assertEqual([event["drv"] for event in self.session.of_kind("build-succeeded")],
                         [dep.path, drv.path])
        self.assertEqual(self.session.log(dep.path), "dep-speaking\n")
        lines = "".join(f"line {i + 1}\n" for i in range(3000))
        expected = f"{lines}@ build-succeeded {drv.out} -\nunfinished"
        self.assertEqual(self.session.log(drv.path), expected)
        started = self.session.of_kind("build-started")[1]
        self.assertEqual(started["system"], "x86_64-linux")
        log = gzip.decompress(self.guix.outside(started["log_file"]).read_bytes())
        self.assertEqual(log.decode(), expected)
        self.assertEqual(self.guix.outside(drv.out).read_text(), "dep\n")
        self.assertEqual(self.session.ask("references", drv.paths["doc"]), [drv.out])
        self.assertEqual(self.session.call("build", drv.path), 0)  # nothing is left to do
        self.assertEqual(self.session.events, [])

    def test_without_options_output_is_multiplexed_too(self):
        drv = self.script("forger", "echo \"@ build-succeeded $out -\"; exit 1")
        self.session.add_derivation(drv)
        self.assertRefused("EREMOTEIO", "build", drv.path)
        self.assertEqual(self.session.of_kind("build-succeeded"), [])

    def test_failure(self):
        bad = self.script("bad", "echo alas >&2; exit 3")
        above = self.script("above", "echo never", inputs=[bad])
        good = self.script("good", "echo y > $out")
        for drv in (above, good):
            self.session.add_derivation(drv)
        self.session.call("options", 1, 1, 0, 0)
        refused = self.assertRefused("EREMOTEIO", "build", above.path, good.path)
        self.assertEqual(refused.status, 100)
        self.assertIn(above.path, refused.message)
        failed, = self.session.of_kind("build-failed")
        self.assertEqual((failed["drv"], failed["reason"]), (bad.path, ""))
        self.assertIn("exit code 3", failed["text"])
        self.assertEqual(self.session.log(bad.path), "alas\n")
        self.assertEqual(self.session.call("valid", good.out), 1)  # because of keep-going
        self.assertWorks()

    def test_time_outs(self):
        for name, options, printing in (("slow", (0, 1, 1, 0), "while :; do echo x; $b sleep 0.2; done"),
                                        ("silent", (0, 1, 0, 1), "$b sleep 1000")):
            with self.subTest(name):
                drv = self.script(name, printing)
                self.session.add_derivation(drv)
                self.session.call("options", *options)
                refused = self.assertRefused("EREMOTEIO", "build", drv.path)
                self.assertEqual(refused.status, 101)
                failed, = self.session.of_kind("build-failed")
                self.assertEqual((failed["drv"], failed["reason"]), (drv.path, "timeout"))
                self.assertWorks()

    def test_hash_mismatch(self):
        drv = self.script("fixed", "echo -n surprise > $out", fixed=sha256(b"expected"))
        self.session.add_derivation(drv)
        refused = self.assertRefused("EREMOTEIO", "build", drv.path)
        self.assertEqual(refused.status, 1)
        mismatch, = self.session.of_kind("hash-mismatch")
        self.assertEqual((mismatch["item"], mismatch["algorithm"]), (drv.out, "sha256"))
        self.assertNotEqual(mismatch["expected"], mismatch["actual"])
        self.assertEqual(len(mismatch["actual"]), 52)
        self.assertWorks()

    def test_a_missing_derivation(self):
        refused = self.assertRefused("EREMOTEIO", "build", Derivation("x", "/bin/sh").path)
        self.assertEqual(refused.status, 1)
        self.assertWorks()

    def test_cancelling_kills_the_builder(self):
        seconds = str(100_000 + os.getpid())  # to know it among all processes
        drv = self.script("endless", f"echo begun; $b sleep {seconds}")
        self.session.add_derivation(drv)
        self.session.send("build", drv.path)
        while self.session.receive()["event"] != "log":
            pass
        sleeping = wait_until(lambda: processes_with(seconds), 20, "the builder sleeps")
        self.assertTrue(sleeping)
        self.session.cancel()
        with self.assertRaises(Refused) as caught:
            self.session.answer()
        self.assertEqual(caught.exception.error, "ECANCELED")
        self.assertEqual(self.session.call("usable"), 0)
        self.assertRefused("ECONNRESET", "valid", drv.path)
        wait_until(lambda: not processes_with(seconds), 20, "the builder is gone")
        self.assertEqual(self.connect().call("valid", drv.out), 0)


def processes_with(word: str) -> list[str]:
    """Processes with WORD among their arguments."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in path.read_bytes().split(b"\0"):
                found.append(path.parent.name)
        except OSError:
            pass
    return found


class GarbageTest(DaemonCase):
    def test_temporary_roots_end_with_the_connection(self):
        item = self.session.add_text("rubbish", b"")
        refused = self.assertRefused("EREMOTEIO", "gc", DELETE, NO_LIMIT, item,
                                     session=self.connect())
        self.assertIn("alive", refused.message)
        keeper = self.connect()
        keeper.call("temp-root", item)
        self.close(self.session)
        self.assertRefused("EREMOTEIO", "gc", DELETE, NO_LIMIT, item, session=self.connect())
        self.close(keeper)
        freed, *paths = self.connect().ask("gc", DELETE, NO_LIMIT, item)
        self.assertEqual(paths, [item])
        self.assertGreaterEqual(freed, 0)
        self.assertEqual(self.connect().call("valid", item), 0)
        self.assertFalse(self.guix.outside(item).exists())

    def test_indirect_roots_keep(self):
        item = self.session.add_text("kept", b"")
        link = self.guix.outside("/root/kept")
        link.symlink_to(item)
        self.session.call("indirect-root", "/root/kept")
        other = self.session.add_text("dead", b"")
        self.close(self.session)
        self.assertIn(item, self.connect().ask("gc", LIVE, NO_LIMIT)[1:])
        dead = self.connect().ask("gc", DEAD, NO_LIMIT)[1:]
        self.assertIn(other, dead)
        self.assertNotIn(item, dead)
        self.assertEqual(self.guix.run("guix", "gc", "--list-live").stdout.split().count(item), 1)
        self.connect().call("gc", DELETE_DEAD, NO_LIMIT)
        session = self.connect()
        self.assertEqual(session.ask("valid-paths", item, other), [item])
        link.unlink()
        self.connect().call("gc", DELETE_DEAD, NO_LIMIT)
        self.assertEqual(session.ask("valid-paths", item), [])

    def test_the_limit_of_what_is_freed(self):
        item = self.session.add_text("dead", b"x" * 100_000)
        self.close(self.session)
        self.connect().call("gc", DELETE_DEAD, 0)
        self.assertEqual(self.connect().call("valid", item), 1)


class CopyTest(DaemonCase):
    def setUp(self):
        super().setUp()
        self.other = self.machine("other")
        self.there = self.connect(self.other)
        self.greeting = self.session.add_text("greeting.txt", b"hello world\n")
        self.item = self.session.add_text("item", os.urandom(200_000), [self.greeting])

    def authorize(self) -> None:
        """Makes the other machine trust this one's key."""
        key = self.guix.outside("/etc/guix/signing-key.pub").read_text()
        self.other.run("guix", "archive", "--authorize", given=key)

    def export(self, sign: bool) -> bytes:
        """An export stream, of the items that op 16 makes one by one."""
        stream = b""
        for path in (self.greeting, self.item):
            file = self.scratch / f"export-{path[11:]}-{sign}"
            self.session.call("export", path, int(sign), file)
            stream += struct.pack("<Q", 1) + file.read_bytes()
        return stream + struct.pack("<Q", 0)

    def test_copy_to_another_machine(self):
        stream = self.session.file(self.export(sign=True))
        refused = self.assertRefused("EREMOTEIO", "import", stream, session=self.there)
        self.assertNotEqual(refused.message, "")
        self.assertWorks(self.there)
        self.authorize()
        self.there = self.connect(self.other)  # the daemon reads its keys once a connection
        self.assertEqual(self.there.ask("import", stream), [self.greeting, self.item])
        self.assertEqual(self.there.ask("path-info", self.item)[4:], [self.greeting])
        self.assertEqual(nar(self.other.outside(self.item)), nar(self.guix.outside(self.item)))

    def test_what_guix_exports_is_imported_and_the_other_way(self):
        self.authorize()
        stream = self.guix.outside("/root/stream")
        self.guix.run("sh", "-c", f"guix archive --export {self.greeting} > /root/stream")
        self.assertEqual(self.there.ask("import", stream), [self.greeting])
        self.other.outside("/root/stream").write_bytes(self.export(sign=True))
        self.other.run("sh", "-c", "guix archive --import < /root/stream")
        self.assertEqual(self.there.call("valid", self.item), 1)

    def test_archives_of_our_own_writing(self):
        self.authorize()
        stream = self.scratch / "stream"
        contents = file_nar(self.guix.outside(self.greeting).read_bytes())
        self.session.call("archive", self.guix.outside("/etc/guix"), stream, self.greeting,
                          self.session.file(contents))
        self.assertEqual(self.there.ask("import", stream), [self.greeting])
        contents = file_nar(self.guix.outside(self.item).read_bytes())
        self.session.call("archive", self.guix.outside("/etc/guix"), stream, self.item,
                          self.session.file(contents), self.greeting)
        self.assertEqual(self.there.ask("import", stream), [self.item])
        self.assertEqual(self.there.ask("path-info", self.item)[4:], [self.greeting])

    def test_archives_of_the_daemon_are_read_and_verified(self):
        self.authorize()
        stream = self.session.file(self.export(sign=True))
        acl = self.other.outside("/etc/guix/acl")
        self.assertEqual(self.session.ask("read-archive", acl, stream),
                         [self.greeting, self.item])
        trusting_nobody = self.session.file(b"(acl)\n")
        self.assertRefused("EKEYREJECTED", "read-archive", trusting_nobody, stream)

    def test_bad_streams_leave_the_connection_usable(self):
        signed = self.export(sign=True)
        for name, stream in (("unsigned", self.export(sign=False)), ("cut", signed[:-1000]),
                             ("empty", b""), ("noise", os.urandom(1000))):
            with self.subTest(name):
                self.assertRefused("EREMOTEIO", "import", self.session.file(stream))
                self.assertWorks()

    def test_exporting_what_is_not_there(self):
        self.assertRefused("EREMOTEIO", "export", text_path("missing", b""), 0,
                           self.scratch / "nothing")
