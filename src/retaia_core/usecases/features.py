"""The stories of features: what is on for whom, and who switched it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from attrs import evolve, field, frozen

from ..domain.accounts import Account, AccountId, local_account
from ..domain.actors import Actor
from ..domain.features import (
    JOBS_OF,
    Effect,
    require,
    resolve,
    switched_app,
    switched_user,
)
from ..domain.identifiers import Subject
from ..errors import NotFound
from ..ports.clock import Clock, Ids
from ..ports.store import Store, Transaction
from .trail import record, subject_of

APP = Subject(kind="server", id="features")
"""The administrators' switches as the subject of events."""


@frozen(kw_only=True)
class Features:
    """The stories of features; ``server`` are the server's own flags."""

    store: Store
    clock: Clock
    ids: Ids
    server: Mapping[str, bool] = field(factory=dict)

    async def effects(self, account: Account | None = None) -> dict[str, Effect]:
        """Every feature as it is now, for a person where one is given."""
        return await self.store.read(partial(self._effects, account))

    def _effects(self, account: Account | None, tx: Transaction) -> dict[str, Effect]:
        kept = _kept(tx, account) if account is not None else None
        user = kept.features if kept is not None else {}
        return resolve(server=self.server, app=tx.app_features(), user=user)

    async def require(self, keys: Iterable[str], account: Account | None = None) -> None:
        """Let nobody past features that are off.

        Raises:
            ForbiddenScope: one is off; ``details`` has ``feature`` and the ``gate`` that closed it.
        """
        wanted = tuple(keys)
        if not wanted:
            return
        effects = await self.effects(account)
        for key in wanted:
            require(effects, key)

    async def closed_job_types(self) -> frozenset[str]:
        """The job types that are not handed out, because their feature was switched off."""
        flagged = [key for key in JOBS_OF if self.server.get(key)]
        if not flagged:
            return frozenset()
        effects = await self.effects()
        return frozenset(JOBS_OF[key] for key in flagged if not effects[key].on)

    # Switching

    async def app(self) -> Mapping[str, bool]:
        """The administrators' switches; a missing key is on."""
        return await self.store.read(lambda tx: dict(tx.app_features()))

    async def switch_app(self, actor: Actor, wanted: Mapping[str, bool]) -> Mapping[str, bool]:
        """Change the administrators' switches that are named; returns all of them.

        Raises:
            ValidationFailed: a key that nobody knows.
            ForbiddenScope: a core feature would be switched off.
        """
        return await self.store.transact(partial(self._switch_app, actor, wanted))

    def _switch_app(
        self, actor: Actor, wanted: Mapping[str, bool], tx: Transaction
    ) -> Mapping[str, bool]:
        before = tx.app_features()
        after = switched_app(before, wanted)
        if after != before:
            tx.save_app_features(after)
            record(tx, APP, "features.switched", actor, self.clock.now(), switches=after)
        return after

    async def switch_user(self, account: Account, wanted: Mapping[str, bool]) -> Mapping[str, bool]:
        """Change a person's own switches that are named; returns all of them.

        Raises:
            ValidationFailed: a key that nobody knows.
            ForbiddenScope: a core feature, or one that a person cannot switch off.
        """
        fresh = AccountId(self.ids.uuid())
        return await self.store.transact(partial(self._switch_user, account, wanted, fresh))

    def _switch_user(
        self, account: Account, wanted: Mapping[str, bool], fresh: AccountId, tx: Transaction
    ) -> Mapping[str, bool]:
        kept, now = _kept(tx, account), self.clock.now()
        if kept is None and account.local_name is None:
            raise NotFound("there is no such account any more")
        kept = kept or local_account(fresh, str(account.local_name), now)
        after = evolve(kept, features=switched_user(kept.features, wanted))
        if after.features != kept.features:
            tx.save_account(after)
            record(
                tx,
                subject_of(after),
                "features.switched",
                after.actor,
                now,
                switches=after.features,
            )
        return after.features

    async def user(self, account: Account) -> Mapping[str, bool]:
        """A person's own switches; a missing key is on."""

        def find(tx: Transaction) -> Mapping[str, bool]:
            kept = _kept(tx, account)
            return {} if kept is None else kept.features

        return await self.store.read(find)


def _kept(tx: Transaction, account: Account) -> Account | None:
    """The account as the store has it now; the person at the server's machine goes by their login name."""
    if account.local_name is not None:
        return tx.account_by_local_name(account.local_name)
    return tx.account(account.account_id)
