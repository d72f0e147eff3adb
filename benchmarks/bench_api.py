"""Requests over a socket, each beside a bare endpoint of the same framework: medians of ratios of times.

    python benchmarks/bench_api.py --assets 100000 --json api.json

One process serves both: ours as `retaia server` does, its log a file of JSON lines and its numbers kept,
and a Starlette application on the same event loop by the same uvicorn. Ours checks a token each time and
records what was done; the bare one asks nobody who they are, and does the one necessary thing:

- it lists jobs and assets by the SQL that the store runs for them, on a connection with the settings of
  ours, and answers the rows as they are;
- it claims and submits a job by one UPDATE each, with the same durability, and reads the same body;
- it reads the range of a file in one turn of a worker thread, as no endpoint may read a disk in its loop.

A third contender, without a goal, tells what of that are duties that no implementation can leave out: the
bare endpoint again, which looks up the token's session, writes a line of log and counts the request;
claims and submits there write the lease, the asset, an event and the record of the key as well, by one
statement each.

The client is one thread that looks at no more of an answer than its status and length, over one kept
connection or eight. Contenders take turns within a round; a ratio is that of their times for the same
number of requests (of pairs, for claim + submit).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import itertools
import json
import logging
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import msgspec
from attrs import asdict, define, evolve, field, frozen
from prometheus_client import CollectorRegistry, Histogram
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from uvicorn import Config, Server

sys.path.insert(0, str(Path(__file__).parent))

from bench_http import sign_in
from bench_store import Spy, make_assets
from raw_client import Client, Operation, request
from retaia_tests.house import MP4

from retaia_adapters.http.document import AGENT_HEADER
from retaia_adapters.http.server import HttpServer
from retaia_adapters.observe.logs import set_up
from retaia_adapters.observe.observer import MeasuringObserver
from retaia_adapters.sql.sqlite_session import connect
from retaia_core.domain.assets import Asset
from retaia_core.domain.clients import ClientKind
from retaia_core.domain.identifiers import AgentId, Capability, RelPath
from retaia_core.domain.job_types import JOB_TYPES
from retaia_core.domain.lifecycle import State
from retaia_core.domain.media import MediaType
from retaia_core.domain.query import AssetQuery
from retaia_core.domain.storage import Layout
from retaia_core.ports.observer import LogStyle
from retaia_core.ports.store import ClaimableQuery, Transaction
from retaia_core.settings import load_settings
from retaia_core.shell.credentials import local_person
from retaia_core.shell.server import ServerOptions
from retaia_core.shell.services import Services
from retaia_core.shell.wiring import open_services
from retaia_core.usecases.scheduling import open_review

LIMIT = "<= 2"
CONNECTIONS = (1, 8)
WARM_UP = 20
PROXY_BYTES = 32 * 1024 * 1024
RANGE_BYTES = 64 * 1024
API = "/api/v1"
SECRET = "a secret of the benchmark's agent"
CAPABILITIES = frozenset[Capability]().union(*(t.capabilities.values() for t in JOB_TYPES))
FACTS = {
    "duration_ms": 1000,
    "media_format": "mov",
    "video_codec": "h264",
    "width": 1920,
    "height": 1080,
    "fps": 25.0,
}

DUTIES = {
    "claim": (
        """INSERT INTO locks VALUES ('asset', :asset, 'job_lease', 'bench', :token, 1, :now)
        ON CONFLICT DO UPDATE SET holder = 'bench', token = :token, fencing = fencing + 1,
        expires_at = :now""",
        """UPDATE assets SET state = 'PROCESSING_REVIEW', state_since = :now, updated_at = :now,
        revision = revision + 1 WHERE uuid = :asset""",
    ),
    "submit": (
        """UPDATE locks SET holder = '', token = '', expires_at = :now
        WHERE subject_kind = 'asset' AND subject_id = :asset AND token = :token""",
        """UPDATE assets SET document = :body, updated_at = :now, revision = revision + 1
        WHERE uuid = :asset""",
        "INSERT INTO replays VALUES (:key, :digest, 200, :body, :now)",
    ),
}
"""What a claim and a submit have to write besides the job, and the event of each."""

EVENT = """INSERT INTO events (subject_kind, subject_id, name, actor, at, data)
    VALUES ('asset', :asset, :name, 'agent:bench', :now, '{}')"""
ASSET = "SELECT subject_id FROM jobs WHERE job_id = ?"
SESSION = "SELECT document FROM sessions WHERE principal_id = ? AND client_id = ?"

JOBS = """SELECT subject_id, job_id FROM jobs
    WHERE job_type = 'extract_facts' AND status = 'pending' ORDER BY job_id"""
CLAIM = """UPDATE jobs SET status = 'claimed', offered_as = NULL, claimed_by = ?, lock_token = ?,
    locked_until = ?, attempts = attempts + 1, updated_at = ?
    WHERE job_id = ? AND status = 'pending' RETURNING *"""
SUBMIT = """UPDATE jobs SET status = 'completed', claimed_by = NULL, lock_token = NULL,
    locked_until = NULL, updated_at = ? WHERE job_id = ? AND lock_token = ? RETURNING *"""

Statements = list[tuple[str, tuple[object, ...]]]
Endpoint = Callable[[Request], Awaitable[Response]]


# What there is


async def fill(folder: Path, *, assets: int, ready: int) -> None:
    """Make the library: many assets, and some with the jobs of a review; write what a bare list runs."""
    (folder / "storage" / "INBOX").mkdir(parents=True)
    async with open_services(load_settings(data_dir=folder, environ={})) as services:
        root = str(folder / "storage")
        storage = await services.storages.adopt(local_person(), root, Layout())
        for count, changes in (
            (assets, {}),
            (ready, {"state": State.READY, "media_type": MediaType.VIDEO, "facts": {}}),
        ):
            made = (evolve(a, storage_id=storage.storage_id, **changes) for a in make_assets(count))
            named = (evolve(a, path=RelPath(f"INBOX/{count}/{n}.mov")) for n, a in enumerate(made))
            while some := list(itertools.islice(named, 2000)):
                await services.store.transact(partial(add, services, some), durable=False)
        ran = await services.store.read(lists)
    (folder / "statements.json").write_text(json.dumps(ran))
    with closing(sqlite3.connect(folder / "retaia.db")) as connection:
        connection.execute("ANALYZE")
        connection.commit()


def add(services: Services, assets: Sequence[Asset], tx: Transaction) -> None:
    """Add assets, and to those that are ready their jobs."""
    tx.add_assets(assets)
    for asset in assets:
        if asset.state is State.READY:
            open_review(tx, asset, services.catalog, services.ids, services.clock.now())


def lists(tx: Any) -> dict[str, Statements]:
    """The statements of the two lists."""
    spy = Spy(tx._session)
    tx._listing.page(spy, AssetQuery())
    pages, spy.ran = spy.ran, []
    tx._session = spy
    tx.claimable(
        ClaimableQuery(
            agent_id=AgentId("bench"), capabilities=CAPABILITIES, now=datetime.now(UTC), limit=50
        )
    )
    tx._session = spy._session
    return {"assets": pages, "jobs": spy.ran}


# The server's process


def bare_app(folder: Path) -> Starlette:
    """The bare endpoints, each below ``/dutiful`` once more with its duties."""
    path = str(folder / "retaia.db")
    reading, writing = connect(path, writing=False), connect(path, writing=True)
    statements: dict[str, Statements] = json.loads((folder / "statements.json").read_text())

    def answer(rows: object) -> Response:
        return Response(msgspec.json.encode(rows), media_type="application/json")

    async def rows(request: Request) -> Response:
        found = []
        for text, values in statements[request.path_params["name"]]:
            found += reading.execute(text, values).fetchall()
        return answer(found)

    async def claim(request: Request) -> Response:
        token, now = os.urandom(16).hex(), time.time_ns() // 1000
        job_id = request.path_params["job_id"]
        row = writing.execute(CLAIM, ("bench", token, now, now, job_id)).fetchone()
        assert row is not None
        return answer({"lock_token": token, "row": row})

    async def submit(request: Request) -> Response:
        body = msgspec.json.decode(await request.body())
        values = (time.time_ns() // 1000, request.path_params["job_id"], body["lock_token"])
        row = writing.execute(SUBMIT, values).fetchone()
        assert row is not None
        return answer(row)

    def part(request: Request) -> Response:
        first, last = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
        with (folder / "proxy.mp4").open("rb") as file:
            file.seek(first)
            content = file.read(last - first + 1)
        said = {"Content-Range": f"bytes {first}-{last}/{PROXY_BYTES}"}
        return Response(content, 206, said, media_type="video/mp4")

    async def cpu(request: Request) -> Response:
        return answer(time.process_time())

    def written(name: str, endpoint: Endpoint) -> Endpoint:
        """A claim or a submit that writes the rest, too."""

        async def both(request: Request) -> Response:
            writing.execute("BEGIN IMMEDIATE")
            response = await endpoint(request)
            (asset,) = writing.execute(ASSET, (request.path_params["job_id"],)).fetchone()
            body = bytes(response.body)
            told = body if name == "claim" else await request.body()
            values = {
                "asset": asset,
                "token": msgspec.json.decode(told)["lock_token"],
                "now": time.time_ns() // 1000,
                "body": body,
                "key": request.headers.get("idempotency-key"),
                "digest": hashlib.sha256(body).hexdigest(),
                "name": name,
            }
            for statement in (*DUTIES[name], EVENT):
                writing.execute(statement, values)
            writing.execute("COMMIT")
            return response

        return both

    bare = [
        Route("/lists/{name}", rows),
        Route("/jobs/{job_id}/claim", claim, methods=["POST"]),
        Route("/jobs/{job_id}/submit", submit, methods=["POST"]),
        Route("/proxy", part),
    ]
    dutiful = [
        Route("/lists/{name}", watched(reading, rows)),
        Route("/jobs/{job_id}/claim", watched(reading, written("claim", claim)), methods=["POST"]),
        Route(
            "/jobs/{job_id}/submit", watched(reading, written("submit", submit)), methods=["POST"]
        ),
        Route("/proxy", watched(reading, partial(run_in_threadpool, part))),
    ]
    return Starlette(routes=[Route("/cpu", cpu), *bare, Mount("/dutiful", routes=dutiful)])


def watched(database: sqlite3.Connection, endpoint: Endpoint) -> Endpoint:
    """An endpoint that knows who asks, writes a line of log, and counts."""
    seconds = Histogram("seconds", "Of requests.", registry=CollectorRegistry())
    known: dict[str, dict[str, str]] = {}

    async def asked(request: Request) -> Response:
        began, token = time.perf_counter(), request.headers["authorization"]
        if token not in known:
            known[token] = msgspec.json.decode(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        who = known[token]
        (document,) = database.execute(SESSION, (who["sub"], who["client_id"])).fetchone()
        assert msgspec.json.decode(document)["jti"] == who["jti"]
        response = await endpoint(request)
        took = time.perf_counter() - began
        seconds.observe(took)
        said = {"actor": who["sub"], "path": request.url.path, "seconds": took}
        logging.getLogger("bench").info("%s", str(msgspec.json.encode(said), "utf-8"))
        return response

    return asked


async def serve(folder: Path) -> None:
    """Ours and the bare one, until the process is killed."""
    set_up(LogStyle(json=True, everything=True))
    settings = load_settings(data_dir=folder, environ={})
    config = Config(bare_app(folder), port=0, log_level="error", lifespan="off", http="httptools")
    bare = Server(config)
    async with (
        open_services(settings, server=True, observer=MeasuringObserver()) as services,
        anyio.create_task_group() as tasks,
    ):
        await services.sessions.prepare()
        await services.clients.provision(local_person(), "bench", SECRET, "bench")
        minted = await services.clients.mint("bench", ClientKind.AGENT, SECRET, address="")
        tokens = {"person": await sign_in(services), "agent": minted.access_token}

        def ready(url: str) -> None:
            port = bare.servers[0].sockets[0].getsockname()[1]
            print(
                json.dumps({"ours": url, "bare": f"http://127.0.0.1:{port}", **tokens}), flush=True
            )

        tasks.start_soon(bare.serve)
        while not bare.started:  # noqa: ASYNC110 - uvicorn tells by a flag
            await asyncio.sleep(0.01)
        await HttpServer().serve(services, ServerOptions(host="127.0.0.1", port=0), ready)


# The client


def once(method: str, path: str, *headers: str) -> Operation:
    """One request without a body."""
    yield request(method, path, *headers)


def pair(base: str, job_id: str, *headers: str) -> Operation:
    """Claim a job and submit its result."""
    claimed = yield request("POST", f"{base}/jobs/{job_id}/claim", *headers)
    body = {
        "lock_token": msgspec.json.decode(claimed)["lock_token"],
        "job_type": "extract_facts",
        "result": {"facts_patch": FACTS},
    }
    yield request(
        "POST",
        f"{base}/jobs/{job_id}/submit",
        f"Idempotency-Key: {job_id}",
        *headers,
        body=msgspec.json.encode(body),
    )


# What is compared


@frozen(kw_only=True)
class Case:
    """What the servers are asked, one operation at a time."""

    what: str
    ours: Callable[[], Operation]
    bare: Callable[[], Operation]
    dutiful: Callable[[], Operation]


@frozen(kw_only=True)
class Row:
    """One line of the table: ratios of time and of the server's processor time, and each one's figures."""

    what: str
    ratio: float
    limit: str
    cpu_ratio: float
    per_second: float
    p50_ms: float
    p99_ms: float
    bare_per_second: float
    bare_p50_ms: float
    bare_p99_ms: float


@define
class Contender:
    """One of the servers, and how long it took: all in all, of its processor, and for each operation."""

    client: Client
    make: Callable[[], Operation]
    wall: list[float] = field(factory=list)
    cpu: list[float] = field(factory=list)
    each: list[float] = field(factory=list)

    def take_turn(self, count: int, cpu_now: Callable[[], float]) -> None:
        """Do so many operations."""
        before = cpu_now()
        wall, each = self.client.run(self.make() for _ in range(count))
        self.cpu.append(cpu_now() - before)
        self.wall.append(wall)
        self.each += each

    def percentile(self, which: int) -> float:
        """In milliseconds."""
        return statistics.quantiles(self.each, n=100)[which - 1] * 1000


def publish(api: httpx.Client, folder: Path, uuid: str) -> str:
    """Send a proxy as an agent does; the path that it is read at. A copy of it is for the bare server."""
    content = MP4 + os.urandom(PROXY_BYTES - len(MP4))
    (folder / "proxy.mp4").write_bytes(content)
    bundle = said(api.post(f"/assets/{uuid}/claim-bundle"))
    derived = f"/assets/{uuid}/derived"
    announced = {
        "kind": "proxy_video",
        "content_type": "video/mp4",
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    ticket = said(api.post(f"{derived}/upload/init", json=announced, headers=key()))
    size, upload = ticket["max_part_size_bytes"], {"upload_id": ticket["upload_id"]}
    for number in range(ticket["part_count"]):
        chunk = content[number * size : (number + 1) * size]
        part = upload | {"part_number": f"{number + 1}"}
        said(api.post(f"{derived}/upload/part", data=part, files={"chunk": chunk}))
    done = said(api.post(f"{derived}/upload/complete", json=upload, headers=key()))
    (job,) = (j for j in bundle["jobs"] if j["job_type"] == "generate_proxy")
    manifest = [{"kind": "proxy_video", "ref": done["ref"]}]
    body = {
        "lock_token": bundle["lock_token"],
        "job_type": "generate_proxy",
        "result": {"derived_patch": {"derived_manifest": manifest}},
    }
    said(api.post(f"/jobs/{job['job_id']}/submit", json=body, headers=key()))
    (item,) = said(api.get(derived))["items"]
    return str(item["url"])


def said(answer: httpx.Response) -> Any:
    """What an answer says, where it is no refusal."""
    assert answer.status_code == 200, answer.text
    return answer.json()


def key() -> dict[str, str]:
    """A fresh Idempotency-Key."""
    return {"Idempotency-Key": os.urandom(8).hex()}


def ranged(path: str, *headers: str) -> Operation:
    """Read a range somewhere in the proxy."""
    first = random.randrange(PROXY_BYTES - RANGE_BYTES)
    return once("GET", path, f"Range: bytes={first}-{first + RANGE_BYTES - 1}", *headers)


def cases(folder: Path, said_by_server: dict[str, str]) -> Iterator[Case]:
    """Register an agent, publish a proxy, and ask."""
    person = f"Authorization: Bearer {said_by_server['person']}"
    bearer = f"Bearer {said_by_server['agent']}"
    with closing(sqlite3.connect(folder / "retaia.db")) as database:
        found = database.execute(JOBS).fetchall()
    (proxied, _), *pending = found
    jobs = iter([job_id for _, job_id in pending])
    base = said_by_server["ours"] + API
    with httpx.Client(base_url=base, headers={"Authorization": bearer}, timeout=60) as api:
        told = {"agent_name": "bench", "agent_version": "1", "capabilities": [*CAPABILITIES]}
        agent_id = said(api.post("/agents/register", json=told))["agent_id"]
        api.headers[AGENT_HEADER] = agent_id
        proxy = publish(api, folder, proxied)
    agent = (f"Authorization: {bearer}", f"{AGENT_HEADER}: {agent_id}")
    yield Case(
        what="GET /jobs",
        ours=lambda: once("GET", f"{API}/jobs", *agent),
        bare=lambda: once("GET", "/lists/jobs"),
        dutiful=lambda: once("GET", "/dutiful/lists/jobs", *agent),
    )
    yield Case(
        what="GET /assets",
        ours=lambda: once("GET", f"{API}/assets", person),
        bare=lambda: once("GET", "/lists/assets"),
        dutiful=lambda: once("GET", "/dutiful/lists/assets", person),
    )
    yield Case(
        what=f"{RANGE_BYTES // 1024} KiB of a proxy",
        ours=lambda: ranged(proxy, person),
        bare=lambda: ranged("/proxy"),
        dutiful=lambda: ranged("/dutiful/proxy", person),
    )
    yield Case(
        what="claim + submit",
        ours=lambda: pair(API, next(jobs), *agent),
        bare=lambda: pair("", next(jobs)),
        dutiful=lambda: pair("/dutiful", next(jobs), *agent),
    )


def compare(case: Case, urls: dict[str, str], connections: int, options: Any) -> tuple[Row, Row]:
    """Let all take turns: ours beside the bare one, and its duties alone beside it."""
    bare = Contender(Client.to(urls["bare"], connections), case.bare)
    ours = Contender(Client.to(urls["ours"], connections), case.ours)
    dutiful = Contender(Client.to(urls["bare"], connections), case.dutiful)
    everyone, count = (bare, ours, dutiful), options.requests
    with httpx.Client(base_url=urls["bare"]) as asked:
        cpu_now = lambda: float(asked.get("/cpu").text)  # noqa: E731
        for one in everyone:
            one.client.run(one.make() for _ in range(WARM_UP))
        for _ in range(options.rounds):
            for one in everyone:
                one.take_turn(count, cpu_now)
    what = f"{case.what}, {connections} connection{'s' * (connections > 1)}"
    return (
        row_of(f"{what}, beside a bare endpoint", ours, bare, count, LIMIT),
        row_of(f"{what}: a bare endpoint with the duties, beside it", dutiful, bare, count),
    )


def row_of(what: str, one: Contender, bare: Contender, count: int, limit: str = "") -> Row:
    """A contender's figures beside those of the bare endpoint."""
    return Row(
        what=what,
        ratio=ratio_of(one.wall, bare.wall),
        limit=limit,
        cpu_ratio=ratio_of(one.cpu, bare.cpu),
        per_second=count / statistics.median(one.wall),
        p50_ms=one.percentile(50),
        p99_ms=one.percentile(99),
        bare_per_second=count / statistics.median(bare.wall),
        bare_p50_ms=bare.percentile(50),
        bare_p99_ms=bare.percentile(99),
    )


