# SPDX-License-Identifier: GPL-3.0-or-later
"""What a statement takes and gives, asked of PostgreSQL."""

from __future__ import annotations

import re
from dataclasses import dataclass

from libpq import Column, Connection, PqError
from source import C_KEYWORDS, NAME, SourceError, SourceErrors, Statement

VOID = 2278
PARAMETERS_MAX = 64  # DB_PARAMETERS_MAX

# With these, a NOT NULL column of a table may come out as NULL all the same.
WORDS_THAT_MAKE_NULLS = {"LEFT", "RIGHT", "FULL", "ROLLUP", "CUBE", "GROUPING"}

COPY = re.compile(r"COPY\s+([\w.\"]+)\s*\(([^()]+)\)\s*FROM\s+STDIN\s*\(\s*FORMAT\s+binary\s*\)$",
                  re.IGNORECASE)


@dataclass(frozen=True)
class Type:
    c: str  # declaration in front of a name
    maker: str  # db_value_MAKER
    constant: str  # DB_TYPE_CONSTANT
    pointer: bool = False  # a nullable one is passed by pointer
    arena: bool = False  # a column of it needs memory


TYPES = {
    20: Type("int64_t ", "i64", "I64", pointer=True),
    23: Type("int32_t ", "i32", "I32", pointer=True),
    21: Type("int16_t ", "i16", "I16", pointer=True),
    16: Type("bool ", "bool", "BOOL", pointer=True),
    701: Type("double ", "f64", "F64", pointer=True),
    1184: Type("int64_t ", "time", "TIME", pointer=True),
    5069: Type("int64_t ", "xid8", "XID8", pointer=True),
    25: Type("struct str ", "text", "TEXT", arena=True),
    1043: Type("struct str ", "text", "TEXT", arena=True),
    19: Type("struct str ", "text", "TEXT", arena=True),
    17: Type("struct str ", "bytes", "BYTES", arena=True),
    114: Type("struct str ", "json", "JSON", arena=True),
    3802: Type("struct str ", "jsonb", "JSONB", arena=True),
    1016: Type("struct db_i64s ", "i64s", "I64S", arena=True),
    1007: Type("struct db_i32s ", "i32s", "I32S", arena=True),
    1005: Type("struct db_i16s ", "i16s", "I16S", arena=True),
    1000: Type("struct db_bools ", "bools", "BOOLS", arena=True),
    1009: Type("struct db_strs ", "texts", "TEXTS", arena=True),
    1001: Type("struct db_strs ", "bytes_list", "BYTES_LIST", arena=True),
}


@dataclass
class Field:
    """A parameter or a column in C."""

    name: str
    type: Type
    nullable: bool


@dataclass
class Described:
    statement: Statement
    parameters: list[Field]
    columns: list[Field]

    @property
    def needs_arena(self) -> bool:
        return self.statement.kind == "many" or any(column.type.arena for column in self.columns)


