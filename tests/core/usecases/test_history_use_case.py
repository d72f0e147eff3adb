"""The stories of the trail over a store in memory: pages, seals, and what a check finds out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import anyio
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.history import Place, Row
from retaia_core.domain.identifiers import BatchId, Subject
from retaia_core.domain.journal import Event, Phase
from retaia_core.domain.lifecycle import State
from retaia_core.domain.seals import AWAIT, Kind, Seal, Wrong, digest_of, leaves_of
from retaia_core.errors import NotFound, StateConflict
from retaia_core.ports.store import Transaction
from retaia_core.testing.clock import FakeClock
from retaia_core.testing.memory_store import MemoryStore, Tables
from retaia_core.testing.samples import after, asset, asset_id, event, journal_entry
from retaia_core.usecases import history as module
from retaia_core.usecases.history import PAGE, CheckReport, History, Trail
from retaia_core.usecases.operations import Operations


class Archive(MemoryStore):
    """A store whose tables somebody can edit behind its back."""

    @property
    def tables(self) -> Tables:
        return self._tables

    def edit_event(self, seq: int, **changes: object) -> None:
        events = self.tables.events
        events.put(seq, evolve(events[seq], **changes), [])

    def insert(self, row: Row) -> None:
        table = self.tables.events if isinstance(row, Event) else self.tables.journal
        table.put(row.seq, row, [])  # type: ignore[arg-type]

    def edit_seal(self, number: int, *, remade: bool = False, **changes: object) -> None:
        changed = evolve(self.tables.seals[number], **changes)
        digest = digest_of(changed) if remade else changed.digest
        self.tables.seals.put(number, evolve(changed, digest=digest), [])


@pytest.fixture
def store() -> Archive:
    return Archive()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def stories(store: Archive, clock: FakeClock) -> History:
    return History(store=store, clock=clock)


async def note(stories: History, count: int, *, of: int = 1) -> None:
    """So many events and as many lines of the journal."""

    def work(tx: Transaction) -> None:
        for n in range(count):
            tx.add_event(event(f"e{n}", of=of, at=after(n)))
            tx.add_journal(journal_entry(of=of, batch_id="b1", at=after(n)))

    await stories.store.transact(work)


def wrongs(report: CheckReport) -> list[tuple[Wrong, int | None, Kind | None, int | None]]:
    return [(f.wrong, f.seal, f.kind, f.seq) for f in report.findings]


# Reading


async def test_pages_together_are_the_whole(stories: History) -> None:
    """However small the pages, every row comes once and in one order; the discovery is the first."""
    await stories.store.transact(lambda tx: tx.add_assets([asset(1), asset(2)]))
    await note(stories, 5)
    await note(stories, 2, of=2)
    trail = Trail(subject=asset(1).subject)
    whole = (await stories.page(trail, None, 100)).rows
    assert (len(whole), whole[0].seq) == (11, 0)
    assert isinstance(whole[0], Event)
    assert (whole[0].name, whole[0].data["path"]) == ("asset.discovered", asset(1).path)
    for limit in (1, 2, 3, 10, 11):
        found: list[Row] = []
        place: Place | None = None
        while True:
            page = await stories.page(trail, place, limit)
            found += page.rows
            if page.next is None:
                break
            place = page.next
        assert tuple(found) == whole, limit


async def test_a_batch_tells_its_files(stories: History) -> None:
    """The batch's own events, and the journal of everything that it moved."""

    def work(tx: Transaction) -> None:
        of_batch = Subject(kind="batch", id="b1")
        tx.add_event(evolve(event("batch.accepted"), subject=of_batch))
        for n in (1, 2):
            tx.add_journal(journal_entry(of=n, batch_id="b1", at=after(n)))
        tx.add_journal(journal_entry(of=3, batch_id="b2", at=after(3)))
        tx.add_event(evolve(event("batch.done", at=after(4)), subject=of_batch))

    await stories.store.transact(work)
    rows = (await stories.page(Trail(batch=BatchId("b1")), None, 100)).rows
    assert [r.name if isinstance(r, Event) else r.subject.id for r in rows] == [
        "batch.accepted",
        asset_id(1),
        asset_id(2),
        "batch.done",
    ]


async def test_who_is_not_known_has_no_history(stories: History) -> None:
    """An asset, a batch or a subject that nobody knows is refused; an empty trail of all is none."""
    for trail in (
        Trail(subject=asset(1).subject),
        Trail(batch=BatchId("b")),
        Trail(subject=Subject(kind="storage", id="x")),
    ):
        with pytest.raises(NotFound):
            await stories.page(trail, None, 10)
    assert [row async for row in stories.rows(Trail())] == []


