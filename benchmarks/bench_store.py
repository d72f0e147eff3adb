"""The SQL store beside bare driver loops and two job queues: medians of ratios, measured in one run.

    python benchmarks/bench_store.py --json store.json
    python benchmarks/bench_store.py --queued 1000,100000,1000000 --assets 1000000

Claims and submits go through the port, each answered after its commit (callers at the same time share
one), with the listing of claimable jobs (a page of
50) included; the bare loop is one connection of the same driver on the same table, with the same
durability, that takes the next job by one UPDATE and completes it by another. Contenders take turns
within a round, so that a ratio compares neighbours. Beside other queues, all tables are vacuumed and
analysed first: without statistics Procrastinate's fetch takes two to three times as long, until autovacuum
comes by. PostgreSQL is the one of ``--postgres`` (a
superuser's URL), else a private server with fsync on; ``--postgres none`` leaves it out. Procrastinate
and pgqueuer take part where they are installed.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import itertools
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from attrs import asdict, evolve, frozen

from retaia_adapters.sql.store import open_store
from retaia_core.domain.assets import Asset
from retaia_core.domain.identifiers import (
    AgentId,
    AssetId,
    Capability,
    JobId,
    ProfileName,
    RelPath,
    StorageId,
    Subject,
    asset_subject,
)
from retaia_core.domain.jobs import Job, Offer
from retaia_core.domain.lifecycle import State
from retaia_core.domain.media import MediaType
from retaia_core.domain.query import AssetQuery, Sort, SortKey
from retaia_core.errors import RetaiaError
from retaia_core.ports.store import (
    Claim,
    ClaimableQuery,
    Claimed,
    Completion,
    Store,
    Transaction,
)

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
from retaia_tests import postgres

AGENT = AgentId("bench")
CAPABILITY = Capability("media.facts@1")
CAPABILITIES = frozenset({CAPABILITY})
PAGE = 50
BUNDLE = 5

CLAIM = """UPDATE jobs SET status = 'claimed', offered_as = NULL, claimed_by = {0}, lock_token = {0},
    locked_until = {0}, attempts = attempts + 1, updated_at = {0}
    WHERE job_id = (SELECT job_id FROM jobs WHERE offered_as = {0}
        ORDER BY priority DESC, created_at, job_id LIMIT 1) RETURNING job_id"""
COMPLETE = """UPDATE jobs SET status = 'completed', claimed_by = NULL, lock_token = NULL,
    locked_until = NULL, updated_at = {0} WHERE job_id = {0} AND lock_token = {0}"""
LANE = f"extract_facts {CAPABILITY}"


@frozen(kw_only=True)
class Row:
    """One line of the table; ``ratio`` is the median of the rounds, ``limit`` what it must keep."""

    what: str
    rate: float
    other: float
    ratio: float
    limit: str = ""
    kept: bool = True


def ordered_uuid(n: int) -> str:
    """A time-ordered UUID, as the server gives them."""
    stamp = (1_760_000_000_000 + n // 10).to_bytes(6, "big")
    return str(uuid.UUID(bytes=stamp + b"\x70" + os.urandom(9)))


def make_jobs(count: int, *, per_subject: int, start: int = 0) -> Iterator[Job]:
    """Jobs in the order in which they are offered."""
    now = datetime.now(UTC)
    for n in range(start, start + count):
        subject = asset_subject(AssetId(f"{n // per_subject:08d}-subject"))
        at = now + timedelta(microseconds=n)
        yield Job(
            job_id=JobId(f"{n:010d}"),
            job_type="extract_facts",
            subject=subject,
            capabilities=CAPABILITIES,
            created_at=at,
            updated_at=at,
        )


async def in_chunks(store: Store, items: Iterator[Any], add: str, size: int = 5000) -> None:
    """Add many things, some thousand per commit."""
    while chunk := list(itertools.islice(items, size)):
        await store.transact(lambda tx, c=chunk: getattr(tx, add)(c), durable=False)


# Claim and complete at the port


def wish(subject: Subject, now: datetime) -> Claim:
    """Claim everything of a subject."""
    return Claim(
        subject=subject,
        agent_id=AGENT,
        capabilities=CAPABILITIES,
        token=os.urandom(16).hex(),
        now=now,
        until=now + timedelta(seconds=120),
    )


def claim_each(tx: Transaction, claims: Sequence[Claim]) -> Sequence[Claimed | RetaiaError]:
    """Claim for everybody who came meanwhile."""
    return tx.claim_all(claims)


def submission(job: Job) -> Completion:
    """Submit one job."""
    return Completion(job_id=job.job_id, token=job.lock_token or "")


async def port_pairs(store: Store, count: int, *, callers: int, durable: bool) -> None:
    """Claim and complete so many jobs, one by one, from so many callers at the same time."""
    now = datetime.now(UTC) + timedelta(days=1)

    def complete_each(
        tx: Transaction, completions: Sequence[Completion]
    ) -> Sequence[RetaiaError | None]:
        return tx.complete_all(completions, now=now)

    done = 0
    while done < count:
        limit = min(max(PAGE, callers), count - done)
        query = ClaimableQuery(agent_id=AGENT, capabilities=CAPABILITIES, now=now, limit=limit)
        page = await store.read(lambda tx, q=query: tx.claimable(q))
        waiting = iter(page)

        async def work(waiting: Iterator[Offer] = waiting) -> None:
            for job in waiting:
                claim = wish(job.subject, now)
                won = await store.transact_shared(claim_each, claim, durable=durable)
                for held in won.jobs:
                    await store.transact_shared(complete_each, submission(held), durable=durable)

        await asyncio.gather(*(work() for _ in range(callers)))
        done += len(page)


def bare_sqlite(path: str, count: int, *, durable: bool) -> None:
    """The two statements on a connection of their own, each committed by itself."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
    bare_pairs(connection, "?", count)
    connection.close()


