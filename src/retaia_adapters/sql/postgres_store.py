"""The store on PostgreSQL: a few threads, each with a connection of its own (but see `postgres_quick`)."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from typing import Any, TypeVar

import anyio.to_thread
import psycopg
from attrs import define, field, frozen
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from retaia_core.errors import RetaiaError, StoreError, StoreUnavailable
from retaia_core.ports.store import SharedWork, Store, Work

from . import migrate
from .calls import Call, Gathering, Gatherings, Run, call_of, deliver, share_out, together
from .dialects import POSTGRES
from .postgres_claims import PostgresTransaction, PostgresWays
from .postgres_quick import QuickWriter
from .postgres_session import PostgresSession, connect, explained, worth_a_new_try
from .postgres_wire import Wire
from .queues import WarmestFirst
from .session import Again
from .transaction import Statements

Item = TypeVar("Item")
T = TypeVar("T")
Queue = WarmestFirst["Call | Gathering | _Ending | None"]

WRITERS = 6
READERS = 4
GROUP = 256
"""How many callers share a run at most."""

TRIES = 10
"""How often a function is run where others keep coming in between."""

_MIGRATION_LOCK = 0x52455441_49410001
"""Lets one of several servers migrate."""


class PostgresStore(Store):
    """A store in a PostgreSQL database, which several servers may share."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._statements = Statements.build(POSTGRES)
        self._ways = PostgresWays()
        self._writes: Queue = WarmestFirst()
        self._reads: Queue = WarmestFirst()
        self._gatherings = Gatherings()
        self._quick = QuickWriter(url, self._statements, self._ways)
        self._writers: list[threading.Thread] = []
        self._readers: list[threading.Thread] = []

    async def prepare(self) -> None:
        """Migrate the database and start the threads.

        Raises:
            StoreError: the database is from a newer version, or holds other tables.
            StoreUnavailable: it does not answer.
        """
        if not self._writers:
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
        """Run a function once for all who wait for it while its last run is on its way.

        It is run in the event loop, where it is one caller's and takes a moment.

        Raises:
            StoreUnavailable, RetaiaError: as the port says; nothing was changed for this item.
        """
        self._must_be_open()
        call = call_of(work, item, durable=durable)
        gathering = self._gatherings.add(call)
        if gathering is not None:
            # Those who come before the loop turns are asked together with it.
            call.loop.call_soon(self._run_here, gathering)
        answer: T = await call.future
        return answer

    def _run_here(self, gathering: Gathering) -> None:
        """Run a function for its only caller here and now, or leave it to a thread."""
        call = gathering.only()
        if call is None or call.durable or not call.wanted or not self._quick.run(call):
            self._writes.put(gathering)
        elif not self._quick.ended():
            self._writes.put(_Ending(self._quick, call, gathering))
        else:
            if self._quick.finish(call):
                gathering.take(1)
                call.settle()
            if not gathering.over():
                self._writes.put(gathering)

    async def read(self, work: Work[T]) -> T:
        """Run a function that only reads, on one snapshot.

        Raises:
            StoreError: the function tried to write.
        """
        answer: T = await self._ask(self._reads, Call(work, durable=False))
        return answer

    async def _ask(self, queue: Queue, call: Call) -> Any:
        self._must_be_open()
        queue.put(call)
        return await call.future

    def _must_be_open(self) -> None:
        if not self._writers:
            raise StoreError(
                "the store is not open; call prepare() first, and nothing after close()"
            )

    async def close(self) -> None:
        """Finish what waits, then close the connections."""
        writers, self._writers = self._writers, []
        readers, self._readers = self._readers, []
        if writers:
            await asyncio.sleep(0)  # for what was asked for in this turn of the loop
            await anyio.to_thread.run_sync(self._close, writers, readers)

    def _close(self, writers: list[threading.Thread], readers: list[threading.Thread]) -> None:
        for queue, threads in ((self._writes, writers), (self._reads, readers)):
            for _ in threads:
                queue.put(None)
        for thread in (*writers, *readers):
            thread.join()
        self._quick.close()

    def _prepare(self) -> None:
        try:
            if self._revision() != migrate.HEAD:
                self._upgrade()
        except psycopg.Error as error:
            raise explained(error) from error
        self._writers = [self._thread(self._writes, writing=True) for _ in range(WRITERS)]
        self._readers = [self._thread(self._reads, writing=False) for _ in range(READERS)]

    def _revision(self) -> str | None:
        with psycopg.connect(self._url, connect_timeout=10) as connection:
            known = connection.execute("SELECT to_regclass('alembic_version')").fetchone()
            if known is None or known[0] is None:
                return None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            return None if row is None else str(row[0])

    def _upgrade(self) -> None:
        engine = create_engine(
            "postgresql+psycopg://", creator=lambda: psycopg.connect(self._url), poolclass=NullPool
        )
        with engine.begin() as connection:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            migrate.upgrade(connection)

    def _thread(self, queue: Queue, *, writing: bool) -> threading.Thread:
        worker = _Worker(self._url, self._statements, self._ways, writing=writing)
        name = "store-writer" if writing else "store-reader"
        thread = threading.Thread(target=_work, args=(worker, queue), name=name, daemon=True)
        thread.start()
        return thread