@pytest.mark.parametrize("whole", [True, False])
async def test_a_span_of_time_cuts_exactly(stories: History, whole: bool) -> None:
    """From a time on, and before another, over several pages, of all there is and of one asset."""
    await stories.store.transact(lambda tx: tx.add_assets([asset(1)]))
    await note(stories, PAGE + 7)
    trail = Trail() if whole else Trail(subject=asset(1).subject)
    since, until = after(3), after(PAGE + 2)
    found = [row async for row in stories.rows(trail, since=since, until=until)]
    assert len(found) == 2 * (PAGE - 1)
    assert {row.at for row in found} == {after(n) for n in range(3, PAGE + 2)}
    rest = [row async for row in stories.rows(trail, since=until)]
    assert len(rest) == 10


# Sealing


async def test_everything_is_sealed_once(stories: History, store: Archive) -> None:
    """Each round takes what is new; the chain continues, and a check finds nothing wrong."""
    await note(stories, 3)
    assert await stories.seal() == 6
    assert await stories.seal() == 0
    await note(stories, PAGE * 2)
    assert await stories.seal() == PAGE * 4
    seals = list(store.tables.seals.values())
    assert [s.number for s in seals] == [1, 2, 3]
    assert [s.previous for s in seals] == ["", seals[0].digest, seals[1].digest]
    report = await stories.check(seals[1].digest)
    assert (report.wrong, report.rows, report.unsealed) == (0, 4 * PAGE + 6, 0)
    assert report.head == seals[-1]
    await note(stories, 1)
    assert (await stories.check()).unsealed == 2


async def test_of_two_servers_one_seals(stories: History, store: Archive, clock: FakeClock) -> None:
    """A seal that another server made meanwhile is continued and never replaced."""

    class Slow(MemoryStore):
        async def transact(self, work, *, durable=True):  # type: ignore[no-untyped-def]
            await stories.seal()
            return await store.transact(work, durable=durable)

        async def read(self, work):  # type: ignore[no-untyped-def]
            return await store.read(work)

    await note(stories, 3)
    other = History(store=Slow(), clock=clock)
    assert await other.seal() == 0
    assert len(store.tables.seals) == 1
    with pytest.raises(StateConflict):
        await store.transact(partial(module._add, store.tables.seals[1]))
    assert (await stories.check()).wrong == 0


async def test_a_row_that_is_committed_late_is_sealed_later(
    stories: History, store: Archive, clock: FakeClock
) -> None:
    """A number that was missing is awaited; what comes under it in time is sealed, and no alarm."""
    for seq in (1, 3, 6):
        store.insert(event(f"e{seq}", seq=seq))
    await stories.seal()
    [first] = store.tables.seals.values()
    assert [(a.kind, a.seq) for a in first.awaited] == [(Kind.EVENT, n) for n in (2, 4, 5)]
    clock.advance(timedelta(seconds=30))
    store.insert(event("late", seq=4))
    assert (await stories.check()).unsealed == 1
    assert (await stories.check()).wrong == 0
    assert await stories.seal() == 1
    assert [leaf.seq for leaf in leaves_of(store.tables.seals[2])] == [4]
    report = await stories.check()
    assert (report.wrong, report.rows, report.unsealed) == (0, 4, 0)
    # What was taken back never comes, and is not awaited for ever.
    clock.advance(AWAIT)
    store.insert(event("next", seq=7))
    await stories.seal()
    assert store.tables.seals[3].awaited == ()
    store.insert(event("forged", seq=2))
    assert wrongs(await stories.check()) == [(Wrong.ROW_INSERTED, None, Kind.EVENT, 2)]


# What a check finds out


async def sealed_thrice(stories: History) -> None:
    for _ in range(3):
        await note(stories, 4)
        await stories.seal()