class Describer:
    def __init__(self, connection: Connection):
        self.connection = connection
        rows = connection.execute("SELECT attrelid, attnum FROM pg_attribute WHERE attnotnull AND attnum > 0")
        self.not_null = {(int(table), int(number)) for table, number in rows}

    def describe(self, statement: Statement) -> Described:
        if statement.kind == "copy":
            return self.describe_copy(statement)
        try:
            found = self.connection.describe(statement.sql)
        except PqError as error:
            position = error.position or first_parameter(statement, str(error))
            raise statement.error(with_names(statement, str(error)), position) from error
        if len(found.parameters) > PARAMETERS_MAX:
            raise statement.error(f"more than {PARAMETERS_MAX} parameters")
        parameters = [Field(parameter.name, self.type_of(statement, f"parameter :{parameter.name}", type_oid,
                                                         first_parameter(statement, f"${number}")),
                            parameter.nullable)
                      for number, (parameter, type_oid) in enumerate(zip(statement.parameters, found.parameters), 1)]
        columns = self.columns(statement, found.columns)
        return Described(statement, parameters, columns)

    def columns(self, statement: Statement, found: list[Column]) -> list[Field]:
        if statement.kind == "exec":
            if any(column.type != VOID for column in found):
                raise statement.error("returns columns: make it :one or :many")
            return []
        if not found:
            raise statement.error("returns no columns: make it :exec")
        columns = [self.column(statement, column) for column in found]
        members = [column.name for column in columns]
        members += [f"{column.name}_null" for column in columns if column.nullable]
        for name in members:
            if members.count(name) > 1:
                raise statement.error(f"two columns would be '{name}' in C: name one otherwise with AS")
        return columns

    def column(self, statement: Statement, column: Column) -> Field:
        name = column.name.rstrip("!?")
        if not NAME.match(name) or name in C_KEYWORDS:
            raise statement.error(f"column '{column.name}' has no name for C: give it one with AS")
        if column.name != name:
            nullable = column.name.endswith("?")
        elif statement.words & WORDS_THAT_MAKE_NULLS:
            nullable = True
        else:
            nullable = (column.table, column.number) not in self.not_null
        return Field(name, self.type_of(statement, f"column {name}", column.type, only_word(statement, name)), nullable)

    def type_of(self, statement: Statement, what: str, oid: int, position: int | None) -> Type:
        if oid in TYPES:
            return TYPES[oid]
        name = self.connection.execute(f"SELECT format_type({oid}, NULL)")[0][0]
        raise statement.error(f"{what} has type {name}, which has no C type here: cast it "
                              "(the table is in doc/statements.md)", position)

    def describe_copy(self, statement: Statement) -> Described:
        """The columns' types come from a SELECT of the same columns."""
        match = COPY.match(" ".join(statement.sql.split()))
        if match is None or statement.parameters:
            raise statement.error("a :copy statement reads 'COPY table (columns) FROM STDIN (FORMAT binary);'")
        try:
            self.connection.try_copy(statement.sql)
            self.require_table(statement, match[1])
            found = self.connection.describe(f"SELECT {match[2]} FROM {match[1]}")
        except PqError as error:
            raise statement.error(str(error), error.position) from error
        return Described(statement, [self.column(statement, column) for column in found.columns], [])

    def require_table(self, statement: Statement, name: str) -> None:
        """PostgreSQL begins to copy into a view, and refuses its first row."""
        kind = self.connection.execute(f"SELECT relkind IN ('r', 'p') FROM pg_class WHERE oid = '{name}'::regclass")
        if kind != [["t"]]:
            raise statement.error(f"{name} is no table: rows cannot be copied into it")


def first_parameter(statement: Statement, message: str) -> int | None:
    """Where the parameter stands that a message without a position is about."""
    match = re.search(r"\$\d+\b", message)
    found = match and re.search(re.escape(match[0]) + r"\b", statement.sql)
    return found.start() + 1 if found else None


def only_word(statement: Statement, name: str) -> int | None:
    """Where the column NAME stands, if the statement has this word once."""
    found = [match.start() + 1 for match in re.finditer(rf"\b{name}\b", statement.sql)]
    return found[0] if len(found) == 1 else None


def with_names(statement: Statement, message: str) -> str:
    """PostgreSQL speaks of $1; people wrote :name."""

    def name(match: re.Match[str]) -> str:
        index = int(match[1]) - 1
        return f":{statement.parameters[index].name}" if index < len(statement.parameters) else match[0]

    return re.sub(r"\$(\d+)", name, message)


def describe_all(connection: Connection, statements: list[Statement]) -> list[Described]:
    """Tells all mistakes at once: each statement is described by itself."""
    describer = Describer(connection)
    described: list[Described] = []
    errors: list[SourceError] = []
    for statement in statements:
        try:
            described.append(describer.describe(statement))
        except SourceError as error:
            errors.append(error)
    if errors:
        raise SourceErrors("\n".join(str(error) for error in errors))
    return described
