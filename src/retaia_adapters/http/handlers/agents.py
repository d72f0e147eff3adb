"""Registration and policy."""

from __future__ import annotations

from collections.abc import Mapping

from ..call import Call, Handler
from ..policy import server_policy

_VERSION = "client_feature_flags_contract_version"


async def register_agent(call: Call) -> object:
    """Register an agent (again)."""
    policy = await server_policy(call.services, call.serving.options, call.body.get(_VERSION))
    agent, warnings = await call.services.agents.register(
        call.actor.id,
        call.body["agent_name"],
        call.body["agent_version"],
        call.body.get("platform", ""),
        call.body["capabilities"],
    )
    return {
        "agent_id": agent.agent_id,
        "effective_capabilities": sorted(agent.capabilities),
        "capability_warnings": warnings,
        "server_policy": policy,
    }


async def get_policy(call: Call) -> object:
    """State the server's policy."""
    policy = await server_policy(call.services, call.serving.options, call.query.get(_VERSION))
    return {"server_policy": policy}


HANDLERS: Mapping[str, Handler] = {
    "registerAgent": register_agent,
    "getAppPolicy": get_policy,
}
