"""Functions that wait to be run in a store's threads, and the answers that go back to their event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from attrs import define, field

from retaia_core.ports.store import Transaction


@define(eq=False)
class Call:
    """A function of one transaction that somebody waits for."""

    work: Callable[[Transaction], Any]
    durable: bool
    loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop)
    future: asyncio.Future[Any] = field()
    committing: bool = False
    answer: Any = None
    error: BaseException | None = None

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


def _settle(calls: Iterable[Call]) -> None:
    for call in calls:
        call.settle()


def deliver(calls: list[Call]) -> None:
    """Wake the event loop once for many answers."""
    loops = {call.loop for call in calls}
    for loop in loops:
        mine = calls if len(loops) == 1 else [call for call in calls if call.loop is loop]
        if not loop.is_closed():  # where it is, nobody is left to be told
            loop.call_soon_threadsafe(_settle, mine)
