"""The stories of operation: why is it so, what is going on, what needs a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from ..domain.agents import AgentRecord
from ..domain.assets import Asset, Flag
from ..domain.identifiers import AssetId, StorageId
from ..domain.jobs import Job
from ..domain.journal import Event
from ..domain.lifecycle import State
from ..domain.query import AssetQuery
from ..domain.scans import UnmatchedSidecar
from ..domain.storage import Storage
from ..domain.why import Explanation, explain_asset
from ..errors import NotFound
from ..ports.clock import Clock
from ..ports.store import Store, Transaction
from .history import discovery_of
from .lookups import need_asset


@frozen(kw_only=True)
class AssetReport:
    """An asset with its jobs and its explanation, for reports."""

    asset: Asset
    jobs: tuple[Job, ...]
    why: Explanation


@frozen(kw_only=True)
class Status:
    """What is going on: counts, storages, agents, and what needs a person."""

    counts: Mapping[State, int]
    storages: tuple[Storage, ...]
    agents: tuple[AgentRecord, ...]
    unmatched: tuple[UnmatchedSidecar, ...]
    unprocessable: int
    missing: int


@frozen(kw_only=True)
class Operations:
    """The stories of operation."""

    store: Store
    clock: Clock

    async def why(self, uuid: AssetId) -> Explanation:
        """Why an asset is in its state, since when, by whom, and what can be done.

        Raises:
            NotFound: there is no such asset.
        """
        return (await self.asset(uuid)).why

    async def asset(self, uuid: AssetId) -> AssetReport:
        """An asset with its jobs and its explanation.

        Raises:
            NotFound: there is no such asset.
        """
        return await self.store.read(lambda tx: self._report(need_asset(tx, uuid), tx))

    def _report(self, asset: Asset, tx: Transaction) -> AssetReport:
        now = self.clock.now()
        jobs = tuple(tx.jobs_of(asset.subject, asset.review_version))
        offered = frozenset(c for a in tx.agents() if a.alive(now) for c in a.capabilities)
        why = explain_asset(
            asset,
            jobs=jobs,
            events=tx.latest_events(asset.subject),
            lock=tx.lock(asset.subject),
            storage=tx.storage(asset.storage_id),
            fixity=tx.fixity(asset.uuid),
            offered=offered,
            now=now,
        )
        return AssetReport(asset=asset, jobs=jobs, why=why)

    async def at(self, storage_id: StorageId, path: str) -> AssetReport:
        """The asset whose main file or sidecar has a path now.

        Raises:
            NotFound: none has.
        """

        def find(tx: Transaction) -> AssetReport:
            found = tx.asset_at(storage_id, path)
            if found is None:
                folder = path.rpartition("/")[0]
                found = next(
                    (
                        a
                        for a in tx.assets_in_folder(storage_id, folder)
                        if path in {s.path for s in a.sidecars}
                    ),
                    None,
                )
            if found is None:
                raise NotFound(f"no asset has the path {path!r}; scan, or look at what was skipped")
            return self._report(found, tx)

        return await self.store.read(find)

    async def report(self, storage_id: StorageId) -> tuple[AssetReport, ...]:
        """Every asset of a storage with its jobs and explanation, in order of path."""

        def find(tx: Transaction) -> tuple[AssetReport, ...]:
            found: list[Asset] = []
            after: AssetId | None = None
            while page := tx.assets_in_states(State, storage_id=storage_id, after=after):
                found.extend(page)
                after = page[-1].uuid
            return tuple(self._report(a, tx) for a in sorted(found, key=lambda a: a.path))

        return await self.store.read(find)

    async def history(self, uuid: AssetId) -> Sequence[Event]:
        """The audit trail of an asset, from its discovery on."""

        def find(tx: Transaction) -> Sequence[Event]:
            asset = need_asset(tx, uuid)
            return (discovery_of(asset), *tx.events(asset.subject))

        return await self.store.read(find)

    async def status(self) -> Status:
        """What is going on."""

        def find(tx: Transaction) -> Status:
            return Status(
                counts=tx.count_assets(),
                storages=tuple(tx.storages()),
                agents=tuple(tx.agents()),
                unmatched=tuple(tx.unmatched()),
                unprocessable=_flagged(tx, Flag.UNPROCESSABLE),
                missing=_flagged(tx, Flag.MISSING),
            )

        return await self.store.read(find)


def _flagged(tx: Transaction, flag: Flag) -> int:
    """How many assets carry a flag, counted up to one page (what a person needs to know is *some*)."""
    return len(tx.find_assets(AssetQuery(flag=flag, limit=200)).items)
