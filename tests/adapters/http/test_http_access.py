"""Who may call what (protocol.md, *Actors and scopes*): deny by default."""

from __future__ import annotations

from typing import Any

import pytest
from retaia_tests.cells import STREAMS
from retaia_tests.house import House
from retaia_tests.http_house import (
    AGENT_TOKEN,
    OPTIONS,
    PERSON_TOKEN,
    Served,
    client,
    serve_in_process,
    session,
)
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from retaia_adapters.http.document import Operation, load_document, operations_of
from retaia_core.domain.authorization import ALL_FOR_MCP, Caller
from retaia_core.domain.clients import ClientKind
from retaia_core.domain.security_events import EventName
from retaia_core.hooks import Route, hookimpl, plugins_from
from retaia_core.usecases.sessions import claims_of

OPERATIONS = operations_of(load_document())


def _path(operation: Operation) -> str:
    return operation.path.replace("{", "").replace("}", "")


@pytest.mark.parametrize(
    "operation",
    [o for o in OPERATIONS if Caller.ANONYMOUS not in o.access.callers],
    ids=lambda o: o.operation_id,
)
async def test_every_operation_asks_who(served: Served, operation: Operation) -> None:
    """Nobody gets in without a valid token, and the wrong kind of actor is told so."""
    callers = operation.access.callers
    path = _path(operation)
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}):
        answer = await served.anonymous.request(operation.method, path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")
        assert answer.headers["www-authenticate"] == "Bearer"
    clients = {Caller.ADMIN: served.person, Caller.AGENT: served.agent}
    for caller, one in clients.items():
        if operation.operation_id in STREAMS and caller in callers:
            continue  # An answer without an end; that it begins is asked over a socket.
        answer = await one.request(operation.method, path)
        refused = answer.status_code == 403 and answer.json()["code"] == "FORBIDDEN_ACTOR"
        assert refused is (caller not in callers)


@pytest.mark.parametrize(
    "header",
    [
        PERSON_TOKEN,
        f"bearer{PERSON_TOKEN}",
        f"Bearer {PERSON_TOKEN[:-1]}",
        f"Bearer {PERSON_TOKEN}x",
        "Bearer",
        "Bearer ",
        f"Token {PERSON_TOKEN}",
    ],
)
async def test_a_token_is_whole_or_nothing(served: Served, header: str) -> None:
    """A token that is cut, prolonged or under another scheme is nobody's."""
    answer = await served.anonymous.get("/assets", headers={"Authorization": header})
    assert answer.status_code == 401


class TestDenied:
    """Each refusal for who calls is a security event (protocol.md, *Security events*)."""

    async def test_it_is_recorded(self, served: Served) -> None:
        """The event has the actor where one was proven, the code, and the answer's correlation id."""
        unknown = await served.anonymous.get("/assets")
        wrong = await served.agent.get("/ops/readiness")
        events = served.house.security.named(EventName.AUTHORISATION_DENIED)
        assert [(e.error_code, e.actor_type, e.correlation_id) for e in events] == [
            ("UNAUTHORIZED", "ANONYMOUS", unknown.headers["X-Correlation-Id"]),
            ("FORBIDDEN_ACTOR", "AGENT", wrong.headers["X-Correlation-Id"]),
        ]

    async def test_what_is_let_in_is_not(self, served: Served) -> None:
        """A request that is answered, or refused for its content, is no such event."""
        await served.person.get("/assets", params={"limit": "many"})
        assert served.house.security.events == []


class TestAgents:
    """Which agent a request comes from."""

    async def test_the_header_names_it(self, served: Served) -> None:
        """Several agents of one client are told apart by X-Retaia-Agent."""
        first, second = await served.register("one"), await served.register("two")
        assert first != second
        asset = await served.house.ready("INBOX/A.jpg")
        claim = f"/assets/{asset.uuid}/claim-bundle"
        mine = await served.agent.post(claim, headers={"X-Retaia-Agent": first})
        other = await served.agent.post(claim, headers={"X-Retaia-Agent": second})
        assert (mine.status_code, other.status_code) == (200, 409)

    async def test_without_it_the_last_one_is_meant(self, served: Served) -> None:
        """A client of the contract, which sends no such header, works with one agent."""
        await served.register("one")
        assert (await served.agent.get("/jobs")).status_code == 200

    async def test_registering_again_keeps_the_id(self, served: Served) -> None:
        """Name and client make an agent."""
        assert await served.register("one") == await served.register("one")

    async def test_an_unknown_agent_must_register(self, served: Served) -> None:
        """An agent that the server does not know (any more) is told to register."""
        assert (await served.agent.get("/jobs")).status_code == 404
        answer = await served.agent.get("/jobs", headers={"X-Retaia-Agent": "gone"})
        assert answer.status_code == 404
        assert "register" in answer.json()["message"]

    async def test_another_clients_agent(self, served: Served) -> None:
        """An agent cannot be borrowed from another client."""
        other = await served.house.agent("other")
        answer = await served.agent.get("/jobs", headers={"X-Retaia-Agent": other.agent_id})
        assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN_ACTOR")


class TestPolicy:
    """What the server says of itself."""

    async def test_policy(self, served: Served) -> None:
        """The policy has limits, flags and the version of their contract."""
        policy = (await served.agent.get("/app/policy")).json()["server_policy"]
        assert policy["min_poll_interval_seconds"] == OPTIONS.min_poll_interval_s
        assert policy["max_parallel_jobs_allowed"] == OPTIONS.max_parallel_jobs
        assert "generate_proxy" in policy["allowed_job_types"]
        assert policy["feature_flags"]["features.decisions.bulk"] is False
        assert policy["feature_flags"]["features.core.auth"] is True

    async def test_versions(self, served: Served) -> None:
        """An accepted version is confirmed, another is 426, a malformed one 400."""
        name = "client_feature_flags_contract_version"
        good = await served.person.get("/app/policy", params={name: "1.0.0"})
        assert good.json()["server_policy"]["effective_" + name.removeprefix("client_")] == "1.0.0"
        bad = await served.person.get("/app/policy", params={name: "9.0.0"})
        assert bad.status_code == 426
        assert bad.json()["code"] == "UNSUPPORTED_FEATURE_FLAGS_CONTRACT_VERSION"
        assert (await served.person.get("/app/policy", params={name: "one"})).status_code == 400

    async def test_short_intervals_are_no_limit(self, house: House) -> None:
        """An interval below a second, which the contract cannot say, is none."""
        async with serve_in_process(house, min_poll_interval_s=0.2) as served:
            policy = (await served.agent.get("/app/policy")).json()["server_policy"]
            assert policy["min_poll_interval_seconds"] == 0


class _Hello:
    """A plugin with a route of its own."""

    @staticmethod
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen: dict[str, Any] = {"who": str(scope["retaia.actor"]), "root": scope["root_path"]}
        await JSONResponse(seen)(scope, receive, send)

    @hookimpl
    def retaia_routes(self) -> tuple[Route, ...]:
        return (Route(name="hello", application=self.application),)


async def test_routes_of_plugins(house: House) -> None:
    """A plugin's route is mounted below /x/ and is told who calls; nobody gets there unknown."""
    async with serve_in_process(house, plugins_from({"hello": _Hello()})) as served:
        answer = await served.person.get("/x/hello/there")
        assert answer.json() == {"who": "person:local/ana", "root": "/api/v1/x/hello"}
        assert (await served.anonymous.get("/x/hello")).status_code == 401
        [event] = house.security.named(EventName.AUTHORISATION_DENIED)
        assert event.error_code == "UNAUTHORIZED"


@pytest.mark.parametrize(("switched_on", "status"), [(True, 200), (False, 403)])
async def test_routes_of_plugins_and_orchestration_clients(
    house: House, *, switched_on: bool, status: int
) -> None:
    """A plugin's route has the gate of every other: an orchestration client needs its feature."""
    house.flags[ALL_FOR_MCP] = switched_on
    mcp = session("mcp", "mcp", ClientKind.MCP)
    await house.store.transact(lambda tx: tx.save_session(mcp))
    async with serve_in_process(house, plugins_from({"hello": _Hello()})) as served:
        token = house.secrets.sign(claims_of(mcp), house.sessions.key)
        answer = await client(served.transport(), token).get("/x/hello")
        assert answer.status_code == status


async def test_the_document_is_served(served: Served) -> None:
    """Anybody may read the document."""
    answer = await served.anonymous.get("http://127.0.0.1/api/openapi.json")
    assert answer.json()["openapi"] == "3.1.0"
    assert AGENT_TOKEN not in answer.text
