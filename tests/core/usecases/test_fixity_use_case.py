"""Fixity over ports in memory: what a run reads, in which order, and what it leaves behind."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from datetime import timedelta

import anyio
import pytest
from attrs import evolve
from retaia_tests.house import PERSON, UNPLUGGED, House

from retaia_core.domain.actors import SYSTEM
from retaia_core.domain.assets import Asset, Flag
from retaia_core.domain.fixity import FileFixity, Outcome
from retaia_core.domain.identifiers import AssetId, RelPath, StorageId
from retaia_core.domain.job_types import FINGERPRINT
from retaia_core.domain.leases import Lock, LockKind
from retaia_core.domain.lifecycle import Action, State
from retaia_core.domain.verifying import Checked, Result, VerifyOptions, VerifyReport
from retaia_core.errors import ForbiddenActor, NotFound, Purged, StateConflict, ValidationFailed
from retaia_core.ports.originals import Moved, Progress, no_progress
from retaia_core.settings import FixitySettings
from retaia_core.testing.memory_files import MemoryFile, MemoryOriginals
from retaia_core.usecases.fixity import Verification, digest_of
from retaia_core.usecases.pacing import Pace, Stopped
from retaia_core.usecases.results import Submission
from retaia_core.usecases.scrubbing import Scrub

pytestmark = pytest.mark.anyio


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


async def settled(*names: str, content: bytes = b"content") -> House:
    """A house with photos that are proven stable."""
    house = House()
    await house.start()
    for name in names:
        house.originals.add(f"INBOX/{name}", content + name.encode())
    await house.scan()
    await house.scan()
    return house


def fixity(house: House) -> Verification:
    return Verification(store=house.store, clock=house.clock, storages=house.storages)


async def run(
    house: House, *, after: float = 60, pace: Pace | None = None, **options: object
) -> VerifyReport:
    house.clock.advance(timedelta(seconds=after))
    chosen = VerifyOptions(**options)  # type: ignore[arg-type]
    return await fixity(house).run(chosen, PERSON, pace or Pace())


def rot(house: House, path: str) -> None:
    """Change a byte; size and mtime stay."""
    file = house.originals.files[path]
    content = bytes([file.content[0] ^ 1]) + file.content[1:]
    house.originals.files[path] = MemoryFile(content=content, mtime_ns=file.mtime_ns)


async def events(house: House, asset: Asset) -> list[str]:
    found = await house.store.read(lambda tx: tx.events(asset.subject))
    return [event.name for event in found if event.name.startswith("fixity.")]


def named(report: VerifyReport) -> set[tuple[str, str]]:
    return {(one.result.value, one.path) for one in report.named}


class TestARun:
    """Every file is read; what has no digest gets one, what has one is compared."""

    async def test_first_digests_then_matches(self) -> None:
        """The record tells who took a digest and when, and when it was verified last."""
        house = await settled("a.jpg", "b.jpg")
        first = await run(house)
        assert (first.counts, first.named) == ({Result.TAKEN: 2}, ())
        assert (first.known, first.never) == (2, 0)
        taken_at = house.clock.now()
        second = await run(house)
        assert second.counts == {Result.MATCH: 2}
        assert second.bytes_read == first.bytes_read == 2 * len(b"contenta.jpg")
        asset = await house.at("INBOX/a.jpg")
        (record,) = (await fixity(house).of(asset.uuid)).fixity.files  # type: ignore[union-attr]
        assert (record.digest, record.taken_by) == (digest(b"contenta.jpg"), str(PERSON))
        assert (record.taken_at, record.verified_at) == (taken_at, house.clock.now())
        assert await events(house, asset) == []

    async def test_rot_is_named_flagged_and_told_once(self) -> None:
        """The state stays, nothing is deleted, and the flag goes when the content is back."""
        house = await settled("a.jpg", "b.jpg")
        await run(house)
        before = await house.at("INBOX/a.jpg")
        good = house.originals.files["INBOX/a.jpg"]
        rot(house, "INBOX/a.jpg")
        for _ in range(2):
            report = await run(house)
            assert named(report) == {("mismatch", "INBOX/a.jpg")}
            assert [one.path for one in report.wrong] == ["INBOX/a.jpg"]
        asset = await house.at("INBOX/a.jpg")
        assert (asset.state, asset.flags) == (before.state, {Flag.FIXITY_MISMATCH})
        assert await events(house, asset) == ["fixity.mismatch"]
        why = await house.operations.why(asset.uuid)
        assert "is not what it was on" in why.sentence
        assert any("--accept" in step for step in why.next)
        house.originals.files["INBOX/a.jpg"] = good
        assert (await run(house)).named == ()
        asset = await house.at("INBOX/a.jpg")
        assert (asset.flags, await events(house, asset)) == (
            frozenset(),
            ["fixity.mismatch", "fixity.restored"],
        )

    async def test_a_change_waits_for_the_scan(self) -> None:
        """Before it, the file is named as it differs; after it, a new digest is taken and told."""
        house = await settled("a.jpg")
        await run(house)
        house.originals.add("INBOX/a.jpg", b"longer than before", mtime_ns=2 * 10**18)
        report = await run(house)
        ((one),) = report.named
        assert (one.result, "it has 18 bytes, and had 12" in one.message) == (Result.CHANGED, True)
        house.originals.add("INBOX/a.jpg", b"contentA.jpg", mtime_ns=2 * 10**18)
        assert "it was written to" in (await run(house)).named[0].message
        del house.originals.files["INBOX/a.jpg"]
        assert "nothing is there" in (await run(house)).named[0].message
        house.originals.add("INBOX/a.jpg", b"contentA.jpg", mtime_ns=2 * 10**18)
        await house.scan()
        report = await run(house)
        assert (named(report), report.wrong) == ({("renewed", "INBOX/a.jpg")}, ())
        asset = await house.at("INBOX/a.jpg")
        assert asset.flags == {Flag.CHANGED}
        assert await events(house, asset) == ["fixity.renewed"]

    async def test_what_cannot_be_read_is_named_with_its_reason(self) -> None:
        """Others are verified all the same; why says it."""
        house = await settled("a.jpg", "b.jpg")
        await run(house)

        def fault(operation: str, path: str) -> None:
            if operation == "checksum" and path == "INBOX/a.jpg":
                raise OSError("Input/output error")

        house.originals.fault = fault
        report = await run(house)
        assert named(report) == {("unreadable", "INBOX/a.jpg")}
        assert "Input/output error" in report.named[0].message
        assert report.counts[Result.MATCH] == 1
        asset = await house.at("INBOX/a.jpg")
        assert (asset.flags, await events(house, asset)) == (frozenset(), ["fixity.unreadable"])
        assert "could not be read at" in (await house.operations.why(asset.uuid)).sentence
        house.originals.fault = None
        assert (await run(house)).named == ()
        assert await events(house, asset) == ["fixity.unreadable", "fixity.readable"]

    async def test_missing_assets_are_said_and_not_judged(self) -> None:
        """Their records stay as they were."""
        house = await settled("a.jpg", "b.jpg")
        await run(house)
        del house.originals.files["INBOX/a.jpg"]
        await house.scan()
        report = await run(house)
        assert (named(report), report.wrong) == ({("missing", "INBOX/a.jpg")}, ())
        uuid = (await house.at("INBOX/a.jpg")).uuid
        kept = (await fixity(house).of(uuid)).fixity
        assert kept is not None
        assert kept.files[0].outcome is Outcome.TAKEN

    async def test_what_may_still_grow_is_left(self) -> None:
        """A file that is not proven stable gets no digest, also where it is asked for by name."""
        house = House()
        await house.start()
        house.originals.add("INBOX/a.jpg")
        await house.scan()
        assert (await run(house)).counts == {}
        uuid = (await house.at("INBOX/a.jpg")).uuid
        report = await run(house, assets=(uuid,))
        assert report.counts == {Result.BUSY: 1}
        assert report.bytes_read == 0

    @pytest.mark.parametrize("kind", [LockKind.ASSET_MOVE_LOCK, LockKind.ASSET_PURGE_LOCK])
    async def test_what_is_moved_or_purged_is_left(self, kind: LockKind) -> None:
        """A file is never judged while somebody handles it; an agent's lease keeps nobody out."""
        house = await settled("a.jpg")
        asset = await house.at("INBOX/a.jpg")
        now = house.clock.now()
        lock = Lock(
            subject=asset.subject, kind=kind, holder="x", token="t", fencing=1,
            expires_at=now + timedelta(hours=1),
        )  # fmt: skip
        await house.store.transact(lambda tx: tx.save_lock(lock))
        assert (await run(house)).counts == {Result.BUSY: 1}
        lease = evolve(lock, kind=LockKind.JOB_LEASE)
        await house.store.transact(lambda tx: tx.save_lock(lease))
        assert (await run(house)).counts == {Result.TAKEN: 1}

    async def test_a_file_that_is_moved_while_it_is_read_is_not_judged(self) -> None:
        """What was read of its former place is thrown away."""
        house = await settled("a.jpg")
        await run(house)
        asset = await house.at("INBOX/a.jpg")
        moved = evolve(asset, path=RelPath("ARCHIVE/a.jpg"))

        def fault(operation: str, path: str) -> None:
            if operation == "checksum":
                house.originals.fault = None
                rot(house, "INBOX/a.jpg")
                anyio.from_thread.run(house.store.transact, lambda tx: tx.save_asset(moved))

        house.originals.fault = fault
        report = await run(house)
        assert named(report) == {("busy", "INBOX/a.jpg")}
        assert (await house.review.asset(asset.uuid)).flags == frozenset()


