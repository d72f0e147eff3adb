"""A typed client of the API, awaited or blocking.

::

    async with Client("https://nas.local:8000", ClientCredentials(...)) as client:
        async for asset in client.assets.iterate(state="DECISION_PENDING"):
            print(asset.name)

    with SyncClient("https://nas.local:8000", "token") as client:
        client.assets.decide(uuid, "KEEP")

Methods are grouped as the paths are; values and their fields have the contract's names. What fails is an
error of `retaia_core.errors`, chosen by the wire's ``code``; its ``details`` have the server's
``correlation_id``. Calls that may be repeated are, after 429, 503 and broken connections, with the
contract's back-off.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Generic, Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from .engine import Engine, new_key
from .modes import Async, M, Sync
from .resources.accounts import Auth, Clients, Devices, Features
from .resources.assets import Assets
from .resources.batches import Batches, Decisions, Purge
from .resources.derived import Derived
from .resources.events import Events
from .resources.jobs import Agents, Jobs
from .resources.ops import Ops
from .resources.uploads import Uploads
from .retrying import Retries
from .tokens import FixedToken, TokenSource
from .wire import AGENT_HEADER, HttpxTransport, Wire


class _Resources(Generic[M]):
    """Every resource of the document."""

    def __init__(self, engine: Engine, portal: BlockingPortal | None) -> None:
        self._engine = engine
        self.agents: Agents[M] = Agents(engine, portal)
        self.assets: Assets[M] = Assets(engine, portal)
        self.auth: Auth[M] = Auth(engine, portal)
        self.batches: Batches[M] = Batches(engine, portal)
        self.clients: Clients[M] = Clients(engine, portal)
        self.decisions: Decisions[M] = Decisions(engine, portal)
        self.derived: Derived[M] = Derived(engine, portal)
        self.devices: Devices[M] = Devices(engine, portal)
        self.events: Events[M] = Events(engine, portal)
        self.features: Features[M] = Features(engine, portal)
        self.jobs: Jobs[M] = Jobs(engine, portal)
        self.ops: Ops[M] = Ops(engine, portal)
        self.purge: Purge[M] = Purge(engine, portal)
        self.uploads: Uploads[M] = Uploads(engine, portal)

    @property
    def agent_id(self) -> str | None:
        """In whose name calls are made, where several agents share one credential."""
        return self._engine.wire.headers.get(AGENT_HEADER)

    @agent_id.setter
    def agent_id(self, agent_id: str) -> None:
        self._engine.wire.headers[AGENT_HEADER] = agent_id


def _engine(
    url: str,
    token: str | TokenSource | None,
    retries: Retries | None,
    keys: Callable[[], str],
    user_agent: str,
    transport: HttpxTransport | None,
) -> Engine:
    engine = Engine(
        wire=Wire(url, user_agent=user_agent, transport=transport),
        source=FixedToken(token) if isinstance(token, str) else token,
        retries=retries or Retries(),
        new_key=keys,
    )
    engine.accounts = _Minting(Auth(engine), Clients(engine))
    return engine


class _Minting:
    """The calls that token sources need."""

    def __init__(self, auth: Auth[Async], clients: Clients[Async]) -> None:
        self.login = auth.login
        self.refresh = auth.refresh
        self.client_token = clients.token


class Client(_Resources[Async]):
    """A connection to a server; methods are awaited.

    ``url`` is the server's address without the API's path; ``token`` a bearer token or where it comes
    from; ``new_key`` makes the Idempotency-Key of each call that needs one and was given none.
    """

    def __init__(
        self,
        url: str,
        token: str | TokenSource | None = None,
        *,
        retries: Retries | None = None,
        new_key: Callable[[], str] = new_key,
        user_agent: str = "retaia-client",
        transport: HttpxTransport | None = None,
    ) -> None:
        super().__init__(_engine(url, token, retries, new_key, user_agent, transport), None)

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.wire.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class SyncClient(_Resources[Sync]):
    """As `Client`, for programs without an event loop: methods block. It has a thread of its own."""

    def __init__(
        self,
        url: str,
        token: str | TokenSource | None = None,
        *,
        retries: Retries | None = None,
        new_key: Callable[[], str] = new_key,
        user_agent: str = "retaia-client",
        transport: HttpxTransport | None = None,
    ) -> None:
        engine = _engine(url, token, retries, new_key, user_agent, transport)
        self._stack = ExitStack()
        portal = self._stack.enter_context(start_blocking_portal())
        self._stack.callback(portal.call, engine.wire.close)
        super().__init__(engine, portal)

    def close(self) -> None:
        """Close the connections and end the thread."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
