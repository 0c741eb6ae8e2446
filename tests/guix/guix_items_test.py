# SPDX-License-Identifier: GPL-3.0-or-later
"""libguixstore's nars, keys, narinfos, export streams and compression against real Guix: what
it writes Guix accepts, what Guix writes it reads, and both agree on what is wrong."""

import pathlib
import subprocess
import urllib.request

from items import nar, source_path
from support.case import Case
from support.programs import BUILD, Program
from support.roots import GUIX_ROOT
from support.waiting import free_port, wait_until

TOOL = BUILD / "tests/guix/items_tool"

# An ACL that holds one key, as `guix archive --authorize` would write it.
ACL = "(acl (entry {key} (tag (guix import))))"

IS_VALID_NARINFO = """\
(use-modules (guix narinfo) (guix pki) (gcrypt pk-crypto) (rnrs io ports))
(define (read-text file) (call-with-input-file file get-string-all))
(define narinfo (string->narinfo (read-text "/test/narinfo") "http://example.org"))
(define acl (canonical-sexp->sexp (string->canonical-sexp (read-text "/test/acl"))))
(format #t "~a ~a ~a ~a~%" (valid-narinfo? narinfo acl) (narinfo-path narinfo)
        (narinfo-size narinfo) (narinfo-references narinfo))
"""


class Failed(Exception):
    """The tool said no; `error` is the name of its errno value."""

    def __init__(self, message: str):
        super().__init__(message)
        self.error = message.split(" ", 1)[0]


def tool(*arguments: object, data: bytes = b"") -> bytes:
    done = subprocess.run([TOOL, *map(str, arguments)], input=data, capture_output=True,
                          timeout=300)
    if done.returncode != 0:
        raise Failed(done.stderr.decode())
    return done.stdout


def make_tree(folder: pathlib.Path) -> None:
    """All kinds of nodes, and names that sort differently by bytes and by locale."""
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "empty").touch()
    (folder / "b.d").mkdir()
    (folder / "B").write_text("upper case comes first\n")
    (folder / "a-b").write_bytes(bytes(range(256)) * 1000)
    (folder / "a_b").write_text("x")
    (folder / "été").write_text("not ASCII\n")
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o755)
    (folder / "dangling").symlink_to("/nowhere/at all")


class ItemsCase(Case):
    @classmethod
    def setUpClass(cls):
        assert TOOL.exists(), f"{TOOL} is missing: build it first (make)"

    def setUp(self):
        super().setUp()
        self.guix = self.machine("items")
        self.scratch = self.guix.outside("/test")
        self.scratch.mkdir()
        self.tree = self.scratch / "tree"
        make_tree(self.tree)

    def assertFails(self, error: str, *arguments, **options) -> None:
        with self.assertRaises(Failed) as caught:
            tool(*arguments, **options)
        self.assertEqual(caught.exception.error, error, str(caught.exception))

    def put(self, name: str, contents: bytes | str) -> pathlib.Path:
        file = self.scratch / name
        file.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
        return file

    def repl(self, program: str) -> str:
        self.put("program.scm", program)
        return self.guix.run("guix", "repl", "/test/program.scm").stdout

    def add_tree(self) -> str:
        """Adds the tree to the store; returns the item."""
        return self.repl('(use-modules (guix store)) (with-store store (display '
                         '(add-to-store store "tree" #t "sha256" "/test/tree")))')

    def path_info(self, item: str) -> tuple[str, int]:
        hash_and_size = self.repl(
            '(use-modules (guix store) (guix base32)) (with-store store '
            f'(let ((info (query-path-info store "{item}"))) (format #t "~a ~a" '
            '(bytevector->nix-base32-string (path-info-hash info)) '
            '(path-info-nar-size info))))').split()
        return hash_and_size[0], int(hash_and_size[1])

    def guix_keys(self) -> pathlib.Path:
        return self.guix.outside("/etc/guix/signing-key")

    def acl_of(self, key: pathlib.Path, name: str = "acl") -> pathlib.Path:
        return self.put(name, ACL.format(key=key.with_name(key.name + ".pub").read_text()))


