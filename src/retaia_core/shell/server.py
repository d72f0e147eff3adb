"""The server transport: what carries the use cases to clients (HTTP, say)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import frozen

from .in_force import SettingInForce
from .services import Services


@frozen(kw_only=True)
class ServerOptions:
    """Where to listen (``port`` 0 takes a free one), and what to tell clients.

    ``public_url`` is where people reach the server; empty: where a request reached it. What
    ``trusted_proxies`` say of a request's origin is believed. ``metrics`` says who may read the
    server's numbers (`settings.ObserveSettings`). ``settings`` are shown to administrators.
    """

    host: str
    port: int
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    allowed_job_types: tuple[str, ...] = ()
    min_poll_interval_s: float = 5.0
    max_parallel_jobs: int = 4
    metrics: str = "local"
    settings: tuple[SettingInForce, ...] = ()


class ServerTransport(Protocol):
    """Serves until it is cancelled; ``ready`` is told the base URL once connections are accepted.

    On cancellation it stops accepting, lets running requests end (bounded), and returns.

    Raises:
        SettingsError: the address is in use, or is none of this machine.
    """

    async def serve(
        self, services: Services, options: ServerOptions, ready: Callable[[str], None]
    ) -> None: ...
