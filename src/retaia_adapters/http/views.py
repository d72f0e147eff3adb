"""Domain values as the wire shows them. What is unknown is left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from retaia_core.domain.assets import Asset, DerivedRef, Source, source_of
from retaia_core.domain.batch_lines import BatchLine
from retaia_core.domain.facts import Facts
from retaia_core.domain.jobs import Job, JobStatus, Offer
from retaia_core.domain.leases import Lock
from retaia_core.domain.lifecycle import State, Verdict
from retaia_core.domain.media import MediaType
from retaia_core.domain.moves import (
    Batch,
    BlockedMove,
    Copying,
    MovePlan,
    MoveResult,
    Outcome,
    PlannedFile,
    PlannedMove,
)
from retaia_core.domain.query import AssetSummary
from retaia_core.domain.storage import Storage
from retaia_core.domain.uploads import PART_BYTES, Upload
from retaia_core.domain.why import Explanation
from retaia_core.usecases.operations import Status
from retaia_core.usecases.processing import BundleClaim, ClaimedJob, OfferedJob

from .document import BASE
from .wire import instant

View = dict[str, object]

PREVIEW_CHARACTERS = 500
_PROXIES = ("proxy_video", "proxy_audio", "proxy_photo")


def without_unknown(view: Mapping[str, object]) -> View:
    """Leave out what is None."""
    return {name: value for name, value in view.items() if value is not None}


def _time(time: datetime | None) -> str | None:
    return None if time is None else instant(time)


def derived_url(uuid: str, kind: str, index: int | None = None) -> str:
    """Where a derived file is read."""
    tail = "" if index is None else f"?index={index}"
    return f"{BASE}/assets/{uuid}/derived/{quote(kind)}{tail}"


def _captured_at(facts: Facts) -> datetime | None:
    """When it was captured, in UTC; a time without an offset is taken as UTC."""
    stated = facts.get("captured_at")
    if not isinstance(stated, str):
        return None
    try:
        time = datetime.fromisoformat(stated)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None  # the fact's form is checked, not its calendar: 2024-02-31 is unknown


def _duration(milliseconds: object) -> float | None:
    return milliseconds / 1000 if isinstance(milliseconds, int) else None


# Assets


class ListedAsset(msgspec.Struct):
    """One row of a list; ``duration`` in seconds. Lists are long: it is made and written fast."""

    uuid: str
    name: str
    media_type: MediaType
    state: State
    created_at: str
    updated_at: str
    captured_at: str | UnsetType
    duration: float | UnsetType
    tags: tuple[str, ...]
    has_proxy: bool
    thumb_url: str | UnsetType


def listed(row: AssetSummary) -> ListedAsset:
    """One row of a list."""
    (uuid, _, _, name, media_type, state, _, created, updated, captured, duration_ms) = row[:11]
    created_at = instant(created)
    return ListedAsset(
        uuid,
        name,
        media_type,
        state,
        created_at,
        created_at if updated is created else instant(updated),
        UNSET if captured is None else instant(captured),
        UNSET if duration_ms is None else duration_ms / 1000,
        row.tags,
        row.has_proxy,
        derived_url(uuid, "thumb", 0) if row.thumbs else UNSET,
    )


def summary_of(asset: Asset) -> View:
    """The same of a whole asset."""
    return without_unknown(
        {
            "uuid": asset.uuid,
            "name": asset.name,
            "media_type": asset.media_type,
            "state": asset.state,
            "created_at": instant(asset.created_at),
            "updated_at": instant(asset.updated_at),
            "captured_at": _time(_captured_at(asset.facts)),
            "duration": _duration(asset.facts.get("duration_ms")),
            "tags": asset.tags,
            "has_proxy": any(d.kind in _PROXIES for d in asset.derived),
            "thumb_url": (
                derived_url(asset.uuid, "thumb", 0) if asset.derived_of("thumb") else None
            ),
        }
    )


def paths_of(source: Source) -> View:
    """Where an asset's group lies, relative to its storage."""
    return {
        "storage_id": source.storage_id,
        "original_relative": source.path,
        "sidecars_relative": source.sidecars,
    }


