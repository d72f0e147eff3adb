"""The commands of operation: ``jobs`` and ``why``."""

from __future__ import annotations

from collections import Counter

from cyclopts import App

from retaia_core.domain.jobs import Job, JobStatus
from retaia_core.hooks.exits import Exit

from .context import DEFAULT, Common, find_asset, perform, services_for
from .output import Output, plain, printable


def register(app: App) -> None:
    """Add the commands."""
    app.command(jobs)
    app.command(why)


def _waits_for(job: Job, offered: frozenset[str]) -> str:
    if job.status is JobStatus.CLAIMED:
        return f"held by {job.claimed_by}"
    if job.failure is not None and job.status is JobStatus.FAILED:
        return f"{job.failure.code}: {job.failure.message}"
    missing = sorted(set(job.capabilities) - offered)
    if missing:
        return f"no agent offers {', '.join(missing)}"
    if job.waiting:
        return "waits for other jobs of its asset"
    return f"last try: {job.failure.message}" if job.failure else "waits for a free agent"


def jobs(*, status: JobStatus | None = None, limit: int = 200, common: Common = DEFAULT) -> int:
    """Show jobs that are open or failed, why they wait, and who holds them.

    Parameters
    ----------
    status
        Only jobs of this status.
    limit
        How many at most.
    """
    wanted = (status,) if status else (JobStatus.PENDING, JobStatus.CLAIMED, JobStatus.FAILED)

    async def work(out: Output) -> Exit:
        async with services_for(common) as (_, services):
            found = await services.store.read(
                lambda tx: tuple(tx.find_jobs(statuses=wanted, limit=limit))
            )
            now = services.clock.now()
            agents = (await services.operations.status()).agents
            offered = frozenset(c for a in agents if a.alive(now) for c in a.capabilities)
        secret = {"lock_token"}
        documents = [
            {key: value for key, value in plain(job).items() if key not in secret}
            | {"why": _waits_for(job, offered)}
            for job in found
        ]
        out.result({"jobs": documents, "agents": plain(agents)})
        rows = [(j.status.value, j.job_type, str(j.subject), _waits_for(j, offered)) for j in found]
        out.table(("status", "job", "subject", "why"), rows)
        counts = Counter(job.status.value for job in found)
        out.say(", ".join(f"{n} {name}" for name, n in sorted(counts.items())) or "no such jobs")
        return Exit.OK

    return perform(common, work)


def why(asset: str, *, common: Common = DEFAULT) -> int:
    """Say why an asset is as it is, since when, by whom, and what can be done.

    Parameters
    ----------
    asset
        Its UUID or a path.
    """

    async def work(out: Output) -> Exit:
        async with services_for(common) as (_, services):
            report = await find_asset(services, asset)
        out.result(report.why)
        out.say(report.why.sentence, "bold")
        if report.why.since:
            how = report.why.evidence.get("how")
            said = f": {printable(str(how))}" if how else ""
            out.say(f"since {plain(report.why.since)}{said}")
        for step in report.why.next:
            out.say(f"  you can {step}")
        return Exit.OK

    return perform(common, work)
