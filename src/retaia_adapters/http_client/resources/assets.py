"""Assets: find them, look at them, annotate and decide them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Unpack

from ..ask import ask
from ..modes import Async, M, Resource, operation, series
from ..paging import each
from ..values.assets import (
    Annotations,
    AssetDetail,
    AssetFacts,
    AssetFixity,
    AssetPage,
    AssetSummary,
    AttachedSidecars,
    Decision,
    Explanation,
    FieldDefinitions,
    HistoryPage,
    JobReports,
    MarkList,
    SuggestionStatus,
    TagsPage,
    Transcript,
)
from .filters import AssetFilters, wire_filters


class Assets(Resource[M]):
    """``/assets``."""

    @operation
    async def list(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        **filters: Unpack[AssetFilters],
    ) -> AssetPage:
        """One page; ``limit`` from 1 to 200 (the server's default is 50)."""
        query = {**wire_filters(filters), "limit": limit, "cursor": cursor}
        return await self._engine.call(ask("GET", "/assets", query=query), AssetPage)

    @series
    async def iterate(
        self: Assets[Async], *, page_size: int = 200, **filters: Unpack[AssetFilters]
    ) -> AsyncGenerator[AssetSummary, None]:
        """Every asset that fits, page after page."""

        async def fetch(cursor: str | None) -> AssetPage:
            return await self.list(limit=page_size, cursor=cursor, **filters)

        async for asset in each(fetch):
            yield asset

    @operation
    async def get(self, uuid: str) -> AssetDetail:
        """One asset.

        Raises:
            NotFound: there is none with this UUID.
        """
        return await self._engine.call(ask("GET", "/assets/{uuid}", uuid), AssetDetail)

    @operation
    async def annotate(
        self,
        uuid: str,
        *,
        tags: Sequence[str] | None = None,
        notes: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> AssetSummary:
        """Replace the tags, the notes or fields; what is None stays.

        Raises:
            Purged: only the record of it is left.
        """
        given = {"tags": tags, "notes": notes, "fields": fields}
        body = {name: value for name, value in given.items() if value is not None}
        return await self._engine.call(
            ask("PATCH", "/assets/{uuid}", uuid, body=body, again=True), AssetSummary
        )

    @operation
    async def annotations(self, uuid: str) -> Annotations:
        """Its tags, notes, fields and suggestions, with who said what last."""
        request = ask("GET", "/assets/{uuid}/annotations", uuid)
        return await self._engine.call(request, Annotations)

    @operation
    async def edit(
        self,
        uuid: str,
        *,
        add_tags: Sequence[str] = (),
        remove_tags: Sequence[str] = (),
        notes: str | None = None,
        notes_seen: str | None = None,
        fields: Mapping[str, Any] | None = None,
        fields_seen: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> Annotations:
        """Change tags, notes and fields; ``notes_seen`` and ``fields_seen`` are what they replace.

        Raises:
            StateConflict: somebody else changed that meanwhile; nothing was changed.
            Purged: only the record of it is left.
        """
        notes_said = {"notes": notes, "notes_seen": notes_seen}
        given = {**notes_said, "fields": fields, "fields_seen": fields_seen}
        said = {name: value for name, value in given.items() if value is not None}
        body = {**said, "add_tags": add_tags, "remove_tags": remove_tags}
        request = ask("POST", "/assets/{uuid}/annotations", uuid, body=body, key=self._key(key))
        return await self._engine.call(request, Annotations)

    @operation
    async def settle_suggestion(
        self,
        uuid: str,
        tag: str,
        status: SuggestionStatus,
        *,
        seen: SuggestionStatus | None = None,
        key: str | None = None,
    ) -> Annotations:
        """Accept a suggested tag, refuse it, or take that back.

        Raises:
            StateConflict: it is not as it was ``seen``: somebody else settled it.
            NotFound: it is not suggested (any more).
        """
        body = {"tag": tag, "status": status, **({"seen": seen} if seen else {})}
        request = ask("POST", "/assets/{uuid}/suggestions", uuid, body=body, key=self._key(key))
        return await self._engine.call(request, Annotations)

    @operation
    async def transcript(self, uuid: str) -> Transcript:
        """What is said in it."""
        return await self._engine.call(ask("GET", "/assets/{uuid}/transcript", uuid), Transcript)

    @operation
    async def tags(
        self, prefix: str = "", *, limit: int | None = None, cursor: str | None = None
    ) -> TagsPage:
        """The tags of assets that begin so, without case. One page."""
        query = {"prefix": prefix, "limit": limit, "cursor": cursor}
        return await self._engine.call(ask("GET", "/tags", query=query), TagsPage)

    @operation
    async def fields(self) -> FieldDefinitions:
        """The custom fields that the server declares."""
        return await self._engine.call(ask("GET", "/app/fields"), FieldDefinitions)

    @operation
    async def decide(self, uuid: str, action: Decision, *, key: str | None = None) -> AssetSummary:
        """Keep, reject, or take the decision back.

        Raises:
            StateConflict: its state does not allow this now.
        """
        return await self._post(uuid, "decision", body={"action": action}, key=self._key(key))

    @operation
    async def reprocess(self, uuid: str, *, key: str | None = None) -> AssetSummary:
        """Have the review files made anew.

        Raises:
            StateConflict: its state does not allow this now.
        """
        return await self._post(uuid, "reprocess", key=self._key(key))

    @operation
    async def reopen(self, uuid: str) -> AssetSummary:
        """Bring an archived or rejected asset back to its decision.

        Raises:
            StateConflict: its state does not allow this now.
        """
        return await self._post(uuid, "reopen")

    @operation
    async def retry(self, uuid: str) -> AssetSummary:
        """Let its failed jobs be tried again."""
        return await self._post(uuid, "retry")

    @operation
    async def waive(self, uuid: str) -> AssetSummary:
        """Go on without what its failed jobs would have made."""
        return await self._post(uuid, "waive")

    async def _post(self, uuid: str, what: str, **options: Any) -> AssetSummary:
        request = ask("POST", f"/assets/{{uuid}}/{what}", uuid, **options)
        return await self._engine.call(request, AssetSummary)

    @operation
    async def facts(self, uuid: str) -> AssetFacts:
        """Its technical facts."""
        return await self._engine.call(ask("GET", "/assets/{uuid}/facts", uuid), AssetFacts)

    @operation
    async def sidecars(self, uuid: str) -> AttachedSidecars:
        """Its sidecars, and what attached each."""
        request = ask("GET", "/assets/{uuid}/sidecars", uuid)
        return await self._engine.call(request, AttachedSidecars)

    @operation
    async def attach_sidecar(self, uuid: str, path: str) -> AttachedSidecars:
        """Say that an unmatched sidecar of its folder belongs to it.

        Raises:
            StateConflict: the sidecar is attached already, or the asset is being moved or locked.
            ValidationFailed: they lie in different folders.
        """
        body = {"path": path}
        request = ask("POST", "/assets/{uuid}/sidecars", uuid, body=body, again=True)
        return await self._engine.call(request, AttachedSidecars)

    @operation
    async def detach_sidecar(self, uuid: str, path: str) -> AttachedSidecars:
        """Take back that a person attached a sidecar.

        Raises:
            StateConflict: a rule attached it, or the asset is being moved or locked.
        """
        request = ask("POST", "/assets/{uuid}/sidecars/detach", uuid, body={"path": path})
        return await self._engine.call(request, AttachedSidecars)

    @operation
    async def fixity(self, uuid: str) -> AssetFixity:
        """The digests of its files, and when they were verified."""
        return await self._engine.call(ask("GET", "/assets/{uuid}/fixity", uuid), AssetFixity)

    @operation
    async def why(self, uuid: str) -> Explanation:
        """Why it is where it is, and what can be done."""
        return await self._engine.call(ask("GET", "/assets/{uuid}/why", uuid), Explanation)

    @operation
    async def jobs(self, uuid: str) -> JobReports:
        """Its jobs, whoever holds them."""
        return await self._engine.call(ask("GET", "/assets/{uuid}/jobs", uuid), JobReports)

    @operation
    async def marks(self, uuids: Sequence[str]) -> MarkList:
        """Flags, sidecars and absent storages of up to 100 assets; those without any are left out."""
        return await self._engine.call(ask("GET", "/marks", query={"uuid": uuids}), MarkList)

    @operation
    async def history(
        self, uuid: str, *, limit: int | None = None, cursor: str | None = None
    ) -> HistoryPage:
        """What was done to it, from its discovery on; of a purged one too. One page."""
        query = {"limit": limit, "cursor": cursor}
        request = ask("GET", "/assets/{uuid}/history", uuid, query=query)
        return await self._engine.call(request, HistoryPage)
