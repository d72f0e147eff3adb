"""The stories of agents and jobs, over ports in memory."""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest
from attrs import evolve
from retaia_tests.house import FACTS, JPEG, PERSON, UNPLUGGED, House

from retaia_core.domain.assets import Flag
from retaia_core.domain.jobs import JobStatus
from retaia_core.domain.lifecycle import Action, State
from retaia_core.errors import (
    ForbiddenActor,
    NotFound,
    StaleLockToken,
    StateConflict,
    StorageOffline,
    ValidationFailed,
)
from retaia_core.hooks import HookCall, HookPoint, HookReply
from retaia_core.usecases.results import DerivedClaim, Submission


@pytest.fixture
async def house() -> House:
    house = House()
    await house.start()
    return house


class TestClaims:
    async def test_a_bundle_holds_the_asset_for_one_agent(self, house: House) -> None:
        """While one agent holds a job of an asset, no other can claim another job of it."""
        asset = await house.ready("INBOX/A.jpg")
        first, second = await house.agent("one"), await house.agent("two")
        assert len(await house.processing.offered(second)) == 3
        bundle = await house.processing.claim_bundle(first, asset.uuid)
        assert len(bundle.jobs) == 3
        assert (await house.review.asset(asset.uuid)).state is State.PROCESSING_REVIEW
        assert await house.processing.offered(second) == ()
        with pytest.raises(StateConflict):
            await house.processing.claim_bundle(second, asset.uuid)

    async def test_single_claims_join_the_lease(self, house: House) -> None:
        """The holder may claim the other jobs one by one, under the same token."""
        await house.ready("INBOX/A.jpg")
        agent = await house.agent()
        jobs = [offer.job.job_id for offer in await house.processing.offered(agent)]
        tokens = {(await house.processing.claim(agent, job)).job.lock_token for job in jobs}
        assert len(tokens) == 1

    async def test_one_of_many_claimants_wins(self, house: House) -> None:
        """Of twenty agents that want one job at once, exactly one gets it."""
        await house.ready("INBOX/A.jpg")
        agents = [await house.agent(f"agent {n}") for n in range(20)]
        job_id = (await house.processing.offered(agents[0]))[0].job.job_id
        won: list[str] = []

        async def claim(n: int) -> None:
            try:
                await house.processing.claim(agents[n], job_id)
            except StateConflict:
                return
            won.append(agents[n].agent_id)

        async with anyio.create_task_group() as tasks:
            for n in range(20):
                tasks.start_soon(claim, n)
        assert len(won) == 1

    async def test_offline_and_missing_are_not_offered(self, house: House) -> None:
        """Nothing is offered or claimed of a storage that is offline or of a file that is gone."""
        asset = await house.ready("INBOX/A.jpg")
        agent = await house.agent()
        await house.storages.note(house.originals.storage_id, UNPLUGGED)
        assert await house.processing.offered(agent) == ()
        with pytest.raises(StorageOffline, match="unplugged"):
            await house.processing.claim_bundle(agent, asset.uuid)
        await house.storages.note(house.originals.storage_id, None)
        house.originals.files.clear()
        await house.scan()
        assert await house.processing.offered(agent) == ()

    async def test_what_cannot_be_reached_hides_nothing(self, house: House) -> None:
        """However many jobs lie on missing files, work that can be done is offered."""
        for number in range(30):
            await house.ready(f"INBOX/gone/{number}.jpg", f"{number}".encode())
        await house.ready("INBOX/here.jpg", b"here")
        for path in [path for path in house.originals.files if "gone" in path]:
            del house.originals.files[path]
        await house.scan()
        offers = await house.processing.offered(await house.agent(), limit=2)
        assert [offer.source.path for offer in offers] == ["INBOX/here.jpg"] * 2