def ratio_of(ours: list[float], bare: list[float]) -> float:
    """The median of the ratios of the rounds."""
    return statistics.median(mine / other for mine, other in zip(ours, bare, strict=True))


def measure(folder: Path, options: Any, urls: dict[str, str]) -> Iterator[Row]:
    """Every case with every number of connections."""
    for case in cases(folder, urls):
        if options.only in case.what:
            for connections in CONNECTIONS:
                for row in compare(case, urls, connections, options):
                    print_row(row)
                    yield row


def print_row(row: Row) -> None:
    """One line of the table, as soon as it is known."""
    figures = (row.p50_ms, row.bare_p50_ms, row.p99_ms, row.bare_p99_ms, row.cpu_ratio, row.ratio)
    print(f"{row.what:<72}" + "".join(f"{figure:>9.2f}" for figure in figures), flush=True)


def main() -> int:
    """Run and print; whether a limit was kept does not show in the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--assets", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=200, help="of each contender in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="the cases whose names have this in them")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", type=Path, help="internal")
    options = parser.parse_args()
    if options.serve:
        anyio.run(serve, options.serve)
        return 0
    ready = 3 * len(CONNECTIONS) * (options.rounds * options.requests + WARM_UP) + 100
    with tempfile.TemporaryDirectory(prefix="retaia-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        anyio.run(partial(fill, folder, assets=options.assets, ready=ready))
        log = stack.enter_context((folder / "server.log").open("wb"))
        command = [sys.executable, __file__, "--serve", str(folder)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        stack.enter_context(server)
        stack.callback(server.kill)
        assert server.stdout is not None
        print(f"{'':<72}{'p50 ms':>9}{'bare':>9}{'p99 ms':>9}{'bare':>9}{'cpu':>9}{'ratio':>9}")
        rows = list(measure(folder, options, json.loads(server.stdout.readline())))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
