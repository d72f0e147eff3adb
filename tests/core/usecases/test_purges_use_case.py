"""The story of a purge over ports in memory: locks, journal, faults in the middle, recovery."""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from retaia_tests.house import PERSON, House

from retaia_core.domain.actors import Actor, ActorKind
from retaia_core.domain.assets import Asset
from retaia_core.domain.identifiers import AssetId
from retaia_core.domain.jobs import JobStatus
from retaia_core.domain.journal import Phase
from retaia_core.domain.leases import LockKind
from retaia_core.domain.lifecycle import Action, State
from retaia_core.domain.purge import PurgeBlock
from retaia_core.errors import (
    ForbiddenActor,
    Purged,
    StateConflict,
    StorageOffline,
    Unavailable,
    ValidationFailed,
)
from retaia_core.ports.originals import RemovalRefused
from retaia_core.ports.store import Transaction
from retaia_core.usecases.purging import PurgeResult

LATE = timedelta(seconds=301)


class Crash(BaseException):
    """The process ends here."""


async def rejected(house: House, name: str = "A") -> Asset:
    """A rejected photo with a sidecar and derived files, among the rejects."""
    house.originals.add(f"INBOX/{name}.xmp", b"<x/>")
    asset = await house.pending(f"INBOX/{name}.jpg", name.encode())
    await house.review.decide(PERSON, asset.uuid, Action.REJECT)
    plan = await house.moves.preview()
    batch = await house.moves.execute(PERSON, plan, plan.digest)
    await house.moves.run(batch.batch_id)
    return await house.review.asset(asset.uuid)


@pytest.fixture
async def house() -> House:
    house = House()
    await house.start()
    return house


async def purge(house: House, uuid: AssetId) -> PurgeResult:
    """Purge what a preview shows."""
    plan = await house.purges.preview(uuid)
    return await house.purges.purge(PERSON, plan, plan.digest)


async def phases(house: House, asset: Asset) -> list[Phase]:
    """The phases of the purge's journal."""
    entries = await house.store.read(lambda tx: tx.journal(subject=asset.subject))
    return [entry.phase for entry in entries if entry.operation == "purge"]


def gone(house: House) -> bool:
    """Whether no file is left anywhere."""
    return not house.originals.files and not house.derived.files


