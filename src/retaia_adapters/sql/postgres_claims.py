"""Claims and submits on PostgreSQL: one statement for several, where nothing stands in the way.

What such a statement did not do, the rules of `job_store` are applied to, one by one: they know what to
do about it, or how to refuse it. The items travel as one JSON parameter, which costs a small part of
what a parameter for each list would.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import field, frozen
from sqlalchemy import BigInteger, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from retaia_core.domain.identifiers import JobId, Subject
from retaia_core.domain.jobs import Job, JobStatus
from retaia_core.errors import RetaiaError
from retaia_core.ports import claiming
from retaia_core.ports.store import Claim, Claimed, Completion

from .dialects import POSTGRES, Row, Statement
from .job_rows import COLUMNS, KEPT, job_of, of_claim
from .schema import locks
from .session import Again, Session
from .transaction import SqlTransaction, Statements
from .values import dump, micros

_LOCK = ", ".join(column.name for column in locks.c)


def _of(alias: str, *names: str) -> str:
    return ", ".join(f"{alias}.{name}" for name in names)


def _due(wish: str) -> str:
    """Whether a job ``j`` may be claimed by a wish, whose values stand behind this prefix."""
    return f"""j.offered_as IS NOT NULL AND (j.not_before IS NULL OR j.not_before <= {wish}now)
            AND string_to_array(j.capabilities, ',') <@ {wish}capabilities
            AND ({wish}job_types IS NULL OR j.job_type = ANY ({wish}job_types))
            AND ({wish}job_ids IS NULL OR j.job_id = ANY ({wish}job_ids))"""


_TAKE = """ON CONFLICT (subject_kind, subject_id) DO UPDATE SET
        kind = excluded.kind, holder = excluded.holder, token = excluded.token,
        fencing = l.fencing + 1, expires_at = excluded.expires_at
    WHERE l.token = ''
    RETURNING l.token, l.fencing"""

_TAKEN = """status = 'claimed', offered_as = NULL, attempts = j.attempts + 1, progress = ''"""
_DONE = """status = 'completed', claimed_by = NULL, lock_token = NULL, locked_until = NULL,
        progress = '', failure = '', updated_at = :now"""

# One claim is not a list of one: reading a list and joining with it costs more than the claim does.
_CLAIM = f"""
WITH lease AS (
    INSERT INTO locks AS l ({_LOCK})
    SELECT :subject_kind, :subject_id, 'job_lease', :agent_id, :token, 1, :until WHERE (
        SELECT count(*) FILTER (WHERE {_due(":")}) >= :at_least AND NOT bool_or(j.status = 'claimed')
        FROM jobs j WHERE j.subject_kind = :subject_kind AND j.subject_id = :subject_id)
    {_TAKE}
)
UPDATE jobs AS j SET
    {_TAKEN}, claimed_by = :agent_id, lock_token = lease.token, locked_until = :until,
    fencing = lease.fencing, updated_at = :now
FROM lease WHERE j.subject_kind = :subject_kind AND j.subject_id = :subject_id AND {_due(":")}
RETURNING lease.token, {_of("j", *KEPT)}
"""

# What is found in one part of a statement is changed in another by its place (``ctid``), which costs no
# second look into an index, and is no place of a version that came to be after the statement began.
# Locks are taken in the order of their keys, so that two such statements do not lock each other out.
_CLAIM_ALL = f"""
WITH ready AS MATERIALIZED (
    SELECT w.*, member.places FROM json_to_recordset(CAST(:wishes AS json)) AS w (
        subject_kind text, subject_id text, agent_id text, token text, now bigint, until bigint,
        capabilities text[], job_types text[], job_ids text[], at_least bigint)
    CROSS JOIN LATERAL (
        SELECT bool_or(j.status = 'claimed') AS held, array_agg(j.ctid) FILTER (
            WHERE {_due("w.")}) AS places
        FROM jobs j WHERE j.subject_kind = w.subject_kind AND j.subject_id = w.subject_id
    ) AS member
    WHERE NOT member.held AND cardinality(member.places) >= w.at_least
), lease AS (
    INSERT INTO locks AS l ({_LOCK})
    SELECT subject_kind, subject_id, 'job_lease', agent_id, token, 1, until FROM ready
    ORDER BY subject_kind COLLATE "C", subject_id COLLATE "C"
    {_TAKE}
)
UPDATE jobs AS j SET
    {_TAKEN}, claimed_by = m.agent_id, lock_token = m.token, locked_until = m.until,
    fencing = m.fencing, updated_at = m.now
FROM (
    SELECT ready.*, lease.fencing, unnest(ready.places) AS place
    FROM lease JOIN ready ON ready.token = lease.token
) AS m
WHERE j.ctid = ANY (ARRAY(SELECT unnest(places) FROM ready)) AND j.ctid = m.place
  AND j.offered_as IS NOT NULL
