"""The stories of those who watch over a server: is it ready, what waits, who holds what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import anyio
from attrs import define, field, frozen

from ..domain.agents import AgentRecord
from ..domain.assets import Flag
from ..domain.batch_lines import BatchLine, BatchPlace
from ..domain.identifiers import AgentId, AssetId, Capability
from ..domain.jobs import Job, JobStatus
from ..domain.leases import Lock
from ..domain.scans import UnmatchedSidecar
from ..domain.storage import Health, Storage
from ..domain.workload import Workload, workload
from ..errors import StoreError, Unavailable
from ..ports.clock import Clock
from ..ports.observer import Levels
from ..ports.store import Store, Transaction
from .vitals import Ailment, Vitals

ANSWER_WITHIN_S = 5.0
"""A store that takes longer for a small question does not answer."""

LEVELS_AGE_S = 5.0
"""Levels that were counted this recently are not counted again."""

LEVELS_SHARE = 20
"""Nor sooner than this many times what counting took: a large store is not kept busy by being watched."""

MOST_JOBS = 1000
"""How many claimed jobs are looked at for the agents that hold them."""


@frozen(kw_only=True)
class Check:
    """One thing that was looked at; the server is ready where every ``required`` one is ``ok``."""

    name: str
    ok: bool
    required: bool
    message: str


@frozen(kw_only=True)
class Readiness:
    """Whether the server can do its work."""

    checks: tuple[Check, ...]

    @property
    def ready(self) -> bool:
        """Whether everything that is required is well."""
        return all(check.ok for check in self.checks if check.required)


@frozen(kw_only=True)
class AgentAtWork:
    """An agent with the jobs that it holds."""

    agent: AgentRecord
    jobs: tuple[Job, ...]


@frozen(kw_only=True)
class Marks:
    """What a list shows beside an asset: its flags, its sidecars, and whether its storage is away."""

    asset: AssetId
    flags: tuple[Flag, ...]
    sidecars: int
    offline: bool


@frozen(kw_only=True)
class _Look:
    current: bool
    storages: Sequence[Storage]
    agents: Sequence[AgentRecord]


def _look(tx: Transaction) -> _Look:
    return _Look(current=tx.schema_current(), storages=tx.storages(), agents=tx.agents())


def _storages_check(storages: Sequence[Storage]) -> Check:
    offline = [f"{s.storage_id} ({s.health_reason})" for s in storages if _is_offline(s)]
    said = f"offline: {', '.join(offline)}" if offline else f"{len(storages)} online"
    reachable = not storages or len(offline) < len(storages)
    return Check(name="storages", ok=reachable, required=True, message=said)


def _is_offline(storage: Storage) -> bool:
    return storage.health is not Health.ONLINE


def _watchdog_check(ailing: Mapping[str, Ailment]) -> Check:
    said = [f"{name} fails since {a.since:%H:%M:%S}Z: {a.said}" for name, a in ailing.items()]
    message = "; ".join(said) or "every chore was done"
    return Check(name="watchdog", ok=not ailing, required=False, message=message)


def _checks(look: _Look, alive: int) -> tuple[Check, ...]:
    tables = "up to date" if look.current else "not those that this program knows; restart it"
    agents = f"{alive} of {len(look.agents)} heard of lately"
    return (
        Check(name="store", ok=True, required=True, message="it answers"),
        Check(name="schema", ok=look.current, required=True, message=tables),
        _storages_check(look.storages),
        Check(name="agents", ok=alive > 0, required=False, message=agents),
    )


@define(kw_only=True)
class Monitoring:
    """What is going on, in sums and in pages."""

    store: Store
    clock: Clock
    vitals: Vitals = field(factory=Vitals)
    _levels: Levels | None = field(default=None, init=False)
    _fresh_until: float = field(default=0.0, init=False)
    _counting: anyio.Lock = field(factory=anyio.Lock, init=False)

    async def marks(self, uuids: Iterable[AssetId]) -> Sequence[Marks]:
        """What is to be shown beside these assets, of those that have something."""

        def find(tx: Transaction) -> Sequence[Marks]:
            away = {storage.storage_id for storage in tx.storages() if _is_offline(storage)}
            every = (
                Marks(
                    asset=asset.uuid,
                    flags=tuple(sorted(asset.flags)),
                    sidecars=len(asset.sidecars),
                    offline=asset.storage_id in away,
                )
                for asset in tx.assets(uuids).values()
            )
            return [one for one in every if one.flags or one.sidecars or one.offline]

        return await self.store.read(find)

    async def batches(
        self, before: BatchPlace | None = None, limit: int = 50
    ) -> Sequence[BatchLine]:
        """Batches in numbers, newest first."""
        return await self.store.read(lambda tx: tx.batch_lines(before, limit=limit))

    async def readiness(self) -> Readiness:
        """Whether the server can do its work: its store, its tables, a storage to work on.

        Agents are looked at and not required: without one, decisions and moves go on. One storage that
        is online is enough, since a file of another is refused for itself. A chore that fails is tried
        again, and does not take the server away from people.
        """
        try:
            with anyio.fail_after(ANSWER_WITHIN_S):
                look = await self.store.read(_look)
        except TimeoutError:
            return _unready(f"it did not answer within {ANSWER_WITHIN_S:g} s")
        except (Unavailable, StoreError) as error:
            return _unready(error.message)
        now = self.clock.now()
        checks = _checks(look, sum(a.alive(now) for a in look.agents))
        return Readiness(checks=(*checks, _watchdog_check(self.vitals.ailing)))

    async def workload(self) -> Workload:
        """Jobs by type and status, and why the pending ones wait."""
        now = self.clock.now()

        def count(tx: Transaction) -> Workload:
            return workload(tx.count_jobs(), _offered(tx.agents(), now))

        return await self.store.read(count)

    async def agents(self, after: AgentId | None, limit: int) -> Sequence[AgentAtWork]:
        """Agents in order of their ids, each with the jobs that it holds now."""

        def find(tx: Transaction) -> Sequence[AgentAtWork]:
            agents = [a for a in tx.agents() if after is None or a.agent_id > after][:limit]
            held = _by_holder(tx.find_jobs(statuses=(JobStatus.CLAIMED,), limit=MOST_JOBS))
            return [AgentAtWork(agent=a, jobs=tuple(held.get(a.agent_id, ()))) for a in agents]

        return await self.store.read(find)

    async def locks(self, after: Lock | None, limit: int) -> Sequence[Lock]:
        """The locks that are held now, soonest to end first."""
        now = self.clock.now()
        return await self.store.read(lambda tx: tx.held_locks(now=now, after=after, limit=limit))

    async def unmatched(
        self, after: UnmatchedSidecar | None, limit: int
    ) -> Sequence[UnmatchedSidecar]:
        """The sidecars that are attached to nothing, by storage, folder and path."""
        return await self.store.read(lambda tx: tx.unmatched_after(after, limit=limit))

    async def storages(self) -> Sequence[Storage]:
        """Every storage, by its id."""
        return await self.store.read(lambda tx: tx.storages())

    async def levels(self) -> Levels:
        """How much there is of everything, counted now or a short while ago."""
        async with self._counting:
            started = anyio.current_time()
            if self._levels is None or started >= self._fresh_until:
                self._levels = await self.store.read(self._count)
                took = anyio.current_time() - started
                self._fresh_until = started + max(LEVELS_AGE_S, LEVELS_SHARE * took)
            return self._levels

    def _count(self, tx: Transaction) -> Levels:
        now = self.clock.now()
        return Levels(
            jobs=workload(tx.count_jobs(), frozenset()).counts,
            assets=tx.count_assets(),
            locks=tx.count_locks(now),
            agents_alive=sum(agent.alive(now) for agent in tx.agents()),
        )


def _unready(said: str) -> Readiness:
    return Readiness(checks=(Check(name="store", ok=False, required=True, message=said),))


def _offered(agents: Sequence[AgentRecord], now: datetime) -> frozenset[Capability]:
    return frozenset(c for agent in agents if agent.alive(now) for c in agent.capabilities)


def _by_holder(jobs: Sequence[Job]) -> Mapping[str, list[Job]]:
    held: dict[str, list[Job]] = {}
    for job in jobs:
        held.setdefault(job.claimed_by or "", []).append(job)
    return held
