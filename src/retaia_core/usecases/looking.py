"""Looks at storages that may never answer: a look has a deadline, and one storage holds up no other.

A share that hangs blocks the thread that touches it in the kernel, and nothing can interrupt that. So a
look runs in a thread of its own that nobody has to wait for, and a storage has one look under way at
most: while it has not come back, nobody begins another.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.from_thread
import anyio.lowlevel
from attrs import define, field, frozen

from ..domain.health import Problem, silent
from ..domain.identifiers import StorageId
from .blocking import Blocking

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

ANSWER_WITHIN_S = 10.0
RESERVE_BYTES = 64 * 2**20


async def in_thread_of_its_own(function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    """Run a function in a thread that is left behind where the caller is cancelled.

    Only for what changes nothing: the function may go on, and end, later. The thread does not keep the
    program from ending.
    """
    ended, loop = anyio.Event(), anyio.lowlevel.current_token()
    answers: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            answers.append(function(*arguments))
        except BaseException as error:  # noqa: BLE001 - raised again where the answer is waited for
            errors.append(error)
        with suppress(RuntimeError):  # The event loop is gone, and nobody waits any more.
            anyio.from_thread.run_sync(ended.set, token=loop)

    threading.Thread(target=work, name="retaia look", daemon=True).start()
    await ended.wait()
    if errors:
        raise errors[0]
    return answers[0]


@frozen(kw_only=True)
class Looking:
    """How storages are looked at: seconds for an answer, and bytes below which a disk counts as full."""

    answer_within: float = ANSWER_WITHIN_S
    reserve: int = RESERVE_BYTES


@define(eq=False, kw_only=True)
class Looks:
    """The looks that are under way, one for each storage at most; what ``run`` runs may be abandoned."""

    run: Blocking = in_thread_of_its_own
    _turns: dict[StorageId, anyio.Lock] = field(factory=dict, init=False)
    _unanswered: set[StorageId] = field(factory=set, init=False)

    async def ask(
        self, storage_id: StorageId, answer: Callable[[], Problem | None], within: float
    ) -> Problem | None:
        """What a look finds; `silent` where it, or the one before, has not answered in time (s)."""
        async with self._turns.setdefault(storage_id, anyio.Lock()):
            if storage_id in self._unanswered:
                return silent(within)
            self._unanswered.add(storage_id)

            def look() -> Problem | None:
                try:
                    return answer()
                finally:
                    self._unanswered.discard(storage_id)

            with anyio.move_on_after(within):
                return await self.run(look)
            return silent(within)
