"""Everything else that a store keeps: storages, scans, jobs, agents, uploads, batches, the trail."""

from __future__ import annotations

import operator
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from ...domain.identifiers import AgentId, JobId, RelPath, StorageId
from ...domain.jobs import Failure, Job, JobProgress, JobStatus
from ...domain.journal import Phase
from ...domain.moves import BatchStatus, BlockedMove, BlockReason, MoveResult, Outcome
from ...domain.results import StoredResult
from ...domain.storage import Health, Layout
from ...domain.uploads import Part, UploadStatus
from ...errors import NotFound
from ...ports.store import Replay, Transaction, Work
from ..clock import START
from ..samples import (
    FACTS,
    NAS,
    PROXY,
    after,
    agent,
    asset,
    asset_id,
    batch,
    derived,
    event,
    folder,
    job,
    job_id,
    journal_entry,
    move,
    plugin_subject,
    storage,
    unmatched,
    upload,
)
from .database import Database, StoreSuite

OTHER = StorageId("other")


def full_job() -> Job:
    """A job with something in every field."""
    return job(
        3,
        job_type="generate_proxy",
        capabilities=frozenset({FACTS, PROXY}),
        created_at=after(0.000001),
        updated_at=after(0.999999),
        status=JobStatus.CLAIMED,
        parameters={"bucket_count": 1000, "storyboard": True, "name": "é🎬\n"},
        required=False,
        review=False,
        priority=-5,
        not_before=after(7),
        depends_on=(job_id(1), job_id(2)),
        derived_inputs=("proxy_audio", "thumb"),
        waiting=True,
        review_version=4,
        attempts=2,
        max_attempts=9,
        claimed_by="agent-alice",
        lock_token="secret",
        locked_until=after(120),
        fencing=2**40,
        failure=Failure(code="TIMEOUT", message="no\nanswer", retryable=True, at=after(6)),
        progress=JobProgress(current=2**40, total=0, text="🎬"),
        result={"segments": [{"start_ms": 0, "text": "a"}], "score": 0.25, "none": None},
        warnings=("one", "two"),
    )


def replay(scope: str, **changes: Any) -> Replay:
    """An answer that was kept."""
    values: dict[str, Any] = {
        "body_digest": "b" * 64,
        "status": 201,
        "body": b'{"ok": true}\x00\xff',
        "created_at": START,
    }
    return Replay(scope=scope, **values | changes)


def writing(method: str, value: object) -> Work[None]:
    """The act of writing one value by the method of this name."""
    return operator.methodcaller(method, value)


