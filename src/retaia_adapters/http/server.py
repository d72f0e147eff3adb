"""The server transport: uvicorn, in the caller's event loop."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import anyio
import uvicorn

from retaia_core.errors import RetaiaError, SettingsError
from retaia_core.shell.server import ServerOptions
from retaia_core.shell.services import Services

from .app import Application, build_application
from .logs import tell
from .protocol import HttpProtocol

GRACE_S = 10
"""How long running requests may go on after the server was told to stop."""

KEEP_ALIVE_S = 65
_BACKLOG = 512


class _Uvicorn(uvicorn.Server):
    """Uvicorn as a guest: signals belong to the program, and someone waits for the first moment."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address to listen on.

    Raises:
        SettingsError: it is none.
    """
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError as error:
        raise SettingsError(
            f"the server cannot listen on {host!r}; set host to localhost or an IP address of this "
            "machine (0.0.0.0 is all of them)",
            key="server.host",
            value=host,
            allowed=["localhost", "an IP address"],
        ) from error


def _listen(options: ServerOptions) -> socket.socket:
    """Open the socket.

    Raises:
        SettingsError: the address is in use or cannot be had.
    """
    address = _address(options.host)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    # Named as TCP, so that asyncio sends answers at once (it sets TCP_NODELAY by the protocol).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(address), options.port))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise SettingsError(
            f"cannot listen on {options.host} port {options.port}: {error}; "
            "is another server running there?",
            key="server.port",
            value=options.port,
        ) from error
    return listener


def _url(listener: socket.socket) -> str:
    """How this machine reaches the server; where it listens on all addresses, on the machine's own."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _guarded(name: str, work: Callable[[], Awaitable[object]]) -> None:
    """Run work behind an answer; what it was about is recovered by the watchdog where it fails."""
    try:
        await work()
    except RetaiaError as error:
        tell(logging.WARNING, "http.background_failed", work=name, error_code=error.code)
    except Exception as error:  # noqa: BLE001 - logged whole; one batch must not end the server
        tell(logging.ERROR, "http.background_failed", error=error, work=name)


class HttpServer:
    """Serves the use cases over HTTP until it is cancelled."""

    async def serve(
        self, services: Services, options: ServerOptions, ready: Callable[[str], None]
    ) -> None:
        """Listen, tell the base URL, and answer; on cancellation let running requests end.

        Raises:
            SettingsError: the address is in use, or is none of this machine.
        """
        listener = _listen(options)
        url = _url(listener)
        try:
            async with anyio.create_task_group() as tasks:

                def spawn(name: str, work: Callable[[], Awaitable[object]]) -> None:
                    tasks.start_soon(_guarded, name, work)

                application = build_application(services, options, spawn)
                server = _Uvicorn(_config(application, options), lambda: ready(url))
                tasks.start_soon(_run, server, listener)
                try:
                    await anyio.sleep_forever()
                finally:
                    application.serving.hub.close()
                    server.should_exit = True
        finally:
            listener.close()


async def _run(server: _Uvicorn, listener: socket.socket) -> None:
    """Run uvicorn out of reach of a cancellation: it is told to stop, and stops in its own time."""
    with anyio.CancelScope(shield=True):
        await server.serve(sockets=[listener])


def _config(application: Application, options: ServerOptions) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        loop="none",
        http=HttpProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=bool(options.trusted_proxies),
        forwarded_allow_ips=list(options.trusted_proxies),
        server_header=False,
        date_header=True,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
