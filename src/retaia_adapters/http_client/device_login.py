"""Being let in over HTTP: the port's words in those of the client."""

from __future__ import annotations

from retaia_core.domain.clients import ClientKind, DeviceStatus, parse_user_code
from retaia_core.ports.device_login import Answered, Asked, ClientSecret, DeviceLogin

from .client import Client
from .retrying import ONCE
from .wire import HttpxTransport


class HttpDeviceLogin(DeviceLogin):
    """A connection without a token. It retries nothing: whoever calls waits and asks again."""

    def __init__(self, url: str, *, transport: HttpxTransport | None = None) -> None:
        self._client = Client(url, retries=ONCE, user_agent="retaia-agent", transport=transport)

    async def ask(self, label: str) -> Asked:
        """Ask to be let in as an agent of this name."""
        started = await self._client.clients.start_device(
            ClientKind.AGENT.value, client_label=label
        )
        return Asked(
            device_code=started.device_code,
            user_code=parse_user_code(started.user_code),
            page=started.verification_uri,
            page_with_code=started.verification_uri_complete,
            expires_in=started.expires_in,
            interval=started.interval,
        )

    async def poll(self, device_code: str) -> Answered:
        """How the request stands."""
        answer = await self._client.clients.poll_device(device_code)
        secret = None
        if answer.client_id is not None and answer.secret_key is not None:
            secret = ClientSecret(client_id=answer.client_id, secret_key=answer.secret_key)
        return Answered(status=DeviceStatus(answer.status), secret=secret)

    async def cancel(self, device_code: str) -> None:
        """Give the request up."""
        await self._client.clients.cancel_device(device_code)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
