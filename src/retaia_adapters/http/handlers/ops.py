"""Operation: what is going on, whether the server can work, and what waits for what."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from retaia_core.domain.identifiers import (
    AgentId,
    RelPath,
    StorageId,
    Subject,
    parse_rel_path,
    parse_storage_id,
)
from retaia_core.domain.jobs import Job
from retaia_core.domain.leases import Lock, LockKind
from retaia_core.domain.scans import UnmatchedSidecar
from retaia_core.domain.storage import Storage
from retaia_core.domain.workload import Waiting
from retaia_core.errors import Unavailable, ValidationFailed
from retaia_core.shell.in_force import SettingInForce
from retaia_core.usecases.monitoring import AgentAtWork, Check

from ..call import Call, Handler
from ..paging import bad_cursor, decode_place, encode_place, limit_of
from ..views import status_of, without_unknown
from ..wire import instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

View = Mapping[str, object]


async def get_status(call: Call) -> object:
    """What is going on."""
    return status_of(await call.services.operations.status(), call.services.clock.now())


def _check(check: Check) -> View:
    return {
        "name": check.name,
        "ok": check.ok,
        "required": check.required,
        "message": check.message,
    }


async def get_readiness(call: Call) -> object:
    """Whether the server can do its work; where it cannot, this is a 503 that says why."""
    readiness = await call.serving.monitoring.readiness()
    checks = [_check(check) for check in readiness.checks]
    if not readiness.ready:
        wrong = next(c for c in readiness.checks if c.required and not c.ok)
        said = f"not ready: {wrong.name}: {wrong.message}"
        raise Unavailable(said, reason="NOT_READY", checks=checks)
    return {"ready": True, "checks": checks}


def _waiting(waiting: Waiting) -> View:
    return {
        "job_type": waiting.job_type,
        "reason": waiting.reason,
        "missing_capabilities": list(waiting.missing),
        "count": waiting.count,
    }


async def count_jobs(call: Call) -> object:
    """Jobs by type and state, and why the pending ones wait."""
    load = await call.serving.monitoring.workload()
    return {
        "counts": [
            {"job_type": job_type, "status": status, "count": count}
            for (job_type, status), count in load.counts.items()
        ],
        "waiting": [_waiting(waiting) for waiting in load.waiting],
    }


def _held(job: Job) -> View:
    progress = job.progress and {
        "current": job.progress.current,
        "total": job.progress.total,
        "text": job.progress.text,
    }
    return without_unknown(
        {
            "job_id": job.job_id,
            "job_type": job.job_type,
            "subject_kind": job.subject.kind,
            "subject_id": job.subject.id,
            "locked_until": job.locked_until and instant(job.locked_until),
            "progress": progress,
        }
    )


def _agent(at_work: AgentAtWork, now: datetime) -> View:
    agent = at_work.agent
    return {
        "agent_id": agent.agent_id,
        "name": agent.name,
        "version": agent.version,
        "platform": agent.platform,
        "capabilities": sorted(agent.capabilities),
        "alive": agent.alive(now),
        "last_seen_at": instant(agent.last_seen_at),
        "jobs": [_held(job) for job in at_work.jobs],
    }


async def list_agents(call: Call) -> object:
    """Agents, when they were last heard of, and what they hold."""
    limit, cursor, after = limit_of(call.query), call.query.get("cursor"), None
    if cursor is not None:
        (after,) = decode_place(cursor, (str,))
    found = await call.serving.monitoring.agents(after and AgentId(after), limit)
    now = call.services.clock.now()
    views = [_agent(one, now) for one in found]
    more = len(found) == limit and encode_place(found[-1].agent.agent_id)
    return _page(views, more)


def _page(views: list[View], more: str | bool) -> View:
    return {"items": views, **({"next_cursor": more} if more else {})}


def _lock(lock: Lock) -> View:
    return {
        "subject_kind": lock.subject.kind,
        "subject_id": lock.subject.id,
        "kind": lock.kind,
        "holder": lock.holder,
        "fencing": lock.fencing,
        "expires_at": instant(lock.expires_at),
    }


def _lock_place(lock: Lock) -> str:
    ends = (lock.expires_at - _EPOCH) // _MICROSECOND
    return encode_place(ends, lock.subject.kind, lock.subject.id)


def _lock_at(cursor: str) -> Lock:
    """A lock at the place of the last one that was seen."""
    ends, kind, identity = decode_place(cursor, (int, str, str))
    try:
        expires = _EPOCH + ends * _MICROSECOND
    except OverflowError as error:
        raise bad_cursor() from error
    return Lock(
        subject=Subject(kind=kind, id=identity),
        kind=LockKind.JOB_LEASE,
        holder="",
        token="",
        fencing=0,
        expires_at=expires,
    )


async def list_locks(call: Call) -> object:
    """The locks that are held now; their tokens stay here."""
    limit, cursor = limit_of(call.query), call.query.get("cursor")
    after = None if cursor is None else _lock_at(cursor)
    found = await call.serving.monitoring.locks(after, limit)
    return _page([_lock(lock) for lock in found], len(found) == limit and _lock_place(found[-1]))


def _sidecar(sidecar: UnmatchedSidecar) -> View:
    return {
        "storage_id": sidecar.storage_id,
        "path": sidecar.path,
        "rule": sidecar.rule,
        "reason": sidecar.reason,
    }


def _sidecar_at(cursor: str) -> UnmatchedSidecar:
    storage_id, path = decode_place(cursor, (str, str))
    try:
        place: tuple[StorageId, RelPath] = (parse_storage_id(storage_id), parse_rel_path(path))
    except ValidationFailed as error:
        raise bad_cursor() from error
    return UnmatchedSidecar(storage_id=place[0], path=place[1], rule="", reason="")


async def list_unmatched(call: Call) -> object:
    """The sidecars that are attached to nothing, and why."""
    limit, cursor = limit_of(call.query), call.query.get("cursor")
    after = None if cursor is None else _sidecar_at(cursor)
    found = await call.serving.monitoring.unmatched(after, limit)
    views = [_sidecar(sidecar) for sidecar in found]
    more = len(found) == limit and encode_place(found[-1].storage_id, found[-1].path)
    return _page(views, more)


def _storage(storage: Storage) -> View:
    return without_unknown(
        {
            "storage_id": storage.storage_id,
            "role": storage.role,
            "health": storage.health,
            "health_reason": storage.health_reason or None,
            "health_since": storage.health_since and instant(storage.health_since),
            "adopted_at": instant(storage.adopted_at),
            "adopted_by": storage.adopted_by,
            "scans": storage.scans,
            "last_scan_at": storage.last_scan_at and instant(storage.last_scan_at),
        }
    )


async def list_storages(call: Call) -> object:
    """The storages and whether they can be trusted now; no path of the server's own leaves it."""
    return {"items": [_storage(s) for s in await call.serving.monitoring.storages()]}


def _setting(setting: SettingInForce) -> View:
    return without_unknown(
        {
            "section": setting.section,
            "key": setting.key,
            "value": setting.value,
            "given": setting.given,
            "source": setting.source,
            "name": setting.name or None,
        }
    )


async def list_settings(call: Call) -> object:
    """The settings as they are in force; neither a secret nor a place on this machine leaves it."""
    return {"items": [_setting(setting) for setting in call.serving.options.settings]}


HANDLERS: Mapping[str, Handler] = {
    "getStatus": get_status,
    "getReadiness": get_readiness,
    "countJobs": count_jobs,
    "listAgents": list_agents,
    "listLocks": list_locks,
    "listUnmatchedSidecars": list_unmatched,
    "listStorages": list_storages,
    "listSettings": list_settings,
}
