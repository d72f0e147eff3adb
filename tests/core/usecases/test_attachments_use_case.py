"""A person says what an unmatched sidecar belongs to; from then on it is part of the group."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from attrs import evolve
from retaia_tests.house import PERSON, House

from retaia_core.domain.actors import SYSTEM
from retaia_core.domain.assets import Asset
from retaia_core.domain.leases import DURATIONS, LockKind
from retaia_core.domain.lifecycle import Action, State
from retaia_core.domain.moves import Batch, BlockReason
from retaia_core.domain.sidecars import BY_PERSON
from retaia_core.errors import (
    ForbiddenActor,
    NotFound,
    Purged,
    StateConflict,
    StorageOffline,
    ValidationFailed,
)
from retaia_core.testing import samples
from retaia_core.testing.memory_store import MemoryStore

XMP = "INBOX/A.xmp"


class _Interrupted(MemoryStore):
    """A store to which a person speaks once, just before a scan writes what it compared."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def transact(self, work: Any, *, durable: bool = True) -> Any:
        writes = getattr(getattr(work, "func", None), "__name__", "") == "_write"
        if writes and self.meanwhile is not None:
            speak, self.meanwhile = self.meanwhile, None
            await speak()
        return await super().transact(work, durable=durable)


@pytest.fixture
async def house() -> House:
    """Two photos of one base name and a sidecar of both, which is attached to none."""
    house = House(store=MemoryStore(rehearse=True))
    await house.start()
    for path in ("INBOX/A.jpg", "INBOX/A.png", XMP):
        house.originals.add(path, path.encode())
    await house.scan()
    await house.scan()
    return house


async def unmatched(house: House) -> dict[str, str]:
    found = await house.store.read(lambda tx: tx.unmatched())
    return {sidecar.path: sidecar.reason for sidecar in found}


async def attach(house: House, path: str = "INBOX/A.png", sidecar: str = XMP) -> Asset:
    asset = await house.at(path)
    return await house.attachments.attach(PERSON, asset.uuid, sidecar)


async def told(house: House, asset: Asset) -> list[str]:
    events = await house.store.read(lambda tx: tx.events(asset.subject))
    return [event.name for event in events if event.name.startswith("sidecar.")]


def rules(asset: Asset) -> dict[str, str]:
    return {sidecar.path: sidecar.rule for sidecar in asset.sidecars}


async def decided(house: House, asset: Asset, action: Action) -> Asset:
    """The asset once a person decided on it; how it was prepared does not matter here."""
    before = await house.review.asset(asset.uuid)
    ready = evolve(before, state=State.DECISION_PENDING)
    await house.store.transact(lambda tx: tx.save_asset(ready))
    return await house.review.decide(PERSON, asset.uuid, action)


async def moved_as(house: House, asset: Asset, action: Action) -> Batch:
    """Decide on it, and move everything that is decided."""
    await decided(house, asset, action)
    plan = await house.moves.preview()
    batch = await house.moves.execute(PERSON, plan, plan.digest)
    return await house.moves.run(batch.batch_id)


