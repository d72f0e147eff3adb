"""The story of what could not be proven, from its evidence to a person's word, over ports in memory."""

from __future__ import annotations

import pytest
from attrs import evolve
from retaia_tests.house import PERSON, House

from retaia_core.domain.actors import Actor, ActorKind
from retaia_core.domain.assets import Asset, Flag
from retaia_core.domain.identifiers import AssetId, RelPath
from retaia_core.domain.journal import Phase
from retaia_core.domain.lifecycle import Action, State
from retaia_core.domain.moves import Batch, BatchStatus, DiskFile, Outcome, PlannedFile, Where
from retaia_core.domain.parked import Choice, Sighting, offers
from retaia_core.errors import ForbiddenActor, StateConflict, StorageOffline

SOURCE, TARGET = "INBOX/A.jpg", "ARCHIVE/A.jpg"
XMP, XMP_THERE = "INBOX/A.xmp", "ARCHIVE/A.xmp"


@pytest.fixture
async def house() -> House:
    house = House()
    await house.start()
    return house


async def park(house: House, disk: dict[str, bytes]) -> tuple[Asset, Batch]:
    """A kept photo with a sidecar, whose move ends with these files on disk."""
    house.originals.add(XMP, b"<x/>")
    asset = await house.pending(SOURCE, b"photo")
    await house.review.decide(PERSON, asset.uuid, Action.KEEP)
    plan = await house.moves.preview()
    batch = await house.moves.execute(PERSON, plan, plan.digest)

    def break_off(operation: str, path: str) -> None:
        if operation == "rename":
            put(house, disk)
            house.originals.fault = None
            raise OSError("I/O error")

    house.originals.fault = break_off
    done = await house.moves.run(batch.batch_id)
    assert [r.outcome for r in done.results] == [Outcome.PARKED]
    return await house.review.asset(asset.uuid), done


def put(house: House, disk: dict[str, bytes]) -> None:
    """Let these files be all that is there."""
    house.originals.files.clear()
    for path, content in disk.items():
        house.originals.add(path, content)


async def choices(house: House, uuid: AssetId) -> list[Choice]:
    """What a person may choose now."""
    return [offer.choice for offer in offers(await house.recovery.evidence(uuid))]


class TestEvidence:
    """*Parked for a person with its evidence, never guessed.*."""

    async def test_it_is_shown(self, house: House) -> None:
        """The list has the batch, what went wrong, what stood where then, and what stands there now."""
        asset, batch = await park(house, {TARGET: b"other", XMP: b"<x/>"})
        house.originals.files.pop(XMP)
        (parked,) = await house.recovery.parked()
        assert (parked.asset, parked.batch_id) == (asset, batch.batch_id)
        assert "I/O error" in parked.result.error
        assert [(s.recorded, s.where) for s in parked.files] == [
            ("target", Where.TARGET), ("source", Where.UNKNOWN),
        ]  # fmt: skip
        why = await house.operations.why(asset.uuid)
        assert why.next == (f"look at the evidence and settle it (`retaia recover {asset.uuid}`)",)
        assert why.since is not None

    async def test_two_of_one_batch(self, house: House) -> None:
        """All that a batch left is listed."""
        assets = [await house.pending(f"INBOX/{n}.jpg", n.encode()) for n in "AB"]
        for asset in assets:
            await house.review.decide(PERSON, asset.uuid, Action.REJECT)
        plan = await house.moves.preview()
        batch = await house.moves.execute(PERSON, plan, plan.digest)
        house.originals.files.clear()
        await house.moves.run(batch.batch_id)
        assert {p.asset.uuid for p in await house.recovery.parked()} == {a.uuid for a in assets}

    async def test_a_flag_without_a_move(self, house: House) -> None:
        """Where the journal, or the database, knows of no move there is nothing to settle."""
        asset, batch = await park(house, {SOURCE: b"other"})
        await house.store.transact(lambda tx: tx.save_asset(_moving(asset)))
        stranger = await house.ready("INBOX/B.jpg", b"b")
        await house.store.transact(lambda tx: tx.save_asset(_moving(stranger)))
        assert [p.batch_id for p in await house.recovery.parked()] == [batch.batch_id]
        with pytest.raises(StateConflict, match="not parked"):
            await house.recovery.evidence(stranger.uuid)

    async def test_nobody_waits_for_it(self, house: House) -> None:
        """A scan does not count a parked asset as one that will be done soon, and leaves it alone."""
        asset, _ = await park(house, {SOURCE: b"other"})
        assert (await house.scan()).waiting == 0
        assert await house.review.asset(asset.uuid) == asset

    async def test_an_unplugged_storage(self, house: House) -> None:
        """Without the storage there is no evidence, which is said, and nothing is settled."""
        asset, _ = await park(house, {TARGET: b"photo", XMP: b"<x/>"})
        house.originals.problem = "unplugged"
        (parked,) = await house.recovery.parked()
        assert (parked.files, offers(parked)) == ((), ())
        assert "is offline: unplugged" in parked.unseen
        with pytest.raises(StorageOffline):
            await house.recovery.settle(PERSON, asset.uuid, Choice.MOVED)
        assert (await house.review.asset(asset.uuid)).flags == {Flag.PARKED}

    async def test_what_is_not_parked(self, house: House) -> None:
        """Nothing is settled that is not parked."""
        asset = await house.pending(SOURCE)
        assert await house.recovery.parked() == ()
        with pytest.raises(StateConflict, match="not parked"):
            await house.recovery.evidence(asset.uuid)


