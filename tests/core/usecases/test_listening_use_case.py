"""Listeners are told to look again, and never waited for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

import anyio
import pytest
from attrs import evolve

from retaia_core.domain.feed import Hint
from retaia_core.domain.journal import Event
from retaia_core.errors import StoreUnavailable, Unavailable
from retaia_core.testing import samples
from retaia_core.testing.memory_store import MemoryStore
from retaia_core.usecases import listening
from retaia_core.usecases.listening import Hub, Listener, Said, Word


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the trail often."""
    monkeypatch.setattr(listening, "POLL_S", 0.01)


class CountingStore(MemoryStore):
    """Counts what it is asked; things may happen between a read and its answer."""

    reads = 0
    meanwhile: Sequence[Callable[[], Awaitable[None]]] = ()

    async def read(self, work):  # type: ignore[no-untyped-def]
        self.reads += 1
        found = await super().read(work)
        happening, self.meanwhile = self.meanwhile, ()
        for happen in happening:
            await happen()
        return found


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
async def hub(store: CountingStore) -> AsyncIterator[Hub]:
    hub = Hub(store=store)
    yield hub
    hub.close()


async def add(store: MemoryStore, *events: Event) -> None:
    """Put events into the trail."""
    for event in events:
        await store.transact(lambda tx, event=event: tx.add_event(event))  # type: ignore[misc]


async def told(listener: Listener) -> list[Said]:
    """What comes within a while."""
    return list(await listener.next(5))


class TestListening:
    """Joining, being told, leaving."""

    async def test_from_now_on(self, hub: Hub, store: CountingStore) -> None:
        """Who joins is told where the trail stands, then what happens; the past is not read."""
        await add(store, *(samples.event(of=n) for n in range(1, 4)))
        listener = await hub.join(None)
        assert await told(listener) == [Said(seq=3, what=Word.READY)]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hub.run)
            await add(store, samples.event("asset.decided", of=2))
            (said,) = await told(listener)
            hub.leave(listener)
        assert said.seq == 4
        assert isinstance(said.what, Hint)
        assert said.what.name == "asset.decided"

    async def test_nobody_listens(self, hub: Hub, store: CountingStore) -> None:
        """Without listeners the trail is not read; the last one to leave ends the reading."""
        with anyio.fail_after(5):
            await hub.run()
        assert store.reads == 0
        listener = await hub.join(None)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(hub.run)
                tasks.start_soon(hub.run)
                await anyio.sleep(0.05)
                hub.leave(listener)

    async def test_coming_back(self, hub: Hub, store: CountingStore) -> None:
        """Who names what it saw last is told what came after."""
        await add(store, *(samples.event(of=n) for n in range(1, 6)))
        listener = await hub.join(3)
        messages = await told(listener)
        assert messages[0] == Said(seq=3, what=Word.READY)
        assert [said.seq for said in messages[1:]] == [4, 5]

    @pytest.mark.parametrize("last_seen", [None, 1])
    async def test_what_happens_while_one_joins(
        self, hub: Hub, store: CountingStore, last_seen: int | None
    ) -> None:
        """The first word is said first, though the trail was looked at while it was being found."""
        await add(store, samples.event(of=1))
        await hub.join(None)
        store.meanwhile = [partial(add, store, samples.event(of=2)), hub._look]
        messages = await told(await hub.join(last_seen))
        assert [said.what for said in messages[:1]] == [Word.READY]
        assert {said.seq for said in messages[1:]} == {2}

    @pytest.mark.parametrize("last_seen", [0, 10_000])
    async def test_coming_back_too_late(
        self, hub: Hub, store: CountingStore, last_seen: int
    ) -> None:
        """Where too much happened since, or the trail is another one, everything is worth a look."""
        await add(store, *(samples.event() for _ in range(listening.MOST_WAITING + 1)))
        listener = await hub.join(last_seen)
        assert [said.what for said in await told(listener)] == [Word.RESET]

    async def test_more_than_one_look_can_hold(
        self, hub: Hub, store: CountingStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a flood reading goes on at its end."""
        monkeypatch.setattr(listening, "MOST_AT_ONCE", 5)
        listener = await hub.join(None)
        await told(listener)
        await add(store, *(samples.event() for _ in range(8)))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hub.run)
            assert await told(listener) == [Said(seq=8, what=Word.RESET)]
            await add(store, samples.event("asset.decided"))
            assert [said.seq for said in await told(listener)] == [9]
            hub.leave(listener)

    async def test_too_many(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        """There is room for so many listeners; who leaves makes room."""
        monkeypatch.setattr(listening, "MOST_LISTENERS", 2)
        first = await hub.join(None)
        await hub.join(None)
        with pytest.raises(Unavailable):
            await hub.join(None)
        hub.leave(first)
        await hub.join(None)

    async def test_the_end(self, hub: Hub) -> None:
        """When the server stops, everybody is sent away and nobody may join."""
        listener = await hub.join(None)
        hub.close()
        assert listener.closed
        with pytest.raises(Unavailable, match="stops"):
            await hub.join(None)

    async def test_reading_that_breaks(
        self, hub: Hub, store: CountingStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever listened is sent away to come back, and is not left without news."""
        listener = await hub.join(None)

        def broken(*given: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(listening, "hints_of", broken)
        with pytest.raises(ZeroDivisionError):
            await hub.run()
        assert listener.closed
        monkeypatch.undo()
        assert not (await hub.join(None)).closed

    async def test_a_store_that_is_away(self, hub: Hub, store: CountingStore) -> None:
        """Reading goes on when the store is back; joining meanwhile is refused and leaves no trace."""
        listener = await hub.join(None)
        await told(listener)
        async with anyio.create_task_group() as tasks:
            store.problem = StoreUnavailable("gone")
            tasks.start_soon(hub.run)
            await anyio.sleep(0.05)
            with pytest.raises(StoreUnavailable):
                await hub.join(None)
            assert hub.listening == 1
            store.problem = None
            await add(store, samples.event())
            assert len(await told(listener)) == 1
            hub.leave(listener)

    async def test_a_late_commit(self, hub: Hub, store: CountingStore) -> None:
        """An event that appears below one that was told is told all the same."""
        listener = await hub.join(None)
        await told(listener)
        await add(store, samples.event(of=1), samples.event(of=2))
        late = store._tables.events._rows.pop(1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hub.run)
            assert [said.seq for said in await told(listener)] == [2]
            store._tables.events._rows[1] = evolve(late, seq=1)
            (said,) = await told(listener)
            hub.leave(listener)
        assert said.seq == 2
        assert isinstance(said.what, Hint)
        assert said.what.subject == late.subject


class TestListener:
    """What waits for one listener is bounded."""

    async def test_a_slow_one(self) -> None:
        """A full queue becomes one word: look at everything; what follows comes behind it."""
        listener = Listener()
        for seq in range(listening.MOST_WAITING + 3):
            listener.tell(Said(seq=seq, what=Word.READY))
        messages = await told(listener)
        first = listening.MOST_WAITING
        assert [(said.seq, said.what) for said in messages] == [
            (first, Word.RESET),
            (first + 1, Word.READY),
            (first + 2, Word.READY),
        ]

    async def test_silence_and_the_end(self) -> None:
        """Nothing comes in time, or nothing will come any more: it returns with nothing."""
        listener = Listener()
        assert await listener.next(0.01) == ()
        listener.close()
        with anyio.fail_after(1):
            assert await listener.next(60) == ()
        assert listener.closed
