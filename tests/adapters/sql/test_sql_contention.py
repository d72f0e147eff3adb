"""32 writers, some of them processes of their own, on one database: nobody is refused, nothing is done twice.

``RETAIA_CONTENTION_SECONDS`` (4 where it is not set) says how long they fight; 60 is what a release is held
against: ``python -m retaia_tests.contention --seconds 60`` prints the figures.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import evolve
from retaia_tests.contention import KIND, Field, Story, Writer, fought, micros, verify

from retaia_adapters.sql.store import open_store
from retaia_core.domain.identifiers import Subject
from retaia_core.domain.journal import Event
from retaia_core.testing.clock import START

SECONDS = float(os.environ.get("RETAIA_CONTENTION_SECONDS", "4"))


@pytest.mark.faults
async def test_many_writers_hold_to_the_rules(url: str) -> None:
    """No claim is given twice, fencing numbers only grow, each job is done once; no lock error at all."""
    tally, wrong = await fought(url, seconds=SECONDS, writers=32, alone=8)
    assert (tally.trouble, wrong) == ([], [])
    assert tally.outcomes["did claim"], "a loaded machine does little, but not nothing"


def _event(name: str, at: float, who: str = "a", **data: object) -> Event:
    subject = Subject(kind=KIND, id="0001")
    return Event(subject=subject, name=name, actor=who, at=START + timedelta(seconds=at), data=data)


def _until(at: float) -> int:
    return micros(START + timedelta(seconds=at))


CLAIM = _event("claimed", 0, jobs=["1", "2"], fencing=1, until=_until(10))
DONE = _event("completed", 1, job="1", fencing=1)
GOOD = [
    CLAIM,
    _event("extended", 2, fencing=1, until=_until(12)),
    DONE,
    _event("claimed", 12, "b", jobs=["2"], fencing=2, until=_until(20)),
    _event("given back", 13, "b", job="2", fencing=2),
    _event("claimed", 13, "a", jobs=["2"], fencing=3, until=_until(20)),
    _event("recovered", 20, "c", fencing=3),
]
BAD: dict[str, Callable[[], list[Event]]] = {
    "claimed while it is held": lambda: [CLAIM, evolve(GOOD[3], at=START + timedelta(seconds=5))],
    "a fencing number twice": lambda: [
        *GOOD[:3],
        evolve(GOOD[3], data={**GOOD[3].data, "fencing": 1}),
    ],
    "a job done twice": lambda: [CLAIM, DONE, DONE],
    "a done job claimed": lambda: [
        *GOOD[:3],
        evolve(GOOD[3], data={**GOOD[3].data, "jobs": ["1"]}),
    ],
    "done by another": lambda: [CLAIM, evolve(DONE, actor="b")],
    "done under an old number": lambda: [*GOOD[:4], evolve(DONE, actor="b")],
    "done too late": lambda: [CLAIM, evolve(DONE, at=START + timedelta(seconds=11))],
    "recovered too early": lambda: [CLAIM, _event("recovered", 5, "c", fencing=1)],
}


def test_a_right_story_is_right() -> None:
    """What a lease allows is no alarm."""
    story = Story("0001")
    for event in GOOD:
        story.take(event)
    assert (story.wrong, story.done) == ([], {"1"})


@pytest.mark.parametrize("what", BAD)
def test_a_wrong_story_is_found(what: str) -> None:
    """Each way in which a lease can be broken is seen in the events."""
    story = Story("0001")
    for event in BAD[what]():
        story.take(event)
    assert story.wrong


async def test_what_the_store_keeps_must_fit_its_story(tmp_path: Path) -> None:
    """A job that is done in the table and not in the story (or held, or the other way round) is named."""
    url, size = f"sqlite:///{tmp_path}/store.db", Field(subjects=2, jobs=2)
    store = open_store(url, server=False)
    await store.prepare()
    jobs = size.made()
    await store.transact(lambda tx: tx.add_jobs(jobs))
    assert await verify(store, size) == []
    writer = Writer(name="w", size=size, chance=random.Random(1))
    await store.transact(writer.claim)
    assert await verify(store, size) == []
    held, token = next(iter(writer.mine.items()))
    await store.transact(
        lambda tx: tx.complete(held, token=token, now=jobs[0].created_at)  # nothing is noted
    )
    assert any("in one place only" in line for line in await verify(store, size))
    await store.close()