class TestAttaching:
    """From the list of what belongs to nothing to one of the assets beside it, and back."""

    async def test_attached_and_taken_back(self, house: House) -> None:
        """The trace names asset, sidecar, rule and who; the list of unmatched ones follows."""
        assert await unmatched(house) == {XMP: "ambiguous_parent"}
        asset = await attach(house)
        assert rules(asset) == {XMP: BY_PERSON}
        assert await unmatched(house) == {}
        assert await attach(house) == asset, "a second time is harmless"
        back = await house.attachments.detach(PERSON, asset.uuid, XMP)
        assert back.sidecars == ()
        assert await unmatched(house) == {XMP: "ambiguous_parent"}
        assert await told(house, asset) == ["sidecar.attached", "sidecar.detached"]
        await house.scan()
        assert await unmatched(house) == {XMP: "ambiguous_parent"}

    async def test_what_it_may_belong_to(self, house: House) -> None:
        """The assets of its folder, those of its name first."""
        house.originals.add("INBOX/0.jpg")
        house.originals.add("INBOX/day/A.jpg")
        await house.scan()
        found = await house.attachments.candidates(house.originals.storage_id, XMP)
        assert [asset.name for asset in found.assets] == ["A.jpg", "A.png", "0.jpg"]
        assert found.sidecar.reason == "ambiguous_parent"
        with pytest.raises(NotFound):
            await house.attachments.candidates(house.originals.storage_id, "INBOX/no.xmp")

    async def test_refusals(self, house: House) -> None:
        """Another folder, attached already, unknown, gone, offline; and nobody but a person."""
        house.originals.add("INBOX/day/B.jpg")
        house.originals.add("INBOX/C.jpg")
        house.originals.add("INBOX/C.xmp")
        await house.scan()
        png, other = await house.at("INBOX/A.png"), await house.at("INBOX/day/B.jpg")
        work = house.attachments.attach
        with pytest.raises(ValidationFailed):
            await work(PERSON, other.uuid, XMP)
        with pytest.raises(StateConflict, match=r"C\.jpg"):
            await work(PERSON, png.uuid, "INBOX/C.xmp")
        with pytest.raises(NotFound):
            await work(PERSON, png.uuid, "INBOX/C.jpg")
        with pytest.raises(NotFound):
            await work(PERSON, png.uuid, "INBOX/no.xmp")
        with pytest.raises(ForbiddenActor):
            await work(SYSTEM, png.uuid, XMP)
        with pytest.raises(ForbiddenActor):
            await house.attachments.detach(SYSTEM, png.uuid, XMP)
        await attach(house)
        jpg = await house.at("INBOX/A.jpg")
        with pytest.raises(StateConflict, match=r"A\.png"):
            await work(PERSON, jpg.uuid, XMP)
        house.originals.problem = "unplugged"
        with pytest.raises(StorageOffline):
            await work(PERSON, jpg.uuid, XMP)

    @pytest.mark.parametrize("kind", [LockKind.ASSET_MOVE_LOCK, LockKind.ASSET_PURGE_LOCK])
    async def test_under_a_lock(self, house: House, kind: LockKind) -> None:
        """A group stays as it is while it is moved or purged."""
        png = await attach(house)
        until = house.clock.now() + DURATIONS[kind]
        held = samples.lock(subject=png.subject, kind=kind, expires_at=until)
        await house.store.transact(lambda tx: tx.save_lock(held))
        with pytest.raises(StateConflict):
            await house.attachments.detach(PERSON, png.uuid, XMP)


class TestTheGroup:
    """It moves with its asset, goes back with it, and is purged with it."""

    async def test_it_moves_and_comes_back(self, house: House) -> None:
        """Also where the rules would have left it, and to where scans find it as before."""
        asset = await attach(house)
        batch = await moved_as(house, asset, Action.KEEP)
        assert set(house.originals.files) == {"ARCHIVE/A.png", "ARCHIVE/A.xmp", "INBOX/A.jpg"}
        moved = await house.review.asset(asset.uuid)
        assert (moved.state, rules(moved)) == (State.ARCHIVED, {"ARCHIVE/A.xmp": BY_PERSON})
        await house.scan()
        assert rules(await house.review.asset(asset.uuid)) == {"ARCHIVE/A.xmp": BY_PERSON}
        plan = await house.undo.preview(batch.batch_id)
        undone = await house.undo.execute(PERSON, plan, plan.digest)
        await house.moves.run(undone.batch_id)
        back = await house.review.asset(asset.uuid)
        assert (back.path, rules(back)) == ("INBOX/A.png", {XMP: BY_PERSON})
        await house.scan()
        assert await unmatched(house) == {}

    async def test_a_name_that_is_taken(self, house: House) -> None:
        """The whole group gets another name; the sidecar keeps its own stem and its extension."""
        house.originals.add("INBOX/notes.xmp", b"notes")
        house.originals.add("ARCHIVE/notes.xmp", b"another")
        await house.scan()
        asset = await attach(house, sidecar="INBOX/notes.xmp")
        await moved_as(house, asset, Action.KEEP)
        moved = await house.review.asset(asset.uuid)
        mark = moved.name.removeprefix("A__").removesuffix(".png")
        assert rules(moved) == {f"ARCHIVE/notes__{mark}.xmp": BY_PERSON}
        assert house.originals.files["ARCHIVE/notes.xmp"].content == b"another"

    async def test_it_waits_while_a_sidecar_is_gone(self, house: House) -> None:
        """The move is blocked until the file is back or taken off; nothing is left behind in silence."""
        asset = await attach(house)
        house.originals.files.pop(XMP)
        await house.scan()
        await decided(house, asset, Action.KEEP)
        (blocked,) = (await house.moves.preview()).blocked
        assert blocked.reason is BlockReason.MISSING
        await house.attachments.detach(PERSON, asset.uuid, XMP)
        assert len((await house.moves.preview()).moves) == 1

    async def test_it_is_purged_with_its_asset(self, house: House) -> None:
        """Every file of the group, and no other."""
        asset = await attach(house)
        await moved_as(house, asset, Action.REJECT)
        plan = await house.purges.preview(asset.uuid)
        await house.purges.purge(PERSON, plan, plan.digest)
        assert set(house.originals.files) == {"INBOX/A.jpg"}
        with pytest.raises(Purged):
            await house.attachments.attach(PERSON, asset.uuid, "REJECTS/A.xmp")

    async def test_not_while_it_is_queued(self, house: House) -> None:
        """What a batch has accepted is the group that it moves."""
        asset = await decided(house, await house.at("INBOX/A.png"), Action.KEEP)
        plan = await house.moves.preview()
        await house.moves.execute(PERSON, plan, plan.digest)
        with pytest.raises(StateConflict, match="being moved"):
            await house.attachments.attach(PERSON, asset.uuid, XMP)


