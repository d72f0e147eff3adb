"""The client against a real server over a socket, awaited and blocking: one implementation, two types."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import mypy.api
import pytest
from retaia_tests.house import JPEG, House
from retaia_tests.http_house import AGENT_TOKEN, PERSON_TOKEN

from retaia_adapters.http_client import Client, ClientCredentials, SyncClient
from retaia_core.errors import NotFound, StateConflict, Unauthorized

UNKNOWN = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"


async def test_paging(house: House, url: str) -> None:
    """Every asset comes once, whatever the size of a page."""
    uuids = {(await house.ready(f"INBOX/{n}.jpg", b"%d" % n)).uuid for n in range(5)}
    async with Client(url, PERSON_TOKEN) as client:
        for size in (1, 2, 5, 200):
            found = [asset async for asset in client.assets.iterate(page_size=size)]
            assert {asset.uuid for asset in found} == uuids
            assert len(found) == 5
        none = [a async for a in client.assets.iterate(state="ARCHIVED", media_type="VIDEO")]
        assert none == []


async def test_a_whole_life(house: House, url: str, tmp_path: Path) -> None:
    """A file is worked on, decided, read and moved with the client alone."""
    asset = await house.pending("INBOX/A.jpg")
    async with Client(url, PERSON_TOKEN) as client:
        detail = await client.assets.get(asset.uuid)
        assert detail.summary.state == "DECISION_PENDING"
        assert detail.paths is not None
        assert detail.paths.original_relative == "INBOX/A.jpg"
        noted = await client.assets.annotate(asset.uuid, tags=("sea",), notes="low tide")
        assert noted.tags == ("sea",)
        assert [a.uuid async for a in client.assets.iterate(tags=("sea",))] == [asset.uuid]
        facts = await client.assets.facts(asset.uuid)
        assert facts.facts["width"] == 64
        assert (await client.assets.why(asset.uuid)).next
        assert (await client.assets.jobs(asset.uuid)).items
        listed = await client.derived.list(asset.uuid)
        for file in listed.items:
            target = tmp_path / f"{file.kind}-{file.index}"
            await client.derived.download(
                asset.uuid, file.kind, target, index=file.index, sha256=file.sha256
            )
            assert target.read_bytes() == JPEG
        assert listed.items
        decided = await client.assets.decide(asset.uuid, "KEEP")
        assert decided.state == "DECIDED_KEEP"
        with pytest.raises(StateConflict):
            await client.assets.reopen(asset.uuid)
        preview = await client.batches.preview("KEEP")
        assert preview.summary.assets == 1
        batch = await client.batches.execute("KEEP", digest=preview.digest)
        with anyio.fail_after(20):
            while batch.status != "DONE":
                await anyio.sleep(0.02)
                batch = await client.batches.get(batch.batch_id)
        [moved] = batch.results
        assert (moved.outcome, moved.from_) == ("MOVED", "INBOX/A.jpg")


async def test_a_download_goes_on(house: House, url: str, tmp_path: Path) -> None:
    """The server sends what is missing of a file that began to arrive, or all of it if it is another."""
    asset = await house.pending("INBOX/A.jpg")
    target = tmp_path / "t"
    async with Client(url, PERSON_TOKEN) as client:
        [file] = [f for f in (await client.derived.list(asset.uuid)).items if f.kind == "thumb"]
        for tag, begun in ((f'"{file.sha256}"', JPEG[:9]), ('"another"', b"something else")):
            target.with_name("t.part").write_bytes(begun)
            target.with_name("t.etag").write_text(tag)
            await client.derived.download(asset.uuid, "thumb", target, sha256=file.sha256)
            assert target.read_bytes() == JPEG
        target.with_name("t.part").write_bytes(JPEG)
        target.with_name("t.etag").write_text(f'"{file.sha256}"')
        await client.derived.download(asset.uuid, "thumb", target, sha256=file.sha256)
        assert target.read_bytes() == JPEG
        with pytest.raises(NotFound):
            await client.derived.download(asset.uuid, "waveform", target)


async def test_an_agent_is_let_in(url: str) -> None:
    """By the device flow an agent gets a secret, and with it tokens, as often as it needs one."""
    async with Client(url) as anonymous, Client(url, PERSON_TOKEN) as person:
        started = await anonymous.clients.start_device("AGENT", client_label="nas")
        assert (await person.devices.look_up(started.user_code)).client_label == "nas"
        await person.devices.approve(started.user_code)
        answer = await anonymous.clients.poll_device(started.device_code)
        assert answer.client_id
        assert answer.secret_key
        secret = ClientCredentials(
            client_id=answer.client_id, client_kind="AGENT", secret_key=answer.secret_key
        )
        async with Client(url, secret) as first, Client(url, secret) as second:
            await first.agents.register("first", "1", ("media.facts@1",))
            await second.agents.register(
                "second", "1", ("media.facts@1",)
            )  # ends the first's token
            assert await first.jobs.list() == ()
            await person.clients.rotate_secret(answer.client_id)
            with pytest.raises(Unauthorized):
                await first.jobs.list()


def block(work: Callable[[], None]) -> Any:
    """Run blocking code while the server answers in this loop."""
    return anyio.to_thread.run_sync(work)


async def test_blocking(house: House, url: str) -> None:
    """Without an event loop the same methods return what is awaited elsewhere."""
    uuids = {(await house.ready(f"INBOX/{n}.jpg", b"%d" % n)).uuid for n in range(3)}
    before = threading.active_count()

    def work() -> None:
        with SyncClient(url, PERSON_TOKEN) as client:
            assert {asset.uuid for asset in client.assets.iterate(page_size=2)} == uuids
            for uuid in uuids:
                assert client.assets.get(uuid).summary.state == "READY"
            with pytest.raises(NotFound) as refused:
                client.assets.get(UNKNOWN)
            assert refused.value.details["correlation_id"]
            some = client.assets.iterate(page_size=1)
            assert next(some).uuid in uuids
            some.close()
            events = client.events.follow()
            assert next(events).name == "ready"
            events.close()
            left_open = client.assets.iterate(page_size=1)
            next(left_open)
        left_open.close()

    await block(work)
    assert threading.active_count() <= before + 1, "the client's thread ended with it"


async def test_blocking_uploads(house: House, url: str, tmp_path: Path) -> None:
    """What is made of several calls works without an event loop as well."""
    asset = await house.ready("INBOX/A.jpg")
    picture = tmp_path / "t.jpg"
    picture.write_bytes(JPEG)

    def work() -> None:
        with SyncClient(url, AGENT_TOKEN) as client:
            registered = client.agents.register("a", "1", ("media.thumbnails@1",))
            client.agent_id = registered.agent_id
            [job] = [j for j in client.jobs.list() if j.job_type == "generate_thumbnails"]
            client.jobs.claim(job.job_id)
            done = client.uploads.upload(
                asset.uuid, picture, kind="thumb", content_type="image/jpeg"
            )
            assert done.size_bytes == len(JPEG)
            got = client.uploads.state(asset.uuid, done.upload_id)
            assert got.status == "COMPLETE"

    await block(work)
    assert list(house.derived.files.values()) == [JPEG]


@pytest.mark.slow
def test_types() -> None:
    """Awaited and blocking methods have the types of what they give, and refuse wrong arguments."""
    file = Path(__file__).with_name("client_types.py")
    said, errors, status = mypy.api.run(["--strict", str(file)])
    assert status == 0, said + errors
