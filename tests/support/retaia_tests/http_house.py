"""A house that is served: the application in process, and clients whose every answer is checked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import cycle
from typing import Any

import anyio
import httpx
from attrs import define, evolve, field
from jsonschema_rs import Draft202012Validator
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from retaia_adapters.http.app import build_application
from retaia_adapters.http.document import (
    BASE,
    load_document,
    operations_of,
    resolve,
    validator,
)
from retaia_core.domain.accounts import Account, AccountId, Email, Role
from retaia_core.domain.clients import Client, ClientKind
from retaia_core.domain.sessions import SCOPES, Session, digest_of
from retaia_core.hooks import Plugins, plugins_from
from retaia_core.ports.store import Transaction
from retaia_core.shell.server import ServerOptions
from retaia_core.shell.services import Services
from retaia_core.testing.clock import START
from retaia_core.testing.memory_secrets import PlainSecrets
from retaia_core.usecases.certificates import Certificates
from retaia_core.usecases.fixity import Verification
from retaia_core.usecases.history import History
from retaia_core.usecases.previews import Previews
from retaia_core.usecases.purge_policy import PurgePolicy
from retaia_core.usecases.scrubbing import Scrub
from retaia_core.usecases.sessions import SIGNING_KEY, claims_of
from retaia_tests.house import House

KEY = b"the key that the servers of these tests sign with"
ANA = Account(
    account_id=AccountId("ana"),
    email=Email("ana@localhost"),
    created_at=START,
    email_verified=True,
    roles=frozenset({Role.ADMIN}),
    local_name="ana",
)
AGENT = Client(
    client_id="local-agent",
    kind=ClientKind.AGENT,
    label="this machine",
    secret=digest_of("agent-secret"),
    created_at=START,
    created_by="local/ana",
)


def session(principal_id: str, client_id: str, kind: ClientKind) -> Session:
    """A session that lasts as long as any test."""
    return Session(
        principal_id=principal_id,
        client_id=client_id,
        client_kind=kind,
        jti=f"token of {principal_id}",
        scope=SCOPES[kind.actor_kind],
        issued_at=START,
        expires_at=datetime(9999, 1, 1, tzinfo=UTC),
    )


SESSIONS = (
    session(ANA.account_id, "tests", ClientKind.UI_WEB),
    session(AGENT.client_id, AGENT.client_id, AGENT.kind),
)
PERSON_TOKEN, AGENT_TOKEN = (PlainSecrets().sign(claims_of(one), KEY) for one in SESSIONS)
STORES = ["memory", "sqlite", "two servers"]
"""What a module runs on that is about several stores: the last are two servers of one PostgreSQL."""

OPTIONS = ServerOptions(
    host="127.0.0.1",
    port=0,
    min_poll_interval_s=5.0,
    max_parallel_jobs=4,
)


async def let_in(house: House) -> None:
    """Make an administrator and an agent's client known, and sign both in."""

    def work(tx: Transaction) -> None:
        tx.add_server_secret(SIGNING_KEY, KEY)
        tx.save_account(ANA)
        tx.save_client(AGENT)
        for one in SESSIONS:
            tx.save_session(one)

    await house.store.transact(work)
    await house.sessions.prepare()


def services_of(house: House, plugins: Plugins | None = None) -> Services:
    """The use cases of a house, as a server gets them."""
    fixity = Verification(store=house.store, clock=house.clock, storages=house.storages)
    return Services(
        store=house.store,
        clock=house.clock,
        ids=house.ids,
        catalog=house.catalog,
        plugins=plugins or plugins_from({}),
        storages=house.storages,
        discovery=house.discovery,
        agents=house.agents,
        processing=house.processing,
        uploads=house.uploads,
        review=house.review,
        annotations=house.annotations,
        attachments=house.attachments,
        bulk_decisions=house.bulk,
        previews=Previews(store=house.store, clock=house.clock),
        moves=house.moves,
        undo=house.undo,
        recovery=house.recovery,
        purges=house.purges,
        proofs=house.proofs,
        purge_policy=PurgePolicy(
            store=house.store, clock=house.clock, purges=house.purges, proofs=house.proofs
        ),
        certificates=Certificates(store=house.store),
        operations=house.operations,
        history=History(store=house.store, clock=house.clock),
        fixity=fixity,
        scrub=Scrub(verification=fixity),
        features=house.features,
        sessions=house.sessions,
        people=house.people,
        clients=house.clients,
        devices=house.devices,
        security=house.security,
    )


