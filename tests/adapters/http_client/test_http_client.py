"""The agent's transport over HTTP, against the real application and against a hostile network."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import httpx
import pytest
from retaia_tests.house import FACTS, JPEG, MP4, UNPLUGGED, House
from retaia_tests.http_house import AGENT_TOKEN, Served, serve_in_process

from retaia_adapters.http_client.plugin import retaia_providers
from retaia_adapters.http_client.transport import HttpTransport
from retaia_core.domain.facts import parse_facts
from retaia_core.domain.identifiers import AssetId
from retaia_core.domain.lifecycle import State
from retaia_core.domain.media import MediaType
from retaia_core.domain.uploads import PART_BYTES
from retaia_core.errors import (
    ForbiddenActor,
    IdempotencyConflict,
    LockRequired,
    NotFound,
    Purged,
    RetaiaError,
    SlowDown,
    StaleLockToken,
    StateConflict,
    StorageOffline,
    Unauthorized,
    Unavailable,
    ValidationFailed,
)
from retaia_core.hooks import Role
from retaia_core.ports.device_login import ClientSecret
from retaia_core.ports.processor import Progress
from retaia_core.ports.transport import Bundle, JobFailure, JobResult, Registration

CAPABILITIES = (
    "media.facts@1",
    "media.proxies.photo@1",
    "media.proxies.video@1",
    "media.thumbnails@1",
)
REGISTRATION = Registration(name="agent", version="1", platform="test", capabilities=CAPABILITIES)
URL = "http://127.0.0.1"
PHOTO_FACTS = parse_facts(FACTS["PHOTO"])


@pytest.fixture
async def served(house: House) -> AsyncIterator[Served]:
    async with serve_in_process(house) as served:
        yield served


@pytest.fixture
async def transport(served: Served) -> AsyncIterator[HttpTransport]:
    """A registered agent's transport; the answers that it gets are held against the document."""
    transport = HttpTransport(URL, AGENT_TOKEN, transport=served.transport())
    await transport.register(REGISTRATION)
    yield transport
    await transport.close()


async def claim(house: House, transport: HttpTransport, path: str = "INBOX/A.jpg") -> Bundle:
    """Have a file ready and claim its bundle."""
    asset = await house.ready(path)
    return await transport.claim_bundle(asset.uuid)


def job_of(bundle: Bundle, job_type: str) -> str:
    return next(job.job_id for job in bundle.jobs if job.job_type == job_type)


class TestWork:
    """A whole bundle."""

    async def test_from_registration_to_submit(
        self, house: House, transport: HttpTransport, tmp_path: Path
    ) -> None:
        """An agent lists, claims, works and submits, and the asset waits for a decision."""
        registered = await transport.register(REGISTRATION)
        assert set(registered.effective_capabilities) == set(CAPABILITIES)
        assert (registered.min_poll_interval_s, registered.max_parallel_jobs) == (5.0, 4)
        asset = await house.ready("INBOX/day 1/A.jpg")
        offered = await transport.jobs()
        assert {job.asset_uuid for job in offered} == {asset.uuid}
        bundle = await transport.claim_bundle(asset.uuid)
        assert bundle.media_type is MediaType.PHOTO
        assert (bundle.storage_id, bundle.path) == (asset.storage_id, asset.path)
        assert (bundle.size, bundle.mtime_ns) == (asset.size, asset.mtime_ns)
        assert {job.job_id for job in bundle.jobs} == {job.job_id for job in offered}
        picture = tmp_path / "p.jpg"
        picture.write_bytes(JPEG)
        kinds = {"generate_proxy": "proxy_photo", "generate_thumbnails": "thumb"}
        for job in bundle.jobs:
            kind = kinds.get(job.job_type)
            result = JobResult(job_type=job.job_type, facts=PHOTO_FACTS)
            if kind:
                file = await transport.upload(
                    asset.uuid, picture, kind=kind, content_type="image/jpeg", key=job.job_id
                )
                assert file.sha256 == hashlib.sha256(JPEG).hexdigest()
                result = JobResult(job_type=job.job_type, files=(file,))
            await transport.submit(job.job_id, bundle.lock_token, result, key=f"s{job.job_id}")
            await transport.submit(job.job_id, bundle.lock_token, result, key=f"s{job.job_id}")
        done = await house.review.asset(asset.uuid)
        assert done.state is State.DECISION_PENDING
        folder = tmp_path / "in"
        folder.mkdir()
        (path,) = await transport.fetch_derived(asset.uuid, "thumb", folder)
        assert (path.name, path.read_bytes()) == ("thumb-0.jpg", JPEG)

    async def test_holding(self, house: House, transport: HttpTransport) -> None:
        """A heartbeat carries progress; a released or failed job is what it says."""
        bundle = await claim(house, transport)
        first, second = bundle.jobs[0].job_id, bundle.jobs[1].job_id
        progress = Progress(job_id=first, current=1, total=2, text="x" * 1000)
        assert await transport.heartbeat(first, bundle.lock_token, progress) >= bundle.locked_until
        await transport.release(first, bundle.lock_token)
        failure = JobFailure(code="SOURCE_UNREADABLE", message="no", retryable=False)
        await transport.fail(second, bundle.lock_token, failure, key="f")
        states = {
            str(j.job_id): j.status for j in await house.review.jobs(AssetId(bundle.asset_uuid))
        }
        assert (states[first], states[second]) == ("pending", "failed")


