"""Purging a rejected asset: what would go, and its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import anyio
from starlette.responses import Response

from retaia_core.domain.assets import Asset
from retaia_core.domain.lifecycle import State
from retaia_core.domain.purge import PurgeBlocked, PurgeFile, PurgePlan
from retaia_core.errors import Purged, StateConflict
from retaia_core.usecases.certificates import Certificate
from retaia_core.usecases.purging import PurgeResult, whole

from ..call import Call, Handler, known_answer, once_only, scope_of
from ..views import View, without_unknown
from ..wire import instant
from .proofs import proof_of, waiver_of

LOOKS, PAUSE_S = 100, 0.1
"""How often and with what pause a request asks whether another server is at the same one."""


def _file(file: PurgeFile) -> View:
    return without_unknown(
        {
            "role": file.role,
            "path": file.path,
            "size_bytes": file.size,
            "proof": None if file.proof is None else proof_of(file.proof),
            "waiver": None if file.waiver is None else waiver_of(file.waiver),
        }
    )


def _files(files: Iterable[PurgeFile]) -> list[View]:
    return [_file(file) for file in files]


def _blocked(blocked: PurgeBlocked) -> View:
    told = {"path": blocked.path, "expected": blocked.expected, "found": blocked.found}
    given = {name: value for name, value in told.items() if value}
    return {"reason": blocked.reason, "message": blocked.message, **given}


def _plan_of(plan: PurgePlan, asset: Asset, *, proof_required: bool) -> View:
    rejected = asset.state_since if asset.state is State.REJECTED else None
    since = {} if rejected is None else {"rejected_at": instant(rejected)}
    return {
        **since,
        "asset_uuid": plan.asset,
        "storage_id": plan.storage_id,
        "path": plan.path,
        "state": plan.state,
        "eligible": not plan.blocked,
        "proof_required": proof_required,
        "digest": plan.digest,
        "files": _files(plan.files),
        "bytes_freed": plan.bytes_freed,
        "blocked": [_blocked(blocked) for blocked in plan.blocked],
        "warnings": plan.warnings,
    }


def _result_of(result: PurgeResult) -> View:
    asset = result.asset
    return {
        "asset_uuid": asset.uuid,
        "state": asset.state,
        "purged_at": instant(asset.updated_at),
        "files": _files(result.removed),
        "bytes_freed": result.bytes_freed,
    }


def _of(call: Call) -> str:
    """What a preview of this asset is remembered under."""
    return f"purge {call.uuid}"


async def preview_purge(call: Call) -> object:
    """Show what a purge would delete; changes nothing."""
    plan = await call.services.purges.preview(call.uuid)
    asset = await call.services.review.asset(call.uuid)
    await call.services.previews.remember(call.actor, _of(call), plan.digest)
    return _plan_of(plan, asset, proof_required=call.services.purges.require_proof)


async def purge_asset(call: Call) -> object:
    """Delete what the preview showed; sent twice at once, the second waits for the first."""
    return await call.serving.one_at_a_time(_of(call), partial(_purge, call))


async def _answered(call: Call) -> Response | None:
    """The answer that this very request was given, where another server is at it just now, too."""
    for _ in range(LOOKS):
        if not await call.services.purges.under_way(call.uuid, scope_of(call)):
            break
        await anyio.sleep(PAUSE_S)
    return await known_answer(call)


async def _purge(call: Call) -> object:
    answer = await _answered(call)
    if answer is not None:
        return answer
    try:
        return await _confirm(call)
    except (StateConflict, Purged):
        answer = await _answered(call)
        if answer is None:
            raise
        return answer


async def _confirm(call: Call) -> object:
    purges = call.services.purges
    plan = await purges.preview(call.uuid)
    expected = call.body.get("digest") or await call.services.previews.shown(call.actor, _of(call))
    if expected is None:
        raise StateConflict(
            "nothing is purged without a preview: preview first, and send its digest",
            state=plan.state.value,
        )
    purging = await purges.accept(call.actor, plan, expected, scope_of(call))
    removal = await purges.remove(purging)
    if removal.left:
        return _result_of(whole(await purges.finish(purging, removal)))
    finish = partial(purges.finish_in, purging, removal)
    return (await once_only(call, finish, _result_of)).answer


def _certificate_of(told: Certificate) -> View:
    asset = told.asset
    return without_unknown(
        {
            "asset_uuid": asset.uuid,
            "storage_id": asset.storage_id,
            "path": asset.path,
            "media_type": asset.media_type,
            "found_at": instant(asset.created_at),
            "paths": [
                {"path": one.path, "until": instant(one.until), "cause": one.cause}
                for one in asset.path_history
            ],
            "decisions": [
                {"action": one.action, "at": instant(one.at), "by": one.by}
                for one in asset.decisions
            ],
            "batch_id": told.batch_id or None,
            "confirmed_at": instant(told.accepted_at),
            "confirmed_digest": told.digest,
            "purged_at": instant(told.purged_at),
            "purged_by": told.by,
            "files": [
                without_unknown(
                    {
                        **_file(gone.file),
                        "digest": gone.digest or None,
                        "removed_at": instant(gone.removed_at),
                    }
                )
                for gone in told.files
            ],
            "bytes_freed": told.bytes_freed,
            "event": told.seq,
        }
    )


async def get_certificate(call: Call) -> object:
    """What was purged of an asset, when, by whose word, and on which proof."""
    return _certificate_of(await call.services.certificates.of(call.uuid))


HANDLERS: Mapping[str, Handler] = {
    "previewPurge": preview_purge,
    "purgeAsset": purge_asset,
    "getPurgeCertificate": get_certificate,
}
