"""Claims: who gets a subject and its jobs (domain.md, *Claims, leases, fencing*)."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from ...domain.identifiers import AgentId, Capability
from ...domain.jobs import MAX_ATTEMPTS, JobStatus
from ...domain.leases import Lock, LockKind, release
from ...errors import NotFound, StateConflict
from ...ports.store import Claimed
from ..clock import START
from ..samples import (
    ALICE,
    BOB,
    FACTS,
    LATE,
    PROXY,
    after,
    asset,
    job,
    job_id,
    lock,
    plugin_subject,
)
from .claiming import (
    OVER,
    SUBJECT,
    add,
    claim,
    claiming,
    completing,
    ids,
    lease,
    offers,
    refused,
    saving,
    stored,
    wish,
)
from .database import Database, StoreSuite


class ClaimRules(StoreSuite):
    """A claim is atomic: exactly one of any number of claimants wins the subject and its jobs."""

    def test_a_claim_takes_the_lease_and_the_job(self, db: Database) -> None:
        """The lease and each of its jobs say the same: holder, token, expiry, fencing."""
        add(db, job())
        won = claim(db)
        assert won.lock == Lock(
            subject=SUBJECT,
            kind=LockKind.JOB_LEASE,
            holder=ALICE,
            token=wish().token,
            fencing=1,
            expires_at=START + LATE,
        )
        [held] = won.jobs
        assert (held.status, held.claimed_by, held.attempts) == (JobStatus.CLAIMED, ALICE, 1)
        assert (held.lock_token, held.locked_until) == (won.lock.token, won.lock.expires_at)
        assert (held.fencing, held.updated_at) == (1, START)
        assert stored(db) == held
        assert lease(db) == won.lock

    def test_a_bundle_is_everything_the_agent_can_do(self, db: Database) -> None:
        """Without ids, all open jobs of the subject that fit are claimed, in the order of offers."""
        add(
            db,
            job(1),
            job(2, priority=5, capabilities=frozenset({PROXY})),
            job(3, capabilities=frozenset({Capability("speech.transcription@1")})),
            job(4, waiting=True),
            job(5, not_before=after(1)),
            job(6, status=JobStatus.COMPLETED),
            job(7, status=JobStatus.FAILED),
            job(8, of=2),
            job(9, not_before=START),
        )
        assert ids(claim(db)) == [job_id(n) for n in (2, 1, 9)]

    def test_named_jobs_only(self, db: Database) -> None:
        """With ids, only those are claimed; the others stay open under the lease."""
        add(db, job(1), job(2), job(3))
        assert ids(claim(db, job_ids=(job_id(3), job_id(1)))) == [job_id(1), job_id(3)]
        assert stored(db, 2) == job(2)

    def test_named_job_types_only(self, db: Database) -> None:
        """With job types, only those are claimed."""
        add(db, job(1), job(2, job_type="generate_proxy"))
        assert ids(claim(db, job_types=frozenset({"generate_proxy"}))) == [job_id(2)]

    def test_capabilities_match_strictly(self, db: Database) -> None:
        """The agent must have every capability of the job; major versions are different things."""
        add(db, job(1, capabilities=frozenset({FACTS, PROXY})))
        for offered in ({FACTS}, {PROXY}, {Capability("media.facts@2"), PROXY}, set()):
            few = frozenset(offered)
            assert offers(db, capabilities=few) == []
            refused(db, StateConflict, claiming(wish(capabilities=few)))
        assert offers(db, capabilities=frozenset({FACTS, PROXY, Capability("x.y@1")})) == [job_id()]

    def test_a_job_without_capabilities_is_anybodys(self, db: Database) -> None:
        """A job that needs nothing fits every agent."""
        add(db, job(capabilities=frozenset()))
        assert offers(db, capabilities=frozenset()) == [job_id()]
        assert ids(claim(db, capabilities=frozenset())) == [job_id()]

    def test_an_unknown_job_is_not_found(self, db: Database) -> None:
        """A named job that does not exist refuses the whole claim."""
        add(db, job(1))
        refused(db, NotFound, claiming(wish(job_ids=(job_id(1), job_id(99)))))

    def test_a_job_of_another_subject_is_never_claimed(self, db: Database) -> None:
        """A lease of one subject cannot take another's job."""
        add(db, job(1), job(2, of=2))
        refused(db, NotFound, claiming(wish(job_ids=(job_id(2),))))

    @pytest.mark.parametrize(
        "state",
        [
            {"status": JobStatus.COMPLETED},
            {"status": JobStatus.FAILED},
            {"waiting": True},
            {"not_before": after(0.000001)},
        ],
        ids=str,
    )
    def test_a_job_that_cannot_be_claimed_now_is_refused(
        self, db: Database, state: dict[str, Any]
    ) -> None:
        """What is done, waits, or is not due is neither offered nor given."""
        add(db, job(**state))
        assert offers(db) == []
        refused(db, StateConflict, claiming(wish(job_ids=(job_id(),))))
        refused(db, StateConflict, claiming(wish()))

    def test_a_subject_without_jobs_is_refused(self, db: Database) -> None:
        """A claim that wins no job takes no lease."""
        refused(db, StateConflict, claiming(wish()))
        assert db.read(lambda tx: tx.lock(SUBJECT)) is None

    def test_nobody_else_while_one_holds(self, db: Database) -> None:
        """While one agent holds a job, no other gets or sees another job of the subject."""
        add(db, job(1), job(2))
        claim(db, job_ids=(job_id(1),))
        assert offers(db, BOB, at=OVER - 0.000001) == []
        assert offers(db, ALICE) == [job_id(2)]
        refused(db, StateConflict, claiming(wish(BOB, at=OVER - 0.000001)))

    def test_of_many_claimants_one_wins(self, db: Database) -> None:
        """Twenty agents claim at the same time: one gets all the jobs, the others a conflict."""
        add(db, *(job(n) for n in range(1, 5)))
        wishes = [wish(AgentId(f"agent-{n}")) for n in range(20)]
        outcomes = db.race([claiming(each) for each in wishes])
        won = [outcome for outcome in outcomes if isinstance(outcome, Claimed)]
        assert len(won) == 1
        assert sum(isinstance(outcome, StateConflict) for outcome in outcomes) == 19
        assert ids(won[0]) == [job_id(n) for n in range(1, 5)]
        assert {stored(db, n).claimed_by for n in range(1, 5)} == {won[0].lock.holder}
        assert lease(db) == won[0].lock

    def test_of_many_claimants_one_wins_each_job(self, db: Database) -> None:
        """The same holds where each names a job: the subject is what is reserved."""
        add(db, *(job(n) for n in range(1, 21)))
        wishes = [wish(AgentId(f"agent-{n}"), job_ids=(job_id(n),)) for n in range(1, 21)]
        outcomes = db.race([claiming(each) for each in wishes])
        assert sum(isinstance(outcome, Claimed) for outcome in outcomes) == 1

    def test_of_many_claimants_of_an_expired_lease_one_wins(self, db: Database) -> None:
        """The race for what a dead agent left has one winner too."""
        add(db, job(1))
        claim(db)
        wishes = [wish(AgentId(f"agent-{n}"), at=OVER) for n in range(20)]
        outcomes = db.race([claiming(each) for each in wishes])
        won = [outcome for outcome in outcomes if isinstance(outcome, Claimed)]
        assert [w.lock.fencing for w in won] == [2]
        assert stored(db).attempts == 2

    def test_claims_of_different_subjects_do_not_meet(self, db: Database) -> None:
        """Twenty agents that claim twenty assets all win."""
        add(db, *(job(n, of=n) for n in range(1, 21)))
        wishes = [wish(AgentId(f"a{n}"), subject=asset(n).subject) for n in range(1, 21)]
        outcomes = db.race([claiming(each) for each in wishes])
        assert all(isinstance(outcome, Claimed) for outcome in outcomes)

    def test_one_joins_ones_own_lease(self, db: Database) -> None:
        """A second claim of the holder keeps token and fencing, moves the expiry, adds its jobs."""
        add(db, job(1), job(2))
        first = claim(db, job_ids=(job_id(1),))
        second = claim(db, at=60, job_ids=(job_id(2),))
        assert second.lock == evolve(first.lock, expires_at=after(60) + LATE)
        assert ids(second) == [job_id(2)]
        for n in (1, 2):
            held = stored(db, n)
            assert held.status is JobStatus.CLAIMED
            assert (held.lock_token, held.locked_until) == (first.lock.token, after(60) + LATE)
            assert (held.attempts, held.fencing) == (1, 1)

    def test_joining_never_shortens_a_lease(self, db: Database) -> None:
        """A later claim with an earlier end leaves the expiry where it was."""
        add(db, job(1), job(2))
        claim(db, job_ids=(job_id(1),))
        assert claim(db, at=1, until=after(10)).lock.expires_at == START + LATE
        assert stored(db, 2).locked_until == START + LATE

    def test_what_one_holds_is_not_claimed_again(self, db: Database) -> None:
        """A claim of the holder for a job under way wins nothing and is refused."""
        add(db, job())
        claim(db)
        refused(db, StateConflict, claiming(wish(at=1)))

    @pytest.mark.parametrize("kind", [LockKind.ASSET_MOVE_LOCK, LockKind.ASSET_PURGE_LOCK])
    def test_a_move_or_purge_lock_keeps_everybody_out(self, db: Database, kind: LockKind) -> None:
        """Not even the holder of a move or purge lock can claim under it, or is offered anything."""
        add(db, job())
        db.write(saving(lock(kind=kind, holder=ALICE)))
        assert offers(db) == offers(db, BOB) == []
        refused(db, StateConflict, claiming(wish()))

    def test_an_expired_lease_is_claimed_at_once(self, db: Database) -> None:
        """At the instant of expiry the jobs are another's: lost once, with a higher fencing number."""
        add(db, job(1), job(2))
        first = claim(db, job_ids=(job_id(1),))
        second = claim(db, BOB, at=OVER)
        assert ids(second) == [job_id(1), job_id(2)]
        assert second.lock.fencing > first.lock.fencing
        assert (second.lock.holder, second.lock.token) == (BOB, wish(BOB, OVER).token)
        again = stored(db, 1)
        assert (again.claimed_by, again.attempts, again.fencing) == (BOB, 2, second.lock.fencing)
        assert again.failure is not None
        assert again.failure.code == "LEASE_EXPIRED"

    def test_ones_own_expired_lease_is_not_joined(self, db: Database) -> None:
        """The former holder starts anew, with a new token and a higher fencing number."""
        add(db, job(1), job(2))
        first = claim(db, job_ids=(job_id(1),))
        second = claim(db, at=OVER)
        assert second.lock.token != first.lock.token
        assert second.lock.fencing == first.lock.fencing + 1
        assert ids(second) == [job_id(1), job_id(2)]

    def test_a_job_lost_for_the_last_time_is_failed(self, db: Database) -> None:
        """A job whose tries are used up is failed by the next claim of its subject, not claimed."""
        add(db, job(1, attempts=MAX_ATTEMPTS - 1), job(2))
        claim(db, job_ids=(job_id(1),))
        assert ids(claim(db, BOB, at=OVER)) == [job_id(2)]
        failed = stored(db, 1)
        assert failed.status is JobStatus.FAILED
        assert (failed.claimed_by, failed.lock_token, failed.locked_until) == (None, None, None)
        assert failed.failure is not None
        assert failed.failure.code == "LEASE_EXPIRED"

    def test_fencing_only_grows(self, db: Database) -> None:
        """Across completion, release and expiry, no fencing number of a subject comes again."""
        add(db, *(job(n) for n in range(1, 6)))
        numbers = []
        for n in range(1, 6):
            agent, at = (ALICE, BOB)[n % 2], 1000 * n
            won = claim(db, agent, at=at, job_ids=(job_id(n),))
            numbers.append(won.lock.fencing)
            if n % 3 == 1:
                db.write(completing(n, won.lock.token, at=at + 1))
            elif n % 3 == 2:
                db.write(saving(release(won.lock, after(at + 1))))
        assert numbers == sorted(set(numbers))

    def test_a_subject_need_not_be_an_asset(self, db: Database) -> None:
        """Jobs about what a plugin brings are claimed like any other."""
        subject = plugin_subject()
        add(db, job(1, subject=subject))
        assert ids(claim(db, subject=subject)) == [job_id(1)]
        assert db.read(lambda tx: tx.lock(subject)) is not None
        assert [j.job_id for j in db.read(lambda tx: tx.jobs_of(subject))] == [job_id(1)]

    def test_subjects_of_two_kinds_with_one_id_are_two(self, db: Database) -> None:
        """A lease of a subject does not hold another kind's subject of the same id."""
        twin = evolve(SUBJECT, kind="link")
        add(db, job(1), job(2, subject=twin))
        claim(db)
        assert ids(claim(db, BOB, subject=twin)) == [job_id(2)]

    def test_offers_come_by_priority_then_age(self, db: Database) -> None:
        """High priority first, negative last; among equals the oldest; up to the limit."""
        add(
            db,
            job(1, of=1),
            job(2, of=2, priority=10),
            job(3, of=3, priority=-1),
            job(4, of=4, created_at=START),
            job(5, of=5, priority=10),
        )
        assert offers(db) == [job_id(n) for n in (2, 5, 4, 1, 3)]
        assert offers(db, limit=2) == [job_id(2), job_id(5)]

    def test_offers_are_filtered_by_job_type(self, db: Database) -> None:
        """Only the job types that are asked for are offered; none asked for is none offered."""
        add(db, job(1), job(2, of=2, job_type="generate_proxy"))
        assert offers(db, job_types=frozenset({"generate_proxy"})) == [job_id(2)]
        assert offers(db, job_types=frozenset()) == []

    def test_offers_are_not_crowded_out(self, db: Database) -> None:
        """The limit counts what can be claimed, not what is held or beyond the agent."""
        add(
            db,
            *(job(n, priority=9) for n in range(1, 31)),
            *(job(n, of=n, priority=9, capabilities=frozenset({PROXY})) for n in range(31, 61)),
            job(99, of=99),
        )
        claim(db, BOB)
        assert offers(db, capabilities=frozenset({FACTS}), limit=5) == [job_id(99)]

    def test_an_expired_lock_holds_no_offer_back(self, db: Database) -> None:
        """Open jobs of a subject whose lock is over, or was released, are offered to everybody."""
        add(db, job(1), job(2, of=2))
        db.write(saving(lock(1, kind=LockKind.ASSET_MOVE_LOCK)))
        db.write(saving(release(lock(2), START)))
        assert offers(db, BOB) == [job_id(2)]
        assert offers(db, BOB, at=OVER) == [job_id(1), job_id(2)]