class TestStoragesThatAreAway:
    """Offline is said, and nothing there is called missing."""

    async def test_before_the_run(self) -> None:
        """Nothing is read, and the reason is told."""
        house = await settled("a.jpg")
        house.originals.problem = UNPLUGGED.reason
        report = await run(house)
        assert list(report.offline) == [house.originals.storage_id]
        assert UNPLUGGED.reason in report.offline[house.originals.storage_id]
        assert (report.counts, report.never) == ({}, 1)

    async def test_in_the_middle(self) -> None:
        """What was read before is kept, what was being read is not judged."""
        house = await settled("a.jpg", "b.jpg", "c.jpg")

        def fault(operation: str, path: str) -> None:
            if operation == "checksum" and path == "INBOX/b.jpg":
                house.originals.problem = UNPLUGGED.reason
                house.originals._require_online()

        house.originals.fault = fault
        report = await run(house)
        assert (report.counts, report.named) == ({Result.TAKEN: 1}, ())
        assert UNPLUGGED.reason in next(iter(report.offline.values()))
        assert (report.known, report.never) == (1, 2)

    async def test_a_storage_that_nobody_knows(self) -> None:
        """It is refused."""
        house = await settled("a.jpg")
        with pytest.raises(NotFound):
            await run(house, storage_id=StorageId("other"))


