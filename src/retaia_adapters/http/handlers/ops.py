"""Operation: what is going on, and whether the server can work."""

from __future__ import annotations

from collections.abc import Mapping

from ..call import Call, Handler
from ..views import status_of


async def get_status(call: Call) -> object:
    """What is going on."""
    return status_of(await call.services.operations.status(), call.services.clock.now())


async def get_readiness(call: Call) -> object:
    """Whether the database answers; where it does not, this is a 503 like everywhere."""
    await call.services.store.read(lambda tx: len(tx.storages()))
    return {"ready": True}


HANDLERS: Mapping[str, Handler] = {
    "getStatus": get_status,
    "getReadiness": get_readiness,
}
