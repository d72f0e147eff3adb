"""Storages are attended to by themselves, and no chore ends the program."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
import pytest
from retaia_tests.house import PERSON, House, MemoryDriver

from retaia_core.domain.identifiers import StorageId
from retaia_core.domain.scans import ScanReport
from retaia_core.domain.storage import Health, Layout, Trouble
from retaia_core.errors import StoreUnavailable
from retaia_core.ports.observer import SilentObserver
from retaia_core.ports.originals import FolderListing, Originals
from retaia_core.shell.attendance import Attendance
from retaia_core.shell.chores import Chores
from retaia_core.shell.notices import Notice
from retaia_core.testing.memory_files import MemoryOriginals
from retaia_core.usecases.discovery import Discovery
from retaia_core.usecases.looking import Looking
from retaia_core.usecases.monitoring import Monitoring
from retaia_core.usecases.scan_tally import ScanOptions
from retaia_core.usecases.storages import Storages
from retaia_core.usecases.vitals import Vitals


class Hanging(MemoryOriginals):
    """Originals that, once they hang, hold whoever looks at them or walks them."""

    def __init__(self, storage_id: str) -> None:
        super().__init__(storage_id)
        self.gate = threading.Event()
        self.gate.set()
        self.walking = threading.Event()
        self.broken = False

    def check(self) -> str | None:
        self.gate.wait(30)
        return super().check()

    def walk(self, layout: Layout, known: Callable[[str], str | None]) -> Iterator[FolderListing]:
        self.walking.set()
        self.gate.wait(30)
        if self.broken:
            raise KeyError("a bug")
        yield from super().walk(layout, known)


class Two(MemoryDriver):
    """Opens two storages."""

    def __init__(self, *originals: MemoryOriginals) -> None:
        super().__init__(originals[0])
        self._all = {each.storage_id: each for each in originals}

    def open(self, root: str, storage_id: StorageId) -> Originals:
        return self._all[storage_id]


class Stage:
    """Two storages that are attended to, and what was told."""

    def __init__(self) -> None:
        self.house = House()
        self.nas, self.usb = Hanging("nas"), Hanging("usb")
        self.told: list[Notice] = []
        self.vitals = Vitals()
        house = self.house
        self.storages = Storages(
            store=house.store, clock=house.clock, ids=house.ids, catalog=house.catalog,
            driver=Two(self.nas, self.usb), looking=Looking(answer_within=0.2),
        )  # fmt: skip
        discovery = Discovery(
            store=house.store, clock=house.clock, ids=house.ids, catalog=house.catalog,
            storages=self.storages,
        )  # fmt: skip
        self.attendance = Attendance(
            storages=self.storages, discovery=discovery, clock=house.clock,
            observer=SilentObserver(), chores=Chores(clock=house.clock, vitals=self.vitals),
            options=ScanOptions(quiet=timedelta(0)), interval=0.05, watch=self.told.append,
            look_every=0.02,
        )  # fmt: skip

    @asynccontextmanager
    async def going(self) -> AsyncIterator[None]:
        """Attend while the block runs."""
        await self.house.store.prepare()
        for originals in (self.nas, self.usb):
            name = originals.storage_id
            await self.storages.adopt(PERSON, f"/{name}", Layout(), name)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.attendance.run)
            try:
                yield
            finally:
                self.nas.gate.set()
                self.usb.gate.set()
                tasks.cancel_scope.cancel()

    async def until(self, fact: Callable[[], bool]) -> None:
        """Wait for something to be so, while the clock goes on."""
        with anyio.fail_after(20):
            while not fact():
                self.house.clock.advance(timedelta(seconds=5))
                await anyio.sleep(0.01)

    def named(self, name: str) -> list[Notice]:
        """What was told by a name."""
        return [notice for notice in self.told if notice.name == name]

    def scans(self, storage_id: str) -> list[ScanReport]:
        """The scans of a storage that came to their end."""
        reports = [notice.data["report"] for notice in self.named("scanned")]
        return [r for r in reports if isinstance(r, ScanReport) and r.storage_id == storage_id]


class TestAttendance:
    """One storage never waits for another."""

    async def test_a_storage_that_comes_and_goes(self) -> None:
        """It is told once that it is away and once that it is back, and scanned at once then."""
        stage = Stage()
        stage.nas.add("INBOX/a.jpg")
        async with stage.going():
            await stage.until(lambda: len(stage.scans("nas")) > 2)
            stage.nas.problem = "unplugged"
            await stage.until(lambda: bool(stage.named("storage_offline")))
            await anyio.sleep(0.2)
            stage.nas.problem = None
            await stage.until(lambda: bool(stage.named("storage_online")))
            count = len(stage.scans("nas"))
            await stage.until(lambda: len(stage.scans("nas")) > count)
        (offline,), (online,) = stage.named("storage_offline"), stage.named("storage_online")
        assert (offline.data["storage"], offline.data["reason"]) == ("nas", "unplugged")
        assert online.data["storage"] == "nas"
        assert stage.scans("nas")[-1].problem == ""
        assert {report.missing for report in stage.scans("nas")} == {0}

    async def test_one_that_hangs_is_left_behind(self) -> None:
        """A scan that hangs is given up; the other storage is scanned on and on; it goes on by itself."""
        stage = Stage()
        async with stage.going():
            await stage.until(lambda: bool(stage.scans("nas")) and bool(stage.scans("usb")))
            stage.nas.walking.clear()
            await stage.until(stage.nas.walking.is_set)
            stage.nas.gate.clear()
            await stage.until(lambda: bool(stage.named("storage_offline")))
            assert (await stage.storages.get(StorageId("nas"))).trouble is Trouble.SILENT
            count = len(stage.scans("usb"))
            await stage.until(lambda: len(stage.scans("usb")) > count + 3)
            threads = threading.active_count()
            await anyio.sleep(0.5)
            assert threading.active_count() <= threads + 2
            stage.nas.gate.set()
            await stage.until(lambda: bool(stage.named("storage_online")))
            good = len([r for r in stage.scans("nas") if not r.problem])
            await stage.until(lambda: len([r for r in stage.scans("nas") if not r.problem]) > good)
            assert (await stage.storages.get(StorageId("nas"))).health is Health.ONLINE

    async def test_a_scan_that_fails_is_made_again(self) -> None:
        """A bug in the walk of one storage is told, and ends neither the program nor its attendance."""
        stage = Stage()
        stage.nas.broken = True
        async with stage.going():
            await stage.until(lambda: bool(stage.named("scan_failed")))
            assert "scan of nas" in stage.vitals.ailing
            stage.nas.broken = False
            await stage.until(lambda: bool(stage.scans("nas")))
            await stage.until(lambda: not stage.vitals.ailing)

    async def test_one_that_is_adopted_meanwhile(self) -> None:
        """It is attended to without a restart."""
        stage = Stage()
        stage.attendance.only = None
        async with stage.going():
            await stage.until(lambda: set(stage.attendance.reports) == {"nas", "usb"})


class TestChores:
    """Whatever goes wrong is told and tried again."""

    @pytest.mark.parametrize(
        "error", [StoreUnavailable("away"), OSError(5, "I/O error"), KeyError("x")]
    )
    async def test_a_chore_that_fails_is_done_again(
        self, error: Exception, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An error of the disk or a bug ends nothing; it stands in the readiness until it is over."""
        house, vitals = House(), Vitals()
        await house.store.prepare()
        watching = Monitoring(store=house.store, clock=house.clock, vitals=vitals)
        chores, tries, enough = Chores(clock=house.clock, vitals=vitals), [0], anyio.Event()

        async def work() -> None:
            tries[0] += 1
            if tries[0] <= 3:
                raise error
            enough.set()

        for _ in range(2):
            await chores.once("batches", work)
        check = {c.name: c for c in (await watching.readiness()).checks}["watchdog"]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(chores.always, "batches", 0.001, work)
            with anyio.fail_after(20):
                await enough.wait()
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        assert (check.ok, check.required) == (False, False)
        assert "batches fails since" in check.message
        failed, works = [r for r in caplog.records if r.levelno >= logging.WARNING]
        assert "until it works" in failed.getMessage()
        assert "batches works again" in works.getMessage()
        assert bool(failed.exc_info) is not isinstance(error, StoreUnavailable)
        readiness = await watching.readiness()
        assert {c.name: c.ok for c in readiness.checks}["watchdog"]
        assert vitals.ailing == {}

    async def test_a_trouble_that_lasts_is_logged_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A night without a database fills no disk with its log; another trouble is told."""
        house = House()
        chores = Chores(clock=house.clock, vitals=Vitals())
        said = ["away"] * 100 + ["full"] * 100

        async def work() -> None:
            if said:
                raise StoreUnavailable(said.pop(0))

        for _ in range(202):
            await chores.once("batches", work)
        told = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
        assert [line.split(";")[0] for line in told] == [
            "batches: away",
            "batches: full",
            "batches works again",
        ]

    async def test_the_time_of_the_first_failure_stands(self) -> None:
        """Since when is since when it fails, not since the last try."""
        house, vitals = House(), Vitals()
        began = house.clock.now()
        for _ in range(3):
            vitals.failed("batches", "no", house.clock.now())
            house.clock.advance(timedelta(seconds=9))
        assert vitals.ailing["batches"].since == began
