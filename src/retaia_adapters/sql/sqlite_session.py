"""Transactions on SQLite, and what its errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain

from retaia_core.errors import RetaiaError, StoreError, StoreUnavailable

from .dialects import SQLITE, Row, Statement, Values, for_rows
from .session import Taken

BUSY_SECONDS = 30.0
"""How long a write waits for another process's."""

_ROWS_AT_ONCE = (200, 20, 1)
"""So many rows are inserted by one statement: SQLite works on them without holding Python's lock."""

_UNIQUE = (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
_NOT_NOW = {
    sqlite3.SQLITE_BUSY: "another process holds the database; try again",
    sqlite3.SQLITE_LOCKED: "another process holds the database; try again",
    sqlite3.SQLITE_FULL: "the disk of the database is full; make room, then try again",
    sqlite3.SQLITE_IOERR: "the disk of the database does not answer as it should",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened; is its folder there and writable?",
    sqlite3.SQLITE_NOMEM: "there is not enough memory for the database",
}


def explained(error: sqlite3.Error) -> RetaiaError:
    """What an error of SQLite means to a user."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _NOT_NOW:
        return StoreUnavailable(f"{_NOT_NOW[code]} ({error})")
    if code == sqlite3.SQLITE_READONLY:
        return StoreError(
            "a function given to `read` must not write, give it to `transact`; "
            f"or the database's file or folder is not writable ({error})"
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreError(f"the file is no sound SQLite database ({error}); restore a backup")
    return StoreError(f"the database refused a statement ({error})")


def connect(path: str, *, writing: bool) -> sqlite3.Connection:
    """Open the database; the caller begins and ends transactions itself."""
    connection = sqlite3.connect(
        path,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,  # opened by one thread, then used by one other
        cached_statements=512,
    )
    for pragma in (
        "foreign_keys=ON",
        "temp_store=MEMORY",
        "cache_size=-4000",  # KiB; larger gains nothing beside the mapped file
        "mmap_size=268435456",
        "synchronous=NORMAL",
        f"query_only={'OFF' if writing else 'ON'}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def take_back(connection: sqlite3.Connection) -> None:
    """Take back what is open, if anything is.

    Raises:
        sqlite3.Error: it still is.
    """
    if connection.in_transaction:
        connection.execute("ROLLBACK")


class SqliteSession:
    """One open transaction; all writes of a process pass through one connection, one after another."""

    dialect = SQLITE

    def __init__(self, connection: sqlite3.Connection, *, writing: bool) -> None:
        self.connection = connection
        self.writing = writing

    def rows(self, statement: Statement, values: Values) -> Sequence[Row]:
        return self.connection.execute(statement.text, statement.bind(values)).fetchall()

    def send(self, statement: Statement, values: Values) -> None:
        self.connection.execute(statement.text, statement.bind(values))

    def send_all(self, statement: Statement, rows: Sequence[tuple[object, ...]]) -> None:
        start = 0
        for count in _ROWS_AT_ONCE:
            text = for_rows(statement.text, count)
            while len(rows) - start >= count:
                values = list(chain.from_iterable(rows[start : start + count]))
                self.connection.execute(text, values)
                start += count

    def change(self, statement: Statement, values: Values) -> int:
        return self.connection.execute(statement.text, statement.bind(values)).rowcount

    def change_all(self, statement: Statement, rows: Sequence[tuple[object, ...]]) -> Sequence[int]:
        execute, text = self.connection.execute, statement.text
        return [execute(text, row).rowcount for row in rows]

    def insert_all(self, *many: tuple[Statement, Sequence[tuple[object, ...]]]) -> None:
        self.connection.execute("SAVEPOINT many")
        try:
            for statement, rows in many:
                self.send_all(statement, rows)
        except sqlite3.IntegrityError as error:
            self.connection.execute("ROLLBACK TO many")
            raise _taken(error) from error
        finally:
            if self.connection.in_transaction:
                self.connection.execute("RELEASE many")

    def serialise(self, name: str) -> None:
        """Nothing to do: only one transaction writes at a time."""

    def in_index_order(self) -> None:
        """Nothing to do: that is what SQLite does where it knows nothing else."""


def _taken(error: sqlite3.IntegrityError) -> Exception:
    return Taken(str(error)) if error.sqlite_errorcode in _UNIQUE else error
