"""The handlers, by operationId: each turns a validated request into a use case and its result into a view."""

from __future__ import annotations

from collections.abc import Mapping

from ..call import Handler
from . import (
    agents,
    annotating,
    assets,
    auth_clients,
    auth_people,
    auth_proofs,
    batches,
    decisions,
    derived,
    events,
    features,
    fixity,
    history,
    jobs,
    ops,
    parked,
    proofs,
    purge,
    sidecars,
)

HANDLERS: Mapping[str, Handler] = {
    **agents.HANDLERS,
    **annotating.HANDLERS,
    **assets.HANDLERS,
    **auth_clients.HANDLERS,
    **auth_people.HANDLERS,
    **auth_proofs.HANDLERS,
    **batches.HANDLERS,
    **decisions.HANDLERS,
    **derived.HANDLERS,
    **events.HANDLERS,
    **features.HANDLERS,
    **fixity.HANDLERS,
    **history.HANDLERS,
    **jobs.HANDLERS,
    **ops.HANDLERS,
    **parked.HANDLERS,
    **proofs.HANDLERS,
    **purge.HANDLERS,
    **sidecars.HANDLERS,
}
