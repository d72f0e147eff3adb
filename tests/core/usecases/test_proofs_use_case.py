"""Proof of another copy before a purge: what is looked for, what counts, for how long, and who may waive."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest
from retaia_tests.house import PERSON
from retaia_tests.shelf import PLACE, SIDECAR, Shelf, shelf

from retaia_core.domain.actors import Actor, ActorKind
from retaia_core.domain.assets import Asset
from retaia_core.domain.fixity import Reading as Read
from retaia_core.domain.fixity import noted
from retaia_core.domain.journal import Phase
from retaia_core.domain.lifecycle import State
from retaia_core.domain.proof import FRESH, Refusal
from retaia_core.domain.purge import PurgeBlock, PurgePlan
from retaia_core.errors import (
    ForbiddenActor,
    Purged,
    StateConflict,
    StorageOffline,
    ValidationFailed,
)
from retaia_core.usecases.proofs import Reading

ORIGINAL, XMP = "REJECTS/A.jpg", "REJECTS/A.xmp"


@pytest.fixture
async def stage() -> Shelf:
    return await shelf()


def blocks(plan: PurgePlan) -> list[tuple[str, str]]:
    """Why nothing goes, and of which file."""
    return [(block.reason.value, block.path) for block in plan.blocked]


def files(stage: Shelf) -> set[str]:
    """The originals that stand."""
    return set(stage.house.originals.files)


class TestRequired:
    """*A setting asks for a fresh checksum verification of another copy, or a person's written waiver.*."""

    async def test_nothing_goes_unproven(self, stage: Shelf) -> None:
        """Where nobody looked, and where no copy is found, each file blocks and says why."""
        asset = await stage.rejected()
        plan = await stage.purges.preview(asset.uuid)
        assert blocks(plan) == [("unproven", ORIGINAL), ("unproven", XMP)]
        assert "nobody looked" in plan.blocked[0].message
        plan = await stage.checked(asset.uuid)
        assert blocks(plan) == [("unproven", ORIGINAL), ("unproven", XMP)]
        assert "no copy of it was found" in plan.blocked[0].message
        with pytest.raises(StateConflict, match="no other copy of it is proven"):
            await stage.purge(asset.uuid)
        assert files(stage) == {ORIGINAL, XMP}

    async def test_proven_copies_let_it_go(self, stage: Shelf) -> None:
        """Both files have equal copies where they were before the move: shown, gone, and on record."""
        asset = await stage.rejected()
        stage.back_up()
        plan = await stage.checked(asset.uuid)
        assert plan.blocked == ()
        proofs = [(f.path, f.proof.place, f.proof.copy) for f in plan.files if f.proof]
        assert proofs == [(ORIGINAL, PLACE, "INBOX/A.jpg"), (XMP, PLACE, "INBOX/A.xmp")]
        result = await stage.purge(asset.uuid)
        assert result.asset.state is State.PURGED
        assert files(stage) == set()
        assert len(stage.copies.places[PLACE]) == 2

    async def test_the_evidence_is_kept(self, stage: Shelf) -> None:
        """Journal and audit trail have the digest, the copy's path and the time of the check."""
        asset = await stage.rejected()
        stage.back_up()
        plan = await stage.checked(asset.uuid)
        proof = plan.files[0].proof
        assert proof is not None
        await stage.purge(asset.uuid)
        entries = await stage.house.store.read(lambda tx: tx.journal(subject=asset.subject))
        evidence: list[Any] = [
            entry.evidence["proof"]
            for entry in entries
            if (entry.source, entry.phase) == (ORIGINAL, Phase.INTENT) and "proof" in entry.evidence
        ]
        assert [(e["digest"], e["copy"], e["at"]) for e in evidence] == [
            (proof.digest, "INBOX/A.jpg", proof.at.isoformat())
        ]
        last = (await stage.house.operations.history(asset.uuid))[-1]
        told: Any = last.data["files"]
        assert told[0]["proof"]["digest"] == proof.digest

    async def test_a_proof_is_shown_where_none_is_asked_for(self) -> None:
        """Without the setting a file goes unproven, and a proof that was looked for is still told."""
        stage = await shelf(required=False)
        asset = await stage.rejected()
        stage.back_up()
        unproven = await stage.purges.preview(asset.uuid)
        proven = await stage.checked(asset.uuid)
        assert unproven.blocked == proven.blocked == ()
        assert proven.files[0].proof is not None
        assert unproven.digest != proven.digest

    async def test_another_proof_is_another_plan(self, stage: Shelf) -> None:
        """What was confirmed on one copy is not carried out on another."""
        asset = await stage.rejected()
        stage.back_up(place="tape")
        shown = await stage.checked(asset.uuid)
        stage.back_up(place=PLACE)
        plan = await stage.checked(asset.uuid)
        with pytest.raises(StateConflict, match="preview again"):
            await stage.purges.purge(PERSON, plan, shown.digest)
        assert files(stage) == {ORIGINAL, XMP}


