"""The stories of review: look, annotate, decide, reopen, reprocess, retry, waive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

from attrs import evolve, field, frozen

from ..catalog import Catalog
from ..domain.actors import Actor
from ..domain.assets import (
    Asset,
    advanced,
    annotated,
    decided,
    reopened,
    reprocessed,
    waived,
)
from ..domain.custom_fields import CustomFields, check_fields
from ..domain.identifiers import AssetId, ProfileName
from ..domain.jobs import Job, JobStatus
from ..domain.leases import Lock, LockKind
from ..domain.lifecycle import Action, State
from ..domain.query import AssetPage, AssetQuery
from ..errors import StateConflict, ValidationFailed
from ..ports.clock import Clock, Ids
from ..ports.store import Store, Transaction
from .annotations import changes
from .lookups import need_asset, need_living
from .scheduling import open_review, renew_failed
from .trail import record, save_step

Change = Callable[[Asset, datetime], Asset]


def refuse_if_locked(tx: Transaction, asset: Asset, now: datetime, *, jobs: bool = False) -> None:
    """Refuse what must wait for a move or a purge (and, with ``jobs``, for held jobs).

    Raises:
        StateConflict: the asset is locked; ``details`` says by what.
    """
    lock = tx.lock(asset.subject)
    held = lock if lock is not None and lock.binds(now) else None
    if held is None or jobs or held.kind is not LockKind.JOB_LEASE:
        refuse_if_held(asset, held)


def refuse_if_held(asset: Asset, held: Lock | None) -> None:
    """Refuse what must wait for whoever holds the asset.

    Raises:
        StateConflict: somebody does; ``details`` says by what.
    """
    if held is not None:
        raise StateConflict(
            f"{held.said()}; try again after it", state=asset.state.value, lock=held.kind.value
        )


@frozen(kw_only=True)
class Review:
    """The stories of a person who looks and decides."""

    store: Store
    clock: Clock
    ids: Ids
    catalog: Catalog
    fields: CustomFields = field(factory=dict)

    # Looking

    async def find(self, query: AssetQuery) -> AssetPage:
        """A page of assets."""
        return await self.store.read(lambda tx: tx.find_assets(query))

    async def asset(self, uuid: AssetId) -> Asset:
        """One asset.

        Raises:
            NotFound: there is none.
        """
        return await self.store.read(lambda tx: need_asset(tx, uuid))

    async def jobs(self, uuid: AssetId) -> Sequence[Job]:
        """The jobs of an asset's present review."""

        def find(tx: Transaction) -> Sequence[Job]:
            asset = need_asset(tx, uuid)
            return tx.jobs_of(asset.subject, asset.review_version)

        return await self.store.read(find)

    async def counts(self) -> Mapping[State, int]:
        """How many assets are in each state."""
        return await self.store.read(lambda tx: tx.count_assets())

    # Deciding

    def decide_in(self, actor: Actor, uuid: AssetId, action: Action, tx: Transaction) -> Asset:
        """Record KEEP, REJECT or CLEAR, in a transaction.

        Raises:
            ForbiddenActor: the actor is no person.
            StateConflict: the state or a lock does not allow it.
            Purged, NotFound: as said.
        """
        change = partial(_decided, actor=actor, action=action)
        return self._step(actor, uuid, f"decision.{action.lower()}", change, tx)

    async def decide(self, actor: Actor, uuid: AssetId, action: Action) -> Asset:
        """`decide_in`, durably."""
        return await self.store.transact(partial(self.decide_in, actor, uuid, action))

    def reopen_in(self, actor: Actor, uuid: AssetId, tx: Transaction) -> Asset:
        """Open a settled asset for a new decision, in a transaction; nothing moves."""
        return self._step(actor, uuid, "asset.reopen", partial(_reopened, actor=actor), tx)

    async def reopen(self, actor: Actor, uuid: AssetId) -> Asset:
        """`reopen_in`, durably."""
        return await self.store.transact(partial(self.reopen_in, actor, uuid))

    def waive_in(self, actor: Actor, uuid: AssetId, tx: Transaction) -> Asset:
        """Let a person decide although required work failed for good, in a transaction."""
        return self._step(actor, uuid, "asset.waive", partial(_waived, actor=actor), tx)

    async def waive(self, actor: Actor, uuid: AssetId) -> Asset:
        """`waive_in`, durably."""
        return await self.store.transact(partial(self.waive_in, actor, uuid))

    def reprocess_in(
        self, actor: Actor, uuid: AssetId, tx: Transaction, *, profile: str | None = None
    ) -> Asset:
        """Drop all results and have the asset processed and decided again, in a transaction.

        Raises:
            ValidationFailed: the profile is none, or one of another media type.
        """
        now = self.clock.now()
        change = partial(_reprocessed, actor=actor)
        name = profile and self._fitting_profile(need_asset(tx, uuid), profile)
        saved = self._step(actor, uuid, "asset.reprocess", change, tx, jobs=True)
        if name and name != saved.profile:
            saved = tx.save_asset(evolve(saved, profile=name))
            record(tx, saved.subject, "asset.profile", actor, now, profile=name)
        open_review(tx, saved, self.catalog, self.ids, now)
        return saved

    async def reprocess(self, actor: Actor, uuid: AssetId, *, profile: str | None = None) -> Asset:
        """`reprocess_in`, durably."""
        work = partial(self.reprocess_in, actor, uuid, profile=profile)
        return await self.store.transact(work)

    def retry_in(self, actor: Actor, uuid: AssetId, tx: Transaction) -> Asset:
        """Give the failed work of an unprocessable asset a new try, in a transaction."""
        now = self.clock.now()
        asset = need_asset(tx, uuid)
        after = advanced(asset, Action.RETRY, actor, now)
        after = renew_failed(tx, after, now)
        return save_step(tx, asset, after, "asset.retry", actor, now)

    async def retry(self, actor: Actor, uuid: AssetId) -> Asset:
        """`retry_in`, durably."""
        return await self.store.transact(partial(self.retry_in, actor, uuid))

    def set_profile_in(self, actor: Actor, uuid: AssetId, name: str, tx: Transaction) -> Asset:
        """Choose another profile, in a transaction: free until the first claim of a review job.

        Raises:
            ValidationFailed: no such profile, or one of another media type.
            StateConflict: work has begun; reprocess first.
        """
        now = self.clock.now()
        asset = need_asset(tx, uuid)
        chosen = self._fitting_profile(asset, name)
        jobs = tx.jobs_of(asset.subject, asset.review_version)
        untouched = all(j.status is JobStatus.PENDING and j.attempts == 0 for j in jobs)
        if asset.state not in (State.DISCOVERED, State.READY) or not untouched:
            raise StateConflict(
                "the profile is fixed once an agent has begun; reprocess the asset first",
                state=asset.state.value,
            )
        after = evolve(asset, profile=chosen, updated_at=now)
        if asset.state is State.READY:
            after = evolve(after, review_version=asset.review_version + 1)
        saved = tx.save_asset(after)
        record(tx, asset.subject, "asset.profile", actor, now, profile=name)
        if saved.state is State.READY:
            open_review(tx, saved, self.catalog, self.ids, now)
        return saved

    def _fitting_profile(self, asset: Asset, name: str) -> ProfileName:
        fitting = [
            p.name for p in self.catalog.profiles.values() if p.media_type is asset.media_type
        ]
        if name not in fitting:
            raise ValidationFailed(f"{name!r} is no profile here; allowed: {', '.join(fitting)}")
        return ProfileName(name)

    async def set_profile(self, actor: Actor, uuid: AssetId, name: str) -> Asset:
        """`set_profile_in`, durably."""
        return await self.store.transact(partial(self.set_profile_in, actor, uuid, name))

    # Annotating

    def annotate_in(
        self,
        actor: Actor,
        uuid: AssetId,
        tags: Sequence[str] | None,
        notes: str | None,
        fields: Mapping[str, object] | None,
        tx: Transaction,
    ) -> Asset:
        """Change tags, notes or fields, in a transaction; parts that are None stay as they are.

        Raises:
            ValidationFailed: a part is malformed, or a value does not fit its declared field.
            Purged: the asset was purged.
        """
        now = self.clock.now()
        asset = need_living(tx, uuid)
        given = tuple(tags) if tags is not None else None
        check_fields(self.fields, fields or {})
        after = annotated(asset, actor, now, tags=given, notes=notes, fields=fields)
        changed = [
            name
            for name, part in (("tags", tags), ("notes", notes), ("fields", fields))
            if part is not None
        ]
        said = {**changes(asset, after), "changed": changed}
        return save_step(tx, asset, after, "asset.annotated", actor, now, **said)

    async def annotate(
        self,
        actor: Actor,
        uuid: AssetId,
        *,
        tags: Sequence[str] | None = None,
        notes: str | None = None,
        fields: Mapping[str, object] | None = None,
    ) -> Asset:
        """`annotate_in`, durably."""
        work = partial(self.annotate_in, actor, uuid, tags, notes, fields)
        return await self.store.transact(work)

    def _step(
        self,
        actor: Actor,
        uuid: AssetId,
        name: str,
        change: Change,
        tx: Transaction,
        *,
        jobs: bool = False,
    ) -> Asset:
        now = self.clock.now()
        asset = need_asset(tx, uuid)
        after = change(asset, now)
        refuse_if_locked(tx, asset, now, jobs=jobs)
        return save_step(tx, asset, after, name, actor, now)


def _decided(asset: Asset, now: datetime, *, actor: Actor, action: Action) -> Asset:
    return decided(asset, action, actor, now)


def _reopened(asset: Asset, now: datetime, *, actor: Actor) -> Asset:
    return reopened(asset, actor, now)


def _reprocessed(asset: Asset, now: datetime, *, actor: Actor) -> Asset:
    return reprocessed(asset, actor, now)


def _waived(asset: Asset, now: datetime, *, actor: Actor) -> Asset:
    return waived(asset, actor, now)
