"""Assets: find, look, annotate, decide, reopen, reprocess, retry, waive."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from retaia_core.domain.identifiers import parse_asset_id
from retaia_core.domain.lifecycle import Action
from retaia_core.domain.query import encode_cursor

from ..asset_query import asset_query
from ..call import Call, Handler, once_only
from ..views import (
    detail_of,
    explanation_of,
    job_report_of,
    listed,
    summary_of,
    without_unknown,
)


async def list_assets(call: Call) -> object:
    """A page of assets."""
    query = asset_query(call.query)
    page = await call.services.review.find(query)
    cursor = encode_cursor(query.sort, page.next) if page.next else None
    items = [listed(row) for row in page.items]
    return without_unknown({"items": items, "next_cursor": cursor})


async def get_asset(call: Call) -> object:
    """Everything about one asset."""
    report = await call.services.operations.asset(call.uuid)
    return detail_of(report.asset, report.jobs)


async def annotate_asset(call: Call) -> object:
    """Change tags, notes or fields."""
    parts = {name: call.body.get(name) for name in ("tags", "notes", "fields")}
    return summary_of(await call.services.review.annotate(call.actor, call.uuid, **parts))


async def decide_asset(call: Call) -> object:
    """Record a person's decision."""
    action = Action(call.body["action"])
    work = partial(call.services.review.decide_in, call.actor, call.uuid, action)
    return (await once_only(call, work, summary_of)).answer


async def reopen_asset(call: Call) -> object:
    """Open a settled asset for a new decision."""
    return summary_of(await call.services.review.reopen(call.actor, call.uuid))


async def reprocess_asset(call: Call) -> object:
    """Have an asset processed and decided again."""
    work = partial(call.services.review.reprocess_in, call.actor, call.uuid)
    return (await once_only(call, work, summary_of)).answer


async def retry_asset(call: Call) -> object:
    """Ask for a new try of work that failed for good."""
    return summary_of(await call.services.review.retry(call.actor, call.uuid))


async def waive_asset(call: Call) -> object:
    """Let the person decide although required work failed for good."""
    return summary_of(await call.services.review.waive(call.actor, call.uuid))


async def get_facts(call: Call) -> object:
    """Every fact of an asset, with warnings and flags."""
    asset = await call.services.review.asset(call.uuid)
    return {"facts": asset.facts, "warnings": asset.warnings, "flags": sorted(asset.flags)}


async def explain_asset(call: Call) -> object:
    """Why an asset is as it is."""
    return explanation_of(await call.services.operations.why(call.uuid))


async def list_marks(call: Call) -> object:
    """What is to be shown beside assets."""
    uuids = [parse_asset_id(uuid) for uuid in call.query["uuid"]]
    found = await call.serving.monitoring.marks(dict.fromkeys(uuids))
    return {
        "items": [
            {"uuid": m.asset, "flags": m.flags, "sidecars": m.sidecars, "offline": m.offline}
            for m in found
        ]
    }


async def list_asset_jobs(call: Call) -> object:
    """The jobs of an asset's present review."""
    jobs = await call.services.review.jobs(call.uuid)
    return {"items": [job_report_of(job) for job in jobs]}


HANDLERS: Mapping[str, Handler] = {
    "listAssets": list_assets,
    "getAsset": get_asset,
    "annotateAsset": annotate_asset,
    "decideAsset": decide_asset,
    "reopenAsset": reopen_asset,
    "reprocessAsset": reprocess_asset,
    "retryAsset": retry_asset,
    "waiveAsset": waive_asset,
    "getAssetFacts": get_facts,
    "explainAsset": explain_asset,
    "listAssetJobs": list_asset_jobs,
    "listMarks": list_marks,
}