def bare_postgres(url: str, count: int, *, durable: bool) -> None:
    """The same on PostgreSQL: psycopg, prepared, one round trip and commit per statement."""
    with psycopg.connect(url, autocommit=True, prepare_threshold=0) as connection:
        connection.execute(f"SET synchronous_commit = {'on' if durable else 'off'}")
        bare_pairs(connection, "%s", count)


def bare_pairs(connection: Any, mark: str, count: int) -> None:
    """Claim the next job and complete it."""
    claim, complete = CLAIM.format(mark), COMPLETE.format(mark)
    for _ in range(count):
        token = os.urandom(16).hex()
        ((job_id,),) = connection.execute(claim, (AGENT, token, 1, 1, LANE)).fetchall()
        assert connection.execute(complete, (1, job_id, token)).rowcount == 1


async def timed(work: Awaitable[Any]) -> float:
    """Seconds that it took."""
    start = time.perf_counter()
    await work
    return time.perf_counter() - start


async def bench_pairs(
    name: str, url: str, bare: Callable[..., None], options: argparse.Namespace
) -> list[Row]:
    """Claim + complete at the port beside the bare loop, at growing queues."""
    rows: list[Row] = []
    store = open_store(url)
    await store.prepare()
    have = spent = 0
    for queued in options.queued:
        need = queued + options.rounds * options.pairs * 8
        await in_chunks(
            store, make_jobs(max(0, need - have + spent), per_subject=1, start=have), "add_jobs"
        )
        have += max(0, need - have + spent)
        for durable, callers in itertools.product((False, True), (1, 16)):
            ratios, rates, others = [], [], []
            for _ in range(options.rounds):
                other = await timed(
                    asyncio.to_thread(
                        bare, url.removeprefix("sqlite:///"), options.pairs, durable=durable
                    )
                )
                mine = await timed(
                    port_pairs(store, options.pairs, callers=callers, durable=durable)
                )
                spent += 2 * options.pairs
                ratios.append(other / mine)
                rates.append(options.pairs / mine)
                others.append(options.pairs / other)
            ratio = statistics.median(ratios)
            rows.append(
                Row(
                    what=f"{name}, {queued:,} queued, {'durable' if durable else 'not durable'}, "
                    f"{callers} caller{'s' * (callers > 1)}: pairs/s beside the bare loop",
                    rate=statistics.median(rates),
                    other=statistics.median(others),
                    ratio=ratio,
                    limit=">= 0.33",
                    kept=ratio >= 1 / 3,
                )
            )
            print_row(rows[-1])
    await store.close()
    return rows


# Beside other queues


async def fresh_store(url: str, count: int, per_subject: int) -> Store:
    """An open store with so many jobs."""
    store = open_store(url)
    await store.prepare()
    await in_chunks(store, make_jobs(count, per_subject=per_subject), "add_jobs")
    return store


def analyse(*urls: str) -> None:
    """Let PostgreSQL know its tables, as it does by itself after a minute of use."""
    for url in urls:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")


