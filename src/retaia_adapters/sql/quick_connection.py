"""A connection for the event loop's own thread, on which nothing takes longer than a moment."""

from __future__ import annotations

import sqlite3
import time
from math import inf
from pathlib import Path

from .sqlite_claims import SqliteTransaction
from .sqlite_session import SqliteSession, connect
from .transaction import Statements


class QuickConnection:
    """Waits for no other writer, and interrupts the statement that runs when the moment is over.

    Until 3.11, Python never uses a statement again that was interrupted while its rows were fetched: it
    prepares the text anew each time, which costs more than most queries do. So the connection is opened
    anew after an interruption.
    """

    def __init__(self, path: Path, statements: Statements, *, writing: bool, steps: int) -> None:
        self._path = path
        self._steps = steps
        self._until = inf
        self._interrupted = False
        self.session = SqliteSession(self._open(writing=writing), writing=writing)
        self.transaction = SqliteTransaction(self.session, statements)

    def _open(self, *, writing: bool) -> sqlite3.Connection:
        connection = connect(str(self._path), writing=writing)
        connection.execute("PRAGMA busy_timeout=0")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.set_progress_handler(self._is_over, self._steps)
        return connection

    def _is_over(self) -> bool:
        if time.monotonic() > self._until:
            self._interrupted = True
        return self._interrupted

    def begin(self, statement: str, seconds: float) -> None:
        """Begin a transaction, whose statements have this time from now."""
        self._until = time.monotonic() + seconds
        self.session.connection.execute(statement)

    def commit(self) -> None:
        """Commit, however long it takes: a commit that is interrupted at its very end is one."""
        self._until = inf
        self.session.connection.execute("COMMIT")

    def roll_back(self) -> None:
        """Take back what is open, and be ready for the next."""
        self._until = inf
        interrupted, self._interrupted = self._interrupted, False
        if self.session.connection.in_transaction:
            self.session.connection.execute("ROLLBACK")
        if interrupted:
            self._renew()

    def _renew(self) -> None:
        try:
            fresh = self._open(writing=self.session.writing)
        except sqlite3.Error:
            return  # the old one goes on, only slower
        self.close()
        self.session.connection = fresh

    def close(self) -> None:
        """Close the connection."""
        self.session.connection.close()
