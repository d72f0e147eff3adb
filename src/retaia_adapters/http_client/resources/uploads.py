"""Derived files on their way to the server: announced, sent in parts, completed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import anyio.to_thread
from attrs import frozen

from retaia_core.errors import StateConflict

from ..ask import Ask, FilePart, ask
from ..modes import Async, M, Resource, operation
from ..values.jobs import UploadedFile, UploadPart, UploadState, UploadTicket
from ..wire import file_blocks


@frozen(kw_only=True)
class _Measured:
    """Size in bytes and SHA-256 (hex) of a file."""

    size: int
    sha256: str


def _measure(path: Path) -> _Measured:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return _Measured(size=file.tell(), sha256=digest)


class Uploads(Resource[M]):
    """``/assets/{uuid}/derived/upload``."""

    @operation
    async def upload(
        self: Uploads[Async],
        uuid: str,
        path: Path,
        *,
        kind: str,
        content_type: str,
        key: str | None = None,
    ) -> UploadedFile:
        """Announce a file, send the parts that are not there yet, and complete it.

        With the same ``key`` after a broken connection or a restart it goes on where it was; once it is
        complete the same answer comes again. The file is read in blocks, never whole.

        Raises:
            ValidationFailed: it is not what it is said to be; nothing is kept.
            StaleLockToken: the lease of the job was lost.
        """
        key = self._key(key)
        measured = await anyio.to_thread.run_sync(_measure, path)
        ticket = await self.init(
            uuid,
            kind=kind,
            content_type=content_type,
            size_bytes=measured.size,
            sha256=measured.sha256,
            key=key,
        )
        with suppress(StateConflict):  # it is complete already; completing again answers the same
            await self._send_parts(uuid, path, measured.size, ticket)
        return await self.complete(uuid, ticket.upload_id, key=key)

    async def _send_parts(
        self: Uploads[Async], uuid: str, path: Path, total: int, ticket: UploadTicket
    ) -> None:
        """Send the parts that did not arrive; a file of one part is sent without asking."""
        arrived: Mapping[int, str] = {}
        if ticket.part_count > 1:
            state = await self.state(uuid, ticket.upload_id)
            arrived = {part.part_number: part.part_etag for part in state.parts}
        size = ticket.max_part_size_bytes
        for number in range(1, ticket.part_count + 1):
            offset = (number - 1) * size
            length = min(size, total - offset)
            if number in arrived and await _digest(path, offset, length) == arrived[number]:
                continue
            await self.part(uuid, ticket.upload_id, number, path, offset=offset, size=length)

    @operation
    async def init(
        self,
        uuid: str,
        *,
        kind: str,
        content_type: str,
        size_bytes: int,
        sha256: str | None = None,
        key: str | None = None,
    ) -> UploadTicket:
        """Announce a file."""
        body: dict[str, object] = {
            "kind": kind,
            "content_type": content_type,
            "size_bytes": size_bytes,
        }
        if sha256 is not None:
            body["sha256"] = sha256
        return await self._engine.call(
            _ask(uuid, "init", body=body, key=self._key(key)), UploadTicket
        )

    @operation
    async def part(
        self, uuid: str, upload_id: str, part_number: int, path: Path, *, offset: int, size: int
    ) -> UploadPart:
        """Send one part, numbered from 1: ``size`` bytes of a file from ``offset``."""
        fields = {"upload_id": upload_id, "part_number": str(part_number)}
        part = FilePart(path=path, offset=offset, size=size, fields=fields)
        request = _ask(uuid, "part", part=part, again=True, long=True)
        return await self._engine.call(request, UploadPart)

    @operation
    async def receipt(self, uuid: str, upload_id: str, part_number: int) -> UploadPart:
        """The receipt of a part that arrived.

        Raises:
            ValidationFailed: it did not.
        """
        body = {"upload_id": upload_id, "part_number": part_number}
        return await self._engine.call(_ask(uuid, "part", body=body, again=True), UploadPart)

    @operation
    async def state(self, uuid: str, upload_id: str) -> UploadState:
        """What arrived."""
        request = ask("GET", "/assets/{uuid}/derived/upload/{upload_id}", uuid, upload_id)
        return await self._engine.call(request, UploadState)

    @operation
    async def complete(
        self,
        uuid: str,
        upload_id: str,
        *,
        parts: Mapping[int, str] | None = None,
        key: str | None = None,
    ) -> UploadedFile:
        """Have the file checked and published; ``parts`` are the receipts by number, where they are known.

        Raises:
            ValidationFailed: a part is missing, or it is not what was announced.
        """
        body: dict[str, object] = {"upload_id": upload_id}
        if parts is not None:
            body["parts"] = [{"part_number": n, "part_etag": etag} for n, etag in parts.items()]
        request = _ask(uuid, "complete", body=body, key=self._key(key), long=True)
        return await self._engine.call(request, UploadedFile)


def _ask(uuid: str, step: str, **options: object) -> Ask:
    return ask("POST", f"/assets/{{uuid}}/derived/upload/{step}", uuid, **options)


async def _digest(path: Path, offset: int, size: int) -> str:
    digest = hashlib.sha256()
    async for block in file_blocks(path, offset, size):
        digest.update(block)
    return digest.hexdigest()
