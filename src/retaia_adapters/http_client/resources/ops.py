"""How the server is: for those who watch over it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TypeVar

from ..ask import ask
from ..modes import Async, M, Resource, operation, series
from ..paging import each
from ..values.batches import ParkedMoves
from ..values.ops import (
    AgentAtWork,
    AgentsPage,
    HeldLock,
    LocksPage,
    Readiness,
    SettingsInForce,
    SidecarCandidates,
    Status,
    Storages,
    UnmatchedSidecar,
    UnmatchedSidecarsPage,
    Workload,
)

T = TypeVar("T")


class Ops(Resource[M]):
    """``/ops``."""

    @operation
    async def status(self) -> Status:
        """What is going on."""
        return await self._engine.call(ask("GET", "/ops/status"), Status)

    @operation
    async def readiness(self) -> Readiness:
        """Whether the server can do its work.

        Raises:
            Unavailable: it cannot.
        """
        return await self._engine.call(ask("GET", "/ops/readiness"), Readiness)

    @operation
    async def jobs(self) -> Workload:
        """How many jobs are in which state, and what the pending ones wait for."""
        return await self._engine.call(ask("GET", "/ops/jobs"), Workload)

    @operation
    async def storages(self) -> Storages:
        """Every storage, and whether it can be trusted now."""
        return await self._engine.call(ask("GET", "/ops/storages"), Storages)

    @operation
    async def settings(self) -> SettingsInForce:
        """Every setting as the server has it, and where it comes from; secrets are not told."""
        return await self._engine.call(ask("GET", "/ops/settings"), SettingsInForce)

    @operation
    async def parked(self) -> ParkedMoves:
        """Every move that could not be proven and waits for a person."""
        return await self._engine.call(ask("GET", "/ops/parked"), ParkedMoves)

    @operation
    async def agents_page(
        self, *, limit: int | None = None, cursor: str | None = None
    ) -> AgentsPage:
        """A page of agents."""
        return await self._page("agents", AgentsPage, limit, cursor)

    @series
    async def agents(self: Ops[Async]) -> AsyncGenerator[AgentAtWork, None]:
        """Every agent, and what it does."""
        async for agent in each(lambda cursor: self.agents_page(cursor=cursor)):
            yield agent

    @operation
    async def locks_page(self, *, limit: int | None = None, cursor: str | None = None) -> LocksPage:
        """A page of held locks."""
        return await self._page("locks", LocksPage, limit, cursor)

    @series
    async def locks(self: Ops[Async]) -> AsyncGenerator[HeldLock, None]:
        """Every lock that is held."""
        async for lock in each(lambda cursor: self.locks_page(cursor=cursor)):
            yield lock

    @operation
    async def unmatched_sidecars_page(
        self, *, limit: int | None = None, cursor: str | None = None
    ) -> UnmatchedSidecarsPage:
        """A page of sidecars whose parent is not known."""
        return await self._page("unmatched-sidecars", UnmatchedSidecarsPage, limit, cursor)

    @operation
    async def sidecar_candidates(self, storage_id: str, path: str) -> SidecarCandidates:
        """The assets that an unmatched sidecar may be attached to, the likeliest first."""
        query = {"storage_id": storage_id, "path": path}
        request = ask("GET", "/ops/unmatched-sidecars/candidates", query=query)
        return await self._engine.call(request, SidecarCandidates)

    @series
    async def unmatched_sidecars(self: Ops[Async]) -> AsyncGenerator[UnmatchedSidecar, None]:
        """Every sidecar whose parent is not known."""
        async for sidecar in each(lambda cursor: self.unmatched_sidecars_page(cursor=cursor)):
            yield sidecar

    async def _page(self, what: str, into: type[T], limit: int | None, cursor: str | None) -> T:
        query = {"limit": limit, "cursor": cursor}
        return await self._engine.call(ask("GET", f"/ops/{what}", query=query), into)
