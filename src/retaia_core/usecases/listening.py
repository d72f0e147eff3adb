"""Telling listeners to look again: the audit trail is read while somebody listens, and never otherwise."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from enum import StrEnum

import anyio
from attrs import define, field

from ..domain.feed import LOOK_BACK, Hint, Tail, hints_of
from ..domain.journal import Event
from ..errors import RetaiaError, Unavailable
from ..ports.store import Store, Transaction

log = logging.getLogger("retaia.events")

POLL_S = 1.0
"""How often the trail is read while somebody listens."""

MOST_AT_ONCE = 1000
"""Where more happened than this since the last look, everything is worth one."""

MOST_WAITING = 256
"""How many hints wait for a listener before it is told to look at everything instead."""

MOST_LISTENERS = 100


class Word(StrEnum):
    """What is said beside hints."""

    READY = "ready"
    RESET = "reset"


@define(kw_only=True)
class Said:
    """One message: a hint, or a word; a listener that comes back names the last ``seq`` that it saw."""

    seq: int
    what: Hint | Word


@define(eq=False)
class Listener:
    """What waits for one listener. It is never waited for: one that is slow is told to look at everything."""

    _waiting: deque[Said] = field(factory=deque, init=False)
    _news: anyio.Event = field(factory=anyio.Event, init=False)
    closed: bool = field(default=False, init=False)

    def tell(self, said: Said) -> None:
        """Put a message into its queue."""
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.clear()
            said = Said(seq=said.seq, what=Word.RESET)
        self._waiting.append(said)
        self._news.set()

    def greet(self, messages: Iterable[Said]) -> None:
        """Say these first; what was told before they could be said follows them, even twice."""
        early, self._waiting = self._waiting, deque()
        for said in (*messages, *early):
            self.tell(said)

    def close(self) -> None:
        """Say that nothing more will come."""
        self.closed = True
        self._news.set()

    async def next(self, within: float) -> Sequence[Said]:
        """What waits, as soon as there is something; nothing after so many seconds, or at the end."""
        with anyio.move_on_after(within):
            await self._news.wait()
        found = tuple(self._waiting)
        self._waiting.clear()
        if not self.closed:
            self._news = anyio.Event()
        return found


def _newest(tx: Transaction) -> tuple[int, Sequence[Event]]:
    newest = tx.last_event()
    return newest, tx.events(after=max(0, newest - LOOK_BACK), limit=LOOK_BACK)


@define(kw_only=True)
class Hub:
    """Reads the trail for everybody who listens, once."""

    store: Store
    _listeners: set[Listener] = field(factory=set, init=False)
    _tail: Tail | None = field(default=None, init=False)
    _reading: bool = field(default=False, init=False)
    _closed: bool = field(default=False, init=False)

    @property
    def listening(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    async def join(self, last_seen: int | None) -> Listener:
        """Listen from now on, or from what was seen last.

        Raises:
            Unavailable: too many listen already, or the server stops.
        """
        if self._closed:
            raise Unavailable("the server stops; come back in a moment")
        if len(self._listeners) >= MOST_LISTENERS:
            raise Unavailable(f"{MOST_LISTENERS} clients listen already; ask the lists instead")
        listener = Listener()
        self._listeners.add(listener)
        try:
            await self._greet(listener, last_seen)
        except BaseException:
            self.leave(listener)
            raise
        return listener

    def leave(self, listener: Listener) -> None:
        """Listen no more."""
        self._listeners.discard(listener)

    def close(self) -> None:
        """Send everybody away, for good: the server stops."""
        self._closed = True
        self._send_away()

    def _send_away(self) -> None:
        for listener in self._listeners:
            listener.close()

    async def _greet(self, listener: Listener, last_seen: int | None) -> None:
        newest, recent = await self.store.read(_newest)
        if self._tail is None:
            self._tail = Tail(floor=max(0, newest - LOOK_BACK))
            self._tail.take(recent, anyio.current_time())
        if last_seen is None:
            listener.greet([Said(seq=newest, what=Word.READY)])
            return
        missed = await self._since(last_seen, newest)
        if missed is None:
            listener.greet([Said(seq=newest, what=Word.RESET)])
            return
        hints = [Said(seq=hint.seq, what=hint) for hint in hints_of(missed)]
        listener.greet([Said(seq=last_seen, what=Word.READY), *hints])

    async def _since(self, last_seen: int, newest: int) -> Sequence[Event] | None:
        """What happened since; None where it is too much, or of another trail."""
        if not newest - MOST_WAITING <= last_seen <= newest:
            return None
        return await self.store.read(lambda tx: tx.events(after=last_seen, limit=MOST_WAITING))

    async def run(self) -> None:
        """Read the trail until nobody listens; only one such run is ever going on."""
        if self._reading:
            return
        self._reading = True
        try:
            while self._listeners:
                await anyio.sleep(POLL_S)
                await self._look()
        finally:
            self._reading, self._tail = False, None
            self._send_away()  # Nobody is left, unless reading broke: then they come back.

    async def _look(self) -> None:
        """One look at the trail; a store that does not answer is asked again."""
        try:
            await self._read(self._tail)
        except RetaiaError as error:
            log.warning("the trail cannot be read: %s", error)

    async def _read(self, tail: Tail | None) -> None:
        if tail is None:
            return
        found = await self.store.read(lambda tx: tx.events(after=tail.floor, limit=MOST_AT_ONCE))
        if len(found) >= MOST_AT_ONCE:
            self._tail = Tail(floor=await self.store.read(lambda tx: tx.last_event()))
            self._tell([Said(seq=self._tail.floor, what=Word.RESET)])
            return
        told = tail.top
        fresh = tail.take(found, anyio.current_time())
        self._tell([Said(seq=hint.seq, what=hint) for hint in hints_of(fresh, told)])

    def _tell(self, messages: Sequence[Said]) -> None:
        for listener in self._listeners:
            for said in messages:
                listener.tell(said)
