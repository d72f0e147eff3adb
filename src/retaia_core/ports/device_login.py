"""The device login port: how an agent asks a server to be let in, whatever carries it."""

from __future__ import annotations

from typing import Protocol

from attrs import field, frozen

from ..domain.clients import DeviceStatus, UserCode


@frozen(kw_only=True)
class ClientSecret:
    """What an agent proves who it is with."""

    client_id: str
    secret_key: str = field(repr=False)


@frozen(kw_only=True)
class Asked:
    """A request to be let in; ``device_code`` is the device's own. Times in seconds."""

    device_code: str = field(repr=False)
    user_code: UserCode
    page: str
    page_with_code: str
    expires_in: float
    interval: float


@frozen(kw_only=True)
class Answered:
    """How a request stands; the secret comes once, with ``APPROVED``."""

    status: DeviceStatus
    secret: ClientSecret | None = None


class DeviceLogin(Protocol):
    """The device's side of the flow.

    Raises:
        Unavailable: the server cannot be reached now, or asks to come back later (`SlowDown`).
        RetaiaError: what the server said.
    """

    async def ask(self, label: str) -> Asked:
        """Ask to be let in as an agent of this name."""
        ...

    async def poll(self, device_code: str) -> Answered: ...
    async def cancel(self, device_code: str) -> None: ...
    async def close(self) -> None: ...
