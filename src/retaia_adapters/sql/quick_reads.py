"""Short reads on the caller's own thread: going to another one and back costs more than they do.

A read is given a moment. Where that is not enough (a text search, a cold disk), it is interrupted and
left to the reading threads, so that an event loop is never held up for long.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from typing import TypeVar

from retaia_core.ports.store import Work

from .quick_connection import QuickConnection
from .sqlite_session import explained

T = TypeVar("T")

MOMENT_S = 0.003
"""So long may a read take here; a page of the list of jobs takes about a millisecond."""

STRETCH_S = 0.005
"""So long may reads follow each other before others get the event loop."""

_TO_A_THREAD = (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class TooLong(Exception):
    """The read takes longer than a moment; nothing came of it."""


class QuickReader:
    """Runs reading functions, each for a moment at most."""

    def __init__(self, connection: QuickConnection) -> None:
        self._connection = connection
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
        if not self._connection.lock.acquire(blocking=False):
            raise TooLong  # a second event loop uses the store
        before = self._connection.changes
        try:
            answer = work(self._connection.begin(MOMENT_S, writing=False))
            if self._connection.changes != before:
                raise TooLong  # it wrote: a reading thread, which cannot, says what that means
            return answer
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _TO_A_THREAD:
                raise TooLong from error
            raise explained(error) from error
        finally:
            self._connection.roll_back()
            self._connection.lock.release()
