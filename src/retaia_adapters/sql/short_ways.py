"""Claims and submits in as few statements as they need, where nothing stands in the way.

Each is a statement (or two, where nobody can come in between) that does all or nothing. Where it did
nothing, the rules of `job_store` are applied step by step: they know what to do about it, or how to
refuse it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import field, frozen
from sqlalchemy import BigInteger, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from retaia_core.domain.identifiers import JobId
from retaia_core.domain.jobs import Job
from retaia_core.domain.leases import Lock, LockKind
from retaia_core.ports import claiming
from retaia_core.ports.store import Claim, Claimed

from .dialects import POSTGRES, SQLITE, Dialect, Row, Statement
from .job_rows import COLUMNS, job_of, lock_of
from .schema import locks
from .session import Again, Session
from .transaction import SqlTransaction, Statements
from .values import dump, micros

_JOB = ", ".join(COLUMNS)
_LOCK = ", ".join(column.name for column in locks.c)

_OPEN = """
j.subject_kind = :subject_kind AND j.subject_id = :subject_id
    AND j.offered_as IS NOT NULL AND (j.not_before IS NULL OR j.not_before <= :now)
"""
_WANTED = """
    AND string_to_array(j.capabilities, ',') <@ :capabilities
    AND (:job_types IS NULL OR j.job_type = ANY (:job_types))
    AND (:job_ids IS NULL OR j.job_id = ANY (:job_ids))
"""
# Most jobs need one capability, which is found without taking the text apart.
_WANTED_SQLITE = """
    AND (j.capabilities IN (SELECT value FROM json_each(:capabilities)) OR NOT EXISTS (
        SELECT 1 FROM json_each('["' || replace(j.capabilities, ',', '","') || '"]') need
        WHERE need.value <> '' AND need.value NOT IN (SELECT value FROM json_each(:capabilities))))
    AND (:job_types IS NULL OR j.job_type IN (SELECT value FROM json_each(:job_types)))
    AND (:job_ids IS NULL OR j.job_id IN (SELECT value FROM json_each(:job_ids)))
"""

_NONE_CLAIMED = """
NOT EXISTS (
    SELECT 1 FROM jobs other WHERE other.subject_kind = :subject_kind
    AND other.subject_id = :subject_id AND other.status = 'claimed')
"""
_TAKE = """
UPDATE jobs AS j SET
    status = 'claimed', offered_as = NULL, claimed_by = :agent_id, lock_token = :token,
    locked_until = :until, fencing = {fencing}, attempts = j.attempts + 1, progress = '',
    updated_at = :now
"""
_FINISH = """
UPDATE jobs AS j SET
    status = 'completed', claimed_by = NULL, lock_token = NULL, locked_until = NULL,
    progress = '', failure = '', updated_at = :now, result = :result, warnings = :warnings
"""
_HELD = """
l.subject_kind = j.subject_kind AND l.subject_id = j.subject_id
    AND l.token = :token AND l.expires_at > :now
"""


def _of(alias: str, columns: str) -> str:
    return ", ".join(f"{alias}.{name}" for name in columns.split(", "))


_LEASE = f"""
INSERT INTO locks AS l ({_LOCK})
SELECT :subject_kind, :subject_id, 'job_lease', :agent_id, :token, 1, :until
WHERE (SELECT count(*) FROM open) >= :at_least AND {_NONE_CLAIMED}
ON CONFLICT (subject_kind, subject_id) DO UPDATE SET
    kind = excluded.kind, holder = excluded.holder, token = excluded.token,
    fencing = l.fencing + 1, expires_at = excluded.expires_at
WHERE l.token = ''
RETURNING {_of("l", _LOCK)}
"""
_CLAIM = f"""
WITH open AS (SELECT j.seq FROM jobs j WHERE {_OPEN} {_WANTED}),
lease AS ({_LEASE}),
won AS (
    {_TAKE.format(fencing="lease.fencing")} FROM lease, open
    WHERE j.seq = open.seq AND j.offered_as IS NOT NULL RETURNING {_of("j", _JOB)}
)
SELECT {_of("lease", _LOCK)}, {_of("won", _JOB)} FROM lease, won
"""
# The lock's row first, in a statement of its own: the next one sees what its last holder committed.
_HOLD = """
SELECT 1 FROM locks l JOIN jobs j USING (subject_kind, subject_id)
WHERE j.job_id = :job_id FOR UPDATE OF l
"""
_COMPLETE = f"""
WITH won AS (
    {_FINISH} FROM locks l
    WHERE j.job_id = :job_id AND j.status = 'claimed' AND j.lock_token = :token AND {_HELD}
    RETURNING {_of("j", _JOB)}
), ended AS (
    UPDATE locks l SET holder = '', token = '', expires_at = :now
    FROM won
    WHERE l.subject_kind = won.subject_kind AND l.subject_id = won.subject_id
      AND NOT EXISTS (
        SELECT 1 FROM jobs o WHERE o.subject_kind = won.subject_kind
        AND o.subject_id = won.subject_id AND o.status = 'claimed'
        AND o.lock_token = :token AND o.job_id <> :job_id)
)
SELECT {_of("won", _JOB)} FROM won
"""

_SUBJECT = "subject_kind = :subject_kind AND subject_id = :subject_id"
_TAKE_SQLITE = f"""
{_TAKE.format(fencing=f"1 + coalesce((SELECT fencing FROM locks WHERE {_SUBJECT}), 0)")}
WHERE {_OPEN} {_WANTED_SQLITE} AND {_NONE_CLAIMED}
  AND NOT EXISTS (SELECT 1 FROM locks WHERE {_SUBJECT} AND token <> '')
