"""The server's own rolling verification: a little of what waited longest, again and again."""

from __future__ import annotations

from datetime import timedelta

from attrs import frozen

from ..domain.actors import SYSTEM
from ..domain.verifying import VerifyOptions, VerifyReport
from .fixity import Verification
from .pacing import Pace

ROUNDS_A_DAY = 24
"""A round reads this share of a day's budget, so that no hour of the day is busier than another."""


@frozen(kw_only=True)
class Scrub:
    """Verifies what was not looked at for ``after_days`` (0: nothing ever), within a daily budget."""

    verification: Verification
    after_days: int = 0
    bytes_per_day: int = 0
    bytes_per_second: float = 0.0

    async def round(self) -> VerifyReport | None:
        """Read a share of the day's budget; None where scrubbing is off.

        An asset is begun while some of the share is left, so that no file is too large for ever.
        """
        if not self.after_days:
            return None
        options = VerifyOptions(
            older_than=timedelta(days=self.after_days),
            budget=max(1, self.bytes_per_day // ROUNDS_A_DAY),
        )
        return await self.verification.run(options, SYSTEM, Pace(rate=self.bytes_per_second))