def _processing(asset: Asset, jobs: Sequence[Job]) -> View:
    done = {job.job_type for job in jobs if job.status is JobStatus.COMPLETED}
    kinds = {d.kind for d in asset.derived}
    return {
        "facts_done": bool(asset.facts) or "extract_facts" in done,
        "thumbs_done": "thumb" in kinds,
        "proxy_done": not kinds.isdisjoint(_PROXIES),
        "waveform_done": "waveform" in kinds,
        "processing_profile": asset.profile,
        "review_processing_version": str(asset.review_version),
    }


def _derived(asset: Asset) -> View:
    kinds = {d.kind for d in asset.derived}
    urls = {f"{kind}_url": derived_url(asset.uuid, kind) for kind in (*_PROXIES, "waveform")}
    present = {name: url for name, url in urls.items() if name.removesuffix("_url") in kinds}
    thumbs = [derived_url(asset.uuid, "thumb", d.index) for d in asset.derived_of("thumb")]
    return {**present, "thumbs": thumbs}


def transcript_status(asset: Asset, jobs: Sequence[Job]) -> str:
    """Whether there is a transcript, or why not yet."""
    if asset.transcript is not None:
        return "DONE"
    states = {job.status for job in jobs if job.job_type == "transcribe_audio"}
    if states & {JobStatus.PENDING, JobStatus.CLAIMED}:
        return "RUNNING"
    return "FAILED" if JobStatus.FAILED in states else "NONE"


def _transcript(asset: Asset, jobs: Sequence[Job]) -> View:
    status = transcript_status(asset, jobs)
    if asset.transcript is not None:
        return without_unknown(
            {
                "status": status,
                "text_preview": asset.transcript.text[:PREVIEW_CHARACTERS],
                "updated_at": _time(asset.transcript.updated_at),
            }
        )
    return {"status": status}


def _decisions(asset: Asset) -> View:
    history = [{"action": d.action, "at": instant(d.at), "by": d.by} for d in asset.decisions]
    current = {} if asset.verdict is None else {"current": asset.verdict}
    return {**current, "history": history}


def detail_of(asset: Asset, jobs: Sequence[Job]) -> View:
    """Everything that the contract says of an asset."""
    return {
        "summary": summary_of(asset),
        "paths": paths_of(source_of(asset)),
        "processing": _processing(asset, jobs),
        "derived": _derived(asset),
        "transcript": _transcript(asset, jobs),
        "decisions": _decisions(asset),
        "audit": {"path_history": [record.path for record in asset.path_history]},
    }


def explanation_of(why: Explanation) -> View:
    """Why something is as it is."""
    return without_unknown(
        {
            "subject": why.subject,
            "sentence": why.sentence,
            "since": _time(why.since),
            "by": why.by,
            "evidence": why.evidence,
            "next": why.next,
        }
    )


# Jobs


def _job(job: Job | Offer, status: JobStatus, source: Source) -> View:
    return {
        "job_id": job.job_id,
        "job_type": job.job_type,
        "status": status,
        "asset_uuid": source.uuid,
        "source": paths_of(source),
        "required_capabilities": sorted(job.capabilities),
    }


def pending_of(offered: OfferedJob) -> View:
    """A pending job as the contract shows it."""
    return _job(offered.job, JobStatus.PENDING, offered.source)


def claimed_of(claimed: ClaimedJob) -> View:
    """A job and its lease, for the one who holds it, as the contract shows them."""
    job = claimed.job
    lease = {"claimed_by": job.claimed_by, "lock_token": job.lock_token}
    shown = {**lease, "locked_until": _time(job.locked_until)}
    return without_unknown(_job(job, job.status, source_of(claimed.asset)) | shown)


def offered_of(offered: OfferedJob) -> View:
    """A pending job in our own list."""
    job = offered.job
    return {
        "job_id": job.job_id,
        "job_type": job.job_type,
        "asset_uuid": offered.source.uuid,
        "required_capabilities": sorted(job.capabilities),
    }


