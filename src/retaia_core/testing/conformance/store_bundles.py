"""Several claims and completions at once, and functions that callers share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
from attrs import evolve

from ...domain.identifiers import AgentId, Subject
from ...domain.jobs import Job, JobStatus
from ...domain.leases import Lock, LockKind
from ...errors import (
    LockInvalid,
    LockRequired,
    NotFound,
    RetaiaError,
    StaleLockToken,
    StateConflict,
    ValidationFailed,
)
from ...ports.store import Claim, Claimed, Completion, Transaction, Work
from ..samples import ALICE, BOB, after, asset, event, job, job_id, lock
from .claiming import OVER, add, claim, everything, ids, lease, saving, stored, wish
from .database import Database, StoreSuite


def of(n: int) -> Subject:
    """The n-th asset as a subject."""
    return asset(n).subject


def wishes(*subjects: int, by: AgentId = ALICE, at: float = 0) -> list[Claim]:
    """A claim of everything of each of some assets, each with a token of its own."""
    return [wish(by, at, subject=of(n), token=f"{by} {n} at {at}") for n in subjects]


def claiming_all(claims: Sequence[Claim]) -> Work[Sequence[Claimed | RetaiaError]]:
    """The act of several claims."""
    return lambda tx: tx.claim_all(claims)


def completing_all(
    given: Sequence[tuple[int, str]], at: float = 1
) -> Work[Sequence[RetaiaError | None]]:
    """The completion of jobs by number and token."""
    wanted = [Completion(job_id=job_id(n), token=token) for n, token in given]
    return lambda tx: tx.complete_all(wanted, now=after(at))


def _jobs_of(subject: Subject, tx: Transaction) -> list[Job]:
    return list(tx.jobs_of(subject))


def leased(db: Database, subject: Subject) -> Lock | None:
    """The lock row of a subject."""
    return db.read(lambda tx: tx.lock(subject))


def kinds(outcomes: Sequence[object]) -> list[type]:
    """What came of each."""
    return [type(outcome) for outcome in outcomes]


def winners(outcomes: Sequence[Claimed | RetaiaError]) -> list[Claimed]:
    """Those that won."""
    return [outcome for outcome in outcomes if isinstance(outcome, Claimed)]


class BundleRules(StoreSuite):
    """Many at once is what one after another would be; a refusal is nobody else's business."""

    def test_many_claims_answer_as_one_after_another(self, db: Database) -> None:
        """Each wins its own lease with its own jobs, in the order of the claims."""
        add(db, job(1, of=1), job(2, of=1), job(3, of=2), job(4, of=3))
        won = winners(db.write(claiming_all(wishes(3, 1, 2))))
        assert [each.lock.subject for each in won] == [of(3), of(1), of(2)]
        assert [ids(each) for each in won] == [[job_id(4)], [job_id(1), job_id(2)], [job_id(3)]]
        for each in won:
            assert leased(db, each.lock.subject) == each.lock
            assert db.read(partial(_jobs_of, each.lock.subject)) == list(each.jobs)

    def test_claims_that_lose_hinder_none(self, db: Database) -> None:
        """Of several claims those that are refused leave nothing, and the others win."""
        add(db, *(job(n, of=n) for n in range(1, 6)))
        claim(db, BOB)
        db.write(saving(lock(2, kind=LockKind.ASSET_MOVE_LOCK, expires_at=after(OVER))))
        unknown = evolve(wishes(3)[0], job_ids=(job_id(3), job_id(99)))
        unable = evolve(wishes(4)[0], capabilities=frozenset())
        before = everything(db)
        outcomes = db.write(claiming_all([*wishes(1, 2), unknown, unable, *wishes(9)]))
        assert kinds(outcomes) == [StateConflict] * 2 + [NotFound] + [StateConflict] * 2
        assert everything(db) == before
        outcomes = db.write(claiming_all([*wishes(1), unknown, *wishes(5), unable]))
        assert kinds(outcomes) == [StateConflict, NotFound, Claimed, StateConflict]
        assert {stored(db, n).status for n in (3, 4)} == {JobStatus.PENDING}

    def test_of_claims_of_one_subject_the_first_wins(self, db: Database) -> None:
        """Of two agents the second is refused; an agent joins its own lease job by job."""
        add(db, job(1), job(2))
        first, second = (
            evolve(wish(ALICE), job_ids=(job_id(n),), token=f"token {n}") for n in (1, 2)
        )
        outcomes = db.write(claiming_all([first, wish(BOB), second]))
        assert kinds(outcomes) == [Claimed, StateConflict, Claimed]
        assert {each.lock.token for each in winners(outcomes)} == {"token 1"}
        assert {stored(db, n).lock_token for n in (1, 2)} == {"token 1"}
        assert lease(db).fencing == 1

    def test_claims_with_one_token_do_not_meet(self, db: Database) -> None:
        """Leases of different subjects may have the same token."""
        add(db, job(1, of=1), job(2, of=2))
        same = [evolve(each, token="same") for each in wishes(1, 2)]
        won = winners(db.write(claiming_all(same)))
        assert [each.lock.subject for each in won] == [of(1), of(2)]
        assert [ids(each) for each in won] == [[job_id(1)], [job_id(2)]]

    def test_expired_leases_are_taken_over_among_others(self, db: Database) -> None:
        """A lease that is over is claimed with the next fencing number, a free one with its first."""
        add(db, job(1, of=1), job(2, of=2))
        claim(db, BOB)
        won = winners(db.write(claiming_all(wishes(1, 2, at=OVER))))
        assert [each.lock.fencing for each in won] == [2, 1]
        assert [each.jobs[0].attempts for each in won] == [2, 1]

    def test_two_sets_of_claims_at_once_share_the_subjects(self, db: Database) -> None:
        """Each subject is won once, whatever order the sets name them in."""
        add(db, *(job(n, of=n) for n in range(1, 9)))
        works = [
            claiming_all(wishes(*order, by=AgentId(f"a{i}")))
            for i, order in enumerate([range(1, 9), range(8, 0, -1), (3, 7, 1, 5), (6, 2, 8, 4)])
        ]
        answers = db.race(works)
        won = [
            w
            for outcome in answers
            if not isinstance(outcome, RetaiaError)
            for w in winners(outcome)
        ]
        assert sorted(str(each.lock.subject) for each in won) == [str(of(n)) for n in range(1, 9)]
        for each in won:
            assert leased(db, each.lock.subject) == each.lock
            assert [j.lock_token for j in each.jobs] == [each.lock.token]

    def test_many_completions_end_their_leases(self, db: Database) -> None:
        """A lease ends with the last of its jobs, and not before."""
        add(db, job(1, of=1), job(2, of=1), job(3, of=2))
        one, two = winners(db.write(claiming_all(wishes(1, 2))))
        given = [(1, one.lock.token), (3, two.lock.token)]
        assert list(db.write(completing_all(given))) == [None, None]
        assert lease(db) == one.lock
        assert leased(db, of(2)) == evolve(two.lock, holder="", token="", expires_at=after(1))
        assert list(db.write(completing_all([(2, one.lock.token)]))) == [None]
        assert lease(db).token == ""
        done = stored(db, 3)
        assert (done.status, done.lock_token, done.fencing) == (JobStatus.COMPLETED, None, 1)

    def test_completions_keep_what_each_says(self, db: Database) -> None:
        """Results and warnings come to their own jobs."""
        add(db, job(1), job(2))
        token = claim(db).lock.token
        said = [
            Completion(
                job_id=job_id(1), token=token, result={"text": 'é"\\\n'}, warnings=("dark",)
            ),
            Completion(job_id=job_id(2), token=token, result={"n": [1, None]}),
        ]
        assert list(db.write(lambda tx: tx.complete_all(said, now=after(2)))) == [None, None]
        assert [(stored(db, n).result, stored(db, n).warnings) for n in (1, 2)] == [
            ({"text": 'é"\\\n'}, ("dark",)),
            ({"n": [1, None]}, ()),
        ]
        assert stored(db, 2).updated_at == after(2)

    def test_completions_that_are_refused_hinder_none(self, db: Database) -> None:
        """Each has its error, and the others are completed."""
        add(db, job(1), job(2), job(3, of=2), job(4, of=3))
        token = claim(db).lock.token
        before = everything(db)
        bad = [(99, token), (1, ""), (1, "another"), (3, token)]
        errors = [NotFound, LockRequired, StaleLockToken, LockInvalid]
        assert kinds(db.write(completing_all(bad))) == errors
        assert everything(db) == before
        mixed = [bad[0], (1, token), (1, token), *bad[2:], (2, token)]
        kept = kinds(db.write(completing_all(mixed)))
        assert kept[:3] == [NotFound, type(None), StaleLockToken]
        assert kept[3:] == [StaleLockToken, LockInvalid, type(None)]
        assert {stored(db, n).status for n in (1, 2)} == {JobStatus.COMPLETED}
        assert lease(db).token == ""

    def test_late_completions_are_all_refused(self, db: Database) -> None:
        """At the expiry of the lease nothing of it counts any more."""
        add(db, job(1), job(2))
        token = claim(db).lock.token
        outcomes = db.write(completing_all([(1, token), (2, token)], at=OVER))
        assert kinds(outcomes) == [StaleLockToken] * 2
        assert {stored(db, n).status for n in (1, 2)} == {JobStatus.CLAIMED}

    def test_of_completions_in_two_sets_at_once_one_counts(self, db: Database) -> None:
        """Every job is completed once, and the lease has ended."""
        add(db, *(job(n) for n in range(1, 7)))
        token = claim(db).lock.token
        given = [(n, token) for n in range(1, 7)]
        answers = db.race([completing_all(given), completing_all(given[::-1])] * 2)
        outcomes = [o for each in answers if not isinstance(each, RetaiaError) for o in each]
        assert outcomes.count(None) == 6
        assert all(isinstance(each, StaleLockToken) for each in outcomes if each is not None)
        assert lease(db).token == ""

    def test_nothing_at_all_is_answered_with_nothing(self, db: Database) -> None:
        """No claims and no completions are no error."""
        assert list(db.write(claiming_all([]))) == []
        assert list(db.write(completing_all([]))) == []


