"""The short ways of SQLite: lists of jobs in one statement, claims and submits in two where nothing hinders.

Nobody comes in between; the first of two does all or nothing. Where it did nothing, the rules of `job_store`
are applied step by step: they know what to do about it, or how to refuse it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Text, bindparam, text, union_all

from retaia_core.domain.identifiers import JobId, Subject
from retaia_core.domain.jobs import Job, Offer
from retaia_core.errors import RetaiaError
from retaia_core.ports import claiming
from retaia_core.ports.store import Claim, ClaimableQuery, Claimed, Completion

from .dialects import SQLITE, Row, Statement
from .job_rows import COLUMNS, KEPT, job_of, of_claim, offers_of
from .job_store import offered_of
from .session import Session
from .transaction import SqlTransaction, Statements
from .values import dump, micros

_JOB = ", ".join(COLUMNS)
_KEPT = ", ".join(KEPT)

_OPEN = """
j.subject_kind = :subject_kind AND j.subject_id = :subject_id
    AND j.offered_as IS NOT NULL AND (j.not_before IS NULL OR j.not_before <= :now)
"""
# Most jobs need one capability, which is found among all (between commas) without taking texts apart.
_WANTED = """
    AND (instr(:able, ',' || j.capabilities || ',') > 0 OR NOT EXISTS (
        SELECT 1 FROM json_each('["' || replace(j.capabilities, ',', '","') || '"]') need
        WHERE need.value <> '' AND instr(:able, ',' || need.value || ',') = 0))
    AND (:job_types IS NULL OR j.job_type IN (SELECT value FROM json_each(:job_types)))
    AND (:job_ids IS NULL OR j.job_id IN (SELECT value FROM json_each(:job_ids)))
"""
_SUBJECT = "subject_kind = :subject_kind AND subject_id = :subject_id"
_TAKE = f"""
UPDATE jobs AS j SET
    status = 'claimed', offered_as = NULL, claimed_by = :agent_id, lock_token = :token,
    locked_until = :until, attempts = j.attempts + 1, progress = '', updated_at = :now,
    fencing = 1 + coalesce((SELECT fencing FROM locks WHERE {_SUBJECT}), 0)
WHERE {_OPEN} {_WANTED}
  AND NOT EXISTS (SELECT 1 FROM jobs other WHERE {_SUBJECT} AND other.status = 'claimed')
  AND NOT EXISTS (SELECT 1 FROM locks WHERE {_SUBJECT} AND token <> '')
RETURNING {_KEPT}
"""
_COUNT = f"SELECT count(*) FROM jobs j WHERE {_OPEN} {_WANTED}"
_COMPLETE = """
UPDATE jobs AS j SET
    status = 'completed', claimed_by = NULL, lock_token = NULL, locked_until = NULL,
    progress = '', failure = '', updated_at = :now, result = :result, warnings = :warnings
WHERE j.job_id = :job_id AND j.status = 'claimed' AND j.lock_token = :token
  AND EXISTS (
    SELECT 1 FROM locks l WHERE l.subject_kind = j.subject_kind AND l.subject_id = j.subject_id
    AND l.token = :token AND l.expires_at > :now)
RETURNING {told}
"""

_TEXTS = (
    *("subject_kind", "subject_id", "agent_id", "token", "job_id", "result", "warnings"),
    *("able", "job_types", "job_ids"),
)
_NUMBERS = ("now", "until")


def _compile(query: str) -> Statement:
    types: dict[str, Any] = dict.fromkeys(_TEXTS, Text()) | dict.fromkeys(_NUMBERS, BigInteger())
    named = [bindparam(n, type_=t) for n, t in types.items() if re.search(rf":{n}\b", query)]
    return SQLITE.compile(text(query).bindparams(*named))


@cache
def _offered(lanes: int) -> Statement:
    """The first jobs of so many lanes: SQLite walks their places in the index in step, no further."""
    every = union_all(*(offered_of(f"lane_{n}") for n in range(lanes)))
    every = every.order_by(text("priority DESC, created_at, job_id"))
    return SQLITE.compile(every.limit(bindparam("limit")))


class SqliteTransaction(SqlTransaction):
    """The transaction with the short ways of SQLite, where nobody comes in between statements."""

    def __init__(self, session: Session, statements: Statements) -> None:
        super().__init__(session, statements)
        self._take = _compile(_TAKE)
        self._count = _compile(_COUNT)
        self._complete = _compile(_COMPLETE.format(told=_JOB))
        self._finish = _compile(_COMPLETE.format(told="subject_kind, subject_id"))

    def claimable(self, query: ClaimableQuery) -> Sequence[Offer]:
        lanes = {f"lane_{n}": lane for n, lane in enumerate(self._open_lanes(query))}
        if not lanes:
            return []
        values = {"now": micros(query.now), "agent_id": query.agent_id, "limit": query.limit}
        return offers_of(self._session.rows(_offered(len(lanes)), values | lanes))

    def claim(self, claim: Claim) -> Claimed:
        named = None if claim.job_ids is None else list(dict.fromkeys(claim.job_ids))
        values = _values(claim, named)
        rows: Sequence[Row] = ()
        if named is None or self._session.rows(self._count, values)[0][0] == len(named):
            rows = self._session.rows(self._take, values)
        if not rows:
            return super().claim(claim)
        same = of_claim(claim)
        claimed = claiming.won(claim, [job_of(row + same) for row in rows])
        self.save_lock(claimed.lock)
        return claimed

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

    def complete_all(
        self, completions: Sequence[Completion], *, now: datetime
    ) -> Sequence[RetaiaError | None]:
        def finish(one: Completion) -> None:
            job_id, token, result, warnings = one.job_id, one.token, one.result, one.warnings
            values = _submit(job_id, token, now, result, warnings)
            rows = self._session.rows(self._finish, values)
            if not rows:
                super(SqliteTransaction, self).complete(
                    job_id, token=token, now=now, result=result, warnings=warnings
                )
                return
            ((kind, identity),) = rows
            self._end_lease(Subject(kind=kind, id=identity), token, now)

        return claiming.one_by_one(finish, completions)


def _submit(
    job_id: JobId,
    token: str,
    now: datetime,
    result: Mapping[str, object] | None,
    warnings: tuple[str, ...],
) -> dict[str, object]:
    said = {"result": dump(result), "warnings": dump(warnings)}
    return {"job_id": job_id, "token": token or "", "now": micros(now), **said}


def _values(claim: Claim, named: Sequence[JobId] | None) -> dict[str, object]:
    types = claim.job_types
    return {
        "subject_kind": claim.subject.kind,
        "subject_id": claim.subject.id,
        "agent_id": claim.agent_id,
        "token": claim.token,
        "now": micros(claim.now),
        "until": micros(claim.until),
        "able": f",{','.join(claim.capabilities)},",
        "job_types": None if types is None else SQLITE.array(tuple(types)),
        "job_ids": None if named is None else SQLITE.array(named),
    }