class TestScans:
    """A scan keeps a person's word, and says what became of the file."""

    async def test_kept_over_scans_and_rules(self, house: House) -> None:
        """Also when a rule could attach it elsewhere now, since the name is no longer ambiguous."""
        png = await attach(house)
        house.originals.files.pop("INBOX/A.png")
        house.originals.add("INBOX/new.jpg")
        await house.scan()
        assert rules(await house.review.asset(png.uuid)) == {XMP: BY_PERSON}
        assert rules(await house.at("INBOX/A.jpg")) == {}
        assert await unmatched(house) == {}

    async def test_a_file_that_vanishes_changes_and_comes_back(self, house: House) -> None:
        """It stays attached; each is told once, however often is scanned."""
        png = await attach(house)
        house.originals.add(XMP, b"more")
        await house.scan()
        await house.scan()
        house.originals.files.pop(XMP)
        await house.scan()
        house.originals.add("INBOX/new.jpg")
        await house.scan()
        (sidecar,) = (await house.review.asset(png.uuid)).sidecars
        assert (sidecar.rule, sidecar.missing) == (BY_PERSON, True)
        house.originals.add(XMP, b"more")
        await house.scan()
        (sidecar,) = (await house.review.asset(png.uuid)).sidecars
        assert not sidecar.missing
        assert await told(house, png) == [
            "sidecar.attached", "sidecar.changed", "sidecar.missing", "sidecar.returned",
        ]  # fmt: skip

    async def test_taken_off_while_it_is_gone(self, house: House) -> None:
        """It is in no list then; when the file comes back the rules decide again."""
        png = await attach(house)
        house.originals.files.pop(XMP)
        await house.scan()
        await house.attachments.detach(PERSON, png.uuid, XMP)
        assert await unmatched(house) == {}
        house.originals.add(XMP)
        await house.scan()
        assert await unmatched(house) == {XMP: "ambiguous_parent"}

    async def test_moved_by_hand_together_and_apart(self, house: House) -> None:
        """What lies beside it again stays attached; what was left belongs to nothing, and is told."""
        png = await attach(house)
        files = house.originals.files
        for name in ("A.png", "A.xmp"):
            files[f"INBOX/day/{name}"] = files.pop(f"INBOX/{name}")
        await house.scan()
        moved = await house.review.asset(png.uuid)
        assert (moved.path, rules(moved)) == ("INBOX/day/A.png", {"INBOX/day/A.xmp": BY_PERSON})
        assert await unmatched(house) == {}
        files["INBOX/far/A.png"] = files.pop("INBOX/day/A.png")
        await house.scan()
        moved = await house.review.asset(png.uuid)
        assert (moved.path, rules(moved)) == ("INBOX/far/A.png", {})
        await house.scan()
        assert await unmatched(house) == {"INBOX/day/A.xmp": "missing_parent"}
        assert (await told(house, png))[-1] == "sidecar.left_behind"

    async def test_a_person_speaks_while_a_scan_runs(self) -> None:
        """What was compared before is compared again: neither the word nor the list is lost."""
        store = _Interrupted()
        house = House(store=store)
        await house.start()
        for path in ("INBOX/A.jpg", "INBOX/A.png", XMP):
            house.originals.add(path, path.encode())
        await house.scan()
        png = await house.at("INBOX/A.png")
        for word, spoken in ((house.attachments.attach, True), (house.attachments.detach, False)):
            house.originals.add("INBOX/new.jpg", b"new" * (1 + spoken))
            store.meanwhile = partial(word, PERSON, png.uuid, XMP)
            await house.scan()
            assert store.meanwhile is None
            assert rules(await house.review.asset(png.uuid)) == ({XMP: BY_PERSON} if spoken else {})
            assert await unmatched(house) == ({} if spoken else {XMP: "ambiguous_parent"})
