# SPDX-License-Identifier: GPL-3.0-or-later
"""Files put into the program come out of it byte for byte."""

from __future__ import annotations

import json
import subprocess
import unittest

from support import TOP, GeneratorTest

WRITE_ASSETS = """#include "ui/assets.h"
#include <stdio.h>
int
main(void)
{
  for (size_t i = 0; i < ui_assets_count; i++) {
    printf("%s %s %s %zu\\n", ui_assets[i].path, ui_assets[i].type, ui_assets[i].etag, ui_assets[i].bytes.size);
    fwrite(ui_assets[i].bytes.data, 1, ui_assets[i].bytes.size, stdout);
  }
  return 0;
}
"""

WRITE_MIGRATIONS = """#include "db/migrate.h"
#include <stdio.h>
int
main(void)
{
  for (size_t i = 0; i < db_migrations_count; i++)
    printf("%d %s\\n%s", db_migrations[i].number, db_migrations[i].name, db_migrations[i].text);
  return 0;
}
"""

WRITE_JSON = """#include <stdio.h>
extern const char some_thing[];
int
main(void)
{
  fputs(some_thing, stdout);
  return 0;
}
"""


class TestEmbed(GeneratorTest):
    def embed(self, kind: str, *files: str) -> subprocess.CompletedProcess[str]:
        return self.run_program([*self.generator("embed.py"), kind, "table.c", *files])

    def run_table(self, program: str) -> bytes:
        self.write("main.c", program)
        compiled = self.compile("main.c", "table.c", "-o", "main")
        self.assertEqual(compiled.returncode, 0, compiled.stderr)
        return subprocess.run([str(self.folder / "main")], capture_output=True, check=True).stdout

    def test_assets(self) -> None:
        every_byte = bytes(range(256)) * 3
        (self.folder / "b.png").write_bytes(every_byte)
        (self.folder / "a.css").write_bytes(b"p { color: red }\n")
        self.assertEqual(self.embed("assets", "b.png", "a.css").returncode, 0)
        digest = subprocess.run(["sha256sum", "a.css", "b.png"], cwd=self.folder, capture_output=True, text=True,
                                check=True).stdout.split()
        self.assertEqual(self.run_table(WRITE_ASSETS),
                         f'a.css text/css; charset=utf-8 "{digest[0]}" 17\np {{ color: red }}\n'
                         f'b.png image/png "{digest[2]}" 768\n'.encode() + every_byte)

    def test_json(self) -> None:
        value = {"text": "a\\b\"c??/é\u2028\n", "list": [1, None, True] * 100}
        self.write("some-thing.json", json.dumps(value, indent=4))
        self.assertEqual(self.embed("json", "some-thing.json").returncode, 0)
        self.assertEqual(json.loads(self.run_table(WRITE_JSON)), value)

    def test_json_that_is_none(self) -> None:
        self.write("some-thing.json", '{"a": 1,}')
        done = self.embed("json", "some-thing.json")
        self.assertEqual(done.returncode, 1)
        self.assertIn("some-thing.json: ", done.stderr)

    def test_asset_without_media_type(self) -> None:
        self.write("a.exe", "x")
        done = self.embed("assets", "a.exe")
        self.assertEqual(done.returncode, 1)
        self.assertIn("a.exe: no media type", done.stderr)

    def test_migrations(self) -> None:
        text = 'SELECT \'a\\b"c??/é\';\n\n-- end\n'
        self.write("020-second.migration.sql", text)
        self.write("010-first.migration.sql", "SELECT 1;\n")
        done = self.embed("migrations", "020-second.migration.sql", "010-first.migration.sql")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.run_table(WRITE_MIGRATIONS).decode(),
                         f"10 010-first\nSELECT 1;\n20 020-second\n{text}")

    def test_migrations_with_one_number(self) -> None:
        self.write("010-a.migration.sql", "")
        self.write("010-b.migration.sql", "")
        done = self.embed("migrations", "010-a.migration.sql", "010-b.migration.sql")
        self.assertEqual(done.returncode, 1)
        self.assertIn("number 10 is used twice", done.stderr)

    def test_every_migration_is_listed(self) -> None:
        listed = (TOP / "src" / "meson.build").read_text(encoding="utf-8")
        for path in (TOP / "src").glob("*/*.migration.sql"):
            self.assertIn(f"'{path.parent.name}/{path.name}'", listed)


if __name__ == "__main__":
    unittest.main(verbosity=2)
