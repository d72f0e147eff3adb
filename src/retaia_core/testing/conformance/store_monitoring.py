"""What a store answers to those who watch over it: sums and pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from attrs import evolve

from ...domain.batch_lines import BatchLine, line_of
from ...domain.identifiers import RelPath, StorageId
from ...domain.jobs import JobStatus
from ...domain.leases import Lock, LockKind
from ...domain.moves import Batch, BatchStatus, BlockedMove, BlockReason, Outcome
from ...domain.scans import UnmatchedSidecar
from ...domain.workload import JobCount
from ...ports.store import Work
from ..samples import (
    FACTS,
    NAS,
    PROXY,
    after,
    asset_id,
    batch,
    event,
    job,
    lock,
    plugin_subject,
    unmatched,
)
from .database import Database, StoreSuite
from .store_records import writing

T = TypeVar("T")


def _walked(page: Callable[[T | None], Sequence[T]]) -> list[T]:
    """Every page, one after the other."""
    found: list[T] = []
    while more := page(found[-1] if found else None):
        found += more
    return found


def _ended(batch: Batch, *outcomes: Outcome) -> Batch:
    results = zip(batch.results, outcomes, strict=True)
    return evolve(batch, results=tuple(evolve(one, outcome=how) for one, how in results))


def _undoing(batch: Batch, other: Batch) -> Batch:
    """This batch as one that takes another back."""
    moves = (evolve(one.move, undoes=other.batch_id) for one in batch.results)
    results = zip(batch.results, moves, strict=True)
    return evolve(batch, results=tuple(evolve(one, move=move) for one, move in results))


def _setting(storage_id: StorageId, folder: str, found: list[UnmatchedSidecar]) -> Work[None]:
    return lambda tx: tx.set_unmatched(storage_id, folder, found)


class MonitoringRules(StoreSuite):
    """What sums and pages promise."""

    def test_batches_are_listed_in_numbers(self, db: Database) -> None:
        """Newest first, page after page; undone are the moves that later batches took back."""
        ends = (Outcome.MOVED, Outcome.MOVED, Outcome.FAILED, Outcome.PARKED, Outcome.PENDING)
        stays = BlockedMove(
            asset=asset_id(9), path=RelPath("INBOX/x"), reason=BlockReason.MISSING, message="gone"
        )
        first = _ended(batch(1, moves=5, blocked=(stays,)), *ends)
        second = batch(2, moves=0, status=BatchStatus.DONE, finished_at=after(4))
        undo = _ended(_undoing(batch(3, moves=2), first), Outcome.MOVED, Outcome.FAILED)
        assert db.read(lambda tx: tx.batch_lines()) == []
        for each in (first, second, undo):
            db.write(writing("add_batch", each))
        lines = [line_of(undo, 0), line_of(second, 0), line_of(first, 1)]
        assert list(db.read(lambda tx: tx.batch_lines())) == lines
        assert list(db.read(lambda tx: tx.batch_lines(limit=2))) == lines[:2]
        behind = lines[0].place
        assert list(db.read(lambda tx: tx.batch_lines(behind))) == lines[1:]
        assert list(db.read(lambda tx: tx.batch_lines(lines[2].place))) == []

    def test_batches_of_one_moment_are_in_order(self, db: Database) -> None:
        """None is passed over and none is seen twice where several were made at once."""
        made = [evolve(batch(n), created_at=after(1)) for n in range(1, 5)]
        for each in made:
            db.write(writing("add_batch", each))

        def page(behind: BatchLine | None) -> Sequence[BatchLine]:
            place = behind.place if behind else None
            return db.read(lambda tx: tx.batch_lines(place, limit=3))

        assert _walked(page) == [line_of(each, 0) for each in reversed(made)]

    def test_jobs_are_counted_by_what_makes_them_alike(self, db: Database) -> None:
        """Type, status, capabilities and whether they wait tell groups of jobs apart."""
        jobs = [
            job(1),
            job(2),
            job(3, capabilities=frozenset({FACTS, PROXY})),
            job(4, waiting=True),
            job(5, status=JobStatus.COMPLETED),
            job(6, job_type="generate_proxy", capabilities=frozenset()),
        ]
        assert db.read(lambda tx: tx.count_jobs()) == []
        db.write(lambda tx: tx.add_jobs(jobs))
        facts = JobCount(
            job_type="extract_facts",
            status=JobStatus.PENDING,
            capabilities=frozenset({FACTS}),
            waiting=False,
            count=2,
        )
        counted = db.read(lambda tx: tx.count_jobs())
        assert len(counted) == 5
        assert set(counted) == {
            facts,
            evolve(facts, capabilities=frozenset({FACTS, PROXY}), count=1),
            evolve(facts, waiting=True, count=1),
            evolve(facts, status=JobStatus.COMPLETED, count=1),
            evolve(facts, job_type="generate_proxy", capabilities=frozenset(), count=1),
        }

    def test_locks_are_counted_while_they_are_held(self, db: Database) -> None:
        """A lock counts until it ends; a released one does not."""
        kept = [
            lock(1),
            lock(2, expires_at=after(5)),
            lock(3, kind=LockKind.ASSET_MOVE_LOCK),
            lock(4, token="", holder=""),
        ]
        for one in kept:
            db.write(writing("save_lock", one))
        assert {k: n for k, n in db.read(lambda tx: tx.count_locks(after(4))).items() if n} == {
            LockKind.JOB_LEASE: 2,
            LockKind.ASSET_MOVE_LOCK: 1,
        }
        assert db.read(lambda tx: tx.count_locks(after(5)))[LockKind.JOB_LEASE] == 1

    def test_locks_are_paged_by_their_end(self, db: Database) -> None:
        """Pages have every lock that is held, each once, also where many end at once."""
        kept = [lock(n, expires_at=after(100 + n % 3)) for n in range(1, 8)]
        other = Lock(
            subject=plugin_subject(),
            kind=LockKind.JOB_LEASE,
            holder="b",
            token="t",
            fencing=2,
            expires_at=after(101),
        )
        gone = [lock(8, expires_at=after(1)), lock(9, token="", holder="")]
        for one in (*kept, other, *gone):
            db.write(writing("save_lock", one))

        def page(last: Lock | None) -> Sequence[Lock]:
            return db.read(lambda tx: tx.held_locks(now=after(1), after=last, limit=2))

        walked = _walked(page)
        assert walked == sorted(
            (*kept, other), key=lambda o: (o.expires_at, o.subject.kind, o.subject.id)
        )

    def test_a_lock_that_is_extended_is_not_missed(self, db: Database) -> None:
        """A heartbeat between two pages moves a lock back in the order, not out of it."""
        first, second = lock(1, expires_at=after(10)), lock(2, expires_at=after(20))
        for one in (first, second):
            db.write(writing("save_lock", one))
        (seen,) = db.read(lambda tx: tx.held_locks(now=after(0), limit=1))
        moved = evolve(second, expires_at=after(60))
        db.write(lambda tx: tx.save_lock(moved))
        rest = db.read(lambda tx: tx.held_locks(now=after(0), after=seen, limit=5))
        assert (seen, list(rest)) == (first, [moved])

    def test_unmatched_sidecars_are_paged_by_their_place(self, db: Database) -> None:
        """Pages have every one, by storage, folder and path."""
        other = StorageId("other")
        groups = {
            (NAS, "INBOX"): [unmatched("INBOX/b.xmp"), unmatched("INBOX/a.xmp")],
            (NAS, "INBOX/a"): [unmatched("INBOX/a/é.xmp"), unmatched("INBOX/a/z.xmp")],
            (NAS, "ARCHIVE"): [unmatched("ARCHIVE/x.xmp")],
            (other, "INBOX"): [unmatched("INBOX/a.xmp", storage_id=other)],
        }
        for (storage_id, folder), found in groups.items():
            db.write(_setting(storage_id, folder, found))

        def page(last: UnmatchedSidecar | None) -> Sequence[UnmatchedSidecar]:
            return db.read(lambda tx: tx.unmatched_after(last, limit=2))

        assert [(one.storage_id, one.path) for one in _walked(page)] == [
            (NAS, "ARCHIVE/x.xmp"),
            (NAS, "INBOX/a.xmp"),
            (NAS, "INBOX/b.xmp"),
            (NAS, "INBOX/a/z.xmp"),
            (NAS, "INBOX/a/é.xmp"),
            (other, "INBOX/a.xmp"),
        ]

    def test_the_newest_event_is_known(self, db: Database) -> None:
        """Its number is the one that reading on begins after."""
        assert db.read(lambda tx: tx.last_event()) == 0
        db.write(lambda tx: tx.add_event(event("first")))
        last = db.read(lambda tx: tx.last_event())
        assert db.read(lambda tx: tx.events(after=last)) == []
        db.write(lambda tx: tx.add_event(event("second")))
        assert [e.name for e in db.read(lambda tx: tx.events(after=last))] == ["second"]

    def test_a_prepared_schema_is_current(self, db: Database) -> None:
        """After `prepare`, the tables are those that the program knows."""
        assert db.read(lambda tx: tx.schema_current())
