"""The running program: transport, scans, watchdog and an embedded agent, side by side."""

from __future__ import annotations

import logging
import platform
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import cast

import anyio
import anyio.abc
from attrs import define, evolve, field

from ..domain.assets import Flag
from ..domain.identifiers import AssetId, BatchId, JobId, StorageId
from ..domain.jobs import Job, JobStatus
from ..domain.lifecycle import State
from ..domain.moves import Outcome
from ..domain.scans import ScanReport
from ..domain.storage import Health
from ..errors import SettingsError, Unauthorized
from ..hooks.roles import Role
from ..ports.agent import AgentEvent, AgentOptions, AgentShell
from ..ports.device_login import ClientSecret
from ..ports.store import Transaction
from ..ports.transport import Transport
from ..settings import Settings
from ..usecases.scrubbing import ROUNDS_A_DAY
from .attendance import Attendance
from .chores import WATCH_SECONDS, Chores
from .credentials import FILE, embedded_secret, local_name, local_person
from .in_force import settings_in_force
from .notices import Notice, Watch, ignore
from .server import ServerOptions, ServerTransport
from .services import Services
from .wiring import scan_options

__all__ = ["Notice", "Runtime", "Watch", "agent_options", "sign_in_link"]

log = logging.getLogger("retaia")

POLICY_SECONDS = 600.0
SEAL_SECONDS = 30.0
"""How long a row of the trail is not covered by a seal, at most."""

COLLECT_SECONDS = 3600.0
KEEP_REPLAYS = timedelta(hours=24)


