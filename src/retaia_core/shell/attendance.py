"""Each storage is attended to by itself: looked at, scanned, left alone while it is away, taken up again.

Storages do not wait for each other. A scan of a storage that answers no more is given up (its thread may
stay behind in the kernel), and made anew as soon as the storage is back.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import anyio
from attrs import define, field

from ..domain.identifiers import StorageId
from ..domain.scans import ScanReport
from ..domain.storage import Health, Storage, Trouble
from ..ports.clock import Clock
from ..ports.observer import Observer
from ..usecases.discovery import Discovery
from ..usecases.scan_tally import ScanOptions
from ..usecases.storages import Storages
from .chores import WATCH_SECONDS, Chores
from .notices import Notice, Watch

WAITING_SECONDS = 5.0
"""The longest pause between scans while files wait to be proven stable."""


@define(eq=False, kw_only=True)
class Attendance:
    """Attends to the storages that were adopted, or to some (``only``), until it is cancelled.

    ``interval`` is the seconds between scans of one storage, ``look_every`` those between looks.
    """

    storages: Storages
    discovery: Discovery
    clock: Clock
    observer: Observer
    chores: Chores
    options: ScanOptions
    interval: float
    watch: Watch
    only: tuple[StorageId, ...] | None = None
    look_every: float = WATCH_SECONDS
    _attended: dict[StorageId, _Attended] = field(factory=dict, init=False)

    @property
    def reports(self) -> Mapping[StorageId, ScanReport]:
        """What the last scan of each storage found."""
        return {s: a.report for s, a in self._attended.items() if a.report is not None}

    async def wanted(self) -> tuple[StorageId, ...]:
        """The storages that are attended to."""
        if self.only is not None:
            return self.only
        return tuple(s.storage_id for s in await self.storages.all())

    async def run(self) -> None:
        """Attend to every storage, also to those that are adopted meanwhile."""
        async with anyio.create_task_group() as tasks:

            async def begin() -> None:
                for storage_id in await self.wanted():
                    if storage_id not in self._attended:
                        self._attended[storage_id] = attended = _Attended(self, storage_id)
                        tasks.start_soon(attended.run)

            while True:
                await self.chores.once("storages", begin)
                await anyio.sleep(self.look_every)


@define(eq=False)
class _Attended:
    """One storage."""

    house: Attendance
    storage_id: StorageId
    report: ScanReport | None = None
    _seen: Storage | None = None
    _back: anyio.Event = field(factory=anyio.Event)
    _scanning: anyio.CancelScope = field(factory=anyio.CancelScope)

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._look_always)
            while True:
                self._back = anyio.Event()
                await self.house.chores.once(f"scan of {self.storage_id}", self._scan)
                with anyio.move_on_after(self._pause()):
                    await self._back.wait()

    def _pause(self) -> float:
        """Sooner while files wait to be proven stable, so that a newcomer does not wait for a cycle."""
        waiting = self.report is not None and self.report.waiting
        return min(self.house.interval, WAITING_SECONDS) if waiting else self.house.interval

    # Looking

    async def _look_always(self) -> None:
        while True:
            await self.house.chores.once(f"look at {self.storage_id}", self._look)
            await anyio.sleep(self.house.look_every)

    async def _look(self) -> None:
        storages = self.house.storages
        before = self._seen
        after = self._seen = await storages.look(await storages.get(self.storage_id))
        if after.trouble is Trouble.SILENT:
            self._scanning.cancel()
        told = before.health_since if before else None
        if after.health is Health.OFFLINE and after.health_since != told:
            self._tell("storage_offline", after)
        elif after.health is Health.ONLINE and before and before.health is Health.OFFLINE:
            self._tell("storage_online", after)
            self._back.set()

    def _tell(self, name: str, storage: Storage) -> None:
        data = {
            "storage": storage.storage_id,
            "root": storage.root,
            "reason": storage.health_reason,
            "since": storage.health_since,
        }
        self.house.watch(Notice(name=name, data=data))

    # Scanning

    async def _scan(self) -> None:
        house = self.house
        started, clock = house.clock.now(), time.monotonic()
        with anyio.CancelScope() as self._scanning:
            try:
                report = await house.discovery.scan(self.storage_id, house.options, self._progress)
            except Exception as error:
                house.watch(Notice(name="scan_failed", data={"error": str(error)}))
                raise
        if self._scanning.cancelled_caught:
            storage = await house.storages.get(self.storage_id)
            report = ScanReport(
                storage_id=self.storage_id,
                number=storage.scans,
                started_at=started,
                duration_s=time.monotonic() - clock,
                problem=f"the scan was given up: {storage.health_reason}",
            )
        self.report = report
        house.observer.scanned(report)
        house.watch(Notice(name="scanned", data={"report": report}))

    def _progress(self, seen: int) -> None:
        data = {"storage": self.storage_id, "seen": seen}
        self.house.watch(Notice(name="scanning", data=data))
