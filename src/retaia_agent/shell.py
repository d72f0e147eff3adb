"""The agent: registers, polls, claims bundles, and works them off until it is stopped."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import anyio
from anyio.abc import TaskGroup
from attrs import define, field, frozen

from retaia_core.errors import PluginError, RetaiaError, StorageOffline
from retaia_core.ports.agent import AgentOptions, AgentShell, Watch
from retaia_core.ports.processor import Processor
from retaia_core.ports.transport import Bundle, Registration, Transport

from .bundle import BundleRun, Means
from .events import Teller
from .framing import Start
from .groups import task_group
from .lease import Held
from .mounts import Asking
from .offer import Offer, offer_of
from .polling import Backoff, RegistrationRefused, Session, Timing, may_change
from .worker import WorkerMissing, WorkerPool
from .workspace import run_folder


@frozen(kw_only=True)
class Agent(AgentShell):
    """The agent's shell. One value may run many agents; all state is in the run."""

    timing: Timing = field(factory=Timing)

    async def run(
        self,
        transport: Transport,
        options: AgentOptions,
        processors: Sequence[Processor],
        watch: Watch,
    ) -> None:
        """Work until cancelled, or until there is nothing left where ``stop_when_idle`` asks for it.

        The transport is the caller's, also to close. When cancelled, workers are killed and held jobs
        given back, within a few seconds.

        Raises:
            PluginError: the worker processes cannot be started here.
            RegistrationRefused: the server does not want this agent.
            OSError: the workspace cannot be written to.
        """
        tell = Teller(watch)
        offer = offer_of(processors, only=options.capabilities, tell=tell)
        registration = _registration(options, offer)
        session = Session(transport, registration, tell, self.timing)
        try:
            with run_folder(options.workspace) as folder:
                async with _workers(options, offer, folder, self.timing) as pool:
                    await Serving(session, options, offer, pool, folder).run()
        finally:
            tell("stopped")


@asynccontextmanager
async def _workers(
    options: AgentOptions, offer: Offer, folder: Path, timing: Timing
) -> AsyncIterator[WorkerPool]:
    async with task_group() as tasks:
        pool = WorkerPool(_start(options, offer), tasks, folder, timing.start_within)
        try:
            await _first(pool)
            yield pool
        finally:
            await pool.close()
        tasks.cancel_scope.cancel()


async def _first(pool: WorkerPool) -> None:
    try:
        await pool.warm()
    except WorkerMissing as error:
        raise PluginError(f"the agent cannot start a worker process: {error}") from error


def _start(options: AgentOptions, offer: Offer) -> Start:
    return Start(
        memory_limit=options.memory_limit,
        niceness=options.niceness,
        disabled_plugins=tuple(options.disabled_plugins),
        plugin_modules=tuple(options.plugin_modules),
        processors=offer.processors,
        search_path=tuple(os.path.abspath(path) for path in sys.path),  # noqa: PTH100 - text, may be ''
    )


def _registration(options: AgentOptions, offer: Offer) -> Registration:
    return Registration(
        name=options.name,
        version=" ".join((_own_version(), *offer.versions)),
        platform=f"{platform.system()} {platform.machine()}".lower(),
        capabilities=offer.capabilities,
        max_parallel_jobs=options.max_parallel,
    )


def _own_version() -> str:
    try:
        return version("retaia")
    except PackageNotFoundError:
        return "0"