class TestTheOrder:
    """The oldest look comes first, so that runs take turns, whatever ends them."""

    async def test_runs_with_a_budget_take_turns(self) -> None:
        """Each reads what the others did not; what was never read comes before everything."""
        house = await settled("a.jpg", "b.jpg", "c.jpg")
        size = len(b"contenta.jpg")
        read: list[str] = []

        async def one() -> VerifyReport:
            house.clock.advance(timedelta(seconds=1))
            options = VerifyOptions(budget=size)
            return await fixity(house).run(
                options, SYSTEM, Pace(), lambda checked: read.append(checked.path)
            )

        reports = [await one() for _ in range(6)]
        assert sorted(read[:3]) == sorted(read[3:]) == ["INBOX/a.jpg", "INBOX/b.jpg", "INBOX/c.jpg"]
        assert [r.bytes_read for r in reports] == [size] * 6
        assert all("bytes were read" in r.stopped for r in reports)
        house.originals.add("INBOX/z.jpg", b"contentz.jpg")
        await house.scan()
        await house.scan()
        await one()
        assert read[-1] == "INBOX/z.jpg"

    async def test_a_file_larger_than_the_budget_is_read(self) -> None:
        """Else nobody would ever read it."""
        house = await settled("a.jpg")
        assert (await run(house, budget=1)).counts == {Result.TAKEN: 1}
        assert (await run(house, budget=0)).counts == {}

    async def test_what_was_looked_at_lately_can_be_left_out(self) -> None:
        """By its age; what was never read is older than anything."""
        house = await settled("a.jpg")
        await run(house)
        house.originals.add("INBOX/b.jpg", b"b")
        await house.scan()
        await house.scan()
        report = await run(house, older_than=timedelta(days=1))
        assert report.counts == {Result.TAKEN: 1}
        report = await run(house, after=86401, older_than=timedelta(days=1))
        assert report.counts == {Result.MATCH: 2}

    async def test_named_assets_are_read_whatever_their_age(self) -> None:
        """And no other."""
        house = await settled("a.jpg", "b.jpg")
        await run(house)
        uuid = (await house.at("INBOX/b.jpg")).uuid
        report = await run(house, assets=(uuid,), older_than=timedelta(days=1))
        assert report.counts == {Result.MATCH: 1}

    async def test_more_than_a_page(self) -> None:
        """Every asset has its turn once."""
        house = await settled(*(f"{n:03}.jpg" for n in range(230)))
        assert (await run(house)).counts == {Result.TAKEN: 230}
        assert (await run(house)).counts == {Result.MATCH: 230}


