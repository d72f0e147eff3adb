"""What a handler gets, and what it answers."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import anyio
from attrs import define, field, frozen
from starlette.requests import Request
from starlette.responses import Response

from retaia_core.domain.accounts import Account
from retaia_core.domain.actors import Actor
from retaia_core.domain.agents import AgentRecord
from retaia_core.domain.identifiers import AssetId, JobId, parse_asset_id
from retaia_core.errors import NotFound, ValidationFailed
from retaia_core.ports.store import Replay, Transaction
from retaia_core.shell.server import ServerOptions
from retaia_core.shell.services import Services
from retaia_core.usecases.idempotency import once, refuse_other_body
from retaia_core.usecases.listening import Hub
from retaia_core.usecases.monitoring import Monitoring
from retaia_core.usecases.sessions import Principal

from .document import IDEMPOTENCY_KEY, Operation
from .identity import Gate
from .under_way import UnderWay
from .validation import missing_header
from .wire import canonical, encode, raw_json

T = TypeVar("T")
Spawn = Callable[[str, Callable[[], Awaitable[object]]], None]
"""Starts work that goes on after the answer; the text names it in the log."""


@define(kw_only=True)
class Serving:
    """What all requests share: the use cases, and what one process keeps in mind."""

    services: Services
    options: ServerOptions
    spawn: Spawn
    contract_job_types: frozenset[str]
    gate: Gate
    monitoring: Monitoring
    hub: Hub
    checks: dict[AssetId, UnderWay] = field(factory=dict)
    _locks: dict[str, anyio.Lock] = field(factory=dict, alias="locks")

    async def one_at_a_time(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Run work while no other of this name runs in this process."""
        lock = self._locks.setdefault(name, anyio.Lock())
        try:
            async with lock:
                return await work()
        finally:
            if not lock.statistics().tasks_waiting and not lock.locked():
                self._locks.pop(name, None)


@frozen(kw_only=True)
class Call:
    """A request that passed every check; ``registered`` is the agent that calls, where one must.

    ``principal`` is None, and ``actor`` the system, where nobody has to be signed in.
    """

    serving: Serving
    operation: Operation
    request: Request
    actor: Actor
    principal: Principal | None
    registered: AgentRecord | None
    path: Mapping[str, str]
    query: Mapping[str, Any]
    headers: Mapping[str, str]
    body: Any

    @property
    def services(self) -> Services:
        """The use cases."""
        return self.serving.services

    @property
    def caller(self) -> Principal:
        """Who calls, where somebody must be signed in."""
        assert self.principal is not None
        return self.principal

    @property
    def address(self) -> str:
        """Where the request came from, as far as the socket knows."""
        client = self.request.client
        return "" if client is None else client.host

    @property
    def account(self) -> Account:
        """The account of the person who calls."""
        assert self.caller.account is not None
        return self.caller.account

    @property
    def agent(self) -> AgentRecord:
        """The agent that calls."""
        assert self.registered is not None
        return self.registered

    @property
    def uuid(self) -> AssetId:
        """The asset in the path.

        Raises:
            NotFound: it is no UUID, and so names none.
        """
        try:
            return parse_asset_id(self.path["uuid"])
        except ValidationFailed as error:
            raise NotFound("there is no such asset; its UUID is malformed") from error

    @property
    def job_id(self) -> JobId:
        """The job in the path."""
        return JobId(self.path["job_id"])


Handler = Callable[[Call], Awaitable[object]]
"""Answers a document, or a whole response."""


def scope_of(call: Call) -> str:
    """What a request's Idempotency-Key counts for: this caller, this operation, this key."""
    key = call.headers.get(IDEMPOTENCY_KEY)
    if key is None:
        raise missing_header(IDEMPOTENCY_KEY)
    text = encode([str(call.actor), call.operation.method, call.request.scope["path"], key])
    return hashlib.sha256(text).hexdigest()


def _digest(call: Call) -> str:
    return hashlib.sha256(canonical(call.body)).hexdigest()


async def known_answer(call: Call) -> Response | None:
    """The answer that this very request was given before, where it was.

    Raises:
        IdempotencyConflict: the key was used with another body.
    """
    scope = scope_of(call)
    known = await call.services.store.read(lambda tx: tx.replay(scope))
    if known is None:
        return None
    refuse_other_body(known, _digest(call))
    return raw_json(known.body, known.status)


@frozen(kw_only=True)
class Once(Generic[T]):
    """The answer, and what the transaction made; None where it was done before."""

    answer: Response
    made: T | None


async def once_only(
    call: Call,
    work: Callable[[Transaction], T],
    view: Callable[[T], object],
    *,
    durable: bool = True,
) -> Once[T]:
    """Do a request's transaction once under its Idempotency-Key, and answer every repetition alike.

    Raises:
        IdempotencyConflict: the key was used with another body.
    """
    scope, digest, now = scope_of(call), _digest(call), call.services.clock.now()

    def transaction(tx: Transaction) -> tuple[Replay, T | None]:
        return once(
            tx,
            scope=scope,
            body_digest=digest,
            now=now,
            work=work,
            render=lambda result: (200, encode(view(result))),
        )

    def alone(tx: Transaction, items: Sequence[None]) -> Sequence[tuple[Replay, T | None]]:
        return [transaction(tx) for _ in items]

    # A store may run shared work at once, where that takes a moment; this is shared with nobody.
    store = call.services.store
    done = (
        store.transact(transaction)
        if durable
        else store.transact_shared(alone, None, durable=False)
    )
    replay, result = await done
    return Once(answer=raw_json(replay.body, replay.status), made=result)
