"""Digests over the wire: what is known of an asset's files, and what of them is not."""

from __future__ import annotations

import hashlib

import pytest
from retaia_tests.house import PERSON
from retaia_tests.http_house import STORES, Served

from retaia_core.domain.verifying import VerifyOptions
from retaia_core.testing.memory_files import MemoryFile
from retaia_core.usecases.fixity import Verification
from retaia_core.usecases.pacing import Pace


@pytest.fixture(params=STORES)
def store_kind(request: pytest.FixtureRequest) -> str:
    """These stories run on two stores."""
    return str(request.param)


async def test_digests_are_shown_with_what_was_found(served: Served) -> None:
    """Before, between and after: nothing known, a digest, another content."""
    house = served.house
    asset = await house.pending("INBOX/A.jpg", b"photo")
    path = f"/assets/{asset.uuid}/fixity"
    shown = (await served.person.get(path)).json()
    assert shown == {"asset_uuid": asset.uuid, "files": [], "unknown": ["INBOX/A.jpg"]}

    verification = Verification(store=house.store, clock=house.clock, storages=house.storages)
    await verification.run(VerifyOptions(), PERSON, Pace())
    shown = (await served.person.get(path)).json()
    (file,) = shown["files"]
    assert file["digest"] == f"sha256:{hashlib.sha256(b'photo').hexdigest()}"
    assert (file["outcome"], file["role"], shown["unknown"]) == ("taken", "original", [])

    mtime_ns = house.originals.files["INBOX/A.jpg"].mtime_ns
    house.originals.files["INBOX/A.jpg"] = MemoryFile(content=b"phot0", mtime_ns=mtime_ns)
    await verification.run(VerifyOptions(assets=(asset.uuid,)), PERSON, Pace())
    (file,) = (await served.person.get(path)).json()["files"]
    assert (file["outcome"], file["found"]) == (
        "mismatch",
        f"sha256:{hashlib.sha256(b'phot0').hexdigest()}",
    )
    flags = (await served.person.get(f"/assets/{asset.uuid}/facts")).json()["flags"]
    assert flags == ["fixity_mismatch"]
    why = (await served.person.get(f"/assets/{asset.uuid}/why")).json()
    assert "is not what it was on" in why["sentence"]
    listed = (await served.person.get("/assets", params={"flag": "fixity_mismatch"})).json()
    assert [one["uuid"] for one in listed["items"]] == [asset.uuid]


async def test_an_unknown_asset(served: Served) -> None:
    """It is not found."""
    answer = await served.person.get("/assets/00000000-0000-7000-8000-000000000000/fixity")
    assert answer.status_code == 404