class TestPurge:
    """*Confirmed, it deletes original, sidecars and derived files under a lock, journalled.*."""

    async def test_what_was_shown_goes(self, house: House) -> None:
        """Every file of the preview goes, is in the journal before and after, and the record is minimal."""
        asset = await rejected(house)
        keep = await house.pending("INBOX/B.jpg", b"b")
        plan = await house.purges.preview(asset.uuid)
        shown = {file.path for file in plan.files}
        assert shown == {"REJECTS/A.jpg", "REJECTS/A.xmp", *(d.ref for d in asset.derived)}
        assert set(house.originals.files) == {"REJECTS/A.jpg", "REJECTS/A.xmp", "INBOX/B.jpg"}
        result = await house.purges.purge(PERSON, plan, plan.digest)
        assert {file.path for file in result.removed} == shown
        assert result.bytes_freed == plan.bytes_freed
        assert set(house.originals.files) == {"INBOX/B.jpg"}
        assert set(house.derived.files) == {d.ref for d in keep.derived}
        after = await house.review.asset(asset.uuid)
        assert (after.state, after.derived, after.facts) == (State.PURGED, (), {})
        n = len(shown)
        assert await phases(house, asset) == [Phase.INTENT] * n + [Phase.DONE] * n
        last = (await house.operations.history(asset.uuid))[-1]
        assert (last.name, last.actor) == ("asset.purged", str(PERSON))
        assert last.data["bytes"] == plan.bytes_freed
        lock = await house.store.read(lambda tx: tx.lock(asset.subject))
        assert lock is not None
        assert not lock.held(house.clock.now())

    async def test_only_a_person(self, house: House) -> None:
        """No agent, client or system purges."""
        asset = await rejected(house)
        plan = await house.purges.preview(asset.uuid)
        for kind in (ActorKind.AGENT, ActorKind.MCP, ActorKind.SYSTEM):
            with pytest.raises(ForbiddenActor):
                await house.purges.purge(Actor(kind=kind, id="x"), plan, plan.digest)
        assert "REJECTS/A.jpg" in house.originals.files

    async def test_only_what_is_rejected(self, house: House) -> None:
        """A decision alone is not enough: the file has to lie among the rejects."""
        asset = await house.pending("INBOX/A.jpg")
        await house.review.decide(PERSON, asset.uuid, Action.REJECT)
        with pytest.raises(StateConflict, match="only what was rejected and moved"):
            await purge(house, asset.uuid)
        assert "INBOX/A.jpg" in house.originals.files

    async def test_repeating_is_harmless(self, house: House) -> None:
        """A second purge is refused as purged, and touches nothing; a file of that name stays."""
        asset = await rejected(house)
        plan = await house.purges.preview(asset.uuid)
        await house.purges.purge(PERSON, plan, plan.digest)
        house.originals.add("REJECTS/A.jpg", b"another")
        with pytest.raises(Purged):
            await house.purges.preview(asset.uuid)
        with pytest.raises(Purged):
            await house.purges.purge(PERSON, plan, plan.digest)
        assert house.originals.files["REJECTS/A.jpg"].content == b"another"

    async def test_another_world_than_was_shown(self, house: House) -> None:
        """A derived file more than the preview showed, and the purge is refused with what is there."""
        asset = await rejected(house)
        shown = await house.purges.preview(asset.uuid)
        house.derived.files[f"{asset.uuid}/late.jpg"] = b"late"
        plan = await house.purges.preview(asset.uuid)
        with pytest.raises(StateConflict, match="preview again") as caught:
            await house.purges.purge(PERSON, plan, shown.digest)
        assert caught.value.details["expected_digest"] == shown.digest
        assert len(house.originals.files) == 2

    async def test_a_file_that_changed_is_told(self, house: House) -> None:
        """Another size, time or content than was seen is refused with both."""
        asset = await rejected(house)
        shown = await house.purges.preview(asset.uuid)
        house.originals.add("REJECTS/A.jpg", b"somebody worked on it")
        plan = await house.purges.preview(asset.uuid)
        with pytest.raises(StateConflict) as caught:
            await house.purges.purge(PERSON, plan, shown.digest)
        blocked = caught.value.details["blocked"]
        assert [(b["path"], b["found"]["size"]) for b in blocked] == [("REJECTS/A.jpg", 21)]
        assert len(house.originals.files) == 2

    async def test_a_file_that_changes_at_the_last_moment_stays(self, house: House) -> None:
        """Between acceptance and removal every file is looked at again; then none goes."""
        asset = await rejected(house)
        plan = await house.purges.preview(asset.uuid)
        purging = await house.purges.accept(PERSON, plan, plan.digest)
        house.originals.add("REJECTS/A.xmp", b"somebody worked on it")
        result = await house.purges.finish(purging, await house.purges.remove(purging))
        assert len(house.originals.files) == 2
        assert "another file by now" in result.error
        after = await house.review.asset(asset.uuid)
        assert after.state is State.REJECTED
        assert "another file by now" in (await house.operations.why(asset.uuid)).sentence

    async def test_an_asset_that_changed_since_the_plan(self, house: House) -> None:
        """What a person did to the asset meanwhile wins."""
        asset = await rejected(house)
        plan = await house.purges.preview(asset.uuid)
        await house.review.annotate(PERSON, asset.uuid, notes="wait, this one is good")
        with pytest.raises(StateConflict, match="preview again"):
            await house.purges.purge(PERSON, plan, plan.digest)
        await house.review.reopen(PERSON, asset.uuid)
        with pytest.raises(StateConflict):
            await house.purges.purge(PERSON, plan, plan.digest)
        assert len(house.originals.files) == 2

    @pytest.mark.parametrize(
        ("where", "raised", "reason"),
        [
            ("stat", StorageOffline("unplugged"), PurgeBlock.STORAGE_OFFLINE),
            ("stat", Unavailable("permission denied"), PurgeBlock.UNREADABLE),
            ("stat", ValidationFailed("a link leads out"), PurgeBlock.UNREADABLE),
            ("refs", OSError(5, "Input/output error"), PurgeBlock.UNREADABLE),
        ],
    )
    async def test_what_cannot_be_looked_at(
        self, house: House, where: str, raised: Exception, reason: PurgeBlock
    ) -> None:
        """The preview says so, and nothing goes."""
        asset = await rejected(house)

        def fails(operation: str, path: str) -> None:
            if operation == where:
                raise raised

        house.originals.fault = house.derived.fault = fails
        plan = await house.purges.preview(asset.uuid)
        assert [block.reason for block in plan.blocked] == [reason]
        assert plan.files == ()

    async def test_those_rejected_before_a_day(self, house: House) -> None:
        """Found by when they came among the rejects; what is no reject any more is left out."""
        first = await rejected(house, "A")
        second = await rejected(house, "B")
        third = await rejected(house, "C")
        await house.review.reopen(PERSON, first.uuid)
        assert third.state_since is not None
        assert await house.purges.rejected_before(third.state_since) == (second.uuid,)


