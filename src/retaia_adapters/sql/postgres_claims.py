"""Claims and submits on PostgreSQL: one statement for several, where nothing stands in the way.

What such a statement did not do, the rules of `job_store` are applied to, one by one: they know what to
do about it, or how to refuse it. The items travel as one JSON parameter, which costs a small part of
what a parameter for each list would.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from attrs import field, frozen
from sqlalchemy import BigInteger, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from retaia_core.domain.identifiers import JobId
from retaia_core.domain.jobs import Job, JobStatus
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

# One claim is not a list of one: reading a list and joining with it costs more than the claim does.
_CLAIM = f"""
WITH lease AS (
    INSERT INTO locks AS l ({_LOCK})
    SELECT :subject_kind, :subject_id, 'job_lease', :agent_id, :token, 1, :until WHERE (
        SELECT count(*) FILTER (WHERE {_due(":")}) >= :at_least AND NOT bool_or(j.status = 'claimed')
        FROM jobs j WHERE j.subject_kind = :subject_kind AND j.subject_id = :subject_id)
    {_TAKE}
), won AS (
    UPDATE jobs AS j SET
        status = 'claimed', offered_as = NULL, claimed_by = :agent_id, lock_token = lease.token,
        locked_until = :until, fencing = lease.fencing, attempts = j.attempts + 1, progress = '',
        updated_at = :now
    FROM lease WHERE j.subject_kind = :subject_kind AND j.subject_id = :subject_id AND {_due(":")}
    RETURNING {_of("j", *COLUMNS)}
)
SELECT lease.token, won.* FROM lease LEFT JOIN won ON true
"""

# Every table is looked into by key, from a list that was made before: a plan that was made while the
# tables were small must not walk them when they have grown. Rows are locked in the order of their keys,
# so that two such statements do not lock each other out.
_CLAIM_ALL = f"""
WITH ready AS MATERIALIZED (
    SELECT w.*, member.ids FROM json_to_recordset(CAST(:wishes AS json)) AS w (
        subject_kind text, subject_id text, agent_id text, token text, now bigint, until bigint,
        capabilities text[], job_types text[], job_ids text[], at_least bigint)
    CROSS JOIN LATERAL (
        SELECT bool_or(j.status = 'claimed') AS held, array_agg(j.job_id) FILTER (
            WHERE {_due("w.")}) AS ids
        FROM jobs j WHERE j.subject_kind = w.subject_kind AND j.subject_id = w.subject_id
    ) AS member
    WHERE NOT member.held AND cardinality(member.ids) >= w.at_least
), lease AS (
    INSERT INTO locks AS l ({_LOCK})
    SELECT subject_kind, subject_id, 'job_lease', agent_id, token, 1, until FROM ready
    ORDER BY subject_kind COLLATE "C", subject_id COLLATE "C"
    {_TAKE}
), won AS (
    UPDATE jobs AS j SET
        status = 'claimed', offered_as = NULL, claimed_by = m.agent_id, lock_token = m.token,
        locked_until = m.until, fencing = m.fencing, attempts = j.attempts + 1, progress = '',
        updated_at = m.now
    FROM (
        SELECT ready.*, lease.fencing, unnest(ready.ids) AS job_id
        FROM lease JOIN ready ON ready.token = lease.token
    ) AS m
    WHERE j.job_id = ANY (ARRAY(SELECT unnest(ids) FROM ready)) AND j.job_id = m.job_id
      AND j.offered_as IS NOT NULL
    RETURNING {_of("j", *COLUMNS)}
)
SELECT lease.token, won.* FROM lease LEFT JOIN won ON won.lock_token = lease.token
ORDER BY lease.token
"""

# The locks' rows first, in a statement of its own: the next one sees what their last holders committed.
_HOLD = """
SELECT 1 FROM locks l JOIN jobs j USING (subject_kind, subject_id)
WHERE j.job_id = :job_id FOR UPDATE OF l
"""
_HOLD_ALL = """
WITH subject AS MATERIALIZED (
    SELECT DISTINCT j.subject_kind, j.subject_id FROM jobs j
    WHERE j.job_id = ANY (ARRAY(SELECT json_array_elements_text(CAST(:all_ids AS json))))
    ORDER BY 1, 2
)
SELECT count(*) FROM subject CROSS JOIN LATERAL (
    SELECT l.fencing FROM locks l
    WHERE l.subject_kind = subject.subject_kind AND l.subject_id = subject.subject_id FOR UPDATE
) AS held
"""
_COMPLETE = f"""
WITH done AS (
    UPDATE jobs AS j SET
        status = 'completed', claimed_by = NULL, lock_token = NULL, locked_until = NULL,
        progress = '', failure = '', updated_at = :now, result = :result, warnings = :warnings
    FROM locks l
    WHERE j.job_id = :job_id AND j.status = :claimed AND j.lock_token = :token
      AND l.subject_kind = j.subject_kind AND l.subject_id = j.subject_id
      AND l.token = :token AND l.expires_at > :now
    RETURNING {_of("j", *COLUMNS)}
), ended AS (
    UPDATE locks l SET holder = '', token = '', expires_at = :now FROM done
    WHERE l.subject_kind = done.subject_kind AND l.subject_id = done.subject_id AND NOT EXISTS (
        SELECT 1 FROM jobs o
        WHERE o.subject_kind = done.subject_kind AND o.subject_id = done.subject_id
        AND o.status = :claimed AND o.lock_token = :token AND o.job_id <> done.job_id OFFSET 0)
)
SELECT * FROM done
"""
_COMPLETE_ALL = """
WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:all_given AS json)) AS g (
        job_id text, token text, result text, warnings text)
), done AS (
    UPDATE jobs AS j SET
        status = 'completed', claimed_by = NULL, lock_token = NULL, locked_until = NULL,
        progress = '', failure = '', updated_at = :now, result = g.result, warnings = g.warnings
    FROM given g
    WHERE j.job_id = ANY (ARRAY(SELECT job_id FROM given)) AND j.job_id = g.job_id
      AND j.status = :claimed AND j.lock_token = g.token AND EXISTS (
        SELECT 1 FROM locks l WHERE l.subject_kind = j.subject_kind AND l.subject_id = j.subject_id
        AND l.token = g.token AND l.expires_at > :now OFFSET 0)
    RETURNING j.job_id, j.subject_kind AS of_kind, j.subject_id AS of_id, g.token AS under
), spent AS MATERIALIZED (
    SELECT of_kind, of_id, under FROM done GROUP BY of_kind, of_id, under HAVING NOT EXISTS (
        SELECT 1 FROM jobs o WHERE o.subject_kind = of_kind AND o.subject_id = of_id
        AND o.status = :claimed AND o.lock_token = under
        AND o.job_id NOT IN (SELECT job_id FROM done) OFFSET 0)
), ended AS (
    UPDATE locks l SET holder = '', token = '', expires_at = :now FROM spent
    WHERE l.subject_kind = of_kind AND l.subject_id = of_id
)
SELECT job_id FROM done
"""


_TYPES: Mapping[str, Any] = {
    **dict.fromkeys(("wishes", "all_given", "all_ids", "claimed"), Text()),
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
    hold: Statement = field(factory=lambda: _compile(_HOLD))
    hold_all: Statement = field(factory=lambda: _compile(_HOLD_ALL))
    complete: Statement = field(factory=lambda: _compile(_COMPLETE))
    complete_all: Statement = field(factory=lambda: _compile(_COMPLETE_ALL))


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
        wishes = [*map(_wish, claims)]
        one, several = self._ways.claim, self._ways.claim_all
        if len(wishes) == 1:
            rows = self._session.rows(one, wishes[0])
        else:
            rows = self._session.rows(several, {"wishes": dump(wishes)})
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
        rows = self._done([one], now)
        if rows:
            return job_of(rows[0])
        return super().complete(job_id, token=token, now=now, result=result, warnings=warnings)

    def complete_all(
        self, completions: Sequence[Completion], *, now: datetime
    ) -> Sequence[RetaiaError | None]:
        if not completions:
            return ()
        first = {one.job_id: one for one in reversed(completions)}
        done = {row[0] for row in self._done([*first.values()], now)}

        def settle(one: Completion) -> None:
            if one.job_id in done and first[one.job_id] is one:
                return
            super(PostgresTransaction, self).complete(
                one.job_id, token=one.token, now=now, result=one.result, warnings=one.warnings
            )

        return claiming.one_by_one(settle, completions)

    def _done(self, completions: Sequence[Completion], now: datetime) -> Sequence[Row]:
        """The rows of those jobs that nothing stood in the way of; whole ones where there is only one."""
        given, ways = [*map(_given, completions)], self._ways
        fixed = {"now": micros(now), "claimed": JobStatus.CLAIMED.value}
        if len(given) == 1:
            self._session.send(ways.hold, given[0])
            return self._session.rows(ways.complete, given[0] | fixed)
        self._session.send(ways.hold_all, {"all_ids": dump([one["job_id"] for one in given])})
        return self._session.rows(ways.complete_all, {"all_given": dump(given), **fixed})


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
        Again: jobs that were open when the statement began were not any more when it got their lease.
    """
    if rows[0][0] is None or (claim.job_ids is not None and len(rows) < len(set(claim.job_ids))):
        raise Again
    return claiming.won(claim, map(job_of, rows))
