"""The history of an asset and of a batch over the wire: sentences, pages, and who may read them."""

from __future__ import annotations

from typing import Any

import pytest
from retaia_tests.house import PERSON
from retaia_tests.http_house import STORES, Served

from retaia_core.domain.lifecycle import Action


@pytest.fixture(params=STORES)
def store_kind(request: pytest.FixtureRequest) -> str:
    """These stories run on two stores."""
    return str(request.param)


async def walked(served: Served, path: str, limit: int) -> list[dict[str, Any]]:
    """Every page, one after the other."""
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await served.person.get(path, params={"limit": limit, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= limit
        items += page["items"]
        if "next_cursor" not in page:
            return items
        cursor = {"cursor": page["next_cursor"]}


async def test_an_asset_and_its_batch_are_told(served: Served) -> None:
    """From discovery to the archive, in order; small pages together are one large one."""
    house = served.house
    asset = await house.pending("INBOX/A.jpg", b"photo")
    await house.review.decide(PERSON, asset.uuid, Action.KEEP)
    plan = await house.moves.preview()
    batch = await house.moves.execute(PERSON, plan, plan.digest)
    await house.moves.run(batch.batch_id)

    path = f"/assets/{asset.uuid}/history"
    whole = await walked(served, path, 200)
    assert whole[0]["sentence"] == "Retaia found it at 'INBOX/A.jpg'"
    assert f"{PERSON} kept it" in [line["sentence"] for line in whole]
    by_name = {line["what"]: line for line in whole}
    assert by_name["move.moved"]["by"] == "system:retaia"
    done = by_name["move.done"]
    assert (done["from"], done["to"]) == ("INBOX/A.jpg", "ARCHIVE/A.jpg")
    assert await walked(served, path, 2) == whole

    told = await walked(served, f"/batches/moves/{batch.batch_id}/history", 1)
    # The house's clock stands still: at one instant, events come before intents.
    names = ["batch.accepted", "batch.done", "move.intent", "move.done"]
    assert [line["what"] for line in told] == names


async def test_what_is_not_known(served: Served) -> None:
    """An asset or a batch that nobody knows is 404; a cursor of somebody else is 400."""
    asset = await served.house.pending("INBOX/A.jpg", b"photo")
    nobody = "0f9619ff-8b86-7011-b42d-00cf4fc964ff"
    for path in (f"/assets/{nobody}/history", f"/batches/moves/{nobody}/history"):
        assert (await served.person.get(path)).status_code == 404, path
    answer = await served.person.get(f"/assets/{asset.uuid}/history", params={"cursor": "W10"})
    assert answer.status_code == 400
