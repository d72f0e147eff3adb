"""Moves that could not be proven: the evidence, and a person's word about it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from retaia_core.domain.assets import Asset
from retaia_core.domain.parked import Choice, Parked, Sighting, offers

from ..call import Call, Handler, known_answer, once_only
from ..views import View, without_unknown
from ..wire import instant


def _file(seen: Sighting) -> View:
    return without_unknown(
        {
            "role": seen.file.role,
            "from": seen.file.source,
            "to": seen.file.target,
            "size_bytes": seen.file.size,
            "bytes_at_from": seen.at_source.size if seen.at_source else None,
            "bytes_at_to": seen.at_target.size if seen.at_target else None,
            "found_then": seen.recorded,
            "found_now": seen.where,
        }
    )


def _parked(parked: Parked) -> View:
    at = parked.result.at
    return without_unknown(
        {
            "asset_uuid": parked.asset.uuid,
            "path": parked.asset.path,
            "batch_id": parked.batch_id,
            "undoes": parked.move.undoes or None,
            "error": parked.result.error,
            "at": None if at is None else instant(at),
            "unseen": parked.unseen or None,
            "files": [_file(seen) for seen in parked.files],
            "choices": [
                {
                    "choice": offer.choice.name,
                    "sentence": offer.sentence,
                    "consequences": offer.consequences,
                }
                for offer in offers(parked)
            ],
        }
    )


def _settled(asset: Asset) -> View:
    return {
        "asset_uuid": asset.uuid,
        "state": asset.state,
        "path": asset.path,
        "flags": sorted(asset.flags),
    }


async def list_parked(call: Call) -> object:
    """Every parked asset of the storages that are there."""
    return {"items": [_parked(one) for one in await call.services.recovery.parked()]}


async def get_parked(call: Call) -> object:
    """The evidence about one asset, looked at now."""
    return _parked(await call.services.recovery.evidence(call.uuid))


async def settle_parked(call: Call) -> object:
    """Take a person's choice about a parked asset, once."""
    return await known_answer(call) or await _settle(call)


async def _settle(call: Call) -> object:
    recovery, choice = call.services.recovery, Choice[call.body["choice"]]
    parked = await recovery.evidence(call.uuid)
    once = await once_only(call, partial(recovery.settle_in, call.actor, parked, choice), _settled)
    if once.made is not None and choice is Choice.RETRY:
        run = partial(call.services.moves.run, parked.batch_id)
        call.serving.spawn(f"batch {parked.batch_id}", run)
    return once.answer


HANDLERS: Mapping[str, Handler] = {
    "listParked": list_parked,
    "getParked": get_parked,
    "settleParked": settle_parked,
}