class TestResults:
    async def test_a_finished_review_waits_for_a_decision(self, house: House) -> None:
        """When every required job is completed the asset is offered for decision, with its results."""
        asset = await house.pending("INBOX/A.jpg")
        assert asset.state is State.DECISION_PENDING
        assert asset.facts == FACTS["PHOTO"]
        assert [ref.kind for ref in asset.derived] == ["proxy_photo", "thumb"]
        ref, file = await house.uploads.open(asset.uuid, "thumb")
        assert (file.read(), ref.content_type) == (JPEG, "image/jpeg")

    async def test_a_result_outside_its_domain_is_refused(self, house: House) -> None:
        """A job may write only its own domain; nothing of a refused result is applied."""
        asset = await house.ready("INBOX/A.jpg")
        agent = await house.agent()
        bundle = await house.processing.claim_bundle(agent, asset.uuid)
        by_type = {job.job_type: job.job_id for job in bundle.jobs}
        token = bundle.lock.token
        stranger = Submission(lock_token=token, job_type="generate_thumbnails", facts={"width": 1})
        with pytest.raises(ValidationFailed, match="states no facts"):
            await house.processing.submit(agent, by_type["generate_thumbnails"], stranger)
        poor = Submission(lock_token=token, job_type="extract_facts", facts={"width": 1})
        with pytest.raises(ValidationFailed, match="must state media_format, height"):
            await house.processing.submit(agent, by_type["extract_facts"], poor)
        empty = Submission(lock_token=token, job_type="generate_proxy")
        with pytest.raises(ValidationFailed, match="proxy_photo is missing"):
            await house.processing.submit(agent, by_type["generate_proxy"], empty)
        after = await house.review.asset(asset.uuid)
        assert (after.facts, after.derived) == ({}, ())

    async def test_a_file_of_another_asset_is_refused(self, house: House) -> None:
        """A submit can name only what the same agent uploaded for the same asset and kind."""
        one, two = await house.ready("INBOX/A.jpg", b"a"), await house.ready("INBOX/B.jpg", b"b")
        agent = await house.agent()
        first = await house.processing.claim_bundle(agent, one.uuid)
        second = await house.processing.claim_bundle(agent, two.uuid)
        foreign = await house.upload(agent, one.uuid, "thumb", "image/jpeg", JPEG)
        job = next(j for j in second.jobs if j.job_type == "generate_thumbnails")
        for claim in (foreign, DerivedClaim(kind="thumb", ref="../../etc/passwd")):
            submission = Submission(
                lock_token=second.lock.token, job_type=job.job_type, derived=(claim,)
            )
            with pytest.raises(ValidationFailed):
                await house.processing.submit(agent, job.job_id, submission)
        assert first.lock.token != second.lock.token

    async def test_a_known_result_is_used_again(self, house: House) -> None:
        """A copy of a file gets the results of the first without any work, with files of its own."""
        first = await house.pending("INBOX/A.jpg", b"the same content")
        copy = await house.ready("INBOX/copy.jpg", b"the same content")
        agent = await house.agent()
        bundle = await house.processing.claim_bundle(agent, copy.uuid)
        assert bundle.jobs == ()
        after = await house.review.asset(copy.uuid)
        assert after.state is State.DECISION_PENDING
        assert after.facts == first.facts
        assert {ref.ref for ref in after.derived}.isdisjoint({ref.ref for ref in first.derived})

    async def test_a_result_of_another_version_is_not_used(self, house: House) -> None:
        """A known result is used again only for an agent of the same versions."""
        await house.pending("INBOX/A.jpg", b"the same content")
        copy = await house.ready("INBOX/copy.jpg", b"the same content")
        newer, _ = await house.agents.register(
            "client", "newer", "2", "test", (await house.agent()).capabilities
        )
        assert len((await house.processing.claim_bundle(newer, copy.uuid)).jobs) == 3


