"""Who calls, and whether they may."""

from __future__ import annotations

from attrs import frozen
from starlette.datastructures import Headers

from retaia_core.domain.agents import AgentRecord
from retaia_core.domain.authorization import Access, Caller, authorise, features_of
from retaia_core.domain.identifiers import AgentId
from retaia_core.errors import ForbiddenActor, NotFound, Unauthorized
from retaia_core.shell.services import Services
from retaia_core.usecases.features import Features
from retaia_core.usecases.sessions import Principal, Sessions

from .document import AGENT_HEADER

_SCHEME = "bearer "


def _token(headers: Headers) -> str:
    """The bearer token of a request.

    Raises:
        Unauthorized: there is none, or a credential of another kind.
    """
    given = headers.get("authorization", "")
    if not given.lower().startswith(_SCHEME):
        raise Unauthorized("this needs a bearer token (Authorization: Bearer …)")
    return given[len(_SCHEME) :].strip()


@frozen(kw_only=True)
class Gate:
    """Lets in who may come in, as the table of `retaia_core.domain.authorization` says."""

    sessions: Sessions
    features: Features

    async def caller(self, access: Access, headers: Headers) -> Principal | None:
        """Who calls an operation; None where nobody has to be signed in.

        Raises:
            Unauthorized: somebody must be, and there is no token, or it is nobody's.
        """
        if Caller.ANONYMOUS in access.callers:
            return None
        return await self.sessions.principal(_token(headers))

    async def check(self, access: Access, principal: Principal | None) -> None:
        """Let a caller pass.

        Raises:
            ForbiddenActor, ForbiddenScope: as `authorization.authorise` says, or a feature is off.
        """
        if principal is None:
            return
        caller = caller_of(principal)
        authorise(access, caller, principal.scopes)
        await self.features.require(features_of(access, caller), principal.account)


def caller_of(principal: Principal) -> Caller:
    """The row's word for who calls."""
    if principal.is_admin:
        return Caller.ADMIN
    return Caller(principal.actor.kind.value)


async def calling_agent(services: Services, client_id: str, headers: Headers) -> AgentRecord:
    """The registered agent that a client's request comes from.

    The contract's calls do not name it: our agents do in a header; of others the one that the client
    registered last is meant.

    Raises:
        NotFound: it is not registered (any more).
        ForbiddenActor: it was registered by another client.
    """
    named = headers.get(AGENT_HEADER)
    if named is None:
        agents = await services.store.read(lambda tx: tuple(tx.agents()))
        mine = [agent for agent in agents if agent.client_id == client_id]
        if not mine:
            raise NotFound("this client has no registered agent; register one first")
        return max(mine, key=lambda agent: agent.last_seen_at)
    agent = await services.agents.agent(AgentId(named))
    if agent.client_id != client_id:
        raise ForbiddenActor("this agent was registered by another client")
    return agent
