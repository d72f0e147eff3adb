"""Server-sent events over a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import httpx
import pytest
from attrs import define, field, frozen
from retaia_tests.house import House
from retaia_tests.http_house import AGENT_TOKEN, OPTIONS, PERSON_TOKEN, let_in, services_of

from retaia_adapters.http.handlers import events
from retaia_adapters.http.identity import Gate
from retaia_adapters.http.server import HttpServer
from retaia_adapters.sql.store import open_store
from retaia_core.errors import Unauthorized
from retaia_core.ports.store import Store
from retaia_core.testing import samples
from retaia_core.usecases import listening


@frozen
class Message:
    """One message of the stream."""

    name: str
    data: Any
    id: str | None


@define
class Ear:
    """Reads a stream, message by message; ``comments`` counts the others."""

    response: httpx.Response
    comments: int = 0
    _lines: AsyncIterator[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._lines = self.response.aiter_lines()

    async def next(self) -> Message:
        """The next message.

        Raises:
            StopAsyncIteration: the stream ended.
        """
        found: dict[str, str] = {}
        with anyio.fail_after(10):
            while True:
                line = await anext(self._lines)
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    found[name] = value
                elif "event" in found:
                    return Message(found["event"], json.loads(found["data"]), found.get("id"))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the trail often."""
    monkeypatch.setattr(listening, "POLL_S", 0.02)


@define
class Served:
    """A server with a socket."""

    url: str
    scope: anyio.CancelScope

    @asynccontextmanager
    async def listen(self, token: str = PERSON_TOKEN, **headers: str) -> AsyncIterator[Ear]:
        """Listen, until the block ends."""
        headers["Authorization"] = f"Bearer {token}"
        async with (
            httpx.AsyncClient(base_url=self.url + "/api/v1", timeout=10) as client,
            client.stream("GET", "/events", headers=headers) as response,
        ):
            assert response.status_code == 200, await response.aread()
            assert response.headers["content-type"].startswith("text/event-stream")
            yield Ear(response)

    async def status(self, token: str | None = PERSON_TOKEN, **headers: str) -> int:
        """What asking to listen is answered with, where it is refused."""
        if token:
            headers["Authorization"] = f"Bearer {token}"
        async with httpx.AsyncClient(base_url=self.url + "/api/v1", timeout=10) as client:
            return (await client.get("/events", headers=headers)).status_code


@pytest.fixture
async def served(house: House) -> AsyncIterator[Served]:
    """The house behind a socket."""
    await let_in(house)
    urls: list[str] = []
    ready, scope = anyio.Event(), anyio.CancelScope()

    def said(url: str) -> None:
        urls.append(url)
        ready.set()

    async def serve() -> None:
        with scope:
            await HttpServer().serve(services_of(house), OPTIONS, said)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        await ready.wait()
        yield Served(urls[0], scope)
        scope.cancel()


async def note(store: Store, name: str = "asset.decided", of: int = 1) -> None:
    """Put an event into the trail."""
    await store.transact(lambda tx: tx.add_event(samples.event(name, of=of)))


