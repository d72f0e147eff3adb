"""People find, look, annotate and decide through the contract."""

from __future__ import annotations

import base64
import json
from typing import Any

import anyio
import httpx
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from retaia_tests.http_house import STORES, Served

from retaia_adapters.http.asset_query import asset_query
from retaia_adapters.http.errors import WireRefused
from retaia_core.domain.assets import Flag
from retaia_core.domain.query import AssetQuery, Position, Sort, SortKey, encode_cursor
from retaia_core.domain.storage import Health
from retaia_core.ports.store import Transaction


@pytest.fixture(params=STORES)
def store_kind(request: pytest.FixtureRequest) -> str:
    """These stories run on two stores."""
    return str(request.param)


async def names(served: Served, **query: Any) -> list[str]:
    """The names that a query finds."""
    answer = await served.person.get("/assets", params=query)
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["items"]]


class TestFinding:
    """Filters, order, pages."""

    @pytest.fixture
    async def four(self, served: Served) -> None:
        """A photo that waits for a decision, with tags and notes; a photo, a video, a sound."""
        asset = await served.house.pending("INBOX/a.jpg")
        body = {"tags": ["sea", "Storm"], "notes": "lighthouse at dusk", "fields": {"n": 1}}
        answer = await served.person.patch(f"/assets/{asset.uuid}", json=body)
        assert answer.json()["tags"] == ["sea", "Storm"]
        for name in ("b.jpg", "c.mp4", "d.wav"):
            served.house.originals.add(f"INBOX/{name}", name.encode())
        await served.house.scan()

    @pytest.mark.usefixtures("four")
    async def test_filters(self, served: Served) -> None:
        """Each filter narrows, states may be repeated, and filters combine."""
        assert await names(served, sort="name") == ["a.jpg", "b.jpg", "c.mp4", "d.wav"]
        assert await names(served, sort="-name", media_type="PHOTO") == ["b.jpg", "a.jpg"]
        both = await names(served, state=["DECISION_PENDING", "DISCOVERED"], sort="name")
        assert both == ["a.jpg", "b.jpg", "c.mp4", "d.wav"]
        assert await names(served, state="DECISION_PENDING") == ["a.jpg"]
        assert await names(served, has_proxy="true") == ["a.jpg"]
        assert "a.jpg" not in await names(served, has_proxy="false")
        assert await names(served, tags="sea") == ["a.jpg"]
        assert await names(served, tags="sea,none") == []
        assert await names(served, tags="sea,none", tags_mode="OR") == ["a.jpg"]
        assert await names(served, q="LIGHTHOUSE") == ["a.jpg"]
        assert await names(served, storage_id="elsewhere") == []
        assert await names(served, flag="missing") == []
        assert await names(served, geo_bbox="-10,-10,10,10") == []
        assert await names(served, captured_at_from="2020-01-01T00:00:00Z") == []
        assert await names(served, location_country="France", location_city="Brest") == []

    @pytest.mark.usefixtures("four")
    async def test_pages(self, served: Served) -> None:
        """Pages follow each other without a gap or a repetition, in every order; the last has no next."""
        for sort in ("name", "-name", "created_at", "-duration", "media_type", "-captured_at"):
            found: list[str] = []
            query: dict[str, Any] = {"sort": sort, "limit": 1}
            while True:
                page = (await served.person.get("/assets", params=query)).json()
                found += [item["name"] for item in page["items"]]
                if "next_cursor" not in page:
                    break
                query["cursor"] = page["next_cursor"]
            assert sorted(found) == ["a.jpg", "b.jpg", "c.mp4", "d.wav"], sort

    @pytest.mark.parametrize(
        "query",
        [
            "state=KEPT", "state=", "media_type=video", "has_proxy=yes", "tags_mode=XOR",
            "tags=", "tags=a,,b", "sort=size", "sort=--name", "limit=0", "limit=201", "limit=x",
            "limit=1&limit=2", "geo_bbox=1,2,3", "geo_bbox=a,b,c,d", "geo_bbox=0,50,0,40",
            "geo_bbox=nan,0,0,0", "geo_bbox=-181,0,0,0", "captured_at_from=yesterday",
            "captured_at_from=2024-02-31T00:00:00Z", "captured_at_to=2024-01-01",
            "captured_at_to=0001-01-01T00:00:00%2B23:00", "cursor=x", "cursor=%00", "q=%00",
            "storage_id=..%2Fx", "flag=lost", "stat=READY", "tag=sea",
        ],
    )  # fmt: skip
    async def test_malformed_filters_are_refused(self, served: Served, query: str) -> None:
        """A filter that is unknown, malformed or out of its enum is 400 and named, never ignored."""
        answer = await served.person.get(f"/assets?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_FAILED")
        name = query.partition("=")[0]
        assert name in answer.json()["details"]["fields"]

    async def test_cursors_are_bound_to_their_order(self, served: Served) -> None:
        """A cursor of another order, or one that was tampered with, is refused."""
        uuid = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
        for key, value, where in (
            (SortKey.NAME, "a", uuid), (SortKey.CREATED_AT, "text", uuid),
            (SortKey.CREATED_AT, 2**70, uuid), (SortKey.CREATED_AT, 1, "x"),
        ):  # fmt: skip
            position = Position(value=value, uuid=where)  # type: ignore[arg-type]
            cursor = encode_cursor(Sort(key=key), position)
            answer = await served.person.get("/assets", params={"cursor": cursor})
            assert answer.status_code == 400

    @pytest.mark.usefixtures("four")
    async def test_agents_read_too(self, served: Served) -> None:
        """Agents may read assets."""
        assert (await served.agent.get("/assets")).status_code == 200


