"""What a listener is told of the audit trail: that something changed, and that it is worth a look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType

from attrs import define, field, frozen

from .identifiers import Subject
from .journal import Event

LOOK_BACK = 100
"""How many of the newest numbers may still be missing when reading begins."""

GIVE_UP_S = 10.0
"""A number that is still missing after this long will not come: its transaction was taken back."""


class Topic(StrEnum):
    """What changed."""

    ASSET = "asset"
    JOB = "job"
    BATCH = "batch"
    STORAGE = "storage"
    POLICY = "policy"


_TOPICS: Mapping[str, Topic] = MappingProxyType(
    {
        "asset": Topic.ASSET,
        "batch": Topic.BATCH,
        "storage": Topic.STORAGE,
        "server": Topic.POLICY,
    }
)
"""By the kind of the event's subject; what is not here (an account, say) is told to nobody."""


def topic_of(event: Event) -> Topic | None:
    """What an event is about, where listeners are told of it.

    >>> from datetime import UTC, datetime
    >>> said = Event(subject=Subject(kind="asset", id="a"), name="jobs.claimed", actor="agent:1",
    ...              at=datetime(2026, 1, 1, tzinfo=UTC))
    >>> topic_of(said).value
    'job'
    """
    if event.name.startswith(("job.", "jobs.")):
        return Topic.JOB
    return _TOPICS.get(event.subject.kind)


@frozen(kw_only=True)
class Hint:
    """Look again at this. ``seq`` only grows, and what came after it is told by asking from it."""

    seq: int
    topic: Topic
    subject: Subject
    name: str


def hints_of(events: Iterable[Event], told: int = 0) -> tuple[Hint, ...]:
    """What events come to: one hint for each thing, the latest, in order.

    An event that was late (its number is below ``told``) is told under that number.
    """
    latest: dict[tuple[Topic, Subject], Hint] = {}
    for event in events:
        topic = topic_of(event)
        if topic is not None:
            key = topic, event.subject
            latest.pop(key, None)
            seq = max(event.seq, told)
            latest[key] = Hint(seq=seq, topic=topic, subject=event.subject, name=event.name)
    return tuple(latest.values())


@define(kw_only=True)
class Tail:
    """How far the trail was read: each event is taken once, also one that is committed late.

    Where several transactions run at once, their events' numbers are given out before they are
    committed: a number can appear after higher ones. So reading goes on from ``floor``, behind which
    no number is missing, until the missing ones came or were given up.
    """

    floor: int
    _taken: set[int] = field(factory=set, init=False)
    _missing: tuple[float, int] | None = field(default=None, init=False)
    """Since when numbers are missing, and the highest one that was taken then."""

    @property
    def top(self) -> int:
        """The highest number that was taken."""
        return max(self._taken, default=self.floor)

    def take(self, events: Iterable[Event], now: float) -> Sequence[Event]:
        """Those of the events after ``floor`` that were not taken yet; ``now`` in seconds."""
        fresh = [e for e in events if e.seq > self.floor and e.seq not in self._taken]
        self._taken.update(event.seq for event in fresh)
        self._close_up()
        self._give_up(now)
        return fresh

    def _close_up(self) -> None:
        while self.floor + 1 in self._taken:
            self.floor += 1
            self._taken.remove(self.floor)
        if self._missing is not None and self.floor >= self._missing[1]:
            self._missing = None

    def _give_up(self, now: float) -> None:
        if self._missing is None:
            self._missing = (now, self.top) if self._taken else None
        elif now - self._missing[0] >= GIVE_UP_S:
            self.floor = self._missing[1]
            self._taken = {number for number in self._taken if number > self.floor}
            self._close_up()
