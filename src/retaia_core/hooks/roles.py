"""What plugins can provide beside rows of tables: exclusive roles, routes, commands."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from attrs import frozen


class Role(StrEnum):
    """The exclusive roles; the settings name the provider of each.

    The factory of a role is called with:

    ========================  ===========================================================
    ``STORE``                 ``(url: str, *, server: bool) -> ports.store.Store``
    ``ORIGINALS``             ``() -> ports.originals.OriginalsDriver``
    ``DERIVED``               ``(root: str, storage_id) -> ports.derived_storage.DerivedStorage``
    ``COPIES``                ``(root: str, places: Mapping) -> ports.copies.Copies``
    ``SERVER``                ``() -> shell.server.ServerTransport``
    ``AGENT_TRANSPORT``       ``(url: str, secret: ClientSecret) -> ports.transport.Transport``
    ``DEVICE_LOGIN``          ``(url: str) -> ports.device_login.DeviceLogin``
    ``AGENT``                 ``() -> ports.agent.AgentShell``
    ``COMMAND_LINE``          ``() -> Callable[[Sequence[str] | None], int]``
    ``NOTIFIER``              ``(**options: str) -> ports.notifier.Notifier``
    ``AUTHENTICATOR``         ``() -> ports.secrets.Secrets``
    ``LOGS``                  ``(style: ports.observer.LogStyle) -> None``
    ``OBSERVER``              ``() -> ports.observer.Observer``
    ========================  ===========================================================
    """

    STORE = "store"
    ORIGINALS = "originals"
    DERIVED = "derived"
    COPIES = "copies"
    SERVER = "server"
    AGENT_TRANSPORT = "agent_transport"
    DEVICE_LOGIN = "device_login"
    AGENT = "agent"
    COMMAND_LINE = "command_line"
    NOTIFIER = "notifier"
    AUTHENTICATOR = "authenticator"
    LOGS = "logs"
    OBSERVER = "observer"


@frozen(kw_only=True)
class Provider:
    """One candidate for a role, under the name that settings select it by."""

    role: Role
    name: str
    factory: Callable[..., object]


@frozen(kw_only=True)
class Route:
    """An extra API route: an ASGI application mounted below ``/api/v1/x/{name}``."""

    name: str
    application: Callable[..., object]


@frozen(kw_only=True)
class Page:
    """Something for a browser, beside the API: an ASGI application for ``path`` and all that is below it.

    Anybody may ask for it; whoever has to be known signs in through the API. The longest path that fits
    answers, so that ``/`` takes what no other page does; ``/api`` is the API's own. An error of
    `retaia_core.errors` that it raises before its answer begins is answered as the API answers it.
    """

    path: str
    application: Callable[..., object]


@frozen(kw_only=True)
class Command:
    """An extra sub-command of ``retaia``; ``run`` gets the arguments after its name."""

    name: str
    help: str
    run: Callable[[list[str]], int]