RETURNING {_JOB}
"""
_COUNT_SQLITE = f"SELECT count(*) FROM jobs j WHERE {_OPEN} {_WANTED_SQLITE}"
_COMPLETE_SQLITE = f"""
{_FINISH}
WHERE j.job_id = :job_id AND j.status = 'claimed' AND j.lock_token = :token
  AND EXISTS (SELECT 1 FROM locks l WHERE {_HELD})
RETURNING {_JOB}
"""

_TEXTS = ("subject_kind", "subject_id", "agent_id", "token", "job_id", "result", "warnings")
_NUMBERS = ("now", "until", "at_least")
_LISTS = ("capabilities", "job_types", "job_ids")


def _compile(dialect: Dialect, query: str) -> Statement:
    types: dict[str, Any] = dict.fromkeys(_TEXTS, Text()) | dict.fromkeys(_NUMBERS, BigInteger())
    types |= dict.fromkeys(_LISTS, ARRAY(Text()) if dialect.postgres else Text())
    named = [bindparam(n, type_=t) for n, t in types.items() if re.search(rf":{n}\b", query)]
    return dialect.compile(text(query).bindparams(*named))


class SqliteTransaction(SqlTransaction):
    """The transaction with the short ways of SQLite, where nobody comes in between statements."""

    def __init__(self, session: Session, statements: Statements) -> None:
        super().__init__(session, statements)
        self._take = _compile(SQLITE, _TAKE_SQLITE)
        self._count = _compile(SQLITE, _COUNT_SQLITE)
        self._complete = _compile(SQLITE, _COMPLETE_SQLITE)

    def claim(self, claim: Claim) -> Claimed:
        named = None if claim.job_ids is None else list(dict.fromkeys(claim.job_ids))
        values = _values(claim, named, SQLITE)
        rows: Sequence[Row] = ()
        if named is None or self._session.rows(self._count, values)[0][0] == len(named):
            rows = self._session.rows(self._take, values)
        if not rows:
            return super().claim(claim)
        jobs = tuple(sorted(map(job_of, rows), key=claiming.offer_order))
        lock = Lock(
            subject=claim.subject,
            kind=LockKind.JOB_LEASE,
            holder=claim.agent_id,
            token=claim.token,
            fencing=jobs[0].fencing,
            expires_at=claim.until,
        )
        self.save_lock(lock)
        return Claimed(lock=lock, jobs=jobs)

    def complete(
        self,
        job_id: JobId,
        *,
        token: str,
        now: datetime,
        result: Mapping[str, object] | None = None,
        warnings: tuple[str, ...] = (),
    ) -> Job:
        rows = self._session.rows(self._complete, _submit(job_id, token, now, result, warnings))
        if not rows:
            return super().complete(job_id, token=token, now=now, result=result, warnings=warnings)
        done = job_of(rows[0])
        self._end_lease(done.subject, token, now)
        return done


@frozen(kw_only=True)
class PostgresWays:
    """The statements of PostgreSQL's short ways, built once for many transactions."""

    claim: Statement = field(factory=lambda: _compile(POSTGRES, _CLAIM))
    hold: Statement = field(factory=lambda: _compile(POSTGRES, _HOLD))
    complete: Statement = field(factory=lambda: _compile(POSTGRES, _COMPLETE))


class PostgresTransaction(SqlTransaction):
    """The transaction with the short ways of PostgreSQL: one round trip each."""

    def __init__(self, session: Session, statements: Statements, ways: PostgresWays) -> None:
        super().__init__(session, statements)
        self._ways = ways

    def claim(self, claim: Claim) -> Claimed:
        named = None if claim.job_ids is None else list(dict.fromkeys(claim.job_ids))
        self._session.serialise(f"lock {claim.subject}")
        rows = self._session.rows(self._ways.claim, _values(claim, named, POSTGRES))
        if not rows:
            return super().claim(claim)
        width = len(locks.c)
        jobs = sorted((job_of(row[width:]) for row in rows), key=claiming.offer_order)
        if named is not None and len(jobs) < len(named):
            raise Again
        return Claimed(lock=lock_of(rows[0][:width]), jobs=tuple(jobs))

    def complete(
        self,
        job_id: JobId,
        *,
        token: str,
        now: datetime,
        result: Mapping[str, object] | None = None,
        warnings: tuple[str, ...] = (),
    ) -> Job:
        self._session.send(self._ways.hold, {"job_id": job_id})
        values = _submit(job_id, token, now, result, warnings)
        rows = self._session.rows(self._ways.complete, values)
        if rows:
            return job_of(rows[0])
        return super().complete(job_id, token=token, now=now, result=result, warnings=warnings)


def _submit(
    job_id: JobId,
    token: str,
    now: datetime,
    result: Mapping[str, object] | None,
    warnings: tuple[str, ...],
) -> dict[str, object]:
    said = {"result": dump(result), "warnings": dump(warnings)}
    return {"job_id": job_id, "token": token or "", "now": micros(now), **said}


def _values(claim: Claim, named: Sequence[JobId] | None, dialect: Dialect) -> dict[str, object]:
    types = claim.job_types
    return {
        "subject_kind": claim.subject.kind,
        "subject_id": claim.subject.id,
        "agent_id": claim.agent_id,
        "token": claim.token,
        "now": micros(claim.now),
        "until": micros(claim.until),
        "capabilities": dialect.array(sorted(claim.capabilities)),
        "job_types": None if types is None else dialect.array(sorted(types)),
        "job_ids": None if named is None else dialect.array(named),
        "at_least": 1 if named is None else max(1, len(named)),
    }
