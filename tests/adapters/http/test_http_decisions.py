"""Bulk decisions over the wire: preview, approval, refusals, repetition."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest
from retaia_tests.house import House
from retaia_tests.http_house import STORES, Served

from retaia_core.domain.features import BULK_DECISIONS


@pytest.fixture(params=STORES)
def store_kind(request: pytest.FixtureRequest) -> str:
    """These stories run on two stores."""
    return str(request.param)


@pytest.fixture
async def house(house: House) -> House:
    """A house whose server offers bulk decisions."""
    house.flags[BULK_DECISIONS] = True
    return house


async def ask(
    served: Served, action: str = "KEEP", most: int = 10, **filters: Any
) -> httpx.Response:
    """A preview."""
    body = {"action": action, "filter": filters, "max_items": most}
    return await served.person.post("/decisions/preview", json=body)


async def preview(served: Served, action: str = "KEEP", **filters: Any) -> dict[str, Any]:
    """A preview that is answered."""
    answer = await ask(served, action, **filters)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def use(served: Served, token: str, key: dict[str, str] | None = None) -> httpx.Response:
    """Use an approval."""
    body = {"approval_token": token, "confirm": True}
    return await served.person.post("/decisions/apply", json=body, headers=key or served.key())


class TestDecisions:
    """From filter to report."""

    async def test_what_was_shown_is_decided(self, served: Served) -> None:
        """The report has every asset that was shown; another that waits is not touched."""
        one = await served.house.pending("INBOX/A.jpg", b"a")
        two = await served.house.pending("INBOX/B.jpg", b"b")
        await served.decide(two.uuid, "REJECT")
        shown = await preview(served)
        assert (shown["eligible_uuids"], shown["summary"]["eligible"]) == ([one.uuid], 1)
        assert [(b["asset_uuid"], b["reason"], b["state"]) for b in shown["blocked"]] == [
            (two.uuid, "not_pending", "DECIDED_REJECT")
        ]
        later = await served.house.pending("INBOX/C.jpg", b"c")
        report = (await use(served, shown["approval_token"])).json()
        assert (report["decided_uuids"], report["left"]) == ([one.uuid], [])
        states = {
            row["uuid"]: row["state"]
            for row in (await served.person.get("/assets")).json()["items"]
        }
        assert states == {
            one.uuid: "DECIDED_KEEP", two.uuid: "DECIDED_REJECT", later.uuid: "DECISION_PENDING",
        }  # fmt: skip

    async def test_what_changed_is_left(self, served: Served) -> None:
        """An asset that somebody decided meanwhile is left and listed."""
        one = await served.house.pending("INBOX/A.jpg", b"a")
        two = await served.house.pending("INBOX/B.jpg", b"b")
        shown = await preview(served, "REJECT")
        await served.decide(one.uuid, "KEEP")
        report = (await use(served, shown["approval_token"])).json()
        assert report["decided_uuids"] == [two.uuid]
        assert [(left["asset_uuid"], left["reason"]) for left in report["left"]] == [
            (one.uuid, "not_pending")
        ]
        assert report["summary"] == {"decided": 1, "left": 1}

    async def test_an_approval_is_used_once(self, served: Served) -> None:
        """The same request is answered the same, at once too; another use is refused."""
        await served.house.pending("INBOX/A.jpg", b"a")
        token = (await preview(served))["approval_token"]
        key, answers = served.key(), []

        async def send() -> None:
            answers.append(await use(served, token, key))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            tasks.start_soon(send)
        assert [a.status_code for a in answers] == [200, 200]
        assert answers[0].content == answers[1].content
        again = await use(served, token)
        assert (again.status_code, again.json()["code"]) == (400, "INVALID_TOKEN")
        conflict = await use(served, "another", key)
        assert (conflict.status_code, conflict.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")

    async def test_an_approval_expires(self, served: Served) -> None:
        """After ten minutes, or made up, it opens nothing; without a key or a confirmation it is 422."""
        asset = await served.house.pending("INBOX/A.jpg", b"a")
        token = (await preview(served))["approval_token"]
        bare = {"approval_token": token, "confirm": True}
        assert (await served.person.post("/decisions/apply", json=bare)).status_code == 422
        unsure = {"approval_token": token, "confirm": False}
        answer = await served.person.post("/decisions/apply", json=unsure, headers=served.key())
        assert answer.status_code == 422
        served.house.clock.advance(timedelta(minutes=10))
        for one in (token, "made-up"):
            answer = await use(served, one)
            assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_TOKEN")
        detail = (await served.person.get(f"/assets/{asset.uuid}")).json()
        assert detail["summary"]["state"] == "DECISION_PENDING"


class TestFilter:
    """*The same keys and rules as `GET /assets`*: what is not understood is never ignored."""

    async def test_it_finds_what_the_list_finds(self, served: Served) -> None:
        """Filters select as they do in the list."""
        one = await served.house.pending("INBOX/A.jpg", b"a")
        two = await served.house.pending("INBOX/B.jpg", b"b")
        await served.person.patch(f"/assets/{one.uuid}", json={"tags": ["bird"]})
        for filters, found in (
            ({"tags": "bird"}, {one.uuid}),
            ({"q": "b.jpg"}, {two.uuid}),
            ({"media_type": "PHOTO", "has_proxy": True}, {one.uuid, two.uuid}),
            ({"media_type": "VIDEO"}, set()),
            ({"state": "DECISION_PENDING"}, {one.uuid, two.uuid}),
            ({"state": ["DECISION_PENDING", "READY"]}, {one.uuid, two.uuid}),
            ({"captured_at_from": "2020-01-01T00:00:00Z"}, set()),
            ({"sort": "-name"}, {one.uuid, two.uuid}),
        ):
            assert set((await preview(served, **filters))["eligible_uuids"]) == found, filters

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("colour", "red"),
            ("limit", 5),
            ("cursor", "x"),
            ("state", "BORED"),
            ("state", ["READY", 5]),
            ("media_type", "FILM"),
            ("has_proxy", "true"),
            ("tags", "a,,b"),
            ("tags", ["a"]),
            ("geo_bbox", "1,2,3"),
            ("captured_at_from", "yesterday"),
            ("sort", "mood"),
        ],
    )
    async def test_what_is_malformed_is_named(self, served: Served, name: str, value: Any) -> None:
        """It is 422 and names the key; nothing is approved."""
        answer = await ask(served, **{name: value})
        assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_FAILED")
        assert list(answer.json()["details"]["fields"]) == [f"filter.{name}"]

    @pytest.mark.parametrize("most", [0, -1, 10_001])
    async def test_a_sensible_number(self, served: Served, most: int) -> None:
        """max_items is 1 to 10 000."""
        answer = await ask(served, most=most)
        assert answer.status_code == 422
        assert "max_items" in answer.json()["details"]["fields"]

    async def test_agents_do_not_decide(self, served: Served) -> None:
        """No agent previews or applies a decision."""
        for path in ("preview", "apply"):
            answer = await served.agent.post(f"/decisions/{path}", json={})
            assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN_ACTOR")
