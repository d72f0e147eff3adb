"""Short reads on the caller's own thread: going to another one and back costs more than they do.

A read is given a moment. Where that is not enough (a text search, a cold disk), it is interrupted and
left to the reading threads, so that an event loop is never held up for long.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from pathlib import Path
from typing import TypeVar

from retaia_core.ports.store import Work

from .quick_connection import QuickConnection
from .sqlite_session import explained
from .transaction import Statements

T = TypeVar("T")

MOMENT_S = 0.003
"""So long may a read take here; a page of the list of jobs takes about a millisecond."""

STRETCH_S = 0.005
"""So long may reads follow each other before others get the event loop."""

STEPS = 200
"""The clock is looked at after so many steps of SQLite's machine; a row of a list takes about 20."""

_TO_A_THREAD = (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class TooLong(Exception):
    """The read takes longer than a moment; nothing came of it."""


class QuickReader:
    """Runs reading functions on a connection of its own, each for a moment at most."""

    def __init__(self, path: Path, statements: Statements) -> None:
        self._connection = QuickConnection(path, statements, writing=False, steps=STEPS)
        self._lock = threading.Lock()
        self._pause_at = 0.0

    async def pause(self) -> None:
        """Let others have the event loop, where reads have kept it for a while."""
        if time.monotonic() > self._pause_at:
            await asyncio.sleep(0)
            self._pause_at = time.monotonic() + STRETCH_S

    def run(self, work: Work[T]) -> T:
        """Run a function on one snapshot.

        Raises:
            TooLong: it has to be run by another thread.
            StoreError, RetaiaError: as the port says.
        """
        if not self._lock.acquire(blocking=False):
            raise TooLong  # a second event loop uses the store
        try:
            self._connection.begin("BEGIN", MOMENT_S)
            return work(self._connection.transaction)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _TO_A_THREAD:
                raise TooLong from error
            raise explained(error) from error
        finally:
            self._connection.roll_back()
            self._lock.release()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()
