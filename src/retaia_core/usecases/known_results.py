"""Known results: the work of one source, used again for a copy of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from attrs import evolve, frozen

from ..domain.actors import SYSTEM
from ..domain.agents import AgentRecord
from ..domain.assets import Asset, DerivedRef
from ..domain.facts import Facts
from ..domain.identifiers import AssetId
from ..domain.jobs import Job
from ..domain.results import StoredResult, result_key
from ..domain.scheduling import Cause
from ..errors import RetaiaError
from ..ports.derived_storage import DerivedStorage
from ..ports.store import Completion, Transaction
from .lookups import need_asset
from .results import merged
from .scheduling import after_job
from .trail import record


def source_digest(asset: Asset) -> str | None:
    """What tells a source apart from all others: fingerprint, size and mtime; None before it is known."""
    if asset.fingerprint is None:
        return None
    return f"{asset.fingerprint}:{asset.size}:{asset.mtime_ns}:{asset.media_type}"


def jobs_by_key(asset: Asset, jobs: Iterable[Job]) -> dict[str, Job]:
    """Jobs by what their result is known under; none before the source is told from all others."""
    digest = source_digest(asset)
    if digest is None:
        return {}
    return {result_key(digest, job.job_type, job.parameters): job for job in jobs}


def usable(
    tx: Transaction, keys: Iterable[str], asset: Asset, agent: AgentRecord
) -> list[StoredResult]:
    """The known results of other assets that an agent of this version would make again.

    One without facts and files was forgotten with its asset.
    """
    known = [result for key in keys if (result := tx.known_result(key)) is not None]
    whole = [result for result in known if result.facts or result.derived]
    return [r for r in whole if r.asset != asset.uuid and r.version == agent.version]


def cloned(
    derived: DerivedStorage, result: StoredResult, uuid: AssetId, job: Job
) -> tuple[DerivedRef, ...] | None:
    """Give the files of a known result a second name; None where one of them is gone."""
    refs = []
    for ref in result.derived:
        if derived.size(ref.ref) != ref.size_bytes:
            return None
        name = ref.ref.rpartition("/")[2]
        target = f"{uuid}/{name}"
        try:
            derived.clone(ref.ref, target)
        except RetaiaError:
            return None
        refs.append(evolve(ref, ref=target, job_id=job.job_id))
    return tuple(refs)


@frozen(kw_only=True)
class Reuse:
    """A held job with the known result that completes it, whose files have a second name by now."""

    job: Job
    result: StoredResult
    refs: tuple[DerivedRef, ...]


def apply_known(tx: Transaction, token: str, reuses: Sequence[Reuse], now: datetime) -> Asset:
    """Complete held jobs of one asset with known results: all of them, or none.

    Raises:
        NotFound, StaleLockToken: the lease is over, or holds one of them no more.
    """
    asset = need_asset(tx, AssetId(reuses[0].job.subject.id))
    wishes = [
        Completion(job_id=reuse.job.job_id, token=token, warnings=reuse.result.warnings)
        for reuse in reuses
    ]
    for refusal in filter(None, tx.complete_all(wishes, now=now)):
        raise refusal
    for reuse in reuses:
        job, result = reuse.job, reuse.result
        with_result = merged(asset, job, result.facts, reuse.refs, result.warnings, {}, now)
        saved = tx.save_asset(with_result)
        record(tx, asset.subject, "job.reused", SYSTEM, now, job=job.job_type, of=result.asset)
        asset = after_job(tx, saved, Cause.COMPLETED, now)
    return asset


def remember(
    tx: Transaction,
    asset: Asset,
    job: Job,
    facts: Facts,
    refs: tuple[DerivedRef, ...],
    warnings: tuple[str, ...],
    agent: AgentRecord,
    now: datetime,
) -> None:
    """Keep a job's result for copies of its source; one without facts and files is not worth it."""
    digest = source_digest(asset)
    if digest is None or not (facts or refs):
        return
    result = StoredResult(
        key=result_key(digest, job.job_type, job.parameters),
        asset=asset.uuid,
        facts=facts,
        derived=refs,
        version=agent.version,
        warnings=warnings,
        created_at=now,
    )
    tx.save_result(result)


def forget_results(tx: Transaction, asset: Asset, now: datetime) -> None:
    """Empty every result that is known of this asset's work; what a copy of it made stays its own."""
    for key in jobs_by_key(asset, tx.jobs_of(asset.subject)):
        known = tx.known_result(key)
        if known is not None and known.asset == asset.uuid:
            tx.save_result(StoredResult(key=key, asset=asset.uuid, created_at=now))