class TestWhatIsNoProof:
    """Only another file, read whole and found equal, proves anything."""

    @pytest.mark.parametrize(
        ("copy", "same_as", "reason"),
        [
            (b"B", None, Refusal.CONTENT),
            (b"AA", None, Refusal.SIZE),
            (b"A", ORIGINAL, Refusal.SAME_FILE),
        ],
    )
    async def test_refused(
        self, stage: Shelf, copy: bytes, same_as: str | None, reason: Refusal
    ) -> None:
        """One flipped byte, another length, the original by a second name: refused, and told."""
        asset = await stage.rejected()
        stage.back_up()
        stage.copies.add(PLACE, "INBOX/A.jpg", copy, same_as=same_as)
        first, second = await stage.proofs.check(PERSON, asset.uuid)
        assert [(r.path, r.reason) for r in first.refused] == [("INBOX/A.jpg", reason)]
        assert second.proof is not None
        plan = await stage.purges.preview(asset.uuid)
        assert blocks(plan) == [("unproven", ORIGINAL)]
        assert first.refused[0].message in plan.blocked[0].message

    async def test_a_place_that_is_away(self, stage: Shelf) -> None:
        """It is said once of each file, and the next place is looked through."""
        asset = await stage.rejected()
        stage.back_up(place="tape")
        stage.copies.away.add(PLACE)
        checks = await stage.proofs.check(PERSON, asset.uuid)
        assert [[(r.place, r.path, r.reason) for r in c.refused] for c in checks] == [
            [(PLACE, "", Refusal.AWAY)], [(PLACE, "", Refusal.AWAY)],
        ]  # fmt: skip
        assert [c.proof.place for c in checks if c.proof] == ["tape", "tape"]

    async def test_a_copy_that_cannot_be_read(self, stage: Shelf) -> None:
        """It is said, and proves nothing."""
        asset = await stage.rejected()
        stage.back_up()

        def fails(operation: str, path: str) -> None:
            if operation == "checksum":
                raise OSError(5, "Input/output error")

        stage.copies.fault = fails
        checks = await stage.proofs.check(PERSON, asset.uuid)
        assert [r.reason for c in checks for r in c.refused] == [Refusal.UNREADABLE] * 2

    async def test_a_copy_that_changes_while_it_is_read(self, stage: Shelf) -> None:
        """There is no telling what it was."""
        asset = await stage.rejected()
        stage.back_up()

        def touched(operation: str, path: str) -> None:
            if operation == "checksum" and path.endswith(".jpg"):
                stage.copies.add(PLACE, path, b"A")

        stage.copies.fault = touched
        first, _ = await stage.proofs.check(PERSON, asset.uuid)
        assert (first.proof, first.refused[0].message) == (None, "it changed while it was read")

    async def test_an_original_that_is_not_as_it_was_seen(self, stage: Shelf) -> None:
        """It is not read as if it were, and the check says so."""
        asset = await stage.rejected()
        stage.back_up()
        stage.house.originals.add(ORIGINAL, b"A", mtime_ns=7)
        first, _ = await stage.proofs.check(PERSON, asset.uuid)
        assert first.proof is None
        assert "not as the last scan saw it" in first.problem

    async def test_an_original_that_cannot_be_read(self, stage: Shelf) -> None:
        """That is what is said; a storage that went away is another matter."""
        asset = await stage.rejected()
        stage.back_up()

        def fails(operation: str, path: str) -> None:
            if operation == "checksum":
                raise PermissionError(13, "Permission denied")

        stage.house.originals.fault = fails
        first, _ = await stage.proofs.check(PERSON, asset.uuid)
        assert "cannot be read" in first.problem
        plan = await stage.purges.preview(asset.uuid)
        assert "cannot be read" in plan.blocked[0].message

        def unplug(operation: str, path: str) -> None:
            if operation == "checksum":
                raise StorageOffline("unplugged")

        stage.house.originals.fault = unplug
        with pytest.raises(StorageOffline):
            await stage.proofs.check(PERSON, asset.uuid)

    async def test_a_copy_at_any_path_that_it_had(self, stage: Shelf) -> None:
        """Where it is now, where it was, and the same without the storage's own folders."""
        asset = await stage.rejected()
        for path in ("A.jpg", "A.xmp"):
            stage.copies.add("tape", path, b"A" if path == "A.jpg" else SIDECAR)
        assert (await stage.checked(asset.uuid)).blocked == ()

    async def test_without_places(self) -> None:
        """Where no place is set there is nothing to look through, and every file needs a waiver."""
        stage = await shelf()
        stage.copies.places.clear()
        asset = await stage.rejected()
        assert blocks(await stage.checked(asset.uuid))[0] == ("unproven", ORIGINAL)


