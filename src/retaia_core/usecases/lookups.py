"""Reading what a story cannot go on without."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

from ..domain.actors import Actor, ActorKind
from ..domain.assets import Asset
from ..domain.identifiers import AssetId, BatchId, JobId, Subject
from ..domain.jobs import Job
from ..domain.leases import Lock
from ..domain.lifecycle import State
from ..domain.moves import Batch
from ..errors import ForbiddenActor, NotFound, Purged
from ..ports.store import Transaction

T = TypeVar("T")

_LOCKS_AT_ONCE = 1000
_MOST_OVER = 1_000_000
"""Locks whose time is over and that nobody recovered yet: in a store that is watched over, a handful."""


def need_person(actor: Actor, act: str) -> None:
    """Let nobody but a person do what only people do.

    Raises:
        ForbiddenActor: the actor is none.
    """
    if actor.kind is not ActorKind.PERSON:
        raise ForbiddenActor(f"only a person {act}")


def _needed(found: T | None, what: str) -> T:
    if found is None:
        raise NotFound(f"there is no {what}")
    return found


def need_batch(tx: Transaction, batch_id: BatchId) -> Batch:
    """Read a batch.

    Raises:
        NotFound: there is none.
    """
    return _needed(tx.batch(batch_id), f"batch {batch_id!r}")


def held_locks(tx: Transaction, now: datetime) -> Mapping[Subject, Lock]:
    """Every lock that others must wait for now, by its subject."""
    over = tx.locks(now=now, expired=True, limit=_MOST_OVER)
    held: dict[Subject, Lock] = {lock.subject: lock for lock in over if lock.binds(now)}
    last: Lock | None = None
    while page := tx.held_locks(now=now, after=last, limit=_LOCKS_AT_ONCE):
        held.update((lock.subject, lock) for lock in page)
        last = page[-1]
    return held


def need_job(tx: Transaction, job_id: JobId) -> Job:
    """Read a job.

    Raises:
        NotFound: there is none.
    """
    return _needed(tx.job(job_id), f"job {job_id!r}")


def need_asset(tx: Transaction, uuid: AssetId) -> Asset:
    """Read an asset.

    Raises:
        NotFound: there is none.
    """
    return _needed(tx.asset(uuid), f"asset {uuid!r}")


def need_living(tx: Transaction, uuid: AssetId) -> Asset:
    """Read an asset that can still be written.

    Raises:
        NotFound: there is none.
        Purged: it was purged.
    """
    asset = need_asset(tx, uuid)
    if asset.state is State.PURGED:
        raise Purged("the asset was purged; only its audit record is left", state=asset.state)
    return asset


def asset_of(tx: Transaction, job: Job) -> Asset | None:
    """The asset that a job is about; None where it is about something else."""
    return tx.asset(AssetId(job.subject.id)) if job.subject.kind == "asset" else None
