# SPDX-License-Identifier: GPL-3.0-or-later
"""tools/lint on a small tree: silent where all is well, and not where something is not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
SPDX = "/* SPDX-License-Identifier: GPL-3.0-or-later */\n"
HEADER = SPDX + "#pragma once\n\nint stone_weight(void);\n"
SOURCE = SPDX + '#include "base/stone.h"\n\nint\nstone_weight(void)\n{\n  return 7;\n}\n'


class Lint(unittest.TestCase):
    def setUp(self) -> None:
        self.top = Path(tempfile.mkdtemp(prefix="panoply-lint-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        for name in ("tools/lint", ".clang-format", ".clang-tidy"):
            (self.top / name).parent.mkdir(exist_ok=True)
            shutil.copy(TOP / name, self.top / name)
        subprocess.run(["git", "init", "--quiet", self.top], check=True)
        self.write("src/base/stone.h", HEADER)
        self.write("src/base/stone.c", SOURCE)

    def write(self, name: str, text: str) -> None:
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def lint(self, *options: str) -> tuple[int, list[str]]:
        """Exit status and findings."""
        done = subprocess.run([sys.executable, "-B", self.top / "tools/lint", *options], text=True,
                              capture_output=True, stdin=subprocess.DEVNULL,
                              env={**os.environ, "BUILD": "build"})
        self.assertEqual(done.stderr, "")
        *lines, last = done.stdout.splitlines()
        findings = [line for line in lines if not line.startswith("|")]
        self.assertEqual(last, f"lint: {len(findings)} findings")
        return done.returncode, findings

    def assert_found(self, place: str, words: str, tidy: bool = False) -> None:
        """One finding, at PLACE, with WORDS in it."""
        status, findings = self.lint(*([] if tidy else ["--no-tidy"]))
        self.assertEqual(status, 1)
        self.assertEqual(len(findings), 1, findings)
        self.assertTrue(findings[0].startswith(place + ": "), findings)
        self.assertIn(words, findings[0])

    def function(self, body: str) -> str:
        return SPDX + '#include "base/stone.h"\n\nint\nstone_weight(void)\n{\n' + body + "}\n"

    def test_good_tree(self):
        self.assertEqual(self.lint("--no-tidy"), (0, []))

    def test_arrow_that_points_up(self):
        self.write("src/http/door.h", HEADER)
        self.write("src/db/table.c", SPDX + '#include "http/door.h"\n\nstatic int unused;\n')
        self.assert_found("src/db/table.c:2", "db/ may not use http/")

    def test_arrow_that_points_down(self):
        self.write("src/http/door.c", SPDX + '#include "base/stone.h"\n\nstatic int unused;\n')
        self.assertEqual(self.lint("--no-tidy"), (0, []))

    def test_includes_that_the_arrows_could_miss(self):
        self.write("src/serve/serve.h", HEADER)
        for header in ('"../serve/serve.h"', '"./../serve/serve.h"', '"base/../serve/serve.h"',
                       "<serve/serve.h>", "<../src/serve/serve.h>", '"stone.h"', "SERVE_HEADER"):
            for directive in (f"#include {header}", f"  # include/* x */{header} // x"):
                with self.subTest(directive):
                    self.write("src/base/sand.c", f"{SPDX}/* clang-format off */\n{directive}\n")
                    self.assert_found("src/base/sand.c:3", f"{header} is neither")
        for line in ('#  include /* x */ "serve/serve.h"', '#include_next "serve/serve.h"'):
            with self.subTest(line):
                self.write("src/base/sand.c", f"{SPDX}/* clang-format off */\n{line}\n")
                self.assert_found("src/base/sand.c:3", "base/ may not use serve/")
        self.write("src/base/sand.c", SPDX + "#include <sys/types.h>\n\n/* #include <a/b.h> */\n")
        self.assertEqual(self.lint("--no-tidy"), (0, []))

    def test_declaration_in_a_template_is_an_include(self):
        self.write("src/serve/serve.h", HEADER)
        template = '{#- SPDX-License-Identifier: GPL-3.0-or-later -#}\n{#- %s(struct x *p) from "%s" -#}\n'
        self.write("src/ui/page.html", template % ("page p", "serve/serve.h"))
        self.assert_found("src/ui/page.html:2", "ui/ may not use serve/")
        self.write("src/ui/page.html", template % ("macro m", "../serve/serve.h"))
        self.assert_found("src/ui/page.html:2", "is neither")
        self.write("src/ui/page.html", template % ("page p", "base/stone.h"))
        self.assertEqual(self.lint("--no-tidy"), (0, []))

    def test_what_a_room_keeps_to_itself(self):
        self.write("src/db/db.h", SPDX + '#pragma once\n\n#include "db/value.h"\n')
        self.write("src/db/value.h", HEADER)
        for header in ("db_private.h", "inner.h"):
            with self.subTest(header):
                self.write(f"src/db/{header}", HEADER)
                self.write("src/events/feed.c", f'{SPDX}#include "db/{header}"\n')
                self.assert_found("src/events/feed.c:2", f'"db/{header}" is for db/ alone')
        self.write("src/events/feed.c", SPDX + '#include "db/db.h"\n#include "db/value.h"\n')
        self.write("src/db/value.c", SPDX + '#include "db/db_private.h"\n')
        self.write("src/events/feed_test.c", SPDX + '#include "db/db_private.h"\n')  # it may look inside
        self.assertEqual(self.lint("--no-tidy"), (0, []))
        self.write("src/events/feed.c", SPDX + '#include "db/inner.h"\n')
        self.write("tools/lint-allow", "include db/inner.h  # it is so\n")
        self.assertEqual(self.lint("--no-tidy"), (0, []))

    def test_header_that_does_not_compile_alone(self):
        self.write("src/base/sand.h", SPDX + "#pragma once\n\nsize_t sand_weight(void);\n")
        self.assert_found("src/base/sand.h", "does not compile alone")

    def test_banned_call(self):
        self.write("src/base/stone.c", self.function('  return atoi("7");\n'))
        self.assert_found("src/base/stone.c:7", "banned function atoi()")

    def test_banned_call_in_a_test(self):
        self.write("tests/stone/weigh.c", self.function('  return system("true");\n'))
        self.assert_found("tests/stone/weigh.c:7", "banned function system()")

    def test_banned_function_without_a_plain_call(self):
        for body in ("  (strcpy)(name, name);\n", "  return (system)(name);\n", "  take(strcpy);\n",
                     "  take(&strncat);\n", "  strncpy(name, name, 1);\n", "  return system (name);\n"):
            with self.subTest(body):
                self.write("src/base/stone.c", self.function(body) + "/* clang-format off */\n")
                findings = self.lint("--no-tidy")[1]
                self.assertTrue(any(f"src/base/stone.c:7: banned function {name}()" in findings
                                    for name in ("strcpy", "strncat", "strncpy", "system")), findings)

    def test_banned_function_by_its_symbol(self):
        """A variable may be named `system`, so its address tells nothing."""
        self.write("src/base/stone.c", SPDX + "#include <stdlib.h>\n\nint (*stone_run)(const char *) = system;\n"
                   "\nconst char *\nstone_system(const char *system)\n{\n  return system;\n}\n")
        self.write(".gitignore", "build\n")
        (self.top / "build/src/base").mkdir(parents=True)
        library = self.top / "build/src/base/libbase.a"
        subprocess.run(["cc", "-c", self.top / "src/base/stone.c", "-o", self.top / "build/stone.o"], check=True)
        subprocess.run(["ar", "rc", library, self.top / "build/stone.o"], check=True)
        self.assert_found("build/src/base/libbase.a", "banned function system()")

    def test_words_in_comments_and_texts_are_no_calls(self):
        self.write("src/base/stone.c",
                   self.function('  /* not atoi(x) */\n  return "system(x)"[0];\n'))
        self.assertEqual(self.lint("--no-tidy"), (0, []))

    def test_sql(self):
        self.write("src/base/stone.c", self.function('  return "SELECT id FROM stone"[0];\n'))
        self.assert_found("src/base/stone.c:7", "SQL in a C file")

    def test_sql_and_html_in_pieces(self):
        for text in ('"SELECT id " "FROM stone"', '"SELECT id /* x */"\n         "\\nFROM stone"',
                     '"DELETE " /* x */ "FROM stone"', '"SELECT %" PRId64 " FROM stone"',
                     '"<t" "d>stone</td>"'):
            with self.subTest(text):
                self.write("src/base/stone.c", self.function(f"  /* clang-format off */\n  return {text}[0];\n"))
                self.assert_found("src/base/stone.c:8", "in a C file")
        self.write("src/base/stone.c", self.function('  take("select", " ", "x from y", \'"\', "<t", "d>");\n'))
        self.assertEqual(self.lint("--no-tidy"), (0, []))

    def test_html(self):
        self.write("src/base/stone.c", self.function('  return "<td>stone</td>"[0];\n'))
        self.assert_found("src/base/stone.c:7", "HTML in a C file")

    def test_format(self):
        for name in ("src/base/stone.c", "tests/stone/weigh.c"):
            with self.subTest(name):
                self.write(name, self.function("  return  7;\n"))
                self.assert_found(f"{name}:7:9", "clang-format would change it")
                (self.top / name).unlink()
                self.write("src/base/stone.c", SOURCE)

    def test_licence(self):
        sources = {"src/base/other.c": "static int unused;\n", "tools/run": "#!/bin/sh\ntrue\n",
                   "src/base/stone.sql": "SELECT 1;\n", "src/base/page.html": "<p>\n",
                   "scheme/a.scm": "(+ 1 1)\n", "a/b.py": "pass\n", "a/b.css": "p {}\n",
                   "a/b.js": "1;\n", "a/meson.build": "project('x')\n"}
        for name, text in sources.items():
            with self.subTest(name):
                self.write(name, text)
                self.assert_found(f"{name}:1", "SPDX")
                (self.top / name).unlink()
        self.write("README.md", "Not a source.\n")
        self.assertEqual(self.lint("--no-tidy"), (0, []))

    def test_lengths(self):
        self.write("src/base/stone.c", self.function("  ;\n" * 101 + "  return 7;\n"))
        self.assert_found("src/base/stone.c", "stone_weight() has")
        self.write("src/base/stone.c", SOURCE + f"/* {'x' * 100} */\n")
        self.assertIn("src/base/stone.c:9: line of 106 columns", self.lint("--no-tidy")[1])
        self.write("src/base/stone.c", SOURCE)
        self.write("src/base/stone.h", HEADER + "/* stone */\n" * 300)
        self.assert_found("src/base/stone.h", "304 lines (at most 300)")

    def test_exceptions_have_a_list(self):
        self.write("src/base/stone.c", self.function('  return "SELECT id FROM stone"[0];\n'))
        self.write("tools/lint-allow", "sql src/base/stone.c  # speaks of it\n")
        self.assertEqual(self.lint("--no-tidy"), (0, []))

    def test_tidy(self):
        self.write("src/base/stone.c", SPDX + "int stone_weight(int stone);\n\n"
                   "int\nstone_weight(int stone)\n{\n  return stone == stone;\n}\n")
        self.write("build/compile_commands.json", json.dumps([
            {"directory": str(self.top / "build"), "file": "../src/base/stone.c",
             "arguments": ["cc", "-std=gnu17", "-I../src", "-c", "../src/base/stone.c"]}]))
        self.write(".gitignore", "build\n")
        self.assert_found("src/base/stone.c:7:16", "misc-redundant-expression", tidy=True)


if __name__ == "__main__":
    unittest.main()
