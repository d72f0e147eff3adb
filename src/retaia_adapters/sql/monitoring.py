"""The part of a transaction that answers those who watch over the store: sums and pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
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

from retaia_core.domain.batch_lines import BatchLine, BatchPlace
from retaia_core.domain.identifiers import BatchId, folder_of
from retaia_core.domain.jobs import JobStatus
from retaia_core.domain.leases import Lock, LockKind
from retaia_core.domain.moves import BatchStatus, Outcome
from retaia_core.domain.scans import UnmatchedSidecar
from retaia_core.domain.workload import JobCount

from . import migrate, schema
from .dialects import Dialect, Row, Statement
from .job_rows import lock_of
from .session import Session
from .values import maybe_time, micros, time_of

_j, _l, _u = schema.jobs.c, schema.locks.c, schema.unmatched.c
_b, _m = schema.batches.c, schema.move_results.c
_blocked = msgspec.json.Decoder(list[Any])
_held = text("token <> ''")


@frozen(kw_only=True)
class MonitoringStatements:
    """Every statement about it, built once."""

    jobs: Statement
    locks: Statement
    held: Statement
    sidecars: Statement
    batches: Statement
    undoing: Statement
    outcomes: Statement
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
            batches=dialect.compile(_batches_before()),
            undoing=dialect.compile(_undoing(dialect)),
            outcomes=dialect.compile(_outcomes(dialect)),
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


def _batches_before() -> Select[Any]:
    order = (_b.created_at, _b.batch_id)
    place = (bindparam(f"before_{n}", type_=c.type) for n, c in enumerate(order))
    shown = (_b.batch_id, _b.status, _b.created_at, _b.created_by, _b.finished_at, _b.blocked)
    batches = select(*shown).where(tuple_(*order) < tuple_(*place))
    return batches.order_by(*(c.desc() for c in order)).limit(bindparam("limit"))


def _undoing(dialect: Dialect) -> Select[Any]:
    """Which batch each one takes back, of those since a time: every move of a batch names the same."""
    of_batch = _m.batch_id == _b.batch_id
    first = select(dialect.text_in(_m.document, "move", "undoes")).where(of_batch).limit(1)
    since = bindparam("since", type_=_b.created_at.type)
    return select(_b.batch_id, first.scalar_subquery()).where(_b.created_at >= since)


def _outcomes(dialect: Dialect) -> Select[Any]:
    outcome = dialect.text_in(_m.document, "outcome")
    wanted = dialect.any_of(_m.batch_id, "which")
    return select(_m.batch_id, outcome, func.count()).where(wanted).group_by(_m.batch_id, outcome)


_NEWEST: BatchPlace = (datetime.max.replace(tzinfo=UTC), BatchId("\U0010ffff"))


def _place(*values: object) -> dict[str, object]:
    return {f"after_{n}": value for n, value in enumerate(values)}


def _line(row: Row, counts: Mapping[tuple[str, str], int], undoes: Mapping[str, str]) -> BatchLine:
    batch_id, status, created, created_by, finished, blocked = row
    undone = [one for one, other in undoes.items() if other == batch_id]
    return BatchLine(
        batch_id=batch_id,
        status=BatchStatus(status),
        created_at=time_of(created),
        created_by=created_by,
        total=sum(count for (one, _), count in counts.items() if one == batch_id),
        moved=counts.get((batch_id, Outcome.MOVED), 0),
        failed=counts.get((batch_id, Outcome.FAILED), 0),
        parked=counts.get((batch_id, Outcome.PARKED), 0),
        blocked=len(_blocked.decode(blocked)) if blocked else 0,
        undone=sum(counts.get((one, Outcome.MOVED), 0) for one in undone),
        undoes=undoes[batch_id],
        finished_at=maybe_time(finished),
    )


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

    def batch_lines(
        self, before: BatchPlace | None = None, *, limit: int = 50
    ) -> Sequence[BatchLine]:
        created_at, batch_id = before or _NEWEST
        values = {"before_0": micros(created_at), "before_1": batch_id, "limit": limit}
        rows = list(self._session.rows(self._monitoring.batches, values))
        if not rows:
            return []
        since = {"since": min(row[2] for row in rows)}
        found = self._session.rows(self._monitoring.undoing, since)
        undoes = {one: other or "" for one, other in found}
        shown = {row[0] for row in rows}
        wanted = [one for one, other in undoes.items() if one in shown or other in shown]
        counts = self._outcomes_of(wanted)
        return [_line(row, counts, undoes) for row in rows]

    def _outcomes_of(self, batches: Sequence[str]) -> Mapping[tuple[str, str], int]:
        which = {"which": self._session.dialect.array(batches)}
        rows = self._session.rows(self._monitoring.outcomes, which)
        return {(batch_id, outcome): count for batch_id, outcome, count in rows}

    def last_event(self) -> int:
        return int(self._session.rows(self._monitoring.last_event, {})[0][0])

    def schema_current(self) -> bool:
        return [row[0] for row in self._session.rows(self._monitoring.revision, {})] == [
            migrate.HEAD
        ]
