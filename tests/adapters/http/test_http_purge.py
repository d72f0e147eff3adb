"""Purging over the wire: preview, confirmation, refusals, repetition."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest
from retaia_tests.house import PERSON
from retaia_tests.http_house import STORES, Served

from retaia_core.domain.identifiers import AssetId
from retaia_core.domain.lifecycle import Action
from retaia_core.errors import StorageOffline


@pytest.fixture(params=STORES)
def store_kind(request: pytest.FixtureRequest) -> str:
    """These stories run on two stores."""
    return str(request.param)


async def rejected(served: Served, name: str = "A") -> str:
    """A photo with a sidecar, among the rejects."""
    house = served.house
    house.originals.add(f"INBOX/{name}.xmp", b"<x/>")
    asset = await house.pending(f"INBOX/{name}.jpg", name.encode())
    await house.review.decide(PERSON, asset.uuid, Action.REJECT)
    plan = await house.moves.preview()
    await house.moves.run((await house.moves.execute(PERSON, plan, plan.digest)).batch_id)
    return asset.uuid


async def preview(served: Served, uuid: str) -> dict[str, Any]:
    """What would go."""
    answer = await served.person.post(f"/assets/{uuid}/purge/preview")
    assert answer.status_code == 200, answer.text
    plan: dict[str, Any] = answer.json()
    return plan


async def purge(
    served: Served, uuid: str, key: dict[str, str] | None = None, **body: Any
) -> httpx.Response:
    """Confirm."""
    return await served.person.post(
        f"/assets/{uuid}/purge", json={"confirm": True, **body}, headers=key or served.key()
    )


def code(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, answer.json()["code"]


class TestPurge:
    """From preview to the minimal record."""

    async def test_what_was_shown_is_deleted(self, served: Served) -> None:
        """Every file of the preview goes, the asset is PURGED, and what is left of it is little."""
        uuid = await rejected(served)
        plan = await preview(served, uuid)
        assert plan["eligible"]
        since = (await served.house.review.asset(AssetId(uuid))).state_since
        assert since is not None
        assert plan["rejected_at"] == f"{since:%Y-%m-%dT%H:%M:%SZ}"
        assert [f["path"] for f in plan["files"]][:2] == ["REJECTS/A.jpg", "REJECTS/A.xmp"]
        assert plan["bytes_freed"] == sum(f["size_bytes"] for f in plan["files"])
        answer = await purge(served, uuid, digest=plan["digest"])
        assert answer.status_code == 200, answer.text
        result = answer.json()
        assert (result["state"], result["files"]) == ("PURGED", plan["files"])
        assert result["bytes_freed"] == plan["bytes_freed"]
        assert not served.house.originals.files
        assert not served.house.derived.files
        detail = (await served.person.get(f"/assets/{uuid}")).json()
        assert detail["summary"]["state"] == "PURGED"
        assert (await served.person.get(f"/assets/{uuid}/derived/thumb")).status_code == 404
        assert code(await served.decide(uuid, "KEEP")) == (410, "PURGED")

    async def test_a_client_that_knows_no_digest(self, served: Served) -> None:
        """A client of the bare contract purges what its own last preview of this asset showed."""
        uuid, other = await rejected(served, "A"), await rejected(served, "B")
        assert code(await purge(served, uuid)) == (409, "STATE_CONFLICT")
        await preview(served, other)
        assert (await purge(served, uuid)).status_code == 409
        await preview(served, uuid)
        assert (await purge(served, uuid)).status_code == 200
        assert {"REJECTS/B.jpg", "REJECTS/B.xmp"} == set(served.house.originals.files)

    async def test_repeating_is_harmless(self, served: Served) -> None:
        """The same request is answered the same, at once too; another body conflicts, a new key is 410."""
        uuid = await rejected(served)
        digest = (await preview(served, uuid))["digest"]
        key, answers = served.key(), []

        async def send() -> None:
            answers.append(await purge(served, uuid, key, digest=digest))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            tasks.start_soon(send)
        assert [a.status_code for a in answers] == [200, 200]
        assert answers[0].content == answers[1].content
        assert code(await purge(served, uuid, key)) == (409, "IDEMPOTENCY_CONFLICT")
        assert code(await purge(served, uuid, digest=digest)) == (410, "PURGED")
        gone = await served.person.post(f"/assets/{uuid}/purge/preview")
        assert code(gone) == (410, "PURGED")

    async def test_a_confirmation_is_needed(self, served: Served) -> None:
        """Without a key, without confirm and with confirm false nothing is deleted."""
        uuid = await rejected(served)
        await preview(served, uuid)
        path = f"/assets/{uuid}/purge"
        for body, headers in (
            ({"confirm": True}, {}), ({}, served.key()), ({"confirm": False}, served.key()),
        ):  # fmt: skip
            answer = await served.person.post(path, json=body, headers=headers)
            assert code(answer) == (422, "VALIDATION_FAILED")
        assert len(served.house.originals.files) == 2

    async def test_what_is_not_rejected(self, served: Served) -> None:
        """The preview says why nothing would go, and the purge is refused with the state."""
        asset = await served.house.pending("INBOX/A.jpg")
        plan = await preview(served, asset.uuid)
        assert (plan["eligible"], plan["files"]) == (False, [])
        assert plan["blocked"][0]["reason"] == "not_rejected"
        answer = await purge(served, asset.uuid)
        assert code(answer) == (409, "STATE_CONFLICT")
        assert answer.json()["details"]["state"] == "DECISION_PENDING"

    async def test_a_file_that_changed(self, served: Served) -> None:
        """What changed since the preview is told with what was expected and what stands there."""
        uuid = await rejected(served)
        digest = (await preview(served, uuid))["digest"]
        served.house.originals.add("REJECTS/A.jpg", b"worked on")
        answer = await purge(served, uuid, digest=digest)
        assert code(answer) == (409, "STATE_CONFLICT")
        (block,) = answer.json()["details"]["blocked"]
        assert (block["path"], block["expected"]["size"], block["found"]["size"]) == (
            "REJECTS/A.jpg", 1, 9,
        )  # fmt: skip
        again = await preview(served, uuid)
        assert again["blocked"][0]["found"]["size"] == 9
        assert len(served.house.originals.files) == 2

    async def test_what_cannot_be_removed(self, served: Served) -> None:
        """It is a conflict that says what is left, and the same key may try again."""
        uuid = await rejected(served)
        await preview(served, uuid)
        key = served.key()

        def refuse(operation: str, path: str) -> None:
            if operation == "remove":
                raise OSError(13, "Permission denied")

        served.house.originals.fault = refuse
        answer = await purge(served, uuid, key)
        assert code(answer) == (409, "STATE_CONFLICT")
        assert "REJECTS/A.jpg" in answer.json()["details"]["left"]
        served.house.originals.fault = None
        assert (await purge(served, uuid, key)).status_code == 200

    async def test_a_storage_that_goes_away(self, served: Served) -> None:
        """It is 503, nothing is called purged, and recovery finishes it."""
        uuid = await rejected(served)
        await preview(served, uuid)

        def unplug(operation: str, path: str) -> None:
            if operation == "remove":
                raise StorageOffline("unplugged")

        served.house.originals.fault = unplug
        answer = await purge(served, uuid)
        assert code(answer) == (503, "TEMPORARY_UNAVAILABLE")
        served.house.originals.fault = None
        assert await served.house.purges.recover(held=True) == 1
        assert not served.house.originals.files

    async def test_unknown_assets(self, served: Served) -> None:
        """There is nothing to purge."""
        for path in ("purge/preview", "purge"):
            answer = await served.person.post(
                f"/assets/6f9619ff-8b86-d011-b42d-00cf4fc964ff/{path}",
                json={"confirm": True},
                headers=served.key(),
            )
            assert answer.status_code == 404
