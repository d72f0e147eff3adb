"""Claims and submits on PostgreSQL: one statement for several, where nothing stands in the way.

What such a statement did not do, the rules of `job_store` are applied to, one by one: they know what to
do about it, or how to refuse it. The items travel as one JSON parameter, which costs a small part of
what a parameter for each list would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from attrs import field, frozen
from sqlalchemy import BigInteger, Text, bindparam, text

from retaia_core.domain.identifiers import JobId
from retaia_core.domain.jobs import Job
from retaia_core.domain.leases import Lock, LockKind
from retaia_core.errors import RetaiaError
from retaia_core.ports import claiming
from retaia_core.ports.store import Claim, Claimed, Completion

from .dialects import POSTGRES, Row, Statement
from .job_rows import COLUMNS, job_of
from .schema import locks
from .session import Again, Session
from .transaction import SqlTransaction, Statements
from .values import dump, micros

_LOCK = ", ".join(column.name for column in locks.c)
_JOB = ", ".join(f"won.{name}" for name in COLUMNS)
_DONE = ", ".join(f"done.{name}" for name in COLUMNS)

# Rows are locked in the order of their keys, so that two such statements do not lock each other out.
_CLAIM = f"""
WITH wish AS (
    SELECT * FROM json_to_recordset(CAST(:wishes AS json)) AS w (
        subject_kind text COLLATE "C", subject_id text COLLATE "C", agent_id text, token text,
        now bigint, until bigint, capabilities text[], job_types text[], job_ids text[],
        at_least bigint)
), member AS (
    SELECT w.token, j.job_id, j.status = 'claimed' AS held,
        j.offered_as IS NOT NULL AND (j.not_before IS NULL OR j.not_before <= w.now)
        AND string_to_array(j.capabilities, ',') <@ w.capabilities
        AND (w.job_types IS NULL OR j.job_type = ANY (w.job_types))
        AND (w.job_ids IS NULL OR j.job_id = ANY (w.job_ids)) AS open
    FROM wish w JOIN jobs j ON j.subject_kind = w.subject_kind AND j.subject_id = w.subject_id
), ready AS (
    SELECT token, count(*) FILTER (WHERE open) AS open FROM member GROUP BY token
    HAVING NOT bool_or(held)
), lease AS (
    INSERT INTO locks AS l ({_LOCK})
    SELECT w.subject_kind, w.subject_id, 'job_lease', w.agent_id, w.token, 1, w.until
    FROM wish w JOIN ready USING (token) WHERE ready.open >= w.at_least
    ORDER BY w.subject_kind, w.subject_id
    ON CONFLICT (subject_kind, subject_id) DO UPDATE SET
        kind = excluded.kind, holder = excluded.holder, token = excluded.token,
        fencing = l.fencing + 1, expires_at = excluded.expires_at
    WHERE l.token = ''
    RETURNING l.token, l.fencing
), won AS (
    UPDATE jobs AS j SET
        status = 'claimed', offered_as = NULL, claimed_by = w.agent_id, lock_token = w.token,
        locked_until = w.until, fencing = lease.fencing, attempts = j.attempts + 1, progress = '',
        updated_at = w.now
    FROM wish w JOIN lease USING (token) JOIN member USING (token)
    WHERE member.open AND j.job_id = member.job_id AND j.offered_as IS NOT NULL
    RETURNING j.*
)
SELECT lease.token, {_JOB} FROM lease LEFT JOIN won ON won.lock_token = lease.token
ORDER BY lease.token
"""

# The locks' rows first, in a statement of its own: the next one sees what their last holders committed.
_HOLD = """
WITH held AS (
    SELECT 1 FROM locks l WHERE (l.subject_kind, l.subject_id) IN (
        SELECT j.subject_kind, j.subject_id
        FROM json_array_elements_text(CAST(:job_ids AS json)) AS given (job_id)
        JOIN jobs j ON j.job_id = given.job_id)
    ORDER BY l.subject_kind, l.subject_id FOR UPDATE OF l)
