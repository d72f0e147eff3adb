"""Who calls, and whether they may."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from attrs import frozen
from starlette.datastructures import Headers

from retaia_core.domain.agents import AgentRecord
from retaia_core.domain.authorization import Access, Caller, authorise, features_of
from retaia_core.domain.identifiers import AgentId
from retaia_core.errors import Unauthorized
from retaia_core.usecases.agents import agents_meant
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


def agent_named(headers: Headers) -> AgentId | None:
    """The agent that a request says it comes from: ours name themselves, the contract's calls do not."""
    named = headers.get(AGENT_HEADER)
    return None if named is None else AgentId(named)


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

    async def caller_and_agents(self, headers: Headers) -> tuple[Principal, Sequence[AgentRecord]]:
        """Who calls an operation that agents call, and the agents that are meant.

        Raises:
            Unauthorized: there is no token, or it is nobody's.
        """
        named = agent_named(headers)
        also = partial(agents_meant, named=named)
        return await self.sessions.principal_and(_token(headers), also)

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
