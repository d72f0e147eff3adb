"""The agent transport ``http`` and the command ``remote``; importing this loads no library."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from retaia_core.hooks import Command, Provider, Role, hookimpl
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


def _remote(arguments: list[str]) -> int:
    try:
        from .remote import run
    except ModuleNotFoundError as error:
        said = f"retaia remote needs the Python package {error.name!r}"
        sys.stderr.write(f"{said}; install it with: pip install 'retaia[cli,http]'\n")
        return 2
    return run(arguments)


@hookimpl
def retaia_commands() -> Iterable[Command]:
    said = "Call a server elsewhere: every operation of its API is a command."
    return (Command(name="remote", help=said, run=_remote),)


@hookimpl
def retaia_providers() -> Iterable[Provider]:
    return (
        Provider(role=Role.AGENT_TRANSPORT, name="http", factory=_http),
        Provider(role=Role.DEVICE_LOGIN, name="http", factory=_device_login),
    )
