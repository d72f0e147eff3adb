"""Moves that could not be proven, over the wire: evidence, choice, and what is refused."""

from __future__ import annotations

import anyio
import pytest
from retaia_tests.house import PERSON
from retaia_tests.http_house import STORES, Served

from retaia_core.domain.identifiers import AssetId
from retaia_core.domain.lifecycle import Action


@pytest.fixture(params=STORES)
def store_kind(request: pytest.FixtureRequest) -> str:
    """These stories run on two stores."""
    return str(request.param)


async def park(served: Served, *standing: str) -> AssetId:
    """A kept photo whose move ends with the file in these places, not as it was planned."""
    house = served.house
    asset = await house.pending("INBOX/A.jpg", b"photo")
    await house.review.decide(PERSON, asset.uuid, Action.KEEP)
    plan = await house.moves.preview()
    batch = await house.moves.execute(PERSON, plan, plan.digest)
    house.originals.files.clear()
    for path in standing:
        house.originals.add(path, path.encode())
    await house.moves.run(batch.batch_id)
    return asset.uuid


async def test_evidence_and_choice(served: Served) -> None:
    """The list and the asset show the same evidence; a choice is taken once, and then nothing is parked."""
    uuid = await park(served, "INBOX/A.jpg", "ARCHIVE/A.jpg")
    (item,) = (await served.person.get("/ops/parked")).json()["items"]
    shown = await served.person.get(f"/assets/{uuid}/parked")
    assert shown.json() == item
    assert [c["choice"] for c in item["choices"]] == ["MOVED", "NOT_MOVED"]
    (file,) = item["files"]
    assert (file["bytes_at_from"], file["bytes_at_to"], file["found_now"]) == (11, 13, "unknown")
    key, url = served.key(), f"/assets/{uuid}/settle"
    first = await served.person.post(url, json={"choice": "MOVED"}, headers=key)
    assert first.status_code == 200, first.text
    assert first.json() == {
        "asset_uuid": uuid, "state": "ARCHIVED", "path": "ARCHIVE/A.jpg", "flags": ["changed"],
    }  # fmt: skip
    again = await served.person.post(url, json={"choice": "MOVED"}, headers=key)
    assert again.content == first.content
    other = await served.person.post(url, json={"choice": "NOT_MOVED"}, headers=served.key())
    assert (other.status_code, other.json()["code"]) == (409, "STATE_CONFLICT")
    assert (await served.person.get("/ops/parked")).json() == {"items": []}
    assert (await served.person.get(f"/assets/{uuid}/parked")).status_code == 409


async def test_a_storage_that_is_away(served: Served) -> None:
    """What cannot be looked at is listed with the reason, and leaves no choice."""
    await park(served, "ARCHIVE/A.jpg")
    served.house.originals.problem = "unplugged"
    (item,) = (await served.person.get("/ops/parked")).json()["items"]
    assert (item["files"], item["choices"]) == ([], [])
    assert "unplugged" in item["unseen"]


async def test_what_the_disk_does_not_allow(served: Served) -> None:
    """A choice is held against the disk of now; a move that can be made is tried again."""
    uuid = await park(served)
    url = f"/assets/{uuid}/settle"
    refused = await served.person.post(url, json={"choice": "MOVED"}, headers=served.key())
    assert refused.status_code == 409
    assert refused.json()["details"]["allowed"] == []
    served.house.originals.add("INBOX/A.jpg", b"photo")
    tried = await served.person.post(url, json={"choice": "RETRY"}, headers=served.key())
    assert tried.status_code == 200, tried.text
    with anyio.fail_after(10):
        while True:
            if (await served.house.review.asset(uuid)).state == "ARCHIVED":
                break
            await anyio.sleep(0.01)
    assert set(served.house.originals.files) == {"ARCHIVE/A.jpg"}