class RecordRules(StoreSuite):
    """What the smaller parts of a transaction promise."""

    def test_storages_are_kept_and_replaced(self, db: Database) -> None:
        """A storage comes back with its layout, health and counts; saving replaces it."""
        first = storage()
        full = storage(
            OTHER,
            root="/mnt/été 🎬",
            layout=Layout(inbox=".", archive=RelPath("a/b"), rejects=RelPath("r")),
            role="library",
            health=Health.OFFLINE,
            health_reason="no marker",
            health_since=after(1.5),
            scans=2**33,
            last_scan_at=after(2),
        )
        for each in (first, full):
            db.write(writing("save_storage", each))
        assert db.read(lambda tx: tx.storage(OTHER)) == full
        assert db.read(lambda tx: tx.storage(StorageId("third"))) is None
        assert {s.storage_id: s for s in db.read(lambda tx: tx.storages())} == {
            NAS: first,
            OTHER: full,
        }
        again = storage(OTHER)
        db.write(lambda tx: tx.save_storage(again))
        assert db.read(lambda tx: tx.storage(OTHER)) == again

    def test_folders_are_kept_replaced_and_dropped(self, db: Database) -> None:
        """What a scan remembers is by storage and folder; the root is a folder too."""
        records = [
            folder(""),
            folder("INBOX/é🎬\n", settled=False, files=0, skipped={"x\n": "hidden"}),
            folder("INBOX", storage_id=OTHER),
        ]
        db.write(lambda tx: tx.save_folders(records))
        assert db.read(lambda tx: tx.folders(NAS)) == {r.folder: r for r in records[:2]}
        newer = folder("", digest="0" * 64)
        db.write(lambda tx: tx.save_folders([newer]))
        assert db.read(lambda tx: tx.folders(NAS))[""] == newer
        db.write(lambda tx: tx.drop_folders(NAS, ["INBOX/é🎬\n", "INBOX", "not there"]))
        assert db.read(lambda tx: tx.folders(NAS)) == {"": newer}
        assert db.read(lambda tx: tx.folders(OTHER)) == {"INBOX": records[2]}

    def test_unmatched_sidecars_are_replaced_folder_by_folder(self, db: Database) -> None:
        """Setting a folder's list replaces that folder's alone, not its sub-folders'."""

        def write(storage_id: StorageId, where: str, *names: str) -> None:
            found = [unmatched(f"{where}/{name}", storage_id=storage_id) for name in names]
            db.write(lambda tx: tx.set_unmatched(storage_id, where, found))

        def paths(storage_id: StorageId | None = None) -> list[str]:
            return sorted(s.path for s in db.read(lambda tx: tx.unmatched(storage_id)))

        write(NAS, "INBOX", "a.xmp", "b.xmp")
        write(NAS, "INBOX/day", "c.xmp")
        write(OTHER, "INBOX", "d.xmp")
        write(NAS, "INBOX", "b.xmp")
        assert paths(NAS) == ["INBOX/b.xmp", "INBOX/day/c.xmp"]
        assert paths() == ["INBOX/b.xmp", "INBOX/d.xmp", "INBOX/day/c.xmp"]
        write(NAS, "INBOX/day")
        assert paths(NAS) == ["INBOX/b.xmp"]
        [kept] = db.read(lambda tx: tx.unmatched(OTHER))
        assert kept == unmatched("INBOX/d.xmp", storage_id=OTHER)

    def test_a_job_comes_back_as_it_was(self, db: Database) -> None:
        """Every field survives adding and saving, and can be emptied again."""
        db.write(lambda tx: tx.add_jobs([full_job()]))
        assert db.read(lambda tx: tx.job(job_id(3))) == full_job()
        db.write(lambda tx: tx.save_job(job(3)))
        assert db.read(lambda tx: tx.job(job_id(3))) == job(3)
        db.write(lambda tx: tx.save_job(full_job()))
        assert db.read(lambda tx: tx.job(job_id(3))) == full_job()
        assert db.read(lambda tx: tx.job(JobId("unknown"))) is None

    def test_the_jobs_of_a_subject_come_in_order_of_creation(self, db: Database) -> None:
        """Of all review versions, or of one; other subjects' jobs stay out."""
        jobs = [job(n, review_version=1 + n % 2) for n in range(1, 5)]
        foreign = [job(8, of=2), job(9, subject=plugin_subject())]
        db.write(lambda tx: tx.add_jobs([*reversed(jobs), *foreign]))
        assert list(db.read(lambda tx: tx.jobs_of(asset(1).subject))) == jobs
        assert list(db.read(lambda tx: tx.jobs_of(asset(1).subject, 1))) == [jobs[1], jobs[3]]
        assert list(db.read(lambda tx: tx.jobs_of(asset(1).subject, 9))) == []
        assert list(db.read(lambda tx: tx.jobs_of(plugin_subject()))) == [foreign[1]]

    def test_jobs_are_paged_by_id(self, db: Database) -> None:
        """All jobs or those of some statuses, by id, after the one given."""
        statuses = list(JobStatus)
        jobs = [job(n, of=n, status=statuses[n % 4]) for n in range(12)]
        db.write(lambda tx: tx.add_jobs(reversed(jobs)))
        assert list(db.read(lambda tx: tx.find_jobs())) == jobs
        wanted = (JobStatus.PENDING, JobStatus.FAILED)
        found = [j for j in jobs if j.status in wanted]
        assert list(db.read(lambda tx: tx.find_jobs(statuses=wanted))) == found
        first = db.read(lambda tx: tx.find_jobs(statuses=wanted, limit=2))
        rest = db.read(lambda tx: tx.find_jobs(statuses=wanted, after=first[-1].job_id))
        assert [*first, *rest] == found

    def test_agents_are_kept_and_replaced(self, db: Database) -> None:
        """An agent comes back with its capabilities; registering again replaces it."""
        first, second = agent(), agent("agent-bob", capabilities=frozenset())
        for each in (first, second):
            db.write(writing("save_agent", each))
        later = evolve(first, last_seen_at=after(90.5), capabilities=frozenset({PROXY}))
        db.write(lambda tx: tx.save_agent(later))
        assert db.read(lambda tx: tx.agent(first.agent_id)) == later
        assert db.read(lambda tx: tx.agent(AgentId("nobody"))) is None
        known = {a.agent_id: a for a in db.read(lambda tx: tx.agents())}
        assert known == {later.agent_id: later, second.agent_id: second}

    def test_uploads_are_kept_replaced_and_dropped(self, db: Database) -> None:
        """An upload grows part by part, is completed, and can be dropped more than once."""
        parts = (Part(number=1, size=2**23, etag="e" * 64), Part(number=2, size=5, etag="f"))
        full = upload(
            size_bytes=2**40,
            sha256="a" * 64,
            status=UploadStatus.COMPLETE,
            parts=parts,
            ref="x/y",
        )
        db.write(lambda tx: tx.save_upload(upload()))
        assert db.read(lambda tx: tx.upload(full.upload_id)) == upload()
        db.write(lambda tx: tx.save_upload(full))
        assert db.read(lambda tx: tx.upload(full.upload_id)) == full
        for _ in range(2):
            db.write(lambda tx: tx.drop_upload(full.upload_id))
            assert db.read(lambda tx: tx.upload(full.upload_id)) is None

    def test_uploads_are_found_by_age(self, db: Database) -> None:
        """Those announced before a time, complete or not; the instant itself is not before it."""

        def work(tx: Transaction) -> None:
            for n in range(1, 6):
                tx.save_upload(upload(n, status=list(UploadStatus)[n % 2]))

        db.write(work)

        def before(seconds: float, limit: int = 100) -> set[str]:
            found = db.read(lambda tx: tx.uploads_before(after(seconds), limit))
            return {each.upload_id for each in found}

        assert before(3) == {upload(1).upload_id, upload(2).upload_id}
        assert len(before(100, limit=4)) == 4
        assert before(1) == set()

    def test_known_results_are_kept_and_replaced(self, db: Database) -> None:
        """A result is found by its key, with its facts and derived files; the last one counts."""
        first = StoredResult(key="k" * 64, asset=asset_id(), created_at=START)
        full = StoredResult(
            key="k" * 64,
            asset=asset_id(2),
            facts={"width": 2**33, "fps": 25.0, "camera_make": "é"},
            derived=(derived(), derived("thumb", 1)),
            warnings=("w",),
            created_at=after(1.5),
        )
        assert db.read(lambda tx: tx.known_result(first.key)) is None
        for each in (first, full):
            db.write(writing("save_result", each))
            assert db.read(lambda tx: tx.known_result(first.key)) == each

    def test_a_batch_comes_back_as_it_was(self, db: Database) -> None:
        """A batch keeps its plan, its blocked assets, and the order of its results."""
        blocked = BlockedMove(
            asset=asset_id(9),
            path=asset(9).path,
            reason=BlockReason.MISSING,
            message="gone\n🎬",
        )
        full = batch(moves=12, blocked=(blocked,))
        db.write(lambda tx: tx.add_batch(full))
        assert db.read(lambda tx: tx.batch(full.batch_id)) == full
        assert db.read(lambda tx: tx.batch(batch(2).batch_id)) is None

    def test_the_results_of_a_batch_are_saved_by_themselves(self, db: Database) -> None:
        """A result replaces its asset's line and leaves the others and their order."""
        db.write(lambda tx: tx.add_batch(batch(moves=3)))
        done = MoveResult(
            asset=asset_id(2),
            outcome=Outcome.PARKED,
            move=move(2, nonce="abc123", warnings=("w",)),
            error="not\nproven",
            at=after(3.000001),
        )
        db.write(lambda tx: tx.save_move_result(batch().batch_id, done))
        kept = db.read(lambda tx: tx.batch(batch().batch_id))
        assert kept is not None
        first, _, third = batch(moves=3).results
        assert kept == evolve(batch(moves=3), results=(first, done, third))

    def test_several_results_are_saved_together(self, db: Database) -> None:
        """Each replaces its asset's line; where one is of no asset of the batch, none does."""
        db.write(lambda tx: tx.add_batch(batch(moves=3)))
        first, second, third = batch(moves=3).results
        done = [evolve(one, outcome=Outcome.MOVED, at=after(1)) for one in (third, first)]
        db.write(lambda tx: tx.save_move_result(batch().batch_id, *done))
        kept = evolve(batch(moves=3), results=(done[1], second, done[0]))
        assert db.read(lambda tx: tx.batch(batch().batch_id)) == kept
        others = (evolve(second, outcome=Outcome.FAILED), evolve(second, asset=asset_id(9)))
        with pytest.raises(NotFound):
            db.write(lambda tx: tx.save_move_result(batch().batch_id, *others))
        db.write(lambda tx: tx.save_move_result(batch().batch_id))
        assert db.read(lambda tx: tx.batch(batch().batch_id)) == kept

    def test_saving_a_batch_keeps_its_results(self, db: Database) -> None:
        """Status and times change; results that were saved meanwhile are not overwritten."""
        db.write(lambda tx: tx.add_batch(batch()))
        done = evolve(batch().results[0], outcome=Outcome.MOVED, at=after(1))
        db.write(lambda tx: tx.save_move_result(batch().batch_id, done))
        ended = evolve(batch(), status=BatchStatus.DONE, finished_at=after(9.5))
        db.write(lambda tx: tx.save_batch(ended))
        kept = db.read(lambda tx: tx.batch(batch().batch_id))
        assert kept == evolve(ended, results=(done, batch().results[1]))

    def test_batches_come_newest_first(self, db: Database) -> None:
        """All batches or those still open, whole, up to the limit."""
        statuses = [BatchStatus.DONE, BatchStatus.RUNNING, BatchStatus.QUEUED, BatchStatus.DONE]
        all_of_them = [batch(n, status=status) for n, status in enumerate(statuses)]
        for each in all_of_them:
            db.write(writing("add_batch", each))
        assert list(db.read(lambda tx: tx.batches())) == all_of_them[::-1]
        assert list(db.read(lambda tx: tx.batches(limit=2))) == all_of_them[:1:-1]
        assert list(db.read(lambda tx: tx.batches(open_only=True))) == all_of_them[2:0:-1]

    def test_events_keep_their_order(self, db: Database) -> None:
        """Events come in the order they were added, whatever their times; ``seq`` only grows."""

        def work(n: int) -> None:
            later = event(f"e{n}", of=n % 2, at=after(-n), data={"n": n, "text": "é🎬\n", "x": [1]})
            db.write(lambda tx: tx.add_event(later))

        for n in range(6):
            work(n)
        events = db.read(lambda tx: tx.events())
        assert [e.name for e in events] == [f"e{n}" for n in range(6)]
        numbers = [e.seq for e in events]
        assert numbers == sorted(set(numbers))
        assert events[3] == event(
            "e3",
            of=1,
            at=after(-3),
            data={"n": 3, "text": "é🎬\n", "x": [1]},
            seq=numbers[3],
        )
        odd = db.read(lambda tx: tx.events(asset(1).subject))
        assert [e.name for e in odd] == ["e1", "e3", "e5"]
        rest = db.read(lambda tx: tx.events(after=numbers[1], limit=2))
        assert [e.name for e in rest] == ["e2", "e3"]
        some = db.read(lambda tx: tx.events(asset(1).subject, after=numbers[1], limit=1))
        assert [e.name for e in some] == ["e3"]

    def test_events_that_are_added_together_keep_their_order(self, db: Database) -> None:
        """However many they are, they come back as they were given, and none is no hindrance."""
        many = [event(f"e{n}", of=n, at=after(n), data={"n": n}) for n in range(321)]
        db.write(lambda tx: tx.add_event())
        db.write(lambda tx: tx.add_event(*many))
        found = db.read(lambda tx: tx.events())
        assert [evolve(one, seq=0) for one in found] == many

    def test_concurrent_events_get_numbers_of_their_own(self, db: Database) -> None:
        """No two events share a number, and none is lost."""
        db.race([writing("add_event", event(f"e{n}")) for n in range(20)])
        events = db.read(lambda tx: tx.events())
        assert len({e.seq for e in events}) == 20
        assert {e.name for e in events} == {f"e{n}" for n in range(20)}

    def test_the_journal_keeps_its_order(self, db: Database) -> None:
        """Entries come in order; of one subject, of one batch, or of both."""

        def work(tx: Transaction) -> None:
            tx.add_journal(journal_entry(of=1, batch_id="b1"))
            tx.add_journal(journal_entry(Phase.DONE, of=1, batch_id="b1", fencing=2**40))
            tx.add_journal(journal_entry(of=2, batch_id="b1", target=None, operation="purge"))
            tx.add_journal(
                journal_entry(Phase.FAILED, of=1, evidence={"size": 2**62, "why": ["é"]})
            )

        db.write(work)

        def listed(**only: Any) -> list[tuple[Phase, str]]:
            return [(e.phase, e.subject.id) for e in db.read(lambda tx: tx.journal(**only))]

        one, two = asset_id(1), asset_id(2)
        in_batch = [(Phase.INTENT, one), (Phase.DONE, one)]
        assert listed() == [*in_batch, (Phase.INTENT, two), (Phase.FAILED, one)]
        assert listed(batch_id="b1") == [*in_batch, (Phase.INTENT, two)]
        assert listed(subject=asset(1).subject) == [*in_batch, (Phase.FAILED, one)]
        assert listed(subject=asset(1).subject, batch_id="b1") == in_batch
        entries = db.read(lambda tx: tx.journal())
        assert [e.seq for e in entries] == sorted({e.seq for e in entries})
        assert entries[3] == journal_entry(
            Phase.FAILED, of=1, evidence={"size": 2**62, "why": ["é"]}, seq=entries[3].seq
        )
        assert (entries[2].target, entries[1].fencing) == (None, 2**40)

    def test_replays_are_kept_by_scope(self, db: Database) -> None:
        """The answer's bytes come back as they were; a scope that was not used is None."""
        kept = replay("agent-1 POST /jobs/1/submit é🎬\n")
        db.write(lambda tx: tx.save_replay(kept))
        assert db.read(lambda tx: tx.replay(kept.scope)) == kept
        assert db.read(lambda tx: tx.replay("agent-2 POST /jobs/1/submit")) is None

    def test_old_replays_are_dropped(self, db: Database) -> None:
        """Those kept before a time are dropped and counted; the instant itself stays."""

        def work(tx: Transaction) -> None:
            for n in range(5):
                tx.save_replay(replay(f"s{n}", created_at=after(n)))

        db.write(work)
        assert db.write(lambda tx: tx.drop_replays_before(after(2))) == 2
        assert db.write(lambda tx: tx.drop_replays_before(after(2))) == 0
        there = db.read(lambda tx: [n for n in range(5) if tx.replay(f"s{n}")])
        assert there == [2, 3, 4]

    @pytest.mark.parametrize("span", [timedelta(microseconds=1), timedelta(days=365 * 60)])
    def test_times_of_records_keep_their_microseconds(self, db: Database, span: timedelta) -> None:
        """The time of an event is stored to the microsecond."""
        db.write(lambda tx: tx.add_event(event(at=START + span)))
        [kept] = db.read(lambda tx: tx.events())
        assert kept.at == START + span
