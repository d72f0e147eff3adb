"""What touches many assets, or removes one: moves, decisions in bulk, purges. Preview first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from ..ask import ask
from ..modes import M, Resource, operation
from ..values.assets import HistoryPage
from ..values.batches import (
    BulkPreview,
    BulkReport,
    CopyProofs,
    MoveBatch,
    MoveBatchPage,
    MovePreview,
    ParkedChoice,
    ParkedMove,
    PurgeCertificate,
    PurgePreview,
    PurgeResult,
    SettledAsset,
)
from .filters import AssetFilters, wire_filters

Include = Literal["KEEP", "REJECT", "BOTH"]


def _selection(
    include: Include, limit: int | None, uuids: Sequence[str] | None, digest: str | None = None
) -> dict[str, Any]:
    given = {"include": include, "limit": limit, "uuids": uuids, "digest": digest}
    return {name: value for name, value in given.items() if value is not None}


class Batches(Resource[M]):
    """``/batches/moves``."""

    @operation
    async def preview(
        self,
        include: Include = "BOTH",
        *,
        limit: int | None = None,
        uuids: Sequence[str] | None = None,
    ) -> MovePreview:
        """What a batch would move where; changes nothing."""
        body = _selection(include, limit, uuids)
        request = ask("POST", "/batches/moves/preview", body=body, again=True)
        return await self._engine.call(request, MovePreview)

    @operation
    async def execute(
        self,
        include: Include,
        *,
        digest: str,
        limit: int | None = None,
        uuids: Sequence[str] | None = None,
        key: str | None = None,
    ) -> MoveBatch:
        """Move what a preview with this ``digest`` showed, in the background.

        Raises:
            StateConflict: the preview does not hold any more.
        """
        body = {"selection": _selection(include, limit, uuids, digest), "mode": "EXECUTE"}
        request = ask("POST", "/batches/moves", body=body, key=self._key(key))
        return await self._engine.call(request, MoveBatch)

    @operation
    async def list(self, *, limit: int | None = None, cursor: str | None = None) -> MoveBatchPage:
        """The batches in numbers, newest first. One page."""
        request = ask("GET", "/batches/moves", query={"limit": limit, "cursor": cursor})
        return await self._engine.call(request, MoveBatchPage)

    @operation
    async def get(self, batch_id: str) -> MoveBatch:
        """How far a batch is, and its report."""
        request = ask("GET", "/batches/moves/{batch_id}", batch_id)
        return await self._engine.call(request, MoveBatch)

    @operation
    async def history(
        self, batch_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> HistoryPage:
        """What was done in it, file by file. One page."""
        query = {"limit": limit, "cursor": cursor}
        request = ask("GET", "/batches/moves/{batch_id}/history", batch_id, query=query)
        return await self._engine.call(request, HistoryPage)

    @operation
    async def preview_undo(
        self, batch_id: str, *, uuids: Sequence[str] | None = None
    ) -> MovePreview:
        """What of a batch (or of some of its assets) would go back, what cannot and why; changes nothing.

        Raises:
            StateConflict: the batch is an undo itself.
        """
        body = None if uuids is None else {"uuids": uuids}
        path = "/batches/moves/{batch_id}/undo/preview"
        request = ask("POST", path, batch_id, body=body, again=True)
        return await self._engine.call(request, MovePreview)

    @operation
    async def undo(
        self,
        batch_id: str,
        *,
        digest: str | None = None,
        uuids: Sequence[str] | None = None,
        key: str | None = None,
    ) -> MoveBatch:
        """Take a batch (or some of its assets) back as the preview of this ``digest`` showed it.

        Without a digest the caller's last preview of the undo counts. The answer is a batch of its own,
        done in the background.

        Raises:
            StateConflict: the preview does not hold any more, or nothing can be taken back.
        """
        given = {"digest": digest, "uuids": uuids}
        body = {name: value for name, value in given.items() if value is not None}
        path = "/batches/moves/{batch_id}/undo"
        request = ask("POST", path, batch_id, body=body, key=self._key(key))
        return await self._engine.call(request, MoveBatch)

    @operation
    async def parked(self, uuid: str) -> ParkedMove:
        """The evidence about an asset whose move could not be proven, and the choices that it leaves.

        Raises:
            StateConflict: it is not parked.
        """
        return await self._engine.call(ask("GET", "/assets/{uuid}/parked", uuid), ParkedMove)

    @operation
    async def settle(
        self, uuid: str, choice: ParkedChoice, *, key: str | None = None
    ) -> SettledAsset:
        """Say where the files of a parked asset are; the server looks at the disk again first.

        Raises:
            StateConflict: it is not parked, or the disk does not allow this choice.
        """
        body = {"choice": choice}
        request = ask("POST", "/assets/{uuid}/settle", uuid, body=body, key=self._key(key))
        return await self._engine.call(request, SettledAsset)


class Decisions(Resource[M]):
    """``/decisions``."""

    @operation
    async def preview(
        self, action: Literal["KEEP", "REJECT"], filters: AssetFilters, *, max_items: int
    ) -> BulkPreview:
        """What a decision on all that fits would touch; changes nothing.

        Raises:
            ForbiddenScope: deciding in bulk is switched off.
        """
        body = {"action": action, "filter": wire_filters(filters), "max_items": max_items}
        request = ask("POST", "/decisions/preview", body=body, again=True)
        return await self._engine.call(request, BulkPreview)

    @operation
    async def apply(self, approval_token: str, *, key: str | None = None) -> BulkReport:
        """Decide what the preview showed and still waits for a decision.

        Raises:
            InvalidToken: the approval is used or over its time.
        """
        body = {"approval_token": approval_token, "confirm": True}
        request = ask("POST", "/decisions/apply", body=body, key=self._key(key))
        return await self._engine.call(request, BulkReport)


class Purge(Resource[M]):
    """``/assets/{uuid}/purge``."""

    @operation
    async def preview(self, uuid: str) -> PurgePreview:
        """What a purge would remove; changes nothing."""
        request = ask("POST", "/assets/{uuid}/purge/preview", uuid, again=True)
        return await self._engine.call(request, PurgePreview)

    @operation
    async def execute(
        self, uuid: str, *, digest: str | None = None, key: str | None = None
    ) -> PurgeResult:
        """Remove a rejected asset's files for good, as the preview of this ``digest`` showed it.

        Without a digest the caller's last preview of the asset counts. Only its audit record stays.

        Raises:
            StateConflict: it is not rejected, or not as the preview showed it.
        """
        body = {"confirm": True} if digest is None else {"confirm": True, "digest": digest}
        request = ask("POST", "/assets/{uuid}/purge", uuid, body=body, key=self._key(key))
        return await self._engine.call(request, PurgeResult)

    @operation
    async def prove(self, uuid: str) -> CopyProofs:
        """Look for another copy of every file, reading both whole; asked again while it runs, it waits on.

        ``running`` says that it takes longer than one answer waits.

        Raises:
            StateConflict: it is not rejected.
        """
        request = ask("POST", "/assets/{uuid}/purge/proof", uuid, again=True)
        return await self._engine.call(request, CopyProofs)

    @operation
    async def proof(self, uuid: str) -> CopyProofs:
        """What counts now for each file, and how far a check is."""
        return await self._engine.call(ask("GET", "/assets/{uuid}/purge/proof", uuid), CopyProofs)

    @operation
    async def waive(self, uuid: str, path: str, reason: str) -> CopyProofs:
        """Say that one file may go without a proven copy, and why; it is kept for ever.

        Raises:
            ValidationFailed: no file of the asset has this path.
            StateConflict: it is not rejected.
        """
        body = {"path": path, "reason": reason}
        request = ask("POST", "/assets/{uuid}/purge/waiver", uuid, body=body, again=True)
        return await self._engine.call(request, CopyProofs)

    @operation
    async def certificate(self, uuid: str) -> PurgeCertificate:
        """What was purged of an asset, when, by whose word, and on which proof.

        Raises:
            StateConflict: it was not purged.
        """
        request = ask("GET", "/assets/{uuid}/purge/certificate", uuid)
        return await self._engine.call(request, PurgeCertificate)
