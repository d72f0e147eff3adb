"""The agent transport ``http``, as the plugin host sees it; importing this loads no library."""

from __future__ import annotations

from collections.abc import Iterable

from retaia_core.hooks import Provider, Role, hookimpl


def _http(url: str, token: str) -> object:
    from .transport import HttpTransport

    return HttpTransport(url, token)


def _device_login(url: str) -> object:
    from .device_login import HttpDeviceLogin

    return HttpDeviceLogin(url)


@hookimpl
def retaia_providers() -> Iterable[Provider]:
    return (
        Provider(role=Role.AGENT_TRANSPORT, name="http", factory=_http),
        Provider(role=Role.DEVICE_LOGIN, name="http", factory=_device_login),
    )
