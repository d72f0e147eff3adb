"""The database goes away in the middle of a request: whatever was asked, it is 503 and worth another try."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import define
from retaia_tests.cells import OPERATIONS, STREAMS, World, world

from retaia_adapters.http.document import Operation
from retaia_core.domain.authorization import Caller
from retaia_core.domain.lifecycle import State
from retaia_core.errors import StoreUnavailable

WAYS_IN = ("transact", "transact_shared", "read")
MOST_CALLS = 25


@define
class Outage:
    """Lets so many calls to the store through, and none after them, while it is armed."""

    left: int = 0
    armed: bool = False
    struck: bool = False

    def pass_or_fail(self) -> None:
        if not self.armed:
            return
        if self.left <= 0:
            self.struck = True
            raise StoreUnavailable("the database does not answer")
        self.left -= 1


@define
class Asking:
    """A world whose store fails when told."""

    world: World
    outage: Outage

    async def ask(self, operation: Operation, calls: int) -> httpx.Response:
        """Ask once; the store fails after so many calls of this request."""
        caller = _caller(operation)
        token = None if caller is Caller.ANONYMOUS else await self.world.token(caller)
        state = _state(operation)
        uuid = await self.world.asset(state) if "{uuid}" in operation.path else ""

        async def arm(request: httpx.Request) -> None:
            self.outage.armed = not request.url.path.endswith("/preview")

        self.outage.left, self.outage.struck = calls, False
        # A purge is previewed before: that request is let through.
        self.outage.armed = operation.operation_id != "purgeAsset"
        self.world.client.event_hooks["request"] = [] if self.outage.armed else [arm]
        try:
            return await self.world.ask(operation, token=token, uuid=uuid, state=state)
        finally:
            self.outage.armed = False
            self.world.client.event_hooks["request"] = []


def _caller(operation: Operation) -> Caller:
    wanted = (Caller.ANONYMOUS, Caller.ADMIN, Caller.AGENT)
    return next(caller for caller in wanted if caller in operation.access.callers)


def _state(operation: Operation) -> State:
    states = operation.access.states or frozenset({State.DECISION_PENDING})
    return State.DECISION_PENDING if State.DECISION_PENDING in states else min(states)


def _guarded(plain: Callable[..., Awaitable[Any]], outage: Outage) -> Callable[..., Any]:
    async def call(self: object, *given: Any, **named: Any) -> Any:
        outage.pass_or_fail()
        return await plain(self, *given, **named)

    return call


@pytest.fixture
async def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Asking]:
    async with world(tmp_path, f"sqlite:///{tmp_path}/retaia.db") as made:
        outage, store = Outage(), type(made.services.store)
        for name in WAYS_IN:
            monkeypatch.setattr(store, name, _guarded(getattr(store, name), outage))
        yield Asking(made, outage)


def _is_503(answer: httpx.Response) -> bool:
    body = answer.json()
    return (
        (answer.status_code, body["code"], body["retryable"])
        == (503, "TEMPORARY_UNAVAILABLE", True)
        and int(answer.headers["retry-after"]) > 0
        and body["correlation_id"] == answer.headers["x-correlation-id"]
        # Whether the server is ready is a question that even then is answered in words of its own.
        and body.get("details", {}).get("reason") in (None, "NOT_READY")
    )


async def _calls(asking: Asking, operation: Operation) -> int:
    """How many calls to the store an operation makes; each of them failed once, and told so."""
    for calls in range(MOST_CALLS):
        answer = await asking.ask(operation, calls)
        begun = operation.operation_id in STREAMS and answer.is_success
        if begun or not asking.outage.struck:
            assert answer.status_code < 500, (operation.operation_id, answer.text)
            return calls
        assert _is_503(answer), (operation.operation_id, calls, answer.status_code, answer.text)
    pytest.fail(f"{operation.operation_id} never came to an end")


async def test_every_call_to_the_store_may_fail(asking: Asking) -> None:
    """Whichever call to the store fails in whichever operation, the answer is 503 in the one shape."""
    for operation in OPERATIONS:
        assert await _calls(asking, operation) > 0, (
            f"{operation.operation_id} asks the store nothing"
        )