class TestListening:
    """Told to look again."""

    async def test_what_happens_is_told(self, served: Served, house: House) -> None:
        """A change is told with its topic, its subject and a number that only grows."""
        async with served.listen() as ear:
            first = await ear.next()
            assert (first.name, first.data) == ("ready", {})
            await note(house.store, "asset.decided", 1)
            told = await ear.next()
            assert told.name == "asset"
            uuid = samples.asset_id(1)
            assert told.data == {"kind": "asset", "id": uuid, "change": "asset.decided"}
            await note(house.store, "jobs.claimed", 2)
            work = await ear.next()
            assert work.name == "job"
            assert int(work.id or 0) > int(told.id or 0) > int(first.id or 0)

    async def test_two_listen(self, served: Served, house: House) -> None:
        """Everybody is told, agents as well."""
        async with served.listen() as one, served.listen(AGENT_TOKEN) as other:
            assert [(await ear.next()).name for ear in (one, other)] == ["ready", "ready"]
            await note(house.store)
            assert [(await ear.next()).name for ear in (one, other)] == ["asset", "asset"]

    async def test_coming_back(self, served: Served, house: House) -> None:
        """What was missed is told to who names the last number it saw."""
        async with served.listen() as ear:
            last = (await ear.next()).id or ""
        for n in (1, 2):
            await note(house.store, of=n)
        async with served.listen(**{"Last-Event-ID": last}) as ear:
            assert (await ear.next()).name == "ready"
            ids = [(await ear.next()).data["id"] for _ in range(2)]
            assert ids == [samples.asset_id(1), samples.asset_id(2)]

    async def test_who_leaves_makes_room(
        self, served: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """There is room for so many, and a connection that ends is noticed at once."""
        monkeypatch.setattr(listening, "MOST_LISTENERS", 1)
        async with served.listen() as ear:
            await ear.next()
            assert await served.status() == 503
        with anyio.fail_after(5):
            while True:
                try:
                    async with served.listen() as ear:
                        assert (await ear.next()).name == "ready"
                    return
                except AssertionError:
                    await anyio.sleep(0.02)

    async def test_refusals(self, served: Served) -> None:
        """Without a token nobody listens; a number that is none is refused."""
        assert await served.status(None) == 401
        assert await served.status(**{"Last-Event-ID": "yesterday"}) == 400


class TestTheEnd:
    """A stream ends with its token and with the server."""

    async def test_comments_keep_it_alive(
        self, served: Served, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In silence a comment comes; the stream goes on."""
        monkeypatch.setattr(events, "KEEP_ALIVE_S", 0.05)
        async with served.listen() as ear:
            await ear.next()
            await anyio.sleep(0.3)
            await note(house.store)
            assert (await ear.next()).name == "asset"
            assert ear.comments >= 2

    async def test_the_token_ends(
        self, served: Served, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Once the token is nobody's any more, it is said and the stream ends."""
        monkeypatch.setattr(events, "KEEP_ALIVE_S", 0.05)
        async with served.listen() as ear:
            await ear.next()

            async def nobody(*given: object) -> None:
                raise Unauthorized("the token was revoked")

            monkeypatch.setattr(Gate, "caller", nobody)
            last = await ear.next()
            assert (last.name, last.data) == ("closed", {"code": "UNAUTHORIZED"})
            with pytest.raises(StopAsyncIteration):
                await ear.next()

    async def test_a_busy_stream_is_checked_too(
        self, served: Served, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A stream that is never silent does not outlive its token."""
        monkeypatch.setattr(events, "KEEP_ALIVE_S", 0.3)
        async with served.listen() as ear, anyio.create_task_group() as tasks:

            async def chatter() -> None:
                while True:
                    await note(house.store)
                    await anyio.sleep(0.01)

            tasks.start_soon(chatter)
            await ear.next()

            async def nobody(*given: object) -> None:
                raise Unauthorized("the token was revoked")

            monkeypatch.setattr(Gate, "caller", nobody)
            with anyio.fail_after(5):
                while (await ear.next()).name != "closed":
                    pass
            tasks.cancel_scope.cancel()

    async def test_the_server_stops(self, served: Served) -> None:
        """A server that stops ends every stream at once, and does not wait for it."""
        async with served.listen() as ear:
            await ear.next()
            started = anyio.current_time()
            served.scope.cancel()
            with pytest.raises(StopAsyncIteration):
                await ear.next()
            assert anyio.current_time() - started < 3


class TestOtherWriters:
    """What other programs change in the same database is told as well."""

    @pytest.fixture(params=["sqlite", "postgres"])
    def store_kind(self, request: pytest.FixtureRequest) -> str:
        """A database that several programs can open."""
        return str(request.param)

    async def test_they_are_heard(
        self,
        served: Served,
        store_kind: str,
        tmp_path: Path,
        request: pytest.FixtureRequest,
    ) -> None:
        """A command line, or a second server, writes; the listener of this server is told."""
        url = f"sqlite:///{tmp_path}/retaia.db"
        if store_kind == "postgres":
            url = request.getfixturevalue("postgres_url")
        other = open_store(url, server=False)
        await other.prepare()
        try:
            async with served.listen() as ear:
                await ear.next()
                await note(other)
                assert (await ear.next()).name == "asset"
        finally:
            await other.close()
