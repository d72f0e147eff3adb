"""Work that a request began and that may go on after its answer: how far it is, and how it ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from attrs import define, field

from retaia_core.errors import RetaiaError, Unavailable
from retaia_core.usecases.proofs import Reading


@define(kw_only=True, eq=False)
class UnderWay:
    """A check of copies. ``reading`` is what is read just now; ``problem`` is why it ended without result."""

    reading: Reading | None = None
    problem: RetaiaError | None = None
    ended: anyio.Event = field(factory=anyio.Event)

    def tell(self, reading: Reading) -> None:
        """Called in the thread that reads."""
        self.reading = reading

    async def run(self, work: Callable[[], Awaitable[object]]) -> None:
        """Do the work; its refusal is kept for whoever asks."""
        self.problem = Unavailable("the check was cut off; ask for it again")
        try:
            await work()
            self.problem = None
        except RetaiaError as error:
            self.problem = error
        finally:
            self.ended.set()