class TestFailures:
    async def test_a_fatal_failure_makes_the_asset_unprocessable(self, house: House) -> None:
        """Required work that fails for good brings the asset back to READY, flagged with the reason."""
        asset = await house.ready("INBOX/A.jpg")
        agent = await house.agent()
        bundle = await house.processing.claim_bundle(agent, asset.uuid)
        for job in bundle.jobs:
            await house.processing.fail(
                agent, job.job_id, bundle.lock.token, "SOURCE_UNREADABLE", "cut off", retryable=True
            )
        after = await house.review.asset(asset.uuid)
        assert (after.state, after.flags) == (State.READY, frozenset({Flag.UNPROCESSABLE}))
        assert "cut off" in (await house.operations.why(asset.uuid)).sentence
        assert await house.processing.offered(agent) == ()

    async def test_a_person_can_waive_or_retry(self, house: House) -> None:
        """An unprocessable asset can be tried anew, or decided all the same."""
        asset = await house.ready("INBOX/A.jpg")
        agent = await house.agent()
        for act in ("retry", "waive"):
            bundle = await house.processing.claim_bundle(agent, asset.uuid)
            for job in bundle.jobs:
                await house.processing.fail(
                    agent, job.job_id, bundle.lock.token, "SOURCE_TRUNCATED", "x", retryable=False
                )
            await getattr(house.review, act)(PERSON, asset.uuid)
        decided = await house.review.decide(PERSON, asset.uuid, Action.REJECT)
        assert decided.state is State.DECIDED_REJECT

    async def test_a_retryable_failure_waits_and_ends(self, house: House) -> None:
        """A job that may work later is offered again after a pause, until its attempts run out."""
        asset = await house.ready("INBOX/A.jpg")
        agent = await house.agent()
        for _ in range(3):
            offers = await house.processing.offered(agent)
            job_id = next(o.job.job_id for o in offers if o.job.job_type == "extract_facts")
            claimed = (await house.processing.claim(agent, job_id)).job
            await house.processing.fail(
                agent, job_id, claimed.lock_token or "", "TIMEOUT", "slow", retryable=True
            )
            waiting = {o.job.job_type for o in await house.processing.offered(agent)}
            assert "extract_facts" not in waiting
            house.clock.advance(timedelta(minutes=20))
        assert Flag.UNPROCESSABLE in (await house.review.asset(asset.uuid)).flags

    @pytest.mark.parametrize("code", ["STORAGE_OFFLINE", "STORAGE_NOT_MOUNTED", "WORKSPACE_FULL"])
    async def test_an_agents_own_trouble_is_not_the_files(self, house: House, code: str) -> None:
        """A lost mount or a full disk of an agent costs no attempt, however often it happens."""
        asset = await house.ready("INBOX/A.jpg")
        agent = await house.agent()
        for _ in range(5):
            bundle = await house.processing.claim_bundle(agent, asset.uuid)
            for job in bundle.jobs:
                await house.processing.fail(
                    agent, job.job_id, bundle.lock.token, code, "not here", retryable=True
                )
            assert await house.processing.offered(agent) == ()
            house.clock.advance(timedelta(seconds=31))
        after = await house.review.asset(asset.uuid)
        assert (after.state, after.flags) == (State.READY, frozenset())
        await house.finish(agent, await house.processing.claim_bundle(agent, asset.uuid))
        assert (await house.review.asset(asset.uuid)).state is State.DECISION_PENDING

    async def test_a_lost_lease_returns_the_work(self, house: House) -> None:
        """When a lease runs out the jobs are claimable at once, and the late holder is refused."""
        asset = await house.ready("INBOX/A.jpg")
        late, other = await house.agent("late"), await house.agent("other")
        bundle = await house.processing.claim_bundle(late, asset.uuid)
        house.clock.advance(timedelta(seconds=121))
        assert await house.processing.recover_leases() == 1
        assert (await house.review.asset(asset.uuid)).state is State.READY
        again = await house.processing.claim_bundle(other, asset.uuid)
        assert again.lock.fencing > bundle.lock.fencing
        submission = Submission(
            lock_token=bundle.lock.token, job_type="extract_facts", facts=FACTS["PHOTO"]
        )
        facts = next(j for j in bundle.jobs if j.job_type == "extract_facts")
        with pytest.raises(StaleLockToken):
            await house.processing.submit(late, facts.job_id, submission)
        assert (await house.review.asset(asset.uuid)).facts == {}

    async def test_a_dead_agents_leases_are_taken_back(self, house: House) -> None:
        """What an embedded agent held when its server died is offered at once, and nobody else's."""
        mine, others = (
            await house.ready("INBOX/A.jpg", b"a"),
            await house.ready("INBOX/B.jpg", b"b"),
        )
        dead, alive = await house.agent("dead"), await house.agent("alive")
        bundle = await house.processing.claim_bundle(dead, mine.uuid)
        kept = await house.processing.claim_bundle(alive, others.uuid)
        assert await house.processing.take_back("client", "dead") == 1
        assert (await house.review.asset(mine.uuid)).state is State.READY
        await house.processing.heartbeat(alive, kept.jobs[0].job_id, kept.lock.token)
        with pytest.raises(StaleLockToken):
            await house.processing.heartbeat(dead, bundle.jobs[0].job_id, bundle.lock.token)

    async def test_a_job_that_is_given_back_costs_no_attempt(self, house: House) -> None:
        """An agent that stops returns its jobs; they are pending and untried."""
        asset = await house.ready("INBOX/A.jpg")
        agent = await house.agent()
        bundle = await house.processing.claim_bundle(agent, asset.uuid)
        for job in bundle.jobs:
            await house.processing.give_back(agent, job.job_id, bundle.lock.token)
        jobs = await house.review.jobs(asset.uuid)
        assert {(job.status, job.attempts) for job in jobs} == {(JobStatus.PENDING, 0)}
        assert (await house.review.asset(asset.uuid)).state is State.READY


