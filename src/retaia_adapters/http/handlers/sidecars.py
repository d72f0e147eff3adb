"""Sidecars of an asset, and a person's word on those that belong to nothing."""

from __future__ import annotations

from collections.abc import Mapping

from retaia_core.domain.assets import Asset
from retaia_core.domain.identifiers import parse_storage_id

from ..call import Call, Handler
from ..views import View


def _view(asset: Asset) -> View:
    return {
        "asset_uuid": asset.uuid,
        "sidecars": [
            {"path": sidecar.path, "rule": sidecar.rule, "missing": sidecar.missing}
            for sidecar in asset.sidecars
        ],
    }


async def get_sidecars(call: Call) -> object:
    """The sidecars of an asset, and what attached each."""
    return _view(await call.services.review.asset(call.uuid))


async def attach_sidecar(call: Call) -> object:
    """Attach an unmatched sidecar."""
    attachments = call.services.attachments
    return _view(await attachments.attach(call.actor, call.uuid, call.body["path"]))


async def detach_sidecar(call: Call) -> object:
    """Take back that a person attached a sidecar."""
    attachments = call.services.attachments
    return _view(await attachments.detach(call.actor, call.uuid, call.body["path"]))


async def list_candidates(call: Call) -> object:
    """What an unmatched sidecar may be attached to."""
    storage_id = parse_storage_id(call.query["storage_id"])
    found = await call.services.attachments.candidates(storage_id, call.query["path"])
    return {
        "reason": found.sidecar.reason,
        "items": [
            {"asset_uuid": asset.uuid, "path": asset.path, "state": asset.state}
            for asset in found.assets
        ],
    }


HANDLERS: Mapping[str, Handler] = {
    "getAssetSidecars": get_sidecars,
    "attachSidecar": attach_sidecar,
    "detachSidecar": detach_sidecar,
    "listSidecarCandidates": list_candidates,
}
