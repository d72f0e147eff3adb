"""What a transaction needs of a database: run a statement, and say what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .dialects import Dialect, Row, Statement, Values


class Taken(Exception):
    """Rows were refused because a key is there already; the transaction is as before them."""


class Again(Exception):
    """Another transaction came in between in a way that only a new try can settle."""


class Session(Protocol):
    """One open transaction on one connection.

    ``writing`` says whether it may write; `send` does not wait for an answer where the database
    allows that, so its errors may appear later, at the commit at the latest.
    """

    dialect: Dialect
    writing: bool

    def rows(self, statement: Statement, values: Values) -> Sequence[Row]:
        """Run a query and return its rows."""
        ...

    def send(self, statement: Statement, values: Values) -> None:
        """Run a statement whose outcome is certain."""
        ...

    def send_all(self, statement: Statement, rows: Sequence[tuple[object, ...]]) -> None:
        """Insert rows, whose values are in the statement's own order and whose outcome is certain."""
        ...

    def change(self, statement: Statement, values: Values) -> int:
        """Run a statement and return how many rows it changed."""
        ...

    def change_all(self, statement: Statement, rows: Sequence[tuple[object, ...]]) -> Sequence[int]:
        """Run a statement once for each of some values and return how many rows each changed."""
        ...

    def insert_all(self, *many: tuple[Statement, Sequence[tuple[object, ...]]]) -> None:
        """Run statements, each for many rows, whose values are in its own order.

        Raises:
            Taken: a unique key is there already; none of the rows was inserted.
        """
        ...

    def serialise(self, name: str) -> None:
        """Let only one transaction at a time pass this point under a name, until it ends."""
        ...

    def in_index_order(self) -> None:
        """Let the queries that follow walk their index, whatever the database believes of its tables."""
        ...
