"""What a person was shown counts on every server of a store, for a day."""

from __future__ import annotations

from datetime import timedelta

from retaia_core.domain.actors import Actor, ActorKind
from retaia_core.testing.clock import FakeClock
from retaia_core.testing.memory_store import MemoryStore
from retaia_core.usecases.previews import Previews

ANA = Actor(kind=ActorKind.PERSON, id="ana")
BEN = Actor(kind=ActorKind.PERSON, id="ben")


async def test_the_last_one_counts_everywhere() -> None:
    """Another server of the store knows what the first one showed, to whom and of what."""
    store, clock = MemoryStore(), FakeClock()
    first, second = Previews(store=store, clock=clock), Previews(store=store, clock=clock)
    await first.remember(ANA, "moves", "d1")
    await first.remember(ANA, "moves", "d2")
    assert await second.shown(ANA, "moves") == "d2"
    assert await second.shown(BEN, "moves") is None
    assert await second.shown(ANA, "purge a") is None


async def test_it_is_forgotten() -> None:
    """What was shown a day ago says nothing of today."""
    previews = Previews(store=MemoryStore(), clock=(clock := FakeClock()))
    await previews.remember(ANA, "moves", "d1")
    clock.advance(timedelta(hours=24))
    assert await previews.shown(ANA, "moves") is None
