"""The ASGI application: every request is routed, authenticated and validated by the document."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from attrs import define, field
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retaia_core.domain.actors import SYSTEM, Actor, ActorKind
from retaia_core.domain.agents import AgentRecord
from retaia_core.domain.authorization import PLUGIN_ROUTES, Access
from retaia_core.errors import ForbiddenActor, ForbiddenScope, Unauthorized
from retaia_core.ports import observer
from retaia_core.shell.server import ServerOptions
from retaia_core.shell.services import Services
from retaia_core.usecases.agents import calling_agent
from retaia_core.usecases.listening import Hub
from retaia_core.usecases.monitoring import Monitoring
from retaia_core.usecases.security import record_denied
from retaia_core.usecases.sessions import Principal

from .browse import POLICY, page, style
from .call import Call, Handler, Serving, Spawn
from .document import AGENT_HEADER, BASE, Operation, check_bound, load_document, operations_of
from .errors import CORRELATION_HEADER, problem_of, refused
from .handlers import HANDLERS
from .identity import Gate, agent_named
from .logs import tell
from .metrics import METRICS_PATH, exposition
from .pages import page_at, pages_of
from .routing import Routes
from .validation import check_length, limited, read_body, read_headers, read_path, read_query
from .wire import json_response, raw_json

DOCUMENT_PATH = "/api/openapi.json"
PLUGIN_PREFIX = f"{BASE}/x/"
_CORRELATION = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CORRELATION_NAME = CORRELATION_HEADER.lower().encode()
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
_STAMPS = (_CORRELATION_NAME, _NO_SNIFFING[0])
"""Headers that every answer bears."""


@define(kw_only=True)
class _Trace:
    """What the log says of one request."""

    correlation_id: str
    request_id: str
    operation: str = "-"
    actor: str = "-"
    status: int = 0
    started: float = field(factory=time.perf_counter)


def _trace(request: Request, services: Services) -> _Trace:
    given, own = request.headers.get(CORRELATION_HEADER, ""), services.ids.uuid()
    chosen = given if _CORRELATION.fullmatch(given) else own
    return _Trace(correlation_id=chosen, request_id=own)


@define(kw_only=True)
class Application:
    """The application over one set of services. ``plugins`` are ASGI applications by name."""

    serving: Serving
    handlers: Mapping[str, Handler]
    routes: Routes
    static: Mapping[str, Response]
    plugins: Mapping[str, ASGIApp]
    pages: Mapping[str, ASGIApp]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever goes wrong before its first byte has the one error shape."""
        assert scope["type"] == "http"
        request = Request(scope, receive)
        trace = _trace(request, self.serving.services)
        correlation = observer.correlation_id.set(trace.correlation_id)
        own = observer.request_id.set(trace.request_id)
        try:
            await self._serve(request, trace, send)
        finally:
            observer.correlation_id.reset(correlation)
            observer.request_id.reset(own)

    async def _serve(self, request: Request, trace: _Trace, send: Send) -> None:
        scope, receive = request.scope, request.receive

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                trace.status = message["status"]
                self._count(trace)
                rest = [header for header in message["headers"] if header[0] not in _STAMPS]
                correlation = (_CORRELATION_NAME, trace.correlation_id.encode())
                message["headers"] = [*rest, correlation, _NO_SNIFFING]
            await send(message)

        try:
            application = await self._answer(request, trace)
            await application(scope, receive, stamped)
        except ClientDisconnect:
            trace.status = 499
        except Exception as error:
            if trace.status:
                tell(logging.ERROR, "http.broken_off", error=error, **_said(trace))
                raise
            await self._failed(error, trace)(scope, receive, stamped)
        tell(logging.INFO, "http.request", **_said(trace))

    def _count(self, trace: _Trace) -> None:
        seconds = time.perf_counter() - trace.started
        self.serving.services.observer.request(trace.operation, trace.status, seconds)

    def _failed(self, error: Exception, trace: _Trace) -> Response:
        problem = problem_of(error)
        if problem.status >= 500:
            expected = problem.status == 503
            cause = None if expected else error
            said = {**_said(trace), "status": problem.status, "kind": type(error).__name__}
            if expected:
                said["message"] = str(error)
            tell(logging.WARNING if expected else logging.ERROR, "http.failed", error=cause, **said)
        return json_response(problem.body(trace.correlation_id), problem.status, problem.headers)

    async def _answer(self, request: Request, trace: _Trace) -> ASGIApp:
        path = request.scope["path"]
        if path in self.static and request.method in ("GET", "HEAD"):
            return self.static[path]
        if path.startswith(PLUGIN_PREFIX):
            return await self._plugin(request, trace)
        if path == METRICS_PATH and request.method == "GET":
            return await exposition(self.serving, request)
        page = page_at(self.pages, path)
        if page is not None:
            return page
        operation, parts = self._route(request.method, path)
        trace.operation = operation.operation_id
        principal, agents = await self._admit(
            operation.access, request, trace, agents=operation.takes(AGENT_HEADER)
        )
        check_length(request.headers, operation.max_body)
        if operation.bodies:
            request = Request(request.scope, limited(request.receive, operation.max_body))
        call = await self._call(operation, parts, principal, agents, request)
        with self.serving.services.observer.span(operation.operation_id):
            answer = await self.handlers[operation.operation_id](call)
        return answer if isinstance(answer, Response) else json_response(answer)

    async def _admit(
        self, access: Access, request: Request, trace: _Trace, *, agents: bool = False
    ) -> tuple[Principal | None, Sequence[AgentRecord]]:
        """Let in who may call what has this row; a refusal is a security event.

        Also returns the agents that are meant, where one must call.

        Raises:
            Unauthorized, ForbiddenActor, ForbiddenScope: as `Gate` says.
        """
        gate = self.serving.gate
        principal: Principal | None = None
        meant: Sequence[AgentRecord] = ()
        try:
            if agents:
                principal, meant = await gate.caller_and_agents(request.headers)
            else:
                principal = await gate.caller(access, request.headers)
            trace.actor = "-" if principal is None else str(principal.actor)
            await gate.check(access, principal)
        except (Unauthorized, ForbiddenActor, ForbiddenScope) as error:
            services = self.serving.services
            record_denied(
                services.security,
                at=services.clock.now(),
                actor=None if principal is None else principal.actor,
                client_id="" if principal is None else principal.client_id,
                error_code=error.code,
            )
            raise
        return principal, meant

    def _route(self, method: str, path: str) -> tuple[Operation, Mapping[str, str]]:
        found = self.routes.find(path)
        if found is None:
            raise refused(404, f"there is no such path; see {DOCUMENT_PATH}", reason="UNKNOWN_PATH")
        operations, parts = found
        operation = operations.get(method)
        if operation is None:
            allowed = ", ".join(sorted(operations))
            raise refused(
                405,
                f"this path has {allowed} only",
                headers={"Allow": allowed},
                reason="METHOD_NOT_ALLOWED",
            )
        return operation, parts

    async def _call(
        self,
        operation: Operation,
        parts: Mapping[str, str],
        principal: Principal | None,
        agents: Sequence[AgentRecord],
        request: Request,
    ) -> Call:
        path = read_path(operation, parts)
        query = read_query(operation, request.query_params)
        headers = read_headers(operation, request.headers)
        body = await read_body(operation, request)
        actor = SYSTEM if principal is None else principal.actor
        registered = None
        if principal is not None and operation.takes(AGENT_HEADER):
            registered = calling_agent(agents, agent_named(request.headers), principal.client_id)
            actor = Actor(kind=ActorKind.AGENT, id=registered.agent_id)
        return Call(
            serving=self.serving,
            operation=operation,
            request=request,
            actor=actor,
            principal=principal,
            registered=registered,
            path=path,
            query=query,
            headers=headers,
            body=body,
        )

    async def _plugin(self, request: Request, trace: _Trace) -> ASGIApp:
        """A plugin's own application: for whoever is signed in; ``retaia.actor`` says who."""
        name = request.scope["path"].removeprefix(PLUGIN_PREFIX).partition("/")[0]
        application = self.plugins.get(name)
        if application is None:
            raise refused(404, "no plugin answers here", reason="UNKNOWN_PATH")
        trace.operation = f"x/{name}"
        principal, _ = await self._admit(PLUGIN_ROUTES, request, trace)
        assert principal is not None
        request.scope["retaia.actor"] = principal.actor
        request.scope["root_path"] = request.scope.get("root_path", "") + PLUGIN_PREFIX + name
        return application