class TestFresh:
    """A proof counts for a day, and only while nothing was touched."""

    async def test_it_ends(self, stage: Shelf) -> None:
        """After a day it is too old, and a clock that went back makes it no younger."""
        asset = await stage.rejected()
        stage.back_up()
        await stage.proofs.check(PERSON, asset.uuid)
        for step, proven in ((FRESH - timedelta(seconds=1), True), (timedelta(seconds=1), False)):
            stage.house.clock.advance(step)
            assert (not (await stage.purges.preview(asset.uuid)).blocked) is proven
        stage.house.clock.advance(-2 * FRESH)
        assert blocks(await stage.purges.preview(asset.uuid))

    @pytest.mark.parametrize("content", [b"A", b"B", None])
    async def test_a_copy_that_was_touched_since(self, stage: Shelf, content: bytes | None) -> None:
        """Written over, even with the same bytes, or gone: it has to be checked again."""
        asset = await stage.rejected()
        stage.back_up()
        await stage.proofs.check(PERSON, asset.uuid)
        if content is None:
            del stage.copies.places[PLACE]["INBOX/A.jpg"]
        else:
            stage.copies.add(PLACE, "INBOX/A.jpg", content)
        plan = await stage.purges.preview(asset.uuid)
        assert blocks(plan) == [("unproven", ORIGINAL)]
        assert "gone or was touched" in plan.blocked[0].message

    @pytest.mark.parametrize(
        "change",
        [
            lambda copies: copies.add(PLACE, "INBOX/A.xmp", b"other"),
            lambda copies: copies.places[PLACE].pop("INBOX/A.jpg"),
            lambda copies: copies.away.add(PLACE),
        ],
        ids=["touched", "gone", "away"],
    )
    async def test_a_copy_that_goes_at_the_last_moment(
        self, stage: Shelf, change: Callable[[Any], object]
    ) -> None:
        """Between acceptance and removal the copies are looked at again; then nothing goes."""
        asset = await stage.rejected()
        stage.back_up()
        plan = await stage.checked(asset.uuid)
        purging = await stage.purges.accept(PERSON, plan, plan.digest)
        change(stage.copies)
        result = await stage.purges.finish(purging, await stage.purges.remove(purging))
        assert "gone or was touched" in result.error
        assert files(stage) == {ORIGINAL, XMP}
        assert (await stage.house.review.asset(asset.uuid)).state is State.REJECTED

    async def test_recovery_holds_to_it(self, stage: Shelf) -> None:
        """What a crash left standing goes only while its own copy stands; what went needs none."""
        asset = await stage.rejected()
        stage.back_up()
        plan = await stage.checked(asset.uuid)
        await stage.purges.accept(PERSON, plan, plan.digest)
        del stage.house.originals.files[ORIGINAL]
        del stage.copies.places[PLACE]["INBOX/A.jpg"]
        stage.copies.add(PLACE, "INBOX/A.xmp", b"other")
        assert await stage.purges.recover(held=True) == 1
        assert files(stage) == {XMP}
        stage.copies.add(PLACE, "INBOX/A.xmp", SIDECAR)
        plan = await stage.checked(asset.uuid)
        assert [f.path for f in plan.files][:1] == [XMP]
        assert (await stage.purge(asset.uuid)).asset.state is State.PURGED