SELECT count(*) FROM held
"""
_COMPLETE = """
WITH given AS (
    SELECT * FROM json_to_recordset(CAST(:given AS json)) AS g (
        job_id text COLLATE "C", token text, result text, warnings text)
), done AS (
    UPDATE jobs AS j SET
        status = 'completed', claimed_by = NULL, lock_token = NULL, locked_until = NULL,
        progress = '', failure = '', updated_at = :now, result = g.result, warnings = g.warnings
    FROM given g, locks l
    WHERE j.job_id = g.job_id AND j.status = 'claimed' AND j.lock_token = g.token
      AND l.subject_kind = j.subject_kind AND l.subject_id = j.subject_id
      AND l.token = g.token AND l.expires_at > :now
    RETURNING {returned}, j.subject_kind AS of_kind, j.subject_id AS of_id, g.token AS under
), spent AS (
    SELECT DISTINCT of_kind, of_id, under FROM done WHERE NOT EXISTS (
        SELECT 1 FROM jobs o WHERE o.subject_kind = of_kind AND o.subject_id = of_id
        AND o.status = 'claimed' AND o.lock_token = under
        AND o.job_id NOT IN (SELECT job_id FROM done))
), ended AS (
    UPDATE locks l SET holder = '', token = '', expires_at = :now FROM spent
    WHERE l.subject_kind = of_kind AND l.subject_id = of_id
)
SELECT {selected} FROM done
"""


def _compile(query: str, **types: type[Text] | type[BigInteger]) -> Statement:
    named = [bindparam(name, type_=kind()) for name, kind in types.items()]
    return POSTGRES.compile(text(query).bindparams(*named))


@frozen(kw_only=True)
class PostgresWays:
    """The statements of these short ways, built once for many transactions."""

    claim: Statement = field(factory=lambda: _compile(_CLAIM, wishes=Text))
    hold: Statement = field(factory=lambda: _compile(_HOLD, job_ids=Text))
    complete: Statement = field(factory=lambda: _completing("j.*", _DONE))
    complete_all: Statement = field(factory=lambda: _completing("j.job_id", "done.job_id"))


def _completing(returned: str, selected: str) -> Statement:
    query = _COMPLETE.format(returned=returned, selected=selected)
    return _compile(query, given=Text, now=BigInteger)


class PostgresTransaction(SqlTransaction):
    """The transaction with the short ways of PostgreSQL: one round trip each, for however many."""

    def __init__(self, session: Session, statements: Statements, ways: PostgresWays) -> None:
        super().__init__(session, statements)
        self._ways = ways

    def claim(self, claim: Claim) -> Claimed:
        won = self._won([claim])
        return won[claim.token] if won else super().claim(claim)

    def claim_all(self, claims: Sequence[Claim]) -> Sequence[Claimed | RetaiaError]:
        # The others of a subject (or, by chance, of a token) come after its first.
        first = {claim.subject: claim for claim in reversed(claims)}
        together = {claim.token: claim for claim in first.values()}
        won = self._won([*together.values()])

        def settle(claim: Claim) -> Claimed:
            if together.get(claim.token) is claim and claim.token in won:
                return won.pop(claim.token)
            return super(PostgresTransaction, self).claim(claim)

        return claiming.one_by_one(settle, claims)

    def _won(self, claims: Sequence[Claim]) -> dict[str, Claimed]:
        """What was claimed of different subjects that nothing stood in the way of, by token."""
        if not claims:
            return {}
        rows = self._session.rows(self._ways.claim, {"wishes": dump([*map(_wish, claims)])})
        by_token = {claim.token: claim for claim in claims}
        return {
            token: _claimed(by_token[token], [row[1:] for row in members])
            for token, members in groupby(rows, key=itemgetter(0))
        }

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
        rows = self._done(self._ways.complete, [one], now)
        if rows:
            return job_of(rows[0])
        return super().complete(job_id, token=token, now=now, result=result, warnings=warnings)

    def complete_all(
        self, completions: Sequence[Completion], *, now: datetime
    ) -> Sequence[RetaiaError | None]:
        first = {one.job_id: one for one in reversed(completions)}
        done = {row[0] for row in self._done(self._ways.complete_all, [*first.values()], now)}

        def settle(one: Completion) -> None:
            if one.job_id in done and first[one.job_id] is one:
                return
            super(PostgresTransaction, self).complete(
                one.job_id, token=one.token, now=now, result=one.result, warnings=one.warnings
            )

        return claiming.one_by_one(settle, completions)

    def _done(
        self, statement: Statement, completions: Sequence[Completion], now: datetime
    ) -> Sequence[Row]:
        if not completions:
            return ()
        self._session.send(self._ways.hold, {"job_ids": dump([one.job_id for one in completions])})
        given = dump([*map(_given, completions)])
        return self._session.rows(statement, {"given": given, "now": micros(now)})


def _wish(claim: Claim) -> dict[str, object]:
    named = None if claim.job_ids is None else tuple(dict.fromkeys(claim.job_ids))
    return {
        "subject_kind": claim.subject.kind,
        "subject_id": claim.subject.id,
        "agent_id": claim.agent_id,
        "token": claim.token,
        "now": micros(claim.now),
        "until": micros(claim.until),
        "capabilities": tuple(claim.capabilities),
        "job_types": None if claim.job_types is None else tuple(claim.job_types),
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
        Again: jobs that were open when the statement began were not any more when it got their lease.
    """
    if rows[0][0] is None or (claim.job_ids is not None and len(rows) < len(set(claim.job_ids))):
        raise Again
    jobs = sorted(map(job_of, rows), key=claiming.offer_order)
    lock = Lock(
        subject=claim.subject,
        kind=LockKind.JOB_LEASE,
        holder=claim.agent_id,
        token=claim.token,
        fencing=jobs[0].fencing,
        expires_at=claim.until,
    )
    return Claimed(lock=lock, jobs=tuple(jobs))
