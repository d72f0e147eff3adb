"""Registers the agent's shell."""

from __future__ import annotations

from collections.abc import Iterable

from retaia_core.hooks import Provider, Role, hookimpl


def _agent() -> object:
    from .shell import Agent

    return Agent()


@hookimpl
def retaia_providers() -> Iterable[Provider]:
    return (Provider(role=Role.AGENT, name="default", factory=_agent),)
