"""The stories of a person who decides and moves, over ports in memory."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from retaia_tests.house import PERSON, House

from retaia_core.domain.actors import Actor, ActorKind
from retaia_core.domain.assets import Flag
from retaia_core.domain.identifiers import AssetId
from retaia_core.domain.journal import Phase
from retaia_core.domain.lifecycle import Action, State, Verdict
from retaia_core.domain.moves import BatchStatus, BlockReason, Outcome
from retaia_core.errors import (
    ForbiddenActor,
    IdempotencyConflict,
    NotFound,
    RetaiaError,
    StateConflict,
    StorageOffline,
    Unavailable,
    ValidationFailed,
)
from retaia_core.ports.originals import MoveRefused
from retaia_core.ports.store import Transaction
from retaia_core.testing import samples
from retaia_core.usecases.idempotency import once


@pytest.fixture
async def house() -> House:
    house = House()
    await house.start()
    return house


class TestDecisions:
    @pytest.mark.parametrize("kind", [ActorKind.AGENT, ActorKind.MCP, ActorKind.SYSTEM])
    async def test_only_a_person_decides(self, house: House, kind: ActorKind) -> None:
        """No agent, client or system ever decides."""
        asset = await house.pending("INBOX/A.jpg")
        with pytest.raises(ForbiddenActor):
            await house.review.decide(Actor(kind=kind, id="x"), asset.uuid, Action.KEEP)
        assert (await house.review.asset(asset.uuid)).verdict is None

    async def test_a_change_of_mind_is_recorded(self, house: House) -> None:
        """KEEP, REJECT and CLEAR are all in the history, with who and when."""
        asset = await house.pending("INBOX/A.jpg")
        for action in (Action.KEEP, Action.REJECT, Action.CLEAR):
            asset = await house.review.decide(PERSON, asset.uuid, action)
        assert [(d.action, d.by) for d in asset.decisions] == [
            ("KEEP", "person:local/ana"), ("REJECT", "person:local/ana"),
            ("CLEAR", "person:local/ana"),
        ]  # fmt: skip
        assert (asset.state, asset.verdict) == (State.DECISION_PENDING, None)

    async def test_a_refusal_says_what_is_open(self, house: House) -> None:
        """A decision that is not open is refused with the state and what is allowed."""
        asset = await house.ready("INBOX/A.jpg")
        with pytest.raises(StateConflict) as caught:
            await house.review.decide(PERSON, asset.uuid, Action.KEEP)
        assert caught.value.details == {"state": State.READY, "allowed": []}

    async def test_metadata_is_changed_by_part(self, house: House) -> None:
        """Tags, notes and fields are changed each by itself, and bad tags are refused."""
        asset = await house.pending("INBOX/A.jpg")
        await house.review.annotate(PERSON, asset.uuid, tags=["bird", " bird ", "sky"])
        after = await house.review.annotate(PERSON, asset.uuid, notes="lovely")
        assert (after.tags, after.notes) == (("bird", "sky"), "lovely")
        with pytest.raises(ValidationFailed):
            await house.review.annotate(PERSON, asset.uuid, tags=["a,b"])

    async def test_reprocess_keeps_what_people_said(self, house: House) -> None:
        """Reprocessing an archived asset drops results, keeps tags and history, and needs a decision."""
        asset = await house.pending("INBOX/A.jpg")
        await house.review.annotate(PERSON, asset.uuid, tags=["bird"])
        await _apply(house, asset.uuid)
        after = await house.review.reprocess(PERSON, asset.uuid)
        assert (after.state, after.review_version) == (State.READY, 2)
        assert (after.facts, after.derived, after.verdict) == ({}, (), None)
        assert (after.tags, len(after.decisions)) == (("bird",), 1)
        assert len(await house.review.jobs(asset.uuid)) == 3

    async def test_reprocess_may_choose_another_profile(self, house: House) -> None:
        """The profile is that of the new work; one of another media type is refused, and nothing changes."""
        asset = await house.ready("INBOX/A.mp4")
        await house.store.transact(
            lambda tx: tx.save_asset(evolve(asset, state=State.ARCHIVED, review_version=1))
        )
        with pytest.raises(ValidationFailed, match="allowed: video_standard, video_storyboard"):
            await house.review.reprocess(PERSON, asset.uuid, profile="audio_voice")
        assert (await house.review.asset(asset.uuid)).review_version == 1
        after = await house.review.reprocess(PERSON, asset.uuid, profile="video_storyboard")
        assert (after.state, after.profile) == (State.READY, "video_storyboard")
        jobs = {job.job_type: job.parameters for job in await house.review.jobs(asset.uuid)}
        assert jobs["generate_thumbnails"] == {"storyboard": True}
        events = await house.store.read(lambda tx: tx.events(asset.subject))
        names = [event.name for event in events]
        assert names[-2:] == ["asset.reprocess", "asset.profile"]


async def _apply(house: House, *uuids: AssetId, action: Action = Action.KEEP) -> None:
    for uuid in uuids:
        await house.review.decide(PERSON, uuid, action)
    plan = await house.moves.preview()
    batch = await house.moves.execute(PERSON, plan, plan.digest)
    await house.moves.run(batch.batch_id)


class TestBatches:
    async def test_a_group_is_moved_as_previewed(self, house: House) -> None:
        """Original and sidecar go where the preview said, sub-folder kept, history and journal written."""
        house.originals.add("INBOX/day/A.xmp", b"<x/>")
        asset = await house.pending("INBOX/day/A.jpg")
        await house.review.decide(PERSON, asset.uuid, Action.KEEP)
        plan = await house.moves.preview()
        assert [(f.source, f.target) for m in plan.moves for f in m.files] == [
            ("INBOX/day/A.jpg", "ARCHIVE/day/A.jpg"), ("INBOX/day/A.xmp", "ARCHIVE/day/A.xmp"),
        ]  # fmt: skip
        assert set(house.originals.files) == {"INBOX/day/A.jpg", "INBOX/day/A.xmp"}
        batch = await house.moves.execute(PERSON, plan, plan.digest)
        done = await house.moves.run(batch.batch_id)
        assert (done.status, [r.outcome for r in done.results]) == (
            BatchStatus.DONE, [Outcome.MOVED],
        )  # fmt: skip
        assert set(house.originals.files) == {"ARCHIVE/day/A.jpg", "ARCHIVE/day/A.xmp"}
        after = await house.review.asset(asset.uuid)
        assert (after.state, after.path) == (State.ARCHIVED, "ARCHIVE/day/A.jpg")
        assert [s.path for s in after.sidecars] == ["ARCHIVE/day/A.xmp"]
        journal = await house.store.read(lambda tx: tuple(tx.journal(batch_id=batch.batch_id)))
        assert [e.phase for e in journal] == [Phase.INTENT] * 2 + [Phase.DONE] * 2

    async def test_a_plan_that_no_longer_fits_is_refused(self, house: House) -> None:
        """A confirmed preview is executed only while the world still matches it."""
        asset = await house.pending("INBOX/A.jpg")
        await house.review.decide(PERSON, asset.uuid, Action.KEEP)
        shown = await house.moves.preview()
        house.originals.add("ARCHIVE/A.jpg", b"somebody else's")
        plan = await house.moves.preview()
        assert plan.moves[0].nonce
        with pytest.raises(StateConflict, match="preview again"):
            await house.moves.execute(PERSON, plan, shown.digest)

    async def test_a_mind_that_changed_meanwhile(self, house: House) -> None:
        """A plan that keeps what was rejected by the time it is accepted is refused, and queues nothing."""
        asset = await house.pending("INBOX/A.jpg")
        await house.review.decide(PERSON, asset.uuid, Action.KEEP)
        plan = await house.moves.preview()
        await house.review.decide(PERSON, asset.uuid, Action.REJECT)
        with pytest.raises(StateConflict, match="changed while its move was planned"):
            await house.moves.execute(PERSON, plan, plan.digest)
        assert (await house.review.asset(asset.uuid)).state is State.DECIDED_REJECT

    async def test_a_part_of_what_is_decided(self, house: House) -> None:
        """A plan can be of one verdict, of so many assets, or of those that are named."""
        one, two = [await house.pending(f"INBOX/{name}.jpg", name.encode()) for name in "AB"]
        await house.review.decide(PERSON, one.uuid, Action.KEEP)
        await house.review.decide(PERSON, two.uuid, Action.REJECT)
        kept = await house.moves.preview(frozenset({Verdict.KEEP}))
        assert [move.asset for move in kept.moves] == [one.uuid]
        assert [move.asset for move in (await house.moves.preview(limit=1)).moves] == [one.uuid]
        named = await house.moves.preview(assets=[two.uuid])
        assert [move.asset for move in named.moves] == [two.uuid]
        with pytest.raises(NotFound):
            await house.moves.preview(assets=[two.uuid, AssetId("none")])

    @pytest.mark.parametrize("error", [Unavailable, StorageOffline])
    async def test_a_folder_that_cannot_be_read(
        self, house: House, error: type[RetaiaError]
    ) -> None:
        """Where the names in the archive cannot be seen nothing is planned into it, and it is said why."""
        asset = await house.pending("INBOX/A.jpg")
        await house.review.decide(PERSON, asset.uuid, Action.KEEP)

        def refuse(operation: str, path: str) -> None:
            if operation == "names_in":
                raise error("it does not answer")

        house.originals.fault = refuse
        plan = await house.moves.preview()
        assert "it does not answer" in plan.blocked[0].message

    async def test_a_storage_that_goes_away_while_much_is_planned(self, house: House) -> None:
        """What was seen of it before counts for nothing: a plan of more than one look moves nothing of it."""
        storage_id = (await house.storages.all())[0].storage_id
        kept: dict[str, Any] = {"state": State.DECIDED_KEEP, "verdict": Verdict.KEEP}
        seen = [house.originals.add(f"INBOX/{n:04d}.jpg") for n in range(1_001)]
        many = [
            samples.asset(
                n,
                storage_id=storage_id,
                path=file.path,
                size=file.size,
                mtime_ns=file.mtime_ns,
                **kept,
            )
            for n, file in enumerate(seen)
        ]
        await house.store.transact(lambda tx: tx.add_assets(many))
        assert len((await house.moves.preview()).moves) == len(many)

        def unplug(operation: str, path: str) -> None:
            if path == seen[-1].path:
                house.originals.problem = "unplugged"
                raise StorageOffline("unplugged")

        house.originals.fault = unplug
        plan = await house.moves.preview()
        assert not plan.moves
        assert {b.reason for b in plan.blocked} == {BlockReason.STORAGE_OFFLINE}
        assert len(plan.blocked) == len(many)

    async def test_nothing_is_planned_in_a_storage_that_is_away(self, house: House) -> None:
        """Each asset of it is listed, with the reason for which the storage is offline."""
        asset = await house.pending("INBOX/A.jpg")
        await house.review.decide(PERSON, asset.uuid, Action.KEEP)
        house.originals.problem = "unplugged"
        [block] = (await house.moves.preview()).blocked
        assert (block.asset, block.reason) == (asset.uuid, BlockReason.STORAGE_OFFLINE)
        assert "unplugged" in block.message

    async def test_a_taken_name_is_never_overwritten(self, house: House) -> None:
        """A group whose name is taken gets another, whole; what stood there stays."""
        house.originals.add("ARCHIVE/A.xmp", b"somebody else's")
        house.originals.add("INBOX/A.xmp", b"<x/>")
        asset = await house.pending("INBOX/A.jpg")
        await _apply(house, asset.uuid)
        after = await house.review.asset(asset.uuid)
        assert after.path.startswith("ARCHIVE/A__")
        assert after.sidecars[0].path == after.path.replace(".jpg", ".xmp")
        assert house.originals.files["ARCHIVE/A.xmp"].content == b"somebody else's"

    async def test_one_failure_moves_its_group_back_and_stops_nobody(self, house: House) -> None:
        """Where one file of a group cannot move, the group stays whole; other assets move."""
        house.originals.add("INBOX/A.xmp", b"<x/>")
        one = await house.pending("INBOX/A.jpg", b"a")
        two = await house.pending("INBOX/B.jpg", b"b")

        def refuse(operation: str, path: str) -> None:
            if operation == "rename" and path == "INBOX/A.xmp":
                raise MoveRefused("no permission")

        house.originals.fault = refuse
        await _apply(house, one.uuid, two.uuid)
        first, second = await house.review.asset(one.uuid), await house.review.asset(two.uuid)
        assert (first.state, first.path) == (State.DECIDED_KEEP, "INBOX/A.jpg")
        assert (second.state, second.path) == (State.ARCHIVED, "ARCHIVE/B.jpg")
        assert {"INBOX/A.jpg", "INBOX/A.xmp", "ARCHIVE/B.jpg"} == set(house.originals.files)

    async def test_what_cannot_be_proven_is_parked(self, house: House) -> None:
        """A group that ends neither moved nor unmoved waits for a person, and is never guessed."""
        asset = await house.pending("INBOX/A.jpg", b"a")

        def vanish(operation: str, path: str) -> None:
            if operation == "rename":
                del house.originals.files[path]
                raise OSError("I/O error")

        house.originals.fault = vanish
        await _apply(house, asset.uuid)
        after = await house.review.asset(asset.uuid)
        assert (after.state, after.flags) == (State.MOVE_QUEUED, frozenset({Flag.PARKED}))
        assert "could not be proven" in (await house.operations.why(asset.uuid)).sentence

    async def test_a_storage_that_goes_away_leaves_the_rest_queued(self, house: House) -> None:
        """When the mount is lost in the middle the batch waits, and goes on by itself afterwards."""
        one = await house.pending("INBOX/A.jpg", b"a")
        two = await house.pending("INBOX/B.jpg", b"b")

        def unplug(operation: str, path: str) -> None:
            if operation == "rename" and path == "INBOX/B.jpg":
                house.originals.problem = "unplugged"

        house.originals.fault = unplug
        await _apply(house, one.uuid, two.uuid)
        assert (await house.review.asset(two.uuid)).state is State.MOVE_QUEUED
        house.originals.problem = house.originals.fault = None
        assert await house.moves.recover() == 1
        assert (await house.review.asset(two.uuid)).state is State.ARCHIVED
        assert set(house.originals.files) == {"ARCHIVE/A.jpg", "ARCHIVE/B.jpg"}

    async def test_a_move_that_was_cut_after_its_copy_is_finished(self, house: House) -> None:
        """Where a crash left source and target whole and equal, the source goes and the move is done."""
        asset = await house.pending("INBOX/A.jpg", b"a")
        await house.review.decide(PERSON, asset.uuid, Action.KEEP)
        plan = await house.moves.preview()
        batch = await house.moves.execute(PERSON, plan, plan.digest)
        house.originals.files["ARCHIVE/A.jpg"] = house.originals.files["INBOX/A.jpg"]
        done = await house.moves.run(batch.batch_id)
        assert [result.outcome for result in done.results] == [Outcome.MOVED]
        assert set(house.originals.files) == {"ARCHIVE/A.jpg"}

    async def test_a_file_that_cannot_be_looked_at_blocks_itself_alone(self, house: House) -> None:
        """An asset whose file cannot be read stays, with the reason; the others are planned."""
        one = await house.pending("INBOX/A.jpg", b"a")
        two = await house.pending("INBOX/B.jpg", b"b")
        for asset in (one, two):
            await house.review.decide(PERSON, asset.uuid, Action.KEEP)

        def refuse(operation: str, path: str) -> None:
            if path == "INBOX/A.jpg":
                raise Unavailable("permission denied")

        house.originals.fault = refuse
        plan = await house.moves.preview()
        assert [move.asset for move in plan.moves] == [two.uuid]
        assert [(b.asset, b.reason) for b in plan.blocked] == [(one.uuid, BlockReason.UNREADABLE)]

    async def test_rejects_are_set_aside_and_can_be_kept_after_all(self, house: House) -> None:
        """Reopening moves nothing; the next batch moves the file from where it is."""
        asset = await house.pending("INBOX/A.jpg")
        await _apply(house, asset.uuid, action=Action.REJECT)
        assert set(house.originals.files) == {"REJECTS/A.jpg"}
        await house.review.reopen(PERSON, asset.uuid)
        assert set(house.originals.files) == {"REJECTS/A.jpg"}
        await _apply(house, asset.uuid)
        after = await house.review.asset(asset.uuid)
        assert (after.state, after.path) == (State.ARCHIVED, "ARCHIVE/A.jpg")
        assert [record.path for record in after.path_history] == ["INBOX/A.jpg", "REJECTS/A.jpg"]

    async def test_only_a_person_moves(self, house: House) -> None:
        """A batch needs a person."""
        plan = await house.moves.preview(frozenset({Verdict.KEEP}))
        agent = Actor(kind=ActorKind.AGENT, id="x")
        with pytest.raises(ForbiddenActor):
            await house.moves.execute(agent, plan, plan.digest)


class TestIdempotency:
    async def test_the_same_request_is_done_once(self, house: House) -> None:
        """The same key and body replay the first answer; another body is a conflict."""
        done: list[int] = []

        async def send(body: str) -> bytes:
            def run(tx: Transaction) -> bytes:
                replay, _ = once(
                    tx,
                    scope="ana POST /x key", body_digest=body, now=house.clock.now(),
                    work=lambda tx: done.append(1), render=lambda result: (200, b"answer"),
                )  # fmt: skip
                return replay.body

            return await house.store.transact(run)

        assert [await send("a"), await send("a")] == [b"answer", b"answer"]
        assert len(done) == 1
        with pytest.raises(IdempotencyConflict):
            await send("b")