@frozen
class _Ending:
    """A commit that takes longer than the event loop can wait for it."""

    _quick: QuickWriter
    _call: Call
    _gathering: Gathering

    def wait(self) -> Gathering:
        """Wait for its end, and tell the caller; returns those who came meanwhile."""
        if self._quick.finish(self._call):
            self._gathering.take(1)
            deliver([self._call])
        return self._gathering


def _work(worker: _Worker, queue: Queue) -> None:
    while (waiting := queue.get()) is not None:
        if isinstance(waiting, _Ending):
            waiting = waiting.wait()
        if isinstance(waiting, Gathering):
            _run_gathering(worker, waiting)
        elif waiting.wanted:
            worker.run(waiting)
            deliver([waiting])
            worker.end_read()
    worker.close()


def _run_gathering(worker: _Worker, gathering: Gathering) -> None:
    """Run a shared function for those who wait for it, until nobody does."""
    while not gathering.over():
        calls = [call for call in gathering.take(GROUP) if call.wanted]
        _run_together(worker, calls)
        deliver(calls)


def _run_together(worker: _Worker, calls: list[Call]) -> None:
    """Run a shared function once for several callers, or for each alone where it raised."""
    if len(calls) > 1:
        run = together(calls)
        worker.run(run)
        if run.error is None:
            return share_out(calls, run.answer)
        if isinstance(run.error, StoreUnavailable):
            return share_out(calls, [run.error] * len(calls))
    for call in calls:
        worker.run(call)
    return None


@define
class _Worker:
    """Runs functions on one connection, which it opens again when it was lost."""

    _url: str
    _statements: Statements
    _ways: PostgresWays
    _writing: bool = field(kw_only=True)
    _wire: Wire | None = None
    _synced: bool = True
    _read_ends: bool = False

    def run(self, call: Run) -> None:
        """Run one function to its answer or error."""
        try:
            call.answer = self._run(call)
        except psycopg.Error as error:
            call.error = explained(error)
            call.error.__cause__ = error
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is awaited
            call.error = error

    def _run(self, call: Run) -> object:
        for left in reversed(range(TRIES)):
            fresh = self._wire is None
            try:
                return self._attempt(self._connected(), call)
            except (psycopg.Error, Again) as error:
                lost = self._lost()
                # A connection that was opened long ago may be dead without anybody's fault.
                stale = lost and not fresh and not call.committing
                if not left or not (stale or isinstance(error, Again) or worth_a_new_try(error)):
                    raise _final(error) from error
                if not stale:
                    time.sleep(random.uniform(0, 0.002 * 2 ** (TRIES - left)))
        raise AssertionError("the last try returns or raises")

    def _connected(self) -> Wire:
        if self._wire is not None and self._wire.hung_up():
            self.close()
        if self._wire is None:
            self._wire = connect(self._url, writing=self._writing)
            self._synced = True
        return self._wire

    def _lost(self) -> bool:
        """Let go of a connection that was lost; says whether it was."""
        if self._wire is not None and not self._wire.alive:
            self.close()
        return self._wire is None

    def _attempt(self, wire: Wire, call: Run) -> object:
        call.committing = False
        try:
            self._begin(wire, durable=call.durable)
            session = PostgresSession(wire, writing=self._writing)
            answer = call.work(PostgresTransaction(session, self._statements, self._ways))
            if self._writing or not wire.answered:
                call.committing = True
                wire.commit()
            else:
                self._read_ends = True
                with contextlib.suppress(psycopg.Error):  # `end_read` meets it again
                    wire.send_commit()
        except BaseException:
            _roll_back(wire)
            raise
        return answer

    def end_read(self) -> None:
        """Wait for the end of a read: after its answer was handed over, which does not depend on it."""
        ends, self._read_ends = self._read_ends, False
        if ends and self._wire is not None:
            with contextlib.suppress(psycopg.Error):  # it is lost: the next one opens another
                self._wire.settle()
            self._lost()

    def _begin(self, wire: Wire, *, durable: bool) -> None:
        """Begin what is not begun by the first statement alone."""
        if not self._writing:
            wire.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        elif durable is not self._synced:
            wire.send(f"SET synchronous_commit = {'on' if durable else 'off'}")
            wire.finish()
            self._synced = durable

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None


def _roll_back(wire: Wire) -> None:
    """Leave no transaction open, whatever became of the queries on their way."""
    with contextlib.suppress(psycopg.Error):  # what went wrong is being raised already
        wire.roll_back()


def _final(error: psycopg.Error | Again) -> psycopg.Error | RetaiaError:
    if isinstance(error, Again):
        return StoreUnavailable("others were at the same rows each time; try again")
    return error
