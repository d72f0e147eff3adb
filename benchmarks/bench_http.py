"""`GET /assets` over a socket, beside the bare SQL query: 95th percentiles, measured in one run.

    python benchmarks/bench_http.py --assets 1000000 --json http.json

The server runs in a process of its own over a SQLite store; the client is one kept connection. The bare
query is the SQL that the page itself runs, on a bare connection of the same file. The third figure is a
bare endpoint of the same framework in the same server process that runs the one query and answers the
rows as they are: what it costs to be asked over HTTP at all.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn import Config, Server

sys.path.insert(0, str(Path(__file__).parent))

from bench_store import Spy, in_chunks, make_assets

from retaia_adapters.http.server import HttpServer
from retaia_adapters.sql.store import open_store
from retaia_core.domain.accounts import AccountId, local_account
from retaia_core.domain.clients import ClientKind
from retaia_core.domain.lifecycle import State
from retaia_core.domain.query import AssetQuery
from retaia_core.ports.store import Transaction
from retaia_core.settings import load_settings
from retaia_core.shell.server import ServerOptions
from retaia_core.shell.services import Services
from retaia_core.shell.wiring import open_services
from retaia_core.usecases.sessions import Minted

LIMIT = 3.0
PAGES = {
    "first page": ("/api/v1/assets", AssetQuery()),
    "a page of one state": (
        "/api/v1/assets?state=DECISION_PENDING",
        AssetQuery(states=(State.DECISION_PENDING,)),
    ),
}


async def fill(path: Path, count: int) -> dict[str, list[tuple[str, tuple[object, ...]]]]:
    """Make the database; returns the statements that each page runs."""
    store = open_store(f"sqlite:///{path}")
    await store.prepare()
    await in_chunks(store, make_assets(count), "add_assets")
    found = {}
    for name, (_, query) in PAGES.items():

        def page(tx: Any, query: AssetQuery = query) -> list[tuple[str, tuple[object, ...]]]:
            spy = Spy(tx._session)
            tx._listing.page(spy, query)
            return spy.ran

        found[name] = await store.read(page)
    await store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("ANALYZE")
    connection.close()
    return found


def bare_app(path: str, statements: dict[str, Any]) -> Starlette:
    """One endpoint that runs a page's query and answers its rows."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    async def rows(request: Request) -> Response:
        found = []
        for text, values in statements[request.query_params["page"]]:
            found += connection.execute(text, values).fetchall()
        return Response(msgspec.json.encode(found), media_type="application/json")

    return Starlette(routes=[Route("/rows", rows)])


async def sign_in(services: Services) -> str:
    """Make a person known; their bearer token, which every request of ours is checked by."""
    account = local_account(AccountId(services.ids.uuid()), "bench", services.clock.now())

    def work(tx: Transaction) -> Minted:
        tx.save_account(account)
        return services.sessions.open_for_person(
            tx, account, client_id="bench", kind=ClientKind.UI_WEB
        )

    return (await services.store.transact(work)).access_token


async def serve(folder: Path) -> None:
    """The server's process: ours and the bare one, until it is killed."""
    settings = load_settings(data_dir=folder, environ={})
    statements = json.loads((folder / "statements.json").read_text())
    options = ServerOptions(host="127.0.0.1", port=0)
    bare = Server(
        Config(
            bare_app(str(folder / "retaia.db"), statements),
            port=0,
            log_level="error",
            lifespan="off",
        )
    )

    async with open_services(settings) as services, anyio.create_task_group() as tasks:
        await services.sessions.prepare()
        token = await sign_in(services)

        def ready(url: str) -> None:
            port = bare.servers[0].sockets[0].getsockname()[1]
            said = {"ours": url, "bare": f"http://127.0.0.1:{port}", "token": token}
            print(json.dumps(said), flush=True)

        tasks.start_soon(bare.serve)
        while not bare.started:  # noqa: ASYNC110 - uvicorn tells by a flag
            await asyncio.sleep(0.01)
        await HttpServer().serve(services, options, ready)


def times(count: int, ask: Callable[[], None]) -> list[float]:
    """How long each of so many calls took, after some that warm up."""
    for _ in range(5):
        ask()
    found = []
    for _ in range(count):
        start = time.perf_counter()
        ask()
        found.append(time.perf_counter() - start)
    return found


def p95(found: list[float]) -> float:
    return statistics.quantiles(found, n=20)[-1]


def asking(connection: http.client.HTTPConnection, path: str, token: str) -> Callable[[], None]:
    def ask() -> None:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body

    return ask


def measure(folder: Path, count: int, urls: dict[str, str]) -> dict[str, dict[str, float]]:
    """Each page: ours, the bare endpoint, the bare query, one after the other."""
    statements = json.loads((folder / "statements.json").read_text())
    database = sqlite3.connect(folder / "retaia.db", isolation_level=None)
    ours, bare = (http.client.HTTPConnection(urlsplit(urls[k]).netloc) for k in ("ours", "bare"))
    rows: dict[str, dict[str, float]] = {}
    for name, (path, _) in PAGES.items():

        def query(name: str = name) -> None:
            for text, values in statements[name]:
                database.execute(text, values).fetchall()

        quoted = name.replace(" ", "%20")
        over_http = p95(times(count, asking(ours, path, urls["token"])))
        framework = p95(times(count, asking(bare, f"/rows?page={quoted}", urls["token"])))
        alone = p95(times(count, query))
        shown = {"ms": over_http * 1000, "bare_query_ms": alone * 1000}
        shown["bare_endpoint_ms"] = framework * 1000
        rows[f"GET /assets, {name}, beside the bare query"] = {
            "ratio": over_http / alone,
            "limit": LIMIT,
            **shown,
        }
        rows[f"GET /assets, {name}, beside a bare endpoint"] = {"ratio": over_http / framework}
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--assets", type=int, default=100_000)
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", type=Path, help="internal")
    options = parser.parse_args()
    if options.serve:
        anyio.run(serve, options.serve)
        return 0
    with tempfile.TemporaryDirectory(prefix="retaia-bench-") as name:
        folder = Path(name)
        statements = asyncio.run(fill(folder / "retaia.db", options.assets))
        (folder / "statements.json").write_text(json.dumps(statements))
        command = [sys.executable, __file__, "--serve", str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                rows = measure(folder, options.pages, json.loads(server.stdout.readline()))
            finally:
                server.kill()
    print(f"{options.assets} assets, p95 of {options.pages} pages")
    for what, row in rows.items():
        print(f"{what:60} {row['ratio']:8.2f}  {row.get('limit', '')}", row)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
