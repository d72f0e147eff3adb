"""The server's JSON as values of the port, and its errors as errors of our tree."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from retaia_core.domain.media import MediaType
from retaia_core.errors import (
    ForbiddenActor,
    ForbiddenScope,
    IdempotencyConflict,
    LockInvalid,
    LockRequired,
    NameCollisionExhausted,
    NotFound,
    Purged,
    RetaiaError,
    StaleLockToken,
    StateConflict,
    StorageOffline,
    Unauthorized,
    Unavailable,
    ValidationFailed,
)
from retaia_core.ports.transport import (
    Bundle,
    BundleJob,
    JobResult,
    OfferedJob,
    Registered,
    UploadedFile,
)

Json = Mapping[str, Any]

_BY_STATUS: Mapping[int, type[RetaiaError]] = {401: Unauthorized, 404: NotFound, 410: Purged}
_BY_CODE: Mapping[str, type[RetaiaError]] = {
    error.code: error
    for error in (
        ForbiddenActor,
        ForbiddenScope,
        IdempotencyConflict,
        LockInvalid,
        LockRequired,
        NameCollisionExhausted,
        StaleLockToken,
        StateConflict,
        ValidationFailed,
    )
}
_LATER = (429, 502, 503, 504)


def _retry_after(header: str | None) -> dict[str, object]:
    """The seconds of a Retry-After header; dates are not used by our servers and left out."""
    return {"retry_after_s": int(header)} if header and header.isdecimal() else {}


def error_of(status: int, body: object, retry_after: str | None) -> RetaiaError:
    """The error that an answer of 400 or more stands for."""
    told: Json = body if isinstance(body, Mapping) else {}
    message = str(told.get("message") or f"the server answered {status} without a reason")
    raw = told.get("details")
    details = {str(k): v for k, v in raw.items()} if isinstance(raw, Mapping) else {}
    details.pop("message", None)
    if "correlation_id" in told:
        details["correlation_id"] = told["correlation_id"]
    if status in _LATER:
        kind = StorageOffline if details.get("reason") == "STORAGE_OFFLINE" else Unavailable
        return kind(message, **details, **_retry_after(retry_after))
    known = _BY_STATUS.get(status) or _BY_CODE.get(str(told.get("code")))
    return (known or RetaiaError)(message, **details)


def registered(answer: Json) -> Registered:
    """The answer to a registration."""
    policy = answer["server_policy"]
    return Registered(
        agent_id=answer["agent_id"],
        effective_capabilities=tuple(answer["effective_capabilities"]),
        capability_warnings=tuple(answer.get("capability_warnings", ())),
        min_poll_interval_s=float(policy.get("min_poll_interval_seconds", 5)),
        max_parallel_jobs=int(policy.get("max_parallel_jobs_allowed", 1)),
    )


def offered(row: Json) -> OfferedJob:
    """A pending job."""
    return OfferedJob(job_id=row["job_id"], job_type=row["job_type"], asset_uuid=row["asset_uuid"])


def bundle(answer: Json) -> Bundle:
    """The answer to a bundle claim."""
    source = answer["source"]
    return Bundle(
        asset_uuid=answer["asset_uuid"],
        media_type=MediaType(answer["media_type"]),
        storage_id=source["storage_id"],
        path=source["original_relative"],
        size=answer["size_bytes"],
        mtime_ns=answer["mtime_ns"],
        lock_token=answer["lock_token"],
        locked_until=datetime.fromisoformat(answer["locked_until"]),
        jobs=tuple(
            BundleJob(
                job_id=job["job_id"],
                job_type=job["job_type"],
                parameters=job["parameters"],
                derived_inputs=tuple(job["derived_inputs"]),
            )
            for job in answer["jobs"]
        ),
        sidecars=tuple(source.get("sidecars_relative", ())),
        facts=answer["facts"],
    )


def uploaded(answer: Json) -> UploadedFile:
    """The answer to a completed upload."""
    return UploadedFile(
        kind=answer["kind"],
        ref=answer["ref"],
        size_bytes=answer["size_bytes"],
        sha256=answer["sha256"],
    )


def result_body(lock_token: str, result: JobResult) -> dict[str, object]:
    """A result as it is submitted."""
    manifest = [
        {
            "kind": file.kind,
            "ref": file.ref,
            "size_bytes": file.size_bytes,
            "sha256": file.sha256,
        }
        for file in result.files
    ]
    return {
        "lock_token": lock_token,
        "job_type": result.job_type,
        "facts_patch": dict(result.facts),
        "derived_manifest": manifest,
        "data": dict(result.data),
        "warnings": list(result.warnings),
        "metrics": dict(result.metrics),
    }
