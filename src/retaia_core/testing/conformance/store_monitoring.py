"""What a store answers to those who watch over it: sums and pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from attrs import evolve

from ...domain.identifiers import StorageId
from ...domain.jobs import JobStatus
from ...domain.leases import Lock, LockKind
from ...domain.scans import UnmatchedSidecar
from ...domain.workload import JobCount
from ...ports.store import Work
from ..samples import (
    FACTS,
    NAS,
    PROXY,
    after,
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


def _setting(storage_id: StorageId, folder: str, found: list[UnmatchedSidecar]) -> Work[None]:
    return lambda tx: tx.set_unmatched(storage_id, folder, found)


class MonitoringRules(StoreSuite):
    """What sums and pages promise."""

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
