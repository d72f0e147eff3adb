"""Server-sent events: told to look again, at once, instead of asking all the time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import anyio
from attrs import frozen
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from retaia_core.domain.feed import Hint
from retaia_core.errors import RetaiaError
from retaia_core.usecases.listening import Hub, Listener, Said

from ..call import Call, Handler
from ..wire import encode

KEEP_ALIVE_S = 15.0
"""A comment is sent at least this often, and whoever listens is checked anew."""

STALL_S = 60.0
"""A client that takes nothing for this long is let go."""

RETRY_MS = 2000
LAST_SEEN = "Last-Event-ID"
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


def _message(said: Said) -> bytes:
    """One message; a hint's event is its topic."""
    what = said.what
    if isinstance(what, Hint):
        data = {"kind": what.subject.kind, "id": what.subject.id, "change": what.name}
        name: str = what.topic
    else:
        data, name = {}, what
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (said.seq, name.encode(), encode(data))


def _farewell(error: RetaiaError) -> bytes:
    return b"event: closed\ndata: %s\n\n" % encode({"code": error.code})


async def _still_allowed(call: Call) -> None:
    """Hold the caller against the gate again: a token may have ended meanwhile.

    Raises:
        RetaiaError: it did.
    """
    gate, access = call.serving.gate, call.operation.access
    await gate.check(access, await gate.caller(access, call.request.headers))


@frozen
class _Stream:
    """What one listener is sent."""

    call: Call
    listener: Listener

    async def parts(self) -> AsyncIterator[bytes]:
        """Messages as they come, comments in between; ends when the server stops or the token does."""
        yield b"retry: %d\n\n" % RETRY_MS
        check_at = anyio.current_time() + KEEP_ALIVE_S
        while not self.listener.closed:
            messages = await self.listener.next(max(0.0, check_at - anyio.current_time()))
            if messages:
                yield b"".join(map(_message, messages))
            if anyio.current_time() < check_at:
                continue
            check_at = anyio.current_time() + KEEP_ALIVE_S
            try:
                await _still_allowed(self.call)
            except RetaiaError as error:
                yield _farewell(error)
                return
            yield b": still here\n\n"


class EventStream(Response):
    """An answer that goes on; it ends with its client, its token or the server."""

    def __init__(self, call: Call, hub: Hub, listener: Listener) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._stream = _Stream(call, listener)
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until it ends."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_until_gone, receive, tasks.cancel_scope)
                await self._send_all(send)
                tasks.cancel_scope.cancel()
        finally:
            self._hub.leave(self._stream.listener)

    async def _send_all(self, send: Send) -> None:
        headers = self.raw_headers
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for part in self._stream.parts():
            with anyio.move_on_after(STALL_S) as patience:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            if patience.cancelled_caught:
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def listen_events(call: Call) -> object:
    """Listen from now on, or from the event that was seen last."""
    seen = call.headers.get(LAST_SEEN)
    hub = call.serving.hub
    listener = await hub.join(None if seen is None else int(seen))
    call.serving.spawn("events", hub.run)
    return EventStream(call, hub, listener)


HANDLERS: Mapping[str, Handler] = {"listenEvents": listen_events}
