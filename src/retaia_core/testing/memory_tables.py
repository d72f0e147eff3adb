"""Tables in memory that remember how to take back what was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key")
Row = TypeVar("Row")

Undo = list[Callable[[], None]]
"""The steps that take a transaction back, oldest first."""


class Table(Mapping[Key, Row], Generic[Key, Row]):
    """Rows by key. Every write goes on the undo list that it is given.

    >>> undo: Undo = []
    >>> table = Table[str, int]()
    >>> table.put("a", 1, undo)
    >>> rewind(undo)
    >>> dict(table)
    {}
    """

    def __init__(self) -> None:
        self._rows: dict[Key, Row] = {}

    def __getitem__(self, key: Key) -> Row:
        return self._rows[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, key: Key, row: Row, undo: Undo) -> None:
        """Insert or replace a row."""
        if key in self._rows:
            old = self._rows[key]
            undo.append(lambda: self._rows.__setitem__(key, old))
        else:
            undo.append(lambda: self._rows.__delitem__(key))
        self._rows[key] = row

    def drop(self, key: Key, undo: Undo) -> None:
        """Remove a row; harmless where there is none."""
        if key in self._rows:
            old = self._rows.pop(key)
            undo.append(lambda: self._rows.__setitem__(key, old))


def rewind(undo: Undo) -> None:
    """Take every step back, the latest first."""
    while undo:
        undo.pop()()
