"""Leases: what a holder may do, and for how long (domain.md, *Claims, leases, fencing*)."""

from __future__ import annotations

import pytest
from attrs import evolve

from ...domain.assets import Asset
from ...domain.identifiers import AgentId, AssetId
from ...domain.jobs import Job, JobProgress, JobStatus
from ...domain.leases import LockKind, release
from ...errors import LockInvalid, LockRequired, NotFound, StaleLockToken, StateConflict
from ...ports.store import Claimed, Transaction, Work
from ..clock import START
from ..samples import (
    BOB,
    LATE,
    after,
    asset,
    job,
    job_id,
    lock,
)
from .claiming import (
    OVER,
    add,
    beating,
    claim,
    claiming,
    completing,
    everything,
    lease,
    offers,
    refused,
    saving,
    stored,
    wish,
)
from .database import Database, StoreSuite


class LeaseRules(StoreSuite):
    """What a holder may do: heartbeat and complete, with a token that is valid now."""

    def test_a_heartbeat_moves_the_expiry_on(self, db: Database) -> None:
        """The lease and every job under it get the later expiry; token and fencing stay."""
        add(db, job(1), job(2))
        won = claim(db)

        progress = JobProgress(current=3, total=10, text="frames")
        extended = db.write(beating(1, won.lock.token, at=30, progress=progress))
        assert extended == evolve(won.lock, expires_at=after(30) + LATE) == lease(db)
        assert stored(db, 1).progress == progress
        assert stored(db, 2).progress is None
        assert {stored(db, n).locked_until for n in (1, 2)} == {after(30) + LATE}

    def test_a_heartbeat_without_progress_keeps_the_last(self, db: Database) -> None:
        """Progress is only replaced where the heartbeat carries one."""
        add(db, job())
        token = claim(db).lock.token
        progress = JobProgress(current=1, total=2)
        for said in (progress, None):
            db.write(beating(1, token, at=1, progress=said))
        assert stored(db).progress == progress

    def test_a_heartbeat_never_shortens(self, db: Database) -> None:
        """An earlier end than the lease has is ignored."""
        add(db, job())
        token = claim(db).lock.token
        extended = db.write(beating(1, token, at=1, until=after(2)))
        assert extended.expires_at == START + LATE == lease(db).expires_at

    def test_completing_keeps_result_and_warnings(self, db: Database) -> None:
        """A completed job has let go of the lease, and keeps what it says and its fencing number."""
        add(db, job())
        token = claim(db).lock.token
        result = {"text": "été 🎬\n", "n": [1, 2.5, None, True], "deep": {"a": {"b": []}}}
        done = db.write(
            lambda tx: tx.complete(
                job_id(), token=token, now=after(5.000001), result=result, warnings=("dark",)
            )
        )
        assert (done.status, done.result, done.warnings) == (JobStatus.COMPLETED, result, ("dark",))
        assert (done.claimed_by, done.lock_token, done.locked_until) == (None, None, None)
        assert (done.fencing, done.attempts, done.updated_at) == (1, 1, after(5.000001))
        assert stored(db) == done

    def test_the_lease_ends_with_its_last_held_job(self, db: Database) -> None:
        """While other jobs are held the lease stays; then it is released, the fencing number kept."""
        add(db, job(1), job(2))
        won = claim(db)
        token = won.lock.token
        db.write(completing(2, token, at=1))
        assert lease(db) == won.lock
        assert offers(db, BOB, at=2) == []
        db.write(completing(1, token, at=2))
        released = lease(db)
        assert (released.token, released.holder, released.fencing) == ("", "", 1)
        assert not released.held(after(2))

    def test_a_bundle_is_completed_in_one_transaction(self, db: Database) -> None:
        """Several completions of one lease may share a transaction, in any order."""
        add(db, *(job(n) for n in range(1, 4)))
        token = claim(db).lock.token

        def work(tx: Transaction) -> None:
            for n in (3, 1, 2):
                tx.complete(job_id(n), token=token, now=after(1))

        db.write(work)
        assert {stored(db, n).status for n in (1, 2, 3)} == {JobStatus.COMPLETED}
        assert lease(db).token == ""

    def test_of_concurrent_completions_one_counts(self, db: Database) -> None:
        """A job that is submitted many times at once is completed once."""
        add(db, job())
        token = claim(db).lock.token
        works = [completing(1, token, at=1)] * 10
        outcomes = db.race(works)
        assert sum(isinstance(outcome, Job) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, StaleLockToken) for outcome in outcomes) == 9

    @pytest.mark.parametrize("act", ["extend", "complete"])
    def test_writes_with_a_wrong_token_leave_nothing(self, db: Database, act: str) -> None:
        """No job, no token, a foreign token, a token never given: each has its error, nothing more."""
        add(db, job(1), job(2, of=2))
        claim(db)

        def attempt(n: int, token: str, at: float = 1) -> Work[object]:
            return (beating if act == "extend" else completing)(n, token, at=at)

        good = wish().token
        refused(db, NotFound, attempt(99, good))
        refused(db, LockRequired, attempt(1, ""))
        refused(db, StaleLockToken, attempt(1, "another"))
        refused(db, LockInvalid, attempt(2, good))
        refused(db, StaleLockToken, attempt(1, good, at=OVER))

    @pytest.mark.parametrize("act", ["extend", "complete"])
    def test_a_late_holder_is_refused(self, db: Database, act: str) -> None:
        """After another's claim the former token is stale, also if its time would not be over."""
        add(db, job(1), job(2))
        late = claim(db).lock.token
        claim(db, BOB, at=OVER)

        late_act = (beating if act == "extend" else completing)(1, late, at=OVER + 1)
        refused(db, StaleLockToken, late_act)

    def test_a_lease_opens_only_what_it_holds(self, db: Database) -> None:
        """With a valid token, a job of the subject that is not held is neither done nor extended."""
        add(db, job(1), job(2), job(3))
        token = claim(db, job_ids=(job_id(1), job_id(2))).lock.token
        db.write(completing(1, token, at=1))
        for n in (1, 3):
            refused(db, StaleLockToken, completing(n, token, at=2))

    def test_a_released_lease_opens_nothing(self, db: Database) -> None:
        """A token is worth nothing after its lock was given back."""
        add(db, job())
        won = claim(db)
        db.write(saving(release(won.lock, after(1))))
        refused(
            db,
            StaleLockToken,
            completing(1, won.lock.token, at=1),
        )

    def test_locks_are_kept_and_replaced(self, db: Database) -> None:
        """A subject has one lock row, which comes back as it was saved."""
        first = lock(expires_at=after(0.000001), fencing=2**40)
        db.write(saving(first))
        assert lease(db) == first
        second = lock(kind=LockKind.ASSET_PURGE_LOCK, holder="person:ada", fencing=2**40 + 1)
        db.write(saving(second))
        assert lease(db) == second
        assert db.read(lambda tx: tx.lock(asset(9).subject)) is None

    def test_the_locks_of_several_assets_are_read_and_saved_together(self, db: Database) -> None:
        """Each comes back as it was saved last; an asset that was never locked has none."""
        first = [lock(n, expires_at=after(n)) for n in range(1, 4)]
        second = evolve(first[1], fencing=2**40, holder="another")
        wanted = [AssetId(asset(n).uuid) for n in (9, 3, 2)]
        assert db.write(lambda tx: tx.asset_locks(wanted)) == {}
        db.write(lambda tx: tx.save_lock())
        db.write(lambda tx: tx.save_lock(*first, second))
        found = {wanted[1]: first[2], wanted[2]: second}
        assert db.read(lambda tx: tx.asset_locks(wanted)) == found
        assert db.write(lambda tx: tx.asset_locks(wanted)) == found
        assert db.read(lambda tx: tx.asset_locks([])) == {}

    def test_held_and_expired_locks_are_told_apart(self, db: Database) -> None:
        """Locks with a token are held before their expiry and expired from then on; released, none."""
        locks = [lock(n, expires_at=after(n)) for n in range(1, 5)]
        gone = release(lock(9), after(0))

        def work(tx: Transaction) -> None:
            for each in (*locks, gone):
                tx.save_lock(each)

        db.write(work)

        def listed(at: float, *, expired: bool, limit: int = 1000) -> set[int]:
            found = db.read(lambda tx: tx.locks(now=after(at), expired=expired, limit=limit))
            return {locks.index(each) + 1 for each in found}

        assert listed(2, expired=True) == {1, 2}
        assert listed(2, expired=False) == {3, 4}
        assert listed(10, expired=True) == {1, 2, 3, 4}
        assert len(listed(10, expired=True, limit=3)) == 3

    def test_a_claim_and_a_decision_share_a_commit(self, db: Database) -> None:
        """A claim that is rolled back with its transaction was never made."""
        add(db, job())
        before = everything(db)

        def work(tx: Transaction) -> None:
            tx.claim(wish())
            tx.save_asset(asset(404))

        with pytest.raises(StateConflict):
            db.write(work)
        assert everything(db) == before

    def test_one_claim_among_concurrent_other_writes(self, db: Database) -> None:
        """Claims, heartbeats and saves of one subject at once leave a consistent whole."""
        add(db, job(1), job(2))
        db.write(lambda tx: tx.add_assets([asset(1)]))

        def note(tx: Transaction) -> Asset:
            stored_asset = tx.asset(asset(1).uuid)
            assert stored_asset is not None
            return tx.save_asset(evolve(stored_asset, notes=stored_asset.notes + "x"))

        works: list[Work[object]] = [claiming(wish(AgentId(f"a{n}"))) for n in range(8)]
        outcomes = db.race([*works, note, note, note])
        won = [outcome for outcome in outcomes if isinstance(outcome, Claimed)]
        assert len(won) == 1
        assert {stored(db, n).lock_token for n in (1, 2)} == {won[0].lock.token}
        written = db.read(lambda tx: tx.asset(asset(1).uuid))
        assert written is not None
        assert written.notes == "xxx"

    def test_times_of_a_lease_keep_their_microseconds(self, db: Database) -> None:
        """One microsecond before the expiry the lease holds, at the expiry it does not."""
        add(db, job())
        until = after(1.000001)
        token = claim(db, until=until).lock.token
        db.write(beating(1, token, at=1, until=until))
        refused(db, StaleLockToken, completing(1, token, at=1.000001))
