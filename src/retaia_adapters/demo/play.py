"""The demonstration itself: a storage's assets from just copied to kept or set aside, in the open."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import anyio
from attrs import define, field, frozen

from retaia_core.domain.assets import Flag
from retaia_core.domain.jobs import JobStatus
from retaia_core.domain.lifecycle import Action, State
from retaia_core.domain.moves import Batch, MovePlan
from retaia_core.domain.scans import ScanReport
from retaia_core.domain.storage import Layout, Storage
from retaia_core.errors import RetaiaError
from retaia_core.settings import Settings, load_settings
from retaia_core.shell.credentials import local_credentials, local_person
from retaia_core.shell.runtime import Notice, Runtime
from retaia_core.shell.services import Services
from retaia_core.shell.wiring import open_services
from retaia_core.usecases.operations import AssetReport

from . import checks, telling
from .copying import SlowCopy
from .stage import Stage, Working
from .storage import ITEMS, Fate, make_item

PATIENCE_S = 300.0
"""How long the work may take on the slowest machine before the demonstration gives up."""

_LOOK_S = 0.25
_OPEN = (JobStatus.PENDING, JobStatus.CLAIMED)


class Stuck(RetaiaError):
    """The work did not come to an end in time."""

    code = "DEMO_STUCK"


@frozen
class Place:
    """The demonstration's folder: the storage, the database beside it, and the card that is copied from."""

    folder: Path

    @property
    def storage(self) -> Path:
        return self.folder / "storage"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def card(self) -> Path:
        return self.folder / "card"

    def settings(self) -> Settings:
        """Settings of its own: neither the user's file nor variables, so that nothing of theirs is met."""
        return load_settings(
            data_dir=self.data.absolute(),
            environ={},
            overrides={
                ("server", "port"): 0,
                ("server", "min_poll_interval"): 0.2,
                ("scan", "interval"): 1.0,
                ("scan", "quiet_period"): 2.0,
                ("agent", "name"): "demo-agent",
                ("agent", "parallel"): min(2, os.cpu_count() or 1),
            },
        )


@frozen(kw_only=True)
class Story:
    """What happened, and every way in which it is not what was announced."""

    storage: Storage
    plan: MovePlan
    batch: Batch
    assets: Mapping[str, AssetReport]
    unmatched: Mapping[str, str]
    skipped: Mapping[str, str]
    prints: checks.Prints
    problems: tuple[str, ...]


def make_storage(place: Place, stage: Stage) -> checks.Prints:
    """Make every file; returns their prints. What is still being copied lies on the card."""
    stage.step("Make a storage", f"{len(ITEMS)} files, all generated")
    prints: dict[str, checks.Print] = {}
    before = None
    for item in ITEMS:
        root = place.card if item.fate is Fate.COPYING else place.storage
        prints[item.path] = checks.print_of(make_item(root, item))
        telling.tell_item(stage, item, before)
        before = item
    return prints


async def play(place: Place, stage: Stage, prints: checks.Prints) -> Story:
    """Go through the life of the assets of `make_storage`.

    Raises:
        RetaiaError: something cannot be done at all, or takes for ever.
    """
    settings = place.settings()
    growing = next(item for item in ITEMS if item.fate is Fate.COPYING)
    with SlowCopy(place.card / growing.path, place.storage / growing.path) as copy:
        async with open_services(settings, server=True) as services:
            show = _Show(services=services, settings=settings, stage=stage, prints=prints)
            return await show.run(place, copy)


