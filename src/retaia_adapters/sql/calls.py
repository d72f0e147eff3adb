"""Functions that wait to be run in a store's threads, and the answers that go back to their event loops."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from attrs import define, field

from retaia_core.errors import RetaiaError
from retaia_core.ports.store import SharedWork, Transaction, alone

Item = TypeVar("Item")


@define(eq=False)
class Run:
    """A function of one transaction, and what came of it."""

    work: Callable[[Transaction], Any]
    durable: bool
    committing: bool = field(default=False, init=False)
    answer: Any = field(default=None, init=False)
    error: BaseException | None = field(default=None, init=False)


@define(eq=False)
class Call(Run):
    """A function of one transaction that somebody waits for.

    ``shared`` is the function and the item of one that may be run for several callers at once.
    """

    shared: tuple[SharedWork[Any, Any], Any] | None = None
    loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop)
    future: asyncio.Future[Any] = field()

    @future.default
    def _new_future(self) -> asyncio.Future[Any]:
        return self.loop.create_future()

    @property
    def wanted(self) -> bool:
        """Whether somebody still waits for it."""
        return not self.future.done()

    def settle(self) -> None:
        """Hand over what came of it; runs in the event loop."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.answer)


def call_of(work: SharedWork[Item, Any], item: Item, *, durable: bool) -> Call:
    """A call that may be run together with others of the same function."""
    return Call(alone(work, item), durable, (work, item))


def together(calls: Sequence[Call]) -> Run:
    """One run for calls of the same shared function; its answer is the outcome of each."""
    items = []
    for call in calls:
        assert call.shared is not None
        work, item = call.shared
        items.append(item)

    def run(tx: Transaction) -> list[Any]:
        outcomes = list(work(tx, items))
        assert len(outcomes) == len(items), f"{work} answered {len(outcomes)} of {len(items)} items"
        return outcomes

    return Run(run, any(call.durable for call in calls))


def share_out(calls: Sequence[Call], outcomes: Sequence[Any]) -> None:
    """Give each call its outcome."""
    for call, outcome in zip(calls, outcomes, strict=True):
        if isinstance(outcome, RetaiaError):
            call.error = outcome
        else:
            call.answer = outcome


class Gatherings:
    """Calls of shared functions that wait while an earlier run of the same function is on its way.

    One run of a function at a time: those who come meanwhile are the next one's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[SharedWork[Any, Any], deque[Call]] = {}

    def add(self, call: Call) -> Gathering | None:
        """Let a call wait; returns the gathering where somebody must be told to run it."""
        assert call.shared is not None
        work = call.shared[0]
        with self._lock:
            waiting = self._waiting.get(work)
            if waiting is not None:
                waiting.append(call)
                return None
            self._waiting[work] = deque([call])
        return Gathering(self, work)

    def _take(self, work: SharedWork[Any, Any], most: int) -> list[Call]:
        with self._lock:
            waiting = self._waiting[work]
            return [waiting.popleft() for _ in range(min(most, len(waiting)))]

    def _only(self, work: SharedWork[Any, Any]) -> Call | None:
        with self._lock:
            waiting = self._waiting[work]
            return waiting[0] if len(waiting) == 1 else None

    def _over(self, work: SharedWork[Any, Any]) -> bool:
        with self._lock:
            if self._waiting[work]:
                return False
            del self._waiting[work]
            return True


@define(eq=False)
class Gathering:
    """The callers of one shared function."""

    _of: Gatherings
    _work: SharedWork[Any, Any]

    def only(self) -> Call | None:
        """The one who waits, where nobody else does; the first to be taken."""
        return self._of._only(self._work)

    def take(self, most: int) -> list[Call]:
        """Those who wait now, the first first; somebody must call `over` when they have their answers."""
        return self._of._take(self._work, most)

    def over(self) -> bool:
        """Whether nobody came meanwhile; else it must be run again."""
        return self._of._over(self._work)


def _settle(calls: Iterable[Call]) -> None:
    for call in calls:
        call.settle()


def deliver(calls: list[Call]) -> None:
    """Wake the event loop once for many answers."""
    loops = {call.loop for call in calls}
    for loop in loops:
        mine = calls if len(loops) == 1 else [call for call in calls if call.loop is loop]
        with contextlib.suppress(RuntimeError):  # it was closed: nobody is left to be told
            loop.call_soon_threadsafe(_settle, mine)
