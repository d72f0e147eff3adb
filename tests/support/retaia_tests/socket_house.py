"""A house behind a real socket, for clients that are programs of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from retaia_adapters.http.server import HttpServer
from retaia_tests.house import House
from retaia_tests.http_house import OPTIONS, let_in, services_of


@asynccontextmanager
async def serve_on_a_socket(house: House) -> AsyncIterator[str]:
    """Serve until the end of the block; the base URL."""
    await let_in(house)
    urls: list[str] = []
    ready = anyio.Event()

    def said(url: str) -> None:
        urls.append(url)
        ready.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(HttpServer().serve, services_of(house), OPTIONS, said)
        with anyio.fail_after(20):
            await ready.wait()
        yield urls[0]
        tasks.cancel_scope.cancel()