class Nars(ItemsCase):
    def test_nars_are_those_of_guix(self):
        item = self.add_tree()
        self.assertEqual(item, source_path("tree", nar(self.tree)))
        files = self.guix.outside(item)
        expected_hash, expected_size = self.path_info(item)
        self.assertEqual(tool("measure", files).decode(), f"{expected_hash} {expected_size}\n")
        self.assertEqual(self.guix.run("guix", "hash", "-S", "nar", item).stdout.strip(),
                         expected_hash)
        self.assertEqual(tool("nar", files), nar(self.tree))

    def test_nars_of_packages_files(self):
        for folder in "/usr/share/perl5", "/etc", "/usr/bin/guix":
            files = self.guix.outside(folder)
            if not files.exists():
                continue
            with self.subTest(folder):
                expected = self.guix.run("guix", "hash", "-S", "nar", folder).stdout.strip()
                self.assertEqual(tool("measure", files).decode().split()[0], expected)

    def test_unpacked_items_are_as_guix_leaves_them(self):
        item = self.add_tree()
        tool("unpack", self.scratch / "unpacked", data=nar(self.tree))
        listing = ["find", "-printf", r"%P %y %m %T@ %s %l\n"]

        def list_files(folder: pathlib.Path) -> list[str]:
            lines = subprocess.run(listing, cwd=folder, check=True, text=True,
                                   capture_output=True).stdout.splitlines()
            # The size of a directory is the file system's business.
            return sorted(" ".join(word for i, word in enumerate(line.split(" "))
                                   if i != 4 or line.split(" ")[1] != "d") for line in lines)
        self.assertEqual(list_files(self.scratch / "unpacked"),
                         list_files(self.guix.outside(item)))


class Keys(ItemsCase):
    def test_key_pair_of_guix_is_printed_as_it_was(self):
        keys = self.guix_keys()
        expected = keys.with_suffix(".pub").read_bytes() + keys.with_suffix(".sec").read_bytes()
        self.assertEqual(tool("show-key", keys), expected)

    def test_acl_of_guix_is_extended_and_read_again(self):
        acl = self.guix.outside("/etc/guix/acl")
        before = acl.read_text()
        tool("generate", self.scratch / "ours")
        self.assertEqual(tool("authorize", acl, self.scratch / "ours"), b"1\n")
        self.assertEqual(tool("authorize", acl, self.scratch / "ours"), b"0\n")
        # The entries that were there come first, whatever white space is between them.
        entries = "".join(before.split()).removesuffix(")")
        self.assertTrue("".join(acl.read_text().split()).startswith(entries))

        # Guix adds a key to what we wrote (so it could read it), and that we read once more.
        tool("generate", self.scratch / "other")
        other = (self.scratch / "other.pub").read_text()
        self.guix.run("guix", "archive", "--authorize", given=other)
        self.assertIn(other.split("#")[1], acl.read_text())
        self.assertEqual(tool("authorize", acl, self.scratch / "other"), b"0\n")
        self.assertEqual(tool("authorize", acl, self.scratch / "ours"), b"0\n")

    def test_guix_signs_with_our_key(self):
        tool("generate", self.scratch / "ours")
        for suffix in ".pub", ".sec":
            target = self.guix_keys().with_suffix(suffix)
            target.unlink()
            target.write_bytes((self.scratch / ("ours" + suffix)).read_bytes())
            target.chmod(0o400 if suffix == ".sec" else 0o444)
        item = self.add_tree()
        self.guix.run("sh", "-c", f"guix archive --export {item} >/test/stream")
        listed = tool("list", self.acl_of(self.scratch / "ours"),
                      data=(self.scratch / "stream").read_bytes())
        self.assertTrue(listed.decode().startswith(item + " "))


class ExportStreams(ItemsCase):
    def setUp(self):
        super().setUp()
        tool("generate", self.scratch / "ours")
        self.item = source_path("tree", nar(self.tree))
        self.stream = tool("export", self.scratch / "ours", self.tree, self.item)

    def does_import(self, stream: bytes) -> bool:
        """Whether Guix imports the item from STREAM."""
        self.put("stream", stream)
        done = self.guix.run("sh", "-c", "guix archive --import </test/stream", check=False)
        self.assertEqual(self.guix.has(self.item), done.returncode == 0, done.stderr)
        return done.returncode == 0

    def authorize(self) -> None:
        tool("authorize", self.guix.outside("/etc/guix/acl"), self.scratch / "ours")
        # The daemon's helper reads the ACL when it starts.
        self.guix.stop_daemon()
        self.guix.start_daemon()

    def test_guix_imports_our_stream(self):
        self.authorize()
        self.assertTrue(self.does_import(self.stream))
        self.assertEqual(self.path_info(self.item)[1], len(nar(self.tree)))

    def test_guix_refuses_what_was_changed(self):
        self.authorize()
        place = self.stream.index(b"upper case")
        changed = self.stream[:place] + b"U" + self.stream[place + 1:]
        self.assertFalse(self.does_import(changed))
        self.assertFails("EBADMSG", "list", self.acl_of(self.scratch / "ours"), data=changed)

    def test_guix_refuses_our_stream_before_our_key_is_authorized(self):
        self.assertFalse(self.does_import(self.stream))
        self.assertFails("EKEYREJECTED", "list", self.guix.outside("/etc/guix/acl"),
                         data=self.stream)

    def test_streams_of_guix_are_read(self):
        items = self.repl(
            '(use-modules (guix store)) (with-store store (let* ('
            '(a (add-text-to-store store "a" "first"))'
            '(b (add-text-to-store store "b" a (list a)))) (format #t "~a ~a" a b)))').split()
        self.guix.run("sh", "-c", f"guix archive --export -r {items[1]} >/test/stream")
        stream = (self.scratch / "stream").read_bytes()
        acl = self.acl_of(self.guix_keys())
        lines = tool("list", acl, data=stream).decode().splitlines()
        expected = [f"{item} {' '.join(map(str, self.path_info(item)))}" for item in items]
        expected[1] += " " + items[0]
        self.assertEqual(lines, expected)
        self.assertFails("EPIPE", "list", acl, data=stream[:-1])
        self.assertFails("EKEYREJECTED", "list", self.acl_of(self.scratch / "ours", "other-acl"),
                         data=stream)


