"""Agents work through the contract: list, claim, hold, submit, fail, give back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest
from attrs import evolve
from retaia_tests.house import FACTS, UNPLUGGED, House
from retaia_tests.http_house import STORES, Served, serve_in_process

from retaia_core.domain.identifiers import Capability
from retaia_core.domain.job_types import JobType
from retaia_core.domain.lifecycle import State

PHOTO_FACTS = FACTS["PHOTO"]


@pytest.fixture(params=STORES)
def store_kind(request: pytest.FixtureRequest) -> str:
    """These stories run on every store."""
    return str(request.param)


async def claim_facts(served: Served) -> dict[str, Any]:
    """Register, and claim the facts job of a photo that is ready."""
    await served.house.ready("INBOX/A.jpg")
    await served.register()
    jobs = (await served.agent.get("/jobs")).json()
    job = next(j for j in jobs if j["job_type"] == "extract_facts")
    answer = await served.agent.post(f"/jobs/{job['job_id']}/claim")
    assert answer.status_code == 200
    claimed: dict[str, Any] = answer.json()
    return claimed


def submission(job: dict[str, Any], **result: object) -> dict[str, object]:
    """The contract's body for facts."""
    result = {"facts_patch": PHOTO_FACTS, **result}
    return {"lock_token": job["lock_token"], "job_type": "extract_facts", "result": result}


class TestListing:
    """What is offered."""

    async def test_jobs_are_the_contract_s(self, served: Served) -> None:
        """A listed job names its source and never a lock; the list is a bare array."""
        asset = await served.house.ready("INBOX/day 1/A.jpg")
        await served.register()
        jobs = (await served.agent.get("/jobs")).json()
        assert {job["job_type"] for job in jobs} == {
            "extract_facts", "generate_proxy", "generate_thumbnails",
        }  # fmt: skip
        for job in jobs:
            assert job["asset_uuid"] == asset.uuid
            assert job["source"] == {
                "storage_id": "memory",
                "original_relative": "INBOX/day 1/A.jpg",
                "sidecars_relative": [],
            }
            assert "lock_token" not in job

    async def test_only_what_fits(self, served: Served) -> None:
        """An agent sees the jobs whose capability it declared."""
        await served.house.ready("INBOX/A.jpg")
        body = {"agent_name": "a", "agent_version": "1", "capabilities": ["media.facts@1", "odd"]}
        answer = (await served.agent.post("/agents/register", json=body)).json()
        assert answer["effective_capabilities"] == ["media.facts@1"]
        assert len(answer["capability_warnings"]) == 1
        listed = (await served.agent.get("/jobs")).json()
        assert [job["job_type"] for job in listed] == ["extract_facts"]

    async def test_types_beyond_the_contract(self, house: House) -> None:
        """A plugin's job is in our list and in bundles, and never in the contract's closed objects."""
        row = JobType(name="taste_colours", capabilities={None: Capability("colour.taste@1")})
        profile = house.catalog.profiles["photo_standard"]
        wider = evolve(profile, optional=(*profile.optional, row.name))
        house.catalog = evolve(
            house.catalog,
            job_types={**house.catalog.job_types, row.name: row},
            profiles={**house.catalog.profiles, wider.name: wider},
        )
        async with serve_in_process(house) as served:
            asset = await house.ready("INBOX/A.jpg")
            await served.register()
            ours = (await served.agent.get("/jobs/offered")).json()["items"]
            theirs = (await served.agent.get("/jobs")).json()
            assert "taste_colours" in {job["job_type"] for job in ours}
            assert "taste_colours" not in {job["job_type"] for job in theirs}
            job = next(j for j in ours if j["job_type"] == "taste_colours")
            single = await served.agent.post(f"/jobs/{job['job_id']}/claim")
            assert (single.status_code, single.json()["code"]) == (409, "STATE_CONFLICT")
            bundle = (await served.agent.post(f"/assets/{asset.uuid}/claim-bundle")).json()
            assert "taste_colours" in {j["job_type"] for j in bundle["jobs"]}

    async def test_types_that_are_not_handed_out(self, house: House) -> None:
        """What the server's policy leaves out is neither listed nor claimed."""
        async with serve_in_process(house, allowed_job_types=("extract_facts",)) as served:
            asset = await house.ready("INBOX/A.jpg")
            await served.register()
            assert len((await served.agent.get("/jobs")).json()) == 1
            bundle = (await served.agent.post(f"/assets/{asset.uuid}/claim-bundle")).json()
            assert [job["job_type"] for job in bundle["jobs"]] == ["extract_facts"]


