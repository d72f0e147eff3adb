"""What happens to a job at each end of a try (domain.md, *Jobs*)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.jobs import (
    BACKOFF_CAP,
    MAX_ATTEMPTS,
    Failure,
    Job,
    JobStatus,
    backoff,
    claimed,
    completed,
    failed,
    lost,
    released,
    renewed,
    superseded,
)
from retaia_core.testing import strategies
from retaia_core.testing.clock import START
from retaia_core.testing.samples import after, job

ENDS: dict[str, Callable[[Job, datetime], Job]] = {
    "completed": completed,
    "failed for good": lambda j, now: failed(j, _failure(retryable=False, at=now)),
    "failed retryably": lambda j, now: failed(j, _failure(retryable=True, at=now)),
    "lost": lost,
    "released": released,
    "renewed": renewed,
    "superseded": superseded,
}


def _failure(*, retryable: bool, at: datetime = START) -> Failure:
    return Failure(code="TIMEOUT", message="no answer", retryable=retryable, at=at)


def _taken(one: Job, now: datetime = START) -> Job:
    return claimed(one, by="a", token="t", until=now + timedelta(seconds=120), fencing=7, now=now)


class TestBackOff:
    """*A lost or retryable job returns to `pending` with a back-off and an attempt count.*."""

    @given(st.integers(-5, 10_000))
    def test_it_doubles_and_is_capped(self, attempts: int) -> None:
        """Each wait is twice the one before, from 5 s, never beyond the cap."""
        assert timedelta(seconds=5) <= backoff(attempts) <= BACKOFF_CAP
        assert backoff(attempts + 1) in (backoff(attempts), 2 * backoff(attempts), BACKOFF_CAP)
        assert backoff(attempts) <= backoff(attempts + 1)

    def test_the_first_waits(self) -> None:
        """5, 10, 20 … seconds after the first, second, third try."""
        assert [backoff(n).total_seconds() for n in range(1, 9)] == [
            *(5, 10, 20, 40, 80, 160, 320),
            600,
        ]


class TestAttempts:
    """*When attempts run out it is `failed` with its reason kept.*."""

    @given(strategies.jobs(), st.booleans())
    def test_a_failure_is_pending_or_final(self, one: Job, retryable: bool) -> None:
        """Pending again with a pause, exactly where a new try may help and tries are left."""
        failure = _failure(retryable=retryable, at=after(9))
        ended = failed(_taken(one), failure)
        assert ended.failure == failure
        assert ended.attempts == one.attempts + 1
        if retryable and ended.attempts < ended.max_attempts:
            assert ended.status is JobStatus.PENDING
            assert ended.not_before == after(9) + backoff(ended.attempts)
        else:
            assert ended.status is JobStatus.FAILED

    def test_a_job_is_tried_so_often_and_no_more(self) -> None:
        """With retryable failures alone, a job is claimed three times."""
        one, tries = job(), 0
        while one.status is JobStatus.PENDING:
            tries += 1
            one = failed(_taken(one), _failure(retryable=True))
        assert tries == MAX_ATTEMPTS == 3
        assert one.status is JobStatus.FAILED

    @given(strategies.jobs())
    def test_a_lost_job_is_claimable_at_once(self, one: Job) -> None:
        """An expired lease counts as a try, and has no pause."""
        gone = lost(_taken(one), after(120))
        assert gone.failure is not None
        assert (gone.failure.code, gone.failure.retryable) == ("LEASE_EXPIRED", True)
        assert gone.attempts == one.attempts + 1
        if gone.attempts < gone.max_attempts:
            assert (gone.status, gone.not_before) == (JobStatus.PENDING, None)
        else:
            assert gone.status is JobStatus.FAILED

    @given(strategies.jobs())
    def test_giving_back_is_no_attempt(self, one: Job) -> None:
        """An agent that stops leaves the count as it was, and the job open at once."""
        back = released(_taken(one), after(1))
        assert (back.attempts, back.status, back.not_before) == (
            one.attempts,
            JobStatus.PENDING,
            None,
        )

    @given(strategies.jobs(attempts=st.just(3), status=st.just(JobStatus.FAILED)))
    def test_a_person_may_ask_for_a_new_try(self, one: Job) -> None:
        """A renewed job has all its tries again, and no reason left over."""
        again = renewed(one, START)
        assert (again.status, again.attempts, again.failure, again.not_before) == (
            JobStatus.PENDING,
            0,
            None,
            None,
        )


class TestTheMirrorOfTheLease:
    """*While claimed, `claimed_by`, `lock_token` and `locked_until` mirror its subject's lease.*."""

    @given(strategies.jobs())
    def test_a_claim_fills_it(self, one: Job) -> None:
        """A claim is one attempt, starts progress anew, and changes nothing else."""
        taken = _taken(one)
        assert taken == evolve(
            one,
            status=JobStatus.CLAIMED,
            claimed_by="a",
            lock_token="t",
            locked_until=START + timedelta(seconds=120),
            fencing=7,
            attempts=one.attempts + 1,
            progress=None,
            updated_at=START,
        )

    @pytest.mark.parametrize("end", ENDS)
    @given(one=strategies.jobs())
    def test_every_end_empties_it(self, one: Job, end: str) -> None:
        """However a try ends, nobody holds the job, and its fencing number stays."""
        ended = ENDS[end](_taken(one), after(5))
        assert (ended.claimed_by, ended.lock_token, ended.locked_until) == (None, None, None)
        assert ended.progress is None
        assert ended.fencing == 7
        assert ended.updated_at == after(5)
        assert ended.status is not JobStatus.CLAIMED
        kept = ("job_id", "job_type", "subject", "capabilities", "parameters", "created_at")
        assert [getattr(ended, name) for name in kept] == [getattr(one, name) for name in kept]


class TestCompletion:
    """*Produces only its documented outputs.*."""

    @given(strategies.jobs(), strategies.json_objects())
    def test_it_keeps_result_and_warnings_and_drops_the_failure(
        self, one: Job, result: dict[str, object]
    ) -> None:
        """A completed job has no failure; without a result it has an empty one."""
        done = completed(_taken(one), after(1), result=result, warnings=("w",))
        assert (done.status, done.failure) == (JobStatus.COMPLETED, None)
        assert (done.result, done.warnings) == (result, ("w",))
        assert completed(_taken(one), after(1)).result == {}


class TestOpenJobs:
    """`pending → claimed → completed | failed`."""

    @pytest.mark.parametrize("status", JobStatus)
    def test_only_pending_and_claimed_are_open(self, status: JobStatus) -> None:
        """Work may still come of those two."""
        assert job(status=status).open is (status in (JobStatus.PENDING, JobStatus.CLAIMED))

    def test_a_superseded_job_is_closed_with_a_reason(self) -> None:
        """What belongs to an older review neither waits nor is tried again."""
        closed = superseded(job(waiting=True), START)
        assert not closed.open
        assert not closed.waiting
        assert closed.failure is not None
        assert (closed.failure.code, closed.failure.retryable) == ("SUPERSEDED", False)
