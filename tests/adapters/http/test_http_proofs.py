"""Proving copies over the wire: short checks, long ones, waivers, and the certificate afterwards."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import httpx
import pytest
from retaia_tests.house import PERSON, House
from retaia_tests.http_house import STORES, Served, serve_in_process

from retaia_adapters.http.handlers import proofs
from retaia_core.domain.identifiers import AssetId
from retaia_core.domain.lifecycle import Action
from retaia_core.errors import StorageOffline

ORIGINAL, XMP = "REJECTS/A.jpg", "REJECTS/A.xmp"


@pytest.fixture(params=STORES)
def store_kind(request: pytest.FixtureRequest) -> str:
    """These stories run on two stores."""
    return str(request.param)


async def rejected(served: Served) -> AssetId:
    """A photo with a sidecar, among the rejects."""
    house = served.house
    house.originals.add("INBOX/A.xmp", b"<x/>")
    asset = await house.pending("INBOX/A.jpg", b"A")
    await house.review.decide(PERSON, asset.uuid, Action.REJECT)
    plan = await house.moves.preview()
    await house.moves.run((await house.moves.execute(PERSON, plan, plan.digest)).batch_id)
    return asset.uuid


def back_up(served: Served) -> None:
    """Equal copies of both files."""
    served.house.copies.add("backup", "INBOX/A.jpg", b"A")
    served.house.copies.add("backup", "INBOX/A.xmp", b"<x/>")


async def ask(served: Served, uuid: str, what: str, **body: Any) -> httpx.Response:
    """One request about a purge."""
    return await served.person.post(
        f"/assets/{uuid}/purge{what}", json=body or None, headers=served.key()
    )


def code(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, answer.json()["code"]


class TestProof:
    """The proof is a step of its own, so that the preview answers at once."""

    async def test_from_proof_to_certificate(self, served: Served) -> None:
        """Proven files are shown as such in the preview, the answer and the certificate."""
        uuid = await rejected(served)
        back_up(served)
        before = (await served.person.get(f"/assets/{uuid}/purge/proof")).json()
        assert [(f["path"], "proof" in f) for f in before["files"]] == [
            (ORIGINAL, False), (XMP, False),
        ]  # fmt: skip
        assert "nobody looked" in before["files"][0]["lacking"]
        answer = await ask(served, uuid, "/proof")
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert (told["running"], [f["proof"]["copy"] for f in told["files"]]) == (
            False, ["INBOX/A.jpg", "INBOX/A.xmp"],
        )  # fmt: skip
        assert (await served.person.get(f"/assets/{uuid}/purge/proof")).json() == told
        plan = (await ask(served, uuid, "/preview")).json()
        assert plan["files"][0]["proof"] == told["files"][0]["proof"]
        early = await served.person.get(f"/assets/{uuid}/purge/certificate")
        assert code(early) == (409, "STATE_CONFLICT")
        done = await ask(served, uuid, "", confirm=True, digest=plan["digest"])
        assert done.status_code == 200, done.text
        certificate = (await served.person.get(f"/assets/{uuid}/purge/certificate")).json()
        assert certificate["confirmed_digest"] == plan["digest"]
        assert certificate["bytes_freed"] == plan["bytes_freed"]
        shown = [(f["role"], f["path"], f.get("proof")) for f in plan["files"]]
        assert [(f["role"], f["path"], f.get("proof")) for f in certificate["files"]] == shown
        assert code(await ask(served, uuid, "/proof")) == (410, "PURGED")
        gone = await served.person.get(f"/assets/{uuid}/purge/proof")
        assert code(gone) == (410, "PURGED")

    async def test_a_tampered_copy(self, served: Served) -> None:
        """The file is told as unproven, with the reason."""
        uuid = await rejected(served)
        back_up(served)
        served.house.copies.add("backup", "INBOX/A.jpg", b"B")
        told = (await ask(served, uuid, "/proof")).json()
        assert "another content" in told["files"][0]["lacking"]
        assert "proof" not in told["files"][0]

    async def test_only_of_rejected_assets(self, served: Served) -> None:
        """Anything else is refused with its state."""
        asset = await served.house.pending("INBOX/B.jpg")
        assert code(await ask(served, asset.uuid, "/proof")) == (409, "STATE_CONFLICT")
        unknown = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
        assert (await ask(served, unknown, "/proof")).status_code == 404

    async def test_a_storage_that_goes_away(self, served: Served) -> None:
        """It is 503, and nothing is remembered."""
        uuid = await rejected(served)
        back_up(served)

        def unplug(operation: str, path: str) -> None:
            if operation == "checksum":
                raise StorageOffline("unplugged")

        served.house.originals.fault = unplug
        assert code(await ask(served, uuid, "/proof")) == (503, "TEMPORARY_UNAVAILABLE")
        served.house.originals.fault = None
        assert (await ask(served, uuid, "/proof")).status_code == 200


class TestLong:
    """A check may take as long as its files are large; nobody has to wait in one request."""

    @pytest.fixture
    def store_kind(self) -> str:
        """One server: a check runs where it was asked for."""
        return "memory"

    @pytest.fixture
    def slow(self, served: Served, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
        """A copy whose reading waits; returns what lets it go on."""
        go_on = threading.Event()

        def wait(operation: str, path: str) -> None:
            if operation == "checksum":
                go_on.wait(20)

        served.house.copies.fault = wait
        monkeypatch.setattr(proofs, "WAIT_S", 0.2)
        return go_on.set

    async def test_it_goes_on_after_the_answer(
        self, served: Served, slow: Callable[[], None]
    ) -> None:
        """202 says how far it is; asked again, the same check is waited for; the end is 200."""
        uuid = await rejected(served)
        back_up(served)
        first = await ask(served, uuid, "/proof")
        assert (first.status_code, first.json()["running"]) == (202, True)
        assert first.json()["reading"] == {"path": ORIGINAL, "read_bytes": 1, "size_bytes": 1}
        again = await ask(served, uuid, "/proof")
        assert again.status_code == 202
        looked = await served.person.get(f"/assets/{uuid}/purge/proof")
        assert looked.json()["running"]
        assert (await ask(served, uuid, "/preview")).status_code == 200
        slow()
        with anyio.fail_after(20):
            while (answer := await ask(served, uuid, "/proof")).status_code == 202:
                pass
        assert not answer.json()["running"]
        history = await served.house.operations.history(uuid)
        assert 1 <= [event.name for event in history].count("purge.checked") <= 2

    async def test_two_who_ask_wait_for_one(self, served: Served, slow: Callable[[], None]) -> None:
        """The files are read once for both."""
        uuid = await rejected(served)
        back_up(served)
        proofs.WAIT_S = 20.0
        answers: list[int] = []

        async def send() -> None:
            answers.append((await ask(served, uuid, "/proof")).status_code)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            tasks.start_soon(send)
            await anyio.sleep(0.2)
            slow()
        assert answers == [200, 200]
        history = await served.house.operations.history(uuid)
        assert [event.name for event in history].count("purge.checked") == 1


class TestRequired:
    """A server that asks for proof takes a waiver that names the file."""

    @pytest.fixture
    async def served(self, house: House) -> AsyncIterator[Served]:
        """A server that asks for proof."""
        house.require_proof = True
        async with serve_in_process(house) as served:
            yield served

    async def test_a_waiver_for_each_file(self, served: Served) -> None:
        """The preview says what is missing, a waiver what a person said; then it goes."""
        uuid = await rejected(served)
        plan = (await ask(served, uuid, "/preview")).json()
        assert (plan["proof_required"], plan["eligible"]) == (True, False)
        assert [(b["reason"], b["path"]) for b in plan["blocked"]] == [
            ("unproven", ORIGINAL), ("unproven", XMP),
        ]  # fmt: skip
        refused = await ask(served, uuid, "", confirm=True, digest=plan["digest"])
        assert code(refused) == (409, "STATE_CONFLICT")
        for path in (ORIGINAL, XMP):
            answer = await ask(served, uuid, "/waiver", path=path, reason="the client has it")
            assert answer.status_code == 200, answer.text
        told = answer.json()
        assert [f["waiver"]["reason"] for f in told["files"]] == ["the client has it"] * 2
        plan = (await ask(served, uuid, "/preview")).json()
        assert plan["files"][0]["waiver"] == told["files"][0]["waiver"]
        done = await ask(served, uuid, "", confirm=True, digest=plan["digest"])
        assert done.status_code == 200, done.text

    async def test_what_is_no_waiver(self, served: Served) -> None:
        """A path of another file, no reason, another key: refused, and nothing is kept."""
        uuid = await rejected(served)
        for body in (
            {"path": "REJECTS/B.jpg", "reason": "enough"},
            {"path": ORIGINAL, "reason": ""},
            {"path": ORIGINAL, "reason": "   "},
            {"path": ORIGINAL},
            {"path": ORIGINAL, "reason": "enough", "all": True},
        ):
            assert code(await ask(served, uuid, "/waiver", **body)) == (422, "VALIDATION_FAILED")
        told = (await served.person.get(f"/assets/{uuid}/purge/proof")).json()
        assert not any("waiver" in f for f in told["files"])
