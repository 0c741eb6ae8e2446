# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads .sql files: named statements with :named parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

KINDS = ("exec", "one", "many", "copy")
RESERVED = {"db", "arena", "ret", "err", "copy", "values"}  # names in generated functions
C_KEYWORDS = set(
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while bool true false asm typeof".split())

NAME_LINE = re.compile(r"--\s*name:\s*(\S+)\s+:(\S+)\s*$")
NAME = re.compile(r"[a-z][a-z0-9_]*$")

TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*)
      | (?P<block>/\*)
      | (?P<positional>\$\d+)
      | (?P<dollar>\$(?:[A-Za-z_]\w*)?\$)
      | (?P<string>[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|"(?:[^"]|"")*")
      | (?P<cast>::|:=)
      | (?P<parameter>:[A-Za-z_]\w*\??)
      | (?P<word>[^\W\d][\w$]*)
      | (?P<space>\s+)
      | (?P<end>;)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL)


class SourceErrors(Exception):
    """Mistakes in files that people wrote; a line for each."""


class SourceError(SourceErrors):
    """One mistake; printed as FILE:LINE: MESSAGE."""

    def __init__(self, file: Path, line: int, message: str):
        super().__init__(f"{file}:{line}: error: {message}")


@dataclass
class Parameter:
    name: str
    nullable: bool = False


@dataclass
class Statement:
    """One statement: `sql` is what the server gets, with $1, $2 ..."""

    file: Path
    line: int
    name: str
    kind: str
    comment: list[str] = field(default_factory=list)
    sql: str = ""
    words: set[str] = field(default_factory=set)  # bare words, upper case
    parameters: list[Parameter] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)  # file line of each character of `sql`

    def error(self, message: str, position: int | None = None) -> SourceError:
        """POSITION: character of `sql`, from 1, as PostgreSQL counts."""
        line = self.line
        if position is not None and 0 < position <= len(self.lines):
            line = self.lines[position - 1]
        return SourceError(self.file, line, f"{self.name}: {message}")

    def add(self, text: str, line: int) -> None:
        self.sql += text
        for character in text:
            self.lines.append(line)
            line += character == "\n"

    def add_parameter(self, token: str, line: int) -> None:
        name, nullable = token[1:].rstrip("?"), token.endswith("?")
        known = next((p for p in self.parameters if p.name == name), None)
        if known is None:
            if not NAME.match(name) or name in RESERVED or name in C_KEYWORDS:
                raise SourceError(self.file, line, f"{self.name}: a parameter may not be named '{name}'")
            known = Parameter(name)
            self.parameters.append(known)
        known.nullable |= nullable
        self.add(f"${self.parameters.index(known) + 1}", line)


def token_end(file: Path, text: str, match: re.Match[str], line: int) -> int:
    """Where the token ends; block comments nest and dollar quotes run to their twin."""
    if match.lastgroup == "dollar":
        end = text.find(match.group(), match.end())
        if end < 0:
            raise SourceError(file, line, f"unterminated {match.group()} quote")
        return end + len(match.group())
    if match.lastgroup == "block":
        depth, position = 1, match.end()
        while depth > 0:
            mark = re.compile(r"/\*|\*/").search(text, position)
            if mark is None:
                raise SourceError(file, line, "unterminated comment")
            depth += 1 if mark.group() == "/*" else -1
            position = mark.end()
        return position
    if match.group() in ("'", '"'):
        raise SourceError(file, line, f"unterminated {match.group()} quote")
    return match.end()


def begin_statement(file: Path, line: int, match: re.Match[str]) -> Statement:
    name, kind = match.groups()
    if not NAME.match(name) or name in C_KEYWORDS:
        raise SourceError(file, line, f"'{name}' is no statement name: use a-z, 0-9 and _")
    if kind not in KINDS:
        raise SourceError(file, line, f"'{name}' has unknown kind ':{kind}': use :" + ", :".join(KINDS))
    return Statement(file, line, name, kind)


def read_text(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(file, error.object.count(b"\n", 0, error.start) + 1, "this is not UTF-8") from error
    if "\0" in text:
        raise SourceError(file, text.count("\n", 0, text.index("\0")) + 1, "a NUL has no place here")
    return text


def read_statements(file: Path) -> list[Statement]:
    text = read_text(file)
    statements: list[Statement] = []
    current: Statement | None = None
    position, line = 0, 1
    while position < len(text):
        match = TOKEN.match(text, position)
        assert match is not None
        end = token_end(file, text, match, line)
        token, group = text[position:end], match.lastgroup
        if group == "comment" and (header := NAME_LINE.match(token)):
            if current is not None:
                raise current.error("statement without ';' at its end")
            current = begin_statement(file, line, header)
        elif current is None:
            if group not in ("comment", "block", "space"):
                raise SourceError(file, line, "statement without a '-- name: NAME :KIND' line before it")
        elif group == "end":
            finish_statement(current)
            statements.append(current)
            current = None
        elif group == "comment" and not current.sql.strip():
            current.comment.append(token[2:].strip())
        elif group == "parameter":
            current.add_parameter(token, line)
        elif group == "positional":
            raise SourceError(file, line, f"{current.name}: {token} has no name: write a parameter as :name")
        elif group == "block":
            current.add(" ", line)  # the words beside it are two
        elif group != "comment":
            if group == "word":
                current.words.add(token.upper())
            current.add(token, line)
        line += token.count("\n")
        position = end
    if current is not None:
        raise current.error("statement without ';' at its end")
    return statements


def finish_statement(statement: Statement) -> None:
    """Drops the white space around the text, so that the generated C is neat."""
    stripped = statement.sql.lstrip()
    statement.lines = statement.lines[len(statement.sql) - len(stripped):]
    statement.sql = stripped.rstrip()
    if not statement.sql:
        raise statement.error("no statement")


def read_files(files: list[Path]) -> list[Statement]:
    statements = [statement for file in files for statement in read_statements(file)]
    seen: dict[str, Statement] = {}
    for statement in statements:
        other = seen.setdefault(statement.name, statement)
        if other is not statement:
            raise statement.error(f"name is used in {other.file}:{other.line} already")
    return statements