class TestDamaged:
    """A file that is not what it was when its checksum was recorded is never purged for a copy's sake."""

    async def recorded(self, stage: Shelf, asset: Asset, digest: str) -> None:
        """Say that the original had a digest when it was read."""
        reading = Read(role="original", digest=digest)
        record = noted(None, asset, [reading], "agent:x", stage.house.clock.now())
        await stage.house.store.transact(lambda tx: tx.save_fixity(record))

    @pytest.mark.parametrize("required", [True, False])
    async def test_it_blocks(self, *, required: bool) -> None:
        """The copy equals the original of now, which is not the recorded one; a waiver does not help."""
        stage = await shelf(required=required)
        asset = await stage.rejected()
        await self.recorded(stage, asset, "sha256:" + "0" * 64)
        stage.back_up()
        await stage.proofs.waive(PERSON, asset.uuid, ORIGINAL, "I do not mind")
        plan = await stage.checked(asset.uuid)
        assert blocks(plan) == [("damaged", ORIGINAL)]
        assert "sha256:000" in plan.blocked[0].message

    async def test_what_matches_its_record_goes(self, stage: Shelf) -> None:
        """The recorded checksum is the one that was read, and the journal keeps it."""
        asset = await stage.rejected()
        stage.back_up()
        first, _ = await stage.proofs.check(PERSON, asset.uuid)
        await self.recorded(stage, asset, first.digest)
        assert (await stage.purge(asset.uuid)).asset.state is State.PURGED

    async def test_what_a_verification_found(self, stage: Shelf) -> None:
        """A mismatch that somebody else found counts without a check."""
        asset = await stage.rejected()
        now = stage.house.clock.now()
        record = None
        for digit in "01":
            reading = Read(role="original", digest="sha256:" + digit * 64)
            record = noted(record, asset, [reading], "agent:x", now)
        assert record is not None
        kept = record
        await stage.house.store.transact(lambda tx: tx.save_fixity(kept))
        plan = await stage.purges.preview(asset.uuid)
        assert PurgeBlock.DAMAGED in {block.reason for block in plan.blocked}


class TestWaivers:
    """*A person's written waiver naming the file.*."""

    async def test_it_lets_that_file_go(self, stage: Shelf) -> None:
        """Each file needs its own; the plan shows who said what, and the journal keeps it."""
        asset = await stage.rejected()
        await stage.proofs.waive(PERSON, asset.uuid, ORIGINAL, "  the client has it  ")
        plan = await stage.purges.preview(asset.uuid)
        assert blocks(plan) == [("unproven", XMP)]
        await stage.proofs.waive(PERSON, asset.uuid, XMP, "made again at any time")
        plan = await stage.purges.preview(asset.uuid)
        waivers = [(f.waiver.reason, f.waiver.by) for f in plan.files if f.waiver]
        assert waivers == [
            ("the client has it", str(PERSON)), ("made again at any time", str(PERSON)),
        ]  # fmt: skip
        await stage.purge(asset.uuid)
        last = (await stage.house.operations.history(asset.uuid))[-1]
        told: Any = last.data["files"]
        assert told[0]["waiver"]["reason"] == "the client has it"

    async def test_it_is_no_longer_than_a_day(self, stage: Shelf) -> None:
        """Nor for a file that looks otherwise by then."""
        asset = await stage.rejected()
        for path in (ORIGINAL, XMP):
            await stage.proofs.waive(PERSON, asset.uuid, path, "enough")
        assert not (await stage.purges.preview(asset.uuid)).blocked
        stage.house.clock.advance(FRESH)
        assert len((await stage.purges.preview(asset.uuid)).blocked) == 2

    async def test_a_proof_goes_before_a_waiver(self, stage: Shelf) -> None:
        """Where a copy is proven, nothing rests on a word."""
        asset = await stage.rejected()
        stage.back_up()
        await stage.proofs.waive(PERSON, asset.uuid, ORIGINAL, "enough")
        file = (await stage.checked(asset.uuid)).files[0]
        assert (file.waiver, file.proof is not None) == (None, True)

    async def test_who_and_what(self, stage: Shelf) -> None:
        """Only a person, only a file of the asset, only with a reason."""
        asset = await stage.rejected()
        waive = stage.proofs.waive
        for kind in (ActorKind.AGENT, ActorKind.MCP, ActorKind.SYSTEM):
            with pytest.raises(ForbiddenActor):
                await waive(Actor(kind=kind, id="x"), asset.uuid, ORIGINAL, "enough")
        with pytest.raises(ValidationFailed, match="names one of"):
            await waive(PERSON, asset.uuid, "REJECTS/B.jpg", "enough")
        for reason in ("", "  ", "x" * 2001, "a\0b"):
            with pytest.raises(ValidationFailed, match="reason"):
                await waive(PERSON, asset.uuid, ORIGINAL, reason)
        assert len((await stage.purges.preview(asset.uuid)).blocked) == 2


