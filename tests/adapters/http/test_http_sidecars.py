"""Sidecars over the wire: what belongs to nothing, and a person's word on it."""

from __future__ import annotations

import httpx
import pytest
from retaia_tests.http_house import STORES, Served

from retaia_core.domain.assets import Asset
from retaia_core.domain.identifiers import RelPath

XMP = "INBOX/A.xmp"


@pytest.fixture(params=STORES)
def store_kind(request: pytest.FixtureRequest) -> str:
    """On every store: what a person attached is kept by each."""
    return str(request.param)


@pytest.fixture
async def photos(served: Served) -> tuple[Asset, Asset]:
    """Two photos that a sidecar could belong to."""
    house = served.house
    for path in ("INBOX/A.jpg", "INBOX/A.png", XMP):
        house.originals.add(path, path.encode())
    await house.scan()
    return await house.at("INBOX/A.jpg"), await house.at("INBOX/A.png")


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["code"])


async def unmatched(served: Served) -> list[str]:
    items = (await served.person.get("/ops/unmatched-sidecars")).json()["items"]
    return [item["path"] for item in items]


async def test_attached_kept_and_taken_back(served: Served, photos: tuple[Asset, Asset]) -> None:
    """Candidates, a word, a scan that keeps it, and the way back."""
    jpg, png = photos
    query = {"storage_id": png.storage_id, "path": XMP}
    offered = await served.person.get("/ops/unmatched-sidecars/candidates", params=query)
    assert offered.json() == {
        "reason": "ambiguous_parent",
        "items": [
            {"asset_uuid": each.uuid, "path": each.path, "state": "DISCOVERED"} for each in photos
        ],
    }
    at, body = f"/assets/{png.uuid}/sidecars", {"path": XMP}
    answer = await served.person.post(at, json=body)
    mine = {"path": XMP, "rule": "by_person", "missing": False}
    assert answer.json() == {"asset_uuid": png.uuid, "sidecars": [mine]}
    assert (await served.person.post(at, json=body)).json() == answer.json()
    assert await unmatched(served) == []
    served.house.originals.files.pop(RelPath(XMP))
    await served.house.scan()
    assert (await served.person.get(at)).json()["sidecars"] == [{**mine, "missing": True}]
    served.house.originals.add(XMP, XMP.encode())
    await served.house.scan()
    assert (await served.person.get(at)).json()["sidecars"] == [mine]
    other = await served.person.post(f"/assets/{jpg.uuid}/sidecars", json=body)
    assert code(other) == (409, "STATE_CONFLICT")
    gone = await served.person.post(f"{at}/detach", json=body)
    assert gone.json()["sidecars"] == []
    assert await unmatched(served) == [XMP]
    await served.house.scan()
    assert await unmatched(served) == [XMP]


async def test_refusals(served: Served, photos: tuple[Asset, Asset]) -> None:
    """Each has the code of what stands in the way."""
    jpg, _ = photos
    at = f"/assets/{jpg.uuid}/sidecars"
    for path, expected in (
        ("INBOX/day/b.xmp", 404),
        ("INBOX/A.png", 404),
        ("../x.xmp", 422),
        ("/etc/passwd", 422),
    ):
        assert (await served.person.post(at, json={"path": path})).status_code == expected, path
    served.house.originals.add("INBOX/day/b.xmp")
    await served.house.scan()
    far = await served.person.post(at, json={"path": "INBOX/day/b.xmp"})
    assert code(far) == (422, "VALIDATION_FAILED")
    absent = await served.person.post(f"{at}/detach", json={"path": XMP})
    assert absent.status_code == 404
    query = {"storage_id": jpg.storage_id, "path": "INBOX/none.xmp"}
    found = await served.person.get("/ops/unmatched-sidecars/candidates", params=query)
    assert found.status_code == 404
    agent = await served.agent.post(at, json={"path": XMP})
    assert code(agent) == (403, "FORBIDDEN_ACTOR")
