"""The stories of agents: they register, are known, and are heard of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from attrs import evolve, frozen

from ..catalog import Catalog
from ..domain.actors import Actor, ActorKind
from ..domain.agents import AgentRecord
from ..domain.identifiers import AgentId, Capability, parse_capability
from ..errors import ForbiddenActor, NotFound, ValidationFailed
from ..ports.clock import Clock, Ids
from ..ports.store import Store, Transaction


def agent_actor(agent: AgentId) -> Actor:
    """An agent as the one who acts."""
    return Actor(kind=ActorKind.AGENT, id=agent)


def agents_meant(tx: Transaction, named: AgentId | None) -> Sequence[AgentRecord]:
    """The agents that a request may come from: the one that it names, or every one."""
    if named is None:
        return tx.agents()
    agent = tx.agent(named)
    return () if agent is None else (agent,)


def calling_agent(
    meant: Sequence[AgentRecord], named: AgentId | None, client_id: str
) -> AgentRecord:
    """The agent that a client's request comes from: the one that it names, or that registered last.

    Raises:
        NotFound: it is not registered (any more); it must register again.
        ForbiddenActor: it was registered by another client.
    """
    if named is not None and not meant:
        raise NotFound("this agent is not registered; register it (again)")
    mine = [agent for agent in meant if agent.client_id == client_id]
    if named is not None and not mine:
        raise ForbiddenActor("this agent was registered by another client")
    if not mine:
        raise NotFound("this client has no registered agent; register one first")
    return max(mine, key=lambda agent: agent.last_seen_at)


@frozen(kw_only=True)
class Agents:
    """The stories of agents."""

    store: Store
    clock: Clock
    ids: Ids
    catalog: Catalog

    async def register(
        self, client_id: str, name: str, version: str, platform: str, capabilities: Iterable[str]
    ) -> tuple[AgentRecord, tuple[str, ...]]:
        """Register an agent (again); returns its record, and a warning for each odd capability.

        Raises:
            ValidationFailed: the name is empty or too long.
        """
        if not name.strip() or len(name) > 200 or not name.isprintable():
            raise ValidationFailed("agent_name must be 1 to 200 printable characters")
        good, warnings = self._capabilities(capabilities)
        work = partial(self._register, client_id, name, version, platform, good)
        return await self.store.transact(work, durable=False), warnings

    def _capabilities(self, raw: Iterable[str]) -> tuple[frozenset[Capability], tuple[str, ...]]:
        needed = {c for t in self.catalog.job_types.values() for c in t.capabilities.values()}
        good: set[Capability] = set()
        warnings = []
        for text in raw:
            try:
                capability = parse_capability(text)
            except ValidationFailed as error:
                warnings.append(error.message)
                continue
            good.add(capability)
            if capability not in needed:
                warnings.append(f"{capability} is needed by no job type of this server")
        return frozenset(good), tuple(warnings)

    def _register(
        self,
        client_id: str,
        name: str,
        version: str,
        platform: str,
        capabilities: frozenset[Capability],
        tx: Transaction,
    ) -> AgentRecord:
        now = self.clock.now()
        known = next((a for a in tx.agents() if (a.client_id, a.name) == (client_id, name)), None)
        record_ = AgentRecord(
            agent_id=known.agent_id if known else AgentId(self.ids.uuid()),
            name=name,
            version=version,
            platform=platform,
            client_id=client_id,
            capabilities=capabilities,
            registered_at=known.registered_at if known else now,
            last_seen_at=now,
        )
        tx.save_agent(record_)
        return record_

    async def heard_of(self, agent: AgentRecord) -> None:
        """Remember that an agent is alive, at most every ten seconds."""
        now = self.clock.now()
        if (now - agent.last_seen_at).total_seconds() < 10:
            return
        seen = evolve(agent, last_seen_at=now)
        await self.store.transact(lambda tx: tx.save_agent(seen), durable=False)