class TestTheServersOwn:
    """A server verifies by itself where it is told to, within its budget."""

    def scrub(self, house: House, **options: int) -> Scrub:
        return Scrub(verification=fixity(house), **options)

    async def test_it_is_off_unless_it_is_switched_on(self) -> None:
        """Reading a whole library is a load that somebody must want."""
        house = await settled("a.jpg")
        assert await self.scrub(house, bytes_per_day=10**9).round() is None
        assert FixitySettings().scrub_after_days == 0
        assert (await run(house)).counts == {Result.TAKEN: 1}

    async def test_a_round_is_an_hours_share(self) -> None:
        """Rounds take turns over everything; nothing is read again before its days are over."""
        house = await settled("a.jpg", "b.jpg", "c.jpg")
        size = len(b"contenta.jpg")
        scrub = self.scrub(house, after_days=30, bytes_per_day=24 * size)
        read = []
        for _ in range(4):
            house.clock.advance(timedelta(hours=1))
            report = await scrub.round()
            assert report is not None
            read.append(report.bytes_read)
        assert read == [size, size, size, 0]
        house.clock.advance(timedelta(days=30))
        rot(house, "INBOX/a.jpg")
        report = await scrub.round()
        assert report is not None
        assert [one.path for one in report.wrong] == ["INBOX/a.jpg"]
        asset = await house.at("INBOX/a.jpg")
        assert asset.flags == {Flag.FIXITY_MISMATCH}

    async def test_a_small_budget_still_gets_on(self) -> None:
        """One asset a round, at least."""
        house = await settled("a.jpg", "b.jpg")
        scrub = self.scrub(house, after_days=1, bytes_per_day=1)
        for _ in range(2):
            report = await scrub.round()
            assert report is not None
            assert report.counts == {Result.TAKEN: 1}


class TestStopping:
    """A run can be ended in the middle of a file, and loses nothing that it read before."""

    async def test_a_cancelled_run_ends_out_of_its_sleep(self) -> None:
        """The thread that reads ends too; the file's record is as before."""
        house = await settled("a.jpg")
        sleeping = threading.Event()
        pace = Pace(rate=1)
        begin = pace._stop.wait

        def wait(seconds: float) -> bool:
            sleeping.set()
            return begin(seconds)

        pace.wait = wait
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(fixity(house).run, VerifyOptions(), PERSON, pace)
                await anyio.to_thread.run_sync(sleeping.wait)
                tasks.cancel_scope.cancel()
        uuid = (await house.at("INBOX/a.jpg")).uuid
        assert (await fixity(house).of(uuid)).fixity is None

    async def test_a_pace_that_is_stopped_reads_no_more(self) -> None:
        """Not even where it has no limit."""
        pace = Pace()
        pace(5)
        pace.stop()
        with pytest.raises(Stopped):
            pace(5)
        assert pace.bytes_read == 10

    def test_a_pace_keeps_its_rate_on_any_clock(self) -> None:
        """10 blocks of a second's worth each take 9 seconds beyond the first."""
        now = [0.0]

        def wait(seconds: float) -> bool:
            now[0] += seconds
            return False

        pace = Pace(rate=100, clock=lambda: now[0], wait=wait)
        for _ in range(10):
            pace(100)
        assert now[0] == pytest.approx(9)


