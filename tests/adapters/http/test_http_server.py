"""A real socket: uvicorn in the program's own loop, started, asked and stopped."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import httpx
import pytest
from attrs import define, evolve
from retaia_tests.house import House
from retaia_tests.http_house import (
    AGENT_TOKEN,
    OPTIONS,
    PERSON_TOKEN,
    CheckedTransport,
    Conformance,
    client,
    let_in,
    services_of,
)

from retaia_adapters.http import protocol
from retaia_adapters.http.document import load_document
from retaia_adapters.http.plugin import retaia_providers
from retaia_adapters.http.server import HttpServer
from retaia_core.errors import SettingsError
from retaia_core.hooks import Role
from retaia_core.shell.server import ServerOptions


@define
class Running:
    """A server that runs, and how to stop it."""

    url: str
    scope: anyio.CancelScope
    stopped: anyio.Event

    def person(self) -> httpx.AsyncClient:
        """A client with a socket; answers are checked."""
        inner = httpx.AsyncHTTPTransport()
        one = client(CheckedTransport(inner, Conformance(load_document())), PERSON_TOKEN)
        one.base_url = httpx.URL(self.url + "/api/v1")
        return one


async def start(tasks: anyio.abc.TaskGroup, house: House, options: ServerOptions) -> Running:
    """Serve until the scope is cancelled."""
    await let_in(house)
    urls: list[str] = []
    ready, stopped, scope = anyio.Event(), anyio.Event(), anyio.CancelScope()

    def said(url: str) -> None:
        urls.append(url)
        ready.set()

    async def serve() -> None:
        with scope:
            await HttpServer().serve(services_of(house), options, said)
        stopped.set()

    tasks.start_soon(serve)
    with anyio.fail_after(10):
        await ready.wait()
    return Running(urls[0], scope, stopped)


@pytest.fixture
async def running(house: House) -> AsyncIterator[Running]:
    async with anyio.create_task_group() as tasks:
        running = await start(tasks, house, OPTIONS)
        yield running
        running.scope.cancel()


class TestServing:
    """From the first connection to the last."""

    async def test_a_free_port_is_told(self, running: Running) -> None:
        """Port 0 takes a free one, and the base URL that is told answers."""
        assert running.url.startswith("http://127.0.0.1:")
        async with running.person() as person:
            assert (await person.get("/ops/readiness")).json()["ready"] is True

    async def test_answers_come_at_once(self, running: Running) -> None:
        """No answer waits for a delayed acknowledgement (40 ms each)."""
        async with running.person() as person:
            await person.get("/ops/readiness")
            started = anyio.current_time()
            for _ in range(50):
                await person.get("/ops/readiness")
            assert anyio.current_time() - started < 50 * 0.03

    async def test_it_stops_when_cancelled(self, running: Running) -> None:
        """Cancelled, it stops accepting and ends; the port is free again."""
        async with running.person() as person:
            await person.get("/ops/readiness")
        running.scope.cancel()
        with anyio.fail_after(5):
            await running.stopped.wait()
        port = int(running.url.rpartition(":")[2])
        with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
            probe.connect(("127.0.0.1", port))

    async def test_running_requests_may_end(
        self, running: Running, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A request that runs when the server is told to stop gets its answer."""
        entered, go_on, kind = anyio.Event(), anyio.Event(), type(house.store)
        plain = kind.read

        async def slow(self: object, work: object) -> object:
            entered.set()
            await go_on.wait()
            return await plain(self, work)  # type: ignore[arg-type]

        monkeypatch.setattr(kind, "read", slow)
        answers: list[int] = []
        async with running.person() as person, anyio.create_task_group() as tasks:

            async def ask() -> None:
                answers.append((await person.get("/ops/readiness")).status_code)

            tasks.start_soon(ask)
            await entered.wait()
            running.scope.cancel()
            await anyio.sleep(0.3)
            go_on.set()
        assert answers == [200]

    async def test_garbage_on_the_wire(self, running: Running) -> None:
        """Bytes that are no HTTP are refused, and the server lives on."""
        port = int(running.url.rpartition(":")[2])
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(b"\0\xff garbage\r\n\r\n")
            assert (await stream.receive()).startswith(b"HTTP/1.1 400")
        async with running.person() as person:
            assert (await person.get("/ops/readiness")).status_code == 200

    async def test_a_client_that_goes_away(
        self, running: Running, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A client that leaves in the middle of its body is no error of the server's."""
        caplog.set_level(logging.DEBUG, "retaia.http")
        port = int(running.url.rpartition(":")[2])
        head = (
            "POST /api/v1/agents/register HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {AGENT_TOKEN}\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(head.encode())
            await anyio.sleep(0.1)
        with anyio.fail_after(5):
            while "status=499" not in caplog.text:  # noqa: ASYNC110 - a log line is no event
                await anyio.sleep(0.02)
        assert "ERROR" not in caplog.text


class TestSettings:
    """Where it listens."""

    @pytest.mark.parametrize("host", ["nas.local", "", "127.0.0.1:80", "192.0.2.1"])
    async def test_an_address_of_this_machine(self, house: House, host: str) -> None:
        """A name, or an address of another machine, is a settings error."""
        with anyio.fail_after(10), pytest.raises(SettingsError, match="cannot listen on"):
            await HttpServer().serve(services_of(house), evolve(OPTIONS, host=host), print)

    async def test_every_address(self, house: House) -> None:
        """A server that listens on all of them is reached on this machine's own."""
        async with anyio.create_task_group() as tasks:
            running = await start(tasks, house, evolve(OPTIONS, host="0.0.0.0"))
            assert running.url.startswith("http://127.0.0.1:")
            async with running.person() as person:
                assert (await person.get("/ops/readiness")).status_code == 200
            running.scope.cancel()

    async def test_a_taken_port(self, house: House, running: Running) -> None:
        """A port in use is a settings error."""
        port = int(running.url.rpartition(":")[2])
        with pytest.raises(SettingsError, match="cannot listen"):
            await HttpServer().serve(services_of(house), evolve(OPTIONS, port=port), print)

    async def test_signals_are_left_alone(self, house: House) -> None:
        """Serving does not touch the program's signal handlers."""
        import signal

        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        assert threading.current_thread() is threading.main_thread()
        async with anyio.create_task_group() as tasks:
            running = await start(tasks, house, OPTIONS)
            assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
            running.scope.cancel()


def test_it_is_registered() -> None:
    """The plugin offers the server transport ``http``."""
    (provider,) = retaia_providers()
    assert (provider.role, provider.name) == (Role.SERVER, "http")
    assert isinstance(provider.factory(), HttpServer)


class TestProxies:
    """Where a request came from is the socket's word, or that of a proxy which the settings trust."""

    @pytest.mark.parametrize(
        ("trusted", "address"),
        [((), "127.0.0.1"), (("127.0.0.1",), "203.0.113.9"), (("10.0.0.0/8",), "127.0.0.1")],
    )
    async def test_forwarded_for(
        self, house: House, trusted: tuple[str, ...], address: str
    ) -> None:
        """Only a trusted proxy's header counts; anybody else's is ignored."""
        async with anyio.create_task_group() as tasks:
            running = await start(tasks, house, evolve(OPTIONS, trusted_proxies=trusted))
            async with running.person() as person:
                started = await person.post(
                    "/auth/clients/device/start",
                    json={"client_kind": "AGENT"},
                    headers={"X-Forwarded-For": "203.0.113.9"},
                )
                asked = {"user_code": started.json()["user_code"]}
                found = await person.post("/auth/device/lookup", json=asked)
            running.scope.cancel()
        assert found.json()["address"] == address


class TestBelowTheApplication:
    """What is no request at all gets the one error shape too, and its connection is closed."""

    async def test_no_http(self, running: Running) -> None:
        """Bytes that are no HTTP are refused with 400."""
        answer = await raw(running.url, [b"hello there\r\n\r\n"])
        assert (answer.status_code, answer.json()["details"]["reason"]) == (
            400,
            "MALFORMED_REQUEST",
        )
        assert answer.json()["correlation_id"] == answer.headers["X-Correlation-Id"]

    async def test_endless_headers(self, running: Running) -> None:
        """Headers beyond 64 KiB end the connection, whether in one header or in many."""
        many = [b"x-a: %s\r\n" % (b"y" * 1000)] * 66
        for lines in (many, [b"x-a: ", *[b"y" * 1000] * 66]):
            answer = await raw(running.url, [b"GET /api/v1/assets HTTP/1.1\r\n", *lines])
            assert answer.status_code == 431
            assert answer.json()["details"]["reason"] == "HEADERS_TOO_LARGE"

    async def test_slow_headers(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        """A request whose headers do not arrive in time is not waited for."""
        monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 0.2)
        answer = await raw(running.url, [b"GET /api/v1/assets HT"])
        assert (answer.status_code, answer.json()["details"]["reason"]) == (408, "HEADERS_STALLED")


async def raw(url: str, parts: list[bytes]) -> httpx.Response:
    """Send bytes, and read what comes until the server closes."""
    host, _, port = url.removeprefix("http://").partition(":")
    got = b""
    async with await anyio.connect_tcp(host, int(port)) as stream:
        with anyio.fail_after(5), contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            for part in parts:
                await stream.send(part)
                await anyio.lowlevel.checkpoint()
            while True:
                got += await stream.receive()
    head, _, body = got.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return httpx.Response(int(status.split()[1]), headers=headers, content=body)
