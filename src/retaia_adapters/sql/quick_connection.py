"""A connection for the event loop's own thread, on which nothing takes longer than a moment."""

from __future__ import annotations

import sqlite3
import threading
import time
from math import inf
from pathlib import Path

from .sqlite_claims import SqliteTransaction
from .sqlite_session import SqliteSession, connect, take_back
from .transaction import Statements

STEPS = 500
"""The clock is looked at after so many steps of SQLite's machine; a row of a list takes about 20."""


class QuickConnection:
    """Waits for no other writer, and interrupts the statement that runs when the moment is over.

    Reads and writes share it: what a write leaves in its cache need not be read again. ``lock`` is held
    by whoever uses it, in the one event loop or in another.

    Until 3.11, Python never uses a statement again that was interrupted while its rows were fetched: it
    prepares the text anew each time, which costs more than most queries do. So the connection is opened
    anew after an interruption.
    """

    def __init__(self, path: Path, statements: Statements) -> None:
        self.lock = threading.Lock()
        self._path = path
        self._until = inf
        self._interrupted = False
        self._connection = self._open()
        self._sessions = tuple(SqliteSession(self._connection, writing=w) for w in (False, True))
        self._transactions = tuple(SqliteTransaction(s, statements) for s in self._sessions)

    def _open(self) -> sqlite3.Connection:
        connection = connect(str(self._path), writing=True)
        connection.execute("PRAGMA busy_timeout=0")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.set_progress_handler(self._is_over, STEPS)
        return connection

    def _is_over(self) -> bool:
        if time.monotonic() > self._until:
            self._interrupted = True
        return self._interrupted

    def begin(self, seconds: float, *, writing: bool) -> SqliteTransaction:
        """Begin a transaction, whose statements have this time from now."""
        self._until = time.monotonic() + seconds
        self._connection.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
        return self._transactions[writing]

    @property
    def changes(self) -> int:
        """How many rows were changed on it so far."""
        return self._connection.total_changes

    def commit(self) -> None:
        """Commit, however long it takes: a commit that is interrupted at its very end is one."""
        self._until = inf
        self._connection.execute("COMMIT")

    def roll_back(self) -> None:
        """Take back what is open, and be ready for the next; where that fails, closing does it."""
        self._until = inf
        spoilt, self._interrupted = self._interrupted, False
        try:
            take_back(self._connection)
        except sqlite3.Error:
            spoilt = True
        if spoilt:
            self._renew()

    def _renew(self) -> None:
        try:
            fresh = self._open()
        except sqlite3.Error:
            return  # the old one goes on as it is
        self._connection.close()
        self._connection = fresh
        for session in self._sessions:
            session.connection = fresh

    def close(self) -> None:
        """Close the connection, once nobody uses it."""
        with self.lock:
            self._connection.close()
