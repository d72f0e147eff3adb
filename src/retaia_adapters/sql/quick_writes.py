"""Short shared writes in the event loop itself, where nobody else writes: no thread is woken for them.

Those who come in one turn of the loop share a commit; a task that asks again and again gives way now
and then. The commit is never synced here, and waits for nobody: what takes longer than a moment, finds
another writer at work or fails for any reason is taken back and left to the writing thread, which runs
it anew. Checkpoints, which do wait for the disk, are a reading thread's.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from asyncio import AbstractEventLoop, Task, current_task, get_running_loop, sleep
from collections.abc import Callable
from typing import Any, Final, TypeVar

from attrs import define

from retaia_core.errors import RetaiaError
from retaia_core.ports.store import SharedWork

from .quick_connection import QuickConnection

log = logging.getLogger("retaia.store")

MOMENT_S = 0.005
"""So long may a group take here."""

TURN_S = 0.001
"""So long may one task write here before the loop turns."""

GROUP = 32
"""Of more callers at once the writing thread takes care."""

ROUND = 1000
"""After so many commits, of a few pages each, a thread is asked for a checkpoint."""

Item = TypeVar("Item")
T = TypeVar("T")
MISSING: Final = object()

Chore = Callable[[sqlite3.Connection], None]
"""Something for a thread that is no transaction; it raises nothing."""

_Key = tuple[AbstractEventLoop, SharedWork[Any, Any]]


class LeftOver(Exception):
    """Nothing came of it here; the writing thread has to run it."""


@define(eq=False)
class _Caller:
    """Somebody with an item, and what came of it; `MISSING` where nothing did."""

    item: Any
    ran: bool = False
    outcome: Any = MISSING


class QuickWriter:
    """Runs shared functions, each for a moment at most.

    ``tidy`` asks a thread, not the one that others may wait for to write, for a `checkpoint`.
    """

    def __init__(self, connection: QuickConnection, *, tidy: Callable[[Chore], None]) -> None:
        self._connection = connection
        self._tidy = tidy
        self._last: Task[Any] | None = None
        self._turn_until = 0.0
        self._waiting: dict[_Key, list[_Caller]] = {}
        self._commits = 0
        self._closed = False

    async def run(self, work: SharedWork[Item, T], item: Item) -> T:
        """Run a function for an item, and for those who come with theirs before the loop turns.

        Raises:
            LeftOver: it has to be run by the writing thread.
            RetaiaError: the outcome of the item.
        """
        caller = _Caller(item)
        if self._must_give_way():
            await self._gather(work, caller)
        else:
            self._run(work, [caller])
        if caller.outcome is MISSING:
            raise LeftOver
        if isinstance(caller.outcome, RetaiaError):
            raise caller.outcome
        answer: T = caller.outcome
        return answer

    def _must_give_way(self) -> bool:
        """Whether the loop must turn first: another task asked last, or this one for a while."""
        task, now = current_task(), time.monotonic()
        if task is self._last and now < self._turn_until:
            return False
        self._last, self._turn_until = task, now + TURN_S
        return True

    async def _gather(self, work: SharedWork[Any, Any], caller: _Caller) -> None:
        """Run a function for a caller, and for those who come before the loop turns."""
        key = get_running_loop(), work
        callers = self._waiting.setdefault(key, [])
        callers.append(caller)
        try:
            await sleep(0)
        except BaseException:
            callers.remove(caller)
            raise
        if not caller.ran:
            self._run(work, self._waiting.pop(key))

    def _run(self, work: SharedWork[Any, Any], callers: list[_Caller]) -> None:
        for caller in callers:
            caller.ran = True
        lock = self._connection.lock
        if len(callers) <= GROUP and not self._closed and lock.acquire(blocking=False):
            try:
                self._attempt(work, callers)
            finally:
                lock.release()

    def _attempt(self, work: SharedWork[Any, Any], callers: list[_Caller]) -> None:
        try:
            tx = self._connection.begin(MOMENT_S, writing=True)
            outcomes = work(tx, [caller.item for caller in callers])
            answered = [*zip(callers, outcomes, strict=True)]
            self._connection.commit()
        except Exception:  # noqa: BLE001 - the writing thread meets it again, and tells the caller
            self._connection.roll_back()
            return
        for caller, outcome in answered:
            caller.outcome = outcome
        self._commits += 1
        if self._commits % ROUND == 0:
            self._tidy(self.checkpoint)

    def checkpoint(self, connection: sqlite3.Connection) -> None:
        """Move what was written to its place in the file: most of it while others go on writing.

        The rest, and so the whole, while nobody writes here: only then does the log begin anew.
        """
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            with self._connection.lock:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            log.warning("the database's log is left as long as it is: %s", error)

    def close(self) -> None:
        """Write nothing more; who waits still is left to the writing thread."""
        with self._connection.lock:
            self._closed = True
