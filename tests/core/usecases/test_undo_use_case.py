"""The story of taking a batch back, over ports in memory."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import pytest
from attrs import asdict, evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from retaia_tests.house import PERSON, House

from retaia_core.domain.actors import Actor, ActorKind
from retaia_core.domain.assets import Asset, Flag
from retaia_core.domain.identifiers import AssetId, BatchId
from retaia_core.domain.journal import Phase
from retaia_core.domain.lifecycle import Action, State
from retaia_core.domain.moves import Batch, BatchStatus, BlockReason, MovePlan, Outcome
from retaia_core.errors import (
    ForbiddenActor,
    NotFound,
    StateConflict,
    StorageOffline,
    Unavailable,
)
from retaia_core.ports.originals import MoveRefused

LEASE_OVER = timedelta(seconds=31)
TRAILS = frozenset({"revision", "updated_at", "state_since", "path_history"})
"""What grows with everything that happens, and so with a move and its undo."""


@pytest.fixture
async def house() -> House:
    house = House()
    await house.start()
    return house


async def decide(house: House, name: str, action: Action = Action.KEEP, mate: bool = True) -> Asset:
    """A photo in a sub-folder, with a sidecar, that was decided."""
    if mate:
        house.originals.add(f"INBOX/day/{name}.xmp", b"<x/>")
    asset = await house.pending(f"INBOX/day/{name}.jpg", name.encode())
    return await house.review.decide(PERSON, asset.uuid, action)


async def apply(house: House) -> Batch:
    """Move everything that is decided."""
    plan = await house.moves.preview()
    batch = await house.moves.execute(PERSON, plan, plan.digest)
    return await house.moves.run(batch.batch_id)


async def undo(house: House, batch: Batch) -> Batch:
    """Take a batch back as its preview shows it."""
    plan = await house.undo.preview(batch.batch_id)
    accepted = await house.undo.execute(PERSON, plan, plan.digest)
    return await house.moves.run(accepted.batch_id)


async def state_of(house: House) -> list[dict[str, Any]]:
    """Every asset as the database has it, its trails aside."""
    assets = await house.store.read(lambda tx: tx.assets_in_states(State))
    return [asdict(a, filter=lambda f, v: f.name not in TRAILS) for a in assets]


def reasons(plan: MovePlan) -> dict[AssetId, BlockReason]:
    """Why each asset stays."""
    return {blocked.asset: blocked.reason for blocked in plan.blocked}


class TestUndo:
    """*Moves back what still lies where the batch put it, restores the decided state.*."""

    async def test_a_batch_is_taken_back(self, house: House) -> None:
        """Original and sidecar go back, the decision stands, and the undo is a batch with a journal."""
        keep, reject = await decide(house, "A"), await decide(house, "B", Action.REJECT)
        files, before = dict(house.originals.files), await state_of(house)
        batch = await apply(house)
        why = await house.operations.why(keep.uuid)
        assert f"undo the batch that moved it (`retaia batch undo {batch.batch_id}`)" in why.next
        plan = await house.undo.preview(batch.batch_id)
        assert [(f.source, f.target) for m in plan.moves for f in m.files] == [
            ("ARCHIVE/day/A.jpg", "INBOX/day/A.jpg"), ("ARCHIVE/day/A.xmp", "INBOX/day/A.xmp"),
            ("REJECTS/day/B.jpg", "INBOX/day/B.jpg"), ("REJECTS/day/B.xmp", "INBOX/day/B.xmp"),
        ]  # fmt: skip
        done = await undo(house, batch)
        assert (done.undoes, done.status) == (batch.batch_id, BatchStatus.DONE)
        assert [r.outcome for r in done.results] == [Outcome.MOVED] * 2
        assert house.originals.files == files
        assert await state_of(house) == before
        journal = await house.store.read(lambda tx: tx.journal(batch_id=done.batch_id))
        assert {(e.operation, e.evidence["undoes"]) for e in journal} == {("undo", batch.batch_id)}
        assert [e.phase for e in journal] == [Phase.INTENT] * 4 + [Phase.DONE] * 4
        names = [event.name for event in await house.operations.history(keep.uuid)]
        assert names[-4:] == ["move.queued", "move.moved", "undo.queued", "undo.moved"]
        after = await house.review.asset(reject.uuid)
        assert (after.state, after.path_history[-1].cause) == (State.DECIDED_REJECT, "undo")

    async def test_what_was_renamed_gets_its_name_back(self, house: House) -> None:
        """A group that moved under a nonce returns to the name that it had."""
        house.originals.add("ARCHIVE/day/A.jpg", b"somebody else's")
        asset = await decide(house, "A")
        files = dict(house.originals.files)
        batch = await apply(house)
        assert "__" in (await house.review.asset(asset.uuid)).path
        await undo(house, batch)
        assert house.originals.files == files

    async def test_undone_and_applied_again(self, house: House) -> None:
        """What was taken back can be applied again, and that batch taken back as well."""
        await decide(house, "A")
        files = dict(house.originals.files)
        for _ in range(2):
            await undo(house, await apply(house))
        assert house.originals.files == files

    async def test_part_of_a_batch(self, house: House) -> None:
        """Some assets go back by themselves, the others when a person wants it, each once."""
        one, two, three = [await decide(house, name) for name in "ABC"]
        files, before = dict(house.originals.files), await state_of(house)
        batch = await apply(house)
        plan = await house.undo.preview(batch.batch_id, [two.uuid])
        assert [move.asset for move in plan.moves] == [two.uuid]
        part = await house.undo.execute(PERSON, plan, plan.digest)
        done = await house.moves.run(part.batch_id)
        assert [(r.asset, r.outcome) for r in done.results] == [(two.uuid, Outcome.MOVED)]
        assert (await house.review.asset(one.uuid)).state is State.ARCHIVED
        twice = await house.undo.preview(batch.batch_id, [two.uuid, three.uuid])
        assert reasons(twice) == {two.uuid: BlockReason.UNDONE}
        assert [move.asset for move in twice.moves] == [three.uuid]
        await undo(house, batch)
        assert house.originals.files == files
        assert await state_of(house) == before

    async def test_an_asset_of_no_part(self, house: House) -> None:
        """What the batch had nothing to do with is not taken back by it."""
        await decide(house, "A")
        batch = await apply(house)
        stranger = await decide(house, "B")
        with pytest.raises(NotFound, match=stranger.uuid):
            await house.undo.preview(batch.batch_id, [stranger.uuid])

    async def test_twice_is_refused(self, house: House) -> None:
        """The second undo says that the first one did it; an undo is not undone itself."""
        asset = await decide(house, "A")
        batch = await apply(house)
        first = await undo(house, batch)
        plan = await house.undo.preview(batch.batch_id)
        assert reasons(plan) == {asset.uuid: BlockReason.UNDONE}
        with pytest.raises(StateConflict, match=f"undone before by batch {first.batch_id}"):
            await house.undo.execute(PERSON, plan, plan.digest)
        with pytest.raises(StateConflict, match="is the undo of"):
            await house.undo.preview(first.batch_id)
        with pytest.raises(NotFound):
            await house.undo.preview(BatchId("none"))

    async def test_only_a_person(self, house: House) -> None:
        """No agent, client or system takes a batch back."""
        await decide(house, "A")
        batch = await apply(house)
        plan = await house.undo.preview(batch.batch_id)
        for kind in (ActorKind.AGENT, ActorKind.MCP, ActorKind.SYSTEM):
            with pytest.raises(ForbiddenActor):
                await house.undo.execute(Actor(kind=kind, id="x"), plan, plan.digest)

    async def test_an_unplugged_storage(self, house: House) -> None:
        """Without its storage nothing is planned; an undo that it interrupts goes on when it is back."""
        asset = await decide(house, "A")
        batch = await apply(house)
        house.originals.problem = "unplugged"
        plan = await house.undo.preview(batch.batch_id)
        assert reasons(plan) == {asset.uuid: BlockReason.STORAGE_OFFLINE}
        house.originals.problem = None
        plan = await house.undo.preview(batch.batch_id)
        accepted = await house.undo.execute(PERSON, plan, plan.digest)
        house.originals.problem = "unplugged"
        await house.moves.run(accepted.batch_id)
        assert (await house.review.asset(asset.uuid)).state is State.MOVE_QUEUED
        house.originals.problem = None
        assert await house.moves.recover() == 1
        assert (await house.review.asset(asset.uuid)).state is State.DECIDED_KEEP


class TestWhatStays:
    """*Lists what it cannot undo and why.*."""

    async def test_later_deeds(self, house: House) -> None:
        """Purged, reopened, decided anew, moved again: each is named, and the rest goes back."""
        names = "ABCDE"
        assets = [await decide(house, n, Action.REJECT) for n in names]
        batch = await apply(house)
        purged, reopened, anew, later, back = (asset.uuid for asset in assets)
        plan = await house.purges.preview(purged)
        await house.purges.purge(PERSON, plan, plan.digest)
        await house.review.reopen(PERSON, later)
        await house.review.decide(PERSON, later, Action.KEEP)
        second = await apply(house)
        for uuid in (reopened, anew):
            await house.review.reopen(PERSON, uuid)
        await house.review.decide(PERSON, anew, Action.REJECT)
        shown = await house.undo.preview(batch.batch_id)
        assert reasons(shown) == {
            purged: BlockReason.PURGED, reopened: BlockReason.REOPENED,
            anew: BlockReason.REOPENED, later: BlockReason.MOVED_LATER,
        }  # fmt: skip
        assert second.batch_id in next(b for b in shown.blocked if b.asset == later).message
        done = await undo(house, batch)
        assert [r.asset for r in done.results] == [back]
        assert done.blocked == shown.blocked
        assert "INBOX/day/E.jpg" in house.originals.files

    async def test_after_the_later_batch_was_taken_back(self, house: House) -> None:
        """It lies where the first batch put it, but was decided anew: the decision of now stands."""
        asset = await decide(house, "A", Action.REJECT)
        first = await apply(house)
        await house.review.reopen(PERSON, asset.uuid)
        await house.review.decide(PERSON, asset.uuid, Action.KEEP)
        await undo(house, await apply(house))
        after = await house.review.asset(asset.uuid)
        assert (after.state, after.path) == (State.DECIDED_KEEP, "REJECTS/day/A.jpg")
        plan = await house.undo.preview(first.batch_id)
        assert reasons(plan) == {asset.uuid: BlockReason.REOPENED}

    async def test_a_later_move_that_is_parked(self, house: House) -> None:
        """What could not be proven later is settled first."""
        asset = await decide(house, "A", mate=False)
        first = await apply(house)
        await house.review.reopen(PERSON, asset.uuid)
        await house.review.decide(PERSON, asset.uuid, Action.REJECT)
        plan = await house.moves.preview()
        second = await house.moves.execute(PERSON, plan, plan.digest)
        house.originals.files.clear()
        await house.moves.run(second.batch_id)
        plan = await house.undo.preview(first.batch_id)
        assert reasons(plan) == {asset.uuid: BlockReason.PARKED}

    async def test_what_stayed_where_it_was(self, house: House) -> None:
        """A batch that found its files in place already is taken back without moving them."""
        asset = await decide(house, "A")
        await apply(house)
        await house.review.reopen(PERSON, asset.uuid)
        await house.review.decide(PERSON, asset.uuid, Action.KEEP)
        batch, files = await apply(house), dict(house.originals.files)
        done = await undo(house, batch)
        assert [r.outcome for r in done.results] == [Outcome.MOVED]
        after = await house.review.asset(asset.uuid)
        assert (after.state, after.path) == (State.DECIDED_KEEP, "ARCHIVE/day/A.jpg")
        assert house.originals.files == files

    async def test_what_cannot_be_looked_at(self, house: House) -> None:
        """An unreadable file holds its own group; a storage that goes away in the middle holds all."""
        one, two = await decide(house, "A"), await decide(house, "B")
        batch = await apply(house)

        def refuse(operation: str, path: str) -> None:
            if path == "ARCHIVE/day/A.jpg":
                raise Unavailable("permission denied")

        house.originals.fault = refuse
        plan = await house.undo.preview(batch.batch_id)
        assert reasons(plan) == {one.uuid: BlockReason.UNREADABLE}
        assert [move.asset for move in plan.moves] == [two.uuid]

        def unplug(operation: str, path: str) -> None:
            raise StorageOffline("unplugged")

        house.originals.fault = unplug
        plan = await house.undo.preview(batch.batch_id)
        assert set(reasons(plan).values()) == {BlockReason.STORAGE_OFFLINE}

    async def test_files_that_are_not_as_they_were(self, house: House) -> None:
        """A file that changed or is gone, and a sidecar more or less, hold their groups back whole."""
        assets = [await decide(house, n) for n in "ABCD"]
        batch = await apply(house)
        house.originals.add("ARCHIVE/day/A.xmp", b"edited")
        del house.originals.files["ARCHIVE/day/B.jpg"]
        house.originals.add("ARCHIVE/day/C.jpg.xmp", b"<new/>")
        del house.originals.files["ARCHIVE/day/C.xmp"]
        house.originals.files["ARCHIVE/D2.jpg"] = house.originals.files.pop("ARCHIVE/day/D.jpg")
        assert set(reasons(await house.undo.preview(batch.batch_id)).values()) == {
            BlockReason.SOURCE_CHANGED, BlockReason.MISSING,
        }  # fmt: skip
        await house.scan()
        found = reasons(await house.undo.preview(batch.batch_id))
        assert [found[a.uuid] for a in assets] == [
            BlockReason.SOURCE_CHANGED, BlockReason.MISSING,
            BlockReason.GROUP_CHANGED, BlockReason.MOVED_LATER,
        ]  # fmt: skip

    @pytest.mark.parametrize("taken", ["INBOX/day/A.jpg", "INBOX/day/A.xmp"])
    async def test_a_place_that_is_taken(self, house: House, taken: str) -> None:
        """Where one name of a group is taken the whole group stays; nothing is renamed or replaced."""
        asset = await decide(house, "A")
        batch = await apply(house)
        house.originals.add(taken, b"another")
        files = dict(house.originals.files)
        plan = await house.undo.preview(batch.batch_id)
        assert reasons(plan) == {asset.uuid: BlockReason.TARGET_TAKEN}
        assert taken in plan.blocked[0].message
        with pytest.raises(StateConflict, match="is taken"):
            await house.undo.execute(PERSON, plan, plan.digest)
        assert house.originals.files == files

    async def test_a_place_that_another_asset_has(self, house: House) -> None:
        """A missing asset's place is its own, although nothing stands there."""
        asset = await decide(house, "A", mate=False)
        batch = await apply(house)
        await house.ready("INBOX/day/A.jpg", b"another")
        del house.originals.files["INBOX/day/A.jpg"]
        await house.scan()
        plan = await house.undo.preview(batch.batch_id)
        assert reasons(plan) == {asset.uuid: BlockReason.TARGET_TAKEN}

    async def test_the_world_changed(self, house: House) -> None:
        """What was confirmed is executed only while it is what would happen; the difference is told."""
        one, two = await decide(house, "A"), await decide(house, "B")
        batch = await apply(house)
        shown = await house.undo.preview(batch.batch_id)
        await house.review.reopen(PERSON, one.uuid)
        plan = await house.undo.preview(batch.batch_id)
        with pytest.raises(StateConflict, match="preview again") as caught:
            await house.undo.execute(PERSON, plan, shown.digest)
        moves = caught.value.details["moves"]
        assert isinstance(moves, list)
        assert {move["asset"] for move in moves} == {two.uuid}
        with pytest.raises(StateConflict):
            await house.undo.execute(PERSON, shown, shown.digest)

    async def test_what_did_not_move(self, house: House) -> None:
        """An asset that the batch failed to move has nothing to take back."""
        asset = await decide(house, "A")

        def refuse(operation: str, path: str) -> None:
            if operation == "rename":
                raise MoveRefused("no permission")

        house.originals.fault = refuse
        batch = await apply(house)
        house.originals.fault = None
        plan = await house.undo.preview(batch.batch_id)
        assert reasons(plan) == {asset.uuid: BlockReason.NOT_MOVED}

    async def test_a_group_that_is_torn_in_place(self, house: House) -> None:
        """A file that vanishes from a group that has nowhere to go parks it, and moves nothing."""
        asset = await decide(house, "A")
        await apply(house)
        await house.review.reopen(PERSON, asset.uuid)
        await house.review.decide(PERSON, asset.uuid, Action.KEEP)
        plan = await house.moves.preview()
        batch = await house.moves.execute(PERSON, plan, plan.digest)
        del house.originals.files["ARCHIVE/day/A.xmp"]
        done = await house.moves.run(batch.batch_id)
        assert [r.outcome for r in done.results] == [Outcome.PARKED]
        assert set(house.originals.files) == {"ARCHIVE/day/A.jpg"}

    async def test_a_way_back_that_fails_too(self, house: House) -> None:
        """Where a group can go neither on nor back it is parked, with both errors."""
        await decide(house, "A")
        batch = await apply(house)

        def refuse(operation: str, path: str) -> None:
            if operation == "rename" and path in ("ARCHIVE/day/A.xmp", "INBOX/day/A.jpg"):
                raise MoveRefused("no permission")

        house.originals.fault = refuse
        done = await undo(house, batch)
        assert [r.outcome for r in done.results] == [Outcome.PARKED]
        assert "moving 'INBOX/day/A.jpg' back failed too" in done.results[0].error

    async def test_a_failure_leaves_it_where_the_batch_put_it(self, house: House) -> None:
        """Where a file cannot go back, the group stays whole, and the asset is archived as before."""
        asset = await decide(house, "A")
        batch = await apply(house)
        files = dict(house.originals.files)

        def refuse(operation: str, path: str) -> None:
            if operation == "rename" and path.startswith("ARCHIVE") and path.endswith(".xmp"):
                raise MoveRefused("no permission")

        house.originals.fault = refuse
        done = await undo(house, batch)
        assert [(r.outcome, r.error) for r in done.results] == [(Outcome.FAILED, "no permission")]
        assert house.originals.files == files
        after = await house.review.asset(asset.uuid)
        assert (after.state, after.flags) == (State.ARCHIVED, frozenset())