class Conformance:
    """Holds answers against the document: status, headers, content type, body; closed objects too."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.checked = 0
        self._routes = [
            (compile_path(BASE + path)[0], item)
            for path, item in sorted(document["paths"].items(), key=lambda i: "{" in i[0])
        ]
        self._operations = {o.operation_id: o for o in operations_of(document)}
        self._error = self._compiled({"$ref": "#/components/schemas/ErrorResponse"})
        self._schemas: dict[str, Draft202012Validator] = {}

    def _compiled(self, schema: Mapping[str, Any]) -> Draft202012Validator:
        return validator(self.document, schema)

    def operation(self, method: str, path: str) -> Mapping[str, Any] | None:
        """The operation that a request is for."""
        for pattern, item in self._routes:
            if pattern.match(path):
                found: Mapping[str, Any] | None = item.get(method.lower())
                return found
        return None

    def check(self, response: httpx.Response) -> None:
        """Fail where the answer is not as the document says."""
        self.checked += 1
        assert response.headers.get("X-Correlation-Id"), "no correlation id"
        assert response.headers.get("X-Content-Type-Options") == "nosniff"
        request = response.request
        if response.status_code >= 400:
            self._check_error(response)
            self._check_foreseen(response)
        operation = self.operation(request.method, request.url.path)
        if operation is not None and response.status_code not in (404, 405):
            self._check_documented(operation, response)

    def _check_error(self, response: httpx.Response) -> None:
        assert response.headers["content-type"] == "application/json"
        body = response.json()
        self._error.validate(body)
        assert body["correlation_id"] == response.headers["X-Correlation-Id"]

    def _check_foreseen(self, response: httpx.Response) -> None:
        """A refusal is one that the page on access says of the operation."""
        node = self.operation(response.request.method, response.request.url.path)
        if node is not None and response.status_code != 500:
            operation = self._operations[node["operationId"]]
            assert response.status_code in operation.errors, operation.operation_id

    def _check_documented(self, operation: Mapping[str, Any], response: httpx.Response) -> None:
        responses = operation["responses"]
        status = str(response.status_code)
        assert status in responses or status[0] in "45", f"{status} is not documented"
        documented = resolve(self.document, responses.get(status, responses["default"]))
        content = documented.get("content", {})
        kind = response.headers.get("content-type", "")
        if status == "304" or (status in responses and not content):
            assert not response.content
            return
        if kind == "application/json" and kind in content:
            name = f"{operation['operationId']} {status}"
            if name not in self._schemas:
                self._schemas[name] = self._compiled(content[kind]["schema"])
            self._schemas[name].validate(response.json())
        else:
            assert "*/*" in content, f"{kind} is not documented for {status}"


class CheckedTransport(httpx.AsyncBaseTransport):
    """Passes requests on and checks what comes back."""

    def __init__(self, inner: httpx.AsyncBaseTransport, conformance: Conformance) -> None:
        self.inner = inner
        self.conformance = conformance

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self.inner.handle_async_request(request)
        response.request = request
        await response.aread()
        self.conformance.check(response)
        return response

    async def aclose(self) -> None:
        await self.inner.aclose()


@define(kw_only=True)
class Served:
    """A house with its application, and short ways to ask it something."""

    house: House
    application: ASGIApp
    conformance: Conformance
    person: httpx.AsyncClient
    agent: httpx.AsyncClient
    anonymous: httpx.AsyncClient
    keys: int = field(default=0)

    def transport(self) -> CheckedTransport:
        """A checked way into the application."""
        return CheckedTransport(httpx.ASGITransport(self.application), self.conformance)

    def key(self) -> dict[str, str]:
        """A fresh Idempotency-Key."""
        self.keys += 1
        return {"Idempotency-Key": f"key-{self.keys}"}

    async def register(self, name: str = "agent", **extra: object) -> str:
        """Register an agent that can do everything, and return its id."""
        types = self.house.catalog.job_types.values()
        capabilities = sorted({c for t in types for c in t.capabilities.values()})
        body = {"agent_name": name, "agent_version": "1", "capabilities": capabilities, **extra}
        answer = await self.agent.post("/agents/register", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["agent_id"])

    async def decide(self, uuid: str, action: str) -> httpx.Response:
        """Decide as the person."""
        return await self.person.post(
            f"/assets/{uuid}/decision", json={"action": action}, headers=self.key()
        )


def in_turn(applications: Sequence[ASGIApp]) -> ASGIApp:
    """Several servers behind one address, each request to the next."""
    following = cycle(applications)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await next(following)(scope, receive, send)

    return application


def client(transport: httpx.AsyncBaseTransport, token: str | None) -> httpx.AsyncClient:
    """A client of the API."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1" + BASE, headers=headers
    )


@asynccontextmanager
async def serve_in_process(
    house: House, plugins: Plugins | None = None, **options: Any
) -> AsyncIterator[Served]:
    """Serve a house without a socket; background work runs until the end."""
    async with anyio.create_task_group() as tasks:

        def spawn(name: str, work: Callable[[], Awaitable[object]]) -> None:
            async def run() -> None:
                await work()

            tasks.start_soon(run)

        await let_in(house)
        houses = [house, evolve(house, store=house.twin, twin=None)] if house.twin else [house]
        for each in houses:
            await each.sessions.prepare()
        said = evolve(OPTIONS, **options)
        applications = [build_application(services_of(h, plugins), said, spawn) for h in houses]
        application = applications[0] if len(applications) == 1 else in_turn(applications)
        conformance = Conformance(load_document(house.catalog.derived_kinds))
        inner = httpx.ASGITransport(application)
        transport = CheckedTransport(inner, conformance)
        clients = [client(transport, t) for t in (PERSON_TOKEN, AGENT_TOKEN, None)]
        try:
            yield Served(
                house=house,
                application=application,
                conformance=conformance,
                person=clients[0],
                agent=clients[1],
                anonymous=clients[2],
            )
        finally:
            for one in clients:
                await one.aclose()
            tasks.cancel_scope.cancel()
