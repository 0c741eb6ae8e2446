# SPDX-License-Identifier: GPL-3.0-or-later
"""pagegen: compiles Jinja2 templates into C functions (doc/templates.md)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from compiler import Unit
from expressions import known_filters
from templates import Declaration, Loader, Template, TemplateError

LICENSE = "/* SPDX-License-Identifier: GPL-3.0-or-later */\n"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pagegen", description=__doc__)
    parser.add_argument("--pages", type=Path, nargs="+", required=True, help="templates of one room")
    parser.add_argument("--shared", type=Path, nargs="*", default=[], help="folders of shared templates")
    parser.add_argument("--filters", type=Path, required=True, help="ui/html.h")
    parser.add_argument("--source", type=Path, required=True, help="ROOM_pages.c to write")
    parser.add_argument("--header", type=Path, required=True, help="ROOM_pages.h to write")
    parser.add_argument("--depfile", type=Path, help="where to tell which templates were read")
    return parser.parse_args()


def includes(declarations: list[Declaration], skip: set[str]) -> str:
    headers = {declaration.header for declaration in declarations if declaration.header} - skip
    return "".join(f'#include "{header}"\n' for header in sorted(headers))


def generate(arguments: argparse.Namespace) -> None:
    loader = Loader(arguments.shared)
    unit = Unit(loader, known_filters(arguments.filters.read_text(encoding="utf-8")))
    pages = [page for page in map(loader.load, arguments.pages) if page.page is not None]
    bodies = "\n".join(unit.write_page(page) for page in pages)
    macros = write_macros(unit)
    write(arguments, pages, unit, macros, bodies)
    if arguments.depfile is not None:
        read = " ".join(str(path) for path in loader.loaded)
        arguments.depfile.write_text(f"{arguments.source}: {read}\n", encoding="utf-8")


def write_macros(unit: Unit) -> str:
    """Macros may use further ones, so the list grows while it is written."""
    bodies: list[str] = []
    while len(bodies) < len(unit.used):
        bodies.append(unit.write_macro(list(unit.used)[len(bodies)]))
    prototypes = "".join(f"static void {name}({macro[2].arguments});\n" for name, macro in unit.used.items())
    return (prototypes + "\n" if prototypes else "") + "".join(body + "\n" for body in bodies)


def write_if_changed(path: Path, text: str) -> None:
    """An unchanged file keeps its time, so that nothing is compiled again for it."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def write(arguments: argparse.Namespace, pages: list[Template], unit: Unit, macros: str, bodies: str) -> None:
    made = "/* Made by tools/pagegen; see doc/templates.md. */\n"
    declarations = [page.page for page in pages]
    prototypes = "".join(f"void {page.name}({page.arguments});\n" for page in declarations)
    headers = includes(declarations, set())
    write_if_changed(arguments.header,
                     f'{LICENSE}{made}#pragma once\n\n#include "base/buf.h"\n{headers}\n{prototypes}')
    own = f"{arguments.header.parent.name}/{arguments.header.name}"
    used = includes([macro[2] for macro in unit.used.values()], {page.header for page in declarations})
    write_if_changed(arguments.source,
                     f'{LICENSE}{made}#include "{own}"\n\n{used}#include "ui/html.h"\n\n{macros}{bodies}')


def main() -> int:
    try:
        generate(parse_arguments())
    except TemplateError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"pagegen: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
