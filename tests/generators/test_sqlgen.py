# SPDX-License-Identifier: GPL-3.0-or-later
"""What sqlgen refuses, where it says so, and what it makes of odd texts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

from support import TOP, GeneratorTest

sys.path.insert(0, str(TOP / "tools" / "sqlgen"))

from scratch import Scratch  # noqa: E402 (the path comes first)

SCHEMA = """-- A table.
CREATE TABLE thing (
  id   bigint PRIMARY KEY,
  name text NOT NULL,
  note text,
  data jsonb
);
CREATE TABLE part (thing_id bigint NOT NULL REFERENCES thing, amount numeric NOT NULL);
"""


def make_folder() -> Path:
    """Which the account `postgres` can enter."""
    folder = Path(tempfile.mkdtemp(prefix="panoply-scratch-", dir="/tmp"))
    folder.chmod(0o711)
    return folder


class SqlgenTest(GeneratorTest):
    """The scratch server lies in `self.scratch`; one for all, unless a test is about it."""

    scratch: Path

    @classmethod
    def setUpClass(cls) -> None:
        cls.scratch = make_folder()
        cls.addClassCleanup(shutil.rmtree, cls.scratch)

    def setUp(self) -> None:
        super().setUp()
        self.write("010-things.migration.sql", SCHEMA)
        os.environ["TMPDIR"] = str(self.scratch)

    def command(self, *files: str) -> list[object]:
        return [*self.generator("sqlgen"), "--build-folder", self.scratch,
                "--migrations", *sorted(file.name for file in self.folder.glob("*.migration.sql")),
                "--source", self.folder / "room_sql.c", "--header", self.folder / "room_sql.h",
                "--statements", *files]

    def generate(self, text: str, name: str = "thing.sql") -> subprocess.CompletedProcess[str]:
        self.write(name, text)
        return self.run_program(self.command(name))

    def make(self, text: str) -> str:
        """Generates and compiles; returns the header and the source."""
        done = self.generate(text)
        self.assertEqual(done.returncode, 0, done.stderr)
        compiled = self.compile("room_sql.c", "-c", "-o", "room_sql.o")
        self.assertEqual(compiled.returncode, 0, compiled.stderr)
        return self.read("room_sql.h") + self.read("room_sql.c")

    def assert_no_server(self) -> None:
        pids = list(self.scratch.glob("panoply-sqlgen-*/data/postmaster.pid"))
        self.assertEqual(pids, [], "the scratch server still runs")


class TestRefusals(SqlgenTest):
    def refuse(self, text: str, place: str, *words: str) -> None:
        self.assert_refused(self.generate(text), place, *words)
        self.assertFalse((self.folder / "room_sql.c").exists())
        self.assert_no_server()

    def test_wrong_column(self) -> None:
        self.refuse("-- name: a :one\n-- About it.\nSELECT id,\n  nmae\nFROM thing WHERE id = :id;\n",
                    "thing.sql:4", 'a: column "nmae" does not exist')

    def test_wrong_table(self) -> None:
        self.refuse("\n-- name: a :one\nSELECT id\nFROM thng;\n", "thing.sql:4", 'relation "thng" does not exist')

    def test_parameter_without_type(self) -> None:
        self.refuse("-- name: a :one\nSELECT name FROM thing\nWHERE id = :id AND :what IS NULL;\n",
                    "thing.sql:3", "could not determine data type of parameter :what")

    def test_all_wrong_statements_are_told_at_once(self) -> None:
        done = self.generate("-- name: a :one\nSELECT x FROM thing;\n-- name: b :one\nSELECT y FROM thing;\n")
        self.assert_refused(done, "thing.sql:2", 'column "x"')
        self.assert_refused(done, "thing.sql:4", 'column "y"')

    def test_syntax(self) -> None:
        self.refuse("-- name: a :one\nSELECT id\nFORM thing;\n", "thing.sql:3", "syntax error")

    def test_type_without_c_form(self) -> None:
        self.refuse("-- name: a :many\nSELECT thing_id,\n  amount\nFROM part;\n", "thing.sql:3",
                    "column amount has type numeric")
        self.refuse("-- name: a :many\nSELECT\n  amount\nFROM part WHERE amount > 1;\n", "thing.sql:1",
                    "column amount has type numeric")
        self.refuse("-- name: a :exec\nDELETE FROM part\nWHERE thing_id = :id\n  AND amount = :most;\n",
                    "thing.sql:4", "parameter :most has type numeric")

    def test_parameter_without_a_name(self) -> None:
        self.refuse("-- name: a :one\nSELECT id FROM thing\nWHERE id = $1;\n", "thing.sql:3", "a: $1 has no name")
        self.refuse("-- name: a :one\nSELECT id FROM thing\nWHERE id = :id AND name = $1;\n", "thing.sql:3", "$1")

    def test_bytes_that_are_no_text(self) -> None:
        self.write("thing.sql", "")
        for content, message in ((b"\xe9", "not UTF-8"), (b"\0", "NUL")):
            text = b"-- name: a :one\nSELECT id,\n  '" + content + b"' AS x FROM thing;\n"
            (self.folder / "thing.sql").write_bytes(text)
            self.assert_refused(self.run_program(self.command("thing.sql")), "thing.sql:3", message)
        (self.folder / "020-more.migration.sql").write_bytes(b"-- More.\n-- \xff\n")
        self.refuse("-- name: a :one\nSELECT 1 AS one;\n", "020-more.migration.sql:2", "not UTF-8")

    def test_statement_without_end(self) -> None:
        self.refuse("-- name: a :one\nSELECT 1 AS one\n-- name: b :one\nSELECT 2 AS two;\n", "thing.sql:1",
                    "without ';'")
        self.refuse("-- name: a :one\nSELECT 'x;\n", "thing.sql:2", "unterminated")

    def test_statement_without_name(self) -> None:
        self.refuse("-- nme: a :one\nSELECT 1;\n", "thing.sql:2", "without a '-- name:")

    def test_kinds(self) -> None:
        self.refuse("-- name: a :some\nSELECT 1 AS one;\n", "thing.sql:1", "unknown kind ':some'")
        self.refuse("-- name: a :exec\nDELETE FROM thing RETURNING id;\n", "thing.sql:1", "make it :one or :many")
        self.refuse("-- name: a :one\nDELETE FROM thing;\n", "thing.sql:1", "make it :exec")

    def test_names(self) -> None:
        self.refuse("-- name: a :one\nSELECT 1 AS one;\n-- name: a :one\nSELECT 2 AS two;\n", "thing.sql:3",
                    "used in thing.sql:1 already")
        self.refuse("-- name: a :one\nSELECT id AS db FROM thing WHERE id = :db;\n", "thing.sql:2",
                    "may not be named 'db'")
        self.refuse("-- name: a :one\nSELECT id, name AS id FROM thing;\n", "thing.sql:1",
                    "two columns would be 'id'")
        self.refuse("-- name: a :one\nSELECT id + 1 FROM thing;\n", "thing.sql:1", "give it one with AS")
        self.refuse("-- name: a :one\nSELECT id AS int FROM thing;\n", "thing.sql:1", "no name for C")

    def test_copy(self) -> None:
        self.refuse("-- name: a :copy\nCOPY thing (id, nmae) FROM STDIN (FORMAT binary);\n", "thing.sql:1",
                    'column "nmae"')
        self.refuse("-- name: a :copy\nCOPY thing FROM STDIN;\n", "thing.sql:1", "reads 'COPY table (columns)")
        for kind in ("VIEW", "MATERIALIZED VIEW"):
            self.write("020-view.migration.sql", f"-- A view.\nCREATE {kind} seen AS SELECT id, name FROM thing;\n")
            self.refuse("-- name: a :copy\nCOPY seen (id, name) FROM STDIN (FORMAT binary);\n", "thing.sql:1",
                        "a: seen is no table")

    def test_migration(self) -> None:
        self.write("020-more.migration.sql", "-- More.\nCREATE TABLE more (\n  id bigin\n);\n")
        self.refuse("-- name: a :one\nSELECT 1 AS one;\n", "020-more.migration.sql:3", 'type "bigin" does not exist')

    def test_wrong_type_passed_from_c(self) -> None:
        self.make("-- name: rename :exec\nUPDATE thing SET name = :name WHERE id = :id;\n")
        calls = {"rename(db, \"x\", 1, err)": "incompatible type",
                 "rename(db, STR(\"x\"), STR(\"1\"), err)": "incompatible type",
                 "rename(db, STR(\"x\"), 1.5, err)": "conversion from ‘double’",
                 "rename(db, STR(\"x\"), err)": "too few arguments"}
        for call, message in calls.items():
            self.write("caller.c", '#include "room/room_sql.h"\nint caller(struct db *db, struct error *err);\n'
                       f"int\ncaller(struct db *db, struct error *err)\n{{\n  return {call};\n}}\n")
            done = self.compile("caller.c", "-c", "-o", "caller.o")
            self.assertEqual(done.returncode, 1, call)
            self.assertIn("caller.c:6:", done.stderr)
            self.assertRegex(done.stderr.replace("'", "‘", 1), message.replace("‘double’", ".double."))


class TestResults(SqlgenTest):
    def test_colons_that_are_no_parameters(self) -> None:
        made = self.make(r"""-- name: odd :one
