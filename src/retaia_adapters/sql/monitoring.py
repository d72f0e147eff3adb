"""The part of a transaction that answers those who watch over the store: sums and pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import frozen
from sqlalchemy import (
    Column,
    ColumnElement,
    Select,
    bindparam,
    column,
    func,
    select,
    table,
    text,
    tuple_,
)

from retaia_core.domain.identifiers import folder_of
from retaia_core.domain.jobs import JobStatus
from retaia_core.domain.leases import Lock, LockKind
from retaia_core.domain.scans import UnmatchedSidecar
from retaia_core.domain.workload import JobCount

from . import migrate, schema
from .dialects import Dialect, Statement
from .job_rows import lock_of
from .session import Session
from .values import micros

_j, _l, _u = schema.jobs.c, schema.locks.c, schema.unmatched.c
_held = text("token <> ''")


@frozen(kw_only=True)
class MonitoringStatements:
    """Every statement about it, built once."""

    jobs: Statement
    locks: Statement
    held: Statement
    sidecars: Statement
    last_event: Statement
    revision: Statement

    @classmethod
    def build(cls, dialect: Dialect) -> MonitoringStatements:
        """Compile them for one database."""
        alike = (_j.job_type, _j.status, _j.capabilities, _j.waiting)
        now = bindparam("now", type_=_l.expires_at.type)
        locks = select(_l.kind, func.count()).where(_held, _l.expires_at > now)
        version: Select[Any] = select(column("version_num")).select_from(table("alembic_version"))
        newest = select(func.coalesce(func.max(schema.events.c.seq), 0))
        return cls(
            jobs=dialect.compile(select(*alike, func.count()).group_by(*alike)),
            locks=dialect.compile(locks.group_by(_l.kind)),
            held=dialect.compile(_held_after()),
            sidecars=dialect.compile(_sidecars_after()),
            last_event=dialect.compile(newest),
            revision=dialect.compile(version),
        )


def _after(*columns: Column[Any]) -> ColumnElement[bool]:
    """What lies behind a place; the place's values are parameters ``after_0`` and on."""
    place = (bindparam(f"after_{n}", type_=c.type) for n, c in enumerate(columns))
    return tuple_(*columns) > tuple_(*place)


def _held_after() -> Select[Any]:
    order = (_l.expires_at, _l.subject_kind, _l.subject_id)
    now = bindparam("now", type_=_l.expires_at.type)
    held = select(*schema.locks.c).where(_held, _l.expires_at > now, _after(*order))
    return held.order_by(*order).limit(bindparam("limit"))


def _sidecars_after() -> Select[Any]:
    order = (_u.storage_id, _u.folder, _u.path)
    sidecars = select(_u.storage_id, _u.path, _u.rule, _u.reason).where(_after(*order))
    return sidecars.order_by(*order).limit(bindparam("limit"))


def _place(*values: object) -> dict[str, object]:
    return {f"after_{n}": value for n, value in enumerate(values)}


class MonitoringTransaction:
    """The part of a transaction that is about sums and pages."""

    _session: Session
    _monitoring: MonitoringStatements

    def count_jobs(self) -> Sequence[JobCount]:
        return [
            JobCount(
                job_type=job_type,
                status=JobStatus(status),
                capabilities=frozenset(filter(None, capabilities.split(","))),
                waiting=bool(waiting),
                count=count,
            )
            for job_type, status, capabilities, waiting, count in self._session.rows(
                self._monitoring.jobs, {}
            )
        ]

    def count_locks(self, now: datetime) -> Mapping[LockKind, int]:
        rows = self._session.rows(self._monitoring.locks, {"now": micros(now)})
        return {LockKind(kind): count for kind, count in rows}

    def held_locks(
        self, *, now: datetime, after: Lock | None = None, limit: int = 100
    ) -> Sequence[Lock]:
        place = _place(micros(now), "", "")
        if after is not None:
            place = _place(micros(after.expires_at), after.subject.kind, after.subject.id)
        values = {"now": micros(now), "limit": limit, **place}
        return [lock_of(row) for row in self._session.rows(self._monitoring.held, values)]

    def unmatched_after(
        self, after: UnmatchedSidecar | None = None, *, limit: int = 100
    ) -> Sequence[UnmatchedSidecar]:
        place = _place("", "", "")
        if after is not None:
            place = _place(after.storage_id, folder_of(after.path), after.path)
        return [
            UnmatchedSidecar(storage_id=storage_id, path=path, rule=rule, reason=reason)
            for storage_id, path, rule, reason in self._session.rows(
                self._monitoring.sidecars, {"limit": limit, **place}
            )
        ]

    def last_event(self) -> int:
        return int(self._session.rows(self._monitoring.last_event, {})[0][0])

    def schema_current(self) -> bool:
        return [row[0] for row in self._session.rows(self._monitoring.revision, {})] == [
            migrate.HEAD
        ]
