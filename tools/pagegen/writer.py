# SPDX-License-Identifier: GPL-3.0-or-later
"""Collects C lines: indented, literal text in large pieces, `#line` before what
comes from a template so that the compiler's errors name the template."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Iterator


def c_string(text: str, indent: str = "") -> str:
    """A C literal; a source line for each line of the text."""
    pieces = []
    for line in text.splitlines(keepends=True):
        escaped = line.replace("\\", "\\\\").replace('"', '\\"').replace("??", "?\\?")
        pieces.append('"' + escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + '"')
    return ("\n" + indent).join(pieces) or '""'


class Writer:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 1
        self.literal = ""

    def text(self, literal: str) -> None:
        """Literal HTML; written before the next statement."""
        self.literal += literal

    def flush(self) -> None:
        if self.literal:
            literal, self.literal = self.literal, ""
            head = "  " * self.depth + "ui_put_literal(out, "
            self.lines.append(f"{head}{c_string(literal, ' ' * len(head))});")

    def statement(self, path: Path, line: int, text: str) -> None:
        self.flush()
        self.lines.append(f'#line {line} "{path}"')
        self.lines.append("  " * self.depth + text)

    def close(self, text: str = "}") -> None:
        """Ends a C block (or one branch of it)."""
        self.flush()
        self.depth -= 1
        if text:
            self.lines.append("  " * self.depth + text)

    @contextmanager
    def block(self, path: Path, line: int, head: str) -> Iterator[None]:
        self.statement(path, line, head)
        self.depth += 1
        yield
        self.close()

    def result(self) -> str:
        self.flush()
        return "".join(line + "\n" for line in self.lines)