class TestWhen:
    """Copies are looked for where an asset may be purged."""

    async def test_only_of_rejected_assets(self, stage: Shelf) -> None:
        """In other states there is nothing to prove, and after a purge nothing is left."""
        asset = await stage.house.pending("INBOX/B.jpg", b"B")
        for act in (
            stage.proofs.check(PERSON, asset.uuid),
            stage.proofs.waive(PERSON, asset.uuid, "INBOX/B.jpg", "enough"),
        ):
            with pytest.raises(StateConflict, match="where an asset was rejected"):
                await act
        stage.back_up()
        gone = await stage.rejected()
        await stage.checked(gone.uuid)
        await stage.purge(gone.uuid)
        with pytest.raises(Purged):
            await stage.proofs.check(PERSON, gone.uuid)

    async def test_progress_is_told(self, stage: Shelf) -> None:
        """Each block of the original and of the copy, as it is read."""
        asset = await stage.rejected()
        stage.back_up()
        told: list[Reading] = []
        await stage.proofs.check(PERSON, asset.uuid, told.append)
        assert [(r.path, r.place, r.read, r.size) for r in told] == [
            (ORIGINAL, "", 1, 1), (ORIGINAL, PLACE, 1, 1),
            (XMP, "", len(SIDECAR), len(SIDECAR)), (XMP, PLACE, len(SIDECAR), len(SIDECAR)),
        ]  # fmt: skip

    async def test_it_stops_where_nobody_waits_any_more(self, stage: Shelf) -> None:
        """A check that is cancelled ends at the next block, and remembers nothing."""
        asset = await stage.rejected()
        stage.back_up()
        told: list[str] = []

        def slowly(reading: Reading) -> None:
            told.append(reading.path)
            time.sleep(0.5)

        with anyio.move_on_after(0.2):
            await stage.proofs.check(PERSON, asset.uuid, slowly)
        assert told == [ORIGINAL]
        history = await stage.house.operations.history(asset.uuid)
        assert "purge.checked" not in {event.name for event in history}

    async def test_what_counts_is_shown(self, stage: Shelf) -> None:
        """Each file with its proof, or why it has none; looking changes nothing."""
        asset = await stage.rejected()
        stage.copies.add(PLACE, "INBOX/A.jpg", b"A")
        await stage.proofs.check(PERSON, asset.uuid)
        first, second = await stage.proofs.evidence(asset.uuid)
        assert (first[0].path, first[1].proof is not None) == (ORIGINAL, True)
        assert (second[0].path, second[1].lacking) == (XMP, "no copy of it was found in any place")

    async def test_the_last_check_counts(self, stage: Shelf) -> None:
        """A copy that was proven once and is gone at the next check is proven no more; and back again."""
        asset = await stage.rejected()
        stage.back_up()
        await stage.checked(asset.uuid)
        del stage.copies.places[PLACE]["INBOX/A.jpg"]
        assert blocks(await stage.checked(asset.uuid)) == [("unproven", ORIGINAL)]
        stage.back_up()
        assert (await stage.checked(asset.uuid)).blocked == ()