class TestUploads:
    async def test_uploads_need_a_held_job(self, house: House) -> None:
        """Nobody can upload for an asset without holding a job that makes the kind."""
        asset = await house.ready("INBOX/A.jpg")
        agent = await house.agent()
        with pytest.raises(StateConflict, match="holds no job"):
            await house.upload(agent, asset.uuid, "thumb", "image/jpeg", JPEG)
        await house.processing.claim_bundle(agent, asset.uuid)
        with pytest.raises(StateConflict, match="holds no job"):
            await house.upload(agent, asset.uuid, "waveform", "application/json", b"{}")

    async def test_a_file_that_lies_is_refused_and_gone(self, house: House) -> None:
        """Wrong content, size or digest: refused, and nothing is kept."""
        asset = await house.ready("INBOX/A.jpg")
        agent = await house.agent()
        await house.processing.claim_bundle(agent, asset.uuid)
        with pytest.raises(ValidationFailed, match="its content is"):
            await house.upload(agent, asset.uuid, "thumb", "image/jpeg", b"no picture at all")
        upload = await house.uploads.init(
            agent, asset.uuid, kind="thumb", content_type="image/jpeg",
            size_bytes=len(JPEG), sha256="0" * 64,
        )  # fmt: skip
        await house.uploads.put_part(agent, asset.uuid, upload.upload_id, 1, [JPEG])
        with pytest.raises(ValidationFailed, match="not the one that was announced"):
            await house.uploads.complete(agent, asset.uuid, upload.upload_id, {})
        assert list(house.derived.refs("")) == []

    async def test_another_agent_cannot_touch_an_upload(self, house: House) -> None:
        """An upload belongs to the agent that announced it."""
        asset = await house.ready("INBOX/A.jpg")
        agent, other = await house.agent("one"), await house.agent("two")
        await house.processing.claim_bundle(agent, asset.uuid)
        upload = await house.uploads.init(
            agent, asset.uuid, kind="thumb", content_type="image/jpeg", size_bytes=len(JPEG)
        )
        with pytest.raises(ForbiddenActor):
            await house.uploads.put_part(other, asset.uuid, upload.upload_id, 1, [JPEG])

    async def test_abandoned_uploads_are_collected(self, house: House) -> None:
        """After a day an upload that nobody completed is gone; what assets use stays."""
        asset = await house.pending("INBOX/A.jpg")
        await house.ready("INBOX/B.jpg", b"other")
        agent = await house.agent()
        other = await house.at("INBOX/B.jpg")
        await house.processing.claim_bundle(agent, other.uuid)
        upload = await house.uploads.init(
            agent, other.uuid, kind="thumb", content_type="image/jpeg", size_bytes=len(JPEG)
        )
        house.clock.advance(timedelta(hours=25))
        await house.uploads.collect()
        with pytest.raises(NotFound):
            await house.uploads.get(agent, other.uuid, upload.upload_id)
        _, file = await house.uploads.open(asset.uuid, "thumb")
        assert file.read() == JPEG


class _Hook:
    name = "note"
    point = HookPoint.AFTER_PROCESSED

    def __init__(self, problem: Exception | None = None) -> None:
        self.calls: list[str] = []
        self.problem = problem

    def run(self, call: HookCall) -> HookReply:
        self.calls.append(call.event_id)
        if self.problem:
            raise self.problem
        return HookReply(note="checked", fields={"shot": "wide"})


class TestLifecycleHooks:
    async def test_a_hook_adds_notes_and_fields(self) -> None:
        """A hook may add a note and set fields; it is called once for an event."""
        hook = _Hook()
        house = House(hooks=(hook,))
        await house.start()
        asset = await house.pending("INBOX/A.jpg")
        assert (asset.state, asset.notes, asset.fields) == (
            State.DECISION_PENDING, "checked", {"shot": "wide"},
        )  # fmt: skip
        await house.processing.settle(evolve(asset, state=State.PROCESSED))
        assert len(hook.calls) == 1

    @pytest.mark.parametrize("blocking", [False, True])
    async def test_a_failing_hook_is_audited(self, *, blocking: bool) -> None:
        """A failing hook is audited and the lifecycle goes on, unless settings mark it blocking."""
        house = House(
            hooks=(_Hook(RuntimeError("boom")),),
            blocking=frozenset({"note"}) if blocking else frozenset(),
        )
        await house.start()
        asset = await house.pending("INBOX/A.jpg")
        expected = State.PROCESSED if blocking else State.DECISION_PENDING
        assert asset.state is expected
        events = await house.operations.history(asset.uuid)
        assert [e.data["problem"] for e in events if e.name == "hook.called"] == [
            "RuntimeError('boom')"
        ]
