"""Reading what a story cannot go on without."""

from __future__ import annotations

from ..domain.assets import Asset
from ..domain.identifiers import AssetId, JobId
from ..domain.jobs import Job
from ..domain.lifecycle import State
from ..errors import NotFound, Purged
from ..ports.store import Transaction


def need_job(tx: Transaction, job_id: JobId) -> Job:
    """Read a job.

    Raises:
        NotFound: there is none.
    """
    job = tx.job(job_id)
    if job is None:
        raise NotFound(f"there is no job {job_id!r}")
    return job


def need_asset(tx: Transaction, uuid: AssetId) -> Asset:
    """Read an asset.

    Raises:
        NotFound: there is none.
    """
    asset = tx.asset(uuid)
    if asset is None:
        raise NotFound(f"there is no asset {uuid!r}")
    return asset


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
