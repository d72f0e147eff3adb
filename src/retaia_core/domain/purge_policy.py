"""The automatic purge policy: when a rejected asset is due (domain.md, *Reopen, reprocess, purge*).

A wall clock can jump by years, and then everything looks old enough. So an asset is due only when both
hold: it was rejected long enough ago by the clock, and the server itself has seen enough different days
since, with the policy on. A jump makes one day of it, however far it goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from attrs import field, frozen

from .journal import Event

AFTER_DAYS = 180
"""How many days after its rejection an asset is due, where nothing else is set."""

SEEN_DAYS = 30
"""How many different days the server must have seen since, at most; fewer where fewer days are set."""

DAY = "purge_policy.day"
OFF = "purge_policy.off"
"""What the audit trail has of the policy: each day on which it was seen on, and when it was seen off."""


@frozen(kw_only=True)
class PolicyDays:
    """The days that were seen with the policy on, since it was off last, with the number of their event."""

    days: tuple[tuple[int, date], ...] = field(factory=tuple)

    def since(self, seq: int) -> int:
        """How many different days were seen after an event."""
        return len({day for at, day in self.days if at > seq})

    def has(self, day: date) -> bool:
        """Whether a day was seen."""
        return any(seen == day for _, seen in self.days)


def days_of(events: Iterable[Event]) -> PolicyDays:
    """Read the policy's own trail."""
    days: list[tuple[int, date]] = []
    for event in events:
        if event.name == OFF:
            days.clear()
        elif event.name == DAY:
            days.append((event.seq, event.at.date()))
    return PolicyDays(days=tuple(days))


@frozen(kw_only=True)
class Rejection:
    """When an asset was rejected and found among the rejects last, and the number of that event."""

    at: datetime
    seq: int


def needed_days(after_days: int) -> int:
    """How many different days must be seen.

    >>> needed_days(180), needed_days(7)
    (30, 7)
    """
    return min(after_days, SEEN_DAYS)


def due_at(rejection: Rejection, days: PolicyDays, after_days: int, now: datetime) -> datetime:
    """When an asset is due; ``now`` or earlier means that it is.

    The days that are still to be seen are counted from tomorrow on, as if the server ran on each.
    """
    by_clock = rejection.at + timedelta(days=after_days)
    unseen = needed_days(after_days) - days.since(rejection.seq)
    return by_clock if unseen <= 0 else max(by_clock, now + timedelta(days=unseen))
