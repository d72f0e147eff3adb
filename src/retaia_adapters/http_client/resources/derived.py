"""Derived files on their way from the server."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import anyio.to_thread
from attrs import frozen

from retaia_core.errors import Unavailable, ValidationFailed

from ..ask import ask
from ..modes import M, Resource, operation
from ..values.assets import DerivedFiles
from ..wire import Streamed

_WHOLE, _PARTIAL = 200, 206


@frozen(kw_only=True)
class _Target:
    """A file that is being fetched: what arrived, the entity tag of it, and where it goes when whole."""

    path: Path

    @property
    def part(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")

    @property
    def tag(self) -> Path:
        return self.path.with_name(f"{self.path.name}.etag")

    def range_headers(self) -> dict[str, str]:
        """Ask for what is missing, if it is still the same file."""
        if not (self.part.exists() and self.tag.exists()):
            return {}
        have, tag = self.part.stat().st_size, self.tag.read_text(encoding="ascii")
        if not have or not tag or tag.startswith("W/"):
            return {}
        return {"Range": f"bytes={have}-", "If-Range": tag}

    def begin(self, tag: str) -> None:
        """Start from the first byte of what ``tag`` names."""
        self.part.write_bytes(b"")
        self.tag.write_text(tag, encoding="ascii")

    def drop(self) -> None:
        """Forget what arrived."""
        self.part.unlink(missing_ok=True)
        self.tag.unlink(missing_ok=True)

    def finish(self) -> Path:
        """Put the whole file in its place."""
        self.part.replace(self.path)
        self.tag.unlink(missing_ok=True)
        return self.path

    def digest(self) -> str:
        """The SHA-256 of what arrived."""
        with self.part.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


class Derived(Resource[M]):
    """``/assets/{uuid}/derived``."""

    @operation
    async def list(self, uuid: str) -> DerivedFiles:
        """The derived files of an asset."""
        return await self._engine.call(ask("GET", "/assets/{uuid}/derived", uuid), DerivedFiles)

    @operation
    async def download(
        self, uuid: str, kind: str, target: Path, *, index: int = 0, sha256: str | None = None
    ) -> Path:
        """Fetch a derived file into ``target``, which is there when it is whole.

        What arrived lies beside it in ``<name>.part`` with its entity tag in ``<name>.etag``: a later
        call goes on there, if the server still has the same file.

        Raises:
            NotFound: there is no such file.
            Unavailable: it did not arrive whole, or not as ``sha256`` says (then it is removed).
        """
        to = _Target(path=target)
        patience = self._engine.retries.start()
        while True:
            had, missing = _size(to.part), to.range_headers()
            try:
                await self._fetch(uuid, kind, index, to, missing)
                break
            except Unavailable as error:
                if _size(to.part) > had:
                    patience.renew()
                await patience.wait(error)
            except ValidationFailed:
                if not missing:
                    raise
                to.drop()  # nothing is missing of it, or it is no such file any more
        if sha256 is not None and await anyio.to_thread.run_sync(to.digest) != sha256:
            to.drop()
            raise Unavailable("a derived file arrived damaged; fetch it again")
        return to.finish()

    async def _fetch(
        self, uuid: str, kind: str, index: int, to: _Target, missing: Mapping[str, str]
    ) -> None:
        request = ask(
            "GET",
            "/assets/{uuid}/derived/{kind}",
            uuid,
            kind,
            query={"index": index},
            headers={"Accept-Encoding": "identity", **missing},
        )
        async with self._engine.stream(request) as answer:
            if answer.status != _PARTIAL:
                to.begin(answer.headers.get("etag", ""))
            await _append(answer, to.part)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


async def _append(answer: Streamed, part: Path) -> None:
    async with await anyio.open_file(part, "ab") as file:
        async for block in answer.blocks():
            await file.write(block)
