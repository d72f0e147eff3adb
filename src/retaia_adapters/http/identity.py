"""Who calls, and whether they may."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from hashlib import sha256

from attrs import frozen
from starlette.datastructures import Headers

from retaia_core.domain.accounts import Account, AccountId, Email, Role
from retaia_core.domain.actors import Actor, ActorKind
from retaia_core.domain.agents import AgentRecord
from retaia_core.domain.authorization import Access, Caller, authorise
from retaia_core.domain.clients import ClientKind
from retaia_core.domain.identifiers import AgentId
from retaia_core.domain.sessions import SCOPES
from retaia_core.errors import ForbiddenActor, NotFound, Unauthorized
from retaia_core.shell.server import ServerOptions
from retaia_core.shell.services import Services
from retaia_core.usecases.sessions import Principal, Sessions

from .document import AGENT_HEADER

_SCHEME = "bearer "
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


@frozen(kw_only=True)
class Tokens:
    """The digests of the local tokens, so that comparing takes the same time whatever was sent."""

    person: bytes
    agent: bytes
    options: ServerOptions

    @classmethod
    def of(cls, options: ServerOptions) -> Tokens:
        """Read the two tokens out of the options."""
        person, agent = _digest(options.person_token), _digest(options.agent_token)
        return cls(person=person, agent=agent, options=options)

    def principal(self, token: str) -> Principal | None:
        """Whom a local token stands for; None where it is none."""
        digest = _digest(token)
        is_person = hmac.compare_digest(digest, self.person)
        is_agent = hmac.compare_digest(digest, self.agent)
        if is_person:
            return _local(ActorKind.PERSON, self.options.person_id, ClientKind.UI_WEB)
        if is_agent:
            return _local(ActorKind.AGENT, self.options.agent_client_id, ClientKind.AGENT)
        return None


def _local(kind: ActorKind, name: str, client: ClientKind) -> Principal:
    account = None
    if kind is ActorKind.PERSON:
        account = Account(
            account_id=AccountId(name),
            email=Email("local@localhost"),
            created_at=_LONG_AGO,
            local_name=name.removeprefix("local/"),
            roles=frozenset({Role.ADMIN}),
        )
    return Principal(
        actor=Actor(kind=kind, id=name),
        client_id=name,
        client_kind=client,
        scopes=SCOPES[kind],
        expires_at=_NEVER,
        account=account,
    )


def _token(headers: Headers) -> str | None:
    """The bearer token of a request; None without one.

    Raises:
        Unauthorized: there is a credential of another kind.
    """
    given = headers.get("authorization")
    if given is None:
        return None
    if not given.lower().startswith(_SCHEME):
        raise Unauthorized("this needs a bearer token (Authorization: Bearer …)")
    return given[len(_SCHEME) :].strip()


@frozen(kw_only=True)
class Gate:
    """Lets in who may come in, as the table of `retaia_core.domain.authorization` says."""

    tokens: Tokens
    sessions: Sessions | None

    async def principal(self, headers: Headers) -> Principal:
        """Who calls.

        Raises:
            Unauthorized: there is no token, or it is nobody's.
        """
        token = _token(headers)
        if token is None:
            raise Unauthorized("this needs a bearer token (Authorization: Bearer …)")
        found = self.tokens.principal(token)
        if found is None and self.sessions is not None:
            found = await self.sessions.principal(token)
        if found is None:
            raise Unauthorized("the bearer token is not valid here")
        return found

    async def caller(self, access: Access, headers: Headers) -> Principal | None:
        """Who calls an operation; None where nobody has to be signed in.

        Raises:
            Unauthorized: somebody must be, and is not.
        """
        return None if Caller.ANONYMOUS in access.callers else await self.principal(headers)

    def check(self, access: Access, principal: Principal | None) -> None:
        """Let a caller pass.

        Raises:
            ForbiddenActor, ForbiddenScope: as `authorization.authorise` says.
        """
        if principal is not None:
            authorise(access, caller_of(principal), principal.scopes)


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
