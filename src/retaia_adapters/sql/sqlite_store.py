"""The store on SQLite: one thread writes, a few read, and commits are shared.

The writing thread takes every function that waits, runs each within a savepoint of one transaction and
commits once (but see `quick_writes`); nobody gets an answer before the commit. A function that raises
takes back only its own savepoint. Where one of them is durable, the whole commit is synced to the disk.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections import deque
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import anyio.to_thread

from retaia_core.errors import StoreError
from retaia_core.ports.store import SharedWork, Store, Transaction, Work

from . import lockfile, migrate, sqlite_file
from .calls import Call, Run, call_of, deliver, share_out, together
from .dialects import SQLITE
from .quick_connection import QuickConnection
from .quick_reads import QuickReader, TooLong
from .quick_writes import Chore, LeftOver, QuickWriter
from .sqlite_claims import SqliteTransaction
from .sqlite_session import SqliteSession, connect, explained, take_back
from .transaction import Statements

Item = TypeVar("Item")
T = TypeVar("T")

GROUP = 256
"""How many functions share a commit at most."""

GROUP_SECONDS = 0.05
"""After this time a group takes in no further function."""

READERS = min(4, os.cpu_count() or 1)


class SqliteStore(Store):
    """A store in one SQLite file; ``server`` says that no other server may use the file."""

    def __init__(self, path: Path, *, server: bool) -> None:
        self._path = path
        self._server = server
        self._statements = Statements.build(SQLITE)
        self._writes: SimpleQueue[Call | None] = SimpleQueue()
        self._reads: SimpleQueue[Call | Chore | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._quick: QuickConnection | None = None
        self._quick_reads: QuickReader | None = None
        self._quick_writes: QuickWriter | None = None
        self._lock: lockfile.ServerLock | None = None

    async def prepare(self) -> None:
        """Make the file where it is not there, migrate it, and start the threads.

        Raises:
            StoreError: another server uses the file, it is from a newer version, or it is no database.
            StoreUnavailable: the disk does not answer.
        """
        if not self._threads:
            await anyio.to_thread.run_sync(self._prepare)

    async def transact(self, work: Work[T], *, durable: bool = True) -> T:
        """Run a function in a write transaction; cancelling stops the waiting, not the commit.

        Raises:
            StoreUnavailable, RetaiaError: as the port says; nothing was changed.
        """
        answer: T = await self._ask(self._writes, Call(work, durable))
        return answer

    async def transact_shared(
        self, work: SharedWork[Item, T], item: Item, *, durable: bool = True
    ) -> T:
        """Run a function once for all who wait for it: in the event loop where that takes a moment.

        Raises:
            StoreUnavailable, RetaiaError: as the port says; nothing was changed for this item.
        """
        if not durable and self._quick_writes is not None and self._writes.empty():
            with contextlib.suppress(LeftOver):
                return await self._quick_writes.run(work, item)
        answer: T = await self._ask(self._writes, call_of(work, item, durable=durable))
        return answer

    async def read(self, work: Work[T]) -> T:
        """Run a function that only reads, on one snapshot.

        Raises:
            StoreError: the function tried to write.
        """
        quick = self._quick_reads
        if quick is not None:
            await quick.pause()
        if quick is not None and quick is self._quick_reads:  # the store was not closed meanwhile
            with contextlib.suppress(TooLong):
                return quick.run(work)
        answer: T = await self._ask(self._reads, Call(work, durable=False))
        return answer

    async def _ask(self, queue: SimpleQueue[Any], call: Call) -> Any:
        if not self._threads:
            raise StoreError(
                "the store is not open; call prepare() first, and nothing after close()"
            )
        queue.put(call)
        return await call.future

    async def close(self) -> None:
        """Finish what waits, then close the file."""
        threads, self._threads = self._threads, []
        self._quick_reads = None
        if self._quick_writes is not None:
            self._quick_writes.close()
            self._quick_writes = None
        if self._quick is not None:
            self._quick.close()
            self._quick = None
        if threads:
            await anyio.to_thread.run_sync(self._close, threads)
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _close(self, threads: list[threading.Thread]) -> None:
        self._writes.put(None)
        for _ in threads[1:]:
            self._reads.put(None)
        for thread in threads:
            thread.join()

    def _prepare(self) -> None:
        try:
            sqlite_file.make(self._path)
            if self._server:
                self._lock = lockfile.take(self._lock_path)
            self._migrate()
            writer = connect(str(self._path), writing=True)
            readers = [connect(str(self._path), writing=False) for _ in range(READERS)]
            self._quick = QuickConnection(self._path, self._statements)
            self._quick_reads = QuickReader(self._quick)
            self._quick_writes = QuickWriter(self._quick, tidy=self._reads.put)
        except sqlite3.Error as error:
            self._give_up()
            raise explained(error) from error
        except BaseException:
            self._give_up()
            raise
        self._threads = [
            threading.Thread(target=target, args=(connection,), name=name, daemon=True)
            for target, connection, name in (
                (self._write_loop, writer, "store-writer"),
                *((self._read_loop, reader, "store-reader") for reader in readers),
            )
        ]
        for thread in self._threads:
            thread.start()

    def _give_up(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @property
    def _lock_path(self) -> Path:
        return self._path.with_name(self._path.name + ".lock")

    def _migrate(self) -> None:
        if sqlite_file.revision(self._path) == migrate.HEAD:
            return
        # Nobody else may be at work on the old schema meanwhile, and no server wait for the new one.
        lock = None if self._server else lockfile.take(self._lock_path)
        try:
            sqlite_file.upgrade(self._path)
        finally:
            if lock is not None:
                lock.release()

    # The writing thread

    def _write_loop(self, connection: sqlite3.Connection) -> None:
        session = SqliteSession(connection, writing=True)
        writer = _Writer(connection, SqliteTransaction(session, self._statements))
        waiting: deque[Call] = deque()
        while (first := self._writes.get()) is not None:
            waiting.append(first)
            self._drain(waiting)
            while waiting:
                deliver(writer.run(waiting))
                self._drain(waiting)
        sqlite_file.leave(connection)

    def _drain(self, waiting: deque[Call]) -> None:
        while len(waiting) < GROUP:
            try:
                following = self._writes.get_nowait()
            except Empty:
                return
            if following is None:
                self._writes.put(None)
                return
            waiting.append(following)

    # The reading threads

    def _read_loop(self, connection: sqlite3.Connection) -> None:
        session = SqliteSession(connection, writing=False)
        transaction = SqliteTransaction(session, self._statements)
        while (asked := self._reads.get()) is not None:
            if not isinstance(asked, Call):
                asked(connection)
            elif asked.wanted:
                _read(connection, transaction, asked)
                deliver([asked])
        connection.close()


class _Writer:
    """Runs groups of functions on the one writing connection."""

    def __init__(self, connection: sqlite3.Connection, transaction: Transaction) -> None:
        self._connection = connection
        self._transaction = transaction
        self._synced = False

    def run(self, waiting: deque[Call]) -> list[Call]:
        """Run functions from the queue and commit once; returns those that have their answer."""
        try:
            self._begin(durable=any(call.durable for call in waiting))
        except sqlite3.Error as error:
            group = list(waiting)
            waiting.clear()
            return _failed(group, error)
        return self._run_group(waiting)

    def _run_group(self, waiting: deque[Call]) -> list[Call]:
        group: list[Call] = []
        try:
            self._run_each(waiting, group)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):  # the next group begins with it, or is told
                take_back(self._connection)
            if len(group) <= 1:
                return _failed(group, error)
            # One function's trouble (a full disk, say) must not be another's: each tries alone.
            for call in group:
                self.run(deque([call]))
        return group

    def _begin(self, *, durable: bool) -> None:
        take_back(self._connection)
        if durable is not self._synced:
            # This can change only between transactions.
            self._connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._synced = durable
        self._connection.execute("BEGIN IMMEDIATE")

    def _run_each(self, waiting: deque[Call], group: list[Call]) -> None:
        alone = len(waiting) == 1
        until = time.monotonic() + GROUP_SECONDS
        while waiting and (not group or time.monotonic() < until):
            calls = _next_of(waiting)
            group += calls
            wanted = [call for call in calls if call.wanted]
            if alone and wanted:
                self._run_alone(wanted[0])
            elif wanted:
                self._run_together(wanted)

    def _run_alone(self, call: Call) -> None:
        if not self._attempt(call):
            self._connection.execute("ROLLBACK")
            self._connection.execute("BEGIN")  # for the commit that follows, of nothing

    def _run_together(self, calls: list[Call]) -> None:
        """Run a function among others; a shared one once for its callers, or for each where it raised."""
        if len(calls) > 1:
            run = together(calls)
            self._run_among_others(run)
            if run.error is None:
                return share_out(calls, run.answer)
        for call in calls:
            self._run_among_others(call)
        return None

    def _run_among_others(self, run: Run) -> None:
        self._connection.execute("SAVEPOINT one")
        if not self._attempt(run):
            self._connection.execute("ROLLBACK TO one")
        self._connection.execute("RELEASE one")

    def _attempt(self, run: Run) -> bool:
        """Run one function; says whether what it wrote is to be kept."""
        run.answer = run.error = None
        try:
            run.answer = run.work(self._transaction)
        except sqlite3.Error as error:
            if not self._connection.in_transaction:
                raise  # SQLite gave up the whole transaction
            run.error = explained(error)
            run.error.__cause__ = error
            return False
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is awaited
            run.error = error
            return False
        return True


def _next_of(waiting: deque[Call]) -> list[Call]:
    """Take the next call, and with a shared function all who wait for the same."""
    first = waiting.popleft()
    if first.shared is None:
        return [first]
    mates = [c for c in waiting if c.shared is not None and c.shared[0] == first.shared[0]]
    for mate in mates:
        waiting.remove(mate)
    return [first, *mates]


def _read(connection: sqlite3.Connection, transaction: Transaction, call: Call) -> None:
    try:
        take_back(connection)
        connection.execute("BEGIN")
        call.answer = call.work(transaction)
    except sqlite3.Error as error:
        call.error = explained(error)
        call.error.__cause__ = error
    except BaseException as error:  # noqa: BLE001 - it is raised again where it is awaited
        call.error = error
    finally:
        with contextlib.suppress(sqlite3.Error):  # the next begins with it, or is told
            take_back(connection)


def _failed(group: list[Call], error: sqlite3.Error) -> list[Call]:
    for call in group:
        call.answer, call.error = None, explained(error)
        call.error.__cause__ = error
    return group