def bundle_of(bundle: BundleClaim) -> View:
    """The jobs of one asset under one lease."""
    asset = bundle.asset
    return {
        "asset_uuid": asset.uuid,
        "media_type": asset.media_type,
        "source": paths_of(source_of(asset)),
        "size_bytes": asset.size,
        "mtime_ns": asset.mtime_ns,
        "lock_token": bundle.lock.token,
        "locked_until": instant(bundle.lock.expires_at),
        "facts": asset.facts,
        "jobs": [
            {
                "job_id": job.job_id,
                "job_type": job.job_type,
                "parameters": job.parameters,
                "derived_inputs": job.derived_inputs,
            }
            for job in bundle.jobs
        ],
    }


def lease_of(lock: Lock) -> View:
    """What a heartbeat answers."""
    return {"locked_until": instant(lock.expires_at)}


def outcome_of(job: Job) -> View:
    """What became of a job."""
    return {"job_id": job.job_id, "status": job.status}


def _failure(job: Job) -> View | None:
    if job.failure is None:
        return None
    failure = job.failure
    return {
        "code": failure.code,
        "message": failure.message,
        "retryable": failure.retryable,
        "at": instant(failure.at),
    }


def job_report_of(job: Job) -> View:
    """A job for whoever looks at an asset; never its lock token."""
    progress = job.progress
    shown = progress and {
        "current": progress.current,
        "total": progress.total,
        "text": progress.text,
    }
    return without_unknown(
        {
            "job_id": job.job_id,
            "job_type": job.job_type,
            "status": job.status,
            "required_capabilities": sorted(job.capabilities),
            "required": job.required,
            "review": job.review,
            "attempts": job.attempts,
            "max_attempts": job.max_attempts,
            "waiting": job.waiting,
            "warnings": job.warnings,
            "created_at": instant(job.created_at),
            "updated_at": instant(job.updated_at),
            "not_before": _time(job.not_before),
            "claimed_by": job.claimed_by,
            "locked_until": _time(job.locked_until),
            "progress": shown,
            "failure": _failure(job),
        }
    )


# Uploads and derived files


def ticket_of(upload: Upload) -> View:
    """How an announced upload is to be sent."""
    return {
        "upload_id": upload.upload_id,
        "max_part_size_bytes": PART_BYTES,
        "part_count": upload.part_count,
    }


def upload_of(upload: Upload) -> View:
    """What arrived of an upload."""
    parts = [
        {"part_number": p.number, "size_bytes": p.size, "part_etag": p.etag} for p in upload.parts
    ]
    return {**ticket_of(upload), "status": upload.status, "parts": parts}


def uploaded_of(upload: Upload) -> View:
    """A complete upload, as a submit names it."""
    return {
        "upload_id": upload.upload_id,
        "kind": upload.kind,
        "ref": upload.ref,
        "size_bytes": upload.size_bytes,
        "sha256": upload.sha256,
    }


def derived_list_of(uuid: str, refs: Iterable[DerivedRef]) -> View:
    """The derived files of an asset."""
    items = [
        {
            "kind": ref.kind,
            "index": ref.index,
            "content_type": ref.content_type,
            "size_bytes": ref.size_bytes,
            "sha256": ref.sha256,
            "url": derived_url(uuid, ref.kind, ref.index),
        }
        for ref in refs
    ]
    return {"items": items}


# Moves


def _file(file: PlannedFile) -> View:
    return {"role": file.role, "from": file.source, "to": file.target, "size_bytes": file.size}


def _move(move: PlannedMove) -> View:
    nonce = {"nonce": move.nonce} if move.nonce else {}
    return {
        "asset_uuid": move.asset,
        "storage_id": move.storage_id,
        "verdict": move.verdict,
        "files": [_file(file) for file in move.files],
        "size_bytes": move.size_bytes,
        **nonce,
        "collides_with": move.collides_with,
        "warnings": move.warnings,
    }


def _blocked(blocked: BlockedMove) -> View:
    return {
        "asset_uuid": blocked.asset,
        "path": blocked.path,
        "reason": blocked.reason,
        "message": blocked.message,
    }