class TestAgents:
    """Digests by agents, as a later job of low priority that is no part of the review."""

    async def prepared(self) -> tuple[House, Asset]:
        house = House(switched_on=frozenset({FINGERPRINT}))
        await house.start()
        return house, await house.pending("INBOX/a.jpg")

    async def submit(self, house: House, asset: Asset, data: dict[str, object]) -> None:
        agent = await house.agent()
        bundle = await house.processing.claim_bundle(agent, asset.uuid)
        (job,) = bundle.jobs
        assert (job.job_type, job.priority, job.required) == (FINGERPRINT, -10, False)
        submission = Submission(lock_token=bundle.lock.token, job_type=FINGERPRINT, data=data)
        await house.processing.submit(agent, job.job_id, submission)

    def row(self, asset: Asset, content: bytes = b"content") -> dict[str, object]:
        return {
            "name": asset.name,
            "size_bytes": asset.size,
            "mtime_ns": asset.mtime_ns,
            "digest": digest(content),
        }

    async def test_an_agents_digest_is_what_verify_compares_with(self) -> None:
        """The asset stays where it was, and a purge or a copy can ask for the digest."""
        house, asset = await self.prepared()
        await self.submit(house, asset, {"files": [self.row(asset)]})
        known = await house.store.read(lambda tx: digest_of(tx, asset, asset.path))
        assert known == digest(b"content")
        assert (await house.review.asset(asset.uuid)).state is State.DECISION_PENDING
        assert (await run(house)).counts == {Result.MATCH: 1}

    async def test_an_agent_that_reads_other_content_flags_it_too(self) -> None:
        """After a reprocess, say; the record of before is what counts."""
        house, asset = await self.prepared()
        await run(house)
        await self.submit(house, asset, {"files": [self.row(asset, b"rotten!")]})
        after = await house.review.asset(asset.uuid)
        assert after.flags == {Flag.FIXITY_MISMATCH}
        assert (after.state, await events(house, asset)) == (asset.state, ["fixity.mismatch"])

    async def test_a_digest_of_what_stood_there_before_is_dropped(self) -> None:
        """The job is done all the same: verify, or a reprocess, takes the digest of what stands there."""
        house, asset = await self.prepared()
        await self.submit(house, asset, {"files": [self.row(asset) | {"size_bytes": 1}]})
        assert (await fixity(house).of(asset.uuid)).fixity is None

    async def test_a_malformed_result_is_refused_whole(self) -> None:
        """Nothing of it is applied, and the job is still held."""
        house, asset = await self.prepared()
        with pytest.raises(ValidationFailed):
            await self.submit(house, asset, {"files": [self.row(asset) | {"digest": "x"}]})
        assert (await fixity(house).of(asset.uuid)).fixity is None

    async def test_an_agent_without_the_capability_never_sees_it(self) -> None:
        """The contract's own agents go on as before."""
        house, _ = await self.prepared()
        plain, _ = await house.agents.register("old", "old", "1", "test", {"media.facts@1"})
        assert await house.processing.offered(plain) == ()
        assert [o.job.job_type for o in await house.processing.offered(await house.agent())] == [
            FINGERPRINT
        ]


class OtherFilesystem(MemoryOriginals):
    """A storage whose archive lies on another disk: what is moved there is copied and read back."""

    def rename(self, source: str, target: str, progress: Progress = no_progress) -> Moved:
        content = self.files[source].content
        super().rename(source, target, progress)
        return Moved(copied_bytes=len(content), checksum=digest(content))