class TestLocks:
    async def test_nothing_goes_once_the_lock_is_over(self, house: House) -> None:
        """After its time it is recovery's, so whoever comes late removes nothing."""
        asset = await rejected(house)
        plan = await house.purges.preview(asset.uuid)
        purging = await house.purges.accept(PERSON, plan, plan.digest)
        house.clock.advance(LATE)
        with pytest.raises(StateConflict, match="took too long"):
            await house.purges.remove(purging)
        assert len(house.originals.files) == 2

    async def test_removing_makes_the_lock_last(self, house: House) -> None:
        """It has its whole time from when the removal begins."""
        asset = await rejected(house)
        plan = await house.purges.preview(asset.uuid)
        purging = await house.purges.accept(PERSON, plan, plan.digest)
        house.clock.advance(timedelta(seconds=200))
        removal = await house.purges.remove(purging)
        house.clock.advance(timedelta(seconds=200))
        assert await house.purges.recover() == 0
        assert (await house.purges.finish(purging, removal)).asset.state is State.PURGED

    async def test_a_removal_that_takes_too_long_stops(self, house: House) -> None:
        """In the middle, too: the rest is recovery's."""
        asset = await rejected(house)
        plan = await house.purges.preview(asset.uuid)

        def slow(operation: str, path: str) -> None:
            if operation == "remove" and path.endswith(".jpg"):
                house.clock.advance(LATE)

        house.originals.fault = slow
        purging = await house.purges.accept(PERSON, plan, plan.digest)
        removal = await house.purges.remove(purging)
        assert "took too long" in removal.error
        assert set(house.originals.files) == {"REJECTS/A.xmp"}
        house.originals.fault = None
        assert await house.purges.recover() == 1
        with pytest.raises(StateConflict, match="recovery took it over"):
            await house.purges.finish(purging, removal)
        assert gone(house)

    async def test_two_servers_recover_at_once(self, house: House) -> None:
        """One takes it up, and the other leaves it alone."""
        asset = await rejected(house)
        plan = await house.purges.preview(asset.uuid)
        await house.purges.accept(PERSON, plan, plan.digest)
        taken: list[int] = []

        async def recover() -> None:
            taken.append(await house.purges.recover(held=True))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recover)
            tasks.start_soon(recover)
        assert sorted(taken) == [0, 1]
        assert (await house.review.asset(asset.uuid)).state is State.PURGED

    """*Precedence on one asset: purge, move, reprocess, claim*; one at a time."""

    async def test_nobody_else_acts_under_a_purge(self, house: House) -> None:
        """Between acceptance and end the asset can be neither reopened, reprocessed nor purged."""
        asset = await rejected(house)
        plan = await house.purges.preview(asset.uuid)
        purging = await house.purges.accept(PERSON, plan, plan.digest)
        for act in (
            house.review.reopen(PERSON, asset.uuid),
            house.review.reprocess(PERSON, asset.uuid),
            house.purges.accept(PERSON, plan, plan.digest),
        ):
            with pytest.raises(StateConflict, match="asset_purge_lock"):
                await act
        await house.purges.finish(purging, await house.purges.remove(purging))
        assert gone(house)

    async def test_a_job_that_is_held_comes_first(self, house: House) -> None:
        """While an agent holds a job of the asset, it is not purged; afterwards its open work is closed."""
        house.switched_on = frozenset({"suggest_tags"})
        asset = await rejected(house)
        jobs = await house.review.jobs(asset.uuid)
        (open_job,) = [job for job in jobs if job.status is JobStatus.PENDING]
        agent = await house.agent()
        await house.processing.claim(agent, open_job.job_id)
        with pytest.raises(StateConflict, match="job_lease"):
            await purge(house, asset.uuid)
        lock = await house.store.read(lambda tx: tx.lock(asset.subject))
        assert lock is not None
        await house.processing.give_back(agent, open_job.job_id, lock.token)
        await purge(house, asset.uuid)
        (job,) = [j for j in await house.review.jobs(asset.uuid) if j.job_id == open_job.job_id]
        assert (job.status, job.failure and job.failure.code) == (JobStatus.FAILED, "PURGED")

    async def test_a_repeated_request_knows_its_own_purge(self, house: House) -> None:
        """While a purge is under way whoever has its token sees that, and nobody else; then it is over."""
        asset = await rejected(house)
        plan = await house.purges.preview(asset.uuid)
        purging = await house.purges.accept(PERSON, plan, plan.digest, "request-1")
        assert await house.purges.under_way(asset.uuid, "request-1")
        assert not await house.purges.under_way(asset.uuid, "request-2")
        await house.purges.finish(purging, await house.purges.remove(purging))
        assert not await house.purges.under_way(asset.uuid, "request-1")

    async def test_the_lock_is_a_purge_lock_of_300_seconds(self, house: House) -> None:
        """It is held by the person who ordered it."""
        asset = await rejected(house)
        plan = await house.purges.preview(asset.uuid)
        await house.purges.accept(PERSON, plan, plan.digest)
        lock = await house.store.read(lambda tx: tx.lock(asset.subject))
        assert lock is not None
        assert (lock.kind, lock.holder) == (LockKind.ASSET_PURGE_LOCK, str(PERSON))
        assert lock.expires_at == house.clock.now() + timedelta(seconds=300)