Edit = Callable[[Archive], None]
EDITS: dict[str, tuple[Edit, Sequence[tuple[Wrong, int | None, Kind | None, int | None]]]] = {
    "an event is changed": (
        lambda s: s.edit_event(6, actor="person:nobody"),
        [(Wrong.ROW_CHANGED, 2, Kind.EVENT, 6)],
    ),
    "its data is changed": (
        lambda s: s.edit_event(6, data={"x": 1}),
        [(Wrong.ROW_CHANGED, 2, Kind.EVENT, 6)],
    ),
    "a line of the journal is changed": (
        lambda s: s.insert(evolve(s.tables.journal[12], phase=Phase.DONE)),
        [(Wrong.ROW_CHANGED, 3, Kind.JOURNAL, 12)],
    ),
    "a microsecond is changed": (
        lambda s: s.edit_event(1, at=after(0.000001)),
        [(Wrong.ROW_CHANGED, 1, Kind.EVENT, 1)],
    ),
    "an event is removed": (
        lambda s: s.tables.events.drop(5, []),
        [(Wrong.ROW_REMOVED, 2, Kind.EVENT, 5)],
    ),
    "two events change places": (
        lambda s: (s.edit_event(1, name="e1"), s.edit_event(2, name="e0"))[0],
        [(Wrong.ROW_CHANGED, 1, Kind.EVENT, 1), (Wrong.ROW_CHANGED, 1, Kind.EVENT, 2)],
    ),
    "a seal is changed": (
        lambda s: s.edit_seal(2, at=after(99)),
        [(Wrong.SEAL_CHANGED, 2, None, None)],
    ),
    "a seal is made anew": (
        lambda s: s.edit_seal(2, at=after(99), remade=True),
        [(Wrong.CHAIN_BROKEN, 3, None, None)],
    ),
    "a seal is removed": (
        lambda s: s.tables.seals.drop(2, []),
        [(Wrong.SEAL_REMOVED, 3, None, None)],
    ),
    "the first seal is removed": (
        lambda s: s.tables.seals.drop(1, []),
        [(Wrong.SEAL_REMOVED, 2, None, None)],
    ),
}


@pytest.mark.parametrize("what", EDITS)
async def test_an_edit_is_named(what: str, stories: History, store: Archive) -> None:
    """Each kind of edit is found, and said of exactly the rows and seals that it touched."""
    await sealed_thrice(stories)
    assert (await stories.check()).wrong == 0
    edit, expected = EDITS[what]
    edit(store)
    report = await stories.check()
    assert wrongs(report) == list(expected)
    assert report.unproven == (8 if "removed" in what and "seal" in what else 0)


async def test_a_trail_that_was_cut_off_is_known_by_its_head(
    stories: History, store: Archive
) -> None:
    """Without a noted digest the rest looks whole; with one it does not."""
    await sealed_thrice(stories)
    head = (await stories.check()).head
    assert head is not None
    for table in (store.tables.events, store.tables.journal):
        for seq in range(9, 13):
            table.drop(seq, [])  # type: ignore[attr-defined]
    store.tables.seals.drop(3, [])
    assert (await stories.check()).wrong == 0
    assert wrongs(await stories.check(head.digest)) == [(Wrong.HEAD_UNKNOWN, None, None, None)]


async def test_a_row_that_is_put_into_a_gap_is_named(
    stories: History, store: Archive, clock: FakeClock
) -> None:
    """A gap that is no longer awaited takes in nothing."""
    store.insert(event("a", seq=1))
    store.insert(event("b", seq=5))
    await stories.seal()
    clock.advance(AWAIT)
    store.insert(event("c", seq=6))
    await stories.seal()
    store.insert(journal_entry(seq=1))
    store.insert(event("forged", seq=3))
    report = await stories.check()
    assert wrongs(report) == [(Wrong.ROW_INSERTED, None, Kind.EVENT, 3)]
    assert report.unsealed == 1


FIELDS = st.sampled_from(["name", "actor", "data", "at", "subject"])


@given(st.integers(1, 12), FIELDS)
def test_no_field_of_an_event_can_be_changed_unseen(seq: int, name: str) -> None:
    """Whichever event and whichever field: the check names the event."""
    values = {
        "name": "other",
        "actor": "person:other",
        "data": {"other": 1},
        "at": after(1000),
        "subject": asset(2).subject,
    }

    async def run() -> CheckReport:
        store = Archive()
        stories = History(store=store, clock=FakeClock())
        await sealed_thrice(stories)
        store.edit_event(seq, **{name: values[name]})
        return await stories.check()

    assert [(w[0], w[3]) for w in wrongs(anyio.run(run))] == [(Wrong.ROW_CHANGED, seq)]


def test_a_seal_of_cut_bytes_is_still_read() -> None:
    """Leaves that somebody cut or overwrote are passed over; the digest tells it."""
    seal = Seal(number=1, previous="", at=after(0), events_to=1, journal_to=0, leaves=b"x" * 50)
    assert list(leaves_of(seal)) == []


async def test_why_looks_at_the_newest_events(stories: History) -> None:
    """What brought an asset into its state is found however much was done to it before."""
    one = asset(1, state=State.DECIDED_KEEP)

    def work(tx: Transaction) -> None:
        tx.add_assets([one])
        for n in range(1200):
            tx.add_event(event("asset.annotated", at=after(n), data={"changed": ["notes"]}))
        kept = {"from": "DECISION_PENDING", "to": "DECIDED_KEEP"}
        tx.add_event(event("decision.keep", actor="person:ada", data=kept))

    await stories.store.transact(work)
    why = await Operations(store=stories.store, clock=stories.clock).why(one.uuid)
    assert (why.by, why.evidence["how"]) == ("person:ada", "person:ada kept it")
