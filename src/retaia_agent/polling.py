"""Talking to a server that may be away: back-off, one registration, calls that are tried again.

The contract's back-off: from 2 s, doubling, at most 60 s, full jitter (protocol.md, *Agents and jobs*).
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import anyio
from attrs import define, field, frozen

from retaia_core.domain.backoff import FIRST_S, MOST_S, asked_s, backoff_s
from retaia_core.errors import NotFound, Refused, RetaiaError, Unauthorized
from retaia_core.ports.transport import OfferedJob, Registered, Registration, Transport

from .events import Teller

T = TypeVar("T")


@frozen(kw_only=True)
class Timing:
    """The times that an agent keeps, in seconds, and where time and chance come from.

    ``lease`` is believed where the server's clock is so far from ours that the lease seems over when it
    is given. ``heartbeat_most`` is the contract's advice.
    """

    backoff_first: float = FIRST_S
    backoff_most: float = MOST_S
    heartbeat_most: float = 30.0
    lease: float = 120.0
    release_within: float = 3.0
    start_within: float = 60.0
    chance: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@define
class Backoff:
    """The pauses between tries of one thing."""

    timing: Timing
    _tries: int = field(default=0, init=False)

    def after(self, error: RetaiaError | None = None) -> float:
        """How long to wait now, in seconds; at least what the server asked for (``retry_after_s``)."""
        self._tries += 1
        return backoff_s(
            self._tries,
            self.timing.chance(),
            at_least=asked_s(error),
            first=self.timing.backoff_first,
            most=self.timing.backoff_most,
        )


class LeaseOver(Exception):
    """The lease ran out before the server could be reached."""


class RegistrationRefused(RetaiaError):
    """The server does not accept this agent; its credential is wrong or was revoked."""

    code = "REGISTRATION_REFUSED"


@define
class Session:
    """An agent's registration with a server, and calls that outlive the server's absence."""

    transport: Transport
    registration: Registration
    tell: Teller
    timing: Timing
    _offline: bool = field(default=False, init=False)
    _times: int = field(default=0, init=False)
    _lock: anyio.Lock = field(factory=anyio.Lock, init=False)

    async def register(self) -> Registered:
        """Register, however long it takes to reach the server.

        Raises:
            RegistrationRefused: the server answered, and said no.
        """
        try:
            answer = await self._retried(lambda: self.transport.register(self.registration))
        except RetaiaError as error:
            raise RegistrationRefused(
                f"the server refuses this agent: {error.message}", code=error.code
            ) from error
        self._times += 1
        self.tell(
            "registered",
            agent_id=answer.agent_id,
            capabilities=answer.effective_capabilities,
            warnings=answer.capability_warnings,
        )
        return answer

    async def jobs(self) -> tuple[OfferedJob, ...]:
        """What the server offers now."""
        return await self.call(self.transport.jobs, forgotten=(Unauthorized, NotFound))

    async def call(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        lease_left: Callable[[], float] | None = None,
        forgotten: tuple[type[RetaiaError], ...] = (Unauthorized,),
        at_once: tuple[type[RetaiaError], ...] = (),
    ) -> T:
        """Call the server until it answers; register again where it forgot this agent.

        ``forgotten`` are the errors that say so, ``at_once`` those that are not waited out.

        Raises:
            LeaseOver: ``lease_left`` (seconds) came to an end first.
            RegistrationRefused: the server forgot this agent and does not want it back.
            RetaiaError: the server's answer, where trying again cannot help.
        """
        backoff = Backoff(self.timing)
        while True:
            times = self._times
            try:
                return await self._retried(attempt, lease_left=lease_left, at_once=at_once)
            except forgotten:
                await self._register_once(times)
                await self.timing.sleep(_within(backoff.after(), lease_left))

    async def _register_once(self, times: int) -> None:
        async with self._lock:
            if self._times == times:
                await self.register()

    async def _retried(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        lease_left: Callable[[], float] | None = None,
        at_once: tuple[type[RetaiaError], ...] = (),
    ) -> T:
        backoff = Backoff(self.timing)
        while True:
            try:
                answer = await attempt()
            except RetaiaError as error:
                if not may_change(error) or isinstance(error, at_once):
                    raise
                pause = _within(backoff.after(error), lease_left)
                self._offline = True
                self.tell("offline", error=error.message, retry_in_s=pause)
                await self.timing.sleep(pause)
                continue
            if self._offline:
                self._offline = False
                self.tell("online")
            return answer


def may_change(error: RetaiaError) -> bool:
    """Whether the same call may work later: the server was away, or failed inside and refused nothing."""
    return error.retryable or not isinstance(error, Refused)


def _within(pause: float, lease_left: Callable[[], float] | None) -> float:
    """Cut a pause at the lease's end.

    Raises:
        LeaseOver: there is nothing left of it.
    """
    if lease_left is None:
        return pause
    left = lease_left()
    if left <= 0:
        raise LeaseOver("the server could not be reached before the lease ran out")
    return min(pause, left)