class TestTrouble:
    """*A crash in the middle is finished on recovery*; the state follows the disk."""

    @pytest.mark.parametrize(
        "raised", [ValidationFailed("a link leads out"), OSError(13, "Permission denied")]
    )
    async def test_derived_files_that_cannot_go(self, house: House, raised: Exception) -> None:
        """Whatever the reason is, it is told with what is left; the asset stays rejected."""
        asset = await rejected(house)

        def refuse(operation: str, path: str) -> None:
            if operation == "remove":
                raise raised

        house.derived.fault = refuse
        with pytest.raises(StateConflict) as caught:
            await purge(house, asset.uuid)
        assert caught.value.details["left"] == sorted(house.derived.files)
        assert (await house.review.asset(asset.uuid)).state is State.REJECTED
        house.derived.fault = None
        await purge(house, asset.uuid)
        assert gone(house)

    async def test_what_is_left_cannot_be_told(self, house: House) -> None:
        """Neither gone nor there is claimed; recovery looks again."""
        asset = await rejected(house)
        plan = await house.purges.preview(asset.uuid)
        purging = await house.purges.accept(PERSON, plan, plan.digest)

        def fails(operation: str, path: str) -> None:
            if operation == "size":
                raise OSError(5, "Input/output error")

        house.derived.fault = fails
        with pytest.raises(Unavailable, match="cannot be told"):
            await house.purges.remove(purging)
        house.derived.fault = None
        house.clock.advance(LATE)
        assert await house.purges.recover() == 1
        assert gone(house)

    async def test_a_marker_that_goes_at_the_end(self, house: House) -> None:
        """Files that do not show on a storage that is away are not called removed."""
        asset = await rejected(house)
        plan = await house.purges.preview(asset.uuid)
        purging = await house.purges.accept(PERSON, plan, plan.digest)
        last = plan.files[-1].path

        def unplug(operation: str, path: str) -> None:
            if (operation, path) == ("remove", last):
                house.originals.problem = "unplugged"

        house.derived.fault = unplug
        with pytest.raises(StorageOffline):
            await house.purges.remove(purging)
        assert (await house.review.asset(asset.uuid)).state is State.REJECTED

    async def test_an_original_that_cannot_go_keeps_everything(self, house: House) -> None:
        """Where the first file is refused, nothing went, it is said, and a later try does it."""
        asset = await rejected(house)

        def refuse(operation: str, path: str) -> None:
            if operation == "remove":
                raise RemovalRefused("permission denied")

        house.originals.fault = refuse
        with pytest.raises(StateConflict, match="permission denied") as caught:
            await purge(house, asset.uuid)
        assert caught.value.details["removed"] == []
        assert len(house.originals.files) == 2
        after = await house.review.asset(asset.uuid)
        assert (after.state, after.derived) == (State.REJECTED, asset.derived)
        house.originals.fault = None
        await purge(house, asset.uuid)
        assert gone(house)

    async def test_a_purge_that_stopped_half_way_can_be_finished(self, house: House) -> None:
        """What is gone is known from the journal, and the rest can be purged by a person again."""
        asset = await rejected(house)

        def refuse(operation: str, path: str) -> None:
            if operation == "remove" and path.endswith(".xmp"):
                raise OSError(5, "I/O error")

        house.originals.fault = refuse
        with pytest.raises(StateConflict) as caught:
            await purge(house, asset.uuid)
        assert caught.value.details["removed"] == ["REJECTS/A.jpg"]
        assert (await house.review.asset(asset.uuid)).state is State.REJECTED
        house.originals.fault = None
        plan = await house.purges.preview(asset.uuid)
        assert "gone already" in plan.warnings[0]
        await house.purges.purge(PERSON, plan, plan.digest)
        assert gone(house)

    async def test_a_storage_that_goes_away(self, house: House) -> None:
        """Nothing is called gone that cannot be looked at; recovery goes on when it is back."""
        asset = await rejected(house)

        def unplug(operation: str, path: str) -> None:
            if operation == "remove" and path.endswith(".xmp"):
                house.originals.problem = "unplugged"
                raise StorageOffline("unplugged")

        house.originals.fault = unplug
        with pytest.raises(Unavailable):
            await purge(house, asset.uuid)
        assert (await house.review.asset(asset.uuid)).state is State.REJECTED
        house.clock.advance(LATE)
        assert await house.purges.recover() == 1
        assert (await house.review.asset(asset.uuid)).state is State.REJECTED
        house.originals.fault = house.originals.problem = None
        house.clock.advance(LATE)
        assert await house.purges.recover() == 1
        assert (await house.review.asset(asset.uuid)).state is State.PURGED
        assert gone(house)

    async def test_recovery_waits_for_the_lock_unless_the_server_starts(self, house: House) -> None:
        """A purge under way is left alone until its time is over; a start takes all up at once."""
        asset = await rejected(house)
        plan = await house.purges.preview(asset.uuid)
        late = await house.purges.accept(PERSON, plan, plan.digest)
        assert await house.purges.recover() == 0
        assert await house.purges.recover(held=True) == 1
        assert (await house.review.asset(asset.uuid)).state is State.PURGED
        assert await house.purges.recover(held=True) == 0
        with pytest.raises(StateConflict, match="recovery took it over"):
            await house.purges.finish(late, await house.purges.remove(late))
        history = await house.operations.history(asset.uuid)
        assert [e.name for e in history].count("asset.purged") == 1
        assert history[-1].actor == str(PERSON)

    async def test_nothing_begins_before_recovery_has_ended_a_purge(self, house: House) -> None:
        """Files may be gone where a crash cut it off, also when its lock's time is over."""
        asset = await rejected(house)
        plan = await house.purges.preview(asset.uuid)
        purging = await house.purges.accept(PERSON, plan, plan.digest)
        await house.purges.remove(purging)
        house.clock.advance(LATE)
        with pytest.raises(StateConflict, match="asset_purge_lock"):
            await house.review.reopen(PERSON, asset.uuid)
        (batch,) = await house.moves.batches()
        undo = await house.undo.preview(batch.batch_id)
        assert undo.moves == ()
        assert await house.purges.recover() == 1
        assert (await house.review.asset(asset.uuid)).state is State.PURGED

    async def test_recovery_gives_up_where_the_asset_is_not_rejected_any_more(
        self, house: House
    ) -> None:
        """Whatever brought that about: what is not rejected is not purged."""
        asset = await rejected(house)
        plan = await house.purges.preview(asset.uuid)
        await house.purges.accept(PERSON, plan, plan.digest)
        house.clock.advance(LATE)

        def reopen(tx: Transaction) -> None:
            tx.save_asset(evolve(asset, state=State.DECISION_PENDING))

        await house.store.transact(reopen)
        assert await house.purges.recover() == 0
        assert len(house.originals.files) == 2
        assert await house.purges.recover() == 0

    @given(st.integers(0, 5), st.integers(0, 5))
    @settings(max_examples=25, deadline=None)
    async def test_cut_anywhere_it_ends_whole(self, first: int, second: int) -> None:
        """Cut before any step, and cut again in its recovery, a purge ends with every file gone."""
        house = House()
        await house.start()
        asset = await rejected(house)
        plan = await house.purges.preview(asset.uuid)
        steps = [0]

        def cut(operation: str, path: str) -> None:
            if operation == "remove":
                if steps[0] == 0:
                    raise Crash
                steps[0] -= 1

        for at in (first, second):
            steps[0] = at
            house.originals.fault = house.derived.fault = cut
            house.clock.advance(LATE)
            try:
                if at is first and not await phases(house, asset):
                    await house.purges.purge(PERSON, plan, plan.digest)
                else:
                    await house.purges.recover()
            except Crash:
                after = await house.review.asset(asset.uuid)
                assert after.state is State.REJECTED
        house.originals.fault = house.derived.fault = None
        house.clock.advance(LATE)
        await house.purges.recover()
        assert (await house.review.asset(asset.uuid)).state is State.PURGED
        assert gone(house)
        names = [e.name for e in await house.operations.history(asset.uuid)]
        assert names.count("asset.purged") == 1