@define(eq=False)
class Serving:
    """One run of an agent: the loop over polls, and the bundles in flight."""

    session: Session
    options: AgentOptions
    offer: Offer
    pool: WorkerPool
    folder: Path
    _busy: set[str] = field(factory=set, init=False)
    _empty: set[str] = field(factory=set, init=False)
    _ended: anyio.Event = field(factory=anyio.Event, init=False)
    _asking: Asking = field(factory=Asking, init=False)
    _trouble: Backoff = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._trouble = Backoff(self.session.timing)

    async def run(self) -> None:
        """Register and serve; returns only where the options ask to stop when idle."""
        limits = await self.session.register()
        slots = max(1, min(self.options.max_parallel, limits.max_parallel_jobs))
        interval = max(limits.min_poll_interval_s, self.options.poll_interval)
        async with task_group() as tasks:
            while True:
                started = await self._poll(tasks, slots)
                if started:
                    continue
                if self.options.stop_when_idle and not self._busy:
                    self.session.tell("idle")
                    return
                await self._pause(interval)

    async def _poll(self, tasks: TaskGroup, slots: int) -> bool:
        """Look once, and claim all that is offered as slots get free; whether anything came of it."""
        started = False
        for asset in await self._offered_assets():
            while len(self._busy) >= slots:
                await self._one_ended()
            if asset not in self._busy and await self._begin(tasks, asset):
                started = True
        while len(self._busy) >= slots:
            await self._one_ended()
        return started

    async def _offered_assets(self) -> tuple[str, ...]:
        """The assets with jobs that a processor here does, each once, in the server's order."""
        known = self.offer.job_types
        offered = await self.session.jobs()
        return tuple(dict.fromkeys(job.asset_uuid for job in offered if job.job_type in known))

    async def _begin(self, tasks: TaskGroup, asset: str) -> bool:
        transport = self.session.transport
        try:
            bundle = await self.session.call(
                lambda: transport.claim_bundle(asset), at_once=(RetaiaError,)
            )
        except RegistrationRefused:
            raise
        except RetaiaError as error:
            return await self._not_claimed(asset, error)
        self._trouble = Backoff(self.session.timing)
        if not bundle.jobs:
            return self._news_of_empty(asset)
        self._empty.discard(asset)
        self._busy.add(asset)
        tasks.start_soon(self._work_off, bundle)
        return True

    async def _not_claimed(self, asset: str, error: RetaiaError) -> bool:
        """Go on with the next; where the server has trouble rather than an answer, look again later."""
        self.session.tell("refused", asset_uuid=asset, code=error.code, error=error.message)
        if not may_change(error) or isinstance(error, StorageOffline):
            return False
        await self.session.timing.sleep(self._trouble.after(error))
        return True

    def _news_of_empty(self, asset: str) -> bool:
        """A bundle without jobs may mean that results were known already: worth one more look."""
        news = asset not in self._empty
        self._empty.add(asset)
        return news

    async def _work_off(self, bundle: Bundle) -> None:
        tell = self.session.tell
        jobs = [job.job_type for job in bundle.jobs]
        tell("claimed", asset_uuid=bundle.asset_uuid, path=bundle.path, jobs=jobs)
        held = Held(self.session, bundle, tell)
        try:
            await BundleRun(held, self._means()).run()
        except WorkerMissing as error:
            await self._wait_for_workers(error)
        finally:
            self._busy.discard(bundle.asset_uuid)
            self._ended.set()

    def _means(self) -> Means:
        return Means(
            mounts=self.options.mounts,
            pool=self.pool,
            folder=self.folder,
            time_limit=self.options.time_limit,
            job_types=self.offer.job_types,
            asking=self._asking,
        )

    async def _wait_for_workers(self, error: WorkerMissing) -> None:
        """Without worker processes nothing can be done: keep the slot, and wait."""
        backoff = Backoff(self.session.timing)
        problem: WorkerMissing | None = error
        while problem is not None:
            pause = backoff.after()
            self.session.tell("worker_missing", error=str(problem), retry_in_s=pause)
            await self.session.timing.sleep(pause)
            try:
                await self.pool.warm()
            except WorkerMissing as again:
                problem = again
            else:
                problem = None

    async def _one_ended(self) -> None:
        await self._ended.wait()
        self._ended = anyio.Event()

    async def _pause(self, interval: float) -> None:
        with anyio.move_on_after(interval):
            await self._one_ended()
