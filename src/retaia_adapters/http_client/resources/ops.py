"""How the server is."""

from __future__ import annotations

from ..ask import ask
from ..modes import M, Resource, operation
from ..values.jobs import Readiness, Status


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