@define(kw_only=True)
class _Show:
    """One run of the demonstration."""

    services: Services
    settings: Settings
    stage: Stage
    prints: checks.Prints
    _scans: list[ScanReport] = field(factory=list)
    _watchers: list[Callable[[Notice], None]] = field(factory=list)
    _told: set[str] = field(factory=set)
    _problems: list[str] = field(factory=list)

    async def run(self, place: Place, copy: SlowCopy) -> Story:
        self.stage.step("Adopt and scan", "adopting and scanning move nothing")
        root = str(place.storage.resolve())
        storage = await self.services.storages.adopt(local_person(), root, Layout())
        runtime = Runtime(
            services=self.services,
            settings=self.settings,
            credentials=local_credentials(self.settings.data_dir, self.services.ids),
            watch=self._watch,
            storage_ids=(storage.storage_id,),
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(runtime.run, agent=True))
            await self._prepare(storage)
            await self._decide(storage)
            plan = await self._dry_run()
            batch = await self._apply(plan)
            await self._finish_copy(storage, copy)
            tasks.cancel_scope.cancel()
        return await self._look_at_all(place, storage, plan, batch)

    def _watch(self, notice: Notice) -> None:
        report = notice.data.get("report")
        if isinstance(report, ScanReport):
            telling.tell_scan(self.stage, report)
            self._scans.append(report)
        elif notice.name == "serving":
            self.stage.say(f"server at {notice.data['url']}, for this machine only; one agent")
        elif notice.name == "scan_failed":
            self.stage.say(f"scan failed: {notice.data['error']}", "red")
        for watcher in self._watchers:
            watcher(notice)

    async def _within_patience(self, what: str, ready: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something is so.

        Raises:
            Stuck: it took longer than `PATIENCE_S`.
        """
        with anyio.move_on_after(PATIENCE_S):
            while True:
                if await ready():
                    return
                await anyio.sleep(_LOOK_S)
        raise Stuck(f"after {PATIENCE_S:.0f} s {what}")

    async def _assets(self, storage: Storage) -> Mapping[str, AssetReport]:
        reports = await self.services.operations.report(storage.storage_id)
        return {report.asset.path: report for report in reports}

    # Preparing

    async def _prepare(self, storage: Storage) -> None:
        await self._within_patience("no scan had proven a file stable", self._something_ready)
        self.stage.step("Prepare for review", "the agent reads each source, and changes none")
        wanted = [i.path for i in ITEMS if i.fate in (Fate.PREPARED, Fate.DAMAGED)]
        await self._until_settled(storage, wanted)
        growing = next(item.path for item in ITEMS if item.fate is Fate.COPYING)
        report = (await self._assets(storage))[growing]
        telling.tell_growing(self.stage, report)
        if report.asset.state is not State.DISCOVERED:
            self._problems.append(f"{growing!r} grew, and was taken for whole all the same")

    async def _something_ready(self) -> bool:
        return any(report.became_ready for report in self._scans)

    async def _until_settled(self, storage: Storage, wanted: Sequence[str]) -> None:
        """Wait until the work on some assets is at its end, telling of each as it gets there."""

        async def settled() -> bool:
            assets = await self._assets(storage)
            done = [assets[p] for p in wanted if p in assets and _is_settled(assets[p])]
            for report in done:
                if report.asset.uuid not in self._told:
                    self._told.add(report.asset.uuid)
                    telling.tell_prepared(self.stage, report)
            return len(done) == len(wanted)

        with Working(self.stage) as working:
            self._watchers.append(working)
            await self._within_patience("the agent had not finished", settled)
            self._watchers.remove(working)

    # Deciding

    async def _decide(self, storage: Storage) -> None:
        self.stage.step(
            "Decide", "this demo decides for you, because you started it; no file moves by that"
        )
        assets, person = await self._assets(storage), local_person()
        for item in ITEMS:
            if item.verdict is not None:
                uuid = assets[item.path].asset.uuid
                await self.services.review.decide(person, uuid, Action(item.verdict.value))
        telling.tell_decisions(self.stage, ITEMS)

    # Moving

    async def _dry_run(self) -> MovePlan:
        self.stage.step("Dry run", "what applying would do; nothing is changed")
        plan = await self.services.moves.preview()
        telling.tell_plan(self.stage, plan)
        return plan

    async def _apply(self, plan: MovePlan) -> Batch:
        self.stage.step("Apply", "every step is written to the journal before and after")
        batch = await self.services.moves.execute(local_person(), plan, plan.digest)
        done = await self.services.moves.run(batch.batch_id)
        telling.tell_batch(self.stage, done)
        return done

    async def _finish_copy(self, storage: Storage, copy: SlowCopy) -> None:
        self.stage.step("Meanwhile", "the copy that was under way comes to its end")
        await anyio.to_thread.run_sync(copy.finish)
        await self._until_settled(storage, [i.path for i in ITEMS if i.fate is Fate.COPYING])

    # Looking back

    async def _look_at_all(
        self, place: Place, storage: Storage, plan: MovePlan, batch: Batch
    ) -> Story:
        assets = await self._assets(storage)
        status = await self.services.operations.status()
        unmatched = {sidecar.path: sidecar.reason for sidecar in status.unmatched}
        skipped = self._scans[-1].skipped
        found = await anyio.to_thread.run_sync(checks.prints_below, place.storage)
        problems = [
            *self._problems,
            *checks.wrong_files(self.prints, plan, found),
            *checks.wrong_batch(ITEMS, plan, batch),
            *checks.wrong_assets(ITEMS, plan, assets),
            *checks.wrong_reasons(ITEMS, unmatched, skipped),
        ]
        return Story(
            storage=storage,
            plan=plan,
            batch=batch,
            assets=assets,
            unmatched=unmatched,
            skipped=skipped,
            prints=self.prints,
            problems=tuple(problems),
        )


def _is_settled(report: AssetReport) -> bool:
    """Whether the agent is done with an asset: prepared or given up, and nothing of it is held."""
    if any(job.status in _OPEN for job in report.jobs):
        return False
    damaged = Flag.UNPROCESSABLE in report.asset.flags
    return damaged or report.asset.state is State.DECISION_PENDING
