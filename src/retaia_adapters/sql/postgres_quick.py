"""Short shared writes in the event loop itself, while nobody else asks for the same: no thread is woken.

Going to a thread and back costs as much as a claim on a database that is near. A function is given a
moment; what takes longer, meets another's lock or fails for any reason is taken back and left to the
threads, which run it anew. A commit that is on its way is never given up: a thread waits for its end.
"""

from __future__ import annotations

import contextlib
import threading
import time

import psycopg

from .calls import Run
from .postgres_claims import PostgresTransaction, PostgresWays
from .postgres_session import PostgresSession, connect, explained
from .postgres_wire import TooLong, Wire
from .transaction import Statements

MOMENT_S = 0.005
"""So long may a function take here, and then its commit."""

PAUSE_S = 0.1
"""After one that took longer, nothing is tried here for so long."""

NEAR_S = 0.0005
"""A database whose answer takes longer than this is left to the threads."""

FAR_PAUSE_S = 10.0
"""For so long, then it is looked at again: it may only have been busy."""

_PINGS = 5
_SETTINGS = f"SET synchronous_commit = off; SET lock_timeout = {round(MOMENT_S * 1000)}"


class QuickWriter:
    """Runs one function at a time on a connection of its own, which a thread opens.

    Nobody else may use it from `run`, where that is true, to the end of `finish`.
    """

    def __init__(self, url: str, statements: Statements, ways: PostgresWays) -> None:
        self._url = url
        self._statements = statements
        self._ways = ways
        self._wire: Wire | None = None
        self._not_before = 0.0
        self._busy = threading.Lock()
        self._closed = False

    def run(self, call: Run) -> bool:
        """Run a function and send its commit; False where nothing came of it."""
        if time.monotonic() < self._not_before or not self._busy.acquire(blocking=False):
            return False
        if self._wire is None or self._wire.hung_up():
            # It lets go of the lock.
            threading.Thread(target=self._open, name="store-opener", daemon=True).start()
            return False
        sent = False
        try:
            sent = self._attempt(self._wire, call)
        finally:
            if not sent:
                self._busy.release()
        return sent

    def _attempt(self, wire: Wire, call: Run) -> bool:
        wire.until = time.monotonic() + MOMENT_S
        try:
            session = PostgresSession(wire, writing=True)
            call.answer = call.work(PostgresTransaction(session, self._statements, self._ways))
        except Exception:  # noqa: BLE001 - a thread meets it again, and tells the caller
            self._take_back(wire)
            return False
        except BaseException:
            self._let_go()  # the process is about to end
            raise
        with contextlib.suppress(psycopg.Error):  # the connection is lost, as `finish` will see
            wire.send_commit()
        return True

    def _take_back(self, wire: Wire) -> None:
        now = time.monotonic()
        if wire.until is not None and wire.until < now:
            self._not_before = now + PAUSE_S
        wire.until = now + MOMENT_S
        try:
            wire.roll_back()
        except (psycopg.Error, TooLong):  # it tells once more what went wrong before
            if not wire.alive or not wire.idle:
                self._let_go()

    def ended(self) -> bool:
        """Whether the commit ended within a moment."""
        assert self._wire is not None
        try:
            return self._wire.answers(MOMENT_S)
        except psycopg.Error:  # the connection is lost, as `finish` will see
            return True

    def finish(self, call: Run) -> bool:
        """Read what came of the commit, however long that takes; False where nothing did."""
        wire = self._wire
        assert wire is not None
        wire.until = None
        try:
            wire.settle()
        except psycopg.Error as error:
            if wire.alive:
                return False
            self._let_go()  # nobody knows whether it was committed
            call.error = explained(error)
            call.error.__cause__ = error
        finally:
            self._busy.release()
        return True

    def _open(self) -> None:
        """Open the connection, where the database is near enough to be waited for here."""
        self._let_go()
        try:
            if not self._closed:
                wire = connect(self._url, writing=True, settings=_SETTINGS)
                near = min(_ping(wire) for _ in range(_PINGS)) <= NEAR_S
                self._not_before = 0.0 if near else time.monotonic() + FAR_PAUSE_S
                self._wire = wire
                if not near:
                    self._let_go()
        except psycopg.Error:
            self._not_before = time.monotonic() + PAUSE_S  # the threads meet it too, and tell
        finally:
            self._busy.release()

    def _let_go(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def close(self) -> None:
        """Close the connection."""
        self._closed = True
        with self._busy:
            self._let_go()


def _ping(wire: Wire) -> float:
    start = time.monotonic()
    wire.finish()
    return time.monotonic() - start
