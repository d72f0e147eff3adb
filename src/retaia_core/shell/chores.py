"""What a server does again and again: whatever goes wrong is told, and it is tried again."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio
from attrs import frozen

from ..errors import RetaiaError
from ..ports.clock import Clock
from ..usecases.vitals import Vitals

log = logging.getLogger("retaia")

WATCH_SECONDS = 5.0
"""How often a server looks whether something has to be done."""


@frozen(kw_only=True)
class Chores:
    """Runs chores so that the failure of one ends neither it nor another."""

    clock: Clock
    vitals: Vitals

    async def once(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Do a chore; an error is noted, and logged once (with its place, where nobody foresaw it).

        The log tells again when the chore fails for another reason, and when it works again.
        """
        try:
            await work()
        except RetaiaError as error:
            if self.vitals.failed(name, error.message, self.clock.now()):
                log.warning("%s: %s; it is tried again until it works", name, error)
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            if self.vitals.failed(name, said, self.clock.now()):
                log.exception("%s failed unexpectedly; it is tried again until it works", name)
        else:
            if (ended := self.vitals.well(name)) is not None:
                log.warning("%s works again; it had failed since %s", name, ended.since)

    async def always(
        self, name: str, seconds: float, work: Callable[[], Awaitable[object]]
    ) -> None:
        """Do a chore again and again, with a pause of so many seconds before each time."""
        while True:
            await anyio.sleep(seconds)
            await self.once(name, work)
