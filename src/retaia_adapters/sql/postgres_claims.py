"""Claims and submits on PostgreSQL in one round trip each, where nothing stands in the way.

Each is one statement that does all or nothing. Where it did nothing, the rules of `job_store` are
applied step by step: they know what to do about it, or how to refuse it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import frozen
from sqlalchemy import BigInteger, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from retaia_core.domain.identifiers import JobId
from retaia_core.domain.jobs import Job
from retaia_core.ports.store import Claim, Claimed

from . import claiming
from .dialects import POSTGRES, Statement
from .job_rows import COLUMNS, job_of, lock_of
from .session import Again, Session
from .transaction import SqlTransaction, Statements
from .values import dump, micros

_JOB = ", ".join(f"j.{name}" for name in COLUMNS)
_LOCK = "subject_kind, subject_id, kind, holder, token, fencing, expires_at"

_CLAIM = f"""
WITH open AS (
    SELECT j.seq FROM jobs j
    WHERE j.subject_kind = :subject_kind AND j.subject_id = :subject_id
      AND j.offered_as IS NOT NULL
      AND (j.not_before IS NULL OR j.not_before <= :now)
      AND string_to_array(j.capabilities, ',') <@ :capabilities
      AND (:job_types IS NULL OR j.job_type = ANY (:job_types))
      AND (:job_ids IS NULL OR j.job_id = ANY (:job_ids))
), lease AS (
    INSERT INTO locks AS l ({_LOCK})
    SELECT :subject_kind, :subject_id, 'job_lease', :agent_id, :token, 1, :until
    WHERE (SELECT count(*) FROM open) >= :at_least
      AND NOT EXISTS (
        SELECT 1 FROM jobs j WHERE j.subject_kind = :subject_kind
        AND j.subject_id = :subject_id AND j.status = 'claimed')
    ON CONFLICT (subject_kind, subject_id) DO UPDATE SET
        kind = excluded.kind, holder = excluded.holder, token = excluded.token,
        fencing = l.fencing + 1, expires_at = excluded.expires_at
    WHERE l.token = ''
    RETURNING {", ".join(f"l.{name}" for name in _LOCK.split(", "))}
), won AS (
    UPDATE jobs j SET
        status = 'claimed', offered_as = NULL, claimed_by = lease.holder,
        lock_token = lease.token, locked_until = lease.expires_at, fencing = lease.fencing,
        attempts = j.attempts + 1, progress = '', updated_at = :now
    FROM lease, open WHERE j.seq = open.seq AND j.offered_as IS NOT NULL
    RETURNING {_JOB}
)
SELECT {", ".join(f"lease.{name}" for name in _LOCK.split(", "))},
    {_JOB.replace("j.", "won.")} FROM lease, won
"""

# The lock's row first, in a statement of its own: the next one sees what its last holder committed.
_HOLD = """
SELECT 1 FROM locks l JOIN jobs j USING (subject_kind, subject_id)
WHERE j.job_id = :job_id FOR UPDATE OF l
"""

_COMPLETE = f"""
WITH won AS (
    UPDATE jobs j SET
        status = 'completed', claimed_by = NULL, lock_token = NULL, locked_until = NULL,
        progress = '', failure = '', updated_at = :now, result = :result, warnings = :warnings
    FROM locks l
    WHERE j.job_id = :job_id AND j.status = 'claimed' AND j.lock_token = :token
      AND l.subject_kind = j.subject_kind AND l.subject_id = j.subject_id
      AND l.token = :token AND l.expires_at > :now
    RETURNING {_JOB}
), ended AS (
    UPDATE locks l SET holder = '', token = '', expires_at = :now
    FROM won
    WHERE l.subject_kind = won.subject_kind AND l.subject_id = won.subject_id
      AND NOT EXISTS (
        SELECT 1 FROM jobs o WHERE o.subject_kind = won.subject_kind
        AND o.subject_id = won.subject_id AND o.status = 'claimed'
        AND o.lock_token = :token AND o.job_id <> :job_id)
)
SELECT {_JOB.replace("j.", "won.")} FROM won
"""

_TEXTS = ("subject_kind", "subject_id", "agent_id", "token", "job_id", "result", "warnings")
_NUMBERS = ("now", "until", "at_least")
_LISTS = ("capabilities", "job_types", "job_ids")


def _compile(query: str) -> Statement:
    types: dict[str, Any] = dict.fromkeys(_TEXTS, Text()) | dict.fromkeys(_NUMBERS, BigInteger())
    types |= dict.fromkeys(_LISTS, ARRAY(Text()))
    named = [bindparam(n, type_=t) for n, t in types.items() if re.search(rf":{n}\b", query)]
    return POSTGRES.compile(text(query).bindparams(*named))


@frozen(kw_only=True)
class ClaimStatements:
    """The statements of this module, built once."""

    claim: Statement
    hold: Statement
    complete: Statement

    @classmethod
    def build(cls) -> ClaimStatements:
        """Compile them."""
        return cls(claim=_compile(_CLAIM), hold=_compile(_HOLD), complete=_compile(_COMPLETE))


class PostgresTransaction(SqlTransaction):
    """The transaction with the short ways of PostgreSQL."""

    def __init__(self, session: Session, statements: Statements, claims: ClaimStatements) -> None:
        super().__init__(session, statements)
        self._claims = claims

    def claim(self, claim: Claim) -> Claimed:
        named = None if claim.job_ids is None else list(dict.fromkeys(claim.job_ids))
        self._session.serialise(f"lock {claim.subject}")
        rows = self._session.rows(
            self._claims.claim,
            {
                "subject_kind": claim.subject.kind,
                "subject_id": claim.subject.id,
                "agent_id": claim.agent_id,
                "token": claim.token,
                "now": micros(claim.now),
                "until": micros(claim.until),
                "capabilities": sorted(claim.capabilities),
                "job_types": None if claim.job_types is None else sorted(claim.job_types),
                "job_ids": named,
                "at_least": 1 if named is None else max(1, len(named)),
            },
        )
        if not rows:
            return super().claim(claim)
        jobs = sorted((job_of(row[7:]) for row in rows), key=claiming.offer_order)
        if named is not None and len(jobs) < len(named):
            raise Again
        return Claimed(lock=lock_of(rows[0][:7]), jobs=tuple(jobs))

    def complete(
        self,
        job_id: JobId,
        *,
        token: str,
        now: datetime,
        result: Mapping[str, object] | None = None,
        warnings: tuple[str, ...] = (),
    ) -> Job:
        self._session.send(self._claims.hold, {"job_id": job_id})
        said = {"result": dump(result), "warnings": dump(warnings)}
        values = {"job_id": job_id, "token": token or "", "now": micros(now), **said}
        rows = self._session.rows(self._claims.complete, values)
        if rows:
            return job_of(rows[0])
        return super().complete(job_id, token=token, now=now, result=result, warnings=warnings)
