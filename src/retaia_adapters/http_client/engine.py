"""One call from its request to its value: token, tries, answer."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

import anyio
from attrs import define, field

from retaia_core.errors import Unauthorized

from .ask import Ask
from .convert import structure
from .retrying import Retries
from .tokens import Accounts, TokenSource
from .wire import Streamed, Wire, json_of

T = TypeVar("T")


def new_key() -> str:
    """A key for one call; its tries share it."""
    return str(uuid.uuid4())


@define(kw_only=True)
class Engine:
    """What every resource of a client stands on. ``accounts`` is set by the client that owns it."""

    wire: Wire
    source: TokenSource | None
    retries: Retries
    new_key: Callable[[], str] = new_key
    accounts: Accounts | None = field(default=None, init=False)
    _token: str | None = field(default=None, init=False, repr=False)
    _minting: anyio.Lock = field(factory=anyio.Lock, init=False)

    async def call(self, ask: Ask, into: type[T]) -> T:
        """Send a request, and again where that may help; the answer as a value.

        Raises:
            RetaiaError: what the server said, or `Unavailable` when there was no time left.
        """
        return structure(json_of(await self._tried(ask)), into)

    async def do(self, ask: Ask) -> None:
        """As `call`, where the document promises nothing to read."""
        await self._tried(ask)

    async def _tried(self, ask: Ask) -> bytes:
        return await self.retries.run(
            lambda: self._once(ask), repeatable=ask.repeatable, long=ask.long
        )

    async def _once(self, ask: Ask) -> bytes:
        async with self.stream(ask) as answer:
            return await answer.read()

    @asynccontextmanager
    async def stream(self, ask: Ask) -> AsyncIterator[Streamed]:
        """Send a request once, and leave the body of the answer to the caller; errors as `call`."""
        async with AsyncExitStack() as stack:
            token = await self._token_for(ask)
            try:
                answer = await stack.enter_async_context(self.wire.stream(ask, token))
            except Unauthorized:
                if not self._renewed(token):
                    raise
                again = self.wire.stream(ask, await self._token_for(ask))
                answer = await stack.enter_async_context(again)
            yield answer

    async def _token_for(self, ask: Ask) -> str | None:
        if ask.anonymous or self.source is None or self.accounts is None:
            return None
        async with self._minting:
            if self._token is None:
                self._token = await self.source.mint(self.accounts)
            return self._token

    def _renewed(self, token: str | None) -> bool:
        """Forget a token that was refused; whether there may be another."""
        if token is None or self.source is None or not self.source.renewable:
            return False
        if self._token == token:
            self._token = None
        return True
