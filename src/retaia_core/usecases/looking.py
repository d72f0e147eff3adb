"""Looks at storages that may never answer: a look has a deadline, and one storage holds up no other.

A share that hangs blocks the thread that touches it in the kernel, and nothing can interrupt that. So a
look runs in a thread of its own that nobody has to wait for, and a storage has one look under way at
most: while it has not come back, nobody begins another.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio
from attrs import define, field, frozen

from ..domain.health import Problem, silent
from ..domain.identifiers import StorageId
from .blocking import Blocking, in_thread_of_its_own

ANSWER_WITHIN_S = 30.0
"""Disks that sleep need so long to wake up."""

RESERVE_BYTES = 64 * 2**20


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
