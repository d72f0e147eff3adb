"""The agent registers like any other plugin."""

from __future__ import annotations

import subprocess
import sys

from retaia_agent import plugin
from retaia_agent.plugins import agent_plugins
from retaia_agent.shell import Agent
from retaia_core.hooks import Role, plugins_from


def test_it_provides_the_agents_role() -> None:
    """The factory of the role makes the shell."""
    provider = plugins_from({"agent": plugin}).provider(Role.AGENT, "default")
    assert isinstance(provider.factory(), Agent)


def test_registering_is_cheap() -> None:
    """Loading the plugin loads neither the event loop nor subprocess handling."""
    code = (
        "import retaia_core.hooks, sys; before = set(sys.modules); import retaia_agent.plugin;"
        "print(sorted(m for m in set(sys.modules) - before if not m.startswith('retaia_')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_modules_beside_the_installed_plugins() -> None:
    """A module that is named is loaded like an installed plugin; disabled ones are not."""
    name = "retaia_tests.agent_processors"
    plugins = agent_plugins(disabled=("media", "sql"), modules=(name,))
    assert "stunts" in [processor.name for processor in plugins.processors()]
    assert plugins.reports["sql"].problem == "disabled in the settings"