class TestMarks:
    """What stands beside assets in a list."""

    async def marks(self, served: Served, *uuids: str) -> dict[str, Any]:
        """The marks by asset."""
        answer = await served.person.get("/marks", params={"uuid": list(uuids)})
        assert answer.status_code == 200, answer.text
        return {one.pop("uuid"): one for one in answer.json()["items"]}

    async def test_only_what_has_some_is_answered(self, served: Served) -> None:
        """Flags, sidecars, an absent storage; nothing of an asset that has none or is not there."""
        house = served.house
        house.originals.add("INBOX/a.xmp", b"<x/>")
        plain, full = await house.pending("INBOX/b.jpg"), await house.pending("INBOX/a.jpg")
        nobody = "00000000-0000-4000-8000-000000000000"
        wanted = (plain.uuid, full.uuid, nobody)
        with_sidecar = {"flags": [], "sidecars": 1, "offline": False}
        assert await self.marks(served, *wanted) == {full.uuid: with_sidecar}

        def change(tx: Transaction) -> None:
            asset, (storage,) = tx.asset(full.uuid), tx.storages()
            assert asset is not None
            tx.save_asset(evolve(asset, flags=frozenset({Flag.MISSING})))
            tx.save_storage(evolve(storage, health=Health.OFFLINE))

        await house.store.transact(change)
        assert await self.marks(served, *wanted) == {
            plain.uuid: {"flags": [], "sidecars": 0, "offline": True},
            full.uuid: {"flags": ["missing"], "sidecars": 1, "offline": True},
        }

    async def test_how_many_at_once(self, served: Served) -> None:
        """At most a hundred, each a UUID, and at least one."""
        uuids = [f"00000000-0000-4000-8000-{n:012}" for n in range(101)]
        assert await self.marks(served, *uuids[:100]) == {}
        for wrong in (uuids, ["x"], []):
            answer = await served.person.get("/marks", params={"uuid": wrong})
            assert answer.status_code == 400, wrong