RETURNING m.token, {_of("j", *KEPT)}
"""

# The lock is taken before the job is changed. Whether another job is still held under it is said as of
# when the statement began: where the lock was changed since, its place is another one, and it stays.
_COMPLETE = f"""
WITH held AS MATERIALIZED (
    SELECT l.ctid AS place, l.subject_kind, l.subject_id
    FROM locks l JOIN jobs j USING (subject_kind, subject_id)
    WHERE j.job_id = :job_id AND l.token = :token AND l.expires_at > :now FOR UPDATE OF l
), done AS (
    UPDATE jobs AS j SET {_DONE}, result = :result, warnings = :warnings
    FROM held WHERE j.job_id = :job_id AND j.status = :claimed AND j.lock_token = :token
    RETURNING {_of("j", *COLUMNS)}
), ended AS (
    UPDATE locks l SET holder = '', token = '', expires_at = :now FROM held
    WHERE l.ctid = held.place AND EXISTS (SELECT 1 FROM done) AND NOT EXISTS (
        SELECT 1 FROM jobs o
        WHERE o.subject_kind = held.subject_kind AND o.subject_id = held.subject_id
        AND o.status = :claimed AND o.lock_token = :token AND o.job_id <> :job_id OFFSET 0)
    RETURNING 1
)
SELECT EXISTS (SELECT 1 FROM ended), done.* FROM done
"""
_COMPLETE_ALL = f"""
WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:all_given AS json)) AS g (
        job_id text, token text, result text, warnings text)
), mine AS MATERIALIZED (
    SELECT found.*, held.place AS lease FROM (
        SELECT g.*, j.ctid AS place, j.subject_kind, j.subject_id
        FROM given g JOIN jobs j USING (job_id)
        WHERE j.job_id = ANY (ARRAY(SELECT job_id FROM given))
          AND j.status = :claimed AND j.lock_token = g.token
        ORDER BY j.subject_kind, j.subject_id
    ) AS found CROSS JOIN LATERAL (
        SELECT l.ctid AS place FROM locks l
        WHERE l.subject_kind = found.subject_kind AND l.subject_id = found.subject_id
          AND l.token = found.token AND l.expires_at > :now FOR UPDATE
    ) AS held
), done AS (
    UPDATE jobs AS j SET {_DONE}, result = m.result, warnings = m.warnings
    FROM mine AS m WHERE j.ctid = m.place AND j.status = :claimed AND j.lock_token = m.token
    RETURNING m.job_id, m.subject_kind AS of_kind, m.subject_id AS of_id, m.token AS under, m.lease
), spent AS MATERIALIZED (
    SELECT of_kind, of_id, under, lease FROM done GROUP BY of_kind, of_id, under, lease
    HAVING NOT EXISTS (
        SELECT 1 FROM jobs o WHERE o.subject_kind = of_kind AND o.subject_id = of_id
        AND o.status = :claimed AND o.lock_token = under
        AND o.job_id NOT IN (SELECT job_id FROM done) OFFSET 0)
), ended AS (
    UPDATE locks l SET holder = '', token = '', expires_at = :now FROM spent
    WHERE l.ctid = spent.lease RETURNING under
)
SELECT job_id, of_kind, of_id, under FROM done UNION ALL SELECT NULL, NULL, NULL, under FROM ended
"""


_TYPES: Mapping[str, Any] = {
    **dict.fromkeys(("wishes", "all_given", "claimed"), Text()),
    **dict.fromkeys(("subject_kind", "subject_id", "agent_id", "token"), Text()),
    **dict.fromkeys(("job_id", "result", "warnings"), Text()),
    **dict.fromkeys(("now", "until", "at_least"), BigInteger()),
    **dict.fromkeys(("capabilities", "job_types", "job_ids"), ARRAY(Text())),
}


def _compile(query: str) -> Statement:
    named = [bindparam(n, type_=t) for n, t in _TYPES.items() if re.search(rf":{n}\b", query)]
    return POSTGRES.compile(text(query).bindparams(*named))


@frozen(kw_only=True)
class PostgresWays:
    """The statements of these short ways, built once for many transactions."""

    claim: Statement = field(factory=lambda: _compile(_CLAIM))
    claim_all: Statement = field(factory=lambda: _compile(_CLAIM_ALL))
    complete: Statement = field(factory=lambda: _compile(_COMPLETE))
    complete_all: Statement = field(factory=lambda: _compile(_COMPLETE_ALL))


class PostgresTransaction(SqlTransaction):
    """The transaction with the short ways of PostgreSQL: one round trip each, for however many."""

    def __init__(self, session: Session, statements: Statements, ways: PostgresWays) -> None:
        super().__init__(session, statements)
        self._ways = ways

    def claim(self, claim: Claim) -> Claimed:
        return self._won([claim]).get(claim.token) or self._claim_alone(claim)

    def claim_all(self, claims: Sequence[Claim]) -> Sequence[Claimed | RetaiaError]:
        # The others of a subject (or, by chance, of a token) come after its first.
        first = {claim.subject: claim for claim in reversed(claims)}
        together = {claim.token: claim for claim in first.values()}
        won = self._won([*together.values()])

        def settle(claim: Claim) -> Claimed:
            if together.get(claim.token) is claim and claim.token in won:
                return won.pop(claim.token)
            return self._claim_alone(claim)

        return claiming.one_by_one(settle, claims)

    def _claim_alone(self, claim: Claim) -> Claimed:
        """Claim what something stood in the way of.

        Raises:
            Again: jobs that were open when the statement began were not any more when it got their lease.
        """
        lease = self._lock(claim.subject, self._jobs.lock)
        taken = lease is not None and lease.token == claim.token
        if taken and all(job.lock_token != claim.token for job in self.jobs_of(claim.subject)):
            raise Again
        return super().claim(claim)

    def _won(self, claims: Sequence[Claim]) -> dict[str, Claimed]:
        """What was claimed of different subjects that nothing stood in the way of, by token.

        Raises:
            Again: as `_claim_alone`.
        """
        if not claims:
            return {}
        wishes = [*map(_wish, claims)]
        if len(wishes) == 1:
            rows = self._session.rows(self._ways.claim, wishes[0])
        else:
            rows = self._session.rows(self._ways.claim_all, {"wishes": dump(wishes)})
        members: dict[str, list[Row]] = {}
        for row in rows:
            members.setdefault(row[0], []).append(row[1:])
        by_token = {claim.token: claim for claim in claims}
        return {token: _claimed(by_token[token], mine) for token, mine in members.items()}

    def complete(
        self,
        job_id: JobId,
        *,
        token: str,
        now: datetime,
        result: Mapping[str, object] | None = None,
        warnings: tuple[str, ...] = (),
    ) -> Job:
        one = Completion(job_id=job_id, token=token, result=result or {}, warnings=warnings)
        done = self._done_alone(one, now)
        if done is not None:
            return done
        return super().complete(job_id, token=token, now=now, result=result, warnings=warnings)

    def complete_all(
        self, completions: Sequence[Completion], *, now: datetime
    ) -> Sequence[RetaiaError | None]:
        first = {one.job_id: one for one in reversed(completions)}
        done = self._done([*first.values()], now)

        def settle(one: Completion) -> None:
            if one.job_id in done and first[one.job_id] is one:
                return
            super(PostgresTransaction, self).complete(
                one.job_id, token=one.token, now=now, result=one.result, warnings=one.warnings
            )

        return claiming.one_by_one(settle, completions)

    def _done(self, completions: Sequence[Completion], now: datetime) -> Container[JobId]:
        """Those jobs that nothing stood in the way of."""
        if len(completions) < 2:
            return [one.job_id for one in completions if self._done_alone(one, now)]
        values = {"all_given": dump([*map(_given, completions)]), **_at(now)}
        rows = self._session.rows(self._ways.complete_all, values)
        ended = {lease[-1] for job_id, *lease in rows if job_id is None}
        left = {(kind, identity, token) for _, kind, identity, token in rows if token not in ended}
        for kind, identity, token in left:
            self._end_lease(Subject(kind=kind, id=identity), token, now)
        return {row[0] for row in rows}

    def _done_alone(self, one: Completion, now: datetime) -> Job | None:
        """The job, where nothing stood in the way of it."""
        for ended, *row in self._session.rows(self._ways.complete, _given(one) | _at(now)):
            job = job_of(tuple(row))
            if not ended:
                self._end_lease(job.subject, one.token, now)
            return job
        return None


def _at(now: datetime) -> dict[str, object]:
    return {"now": micros(now), "claimed": JobStatus.CLAIMED.value}


def _wish(claim: Claim) -> dict[str, object]:
    named = None if claim.job_ids is None else list(dict.fromkeys(claim.job_ids))
    return {
        "subject_kind": claim.subject.kind,
        "subject_id": claim.subject.id,
        "agent_id": claim.agent_id,
        "token": claim.token,
        "now": micros(claim.now),
        "until": micros(claim.until),
        "capabilities": list(claim.capabilities),
        "job_types": None if claim.job_types is None else list(claim.job_types),
        "job_ids": named,
        "at_least": 1 if named is None else max(1, len(named)),
    }


def _given(one: Completion) -> dict[str, object]:
    return {
        "job_id": one.job_id,
        "token": one.token,
        "result": dump(one.result),
        "warnings": dump(one.warnings),
    }


def _claimed(claim: Claim, rows: Sequence[Row]) -> Claimed:
    """What a claim won.

    Raises:
        Again: some of the jobs that it named were not open any more when the statement got their lease.
    """
    if claim.job_ids is not None and len(rows) < len(set(claim.job_ids)):
        raise Again
    same = of_claim(claim)
    return claiming.won(claim, [job_of(row + same) for row in rows])
