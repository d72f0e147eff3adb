"""Jobs, claims and leases in a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Any

from attrs import evolve, frozen
from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    text,
    update,
)

from retaia_core.domain import leases
from retaia_core.domain.identifiers import AssetId, JobId, Subject, asset_subject
from retaia_core.domain.jobs import Job, JobProgress, JobStatus, Offer, completed
from retaia_core.domain.leases import Lock
from retaia_core.errors import NotFound, RetaiaError, StateConflict
from retaia_core.ports import claiming
from retaia_core.ports.store import Claim, ClaimableQuery, Claimed

from . import schema
from .dialects import Dialect, Statement
from .job_rows import (
    CHANGING,
    COLUMNS,
    OFFER_COLUMNS,
    changing_of,
    job_of,
    lock_of,
    lock_row,
    nobodys,
    offer_order_of,
    offers_of,
    parse_lane,
    row_of,
)
from .session import Session, Taken
from .values import micros

_j, _l = schema.jobs.c, schema.locks.c
_whole = select(*(schema.jobs.c[name] for name in COLUMNS))
_offer = select(*(schema.jobs.c[name] for name in OFFER_COLUMNS))
_held = text("token <> ''")
_LEASED: Select[Any] = (
    select(literal_column("held.job_id"))
    .select_from(text("locks CROSS JOIN jobs held"))
    .where(
        _held, text("(held.subject_kind, held.subject_id) = (locks.subject_kind, locks.subject_id)")
    )
)


@frozen(kw_only=True)
class JobStatements:
    """Every statement about jobs and locks, built once."""

    one: Statement
    of_subject: Statement
    insert: Statement
    save: Statement
    change: Statement
    lanes: Statement
    offered: Statement
    after: Statement
    after_of: Mapping[JobStatus, Statement]
    lock: Statement
    lock_locked: Statement
    locks: Statement
    locks_locked: Statement
    reserve: Statement
    save_lock: Statement
    release: Statement
    held: Statement
    expired: Statement

    @classmethod
    def build(cls, dialect: Dialect) -> JobStatements:
        """Compile them for one database."""
        which = _j.job_id == bindparam("which", type_=_j.job_id.type)
        subject = (
            _j.subject_kind == bindparam("subject_kind"),
            _j.subject_id == bindparam("subject_id"),
        )
        changes = {name: bindparam(name, type_=_j[name].type) for name in CHANGING}
        after = _whole.where(_j.job_id > bindparam("after")).order_by(_j.job_id)
        after = after.limit(bindparam("limit"))
        lock = select(*schema.locks.c).where(
            _l.subject_kind == bindparam("subject_kind"), _l.subject_id == bindparam("subject_id")
        )
        of_assets = select(*schema.locks.c).where(
            _l.subject_kind == literal_column("'asset'"), dialect.any_of(_l.subject_id, "uuids")
        )
        by_expiry = select(*schema.locks.c).where(_held).limit(bindparam("limit"))
        by_expiry = by_expiry.order_by(_l.expires_at, _l.subject_kind, _l.subject_id)
        now = bindparam("now", type_=_l.expires_at.type)
        return cls(
            one=dialect.compile(_whole.where(which)),
            of_subject=dialect.compile(_whole.where(*subject).order_by(_j.created_at, _j.job_id)),
            insert=dialect.insert(schema.jobs),
            save=dialect.upsert(schema.jobs, "job_id"),
            change=dialect.compile(update(schema.jobs).values(changes).where(which)),
            lanes=dialect.compile(_lanes()),
            offered=dialect.compile(_offered()),
            after=dialect.compile(after),
            after_of={s: dialect.compile(after.where(_of_status(dialect, s))) for s in JobStatus},
            lock=dialect.compile(lock),
            lock_locked=dialect.compile(lock.with_for_update()),
            locks=dialect.compile(of_assets),
            locks_locked=dialect.compile(of_assets.order_by(_l.subject_id).with_for_update()),
            reserve=dialect.insert(schema.locks, ignore=True),
            save_lock=dialect.upsert(schema.locks, "subject_kind", "subject_id"),
            release=dialect.compile(_release()),
            held=dialect.compile(by_expiry.where(_l.expires_at > now)),
            expired=dialect.compile(by_expiry.where(_l.expires_at <= now)),
        )


def _of_status(dialect: Dialect, status: JobStatus) -> ColumnElement[bool]:
    """The jobs of a status, in the words of their index, or by the leases that they are held under."""
    this = _j.status == literal_column(repr(status.value))
    if status is JobStatus.PENDING:
        return and_(this, text("(offered_as IS NOT NULL OR waiting)"))
    if status is JobStatus.FAILED:
        return and_(this, text("failure <> ''"))
    if status is JobStatus.CLAIMED:
        return and_(this, dialect.found_by(_j.job_id, _LEASED))
    return this


def _lanes() -> Any:
    """The lanes that have jobs now, hopping over the index from one to the next."""
    lanes = select(func.min(_j.offered_as).label("lane")).where(_j.offered_as.is_not(None))
    hops = lanes.cte("lanes", recursive=True)
    following = select(func.min(_j.offered_as)).where(_j.offered_as > hops.c.lane)
    hops = hops.union_all(select(following.scalar_subquery()).where(hops.c.lane.is_not(None)))
    return select(hops.c.lane).where(hops.c.lane.is_not(None))


def offered_of(lane: str) -> Select[Any]:
    """The jobs of the lane of a parameter that are due and whose subject nobody else holds."""
    now = bindparam("now", type_=_l.expires_at.type)
    subject = and_(_l.subject_kind == _j.subject_kind, _l.subject_id == _j.subject_id)
    mine = and_(_l.kind == "job_lease", _l.holder == bindparam("agent_id"))
    free = or_(_l.token.is_(None), _l.token == "", _l.expires_at <= now, mine)
    return (
        _offer.select_from(schema.jobs.outerjoin(schema.locks, subject))
        .where(_j.offered_as == bindparam(lane), free)
        .where(or_(_j.not_before.is_(None), _j.not_before <= now))
    )


def _offered() -> Select[Any]:
    """The first jobs of one lane."""
    first = offered_of("lane").order_by(_j.priority.desc(), _j.created_at, _j.job_id)
    return first.limit(bindparam("limit"))


def _release() -> Any:
    """End a lease that holds no job any more."""
    members = (
        select(_j.job_id)
        .where(_j.subject_kind == _l.subject_kind, _j.subject_id == _l.subject_id)
        .where(_j.status == "claimed", _j.lock_token == bindparam("lock_token"))
        .correlate(schema.locks)
    )
    return (
        update(schema.locks)
        .values(holder="", token="", expires_at=bindparam("now", type_=_l.expires_at.type))
        .where(_l.subject_kind == bindparam("which_kind", type_=_l.subject_kind.type))
        .where(_l.subject_id == bindparam("which_id", type_=_l.subject_id.type))
        .where(_l.token == bindparam("lock_token"), ~members.exists())
    )


class JobTransaction:
    """The part of a transaction that is about jobs and locks."""

    _session: Session
    _jobs: JobStatements

    def add_jobs(self, jobs: Iterable[Job]) -> None:
        statement = self._jobs.insert
        try:
            self._session.insert_all((statement, [statement.bind(row_of(job)) for job in jobs]))
        except Taken as taken:
            raise StateConflict("one of the jobs is there already") from taken

    def job(self, job_id: JobId) -> Job | None:
        rows = self._session.rows(self._jobs.one, {"which": job_id})
        return job_of(rows[0]) if rows else None

    def jobs_of(self, subject: Subject, review_version: int | None = None) -> Sequence[Job]:
        jobs = map(job_of, self._session.rows(self._jobs.of_subject, _key(subject)))
        return [job for job in jobs if review_version in (None, job.review_version)]

    def save_job(self, job: Job) -> None:
        self._session.send(self._jobs.save, row_of(job))

    def _change(self, job: Job) -> None:
        self._session.send(self._jobs.change, {"which": job.job_id, **changing_of(job)})

    def claimable(self, query: ClaimableQuery) -> Sequence[Offer]:
        self._session.in_index_order()
        values = {"now": micros(query.now), "agent_id": query.agent_id, "limit": query.limit}
        found = [
            self._session.rows(self._jobs.offered, values | {"lane": lane})
            for lane in self._open_lanes(query)
        ]
        offered = found[0] if len(found) == 1 else merge(*found, key=offer_order_of)
        return offers_of(islice(offered, query.limit))

    def _open_lanes(self, query: ClaimableQuery) -> Iterator[str]:
        for (lane,) in self._session.rows(self._jobs.lanes, {}):
            job_type, capabilities = parse_lane(lane)
            wanted = query.job_types is None or job_type in query.job_types
            if wanted and capabilities <= query.capabilities:
                yield lane

    def find_jobs(
        self, *, statuses: Iterable[JobStatus] = (), limit: int = 100, after: JobId | None = None
    ) -> Sequence[Job]:
        values: dict[str, object] = {"after": after or "", "limit": limit}
        wanted = sorted(set(statuses))
        if not wanted:
            return [job_of(row) for row in self._session.rows(self._jobs.after, values)]
        found = [
            [job_of(row) for row in self._session.rows(self._jobs.after_of[status], values)]
            for status in wanted
        ]
        return list(islice(merge(*found, key=lambda job: job.job_id), limit))

    def claim(self, claim: Claim) -> Claimed:
        current = self._alone_with(claim.subject)
        answer, changed = claiming.take(claim, current, self.jobs_of(claim.subject))
        self.save_lock(answer.lock)
        for job in changed:
            self._change(job)
        return answer

    def claim_all(self, claims: Sequence[Claim]) -> Sequence[Claimed | RetaiaError]:
        return claiming.one_by_one(self.claim, claims)

    def _alone_with(self, subject: Subject) -> Lock | None:
        """The lock of a subject, which nobody else can change or make until the end."""
        if self._session.dialect.postgres:
            self._session.send(self._jobs.reserve, lock_row(nobodys(subject)))
        return self._lock(subject, self._jobs.lock_locked)

    def _held(self, job_id: JobId, token: str, now: datetime) -> tuple[Job, Lock]:
        found = self.job(job_id)
        if found is None:
            raise NotFound(f"there is no job {job_id}")
        lock = leases.check(self.lock(found.subject), token=token, now=now)
        # Only now is it certain that nobody changes the job at the same time.
        again = self.job(job_id) if self._session.dialect.postgres else found
        if again is None:
            raise NotFound(f"there is no job {job_id}")
        return claiming.held_under(lock, again), lock

    def extend(
        self,
        job_id: JobId,
        *,
        token: str,
        now: datetime,
        until: datetime,
        progress: JobProgress | None = None,
    ) -> Lock:
        job, held = self._held(job_id, token, now)
        lock = leases.extend(held, now, until - now)
        self.save_lock(lock)
        for member in self.jobs_of(job.subject):
            if claiming.under(lock, member):
                told = progress if progress and member.job_id == job_id else member.progress
                self._change(evolve(member, locked_until=lock.expires_at, progress=told))
        return lock

    def complete(
        self,
        job_id: JobId,
        *,
        token: str,
        now: datetime,
        result: Mapping[str, object] | None = None,
        warnings: tuple[str, ...] = (),
    ) -> Job:
        job, _ = self._held(job_id, token, now)
        done = completed(job, now, result=result, warnings=warnings)
        self._change(done)
        self._end_lease(job.subject, token, now)
        return done

    def _end_lease(self, subject: Subject, token: str, now: datetime) -> None:
        """End a lease where it holds no job any more."""
        which = {"which_kind": subject.kind, "which_id": subject.id}
        values = {**which, "lock_token": token, "now": micros(now)}
        self._session.send(self._jobs.release, values)

    def _lock(self, subject: Subject, statement: Statement) -> Lock | None:
        rows = self._session.rows(statement, _key(subject))
        found = lock_of(rows[0]) if rows else None
        return found if found and found.fencing else None

    def lock(self, subject: Subject) -> Lock | None:
        if not self._session.writing:
            return self._lock(subject, self._jobs.lock)
        return self._lock(subject, self._jobs.lock_locked) or self._alone_with(subject)

    def asset_locks(self, uuids: Iterable[AssetId]) -> Mapping[AssetId, Lock]:
        wanted = sorted(uuids)
        values = {"uuids": self._session.dialect.array(wanted)}
        which = self._jobs.locks
        if self._session.writing:
            which = self._jobs.locks_locked
            if self._session.dialect.postgres:
                # Rows to be locked, also for those of whom nobody made one.
                reserve = self._jobs.reserve
                rows = [reserve.bind(lock_row(nobodys(asset_subject(uuid)))) for uuid in wanted]
                self._session.send_all(reserve, rows)
        found = {lock.subject.id: lock for lock in map(lock_of, self._session.rows(which, values))}
        return {uuid: found[uuid] for uuid in wanted if uuid in found and found[uuid].fencing}

    def save_lock(self, *locks: Lock) -> None:
        statement = self._jobs.save_lock
        last = {lock.subject: lock for lock in locks}
        rows = [statement.bind(lock_row(lock)) for lock in last.values()]
        self._session.send_all(statement, rows)

    def locks(self, *, now: datetime, expired: bool, limit: int = 1000) -> Sequence[Lock]:
        statement = self._jobs.expired if expired else self._jobs.held
        values = {"now": micros(now), "limit": limit}
        return [lock_of(row) for row in self._session.rows(statement, values)]


def _key(subject: Subject) -> dict[str, object]:
    return {"subject_kind": subject.kind, "subject_id": subject.id}
