"""Batch moves over the wire: dry run, digest, execution in the background, report."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import anyio
import httpx
import pytest
from attrs import evolve
from retaia_tests.house import PERSON, UNPLUGGED
from retaia_tests.http_house import STORES, Served

from retaia_core.domain.identifiers import RelPath
from retaia_core.domain.moves import Copying


@pytest.fixture(params=STORES)
def store_kind(request: pytest.FixtureRequest) -> str:
    """These stories run on two stores."""
    return str(request.param)


async def decided(served: Served, name: str, action: str) -> str:
    """A photo that was decided."""
    asset = await served.house.pending(f"INBOX/{name}.jpg", name.encode())
    assert (await served.decide(asset.uuid, action)).status_code == 200
    return asset.uuid


async def move(
    served: Served, key: dict[str, str] | None = None, **selection: Any
) -> httpx.Response:
    """Execute a selection."""
    body = {"selection": selection, "mode": "EXECUTE"}
    return await served.person.post("/batches/moves", json=body, headers=key or served.key())


async def preview(served: Served, **body: Any) -> dict[str, Any]:
    """A dry run."""
    answer = await served.person.post("/batches/moves/preview", json={"include": "BOTH", **body})
    assert answer.status_code == 200, answer.text
    plan: dict[str, Any] = answer.json()
    return plan


async def finished(served: Served, batch_id: str) -> dict[str, Any]:
    """The report, once it is done."""
    with anyio.fail_after(10):
        while True:
            report: dict[str, Any] = (await served.person.get(f"/batches/moves/{batch_id}")).json()
            if report["status"] == "DONE":
                return report
            await anyio.sleep(0.01)


class TestMoves:
    """From preview to report."""

    async def test_what_was_shown_is_done(self, served: Served) -> None:
        """The report equals the preview, and the files are where it said."""
        keep, reject = await decided(served, "A", "KEEP"), await decided(served, "B", "REJECT")
        plan = await preview(served)
        assert plan["summary"]["assets"] == 2
        assert (plan["summary"]["keep"], plan["summary"]["reject"]) == (1, 1)
        shown = {
            m["asset_uuid"]: (f["from"], f["to"]) for m in plan["eligible"] for f in m["files"]
        }
        assert shown == {
            keep: ("INBOX/A.jpg", "ARCHIVE/A.jpg"), reject: ("INBOX/B.jpg", "REJECTS/B.jpg"),
        }  # fmt: skip
        batch = (await move(served, digest=plan["digest"])).json()
        assert batch["status"] == "QUEUED"
        report = await finished(served, batch["batch_id"])
        assert {r["asset_uuid"]: (r["from"], r["to"]) for r in report["results"]} == shown
        assert {r["outcome"] for r in report["results"]} == {"MOVED"}
        assert report["progress"] == {"done": 2, "total": 2}
        assert set(served.house.originals.files) == {"ARCHIVE/A.jpg", "REJECTS/B.jpg"}
        detail = (await served.person.get(f"/assets/{keep}")).json()
        assert detail["summary"]["state"] == "ARCHIVED"
        assert detail["audit"]["path_history"] == ["INBOX/A.jpg"]

    async def test_a_batch_that_stands_still_says_why(self, served: Served) -> None:
        """How far the copy under way is, and which storage is away since when; then it goes on."""
        uuid = await decided(served, "A", "KEEP")
        plan = await preview(served)
        house, copying = served.house, Copying(source=RelPath("INBOX/A.jpg"), done=3, total=8)
        batch = await house.moves.execute(PERSON, await house.moves.preview(), plan["digest"])
        half = evolve(batch.results[0], copying=copying)
        await house.store.transact(lambda tx: tx.save_move_result(batch.batch_id, half))
        storage = house.originals.storage_id
        await house.storages.note(storage, UNPLUGGED)
        url = f"/batches/moves/{batch.batch_id}"
        report = (await served.person.get(url)).json()
        (waits,), (result,) = report["waits"], report["results"]
        assert (waits["storage_id"], waits["reason"]) == (storage, UNPLUGGED.reason)
        assert result["copying"] == {"from": "INBOX/A.jpg", "done_bytes": 3, "total_bytes": 8}
        await house.storages.note(storage, None)
        await house.moves.recover()
        report = (await served.person.get(url)).json()
        assert (report["status"], "waits" in report) == ("DONE", False)
        assert [r["asset_uuid"] for r in report["results"] if "copying" not in r] == [uuid]

    async def test_nothing_moves_without_a_dry_run(self, served: Served) -> None:
        """A client that was shown nothing moves nothing."""
        await decided(served, "A", "KEEP")
        answer = await move(served)
        assert (answer.status_code, answer.json()["code"]) == (409, "STATE_CONFLICT")
        assert "INBOX/A.jpg" in served.house.originals.files

    async def test_a_client_that_knows_no_digest(self, served: Served) -> None:
        """A client of the bare contract executes what its last dry run showed, and only that."""
        await decided(served, "A", "KEEP")
        dry = {"selection": {"include": "KEEP"}, "mode": "DRY_RUN"}
        shown = await served.person.post("/batches/moves", json=dry)
        assert shown.json()["summary"]["assets"] == 1
        await decided(served, "B", "KEEP")
        answer = await move(served, include="KEEP")
        assert answer.status_code == 409
        await preview(served, include="KEEP")
        assert (await move(served, include="KEEP")).status_code == 200

    async def test_a_world_that_changed(self, served: Served) -> None:
        """Where the world no longer matches the digest, nothing moves and the plan of now is told."""
        await decided(served, "A", "KEEP")
        digest = (await preview(served))["digest"]
        served.house.originals.add("ARCHIVE/A.jpg")
        answer = await move(served, digest=digest)
        assert (answer.status_code, answer.json()["code"]) == (409, "STATE_CONFLICT")
        assert answer.json()["details"]["expected_digest"] == digest
        plan = await preview(served)
        assert len(plan["collisions"]) == 1
        assert plan["collisions"][0]["nonce"]

    async def test_the_same_batch_twice(self, served: Served) -> None:
        """Identical executions are one batch; without a key it is 422."""
        await decided(served, "A", "KEEP")
        digest = (await preview(served))["digest"]
        body = {"selection": {"digest": digest}, "mode": "EXECUTE"}
        assert (await served.person.post("/batches/moves", json=body)).status_code == 422
        key = served.key()
        first = await move(served, key, digest=digest)
        await finished(served, first.json()["batch_id"])
        again = await move(served, key, digest=digest)
        assert (first.status_code, first.content) == (again.status_code, again.content)

    async def test_selections(self, served: Served) -> None:
        """A selection narrows by verdict, by assets and by number; what stays is said with its reason."""
        keep = await decided(served, "A", "KEEP")
        reject = await decided(served, "B", "REJECT")
        assert (await preview(served, include="REJECT"))["eligible"][0]["asset_uuid"] == reject
        assert (await preview(served, uuids=[keep]))["eligible"][0]["asset_uuid"] == keep
        assert len((await preview(served, limit=1))["eligible"]) == 1
        waiting = await served.house.pending("INBOX/C.jpg", b"C")
        (blocked,) = (await preview(served, uuids=[waiting.uuid]))["blocked"]
        assert blocked["reason"] == "not_decided"

    @pytest.mark.parametrize(
        "selection",
        [
            {"asset_uuids": []}, {"include": "ALL"}, {"include": 1}, {"include": {}},
            {"limit": 0}, {"limit": "1"}, {"limit": True}, {"digest": 5},
            {"uuids": ["x"]}, {"uuids": "x"}, {"uuids": [5]}, {"uuids": [[]]},
        ],
    )  # fmt: skip
    async def test_selections_are_checked(self, served: Served, selection: dict[str, Any]) -> None:
        """A key that is unknown or malformed is refused, so that never more moves than was meant."""
        answer = await move(served, **selection)
        assert answer.status_code == 422
        assert list(answer.json()["details"]["fields"]) == [f"selection.{next(iter(selection))}"]


class TestUndo:
    """Taking a batch back."""

    async def _moved(self, served: Served) -> str:
        await decided(served, "A", "KEEP")
        batch = (await move(served, digest=(await preview(served))["digest"])).json()
        await finished(served, batch["batch_id"])
        return str(batch["batch_id"])

    async def test_what_was_shown_goes_back(self, served: Served) -> None:
        """Preview, undo, report: the files are where they were, and the undo says what it undoes."""
        batch_id = await self._moved(served)
        url = f"/batches/moves/{batch_id}/undo"
        bare = await served.person.post(url, json={}, headers=served.key())
        assert (bare.status_code, bare.json()["code"]) == (409, "STATE_CONFLICT")
        shown = (await served.person.post(f"{url}/preview")).json()
        assert [(f["from"], f["to"]) for m in shown["eligible"] for f in m["files"]] == [
            ("ARCHIVE/A.jpg", "INBOX/A.jpg")
        ]
        key = served.key()
        first = await served.person.post(url, json={"digest": shown["digest"]}, headers=key)
        assert first.status_code == 200, first.text
        report = await finished(served, first.json()["batch_id"])
        assert (report["undoes"], report["results"][0]["outcome"]) == (batch_id, "MOVED")
        assert set(served.house.originals.files) == {"INBOX/A.jpg"}
        again = await served.person.post(url, json={"digest": shown["digest"]}, headers=key)
        assert again.content == first.content
        twice = (await served.person.post(f"{url}/preview")).json()
        assert [b["reason"] for b in twice["blocked"]] == ["undone"]
        refused = await served.person.post(url, json={}, headers=served.key())
        assert refused.status_code == 409
        assert refused.json()["details"]["blocked"][0]["reason"] == "undone"

    async def test_a_part_goes_back(self, served: Served) -> None:
        """Assets that are named go back by themselves; one that the batch did not move is refused."""
        one = await decided(served, "B", "KEEP")
        batch_id = await self._moved(served)
        url = f"/batches/moves/{batch_id}/undo"
        part = {"uuids": [one]}
        shown = (await served.person.post(f"{url}/preview", json=part)).json()
        assert [m["asset_uuid"] for m in shown["eligible"]] == [one]
        body = {"digest": shown["digest"]}
        other = await served.person.post(url, json=body, headers=served.key())
        assert (other.status_code, other.json()["code"]) == (409, "STATE_CONFLICT")
        done = await served.person.post(url, json={**part, **body}, headers=served.key())
        report = await finished(served, done.json()["batch_id"])
        assert [r["asset_uuid"] for r in report["results"]] == [one]
        assert set(served.house.originals.files) == {"ARCHIVE/A.jpg", "INBOX/B.jpg"}
        for uuids, status in (([str(UUID(int=1))], 404), (["x"], 422), ([], 422)):
            answer = await served.person.post(f"{url}/preview", json={"uuids": uuids})
            assert answer.status_code == status, answer.text

    async def test_the_list_of_batches(self, served: Served) -> None:
        """Newest first, page by page; each says how it ended, and how much of it was taken back."""
        first = await self._moved(served)
        url = f"/batches/moves/{first}/undo"
        digest = (await served.person.post(f"{url}/preview")).json()["digest"]
        answer = await served.person.post(url, json={"digest": digest}, headers=served.key())
        second = str(answer.json()["batch_id"])
        await finished(served, second)
        (newest,), more = await self._page(served, limit=1)
        assert (newest["batch_id"], newest["undoes"], newest["undone"]) == (second, first, 0)
        (oldest,), end = await self._page(served, limit=2, cursor=more)
        assert {name: oldest[name] for name in ("moved", "failed", "parked", "blocked")} == {
            "moved": 1, "failed": 0, "parked": 0, "blocked": 0
        }  # fmt: skip
        assert (oldest["batch_id"], oldest["status"], oldest["undone"]) == (first, "DONE", 1)
        assert oldest["created_by"] == (await finished(served, first))["created_by"]
        assert end is None
        wrong = await served.person.get("/batches/moves", params={"cursor": "none"})
        assert wrong.status_code == 400
        assert (await served.agent.get("/batches/moves")).status_code == 403

    @staticmethod
    async def _page(served: Served, **query: Any) -> tuple[list[dict[str, Any]], str | None]:
        answer = await served.person.get("/batches/moves", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"], answer.json().get("next_cursor")

    async def test_a_world_that_changed(self, served: Served) -> None:
        """Where the way back is taken meanwhile, nothing moves, and the reason is told."""
        url = f"/batches/moves/{await self._moved(served)}/undo"
        digest = (await served.person.post(f"{url}/preview")).json()["digest"]
        served.house.originals.add("INBOX/A.jpg", b"another")
        answer = await served.person.post(url, json={"digest": digest}, headers=served.key())
        assert answer.status_code == 409
        assert answer.json()["details"]["blocked"][0]["reason"] == "target_taken"
        assert "ARCHIVE/A.jpg" in served.house.originals.files
        unknown = await served.person.post("/batches/moves/none/undo/preview")
        assert unknown.status_code == 404
