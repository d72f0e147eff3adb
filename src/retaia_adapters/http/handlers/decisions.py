"""Deciding in bulk: what an approval would decide, and its use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from retaia_core.domain.bulk import BulkReport, LeftAsset
from retaia_core.domain.lifecycle import Action
from retaia_core.domain.sessions import digest_of
from retaia_core.errors import InvalidToken

from ..asset_filter import read_filter
from ..call import Call, Handler, known_answer, once_only, scope_of
from ..views import View
from ..wire import instant


def _left(left: Iterable[LeftAsset]) -> list[View]:
    return [
        {
            "asset_uuid": one.asset,
            "reason": one.reason,
            "message": one.message,
            **({"state": one.state} if one.state else {}),
        }
        for one in left
    ]


async def preview_decisions(call: Call) -> object:
    """Show what a decision on everything that a filter finds would touch."""
    body = call.body
    approved = await call.services.bulk_decisions.preview(
        call.actor, read_filter(body["filter"]), Action(body["action"]), body["max_items"]
    )
    preview = approved.preview
    return {
        "approval_token": approved.token,
        "expires_at": instant(approved.expires_at),
        "action": preview.action,
        "eligible_uuids": list(preview.stamps),
        "blocked": _left(preview.blocked),
        "summary": {
            "eligible": len(preview.stamps),
            "blocked": len(preview.blocked),
            "more_eligible": preview.more_eligible,
            "more_blocked": preview.more_blocked,
        },
    }


def _report_of(report: BulkReport) -> View:
    return {
        "action": report.action,
        "decided_uuids": report.decided,
        "left": _left(report.left),
        "summary": {"decided": len(report.decided), "left": len(report.left)},
    }


async def apply_decisions(call: Call) -> object:
    """Decide what was approved; sent twice at once, the second waits for the first."""
    name = f"approval:{digest_of(call.body['approval_token'])}"
    return await call.serving.one_at_a_time(name, partial(_apply, call))


async def _apply(call: Call) -> object:
    known = await known_answer(call)
    if known is not None:
        return known
    try:
        return await _use(call)
    except InvalidToken:
        known = await known_answer(call)  # Another server may have been at this very request.
        if known is None:
            raise
        return known


async def _use(call: Call) -> object:
    bulk, token, request = call.services.bulk_decisions, call.body["approval_token"], scope_of(call)
    while await bulk.step(call.actor, token, request):
        pass
    finish = partial(bulk.finish_in, call.actor, token, request)
    return (await once_only(call, finish, _report_of)).answer


HANDLERS: Mapping[str, Handler] = {
    "previewDecisions": preview_decisions,
    "applyDecisions": apply_decisions,
}
