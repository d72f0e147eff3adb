"""The report of a storage: what `retaia up --until-idle` and `retaia demo` end with."""

from __future__ import annotations

from collections.abc import Sequence

from retaia_core.domain.assets import Asset, Flag
from retaia_core.domain.jobs import Job, JobStatus
from retaia_core.domain.scans import ScanReport, UnmatchedSidecar
from retaia_core.domain.storage import Storage
from retaia_core.usecases.operations import AssetReport

from .output import Output, plain


def problems_of(asset: Asset, jobs: Sequence[Job]) -> list[dict[str, object]]:
    """What went wrong with an asset: failed or waiting tries with their reasons, flags."""
    found: list[dict[str, object]] = [
        {
            "job": job.job_type,
            "required": job.required,
            "status": job.status.value,
            "code": job.failure.code,
            "message": job.failure.message,
            "attempts": job.attempts,
        }
        for job in jobs
        if job.failure is not None
        and not (job.failure.code == "NO_AUDIO_TRACK" and not job.required)
    ]
    found += [{"flag": flag.value} for flag in sorted(asset.flags)]
    return found


def asset_document(report: AssetReport) -> dict[str, object]:
    """An asset as the JSON reports show it."""
    asset = report.asset
    return {
        "uuid": asset.uuid,
        "path": asset.path,
        "storage_id": asset.storage_id,
        "media_type": asset.media_type.value,
        "state": asset.state.value,
        "flags": sorted(asset.flags),
        "size_bytes": asset.size,
        "profile": asset.profile,
        "sidecars": [sidecar.path for sidecar in asset.sidecars],
        "facts": dict(asset.facts),
        "derived": [
            {
                "kind": ref.kind,
                "index": ref.index,
                "path": f".derived/{ref.ref}",
                "content_type": ref.content_type,
                "size_bytes": ref.size_bytes,
                "sha256": ref.sha256,
            }
            for ref in sorted(asset.derived, key=lambda d: (d.kind, d.index))
        ],
        "warnings": list(asset.warnings),
        "problems": problems_of(asset, report.jobs),
        "verdict": asset.verdict.value if asset.verdict else None,
        "decisions": plain(asset.decisions),
        "path_history": plain(asset.path_history),
        "tags": list(asset.tags),
        "notes": asset.notes,
        "jobs": {job.job_type: job.status.value for job in report.jobs},
        "why": report.why.sentence,
        "next": list(report.why.next),
    }


def storage_document(
    storage: Storage,
    scan: ScanReport | None,
    assets: Sequence[AssetReport],
    unmatched: Sequence[UnmatchedSidecar],
) -> dict[str, object]:
    """A storage's whole report."""
    states: dict[str, int] = {}
    for report in assets:
        states[report.asset.state.value] = states.get(report.asset.state.value, 0) + 1
    return {
        "storage_id": storage.storage_id,
        "root": storage.root,
        "health": storage.health.value,
        "health_reason": storage.health_reason,
        "states": states,
        "scan": plain(scan) if scan else None,
        "assets": [asset_document(report) for report in assets],
        "unmatched_sidecars": plain(unmatched),
    }


def _did(report: AssetReport) -> str:
    kinds: dict[str, int] = {}
    for ref in report.asset.derived:
        kinds[ref.kind] = kinds.get(ref.kind, 0) + 1
    return ", ".join(kind if n == 1 else f"{kind} ×{n}" for kind, n in sorted(kinds.items()))


def print_assets(out: Output, assets: Sequence[AssetReport]) -> None:
    """A line per asset, and under it what a person should know."""
    rows = []
    for report in assets:
        asset = report.asset
        mark = " ".join(flag.value for flag in sorted(asset.flags))
        rows.append((asset.state.value, asset.path, _did(report), mark))
    out.table(("state", "path", "derived", ""), rows)
    for report in assets:
        for warning in report.asset.warnings:
            out.say(f"  {report.asset.name!r}: {warning}", "yellow")
        if Flag.UNPROCESSABLE in report.asset.flags:
            out.say(f"  {report.why.sentence}", "red")


def open_jobs(assets: Sequence[AssetReport]) -> list[Job]:
    """The jobs of a report that nobody could do."""
    return [job for report in assets for job in report.jobs if job.status is JobStatus.PENDING]