class TestChoices:
    """Each choice is verified against the disk before it is taken, and journalled with who."""

    async def test_it_was_moved(self, house: House) -> None:
        """The original is at the new place: archived there, without a sidecar that is gone."""
        asset, batch = await park(house, {TARGET: b"photo"})
        assert await choices(house, asset.uuid) == [Choice.MOVED]
        after = await house.recovery.settle(PERSON, asset.uuid, Choice.MOVED)
        assert (after.state, after.path, after.sidecars) == (State.ARCHIVED, TARGET, ())
        assert after.flags == frozenset()
        (result,) = (await house.moves.report(batch.batch_id)).results
        assert (result.outcome, len(result.move.files)) == (Outcome.MOVED, 1)
        journal = await house.store.read(lambda tx: tx.journal(subject=asset.subject))
        last = journal[-1]
        assert (last.phase, last.evidence["by"]) == (Phase.DONE, "person:local/ana")
        event = (await house.operations.history(asset.uuid))[-1]
        assert (event.name, event.actor) == ("move.settled", "person:local/ana")
        plan = await house.undo.preview(batch.batch_id)
        assert [m.asset for m in plan.moves] == [asset.uuid]

    async def test_it_was_not_moved(self, house: House) -> None:
        """The original is at the old place: decided as before, and the next batch can move it."""
        asset, batch = await park(house, {SOURCE: b"photo", XMP_THERE: b"another"})
        assert await choices(house, asset.uuid) == [Choice.NOT_MOVED]
        after = await house.recovery.settle(PERSON, asset.uuid, Choice.NOT_MOVED)
        assert (after.state, after.path, after.sidecars) == (State.DECIDED_KEEP, SOURCE, ())
        (result,) = (await house.moves.report(batch.batch_id)).results
        assert result.outcome is Outcome.FAILED
        assert "person:local/ana" in result.error
        assert [m.asset for m in (await house.moves.preview()).moves] == [asset.uuid]

    async def test_another_content(self, house: House) -> None:
        """A file that is not as it was planned is taken as it is, flagged changed; that is said before."""
        asset, _ = await park(house, {TARGET: b"another photo", XMP_THERE: b"<x/>"})
        parked = await house.recovery.evidence(asset.uuid)
        (offer,) = offers(parked)
        assert "13 bytes, planned 5" in offer.consequences[0]
        after = await house.recovery.settle(PERSON, asset.uuid, Choice.MOVED)
        assert (after.size, after.flags) == (13, {Flag.CHANGED})
        assert [s.path for s in after.sidecars] == [XMP_THERE]

    async def test_two_that_differ(self, house: House) -> None:
        """Where different files stand at both places a person says which; the other is left there."""
        both = {SOURCE: b"photo 1", TARGET: b"photo 2", XMP: b"<x/>"}
        asset, _ = await park(house, both)
        assert await choices(house, asset.uuid) == [Choice.MOVED, Choice.NOT_MOVED]
        moved, stayed = offers(await house.recovery.evidence(asset.uuid))
        assert any("stays there and is no part of it" in said for said in moved.consequences)
        assert any("no sidecar of it any more" in said for said in moved.consequences)
        assert all("sidecar" not in said for said in stayed.consequences)
        await house.recovery.settle(PERSON, asset.uuid, Choice.NOT_MOVED)
        assert {p: f.content for p, f in house.originals.files.items()} == both

    async def test_try_again(self, house: House) -> None:
        """Every file is whole somewhere: the executor brings the group together, and the batch ends."""
        asset, batch = await park(house, {TARGET: b"photo"})
        put(house, {TARGET: b"photo", XMP: b"<x/>"})
        assert Choice.RETRY in await choices(house, asset.uuid)
        after = await house.recovery.settle(PERSON, asset.uuid, Choice.RETRY)
        assert (after.state, after.flags) == (State.ARCHIVED, frozenset())
        assert set(house.originals.files) == {TARGET, XMP_THERE}
        report = await house.moves.report(batch.batch_id)
        assert (report.status, report.results[0].outcome) == (BatchStatus.DONE, Outcome.MOVED)

    async def test_nothing_is_anywhere(self, house: House) -> None:
        """Where the original is in neither place it stays parked, until a person puts it back."""
        asset, _ = await park(house, {XMP: b"<x/>"})
        assert await choices(house, asset.uuid) == []
        with pytest.raises(StateConflict, match="nothing but to leave it parked"):
            await house.recovery.settle(PERSON, asset.uuid, Choice.MOVED)
        house.originals.add(SOURCE, b"photo")
        assert await choices(house, asset.uuid) == [Choice.NOT_MOVED, Choice.RETRY]

    async def test_a_parked_undo(self, house: House) -> None:
        """Of an undo, *moved* means back and decided, *not moved* means archived as before."""
        for choice, state in ((Choice.MOVED, "DECIDED_KEEP"), (Choice.NOT_MOVED, "ARCHIVED")):
            house.originals.files.clear()
            asset = await house.pending(f"INBOX/{choice}.jpg", choice.encode())
            await house.review.decide(PERSON, asset.uuid, Action.KEEP)
            plan = await house.moves.preview()
            batch = await house.moves.execute(PERSON, plan, plan.digest)
            await house.moves.run(batch.batch_id)
            plan = await house.undo.preview(batch.batch_id)
            undo = await house.undo.execute(PERSON, plan, plan.digest)
            put(house, {f"INBOX/{choice}.jpg": b"1", f"ARCHIVE/{choice}.jpg": b"2"})
            await house.moves.run(undo.batch_id)
            after = await house.recovery.settle(PERSON, asset.uuid, choice)
            assert (after.state, after.flags) == (state, {Flag.CHANGED})