class TestDeciding:
    """Decisions and what follows."""

    async def test_detail(self, served: Served) -> None:
        """An asset shows everything that the contract says, with decisions by whom and when."""
        asset = await served.house.pending("INBOX/A.jpg")
        answer = await served.decide(asset.uuid, "KEEP")
        assert answer.json()["state"] == "DECIDED_KEEP"
        detail = (await served.person.get(f"/assets/{asset.uuid}")).json()
        assert detail["decisions"]["current"] == "KEEP"
        (act,) = detail["decisions"]["history"]
        assert (act["action"], act["by"]) == ("KEEP", "person:local/ana")
        assert detail["processing"]["proxy_done"] is True
        assert detail["derived"]["thumbs"] == [f"/api/v1/assets/{asset.uuid}/derived/thumb?index=0"]
        assert detail["transcript"] == {"status": "NONE"}

    async def test_a_decision_is_made_once(self, served: Served) -> None:
        """Identical decisions at the same instant are one; the key is required."""
        asset = await served.house.pending("INBOX/A.jpg")
        path, key = f"/assets/{asset.uuid}/decision", served.key()
        assert (await served.person.post(path, json={"action": "KEEP"})).status_code == 422
        answers: list[httpx.Response] = []

        async def decide() -> None:
            answers.append(await served.person.post(path, json={"action": "KEEP"}, headers=key))

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(decide)
        assert {(a.status_code, a.content) for a in answers} == {(200, answers[0].content)}
        detail = (await served.person.get(f"/assets/{asset.uuid}")).json()
        assert len(detail["decisions"]["history"]) == 1
        other = await served.person.post(path, json={"action": "REJECT"}, headers=key)
        assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")

    async def test_keys_are_of_one_path(self, served: Served) -> None:
        """The same key on another asset is another request."""
        key = served.key()
        for name in ("A", "B"):
            asset = await served.house.pending(f"INBOX/{name}.jpg", name.encode())
            path = f"/assets/{asset.uuid}/decision"
            answer = await served.person.post(path, json={"action": "KEEP"}, headers=key)
            assert answer.json()["uuid"] == asset.uuid

    async def test_a_refusal_says_what_is_open(self, served: Served) -> None:
        """What the state does not allow is 409 with the state and what is open."""
        asset = await served.house.ready("INBOX/A.jpg")
        answer = await served.decide(asset.uuid, "KEEP")
        assert (answer.status_code, answer.json()["code"]) == (409, "STATE_CONFLICT")
        assert answer.json()["details"]["state"] == "READY"
        assert (await served.decide(asset.uuid, "MAYBE")).status_code == 422

    async def test_reopen_and_reprocess(self, served: Served) -> None:
        """A change of mind, and starting over, are acts of a person."""
        asset = await served.house.pending("INBOX/A.jpg")
        reopened = await served.person.post(f"/assets/{asset.uuid}/reopen")
        assert reopened.status_code == 409
        path = f"/assets/{asset.uuid}/reprocess"
        assert (await served.person.post(path)).status_code == 422
        assert (await served.person.post(path, headers=served.key())).status_code == 409

    async def test_retry_and_waive(self, served: Served) -> None:
        """Work that failed for good can be tried anew, or waived."""
        asset = await served.house.ready("INBOX/A.jpg")
        agent = await served.house.agent()
        for act, state in (("retry", "READY"), ("waive", "DECISION_PENDING")):
            bundle = await served.house.processing.claim_bundle(agent, asset.uuid)
            for job in bundle.jobs:
                await served.house.processing.fail(
                    agent, job.job_id, bundle.lock.token, "SOURCE_UNREADABLE", "no", retryable=False
                )
            answer = await served.person.post(f"/assets/{asset.uuid}/{act}")
            assert answer.json()["state"] == state, answer.text

    @pytest.mark.parametrize(
        "body",
        [
            {"tags": "sea"}, {"tags": [1]}, {"tags": ["a,b"]}, {"tags": [""]}, {"notes": 5},
            {"notes": "x" * 100_001}, {"fields": []}, [], "x",
        ],
    )  # fmt: skip
    async def test_annotations_are_checked(self, served: Served, body: object) -> None:
        """Tags, notes and fields that are malformed are 422."""
        asset = await served.house.ready("INBOX/A.jpg")
        answer = await served.person.patch(f"/assets/{asset.uuid}", json=body)
        assert answer.status_code == 422


def outcome(cursor: str) -> AssetQuery | int:
    """The query with a cursor, or the status that it is refused with."""
    try:
        return asset_query({"cursor": cursor})
    except WireRefused as refused:
        return refused.problem.status


@given(st.text(max_size=60))
def test_no_text_is_a_cursor_by_chance(text: str) -> None:
    """Whatever text comes as a cursor, it is refused with 400."""
    assert outcome(text) == 400


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=8))
def test_no_document_is_a_cursor_by_chance(document: object) -> None:
    """A well-formed cursor whose content is not a position is refused with 400."""
    cursor = base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")
    assert outcome(cursor) == 400


def test_a_bound_means_its_whole_second() -> None:
    """An inclusive upper bound includes what is shown as that second."""
    query = asset_query({"captured_at_to": "2024-01-01T00:00:00Z"})
    assert query.captured_to is not None
    assert query.captured_to.microsecond == 999_999
    exact = asset_query({"captured_at_to": "2024-01-01T00:00:00.5+01:00"})
    assert exact.captured_to is not None
    assert (exact.captured_to.hour, exact.captured_to.microsecond) == (23, 500_000)