class TestAScanMeanwhile:
    """A scan that runs beside an undo takes no file for a new one."""

    async def test_between_the_disk_and_the_database(self, house: House) -> None:
        """A file that is back while its asset is still being moved is nobody's new asset."""
        asset = await decide(house, "A", mate=False)
        batch = await apply(house)
        await house.scan()
        plan = await house.undo.preview(batch.batch_id)
        accepted = await house.undo.execute(PERSON, plan, plan.digest)
        house.originals.rename("ARCHIVE/day/A.jpg", "INBOX/day/A.jpg")
        report = await house.scan()
        assert report.new == 0
        done = await house.moves.run(accepted.batch_id)
        assert [r.outcome for r in done.results] == [Outcome.MOVED]
        await house.scan()
        assert (await house.at("INBOX/day/A.jpg")).uuid == asset.uuid

    async def test_a_place_that_was_taken_in_the_database(self, house: House) -> None:
        """Where another asset has the place by then, the move is parked, and the batch ends."""
        asset = await decide(house, "A", mate=False)
        plan = await house.moves.preview()
        batch = await house.moves.execute(PERSON, plan, plan.digest)
        other = await house.ready("INBOX/B.jpg", b"b")

        def take(tx: Any) -> None:
            tx.save_asset(evolve(tx.asset(other.uuid), path="ARCHIVE/day/A.jpg"))

        await house.store.transact(take)
        done = await house.moves.run(batch.batch_id)
        assert (done.status, done.results[0].outcome) == (BatchStatus.DONE, Outcome.PARKED)
        assert other.uuid in done.results[0].error
        assert (await house.review.asset(asset.uuid)).flags == {Flag.PARKED}