class TestHolding:
    """Claims and leases."""

    async def test_a_claim_answers_the_lease(self, served: Served) -> None:
        """The claimed job has token, expiry and holder; a second claim is a conflict."""
        job = await claim_facts(served)
        assert job["status"] == "claimed"
        assert job["locked_until"].endswith("Z")
        assert job["claimed_by"]
        again = await served.agent.post(f"/jobs/{job['job_id']}/claim")
        assert (again.status_code, again.json()["code"]) == (409, "STATE_CONFLICT")

    async def test_a_heartbeat_extends(self, served: Served) -> None:
        """A heartbeat moves the expiry on and shows progress where jobs are shown."""
        job = await claim_facts(served)
        served.house.clock.advance(timedelta(seconds=60))
        progress = {"current": 3, "total": 10, "text": "reading"}
        body = {"lock_token": job["lock_token"], "progress": progress}
        answer = await served.agent.post(f"/jobs/{job['job_id']}/heartbeat", json=body)
        assert answer.json()["locked_until"] > job["locked_until"]
        jobs = (await served.person.get(f"/assets/{job['asset_uuid']}/jobs")).json()["items"]
        assert next(j for j in jobs if j["job_id"] == job["job_id"])["progress"] == progress
        assert job["lock_token"] not in str(jobs)

    async def test_locks(self, served: Served) -> None:
        """No token is 423, a wrong one 409, an expired lease 409 with nothing applied."""
        job = await claim_facts(served)
        heartbeat = f"/jobs/{job['job_id']}/heartbeat"
        none = await served.agent.post(heartbeat, json={"lock_token": ""})
        assert (none.status_code, none.json()["code"]) == (423, "LOCK_REQUIRED")
        wrong = await served.agent.post(heartbeat, json={"lock_token": "wrong"})
        assert (wrong.status_code, wrong.json()["code"]) == (409, "STALE_LOCK_TOKEN")
        served.house.clock.advance(timedelta(seconds=121))
        late = await served.agent.post(
            f"/jobs/{job['job_id']}/submit", json=submission(job), headers=served.key()
        )
        assert (late.status_code, late.json()["code"]) == (409, "STALE_LOCK_TOKEN")
        facts = (await served.agent.get(f"/assets/{job['asset_uuid']}/facts")).json()
        assert facts["facts"] == {}

    async def test_a_stopping_agent_gives_back(self, served: Served) -> None:
        """A released job is offered again at once."""
        job = await claim_facts(served)
        body = {"lock_token": job["lock_token"]}
        answer = await served.agent.post(f"/jobs/{job['job_id']}/release", json=body)
        assert answer.json() == {"job_id": job["job_id"], "status": "pending"}
        assert len((await served.agent.get("/jobs")).json()) == 3

    async def test_an_offline_storage_is_unavailable(self, served: Served) -> None:
        """A claim on a storage that cannot be trusted now is 503 with the reason, retryable."""
        asset = await served.house.ready("INBOX/A.jpg")
        await served.register()
        await served.house.storages.note(served.house.originals.storage_id, UNPLUGGED)
        answer = await served.agent.post(f"/assets/{asset.uuid}/claim-bundle")
        assert answer.status_code == 503
        assert answer.json()["details"]["reason"] == "STORAGE_OFFLINE"

    async def test_unknown_jobs(self, served: Served) -> None:
        """A job that does not exist is 404 wherever it is named."""
        await served.register()
        for path in ("/jobs/none/claim", "/jobs/%00/claim"):
            assert (await served.agent.post(path)).status_code == 404
        beat = await served.agent.post("/jobs/none/heartbeat", json={"lock_token": "x"})
        assert beat.status_code == 404


