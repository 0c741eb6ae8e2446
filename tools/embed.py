# SPDX-License-Identifier: GPL-3.0-or-later
"""embed: puts files into the program as C tables.

  embed.py migrations OUTPUT.c FILE...   db_migrations (db/migrate.h), by number
  embed.py assets OUTPUT.c FILE...       ui_assets (ui/assets.h), by path
  embed.py json OUTPUT.c FILE            a text named as the file, in short form
  embed.py texts OUTPUT.c FILE...        texts named as the files: "a.bash" is a_bash
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path

MIGRATION = re.compile(r"(\d{3}-[a-z0-9-]+)\.migration\.sql$")

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
    ".yaml": "application/yaml",
}

HEAD = "/* SPDX-License-Identifier: GPL-3.0-or-later */\n/* Made by tools/embed.py. */\n"


class EmbedError(Exception):
    pass


def c_text(text: str) -> str:
    """A literal with a source line for each line; \\? keeps trigraphs out."""
    lines = []
    for line in text.splitlines():
        escaped = line.replace("\\", "\\\\").replace('"', '\\"').replace("??", "?\\?")
        lines.append(f'    "{escaped}\\n"')
    return "\n".join(lines)


def c_bytes(data: bytes) -> str:
    rows = (data[start:start + 24] for start in range(0, len(data), 24))
    return "\n".join("  " + "".join(f"{byte}," for byte in row) for row in rows)


def migrations(files: list[Path]) -> str:
    entries: dict[int, str] = {}
    for file in files:
        match = MIGRATION.search(file.name)
        if match is None:
            raise EmbedError(f"{file}: a migration is named NNN-name.migration.sql")
        number = int(match[1][:3])
        if number in entries:
            raise EmbedError(f"{file}: number {number} is used twice")
        text = c_text(file.read_text(encoding="utf-8"))
        entries[number] = f'  {{\n    {number},\n    "{match[1]}",\n{text},\n  }},\n'
    table = "".join(entries[number] for number in sorted(entries))
    return (f'{HEAD}#include "base/compiler.h"\n#include "db/migrate.h"\n\n'
            f"const struct db_migration db_migrations[] = {{\n{table}}};\n\n"
            "const size_t db_migrations_count = ARRAY_SIZE(db_migrations);\n")


def assets(files: list[Path]) -> str:
    """Served under the file's own name; the etag is a strong one, of the contents."""
    arrays, rows = "", ""
    for index, file in enumerate(sorted(files, key=lambda file: file.name)):
        if file.suffix not in MEDIA_TYPES:
            raise EmbedError(f"{file}: no media type is known for '{file.suffix}' (tools/embed.py)")
        data = file.read_bytes()
        if not data:
            raise EmbedError(f"{file}: is empty")
        arrays += f"static const unsigned char bytes_{index}[] = {{\n{c_bytes(data)}\n}};\n\n"
        etag = hashlib.sha256(data).hexdigest()
        rows += (f'  {{\n    "{file.name}",\n    "{MEDIA_TYPES[file.suffix]}",\n    "\\"{etag}\\"",\n'
                 f"    {{ (const char *) bytes_{index}, sizeof bytes_{index} }},\n  }},\n")
    return (f'{HEAD}#include "ui/assets.h"\n\n#include "base/compiler.h"\n\n{arrays}'
            f"const struct ui_asset ui_assets[] = {{\n{rows}}};\n\n"
            "const size_t ui_assets_count = ARRAY_SIZE(ui_assets);\n")


def json_text(files: list[Path]) -> str:
    """The file is checked to be JSON; spaces between its parts are left out."""
    file, = files
    name = file.stem.replace("-", "_")
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EmbedError(f"{file}: {error}") from None
    text = json.dumps(value, separators=(",", ":"))
    pieces = "\n".join(c_text(text[start:start + 90]).removesuffix('\\n"') + '"'
                       for start in range(0, len(text), 90))
    return f"{HEAD}extern const char {name}[];\nconst char {name}[] =\n{pieces};\n"


def texts(files: list[Path]) -> str:
    text = HEAD
    for file in files:
        name = re.sub(r"\W", "_", file.name)
        text += (f"\nextern const char {name}[];\nconst char {name}[] =\n"
                 f'{c_text(file.read_text(encoding="utf-8"))};\n')
    return text


def main() -> int:
    writers = {"texts": texts, "migrations": migrations, "assets": assets, "json": json_text}
    if len(sys.argv) < 4 or sys.argv[1] not in writers:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        text = writers[sys.argv[1]]([Path(name) for name in sys.argv[3:]])
    except (EmbedError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    Path(sys.argv[2]).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
