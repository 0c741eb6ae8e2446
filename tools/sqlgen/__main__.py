# SPDX-License-Identifier: GPL-3.0-or-later
"""sqlgen: compiles named SQL statements into typed C functions (doc/statements.md)."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from describe import describe_all
from emit import Function, emit_header, emit_source
from libpq import PqError
from scratch import Scratch, ScratchError
from source import SourceErrors, read_files


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sqlgen", description=__doc__)
    parser.add_argument("--statements", type=Path, nargs="+", required=True, help=".sql files of one room")
    parser.add_argument("--migrations", type=Path, nargs="+", required=True, help="of all rooms, in order")
    parser.add_argument("--source", type=Path, required=True, help="ROOM_sql.c to write")
    parser.add_argument("--header", type=Path, required=True, help="ROOM_sql.h to write")
    parser.add_argument("--build-folder", type=Path, required=True, help="the scratch server is kept for it")
    parser.add_argument("--libpq", default="", help="folder of libpq.so.5")
    return parser.parse_args()


def write_if_changed(path: Path, text: str) -> None:
    """An unchanged file keeps its time, so that nothing is compiled again for it."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def generate(arguments: argparse.Namespace) -> None:
    statements = read_files(arguments.statements)
    with Scratch(arguments.build_folder, arguments.libpq).database(arguments.migrations) as connection:
        described = describe_all(connection, statements)
    functions = [Function(one) for one in described]
    origin = ", ".join(file.name for file in arguments.statements)
    include = f"{arguments.header.parent.name}/{arguments.header.name}"
    write_if_changed(arguments.header, emit_header(functions, origin))
    write_if_changed(arguments.source, emit_source(functions, include, origin))


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is stopped
    try:
        generate(parse_arguments())
    except SourceErrors as errors:
        print(errors, file=sys.stderr)
        return 1
    except (ScratchError, PqError, OSError) as error:
        print(f"sqlgen: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
