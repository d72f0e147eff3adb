"""The plugins of an agent: those that are installed, and modules that its options name."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from retaia_core.hooks import Plugins, load_plugins
from retaia_core.hooks.manager import GROUP


def agent_plugins(*, disabled: Iterable[str] = (), modules: Iterable[str] = ()) -> Plugins:
    """Load plugins the same way in an agent and in its worker processes.

    Raises:
        PluginError: a plugin implements a hook that does not exist.
    """
    named = [EntryPoint(name=module, value=module, group=GROUP) for module in modules]
    return load_plugins(disabled=disabled, entries=lambda: [*entry_points(group=GROUP), *named])