@define(kw_only=True)
class Runtime:
    """Runs what the settings ask for until it is cancelled (or idle, where so asked).

    ``credentials`` are those of the agents on this machine; the one inside has its own. ``invite`` says
    that the person at this machine looks on, and is shown a link that signs them in.
    """

    services: Services
    settings: Settings
    credentials: ClientSecret
    watch: Watch = ignore
    invite: bool = False
    storage_ids: tuple[StorageId, ...] | None = None
    url: str = ""
    _embedded: ClientSecret = field(init=False)
    _attendance: Attendance = field(init=False)
    _chores: Chores = field(init=False)
    _interrupted: Mapping[BatchId, int] = field(factory=dict, init=False)
    _waiting: Mapping[BatchId, int] = field(factory=dict, init=False)
    _going: set[BatchId] = field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        services = self.services
        self._embedded = embedded_secret(self.credentials, services.ids)
        self._chores = Chores(clock=services.clock, vitals=services.vitals)
        self._attendance = Attendance(
            storages=services.storages,
            discovery=services.discovery,
            clock=services.clock,
            observer=services.observer,
            chores=self._chores,
            options=scan_options(self.settings),
            interval=self.settings.scan.interval,
            watch=self.watch,
            only=self.storage_ids,
        )

    @property
    def reports(self) -> Mapping[StorageId, ScanReport]:
        """What the last scan of each storage found."""
        return self._attendance.reports

    async def run(self, *, agent: bool, until_idle: bool = False) -> None:
        """Serve, scan and watch; with ``agent``, process too."""
        await self.services.sessions.prepare()
        await self._let_agents_in(embedded=agent)
        await self._recover(agent=agent)
        async with anyio.create_task_group() as tasks:
            for name, (seconds, work) in self._watchdog(tasks).items():
                tasks.start_soon(self._chores.always, name, seconds, work)
            await tasks.start(self._serve)
            await self._welcome()
            if agent:
                tasks.start_soon(self._agent)
            tasks.start_soon(self._attendance.run)
            if until_idle:
                await self._until_idle()
                await self._chores.once("seals", self.services.history.seal)
                tasks.cancel_scope.cancel()

    async def _let_agents_in(self, *, embedded: bool) -> None:
        """Make the agents of this machine known, without a person typing anything.

        Raises:
            SettingsError: an administrator revoked the one that is to run inside.
        """
        clients, person, here = self.services.clients, local_person(), platform.node() or "server"
        known = {here: self.credentials}
        if embedded:
            known[f"{here} (embedded)"] = self._embedded
        for label, secret in known.items():
            try:
                await clients.provision(person, secret.client_id, secret.secret_key, label)
            except Unauthorized as error:
                file = self.settings.data_dir / FILE
                said = (
                    f"the agents of this machine were revoked; to let them in again remove {file}"
                )
                if secret is self._embedded:
                    raise SettingsError(said, source=str(file)) from error
                log.warning("%s", said)

    async def _recover(self, *, agent: bool) -> None:
        """What a crash interrupted is brought to a proven end before anything else begins."""
        once, services = self._chores.once, self.services
        if agent:
            client, name = self._embedded.client_id, self._agent_name
            await once("leases", partial(services.processing.take_back, client, name))
        self._interrupted = await services.store.read(_interrupted)
        await once("batches", services.moves.recover)
        await once("purges", partial(services.purges.recover, held=True))

    async def _go_on(self, tasks: anyio.abc.TaskGroup) -> None:
        """Go on with what was interrupted, each batch by itself; tell what ended, and what waits."""
        before, after = self._interrupted, await self.services.store.read(_interrupted)
        self._interrupted = after
        for batch in before.keys() - after.keys():
            self.watch(Notice(name="recovered", data={"batch": batch}))
        for batch, waits in after.items():
            if waits and self._waiting.get(batch) != waits:
                self.watch(Notice(name="batch_waits", data={"batch": batch, "left": waits}))
        self._waiting = after
        for batch in after.keys() - self._going:
            self._going.add(batch)
            tasks.start_soon(self._run_batch, batch)

    async def _run_batch(self, batch: BatchId) -> None:
        try:
            work = partial(self.services.moves.run, batch)
            await self._chores.once(f"batch {batch}", work)
        finally:
            self._going.discard(batch)

    # Serving

    async def _serve(
        self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        settings = self.settings.server
        provider = self.services.plugins.provider(Role.SERVER, settings.provider)
        transport = cast("ServerTransport", provider.factory())

        def ready(url: str) -> None:
            self.url = url
            self.watch(Notice(name="serving", data={"url": url}))
            task_status.started()

        await transport.serve(self.services, self._server_options(), ready)

    async def _welcome(self) -> None:
        """Make the account of the person at this machine, and invite who looks on."""
        people = self.services.people
        account = await people.accounts.local(local_name())
        if self.invite:
            token = await people.sign_in.make_link(account.account_id)
            link = sign_in_link(self.url, token)
            self.watch(Notice(name="invited", data={"url": link}))

    def _server_options(self) -> ServerOptions:
        settings = self.settings.server
        return ServerOptions(
            host=settings.host,
            port=settings.port,
            public_url=settings.public_url,
            trusted_proxies=settings.trusted_proxies,
            allowed_job_types=tuple(self.services.catalog.job_types),
            min_poll_interval_s=settings.min_poll_interval,
            max_parallel_jobs=settings.max_parallel_jobs,
            metrics=self.settings.observe.metrics,
            settings=settings_in_force(self.settings, places=False),
        )

    # Watching over

    def _watchdog(
        self, tasks: anyio.abc.TaskGroup
    ) -> Mapping[str, tuple[float, Callable[[], Awaitable[object]]]]:
        """What is done again and again, each by itself, so that none waits for another: seconds, work."""
        services = self.services
        return {
            "leases": (WATCH_SECONDS, self._recover_leases),
            "offers": (WATCH_SECONDS, services.processing.offer_processed),
            "batches": (WATCH_SECONDS, partial(self._go_on, tasks)),
            "purges": (WATCH_SECONDS, services.purges.recover),
            "purge policy": (POLICY_SECONDS, services.purge_policy.round),
            "seals": (SEAL_SECONDS, services.history.seal),
            "scrub": (86400.0 / ROUNDS_A_DAY, self._scrub),
            "collection": (COLLECT_SECONDS, self._collect),
        }

    async def _recover_leases(self) -> None:
        over = await self.services.processing.recover_leases()
        if over:
            self.watch(Notice(name="leases_expired", data={"count": over}))

    async def _scrub(self) -> None:
        """Verify what is due; what does not match is in the trail, and said here."""
        report = await self.services.scrub.round()
        for one in report.wrong if report else ():
            log.warning("%s in storage %s: %s", one.path, one.storage_id, one.message)

    async def _collect(self) -> None:
        await self.services.uploads.collect()
        before = self.services.clock.now() - KEEP_REPLAYS
        await self.services.store.transact(lambda tx: tx.drop_replays_before(before), durable=False)
        now = self.services.clock.now()
        await self.services.store.transact(lambda tx: tx.drop_expired(now), durable=False)

    # The embedded agent

    async def _agent(self) -> None:
        plugins, settings = self.services.plugins, self.settings.agent
        shell = cast("AgentShell", plugins.provider(Role.AGENT, settings.provider).factory())
        factory = plugins.provider(Role.AGENT_TRANSPORT, settings.transport).factory
        transport = cast("Transport", factory(self.url, self._embedded))
        try:
            await shell.run(
                transport, await self._agent_options(), plugins.processors(), self._tell
            )
        finally:
            with anyio.CancelScope(shield=True):
                await transport.close()

    def _tell(self, event: AgentEvent) -> None:
        self.services.observer.agent(event.name, event.data)
        self.watch(Notice(name=f"agent.{event.name}", data=event.data))

    async def _agent_options(self) -> AgentOptions:
        settings = self.settings
        storages = await self.services.storages.all()
        options = agent_options(settings, mounts={s.storage_id: s.root for s in storages})
        name, pause = self._agent_name, settings.server.min_poll_interval
        return evolve(options, name=name, poll_interval=pause)

    @property
    def _agent_name(self) -> str:
        """Told apart from an agent of its own on this machine."""
        return f"{self.settings.agent.name or platform.node() or 'agent'} (embedded)"

    # Until idle

    async def _until_idle(self) -> None:
        """Return once every storage was scanned, nothing waits, and no job is left that can be done."""
        while True:
            await anyio.sleep(0.25)
            if await self._scanned() and not await self._busy():
                return

    async def _scanned(self) -> bool:
        wanted = await self._attendance.wanted()
        reports = [self.reports.get(storage_id) for storage_id in wanted]
        return all(r is not None and (r.problem or not r.waiting) for r in reports)

    async def _busy(self) -> bool:
        """Whether a batch is unfinished, a job is held, or one is left that can be done here."""
        if await self.services.store.read(lambda tx: tx.batches(open_only=True, limit=1)):
            return any(not report.problem for report in self.reports.values())
        processors = self.services.plugins.processors()
        offered = {c for p in processors if p.availability().available for c in p.capabilities}
        after: JobId | None = None
        while jobs := await self.services.store.read(partial(_open_jobs, after)):
            doable = [
                job.subject.id
                for job in jobs
                if job.status is JobStatus.CLAIMED
                or (not job.waiting and set(job.capabilities) <= offered)
            ]
            if doable and await self._any_reachable(doable):
                return True
            after = jobs[-1].job_id
        return bool(
            await self.services.store.read(
                lambda tx: tx.assets_in_states([State.PROCESSED], limit=1)
            )
        )

    async def _any_reachable(self, subjects: list[str]) -> bool:
        """Whether one of the assets lies where an agent can get at it now."""
        storages = await self.services.storages.all()
        online = {s.storage_id for s in storages if s.health is Health.ONLINE}
        mine = set(await self._attendance.wanted()) & online
        assets = await self.services.store.read(
            lambda tx: tx.assets([AssetId(subject) for subject in subjects])
        )
        return any(a.storage_id in mine and Flag.MISSING not in a.flags for a in assets.values())


def _interrupted(tx: Transaction) -> dict[BatchId, int]:
    """The batches that are not done, and how many assets of each wait for a storage to be back."""
    offline = {s.storage_id for s in tx.storages() if s.health is Health.OFFLINE}
    return {
        batch.batch_id: sum(
            result.outcome is Outcome.PENDING and result.move.storage_id in offline
            for result in batch.results
        )
        for batch in tx.batches(open_only=True, limit=1000)
    }


def _open_jobs(after: JobId | None, tx: Transaction) -> Sequence[Job]:
    """A page of the jobs that work may still come of."""
    statuses = (JobStatus.PENDING, JobStatus.CLAIMED)
    return tx.find_jobs(statuses=statuses, after=after, limit=200)


def sign_in_link(url: str, token: str) -> str:
    """The address of the interface that signs in by a token; what follows the ``#`` reaches no server's log.

    >>> sign_in_link("http://127.0.0.1:8420", "t")
    'http://127.0.0.1:8420/#link=t'
    """
    return f"{url}/#link={token}"


def agent_options(
    settings: Settings, *, mounts: Mapping[str, str], stop_when_idle: bool = False
) -> AgentOptions:
    """What settings say about an agent on this machine."""
    agent = settings.agent
    workspace = Path(agent.workspace) if agent.workspace else settings.data_dir / "workspace"
    return AgentOptions(
        name=agent.name or platform.node() or "agent",
        mounts={name: Path(path) for name, path in {**mounts, **agent.mounts}.items()},
        workspace=workspace,
        max_parallel=int(agent.parallel),
        memory_limit=int(agent.memory_limit) * 2**20 or None,
        time_limit=agent.time_limit,
        poll_interval=agent.poll_interval,
        stop_when_idle=stop_when_idle,
        disabled_plugins=settings.plugins.disabled,
    )
