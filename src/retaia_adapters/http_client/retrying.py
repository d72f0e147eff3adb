"""Trying again what is worth it: the contract's back-off, within a deadline."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from attrs import define, field, frozen

from retaia_core.domain.backoff import asked_s, backoff_s
from retaia_core.errors import TooManyAttempts, Unavailable

T = TypeVar("T")


@frozen(kw_only=True)
class Retries:
    """How long one call may go on; ``chance``, ``now`` (seconds) and ``sleep`` are its only surroundings.

    ``deadline_s`` counts from the first try, pauses included: a try under way is ended then, unless it
    moves a whole file. ``tries`` limits their number. None is without limit.
    """

    deadline_s: float | None = 300.0
    tries: int | None = None
    chance: Callable[[], float] = random.random
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep

    def start(self) -> Patience:
        """The patience for one call."""
        return Patience(self, self.now())

    async def run(
        self, attempt: Callable[[], Awaitable[T]], *, repeatable: bool, long: bool = False
    ) -> T:
        """Call until it works, or until trying again is of no use.

        Raises:
            Unavailable: the last one, when there is no time or no try left.
            RetaiaError: what the server said.
        """
        patience = self.start()
        while True:
            try:
                with anyio.fail_after(None if long else patience.left()):
                    return await attempt()
            except TimeoutError as error:
                raise Unavailable(
                    f"the server did not answer within {self.deadline_s:g} s"
                ) from error
            except Unavailable as error:
                if not repeatable or isinstance(error, TooManyAttempts):
                    raise  # a lock-out is not met with more attempts
                await patience.wait(error)


@define
class Patience:
    """What is left of a call's time and tries."""

    retries: Retries
    _started: float
    _tries: int = field(default=0, init=False)

    def left(self) -> float | None:
        """Seconds to the deadline."""
        if self.retries.deadline_s is None:
            return None
        return self._started + self.retries.deadline_s - self.retries.now()

    def renew(self) -> None:
        """Begin anew: something was got done."""
        self._started, self._tries = self.retries.now(), 0

    async def wait(self, error: Unavailable, *, at_least: float = 0.0) -> None:
        """Wait until the next try, ``at_least`` so many seconds.

        Raises:
            Unavailable: the one given; there is no next try.
        """
        self._tries += 1
        pause = backoff_s(
            self._tries, self.retries.chance(), at_least=max(at_least, asked_s(error))
        )
        left = self.left()
        if self._tries == self.retries.tries or (left is not None and pause >= left):
            raise error
        await self.retries.sleep(pause)


ONCE = Retries(deadline_s=None, tries=1)
"""For callers who know better when to try again."""
