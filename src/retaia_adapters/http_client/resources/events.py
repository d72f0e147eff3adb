"""Being told that something changed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager

from attrs import evolve

from retaia_core.errors import Unavailable

from ..ask import ask
from ..convert import structure
from ..modes import Async, M, Resource, series
from ..server_sent import EventParser, ServerSent
from ..values.ops import Changed, Event
from ..wire import Streamed, json_of

_CLOSED = "closed"


class Events(Resource[M]):
    """``/events``."""

    @series
    async def follow(
        self: Events[Async], *, last_event_id: str = ""
    ) -> AsyncGenerator[Event, None]:
        """Every event from now on, or after the one given, until the caller ends it.

        A connection that broke, or said nothing for a minute, or whose token ended, is made anew with the
        contract's back-off, and goes on after the last event. Events only say that it is worth looking: the
        lists are the truth. After ``ready`` and ``reset`` look at everything. Who stops listening before the
        program ends does so with `contextlib.aclosing`, which lets the connection go at once.

        Raises:
            RetaiaError: the server refuses.
        """
        parser = EventParser(last_id=last_event_id)
        patience = evolve(self._engine.retries, deadline_s=None).start()
        while True:
            ended = Unavailable("the server ended the stream")
            try:
                async with self._connected(parser) as answer:
                    async for line in answer.lines():
                        sent = parser.feed(line)
                        if sent is not None and sent.name != _CLOSED:
                            patience.renew()
                            yield _event(sent)
            except Unavailable as error:
                ended = error
            parser.cut()
            await patience.wait(ended, at_least=parser.retry_s)

    def _connected(self, parser: EventParser) -> AbstractAsyncContextManager[Streamed]:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if parser.last_id:
            headers["Last-Event-ID"] = parser.last_id
        return self._engine.stream(ask("GET", "/events", headers=headers))


def _event(sent: ServerSent) -> Event:
    data = json_of(sent.data.encode())
    changed = structure(data, Changed) if data else None
    return Event(name=sent.name, id=sent.id, changed=changed)