def plan_of(plan: MovePlan) -> View:
    """A dry run, readable: what would go where, what gets another name, what stays and why."""
    verdicts = [move.verdict for move in plan.moves]
    return {
        "digest": plan.digest,
        "eligible": [_move(move) for move in plan.moves],
        "collisions": [_move(move) for move in plan.collisions],
        "blocked": [_blocked(blocked) for blocked in plan.blocked],
        "summary": {
            "assets": len(plan.moves),
            "files": sum(len(move.files) for move in plan.moves),
            "size_bytes": sum(move.size_bytes for move in plan.moves),
            "keep": verdicts.count(Verdict.KEEP),
            "reject": verdicts.count(Verdict.REJECT),
            "collisions": len(plan.collisions),
            "blocked": len(plan.blocked),
        },
    }


def _result(result: MoveResult) -> View:
    first, *others = result.move.files
    error = {"error": result.error} if result.error else {}
    return without_unknown(
        {
            "asset_uuid": result.asset,
            "outcome": result.outcome,
            "from": first.source,
            "to": first.target,
            "sidecars": [_file(file) for file in others],
            **error,
            "at": _time(result.at),
            "copying": _copying(result.copying),
        }
    )


def _copying(copying: Copying | None) -> View | None:
    if copying is None:
        return None
    return {"from": copying.source, "done_bytes": copying.done, "total_bytes": copying.total}


def batch_of(batch: Batch, away: Iterable[Storage] = ()) -> View:
    """A batch: progress, and a line per asset; it waits for storages that are away."""
    pending = [result for result in batch.results if result.outcome is Outcome.PENDING]
    wanted = {result.move.storage_id for result in pending}
    waits = [
        without_unknown(
            {
                "storage_id": storage.storage_id,
                "reason": storage.health_reason,
                "since": _time(storage.health_since),
            }
        )
        for storage in away
        if storage.storage_id in wanted
    ]
    return without_unknown(
        {
            "batch_id": batch.batch_id,
            "status": batch.status,
            "digest": batch.digest,
            "created_at": instant(batch.created_at),
            "created_by": batch.created_by,
            "finished_at": _time(batch.finished_at),
            "undoes": batch.undoes or None,
            "progress": {
                "done": len(batch.results) - len(pending),
                "total": len(batch.results),
            },
            "waits": waits or None,
            "results": [_result(result) for result in batch.results],
            "blocked": [_blocked(blocked) for blocked in batch.blocked],
        }
    )


def batch_line_of(line: BatchLine) -> View:
    """A batch in a list."""
    return without_unknown(
        {
            "batch_id": line.batch_id,
            "status": line.status,
            "created_at": instant(line.created_at),
            "created_by": line.created_by,
            "finished_at": _time(line.finished_at),
            "undoes": line.undoes or None,
            "total": line.total,
            "moved": line.moved,
            "failed": line.failed,
            "parked": line.parked,
            "blocked": line.blocked,
            "undone": line.undone,
        }
    )


# Operation


def status_of(status: Status, now: datetime) -> View:
    """What is going on; no path of the server's own leaves it."""
    storages = [
        without_unknown(
            {
                "storage_id": s.storage_id,
                "health": s.health,
                "health_reason": s.health_reason or None,
                "health_since": _time(s.health_since),
                "scans": s.scans,
                "last_scan_at": _time(s.last_scan_at),
            }
        )
        for s in status.storages
    ]
    agents = [
        {
            "agent_id": a.agent_id,
            "name": a.name,
            "version": a.version,
            "platform": a.platform,
            "capabilities": sorted(a.capabilities),
            "alive": a.alive(now),
            "last_seen_at": instant(a.last_seen_at),
        }
        for a in status.agents
    ]
    unmatched = [
        {"storage_id": u.storage_id, "path": u.path, "rule": u.rule, "reason": u.reason}
        for u in status.unmatched
    ]
    return {
        "assets": dict(status.counts),
        "storages": storages,
        "agents": agents,
        "unmatched_sidecars": unmatched,
        "unprocessable": status.unprocessable,
        "missing": status.missing,
    }
