"""Who calls: two local tokens, until accounts exist."""

from __future__ import annotations

import hmac
from hashlib import sha256

from attrs import frozen
from starlette.datastructures import Headers

from retaia_core.domain.actors import Actor, ActorKind
from retaia_core.domain.agents import AgentRecord
from retaia_core.domain.identifiers import AgentId
from retaia_core.errors import ForbiddenActor, NotFound, Unauthorized
from retaia_core.shell.server import ServerOptions
from retaia_core.shell.services import Services

AGENT_HEADER = "X-Retaia-Agent"
_SCHEME = "bearer "


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


@frozen(kw_only=True)
class Tokens:
    """The digests of the tokens, so that comparing takes the same time whatever was sent."""

    person: bytes
    agent: bytes
    options: ServerOptions

    @classmethod
    def of(cls, options: ServerOptions) -> Tokens:
        """Read the two tokens out of the options."""
        person, agent = _digest(options.person_token), _digest(options.agent_token)
        return cls(person=person, agent=agent, options=options)

    def actor(self, headers: Headers) -> Actor:
        """Who a request's token stands for.

        Raises:
            Unauthorized: there is no token, or it is nobody's.
        """
        given = headers.get("authorization", "")
        if not given.lower().startswith(_SCHEME):
            raise Unauthorized("this needs a bearer token (Authorization: Bearer …)")
        digest = _digest(given[len(_SCHEME) :].strip())
        is_person = hmac.compare_digest(digest, self.person)
        is_agent = hmac.compare_digest(digest, self.agent)
        if is_person:
            return Actor(kind=ActorKind.PERSON, id=self.options.person_id)
        if is_agent:
            return Actor(kind=ActorKind.AGENT, id=self.options.agent_client_id)
        raise Unauthorized("the bearer token is not valid here")


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