FOLDERS = st.sampled_from(["", "day 1/", "Day 1/", "a/b/"])
GROUPS = st.dictionaries(
    st.tuples(FOLDERS, st.sampled_from(["A", "a", "B", "é", "A001"])),
    st.tuples(st.sampled_from([Action.KEEP, Action.REJECT, None]), st.booleans(), st.booleans()),
    min_size=1,
    max_size=5,
)
STANDING = st.sets(
    st.tuples(
        st.sampled_from(["ARCHIVE", "REJECTS"]),
        FOLDERS,
        st.sampled_from(["A.jpg", "a.xmp", "B.jpg", "a001.XMP"]),
    ),
    max_size=3,
)


@settings(max_examples=60, deadline=None)
@given(
    groups=GROUPS,
    standing=STANDING,
    crashes=st.sets(st.integers(0, 9), max_size=3),
    part=st.sets(st.integers(0, 4), max_size=3),
)
def test_apply_then_undo_is_the_identity(
    groups: dict[tuple[str, str], tuple[Action | None, bool, bool]],
    standing: set[tuple[str, str, str]],
    crashes: set[int],
    part: set[int],
) -> None:
    """Files and database are as before a batch and its undo, in one go or two, through any crash."""

    async def story() -> None:
        house = House()
        await house.start()
        for top, folder, name in standing:
            house.originals.add(f"{top}/{folder}{name}", b"somebody else's")
        for n, ((folder, name), (action, mate, other)) in enumerate(groups.items()):
            if mate:
                house.originals.add(f"INBOX/{folder}{name}.xmp", b"<x/>", mtime_ns=n)
            if other and not mate:
                house.originals.add(f"INBOX/{folder}{name}.jpg.xmp", b"<y/>", mtime_ns=n)
            path = f"INBOX/{folder}{name}.jpg"
            asset = await house.pending(path, f"{folder}{name}".encode())
            if action is not None:
                await house.review.decide(PERSON, asset.uuid, action)
        files, before = dict(house.originals.files), await state_of(house)
        batch = await apply(house)
        if not batch.results:
            return
        some = [result.asset for n, result in enumerate(batch.results) if n in part]
        rest = [result.asset for n, result in enumerate(batch.results) if n not in part]
        for assets in filter(None, (some, rest)):
            plan = await house.undo.preview(batch.batch_id, assets)
            assert (len(plan.moves), plan.blocked) == (len(assets), ())
            accepted = await house.undo.execute(PERSON, plan, plan.digest)
            await _run_through(house, accepted.batch_id, crashes)
        assert house.originals.files == files
        assert await state_of(house) == before

    anyio.run(story)


class Crash(BaseException):
    """The process ends here."""


async def _run_through(house: House, batch_id: BatchId, crashes: set[int]) -> None:
    """Run a batch in processes that die before the renames of these numbers, and recover."""
    renames = 0

    def die(operation: str, path: str) -> None:
        nonlocal renames
        if operation == "rename":
            renames += 1
            if renames - 1 in crashes:
                raise Crash

    house.originals.fault = die
    while True:
        try:
            await house.moves.recover()
        except (Crash, BaseExceptionGroup):
            house.clock.advance(LEASE_OVER)
            continue
        break
    house.originals.fault = None
    assert (await house.moves.report(batch_id)).status is BatchStatus.DONE