class TestSubmitting:
    """Results, once."""

    async def test_facts_by_the_contract(self, served: Served) -> None:
        """The contract's seven facts complete a photo's facts."""
        job = await claim_facts(served)
        path = f"/jobs/{job['job_id']}/submit"
        answer = await served.agent.post(path, json=submission(job), headers=served.key())
        assert answer.json() == {"job_id": job["job_id"], "status": "completed"}
        facts = (await served.person.get(f"/assets/{job['asset_uuid']}/facts")).json()
        assert facts["facts"] == PHOTO_FACTS

    async def test_all_facts_by_our_own_form(self, served: Served) -> None:
        """Facts beyond the contract's closed patch go through the result resource."""
        job = await claim_facts(served)
        more = {**PHOTO_FACTS, "camera_make": "Maker", "iso": 100}
        body = {"lock_token": job["lock_token"], "job_type": "extract_facts", "facts_patch": more}
        closed = submission(job, facts_patch=more)
        path = f"/jobs/{job['job_id']}"
        refused = await served.agent.post(f"{path}/submit", json=closed, headers=served.key())
        assert refused.status_code == 422
        answer = await served.agent.post(f"{path}/result", json=body, headers=served.key())
        assert answer.json()["status"] == "completed"
        facts = (await served.person.get(f"/assets/{job['asset_uuid']}/facts")).json()
        assert facts["facts"] == more

    async def test_a_key_is_required(self, served: Served) -> None:
        """Submit and fail without Idempotency-Key are 422; a blank or endless key is 400."""
        job = await claim_facts(served)
        path = f"/jobs/{job['job_id']}"
        body = {"lock_token": job["lock_token"], "error_code": "X", "retryable": True}
        for answer in (
            await served.agent.post(f"{path}/submit", json=submission(job)),
            await served.agent.post(f"{path}/fail", json=body),
        ):
            assert answer.status_code == 422
            assert answer.json()["details"]["fields"] == {"Idempotency-Key": "missing"}
        for key in (" ", "k" * 201):
            headers = {"Idempotency-Key": key}
            answer = await served.agent.post(f"{path}/fail", json=body, headers=headers)
            assert answer.status_code == 400

    async def test_one_key_one_answer(self, served: Served) -> None:
        """The same key and body are answered alike; another body is a conflict."""
        job = await claim_facts(served)
        path, key = f"/jobs/{job['job_id']}/submit", served.key()
        first = await served.agent.post(path, json=submission(job), headers=key)
        again = await served.agent.post(path, json=submission(job), headers=key)
        assert (first.status_code, first.content) == (again.status_code, again.content)
        other = submission(job, warnings=["another"])
        conflict = await served.agent.post(path, json=other, headers=key)
        assert (conflict.status_code, conflict.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")
        anew = await served.agent.post(path, json=submission(job), headers=served.key())
        assert (anew.status_code, anew.json()["code"]) == (409, "STALE_LOCK_TOKEN")

    async def test_identical_submits_at_once(self, served: Served) -> None:
        """Of twenty identical requests at the same instant one is done and all get its answer."""
        job = await claim_facts(served)
        path, key = f"/jobs/{job['job_id']}/submit", served.key()
        answers: list[httpx.Response] = []

        async def submit() -> None:
            answers.append(await served.agent.post(path, json=submission(job), headers=key))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(submit)
        assert {(a.status_code, a.content) for a in answers} == {(200, answers[0].content)}
        history = await served.house.operations.history(job["asset_uuid"])
        assert [e.name for e in history].count("job.completed") == 1

    @pytest.mark.parametrize(
        "change",
        [
            {"facts_patch": {"width": "64"}},
            {"facts_patch": {}},
            {"facts_patch": PHOTO_FACTS, "state": "ARCHIVED"},
            {"derived_patch": {"derived_manifest": []}},
        ],
    )
    async def test_anything_else_is_refused(
        self, served: Served, change: dict[str, object]
    ) -> None:
        """A job writes its own domain only; a refusal applies nothing."""
        job = await claim_facts(served)
        body = {**submission(job), "result": change}
        path = f"/jobs/{job['job_id']}/submit"
        answer = await served.agent.post(path, json=body, headers=served.key())
        assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_FAILED")
        assert answer.json()["details"]["fields"]
        facts = (await served.person.get(f"/assets/{job['asset_uuid']}/facts")).json()
        assert facts["facts"] == {}

    async def test_failing(self, served: Served) -> None:
        """A failure for good brings the asset back, flagged, and says why; once per key."""
        job = await claim_facts(served)
        body = {
            "lock_token": job["lock_token"],
            "error_code": "SOURCE_UNREADABLE",
            "message": "no picture in it",
            "retryable": False,
        }
        key, path = served.key(), f"/jobs/{job['job_id']}/fail"
        first = await served.agent.post(path, json=body, headers=key)
        assert first.json() == {"job_id": job["job_id"], "status": "failed"}
        assert (await served.agent.post(path, json=body, headers=key)).json() == first.json()
        asset = await served.house.at("INBOX/A.jpg")
        assert asset.state is State.READY
        why = (await served.person.get(f"/assets/{asset.uuid}/why")).json()
        assert "no picture in it" in why["sentence"]
        assert "waive the failed work and decide all the same" in why["next"]
