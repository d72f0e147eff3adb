"""How the chores of a running server do, for whoever asks whether it is well."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import define, field, frozen


@frozen(kw_only=True)
class Ailment:
    """A chore that fails: since when, and what it said last."""

    since: datetime
    said: str


@define(eq=False)
class Vitals:
    """Which chores fail at present; each is tried again all the same."""

    _ailing: dict[str, Ailment] = field(factory=dict, init=False)

    def well(self, chore: str) -> Ailment | None:
        """A chore was done; returns what it suffered from until now."""
        return self._ailing.pop(chore, None)

    def failed(self, chore: str, said: str, now: datetime) -> bool:
        """A chore failed; returns whether that is news: it did not, or said something else."""
        before = self._ailing.get(chore)
        self._ailing[chore] = Ailment(since=before.since if before else now, said=said)
        return before is None or before.said != said

    @property
    def ailing(self) -> Mapping[str, Ailment]:
        """The chores that fail at present."""
        return dict(self._ailing)
