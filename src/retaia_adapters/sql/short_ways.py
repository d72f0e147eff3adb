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

from attrs import frozen
from sqlalchemy import BigInteger, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from retaia_core.domain.identifiers import JobId
from retaia_core.domain.jobs import Job
from retaia_core.ports.store import Claim, Claimed

from . import claiming
from .dialects import Dialect, Row, Statement
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

_LEASE = f"""
INSERT INTO locks AS l ({_LOCK})
SELECT :subject_kind, :subject_id, 'job_lease', :agent_id, :token, 1, :until
WHERE (SELECT count(*) FROM {{open}}) >= :at_least
  AND NOT EXISTS (
    SELECT 1 FROM jobs j WHERE j.subject_kind = :subject_kind
    AND j.subject_id = :subject_id AND j.status = 'claimed')
ON CONFLICT (subject_kind, subject_id) DO UPDATE SET
    kind = excluded.kind, holder = excluded.holder, token = excluded.token,
    fencing = l.fencing + 1, expires_at = excluded.expires_at
WHERE l.token = ''
RETURNING {{lock}}
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


_CLAIM = f"""
WITH open AS (SELECT j.seq FROM jobs j WHERE {_OPEN} {_WANTED}),
lease AS ({_LEASE.format(open="open", lock=_of("l", _LOCK))}),
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

_LEASE_SQLITE = _LEASE.format(open=f"jobs j WHERE {_OPEN} {_WANTED_SQLITE}", lock=_LOCK)
_TAKE_SQLITE = f"""
{_TAKE.format(fencing=":fencing")} WHERE {_OPEN} {_WANTED_SQLITE} RETURNING {_JOB}
"""
_COMPLETE_SQLITE = f"""
{_FINISH}
WHERE j.job_id = :job_id AND j.status = 'claimed' AND j.lock_token = :token
  AND EXISTS (SELECT 1 FROM locks l WHERE {_HELD})
RETURNING {_JOB}
"""

_TEXTS = ("subject_kind", "subject_id", "agent_id", "token", "job_id", "result", "warnings")
_NUMBERS = ("now", "until", "at_least", "fencing")
_LISTS = ("capabilities", "job_types", "job_ids")


def _compile(dialect: Dialect, query: str) -> Statement:
    types: dict[str, Any] = dict.fromkeys(_TEXTS, Text()) | dict.fromkeys(_NUMBERS, BigInteger())
    types |= dict.fromkeys(_LISTS, ARRAY(Text()) if dialect.postgres else Text())
    named = [bindparam(n, type_=t) for n, t in types.items() if re.search(rf":{n}\b", query)]
    return dialect.compile(text(query).bindparams(*named))


@frozen(kw_only=True)
class ShortWays:
    """The statements of this module, built once.

    ``claim`` answers lock and jobs at once (PostgreSQL), or the lock alone, and ``take`` the jobs;
    ``hold`` is what a submit must wait for first.
    """

    claim: Statement
    take: Statement | None
    hold: Statement | None
    complete: Statement

    @classmethod
    def build(cls, dialect: Dialect) -> ShortWays:
        """Compile them for one database."""
        if dialect.postgres:
            return cls(
                claim=_compile(dialect, _CLAIM),
                take=None,
                hold=_compile(dialect, _HOLD),
                complete=_compile(dialect, _COMPLETE),
            )
        return cls(
            claim=_compile(dialect, _LEASE_SQLITE),
            take=_compile(dialect, _TAKE_SQLITE),
            hold=None,
            complete=_compile(dialect, _COMPLETE_SQLITE),
        )


class QuickTransaction(SqlTransaction):
    """The transaction with its short ways."""

    def __init__(self, session: Session, statements: Statements, ways: ShortWays) -> None:
        super().__init__(session, statements)
        self._ways = ways

    def claim(self, claim: Claim) -> Claimed:
        named = None if claim.job_ids is None else list(dict.fromkeys(claim.job_ids))
        self._session.serialise(f"lock {claim.subject}")
        lock, jobs = self._taken(_values(claim, named, self._session.dialect))
        if not jobs:
            return super().claim(claim)
        won = sorted(map(job_of, jobs), key=claiming.offer_order)
        if named is not None and len(won) < len(named):
            raise Again
        return Claimed(lock=lock_of(lock), jobs=tuple(won))

    def _taken(self, values: dict[str, object]) -> tuple[Row, Sequence[Row]]:
        """The lease's row and those of the jobs under it; nothing where it was not to be had."""
        rows = self._session.rows(self._ways.claim, values)
        if self._ways.take is None or not rows:
            width = len(locks.c)
            return (rows[0][:width] if rows else ()), [row[width:] for row in rows]
        (lock,) = rows
        return lock, self._session.rows(self._ways.take, values | {"fencing": lock[5]})

    def complete(
        self,
        job_id: JobId,
        *,
        token: str,
        now: datetime,
        result: Mapping[str, object] | None = None,
        warnings: tuple[str, ...] = (),
    ) -> Job:
        if self._ways.hold is not None:
            self._session.send(self._ways.hold, {"job_id": job_id})
        said = {"result": dump(result), "warnings": dump(warnings)}
        values = {"job_id": job_id, "token": token or "", "now": micros(now), **said}
        rows = self._session.rows(self._ways.complete, values)
        if not rows:
            return super().complete(job_id, token=token, now=now, result=result, warnings=warnings)
        done = job_of(rows[0])
        if self._ways.hold is None:
            self._end_lease(done.subject, token, now)
        return done


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