async def bench_procrastinate(server: postgres.Server, options: argparse.Namespace) -> list[Row]:
    """Fetch + finish of Procrastinate's own job manager, one worker, beside the port.

    For one caller, the bare loop stands beside it as well: what the port could reach at most.
    """
    import procrastinate
    from procrastinate import jobs as theirs
    from procrastinate.manager import JobManager
    from procrastinate.schema import SchemaManager

    count = options.pairs * options.rounds
    with ExitStack() as stack:
        url, our_url = (
            stack.enter_context(server.database()),
            stack.enter_context(server.database()),
        )
        store = await fresh_store(our_url, 3 * count, 1)
        # The same durability for both: a commit does not wait for the disk.
        connector = procrastinate.PsycopgConnector(
            conninfo=url, kwargs={"options": "-c synchronous_commit=off"}
        )
        await connector.open_async()
        await SchemaManager(connector).apply_schema_async()
        manager = JobManager(connector)
        worker = await manager.register_worker()
        batch = [
            theirs.Job(queue="q", lock=None, queueing_lock=None, task_name="t") for _ in range(1000)
        ]
        for _ in range(-(-2 * count // 1000)):
            await manager.batch_defer_jobs_async(batch)
        analyse(url, our_url)

        rows = []
        bare = []
        for callers in (1, 16):
            pairs = []
            for _ in range(options.rounds):

                async def each(share: int) -> None:
                    for _ in range(share):
                        job = await manager.fetch_job(None, worker)
                        assert job is not None
                        await manager.finish_job(job, theirs.Status.SUCCEEDED, delete_job=False)

                share = options.pairs // callers
                other = await timed(asyncio.gather(*(each(share) for _ in range(callers))))
                mine = await timed(
                    port_pairs(store, share * callers, callers=callers, durable=False)
                )
                pairs.append((share * callers / mine, share * callers / other))
                if callers == 1:
                    loop = asyncio.to_thread(bare_postgres, our_url, share, durable=False)
                    bare.append((share / await timed(loop), share / other))
            rows.append(
                compared(f"PostgreSQL, {callers} callers: pairs/s beside Procrastinate's", pairs, 5)
            )
            print_row(rows[-1])
        rows.append(compared("PostgreSQL, 1 caller: bare loop beside Procrastinate", bare))
        print_row(rows[-1])
        await store.close()
        await connector.close_async()
        return rows


def all_of(outcome: Claimed | RetaiaError) -> Claimed:
    """A claim that must have won."""
    assert isinstance(outcome, Claimed), outcome
    return outcome


async def port_batches(store: Store, count: int, *, subjects: int, callers: int) -> None:
    """Claim bundles of several assets in one commit, and submit them all in another."""
    now = datetime.now(UTC) + timedelta(days=1)
    left = count
    while left > 0:
        size = subjects * callers * BUNDLE
        query = ClaimableQuery(agent_id=AGENT, capabilities=CAPABILITIES, now=now, limit=size)
        page = await store.read(lambda tx, q=query: tx.claimable(q))
        found = list(dict.fromkeys(job.subject for job in page))

        async def work(mine: Sequence[Subject]) -> None:
            wishes = [wish(subject, now) for subject in mine]
            won = await store.transact(lambda tx: tx.claim_all(wishes), durable=False)
            held = [submission(job) for claimed in won for job in all_of(claimed).jobs]
            done = await store.transact(lambda tx: tx.complete_all(held, now=now), durable=False)
            assert not any(done)

        shares = [found[n::callers] for n in range(callers)]
        await asyncio.gather(*(work(share) for share in shares if share))
        left -= len(page)


async def bench_pgqueuer(server: postgres.Server, options: argparse.Namespace) -> list[Row]:
    """Pgqueuer's batched dequeue and batched log of finished jobs, beside bundles in groups."""
    import asyncpg
    from pgqueuer.db import AsyncpgDriver
    from pgqueuer.queries import EntrypointExecutionParameter, Queries

    batch = 100
    count = max(options.pairs, batch * 10)
    with ExitStack() as stack:
        url, our_url = (
            stack.enter_context(server.database()),
            stack.enter_context(server.database()),
        )
        store = await fresh_store(our_url, (options.rounds + 1) * count, BUNDLE)
        connection = await asyncpg.connect(url)
        queries = Queries(AsyncpgDriver(connection))
        await queries.install()
        total = (options.rounds + 1) * count
        await queries.enqueue(["e"] * total, [None] * total, [0] * total)
        analyse(url, our_url)
        manager = uuid.uuid4()
        points = {"e": EntrypointExecutionParameter(concurrency_limit=0)}

        async def theirs() -> None:
            done = 0
            while done < count:
                jobs = await queries.dequeue(
                    batch_size=batch,
                    entrypoints=points,
                    queue_manager_id=manager,
                    global_concurrency_limit=None,
                    heartbeat_timeout=timedelta(seconds=30),
                )
                await queries.log_jobs([(job, "successful", None) for job in jobs])
                done += len(jobs)

        pairs = []
        for _ in range(options.rounds):
            await connection.execute("SET synchronous_commit = off")
            other = await timed(theirs())
            mine = await timed(port_batches(store, count, subjects=batch // BUNDLE, callers=1))
            pairs.append((count / mine, count / other))
        await store.close()
        await connection.close()
        row = compared("PostgreSQL, batches of 100: jobs/s beside pgqueuer's", pairs, 1)
        print_row(row)
        return [row]


def compared(what: str, pairs: Sequence[tuple[float, float]], least: float = 0) -> Row:
    """The row of rates of ours and theirs, which must be at least so many times as high."""
    ratio = statistics.median(mine / other for mine, other in pairs)
    return Row(
        what=what,
        rate=statistics.median(mine for mine, _ in pairs),
        other=statistics.median(other for _, other in pairs),
        ratio=ratio,
        limit=f">= {least}" if least else "",
        kept=ratio >= least,
    )


# Lists of assets


def make_assets(count: int) -> Iterator[Asset]:
    """Assets as a library has them: most are settled, a few tags, some facts."""
    now = datetime.now(UTC)
    states = (State.ARCHIVED, State.DECISION_PENDING, State.REJECTED, State.DECIDED_KEEP)
    for n in range(count):
        at = now - timedelta(seconds=count - n)
        yield Asset(
            uuid=AssetId(ordered_uuid(n)),
            storage_id=StorageId("nas"),
            path=RelPath(f"INBOX/day {n // 1000}/A{n % 1000:04d}.mov"),
            media_type=MediaType.VIDEO if n % 3 else MediaType.PHOTO,
            size=1_000_000 + n,
            mtime_ns=1_700_000_000_000_000_000 + n * 10**9,
            profile=ProfileName("video_standard"),
            created_at=at,
            updated_at=at,
            state=states[n % 4],
            facts={"duration_ms": n % 60_000, "captured_at": f"2026-01-{n % 28 + 1:02d}T10:00:00Z"},
            tags=("day",) if n % 10 == 0 else (),
        )


LISTS = {
    "first page": AssetQuery(),
    "newest first": AssetQuery(sort=Sort(key=SortKey.CREATED_AT, descending=True)),
    "by state": AssetQuery(states=(State.DECISION_PENDING,)),
    "by state and tag, by name": AssetQuery(
        states=(State.ARCHIVED,), tags=("day",), sort=Sort(key=SortKey.NAME)
    ),
    "captured within a month": AssetQuery(
        captured_from=datetime(2026, 1, 5, tzinfo=UTC),
        captured_to=datetime(2026, 1, 20, tzinfo=UTC),
        sort=Sort(key=SortKey.CAPTURED_AT),
    ),
    "text": AssetQuery(text="a0042"),
}


class Spy:
    """Notes the statements that a page runs, to run them bare."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.ran: list[tuple[str, tuple[object, ...]]] = []

    def rows(self, statement: Any, values: Any) -> Any:
        self.ran.append((statement.text, statement.bind(values)))
        return self._session.rows(statement, values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


async def bench_lists(name: str, url: str, options: argparse.Namespace) -> list[Row]:
    """p95 of a page at the port, beside the same SQL on a bare connection."""
    store = open_store(url)
    await store.prepare()
    await in_chunks(store, make_assets(options.assets), "add_assets")
    if name == "SQLite":
        bare: Any = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        bare.execute("PRAGMA mmap_size=268435456")
        bare.execute("ANALYZE")
    else:
        bare = psycopg.connect(
            url, autocommit=True, prepare_threshold=0, cursor_factory=psycopg.RawCursor
        )
        bare.execute("ANALYZE")
    rows = []
    for what, query in LISTS.items():

        def page(tx: Any, query: AssetQuery = query) -> list[tuple[str, tuple[object, ...]]]:
            spy = Spy(tx._session)
            tx._listing.page(spy, query)
            return spy.ran

        statements = await store.read(page)
        mine, other = [], []
        for _ in range(options.pages):
            start = time.perf_counter()
            for text, values in statements:
                bare.execute(text, values).fetchall()
            other.append(time.perf_counter() - start)
            mine.append(await timed(store.read(lambda tx, q=query: tx.find_assets(q))))
        ours, theirs = (statistics.quantiles(times, n=20)[-1] for times in (mine, other))
        rows.append(
            Row(
                what=f"{name}, {options.assets:,} assets, {what}: p95 ms beside the bare query",
                rate=ours * 1000,
                other=theirs * 1000,
                ratio=ours / theirs,
                limit="<= 3",
                kept=ours <= 3 * theirs,
            )
        )
        print_row(rows[-1])
    bare.close()
    await store.close()
    return rows


async def bench_inserts(name: str, url: str, options: argparse.Namespace) -> list[Row]:
    """What a first scan pays per asset that it adds, in microseconds."""
    store = open_store(url)
    await store.prepare()
    found = [
        evolve(a, facts={}, tags=(), state=State.DISCOVERED) for a in make_assets(options.inserts)
    ]
    taken = await timed(in_chunks(store, iter(found), "add_assets", 2000))
    await store.close()
    each = taken / options.inserts * 1e6
    row = Row(what=f"{name}: µs per asset of a first scan", rate=each, other=0, ratio=0)
    print_row(row)
    return [row]


def print_row(row: Row) -> None:
    """One line of the table, as soon as it is known."""
    verdict = "" if not row.limit else f"{row.limit}  {'ok' if row.kept else 'MISSED'}"
    print(f"{row.what:<95} {row.rate:>10,.1f} {row.other:>10,.1f} {row.ratio:>7.2f}  {verdict}")
    sys.stdout.flush()


@contextmanager
def chosen_server(url: str) -> Iterator[postgres.Server | None]:
    """The PostgreSQL server of this run."""
    if url == "none":
        yield None
    elif url:
        yield postgres.Server(url=url)
    else:
        programs = postgres.binaries()
        if programs is None:
            print("no PostgreSQL server is installed here; its rows are left out")
            yield None
            return
        server = postgres.start(programs, options=postgres.DURABLE)
        try:
            yield server
        finally:
            postgres.stop(server)


def run(options: argparse.Namespace, server: postgres.Server | None) -> Iterator[Row]:
    """Run what was asked for."""
    with tempfile.TemporaryDirectory(prefix="retaia-bench-") as folder:

        def sqlite_url(name: str) -> str:
            return f"sqlite:///{folder}/{name}.db"

        if "pairs" in options.only:
            yield from asyncio.run(bench_pairs("SQLite", sqlite_url("a"), bare_sqlite, options))
        if "inserts" in options.only:
            yield from asyncio.run(bench_inserts("SQLite", sqlite_url("b"), options))
        if "lists" in options.only:
            yield from asyncio.run(bench_lists("SQLite", sqlite_url("c"), options))
    if server is None:
        return
    if "pairs" in options.only:
        with server.database() as url:
            yield from asyncio.run(bench_pairs("PostgreSQL", url, bare_postgres, options))
    if "inserts" in options.only:
        with server.database() as url:
            yield from asyncio.run(bench_inserts("PostgreSQL", url, options))
    if "lists" in options.only:
        with server.database() as url:
            yield from asyncio.run(bench_lists("PostgreSQL", url, options))
    for name, bench in (("procrastinate", bench_procrastinate), ("pgqueuer", bench_pgqueuer)):
        if name in options.only and importlib.util.find_spec(name):
            yield from asyncio.run(bench(server, options))
        elif name in options.only:
            print(f"{name} is not installed; its row is left out")


EVERYTHING = ("pairs", "inserts", "lists", "procrastinate", "pgqueuer")


def main() -> int:
    """Run, print, and say by the exit status whether every limit was kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    numbers = lambda raw: tuple(map(int, raw.split(",")))  # noqa: E731 - argparse names its type
    parser.add_argument("--queued", type=numbers, default=(1_000, 20_000))
    parser.add_argument("--pairs", type=int, default=400, help="claims per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--assets", type=int, default=20_000)
    parser.add_argument("--pages", type=int, default=40)
    parser.add_argument("--inserts", type=int, default=50_000)
    parser.add_argument("--postgres", default="", metavar="URL")
    parser.add_argument("--only", type=lambda raw: tuple(raw.split(",")), default=EVERYTHING)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(f"{'':<95} {'here':>10} {'beside':>10} {'ratio':>7}")
    with chosen_server(options.postgres) as server:
        rows = list(run(options, server))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2))
    return 0 if all(row.kept for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
