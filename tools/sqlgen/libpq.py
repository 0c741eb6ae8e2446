# SPDX-License-Identifier: GPL-3.0-or-later
"""The little of libpq that describing statements needs, by ctypes: libpq is
there wherever Panoply is built, a Python driver is not."""

from __future__ import annotations

import ctypes
import os
from ctypes import c_char_p, c_int, c_uint, c_void_p
from dataclasses import dataclass

CONNECTION_OK = 0
RESULT_COMMAND_OK, RESULT_TUPLES_OK, RESULT_COPY_IN = 1, 2, 4
DIAGNOSTICS = {"message": "M", "detail": "D", "hint": "H", "position": "P", "context": "W"}

FUNCTIONS: dict[str, tuple[object, list[object]]] = {
    "PQconnectdb": (c_void_p, [c_char_p]),
    "PQstatus": (c_int, [c_void_p]),
    "PQerrorMessage": (c_char_p, [c_void_p]),
    "PQfinish": (None, [c_void_p]),
    "PQexec": (c_void_p, [c_void_p, c_char_p]),
    "PQprepare": (c_void_p, [c_void_p, c_char_p, c_char_p, c_int, c_void_p]),
    "PQdescribePrepared": (c_void_p, [c_void_p, c_char_p]),
    "PQputCopyEnd": (c_int, [c_void_p, c_char_p]),
    "PQgetResult": (c_void_p, [c_void_p]),
    "PQresultStatus": (c_int, [c_void_p]),
    "PQresultErrorField": (c_char_p, [c_void_p, c_int]),
    "PQntuples": (c_int, [c_void_p]),
    "PQgetvalue": (c_char_p, [c_void_p, c_int, c_int]),
    "PQnparams": (c_int, [c_void_p]),
    "PQparamtype": (c_uint, [c_void_p, c_int]),
    "PQnfields": (c_int, [c_void_p]),
    "PQfname": (c_char_p, [c_void_p, c_int]),
    "PQftype": (c_uint, [c_void_p, c_int]),
    "PQftable": (c_uint, [c_void_p, c_int]),
    "PQftablecol": (c_int, [c_void_p, c_int]),
    "PQclear": (None, [c_void_p]),
}


class PqError(Exception):
    """What PostgreSQL said. POSITION: character in the text sent, from 1."""

    def __init__(self, message: str, detail: str = "", hint: str = "", position: int | None = None):
        text = message + (f" ({detail})" if detail else "") + (f"; {hint}" if hint else "")
        super().__init__(" ".join(text.split()))
        self.position = position


@dataclass
class Column:
    name: str
    type: int
    table: int  # 0 = computed
    number: int


@dataclass
class Description:
    parameters: list[int]
    columns: list[Column]


class Connection:
    def __init__(self, library_folder: str, conninfo: str):
        self.pq = load(library_folder)
        self.handle = self.pq.PQconnectdb(conninfo.encode())
        if self.pq.PQstatus(self.handle) != CONNECTION_OK:
            message = self.pq.PQerrorMessage(self.handle).decode(errors="replace")
            self.close()
            raise PqError(message.strip())

    def close(self) -> None:
        self.pq.PQfinish(self.handle)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self, result: int) -> int:
        if self.pq.PQresultStatus(result) in (RESULT_COMMAND_OK, RESULT_TUPLES_OK, RESULT_COPY_IN):
            return result
        said: dict[str, str] = {}
        for name, code in DIAGNOSTICS.items():
            value = self.pq.PQresultErrorField(result, ord(code))
            said[name] = value.decode(errors="replace") if value else ""
        self.pq.PQclear(result)
        message = said["message"] or self.pq.PQerrorMessage(self.handle).decode(errors="replace")
        position = int(said["position"]) if said["position"] else None
        raise PqError(message, said["detail"], said["hint"], position)

    def execute(self, sql: str) -> list[list[str]]:
        """Runs one or several statements; rows of the last, as text."""
        result = self.check(self.pq.PQexec(self.handle, sql.encode()))
        rows = [[self.pq.PQgetvalue(result, row, column).decode()
                 for column in range(self.pq.PQnfields(result))]
                for row in range(self.pq.PQntuples(result))]
        self.pq.PQclear(result)
        return rows

    def describe(self, sql: str) -> Description:
        self.pq.PQclear(self.check(self.pq.PQprepare(self.handle, b"", sql.encode(), 0, None)))
        result = self.check(self.pq.PQdescribePrepared(self.handle, b""))
        parameters = [self.pq.PQparamtype(result, i) for i in range(self.pq.PQnparams(result))]
        columns = [Column(self.pq.PQfname(result, i).decode(), self.pq.PQftype(result, i),
                          self.pq.PQftable(result, i), self.pq.PQftablecol(result, i))
                   for i in range(self.pq.PQnfields(result))]
        self.pq.PQclear(result)
        return Description(parameters, columns)

    def try_copy(self, sql: str) -> None:
        """Begins a COPY FROM STDIN and gives it up at once: a check of its text."""
        result = self.check(self.pq.PQexec(self.handle, sql.encode()))
        is_copy = self.pq.PQresultStatus(result) == RESULT_COPY_IN
        self.pq.PQclear(result)
        if not is_copy:
            raise PqError("not a COPY ... FROM STDIN")
        self.pq.PQputCopyEnd(self.handle, b"only checked")
        while result := self.pq.PQgetResult(self.handle):
            self.pq.PQclear(result)


def load(folder: str) -> ctypes.CDLL:
    path = os.path.join(folder, "libpq.so.5")
    library = ctypes.CDLL(path if os.path.exists(path) else "libpq.so.5")
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