-- No :parameter here.
SELECT ':a' AS a /* :b /* nested :c */ */, $$ :d $$ AS d, $x$ :e; $x$ AS e, E'it\':s; :f' AS f,
  1::bigint AS "g", -- :h;
  name AS "odd!", (ARRAY[1, 2, 3])[1:2]::bigint[] AS i, data ? 'x' AS j
FROM thing WHERE id = :id::bigint AND name <> :name AND name <> ':id' AND id <> :id;
""")
        self.assertIn("int odd(struct db *db, int64_t id, struct str name, struct arena *arena,", made)
        self.assertIn("$1::bigint AND name <> $2 AND name <> ':id' AND id <> $1", made)
        self.assertNotIn("nested", made)
        self.assertIn("struct str odd;\n  struct db_i64s i;", made)

    def test_a_comment_parts_words(self) -> None:
        made = self.make("-- name: a :many\nSELECT/* x */t.id, p.thing_id FROM thing t left/**/join part p ON"
                         "/* y\n*/p.thing_id = t.id\nWHERE t.id=:id/**/AND true;\n"
                         "-- name: b :one\nSELECT ö$1 AS one FROM (SELECT 1 AS ö$1) AS x;\n")
        self.assertIn("SELECT t.id, p.thing_id FROM thing t left join part p ON p.thing_id", made)
        self.assertIn("bool thing_id_null;", made)  # for the join is a left one

    def test_comment_and_several_files(self) -> None:
        self.write("first.sql", "-- name: one_thing :one\n-- Finds it.\n-- By id.\nSELECT id FROM thing;\n")
        self.write("second.sql", "-- name: no_thing :exec\n\nDELETE FROM thing;\n")
        done = self.run_program(self.command("first.sql", "second.sql"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("/* Finds it.\n   By id. */\nint one_thing(", self.read("room_sql.h"))
        self.assertIn("int no_thing_send(", self.read("room_sql.h"))

    def test_what_may_be_null(self) -> None:
        made = self.make("""-- name: plain :many