def _said(trace: _Trace) -> dict[str, Any]:
    return {
        "correlation_id": trace.correlation_id,
        "operation": trace.operation,
        "actor": trace.actor,
        "status": trace.status,
        "duration_ms": round((time.perf_counter() - trace.started) * 1000, 1),
    }


def _static(
    document: Mapping[str, Any], operations: tuple[Operation, ...]
) -> Mapping[str, Response]:
    """The document for programs and for people; anyone may read what the contract is."""
    policy = {"Content-Security-Policy": POLICY}
    return {
        DOCUMENT_PATH: raw_json(json.dumps(document, ensure_ascii=False).encode()),
        "/api/docs": Response(page(document, operations), media_type="text/html", headers=policy),
        "/api/docs.css": Response(style(), media_type="text/css"),
    }


def build_application(services: Services, options: ServerOptions, spawn: Spawn) -> Application:
    """Bind the handlers to the document's operations.

    Raises:
        PluginError: an operation without a handler, or a handler without an operation.
    """
    document = load_document(services.catalog.derived_kinds)
    operations = operations_of(document)
    check_bound(operations, HANDLERS)
    job_types = document["components"]["schemas"]["Job"]["properties"]["job_type"]["enum"]
    return Application(
        serving=Serving(
            services=services,
            options=options,
            spawn=spawn,
            contract_job_types=frozenset(job_types),
            gate=Gate(
                sessions=services.sessions,
                features=services.features,
            ),
            monitoring=Monitoring(
                store=services.store, clock=services.clock, vitals=services.vitals
            ),
            hub=Hub(store=services.store),
        ),
        handlers=HANDLERS,
        routes=Routes(operations),
        static=_static(document, operations),
        plugins={r.name: cast("ASGIApp", r.application) for r in services.plugins.routes()},
        pages=pages_of(services.plugins.pages()),
    )