class Narinfos(ItemsCase):
    def check_in_guix(self, narinfo: str, acl_key: pathlib.Path) -> list[str]:
        self.put("narinfo", narinfo)
        self.acl_of(acl_key)
        return self.repl(IS_VALID_NARINFO).split(maxsplit=3)

    def test_guix_accepts_ours(self):
        tool("generate", self.scratch / "ours")
        tool("generate", self.scratch / "other")
        item = self.add_tree()
        narinfo = tool("narinfo", self.scratch / "ours", self.guix.outside(item), item,
                       "nar/x").decode()
        size = self.path_info(item)[1]
        basename = item.rsplit("/", 1)[1]
        self.assertEqual(self.check_in_guix(narinfo, self.scratch / "ours"),
                         ["#t", item, str(size), f"({basename})\n"])
        self.assertEqual(self.check_in_guix(narinfo, self.scratch / "other")[0], "#f")
        changed = narinfo.replace(f"NarSize: {size}", f"NarSize: {size + 1}")
        self.assertEqual(self.check_in_guix(changed, self.scratch / "ours")[0], "#f")

    def publish(self, *options: str) -> str:
        """Starts guix publish; returns its URL."""
        port = free_port()
        publish = Program("guix publish",
                          [GUIX_ROOT, "run", self.guix.folder, "guix", "publish",
                           f"--port={port}", *options], self.guix.folder / "publish.log")
        self.watch(publish.name, publish.log)
        publish.start()
        self.addCleanup(publish.stop)
        url = f"http://127.0.0.1:{port}/"

        def answers() -> bool:
            try:
                return self.fetch(url + "nix-cache-info") != b""
            except OSError as error:
                raise AssertionError(error) from error
        wait_until(answers, 30, "guix publish answers")
        return url

    def fetch(self, url: str) -> bytes:
        with urllib.request.urlopen(url, timeout=60) as reply:
            return reply.read()

    def test_those_of_guix_publish_verify(self):
        item = self.add_tree()
        url = self.publish("-C", "gzip", "-C", "lzip")
        text = self.fetch(url + item.rsplit("/", 1)[1][:32] + ".narinfo")
        narinfo = self.put("narinfo", text)
        acl = self.acl_of(self.guix_keys())
        tool("verify-narinfo", acl, narinfo)
        self.assertFails("EKEYREJECTED", "verify-narinfo", self.guix.outside("/etc/guix/acl"),
                         narinfo)
        self.put("narinfo", text.replace(b"NarSize: ", b"NarSize: 1"))
        self.assertFails("EBADMSG", "verify-narinfo", acl, narinfo)
        # And its nars are what we take them for.
        for format in "gzip", "lzip":
            packed = self.fetch(f"{url}nar/{format}/{item.rsplit('/', 1)[1]}")
            self.assertEqual(tool("decompress", format, data=packed), nar(self.tree))
            self.assertFails("EBADMSG", "decompress", format, data=packed[:-1])


class Compression(Case):
    PROGRAMS = {"gzip": "gzip", "lzip": "lzip", "zstd": "zstd"}

    def test_other_programs_agree(self):
        data = bytes(range(256)) * 4000 + b"hello" * 10000
        for format, program in self.PROGRAMS.items():
            with self.subTest(format):
                if subprocess.run(["which", program], capture_output=True).returncode != 0:
                    continue  # not installed here; the others still tell something
                packed = tool("compress", format, data=data)
                again = subprocess.run([program, "-dc"], input=packed, capture_output=True,
                                       check=True).stdout
                self.assertEqual(again, data)
                theirs = subprocess.run([program, "-c"], input=data, capture_output=True,
                                        check=True).stdout
                self.assertEqual(tool("decompress", format, data=theirs + theirs), data + data)
