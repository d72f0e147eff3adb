"""The agent transport ``http``, as the plugin host sees it; importing this loads no library."""

from __future__ import annotations

from collections.abc import Iterable

from retaia_core.hooks import Provider, Role, hookimpl
from retaia_core.ports.device_login import ClientSecret


def _http(url: str, secret: ClientSecret) -> object:
    from .tokens import ClientCredentials
    from .transport import HttpTransport

    credentials = ClientCredentials(
        client_id=secret.client_id, client_kind="AGENT", secret_key=secret.secret_key
    )
    return HttpTransport(url, credentials)


def _device_login(url: str) -> object:
    from .device_login import HttpDeviceLogin

    return HttpDeviceLogin(url)


@hookimpl
def retaia_providers() -> Iterable[Provider]:
    return (
        Provider(role=Role.AGENT_TRANSPORT, name="http", factory=_http),
        Provider(role=Role.DEVICE_LOGIN, name="http", factory=_device_login),
    )