def _note_each(tx: Transaction, items: Sequence[int]) -> Sequence[int | RetaiaError]:
    """Note each item but those that are refused: an odd one by its outcome, one over 90 by raising."""
    outcomes: list[int | RetaiaError] = []
    for item in items:
        if item % 2:
            outcomes.append(ValidationFailed(f"{item} is odd"))
            continue
        tx.add_event(event(f"item {item}"))
        if item > 90:
            raise StateConflict(f"{item} is too much")
        outcomes.append(item * 10)
    return outcomes


def _claim_each(tx: Transaction, claims: Sequence[Claim]) -> Sequence[Claimed | RetaiaError]:
    return tx.claim_all(claims)


class SharedRules(StoreSuite):
    """A shared function runs for any number of callers; each has its own answer."""

    def test_one_caller_is_answered(self, db: Database) -> None:
        """Alone it is like any other transaction."""
        assert db.share(_note_each, [4]) == [40]
        assert [each.name for each in db.read(lambda tx: tx.events())] == ["item 4"]

    @pytest.mark.parametrize("durable", [True, False])
    def test_each_of_many_has_its_own_outcome(self, db: Database, durable: bool) -> None:
        """Answers and refusals come to those whose items they are about."""
        outcomes = db.share(_note_each, range(20), durable=durable)
        assert outcomes[::2] == [n * 10 for n in range(0, 20, 2)]
        assert kinds(outcomes[1::2]) == [ValidationFailed] * 10
        assert [str(each) for each in outcomes[1:4:2]] == ["1 is odd", "3 is odd"]
        noted = {each.name for each in db.read(lambda tx: tx.events())}
        assert noted == {f"item {n}" for n in range(0, 20, 2)}

    def test_a_function_that_raises_takes_no_other_with_it(self, db: Database) -> None:
        """Only the item that it raises for is refused, and nothing of it stays."""
        outcomes = db.share(_note_each, [2, 92, 4, 5, 94, 6])
        assert kinds(outcomes) == [int, StateConflict, int, ValidationFailed, StateConflict, int]
        noted = sorted(each.name for each in db.read(lambda tx: tx.events()))
        assert noted == ["item 2", "item 4", "item 6"]

    def test_shared_claims_and_other_writes_at_once(self, db: Database) -> None:
        """Of thirty agents that ask for three assets at once, one wins each."""
        add(db, *(job(n, of=n) for n in (1, 2, 3)))
        claims = [wishes(1 + n % 3, by=AgentId(f"a{n}"))[0] for n in range(30)]
        outcomes = db.share(_claim_each, claims)
        won = winners(outcomes)
        assert sorted(str(each.lock.subject) for each in won) == [str(of(n)) for n in (1, 2, 3)]
        assert sum(isinstance(each, StateConflict) for each in outcomes) == 27

    def test_different_functions_do_not_meet(self, db: Database) -> None:
        """Callers of two functions are each answered by their own."""

        def doubled(tx: Transaction, items: Sequence[int]) -> Sequence[int | RetaiaError]:
            return [2 * item for item in items]

        def negated(tx: Transaction, items: Sequence[int]) -> Sequence[int | RetaiaError]:
            return [-item for item in items]

        shared = [(work, n) for n in range(10) for work in (doubled, negated)]
        outcomes = db.share_all(shared)
        assert outcomes[::2] == list(range(0, 20, 2))
        assert outcomes[1::2] == [-n for n in range(10)]
