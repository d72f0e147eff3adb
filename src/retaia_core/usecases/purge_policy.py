"""The story of the automatic purge: a person's purge, of what was rejected long ago; off by default."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

from attrs import define, field, frozen

from ..domain.assets import Asset
from ..domain.identifiers import AssetId, Subject
from ..domain.lifecycle import State
from ..domain.purge import POLICY, PurgeBlock, PurgePlan
from ..domain.purge_policy import (
    AFTER_DAYS,
    DAY,
    OFF,
    PolicyDays,
    Rejection,
    days_of,
    due_at,
)
from ..domain.storage import Health
from ..errors import RetaiaError, Unavailable
from ..ports.clock import Clock
from ..ports.store import Store, Transaction
from .copy_evidence import trail_of
from .proofs import Proofs
from .purges import Purges
from .trail import record

SUBJECT = Subject(kind="policy", id="purge")
SKIPPED = "purge.skipped"
TRY_AGAIN = timedelta(days=1)
PAGE = 1000
_PASSING = (PurgeBlock.STORAGE_OFFLINE, PurgeBlock.LOCKED)


@frozen(kw_only=True)
class Ahead:
    """A rejected asset, and when the policy would purge it; ``blocked`` says why not, where that is known."""

    asset: Asset
    rejected_at: datetime
    due_at: datetime
    blocked: str = ""


@frozen(kw_only=True)
class Round:
    """What one round of the policy did."""

    purged: tuple[AssetId, ...] = ()
    skipped: tuple[AssetId, ...] = ()


@define(kw_only=True, eq=False)
class PurgePolicy:
    """The stories of the policy. ``on`` and ``after_days`` are what a person set.

    It purges at most ``at_once`` assets in a round; one that is blocked is tried again a day later.
    """

    store: Store
    clock: Clock
    purges: Purges
    proofs: Proofs
    on: bool = False
    after_days: int = AFTER_DAYS
    at_once: int = 100
    _tried: dict[AssetId, datetime] = field(factory=dict, init=False)

    async def round(self) -> Round:
        """Count the day, and purge what is due, as `Purges.purge` does for a person; nothing while off."""
        days = await self.store.transact(self._count)
        purged: list[AssetId] = []
        skipped: list[AssetId] = []
        for uuid in await self.store.read(partial(self._due, days)) if self.on else ():
            try:
                problem = await self._purge(uuid)
            except Unavailable:
                continue  # That passes, and the next round tries it again.
            if not problem:
                purged.append(uuid)
                continue
            skipped.append(uuid)
            self._tried[uuid] = self.clock.now()
            await self.store.transact(partial(self._note, uuid, problem), durable=False)
        return Round(purged=tuple(purged), skipped=tuple(skipped))

    def _count(self, tx: Transaction) -> PolicyDays:
        """Write down that the policy is on today, or that it is off; once each."""
        days, now = days_of(trail_of(tx, SUBJECT)), self.clock.now()
        if not self.on:
            if days.days:
                record(tx, SUBJECT, OFF, POLICY, now)
            return PolicyDays()
        if not days.has(now.date()):
            record(tx, SUBJECT, DAY, POLICY, now, after_days=self.after_days)
            days = days_of(trail_of(tx, SUBJECT))
        return days

    def _due(self, days: PolicyDays, tx: Transaction) -> list[AssetId]:
        """The assets to try in this round."""
        now, found = self.clock.now(), list[AssetId]()
        offline = {s.storage_id for s in tx.storages() if s.health is Health.OFFLINE}
        for asset in _rejected(tx):
            old = _since(asset)[0] + timedelta(days=self.after_days) <= now
            if not old or asset.storage_id in offline or self._tried_lately(asset, now):
                continue
            rejection = _rejection(tx, asset)
            if rejection and due_at(rejection, days, self.after_days, now) <= now:
                found.append(asset.uuid)
            if len(found) == self.at_once:
                break
        return found

    def _tried_lately(self, asset: Asset, now: datetime) -> bool:
        tried = self._tried.get(asset.uuid)
        return tried is not None and timedelta(0) <= now - tried < TRY_AGAIN

    async def _purge(self, uuid: AssetId) -> str:
        """Purge one asset; why not, where it was not.

        Raises:
            Unavailable: its storage is away, or somebody is at it just now.
        """
        try:
            plan = await self.purges.preview(uuid)
            if {block.reason for block in plan.blocked} == {PurgeBlock.UNPROVEN}:
                await self.proofs.check(POLICY, uuid)
                plan = await self.purges.preview(uuid)
            if any(block.reason in _PASSING for block in plan.blocked):
                raise Unavailable(_said(plan))
            if plan.blocked:
                return _said(plan)
            await self.purges.purge(POLICY, plan, plan.digest)
        except Unavailable:
            raise
        except RetaiaError as error:
            return error.message
        return ""

    def _note(self, uuid: AssetId, problem: str, tx: Transaction) -> None:
        """Write down once why an asset was passed over."""
        asset = tx.asset(uuid)
        if asset is None or asset.state is not State.REJECTED:
            return
        last = [event for event in trail_of(tx, asset.subject) if event.name == SKIPPED][-1:]
        if not last or last[0].data.get("problem") != problem:
            record(tx, asset.subject, SKIPPED, POLICY, self.clock.now(), problem=problem)

    # Looking ahead

    async def ahead(self, limit: int = 100) -> tuple[Ahead, ...]:
        """What the policy would purge next, and when, soonest first, also where it is off."""
        coming = await self.store.read(partial(self._coming, limit))
        now = self.clock.now()
        return tuple([await self._with_blocks(one) if one.due_at <= now else one for one in coming])

    def _coming(self, limit: int, tx: Transaction) -> list[Ahead]:
        now, days = self.clock.now(), days_of(trail_of(tx, SUBJECT))
        oldest = heapq.nsmallest(limit, _rejected(tx), key=_since)
        coming = [
            Ahead(
                asset=asset,
                rejected_at=rejection.at,
                due_at=due_at(rejection, days, self.after_days, now),
            )
            for asset in oldest
            if (rejection := _rejection(tx, asset)) is not None
        ]
        return sorted(coming, key=lambda one: one.due_at)

    async def _with_blocks(self, one: Ahead) -> Ahead:
        plan = await self.purges.preview(one.asset.uuid)
        said = _said(plan) if plan.blocked else ""
        return Ahead(asset=one.asset, rejected_at=one.rejected_at, due_at=one.due_at, blocked=said)


def _since(asset: Asset) -> tuple[datetime, AssetId]:
    return asset.state_since or asset.updated_at, asset.uuid


def _rejected(tx: Transaction) -> Iterator[Asset]:
    after: AssetId | None = None
    while page := tx.assets_in_states([State.REJECTED], after=after, limit=PAGE):
        yield from page
        after = page[-1].uuid


def _rejection(tx: Transaction, asset: Asset) -> Rejection | None:
    """The event that brought an asset among the rejects; None where the trail has none."""
    last = None
    for event in trail_of(tx, asset.subject):
        if event.data.get("to") == State.REJECTED:
            last = Rejection(at=event.at, seq=event.seq)
    return last


def _said(plan: PurgePlan) -> str:
    return "; ".join(f"{block.path or plan.path}: {block.message}" for block in plan.blocked)