class Cut(httpx.AsyncBaseTransport):
    """A network that breaks at chosen requests, and remembers what passed."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner
        self.breaks: Callable[[int, httpx.Request], bool] = lambda n, request: False
        self.paths: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.paths.append(request.url.path.rpartition("/")[2])
        if self.breaks(len(self.paths), request):
            raise httpx.ReadError("connection reset")
        return await self.inner.handle_async_request(request)


class TestUploads:
    """Uploads go on where they were."""

    @pytest.fixture
    async def cut(self, served: Served) -> Cut:
        return Cut(served.transport())

    async def test_a_broken_upload_goes_on(self, house: House, cut: Cut, tmp_path: Path) -> None:
        """After a broken connection, the same key sends only the parts that did not arrive."""
        transport = HttpTransport(URL, AGENT_TOKEN, transport=cut)
        await transport.register(REGISTRATION)
        bundle = await claim(house, transport, "INBOX/A.mp4")
        content = MP4 + b"\1" * (PART_BYTES * 2)
        path = tmp_path / "p.mp4"
        path.write_bytes(content)
        upload = {"kind": "proxy_video", "content_type": "video/mp4", "key": "one"}
        cut.paths.clear()
        cut.breaks = lambda n, request: n == 4  # init, state, part 1, part 2
        with pytest.raises(Unavailable, match="cannot be reached"):
            await transport.upload(bundle.asset_uuid, path, **upload)
        cut.paths.clear()
        cut.breaks = lambda n, request: False
        done = await transport.upload(bundle.asset_uuid, path, **upload)
        assert [name for name in cut.paths if name == "part"] == ["part", "part"]
        assert house.derived.files[done.ref] == content
        again = await transport.upload(bundle.asset_uuid, path, **upload)
        assert again == done
        await transport.close()

    async def test_a_lost_answer(self, house: House, cut: Cut, tmp_path: Path) -> None:
        """Where the answer to completing was lost, the same key gets it again."""
        transport = HttpTransport(URL, AGENT_TOKEN, transport=cut)
        await transport.register(REGISTRATION)
        bundle = await claim(house, transport)
        path = tmp_path / "p.jpg"
        path.write_bytes(JPEG)
        upload = {"kind": "thumb", "content_type": "image/jpeg", "key": "one"}
        first = await transport.upload(bundle.asset_uuid, path, **upload)
        assert await transport.upload(bundle.asset_uuid, path, **upload) == first
        assert len(house.derived.files) == 1
        await transport.close()

    async def test_refusals_stay_refusals(
        self, house: House, transport: HttpTransport, tmp_path: Path
    ) -> None:
        """What the server refuses is raised, whole and with its fields."""
        bundle = await claim(house, transport)
        path = tmp_path / "p.jpg"
        path.write_bytes(b"MZ no picture")
        with pytest.raises(ValidationFailed, match="no thumb"):
            await transport.upload(
                bundle.asset_uuid, path, kind="thumb", content_type="image/jpeg", key="k"
            )
        assert house.derived.files == {}


class TestErrors:
    """Foreign errors stop at the adapter."""

    async def test_errors_of_the_server(self, house: House, transport: HttpTransport) -> None:
        """Each refusal comes back as the error that the server raised."""
        bundle = await claim(house, transport)
        job = job_of(bundle, "extract_facts")
        with pytest.raises(StateConflict):
            await transport.claim_bundle(bundle.asset_uuid)
        with pytest.raises(NotFound):
            await transport.claim_bundle("6f9619ff-8b86-d011-b42d-00cf4fc964ff")
        with pytest.raises(StaleLockToken):
            await transport.heartbeat(job, "wrong")
        with pytest.raises(LockRequired):
            await transport.heartbeat(job, "")
        with pytest.raises(ValidationFailed) as refused:
            await transport.submit(
                job, bundle.lock_token, JobResult(job_type="extract_facts"), key="k"
            )
        assert "width" in refused.value.details["fields"]  # type: ignore[operator]
        good = JobResult(job_type="extract_facts", facts=PHOTO_FACTS)
        await transport.submit(job, bundle.lock_token, good, key="k2")
        other = JobResult(job_type="extract_facts", facts=PHOTO_FACTS, warnings=("w",))
        with pytest.raises(IdempotencyConflict):
            await transport.submit(job, bundle.lock_token, other, key="k2")

    async def test_an_offline_storage(self, house: House, transport: HttpTransport) -> None:
        """A storage that cannot be trusted now is told apart from a server that is away."""
        asset = await house.ready("INBOX/A.jpg")
        await house.storages.note(house.originals.storage_id, UNPLUGGED)
        with pytest.raises(StorageOffline, match="unplugged"):
            await transport.claim_bundle(asset.uuid)

    async def test_tokens(self, served: Served) -> None:
        """A token that is not valid is Unauthorized."""
        transport = HttpTransport(URL, "wrong", transport=served.transport())
        with pytest.raises(Unauthorized):
            await transport.register(REGISTRATION)
        await transport.close()

    @pytest.mark.parametrize(
        ("status", "code", "kind"),
        [
            (429, "SLOW_DOWN", SlowDown),
            (502, "", Unavailable),
            (503, "TEMPORARY_UNAVAILABLE", Unavailable),
            (504, "", Unavailable),
            (410, "PURGED", Purged),
            (403, "FORBIDDEN_ACTOR", ForbiddenActor),
            (500, "TEMPORARY_UNAVAILABLE", RetaiaError),
            (418, "TEAPOT", RetaiaError),
        ],
    )
    async def test_statuses(self, status: int, code: str, kind: type[RetaiaError]) -> None:
        """What asks for patience is Unavailable and says how long; the rest is what it is."""

        def answer(request: httpx.Request) -> httpx.Response:
            body = {"code": code, "message": "told", "retryable": False, "correlation_id": "c"}
            return httpx.Response(status, json=body, headers={"Retry-After": "7"})

        transport = HttpTransport(URL, "t", transport=httpx.MockTransport(answer))
        with pytest.raises(RetaiaError, match="told") as error:
            await transport.jobs()
        assert type(error.value) is kind
        assert error.value.details["correlation_id"] == "c"
        assert error.value.details.get("retry_after_s") == (7 if error.value.retryable else None)
        await transport.close()

    @pytest.mark.parametrize("status", [200, 404, 503])
    async def test_something_else_answers(self, status: int) -> None:
        """An address that is no Retaia server is an error in words, whatever it answers."""

        def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(status, text="<html>welcome</html>")

        transport = HttpTransport(URL, "t", transport=httpx.MockTransport(answer))
        with pytest.raises(RetaiaError):
            await transport.jobs()
        await transport.close()

    async def test_nobody_answers(self) -> None:
        """A connection that is refused is Unavailable."""
        transport = HttpTransport("http://127.0.0.1:9", "t")
        with pytest.raises(Unavailable, match="cannot be reached"):
            await transport.jobs()
        await transport.close()

    async def test_a_damaged_download(self, tmp_path: Path) -> None:
        """A derived file that is not what its digest says is removed and asked for again."""

        def answer(request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/derived"):
                row = {"kind": "thumb", "index": 0, "content_type": "image/jpeg", "sha256": "0"}
                return httpx.Response(200, json={"items": [row]})
            return httpx.Response(200, content=JPEG)

        transport = HttpTransport(URL, "t", transport=httpx.MockTransport(answer))
        with pytest.raises(Unavailable, match="damaged"):
            await transport.fetch_derived("a", "thumb", tmp_path)
        assert not await anyio.Path(tmp_path, "thumb-0.jpg").exists()
        with pytest.raises(ValidationFailed):
            await transport.fetch_derived("a", "../thumb", tmp_path)
        await transport.close()


async def test_it_is_registered() -> None:
    """The plugin offers the agent transport ``http``."""
    [factory] = [
        provider.factory
        for provider in retaia_providers()
        if (provider.role, provider.name) == (Role.AGENT_TRANSPORT, "http")
    ]
    transport = factory(URL, ClientSecret(client_id="i", secret_key="s"))
    assert isinstance(transport, HttpTransport)
    await transport.close()
