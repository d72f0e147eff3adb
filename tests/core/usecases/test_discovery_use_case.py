"""The story of a scan, over ports in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from retaia_tests.house import PERSON, House

from retaia_core.domain.assets import Flag
from retaia_core.domain.jobs import JobStatus
from retaia_core.domain.lifecycle import Action, State
from retaia_core.domain.storage import Layout
from retaia_core.ports.originals import FolderListing
from retaia_core.testing.memory_files import MemoryOriginals
from retaia_core.testing.samples import asset
from retaia_core.usecases.scan_tally import ScanOptions
from retaia_core.usecases.scan_walk import BATCH_FILES


class _Twice(MemoryOriginals):
    """Lists every folder twice: a large one in two batches, small ones in one."""

    def walk(self, layout: Layout, known: Callable[[str], str | None]) -> Iterator[FolderListing]:
        for listing in super().walk(layout, known):
            yield listing
            yield listing


@pytest.fixture
async def house() -> House:
    house = House()
    await house.start()
    return house


class TestFirstScans:
    async def test_new_files_become_assets_and_nothing_else_does(self, house: House) -> None:
        """Media in the inbox is taken in; other files, hidden ones and empty ones are passed over."""
        for path in ("INBOX/day 1/A.mov", "INBOX/b.jpg", "INBOX/notes.txt", "INBOX/._b.jpg"):
            house.originals.add(path)
        house.originals.add("INBOX/empty.mp4", b"")
        report = await house.scan()
        assert (report.new, report.became_ready, report.missing) == (2, 0, 0)
        assert report.skipped["INBOX/._b.jpg"] == "hidden"
        assert report.skipped["INBOX/empty.mp4"] == "empty_file"
        assert (await house.at("INBOX/day 1/A.mov")).state is State.DISCOVERED

    async def test_stable_files_become_ready_with_the_jobs_of_their_profile(
        self, house: House
    ) -> None:
        """Two sightings of the same size and the quiet period make an asset READY, with its jobs."""
        asset = await house.ready("INBOX/A.mov")
        assert asset.state is State.READY
        assert asset.fingerprint
        jobs = await house.review.jobs(asset.uuid)
        assert {job.job_type: job.required for job in jobs} == {
            "extract_facts": True,
            "generate_proxy": True,
            "generate_thumbnails": True,
            "generate_audio_waveform": False,
        }

    async def test_a_file_that_grows_stays_discovered(self, house: House) -> None:
        """A size that differs starts the count again."""
        house.originals.add("INBOX/A.mov", b"1")
        await house.scan()
        house.originals.add("INBOX/A.mov", b"12")
        assert (await house.scan()).became_ready == 0
        assert (await house.scan()).became_ready == 1

    async def test_the_quiet_period_counts_from_the_mtime(self) -> None:
        """A file that was written just now is not stable, however often it is seen."""
        house = House(quiet=timedelta(seconds=300))
        await house.start()
        mtime = int(house.clock.now().timestamp() * 1e9)
        house.originals.add("INBOX/A.mov", mtime_ns=mtime)
        for _ in range(5):
            assert (await house.scan(timedelta(seconds=10))).became_ready == 0
        assert (await house.scan(timedelta(seconds=300))).became_ready == 1

    async def test_a_first_scan_that_is_cut_off_is_taken_up(self, house: House) -> None:
        """What an interrupted first scan has written is found by the next one, and nothing twice."""
        for number in range(BATCH_FILES):
            house.originals.add(f"INBOX/a/{number}.jpg")
        house.originals.add("INBOX/b/last.jpg")

        def unplug(seen: int) -> None:
            house.originals.problem = "unplugged"

        options = ScanOptions(quiet=house.quiet)
        cut_off = await house.discovery.scan(house.originals.storage_id, options, unplug)
        assert (cut_off.problem, cut_off.number) == ("unplugged", 0)
        house.originals.problem = None
        report = await house.scan()
        assert (report.problem, report.seen) == ("", BATCH_FILES + 1)
        counts = (await house.operations.status()).counts
        assert sum(counts.values()) == BATCH_FILES + 1

    async def test_a_folder_that_is_listed_twice_is_taken_once(self) -> None:
        """The listing that comes last counts, in one batch and in the next."""
        house = House(originals=_Twice())
        await house.start()
        for number in range(BATCH_FILES + 1):
            house.originals.add(f"INBOX/a/{number}.jpg")
        house.originals.add("INBOX/b/last.jpg")
        report = await house.scan()
        assert (report.problem, report.new) == ("", BATCH_FILES + 2)

    async def test_what_somebody_else_adds_meanwhile_is_known(self, house: House) -> None:
        """A first scan that meets an asset at a path of its own compares once more, with the store."""
        known = asset(path="INBOX/a.jpg", storage_id=house.originals.storage_id)
        await house.store.transact(lambda tx: tx.add_assets([known]))
        for name in ("a.jpg", "b.jpg"):
            house.originals.add(f"INBOX/{name}")
        assert (await house.scan()).new == 1
        assert (await house.at("INBOX/a.jpg")).uuid == known.uuid

    async def test_an_unchanged_world_changes_nothing(self, house: House) -> None:
        """A rescan in which nothing happened leaves every asset as it is."""
        before = await house.ready("INBOX/A.mov")
        report = await house.scan()
        assert (report.seen, report.new, report.changed, report.missing) == (1, 0, 0, 0)
        assert await house.at("INBOX/A.mov") == before


class TestFilesThatComeAndGo:
    async def test_a_vanished_file_is_flagged_and_unflagged(self, house: House) -> None:
        """Missing is a flag, nothing is deleted, and seeing the file again takes it away."""
        asset = await house.ready("INBOX/A.mov")
        file = house.originals.files.pop("INBOX/A.mov")
        assert (await house.scan()).missing == 1
        gone = await house.review.asset(asset.uuid)
        assert (gone.flags, gone.state) == (frozenset({Flag.MISSING}), State.READY)
        house.originals.files["INBOX/A.mov"] = file
        assert (await house.scan()).returned == 1
        assert (await house.review.asset(asset.uuid)).flags == frozenset()

    async def test_a_file_that_returns_and_is_stable_at_once_changes_state_once(
        self, house: House
    ) -> None:
        """The trail tells the return, then the change of state, and that only there."""
        house.originals.add("INBOX/A.jpg")
        await house.scan()
        file = house.originals.files.pop("INBOX/A.jpg")
        await house.scan()
        house.originals.files["INBOX/A.jpg"] = file
        await house.scan()
        asset = await house.at("INBOX/A.jpg")
        told = [
            (e.name, e.data.get("from"), e.data.get("to"))
            for e in await house.operations.history(asset.uuid)
        ]
        assert told[-2:] == [
            ("asset.returned", None, None),
            ("asset.became_ready", "DISCOVERED", "READY"),
        ]

    async def test_a_lost_mount_is_no_deletion(self, house: House) -> None:
        """Without its marker a storage is offline: nothing is called missing, and it comes back."""
        asset = await house.ready("INBOX/A.mov")
        marker, house.originals.marker = house.originals.marker, None
        house.originals.files.clear()
        report = await house.scan()
        assert report.problem
        assert report.missing == 0
        assert (await house.review.asset(asset.uuid)).flags == frozenset()
        house.originals.marker = marker
        house.originals.add("INBOX/A.mov")
        assert (await house.scan()).problem == ""

    async def test_an_unreadable_folder_makes_nothing_missing(self, house: House) -> None:
        """What cannot be looked at is reported, and its assets stay as they are."""
        asset = await house.ready("INBOX/day 1/A.mov")

        def refuse(operation: str, path: str) -> None:
            if operation == "walk" and path == "INBOX/day 1":
                raise PermissionError(path)

        house.originals.fault = refuse
        report = await house.scan()
        assert report.skipped["INBOX/day 1"] == "unreadable"
        assert report.missing == 0
        assert await house.review.asset(asset.uuid) == asset

    async def test_a_changed_file_is_flagged_and_kept(self, house: House) -> None:
        """A file that changes after it was ready is flagged; its state and jobs stay."""
        asset = await house.pending("INBOX/A.jpg")
        house.originals.add("INBOX/A.jpg", b"other content")
        assert (await house.scan()).changed == 1
        changed = await house.review.asset(asset.uuid)
        assert (changed.flags, changed.state) == (
            frozenset({Flag.CHANGED}),
            State.DECISION_PENDING,
        )

    async def test_a_replaced_unprocessable_file_is_tried_anew(self, house: House) -> None:
        """Replacing a damaged file gives new jobs once the new file is stable."""
        asset = await house.ready("INBOX/A.jpg")
        agent = await house.agent()
        bundle = await house.processing.claim_bundle(agent, asset.uuid)
        for job in bundle.jobs:
            await house.processing.fail(
                agent,
                job.job_id,
                bundle.lock.token,
                "SOURCE_UNREADABLE",
                "damaged",
                retryable=False,
            )
        assert Flag.UNPROCESSABLE in (await house.review.asset(asset.uuid)).flags
        house.originals.add("INBOX/A.jpg", b"a good file")
        await house.scan()
        assert (await house.scan()).became_ready == 1
        again = await house.review.asset(asset.uuid)
        assert (again.state, again.flags) == (State.READY, frozenset())
        jobs = await house.review.jobs(asset.uuid)
        assert {job.status for job in jobs} == {JobStatus.PENDING}


class TestMovedByHand:
    async def test_the_asset_keeps_its_uuid(self, house: House) -> None:
        """The same content at another path, the old path gone, is the same asset."""
        asset = await house.ready("INBOX/A.mov", b"one of a kind")
        file = house.originals.files.pop("INBOX/A.mov")
        house.originals.files["INBOX/day 2/B.mov"] = file
        report = await house.scan()
        assert (report.moved_by_hand, report.new, report.missing) == (1, 0, 0)
        moved = await house.at("INBOX/day 2/B.mov")
        assert moved.uuid == asset.uuid
        assert [record.path for record in moved.path_history] == ["INBOX/A.mov"]

    async def test_a_copy_is_a_new_asset(self, house: House) -> None:
        """While the old path is still there, the same content elsewhere is another asset."""
        asset = await house.ready("INBOX/A.mov", b"one of a kind")
        house.originals.files["INBOX/copy.mov"] = house.originals.files["INBOX/A.mov"]
        report = await house.scan()
        assert (report.moved_by_hand, report.new) == (0, 1)
        assert (await house.at("INBOX/A.mov")).uuid == asset.uuid

    async def test_what_cannot_be_read_is_not_guessed(self, house: House) -> None:
        """A file that looks like the one that is gone, and cannot be read now, waits for the next scan."""
        asset = await house.ready("INBOX/A.mov", b"one of a kind")
        file = house.originals.files.pop("INBOX/A.mov")
        house.originals.files["INBOX/day 2/B.mov"] = file

        def refuse(operation: str, path: str) -> None:
            if operation == "fingerprint":
                raise OSError("I/O error")

        house.originals.fault = refuse
        report = await house.scan()
        assert (report.moved_by_hand, report.new) == (0, 0)
        assert "cannot be compared now" in report.skipped["INBOX/day 2/B.mov"]
        house.originals.fault = None
        assert (await house.scan()).moved_by_hand == 1
        assert (await house.at("INBOX/day 2/B.mov")).uuid == asset.uuid

    async def test_an_old_place_out_of_sight_is_not_guessed(self, house: House) -> None:
        """While the folder of an asset cannot be read, its twin elsewhere is neither it nor a new one."""
        asset = await house.ready("INBOX/day 1/A.mov", b"one of a kind")
        file = house.originals.files.pop("INBOX/day 1/A.mov")
        house.originals.files["INBOX/day 1/keeps the folder.txt"] = file
        house.originals.files["INBOX/day 2/A.mov"] = file

        def refuse(operation: str, path: str) -> None:
            if (operation, path) == ("walk", "INBOX/day 1"):
                raise OSError("I/O error")

        house.originals.fault = refuse
        report = await house.scan()
        assert (report.moved_by_hand, report.new, report.missing) == (0, 0, 0)
        house.originals.fault = None
        assert (await house.scan()).moved_by_hand == 1
        assert (await house.at("INBOX/day 2/A.mov")).uuid == asset.uuid

    async def test_a_renamed_folder_keeps_every_asset(self, house: House) -> None:
        """A thousand files in a folder that was renamed by hand keep their UUIDs, sidecars and all."""
        for number in range(1000):
            house.originals.add(f"INBOX/old/{number}.jpg", f"file {number}".encode())
        house.originals.add("INBOX/old/7.xmp", b"<x/>")
        await house.scan()
        await house.scan()
        before = {n: (await house.at(f"INBOX/old/{n}.jpg")).uuid for n in range(0, 1000, 50)}
        renamed = {p.replace("/old/", "/New/"): f for p, f in house.originals.files.items()}
        house.originals.files = renamed
        report = await house.scan()
        assert (report.moved_by_hand, report.new, report.missing) == (1000, 0, 0)
        after = {n: (await house.at(f"INBOX/New/{n}.jpg")).uuid for n in before}
        assert after == before
        seven = await house.at("INBOX/New/7.jpg")
        assert [s.path for s in seven.sidecars] == ["INBOX/New/7.xmp"]

    async def test_a_change_of_case_is_a_move(self, house: House) -> None:
        """A name that differs in case alone is another path of the same asset."""
        asset = await house.ready("INBOX/clip.MOV", b"one of a kind")
        house.originals.files["INBOX/Clip.mov"] = house.originals.files.pop("INBOX/clip.MOV")
        report = await house.scan()
        assert (report.moved_by_hand, report.new, report.missing) == (1, 0, 0)
        assert (await house.at("INBOX/Clip.mov")).uuid == asset.uuid

    async def test_out_of_the_archive_by_hand(self, house: House) -> None:
        """A file that a person takes back from the archive to the inbox is the same asset, still archived."""
        asset = await house.pending("INBOX/A.jpg")
        await house.review.decide(PERSON, asset.uuid, Action.KEEP)
        plan = await house.moves.preview()
        await house.moves.run((await house.moves.execute(PERSON, plan, plan.digest)).batch_id)
        await house.scan()
        file = house.originals.files.pop("ARCHIVE/A.jpg")
        house.originals.files["INBOX/back/A.jpg"] = file
        report = await house.scan()
        assert (report.moved_by_hand, report.new, report.missing) == (1, 0, 0)
        back = await house.at("INBOX/back/A.jpg")
        assert (back.uuid, back.state, back.flags) == (asset.uuid, State.ARCHIVED, frozenset())
        assert [record.path for record in back.path_history] == ["INBOX/A.jpg", "ARCHIVE/A.jpg"]

    async def test_replaced_while_offline(self, house: House) -> None:
        """Another file under the name of a known one, put there while the disk was away, is a change."""
        asset = await house.pending("INBOX/A.jpg")
        marker, house.originals.marker = house.originals.marker, None
        house.originals.add("INBOX/A.jpg", b"quite another", mtime_ns=2 * 10**18)
        assert (await house.scan()).problem
        house.originals.marker = marker
        report = await house.scan()
        assert (report.changed, report.new, report.missing) == (1, 0, 0)
        changed = await house.review.asset(asset.uuid)
        assert (changed.flags, changed.state) == (
            frozenset({Flag.CHANGED}),
            State.DECISION_PENDING,
        )
        report_of = await house.operations.asset(asset.uuid)
        assert "its file changed after it was prepared" in report_of.why.sentence

    async def test_two_candidates_are_not_guessed(self, house: House) -> None:
        """Where two new files fit one that is gone, both are new and the old one is missing."""
        asset = await house.ready("INBOX/A.mov", b"one of a kind")
        file = house.originals.files.pop("INBOX/A.mov")
        house.originals.files["INBOX/x/1.mov"] = file
        house.originals.files["INBOX/y/2.mov"] = file
        report = await house.scan()
        assert (report.moved_by_hand, report.new, report.missing) == (0, 2, 1)
        assert Flag.MISSING in (await house.review.asset(asset.uuid)).flags


class TestSidecars:
    async def test_a_sidecar_is_attached_and_never_an_asset(self, house: House) -> None:
        """An XMP beside its photo belongs to it; one without a parent is reported with the reason."""
        house.originals.add("INBOX/A.xmp", b"<x/>")
        house.originals.add("INBOX/lonely.xmp", b"<x/>")
        asset = await house.ready("INBOX/A.jpg")
        assert [s.path for s in asset.sidecars] == ["INBOX/A.xmp"]
        status = await house.operations.status()
        assert [(u.path, u.reason) for u in status.unmatched] == [
            ("INBOX/lonely.xmp", "missing_parent")
        ]

    async def test_a_sidecar_that_comes_later_is_attached(self, house: House) -> None:
        """A sidecar that appears after its parent is attached by the next scan, and detached when gone."""
        asset = await house.ready("INBOX/A.jpg")
        house.originals.add("INBOX/a.XMP", b"<x/>")
        await house.scan()
        assert [s.path for s in (await house.at("INBOX/A.jpg")).sidecars] == ["INBOX/a.XMP"]
        del house.originals.files["INBOX/a.XMP"]
        await house.scan()
        assert (await house.review.asset(asset.uuid)).sidecars == ()


class TestArchive:
    async def test_strangers_in_the_archive_are_left_alone(self, house: House) -> None:
        """Only the inbox makes assets."""
        house.originals.add("ARCHIVE/old.mov")
        house.originals.add("EXPORTS/cut.mov")
        assert (await house.scan()).new == 0