class TestRefusals:
    """What stands in the way of a choice."""

    async def test_only_a_person(self, house: House) -> None:
        """No agent, client or system settles anything."""
        asset, _ = await park(house, {TARGET: b"photo"})
        for kind in (ActorKind.AGENT, ActorKind.MCP, ActorKind.SYSTEM):
            with pytest.raises(ForbiddenActor):
                await house.recovery.settle(Actor(kind=kind, id="x"), asset.uuid, Choice.MOVED)

    async def test_the_disk_changed(self, house: House) -> None:
        """A choice that the disk no longer allows is refused, with what stands there now."""
        asset, _ = await park(house, {TARGET: b"photo"})
        put(house, {SOURCE: b"photo"})
        with pytest.raises(StateConflict) as caught:
            await house.recovery.settle(PERSON, asset.uuid, Choice.MOVED)
        assert caught.value.details["allowed"] == ["not_moved"]

    async def test_twice(self, house: House) -> None:
        """Evidence of before somebody settled it settles nothing any more."""
        asset, _ = await park(house, {SOURCE: b"1", TARGET: b"2"})
        parked = await house.recovery.evidence(asset.uuid)
        await house.recovery.settle(PERSON, asset.uuid, Choice.MOVED)
        with pytest.raises(StateConflict, match="look again"):
            await house.store.transact(
                lambda tx: house.recovery.settle_in(PERSON, parked, Choice.NOT_MOVED, tx)
            )

    async def test_a_place_of_another_asset(self, house: House) -> None:
        """Two assets are never at one place."""
        asset, _ = await park(house, {})
        other = await house.ready("INBOX/B.jpg", b"b")
        await house.store.transact(lambda tx: tx.save_asset(_at(other, TARGET)))
        put(house, {TARGET: b"b"})
        with pytest.raises(StateConflict, match=other.uuid):
            await house.recovery.settle(PERSON, asset.uuid, Choice.MOVED)


def _at(asset: Asset, path: str) -> Asset:
    return evolve(asset, path=RelPath(path))


def _moving(asset: Asset) -> Asset:
    return evolve(asset, state=State.MOVE_QUEUED, flags=frozenset({Flag.PARKED}))


def test_a_move_to_where_it_is() -> None:
    """A file whose place does not change is there or not, and nothing else of it stands anywhere."""
    place = RelPath(TARGET)
    file = PlannedFile(source=place, target=place, size=1, mtime_ns=1, role="original")
    whole, other = DiskFile(size=1, mtime_ns=1), DiskFile(size=2, mtime_ns=1)
    assert Sighting(file=file, at_source=whole, at_target=whole).where is Where.TARGET
    assert Sighting(file=file, at_source=other, at_target=other).where is Where.UNKNOWN