SELECT id, note, count(*) AS n, max(id) AS "m!", name AS "name?" FROM thing GROUP BY 1, 2, 5;
-- name: joined :many
SELECT t.id, p.thing_id, t.name AS "name!" FROM thing t LEFT JOIN part p ON p.thing_id = t.id;
""")
        for member in ("note_null", "n_null", "name_null", "id_null", "thing_id_null"):
            self.assertIn(f"bool {member};", made)
        plain, joined = made.split("struct joined_row\n")[0], made.split("struct joined_row\n")[1]
        self.assertNotIn("bool id_null", plain)
        self.assertNotIn("bool m_null", plain)
        self.assertNotIn("bool name_null", joined)

    def test_nullable_parameters(self) -> None:
        made = self.make("-- name: a :exec\nUPDATE thing SET note = :note?, id = :id? WHERE id = :id;\n")
        self.assertIn("int a(struct db *db, struct str note, const int64_t *id, struct error *err);", made)
        self.assertIn("db_value_text_or_null(note)", made)

    def test_quotes_and_backslashes_survive(self) -> None:
        made = self.make("-- name: a :one\nSELECT 'a\"b\\??/' AS \"what!\";\n")
        self.assertIn(r"'a\"b\\?\?/' AS \"what!\"", made)


class TestScratchServer(SqlgenTest):
    STATEMENT = "-- name: a :one\nSELECT id FROM thing WHERE name = :name;\n"

    def setUp(self) -> None:
        self.scratch = make_folder()
        self.addCleanup(shutil.rmtree, self.scratch)
        super().setUp()

    def test_unchanged_result_keeps_its_time_and_is_quick(self) -> None:
        self.make(self.STATEMENT)
        before = (self.folder / "room_sql.h").stat().st_mtime_ns
        started = time.monotonic()
        self.make(self.STATEMENT.replace("= :name", "<> :name"))
        self.assertLess(time.monotonic() - started, 60)
        self.assertEqual((self.folder / "room_sql.h").stat().st_mtime_ns, before)
        self.assertIn("name <> $1", self.read("room_sql.c"))

    def test_changed_migration_is_seen(self) -> None:
        self.make(self.STATEMENT)
        self.write("010-things.migration.sql", SCHEMA.replace("name text", "title text"))
        self.assert_refused(self.generate(self.STATEMENT), "thing.sql:2", 'column "name" does not exist')
        self.make(self.STATEMENT.replace("WHERE name", "WHERE title"))

    def test_several_at_once(self) -> None:
        self.write("thing.sql", self.STATEMENT)
        running = []
        for index in range(4):
            folder = self.top / f"room{index}"
            folder.mkdir()
            command = self.command("thing.sql")
            command[command.index("--source") + 1] = folder / "x_sql.c"
            command[command.index("--header") + 1] = folder / "x_sql.h"
            running.append(subprocess.Popen([str(part) for part in command], cwd=self.folder,
                                            stderr=subprocess.PIPE, text=True))
        for process in running:
            _, errors = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, errors)
        self.assert_no_server()

    def test_folder_that_another_made_meanwhile_stays(self) -> None:
        """Its lock may be held: a folder in its place would be another's lock."""
        def make(sees: bool | None = None) -> Path:
            one = Scratch(self.scratch, "")
            one.folder = self.scratch / "folder"
            with mock.patch.object(Path, "exists", return_value=sees) if sees is not None else nullcontext():
                one.make_folder()
            return one.folder
        first = make().stat().st_ino
        self.assertEqual(make(sees=False).stat().st_ino, first)
        self.assertEqual([file.name for file in self.scratch.iterdir()], ["folder"])

    def test_killed_generator_leaves_no_server(self) -> None:
        """SIGTERM stops it in order; after SIGKILL the kernel stops it, and the next run recovers."""
        self.make(self.STATEMENT)
        for number in (signal.SIGTERM, signal.SIGKILL):
            self.kill_when_the_server_runs(number)
            self.make(self.STATEMENT)
            self.assert_no_server()

    def kill_when_the_server_runs(self, number: signal.Signals) -> None:
        process = subprocess.Popen([str(part) for part in self.command("thing.sql")], cwd=self.folder,
                                   stderr=subprocess.DEVNULL)
        pid_file = next(self.scratch.glob("panoply-sqlgen-*/data")) / "postmaster.pid"
        deadline = time.monotonic() + 60
        while not pid_file.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        text = pid_file.read_text() if pid_file.exists() else ""
        process.send_signal(number)
        process.wait(timeout=60)
        while text and is_alive(int(text.split()[0])):
            self.assertLess(time.monotonic(), deadline, "the server outlived its generator")
            time.sleep(0.01)

    def test_damaged_cluster_is_made_anew(self) -> None:
        self.make(self.STATEMENT)
        for file in self.scratch.glob("panoply-sqlgen-*/data/global/pg_control"):
            file.write_bytes(b"")
        self.make(self.STATEMENT)

    def test_a_build_folder_with_a_long_path(self) -> None:
        """Its server lies elsewhere, and is removed by another's run once the build folder is gone."""
        deep = self.scratch / ("x" * 100) / "one"
        beside = deep.with_name("two")
        outside = Path(tempfile.gettempdir())
        folders = []
        for build_folder in (deep, beside):
            build_folder.mkdir(parents=True)
            scratch = Scratch(build_folder, "")
            scratch.make_folder()
            folders.append(scratch.folder)
            self.addCleanup(shutil.rmtree, scratch.folder, ignore_errors=True)
        self.assertEqual([folder.parent for folder in folders], [outside, outside])
        deep.rmdir()
        Scratch(beside, "")
        self.assertEqual([folder.exists() for folder in folders], [False, True])

    def test_a_folder_of_others_is_not_trusted(self) -> None:
        self.make(self.STATEMENT)
        next(self.scratch.glob("panoply-sqlgen-*")).chmod(0o777)
        done = self.generate(self.STATEMENT)
        self.assertEqual(done.returncode, 1)
        self.assertIn("remove it", done.stderr)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_as_an_ordinary_user(self) -> None:
        self.write("thing.sql", self.STATEMENT)
        for path in (self.top, self.folder, self.scratch):
            os.chown(path, 65534, 65534)
        done = self.run_program(self.command("thing.sql"), user=65534, group=65534, extra_groups=[])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.folder / "room_sql.c").stat().st_uid, 65534)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    unittest.main(verbosity=2)