class TestCopies:
    """A move to another filesystem reads every byte, so it verifies what it moves."""

    async def archived(self, *, rotten: bool = False, known: bool = True) -> tuple[House, Asset]:
        house = House(originals=OtherFilesystem())
        await house.start()
        asset = await house.pending("INBOX/a.jpg")
        if known:
            await run(house)
        if rotten:
            rot(house, "INBOX/a.jpg")
        await house.review.decide(PERSON, asset.uuid, Action.KEEP)
        house.clock.advance(timedelta(hours=1))
        plan = await house.moves.preview()
        batch = await house.moves.execute(PERSON, plan, plan.digest)
        await house.moves.run(batch.batch_id)
        return house, await house.review.asset(asset.uuid)

    async def record(self, house: House, asset: Asset) -> FileFixity:
        fixed = (await fixity(house).of(asset.uuid)).fixity
        assert fixed is not None
        (record,) = fixed.files
        return record

    async def test_a_copy_is_a_verification(self) -> None:
        """Its date is that of the move, its path the new one; no event is needed for what is well."""
        house, asset = await self.archived()
        record = await self.record(house, asset)
        assert (record.outcome, record.path) == (Outcome.MATCH, "ARCHIVE/a.jpg")
        assert record.verified_at == house.clock.now()
        assert (asset.state, asset.flags) == (State.ARCHIVED, frozenset())

    async def test_a_copy_of_what_had_no_digest_takes_one(self) -> None:
        """The bytes were read, so they count."""
        house, asset = await self.archived(known=False)
        record = await self.record(house, asset)
        assert (record.outcome, record.taken_by) == (Outcome.TAKEN, str(SYSTEM))

    async def test_a_source_that_was_damaged_before_is_found_on_the_way(self) -> None:
        """The move is done, since the copy is its source; the asset is flagged, and its state is its own."""
        house, asset = await self.archived(rotten=True)
        assert (asset.state, asset.flags) == (State.ARCHIVED, {Flag.FIXITY_MISMATCH})
        assert await events(house, asset) == ["fixity.mismatch"]

    async def test_a_rename_reads_nothing_and_says_nothing(self) -> None:
        """On one filesystem the record stays as it was."""
        house = House()
        await house.start()
        asset = await house.pending("INBOX/a.jpg")
        await run(house)
        verified_at = house.clock.now()
        await house.review.decide(PERSON, asset.uuid, Action.KEEP)
        house.clock.advance(timedelta(hours=1))
        plan = await house.moves.preview()
        batch = await house.moves.execute(PERSON, plan, plan.digest)
        await house.moves.run(batch.batch_id)
        record = await self.record(house, asset)
        assert (record.path, record.verified_at) == ("INBOX/a.jpg", verified_at)
        assert (await run(house)).counts == {Result.MATCH: 1}


class TestAccepting:
    """A person may say that what was found is right; nobody else."""

    async def rotten(self) -> tuple[House, AssetId]:
        house = await settled("a.jpg", "b.jpg")
        await run(house)
        rot(house, "INBOX/a.jpg")
        await run(house)
        return house, (await house.at("INBOX/a.jpg")).uuid

    async def test_it_counts_from_now_on(self) -> None:
        """The flag goes, the trail keeps both digests, and the next run matches."""
        house, uuid = await self.rotten()
        report = await fixity(house).accept(PERSON, uuid)
        assert report.asset.flags == frozenset()
        assert (await run(house)).named == ()
        assert await events(house, report.asset) == ["fixity.mismatch", "fixity.accepted"]

    async def test_only_a_person_may(self) -> None:
        """No rule and no agent decides what an original is."""
        house, uuid = await self.rotten()
        with pytest.raises(ForbiddenActor):
            await fixity(house).accept(SYSTEM, uuid)

    async def test_there_must_be_something_to_accept(self) -> None:
        """What matches, and what was purged, is refused."""
        house, uuid = await self.rotten()
        other = (await house.at("INBOX/b.jpg")).uuid
        with pytest.raises(StateConflict, match="nothing to accept"):
            await fixity(house).accept(PERSON, other)
        asset = await house.review.asset(uuid)
        purged = evolve(asset, state=State.PURGED)
        await house.store.transact(lambda tx: tx.save_asset(purged))
        with pytest.raises(Purged):
            await fixity(house).accept(PERSON, uuid)
        report = await run(house, assets=(uuid,))
        assert report.counts == {Result.MISSING: 1}


async def test_the_list_has_what_is_known_and_what_is_not() -> None:
    """Every asset of a storage, those without a digest too."""
    house = await settled("a.jpg")
    await run(house)
    house.originals.add("INBOX/b.jpg", b"b")
    await house.scan()
    await house.scan()
    reports = [r async for r in fixity(house).listing(house.originals.storage_id)]
    assert [(r.asset.name, len(r.unknown)) for r in reports] == [("a.jpg", 0), ("b.jpg", 1)]


async def test_what_is_said_is_said_as_it_happens() -> None:
    """Whoever looks on hears of each file once it was read."""
    house = await settled("a.jpg", "b.jpg")
    heard: list[Checked] = []
    tell: Callable[[Checked], None] = heard.append
    await fixity(house).run(VerifyOptions(), PERSON, Pace(), tell)
    assert [(one.path, one.result) for one in heard] == [
        ("INBOX/a.jpg", Result.TAKEN),
        ("INBOX/b.jpg", Result.TAKEN),
    ]
