"""The agent's transport over HTTP; the only module that imports httpx."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import anyio.to_thread
import httpx
from attrs import frozen

from retaia_core.domain.identifiers import parse_name
from retaia_core.errors import RetaiaError, StateConflict, Unavailable
from retaia_core.ports.processor import Progress
from retaia_core.ports.transport import (
    Bundle,
    JobFailure,
    JobResult,
    OfferedJob,
    Registered,
    Registration,
    UploadedFile,
)

from . import answers

BASE = "/api/v1"
AGENT_HEADER = "X-Retaia-Agent"
_BLOCK = 2**20
_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
_PATIENT = httpx.Timeout(900.0, connect=5.0)
"""For requests after which the server reads a whole file."""

_SUFFIXES = {
    "application/json": ".json",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "video/mp4": ".mp4",
}


@frozen(kw_only=True)
class _Measured:
    """Size in bytes and SHA-256 (hex) of a file."""

    size: int
    sha256: str


def _measure(path: Path) -> _Measured:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return _Measured(size=file.tell(), sha256=digest)


def _read_part(path: Path, number: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek((number - 1) * size)
        return file.read(size)


def _unavailable(error: httpx.TransportError) -> Unavailable:
    said = str(error) or type(error).__name__
    return Unavailable(f"the server cannot be reached: {said}")


class HttpTransport:
    """A connection to a server. It retries nothing: whoever calls knows when to back off."""

    def __init__(
        self, url: str, token: str, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._client = httpx.AsyncClient(
            base_url=url.rstrip("/") + BASE,
            headers={"Authorization": f"Bearer {token}", "User-Agent": "retaia-agent"},
            timeout=_TIMEOUT,
            transport=transport,
            trust_env=False,
            verify=url.startswith("https:"),
        )

    async def _call(self, method: str, path: str, *, key: str | None = None, **options: Any) -> Any:
        """Send one request and return the JSON of its answer.

        Raises:
            Unavailable: no connection, or the server asks to come back later.
            RetaiaError: what the server said.
        """
        headers = {"Idempotency-Key": key} if key else None
        try:
            response = await self._client.request(method, path, headers=headers, **options)
        except httpx.TransportError as error:
            raise _unavailable(error) from error
        if response.is_success:
            return _json(response)
        raise _refusal(response)

    async def register(self, registration: Registration) -> Registered:
        """Register; every later call is made in the name of this agent."""
        body = {
            "agent_name": registration.name,
            "agent_version": registration.version,
            "platform": registration.platform,
            "capabilities": list(registration.capabilities),
            "max_parallel_jobs": registration.max_parallel_jobs,
        }
        answer = answers.registered(await self._call("POST", "/agents/register", json=body))
        self._client.headers[AGENT_HEADER] = answer.agent_id
        return answer

    async def jobs(self) -> tuple[OfferedJob, ...]:
        """Pending jobs that fit this agent."""
        answer = await self._call("GET", "/jobs/offered")
        return tuple(answers.offered(row) for row in answer["items"])

    async def claim_bundle(self, asset_uuid: str) -> Bundle:
        """Reserve every pending job of an asset that this agent can do."""
        return answers.bundle(await self._call("POST", f"/assets/{asset_uuid}/claim-bundle"))

    async def heartbeat(
        self, job_id: str, lock_token: str, progress: Progress | None = None
    ) -> datetime:
        """Extend the lease; returns until when."""
        body: dict[str, object] = {"lock_token": lock_token}
        if progress is not None:
            body["progress"] = {
                "current": progress.current,
                "total": progress.total,
                "text": progress.text[:500],
            }
        answer = await self._call("POST", f"/jobs/{job_id}/heartbeat", json=body)
        return datetime.fromisoformat(answer["locked_until"])

    async def upload(
        self, asset_uuid: str, path: Path, *, kind: str, content_type: str, key: str
    ) -> UploadedFile:
        """Upload one derived file in parts and complete it; the same key goes on where it was."""
        measured = await anyio.to_thread.run_sync(_measure, path)
        base = f"/assets/{asset_uuid}/derived/upload"
        announced = {
            "kind": kind,
            "content_type": content_type,
            "size_bytes": measured.size,
            "sha256": measured.sha256,
        }
        ticket = await self._call("POST", f"{base}/init", key=key, json=announced)
        with suppress(StateConflict):  # it is complete already; completing again answers the same
            await self._send_parts(base, path, ticket)
        done = {"upload_id": ticket["upload_id"]}
        answer = await self._call("POST", f"{base}/complete", key=key, json=done, timeout=_PATIENT)
        return answers.uploaded(answer)

    async def _send_parts(self, base: str, path: Path, ticket: Mapping[str, Any]) -> None:
        """Send the parts that did not arrive; a file of one part is sent without asking."""
        upload_id, size = ticket["upload_id"], ticket["max_part_size_bytes"]
        arrived: Mapping[int, str] = {}
        if ticket["part_count"] > 1:
            state = await self._call("GET", f"{base}/{upload_id}")
            arrived = {part["part_number"]: part["part_etag"] for part in state["parts"]}
        for number in range(1, ticket["part_count"] + 1):
            chunk = await anyio.to_thread.run_sync(_read_part, path, number, size)
            if number in arrived and hashlib.sha256(chunk).hexdigest() == arrived[number]:
                continue
            await self._call(
                "POST",
                f"{base}/part",
                data={"upload_id": upload_id, "part_number": str(number)},
                files={"chunk": ("chunk", chunk, "application/octet-stream")},
            )

    async def submit(self, job_id: str, lock_token: str, result: JobResult, *, key: str) -> None:
        """Submit the result of a held job."""
        body = answers.result_body(lock_token, result)
        await self._call("POST", f"/jobs/{job_id}/result", key=key, json=body)

    async def fail(self, job_id: str, lock_token: str, failure: JobFailure, *, key: str) -> None:
        """Report that a held job failed."""
        body = {
            "lock_token": lock_token,
            "error_code": failure.code,
            "message": failure.message,
            "retryable": failure.retryable,
        }
        await self._call("POST", f"/jobs/{job_id}/fail", key=key, json=body)

    async def release(self, job_id: str, lock_token: str) -> None:
        """Give a held job back."""
        await self._call("POST", f"/jobs/{job_id}/release", json={"lock_token": lock_token})

    async def fetch_derived(self, asset_uuid: str, kind: str, folder: Path) -> tuple[Path, ...]:
        """Download the derived files of a kind into a folder, by index, each checked by its digest."""
        name = parse_name(kind, "derived kind")
        listed = await self._call("GET", f"/assets/{asset_uuid}/derived")
        paths = []
        for row in listed["items"]:
            if row["kind"] != name:
                continue
            index = int(row["index"])
            target = folder / f"{name}-{index}{_SUFFIXES.get(row['content_type'], '')}"
            url = f"/assets/{asset_uuid}/derived/{name}?index={index}"
            await self._download(url, target, row["sha256"])
            paths.append(target)
        return tuple(paths)

    async def _download(self, url: str, target: Path, sha256: str) -> None:
        with target.open("wb") as file:
            try:
                digest = await self._stream(url, file)
            except httpx.TransportError as error:
                raise _unavailable(error) from error
        if digest != sha256:
            await anyio.to_thread.run_sync(target.unlink)
            raise Unavailable("a derived file arrived damaged; fetch it again")

    async def _stream(self, url: str, file: BinaryIO) -> str:
        digest = hashlib.sha256()
        async with self._client.stream("GET", url) as response:
            if not response.is_success:
                await response.aread()
                raise _refusal(response)
            async for block in response.aiter_bytes(_BLOCK):
                digest.update(block)
                await anyio.to_thread.run_sync(file.write, block)
        return digest.hexdigest()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise RetaiaError(
            "the answer is no JSON; is this the address of a Retaia server?"
        ) from error


def _refusal(response: httpx.Response) -> RetaiaError:
    try:
        body = response.json()
    except ValueError:
        body = None
    return answers.error_of(response.status_code, body, response.headers.get("retry-after"))
