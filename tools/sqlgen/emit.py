# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the C of described statements, as a person would."""

from __future__ import annotations

from describe import Described, Field

WIDTH = 100
LICENSE = "/* SPDX-License-Identifier: GPL-3.0-or-later */\n"


def parameter_declaration(field: Field) -> str:
    if field.nullable and field.type.pointer:
        return f"const {field.type.c}*{field.name}"
    return f"{field.type.c}{field.name}"


def signature(name: str, arguments: list[str], gap: str) -> str:
    """`int` and the name, one after another with GAP between; arguments wrapped."""
    line = f"{name}("
    indent = " " * (len(line) + (len("int ") if gap == " " else 0))
    lines = [f"int{gap}{line}" if gap == " " else line]
    for index, argument in enumerate(arguments):
        piece = argument + (")" if index == len(arguments) - 1 else ",")
        if index > 0 and len(lines[-1]) + 1 + len(piece) >= WIDTH:
            lines.append(indent + piece)
        else:
            lines[-1] += (" " if index > 0 else "") + piece
    return ("int\n" if gap == "\n" else "") + "\n".join(lines)


def c_text(text: str, indent: str) -> str:
    """A string literal, a source line for each line of the text."""
    lines = [line.rstrip().replace("\\", "\\\\").replace('"', '\\"').replace("??", "?\\?")
             for line in text.split("\n")]
    return f"\n{indent}".join(f'"{line}\\n"' for line in lines[:-1]) + (
        f"\n{indent}" if len(lines) > 1 else "") + f'"{lines[-1]}"'


class Function:
    """The C functions of one statement."""

    def __init__(self, described: Described):
        self.statement = described.statement
        self.name = described.statement.name
        self.parameters = described.parameters
        self.columns = described.columns
        self.needs_arena = described.needs_arena

    # ---- declarations ----

    def arguments(self) -> list[str]:
        arguments = ["struct db *db"] + [parameter_declaration(field) for field in self.parameters]
        if self.statement.kind in ("one", "many"):
            if self.needs_arena:
                arguments.append("struct arena *arena")
            suffix = "row" if self.statement.kind == "one" else "rows"
            arguments.append(f"struct {self.name}_{suffix} *ret")
        return arguments + ["struct error *err"]

    def signatures(self, gap: str) -> list[str]:
        if self.statement.kind == "copy":
            row = ["struct db_copy *copy"] + [parameter_declaration(field) for field in self.parameters]
            return [signature(f"{self.name}_begin", ["struct db *db", "struct db_copy **ret", "struct error *err"], gap),
                    signature(f"{self.name}_row", row + ["struct error *err"], gap)]
        signatures = [signature(self.name, self.arguments(), gap)]
        if self.statement.kind == "exec":
            signatures.append(signature(f"{self.name}_send", self.arguments(), gap))
        return signatures

    def structs(self) -> str:
        if not self.columns:
            return ""
        members = ""
        for column in self.columns:
            members += f"  {column.type.c}{column.name};\n"
            if column.nullable:
                members += f"  bool {column.name}_null;\n"
        text = f"struct {self.name}_row\n{{\n{members}}};\n\n"
        if self.statement.kind == "many":
            text += f"struct {self.name}_rows\n{{\n  struct {self.name}_row *items;\n  size_t count;\n}};\n\n"
        return text

    def declaration(self) -> str:
        comment = "\n   ".join(self.statement.comment).replace("*/", "* /")
        prototypes = "".join(text + ";\n" for text in self.signatures(" "))
        return self.structs() + (f"/* {comment} */\n" if comment else "") + prototypes

    # ---- definitions ----

    def column_table(self) -> str:
        if not self.columns:
            return ""
        rows = ""
        for column in self.columns:
            row = f"struct {self.name}_row"
            null = f"offsetof({row}, {column.name}_null)" if column.nullable else "DB_NEVER_NULL"
            rows += (f'  {{ "{column.name}", DB_TYPE_{column.type.constant}, offsetof({row}, {column.name}),\n'
                     f"    {null} }},\n")
        return f"static const struct db_column {self.name}_columns[] = {{\n{rows}}};\n\n"

    def statement_table(self) -> str:
        text = (f"static const struct db_statement {self.name}_statement = {{\n"
                f'  .name = "{self.name}",\n'
                f"  .text = {c_text(self.statement.sql, ' ' * 10)},\n")
        if self.parameters:
            text += f"  .parameters_count = {len(self.parameters)},\n"
        if self.columns:
            text += (f"  .columns = {self.name}_columns,\n"
                     f"  .columns_count = {len(self.columns)},\n"
                     f"  .row_size = sizeof(struct {self.name}_row),\n")
        return text + "};\n\n"

    def values(self) -> str:
        if not self.parameters:
            return ""
        rows = ""
        for field in self.parameters:
            suffix = "_or_null" if field.nullable else ""
            rows += f"    db_value_{field.type.maker}{suffix}({field.name}),\n"
        return f"  const struct db_value values[] = {{\n{rows}  }};\n"

    def body(self, call: str) -> str:
        return f"\n{{\n{self.values()}  return {call};\n}}\n"

    def definition(self) -> str:
        statement = f"&{self.name}_statement"
        values = "values" if self.parameters else "NULL"
        arena = "arena" if self.needs_arena else "NULL"
        text = self.column_table() + self.statement_table()
        heads = self.signatures("\n")
        if self.statement.kind == "copy":
            return (text + heads[0] + f"\n{{\n  return db_copy_begin(db, {statement}, ret, err);\n}}\n\n"
                    + heads[1] + self.body(f"db_copy_row(copy, {values}, err)"))
        calls = {
            "exec": f"db_statement_exec(db, {statement}, {values}, err)",
            "one": f"db_statement_one(db, {statement}, {values}, {arena}, ret, err)",
            "many": f"db_statement_many(db, {statement}, {values}, arena, &ret->items, &ret->count, err)",
        }
        text += heads[0] + self.body(calls[self.statement.kind])
        if self.statement.kind == "exec":
            text += "\n" + heads[1] + self.body(f"db_statement_send(db, {statement}, {values}, err)")
        return text


def grouped(functions: list[Function], write: str) -> str:
    return "\n".join(getattr(function, write)() for function in functions)


def emit_header(functions: list[Function], origin: str) -> str:
    return (LICENSE + f"/* Made by tools/sqlgen from {origin}; see doc/statements.md. */\n"
            '#pragma once\n\n#include "base/arena.h"\n#include "db/db.h"\n\n'
            + grouped(functions, "declaration"))


def emit_source(functions: list[Function], header: str, origin: str) -> str:
    return (LICENSE + f"/* Made by tools/sqlgen from {origin}; see doc/statements.md. */\n"
            f'#include "{header}"\n\n#include <stddef.h>\n\n#include "db/statement.h"\n\n'
            + grouped(functions, "definition"))
