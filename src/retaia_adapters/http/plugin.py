"""The server transport ``http``, as the plugin host sees it; importing this loads no library."""

from __future__ import annotations

from collections.abc import Iterable

from retaia_core.hooks import Provider, Role, hookimpl


def _http() -> object:
    from .server import HttpServer

    return HttpServer()


@hookimpl
def retaia_providers() -> Iterable[Provider]:
    return (Provider(role=Role.SERVER, name="http", factory=_http),)
