# SPDX-License-Identifier: GPL-3.0-or-later
"""libguixstore as other programs meet it: installed, found by pkg-config, with its manual."""

import json
import os
import pathlib
import re
import subprocess

from support.case import Case
from support.programs import BUILD, TOP

MANUAL = TOP / "doc/man/guixstore.3"
PROGRAM = r"""
#include <guix/guix.h>
#include <stdio.h>

int
main(void)
{
  struct arena arena = { 0 };
  struct str path = guix_path_of_text(&arena, STR("greeting.txt"), STR("hello world\n"), NULL, 0);
  printf("%.*s\n", STR_FMT(path));
  arena_free(&arena);
  return 0;
}
"""


def output_of(*command: object, **environment: str) -> str:
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True,
                          env={**os.environ, **environment})
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


class InstallTest(Case):
    def setUp(self):
        super().setUp()
        self.root = self.folder("install")
        output_of("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", self.root)
        self.file = {path.name: path for path in self.root.rglob("*") if not path.is_dir()}
        self.pkg_config_path = str(self.file["guixstore.pc"].parent)

    def test_uninstall(self):
        count = sum(not path.is_dir() for path in self.root.rglob("*"))
        self.assertTrue(count)
        said = [output_of("make", "--no-print-directory", "-C", TOP, f"BUILD={BUILD}", "uninstall")
                for _ in range(2)]
        self.assertEqual(said, [f"make uninstall: {count} files removed\n",
                                f"make uninstall: nothing is installed from {BUILD}\n"])
        self.assertEqual(list(self.root.iterdir()), [])

    def flags(self, *options: str) -> list[str]:
        return output_of("pkg-config", *options, "guixstore",
                         PKG_CONFIG_PATH=self.pkg_config_path,
                         PKG_CONFIG_SYSROOT_DIR=str(self.root)).split()

    def compile(self, text: str, *options: str) -> pathlib.Path:
        source, program = self.root / "program.c", self.root / "program"
        source.write_text(text)
        output_of("cc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", source, "-o", program,
                  *self.sanitizers(), *self.flags("--cflags"), *options)
        return program

    def sanitizers(self) -> list[str]:
        """What the library itself was built with, so that a program can load it."""
        options = json.loads(output_of("meson", "introspect", "--buildoptions", BUILD))
        value = next(option["value"] for option in options if option["name"] == "b_sanitize")
        return [] if value == "none" else [f"-fsanitize={value}"]

    def test_a_program_compiles_links_and_runs(self):
        program = self.compile(PROGRAM, *self.flags("--libs"))
        folder = self.file["libguixstore.so.0"].parent
        self.assertEqual(output_of(program, LD_LIBRARY_PATH=str(folder)),
                         "/gnu/store/10n1r190irl4q1illc7d5q04wks8gvgx-greeting.txt\n")

    def test_every_header_compiles_alone(self):
        headers = list(self.root.rglob("*.h"))
        self.assertGreaterEqual(len(headers), 15)
        include = next(self.root.rglob("panoply/guix")).parent
        for header in headers:
            self.compile(f"#include <{header.relative_to(include)}>\n", "-fsyntax-only")

    def test_only_its_own_names_are_shown(self):
        names = re.findall(r" [TDBR] (\w+)",
                           output_of("nm", "-D", "--defined-only", self.file["libguixstore.so.0"]))
        self.assertIn("guix_daemon_open", names)
        strangers = [name for name in names
                     if not name.startswith(("guix_", "arena_", "buf_", "error_", "str_"))]
        self.assertEqual(strangers, [])

    def test_the_manual_is_well_formed_and_its_example_compiles(self):
        self.assertEqual(output_of("mandoc", "-T", "lint", self.file["guixstore.3"]), "")
        manual = MANUAL.read_text()
        example = re.search(r"^\.Bd -literal.*?\n(.*?)^\.Ed", manual, re.S | re.M)[1]
        self.compile(example.replace("\\e", "\\"), *self.flags("--libs"))
        headers = "".join(path.read_text() for path in self.root.rglob("*.h"))
        for name in re.findall(r"^\.F[no] (\w+)", manual, re.M):
            if not name.startswith("_"):
                self.assertIn(name, headers)
