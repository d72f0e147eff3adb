"""The plugin host: finds plugins, isolates broken ones, and puts what they bring together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pluggy
from attrs import field, frozen

from ..catalog import Catalog, build_catalog
from ..errors import PluginError
from ..ports.processor import Processor
from . import specs
from .lifecycle import LifecycleHook
from .markers import PROJECT
from .roles import Command, Page, Provider, Role, Route

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")
GROUP = "retaia"


def _installed() -> Iterable[EntryPoint]:
    # Loaded here because it is as heavy as the whole domain, and only a shell needs it.
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)


@frozen(kw_only=True)
class PluginReport:
    """What became of one plugin at start; ``problem`` is empty where all is well."""

    name: str
    origin: str
    problem: str = ""


@frozen(kw_only=True)
class Plugins:
    """The plugins of this process. Built once and passed in; nothing is global."""

    manager: pluggy.PluginManager
    reports: Mapping[str, PluginReport] = field(factory=dict)

    def _each(self, hook_name: str) -> list[Any]:
        """Call a hook of every plugin by itself, so that a broken one is named and breaks no other."""
        caller = getattr(self.manager.hook, hook_name)
        rows: list[Any] = []
        for impl in caller.get_hookimpls():
            try:
                rows.extend(impl.function())
            except Exception as error:
                raise PluginError(
                    f"plugin {impl.plugin_name!r} failed in {hook_name}: {error!r}; "
                    "remove it, or name it in [plugins] disabled",
                    plugin=impl.plugin_name,
                ) from error
        return rows

    def catalog(self) -> Catalog:
        """The tables of all plugins, checked as a whole.

        Raises:
            PluginError: rows that contradict each other, or name what nobody defines.
        """
        return build_catalog(
            formats=self._each("retaia_media_formats"),
            job_types=self._each("retaia_job_types"),
            profiles=self._each("retaia_profiles"),
            derived_kinds=self._each("retaia_derived_kinds"),
            sidecar_rules=self._each("retaia_sidecar_rules"),
        )

    def processors(self) -> tuple[Processor, ...]:
        """The processors of all plugins."""
        return tuple(self._each("retaia_processors"))

    def lifecycle_hooks(self) -> tuple[LifecycleHook, ...]:
        """The lifecycle hooks of all plugins, by name."""
        hooks = cast("list[LifecycleHook]", self._each("retaia_lifecycle_hooks"))
        return tuple(sorted(hooks, key=lambda hook: hook.name))

    def routes(self) -> tuple[Route, ...]:
        """The extra API routes."""
        return tuple(self._each("retaia_routes"))

    def pages(self) -> tuple[Page, ...]:
        """The pages beside the API."""
        return tuple(self._each("retaia_pages"))

    def commands(self) -> tuple[Command, ...]:
        """The extra sub-commands."""
        return tuple(self._each("retaia_commands"))

    def provider(self, role: Role, name: str) -> Provider:
        """The provider that settings name for a role.

        Raises:
            PluginError: there is none, or two plugins claim the name; the message lists what there is.
        """
        providers = [p for p in self._each("retaia_providers") if p.role is role]
        found = [p for p in providers if p.name == name]
        if len(found) == 1:
            return cast("Provider", found[0])
        have = ", ".join(sorted(p.name for p in providers)) or "none"
        broken = "; ".join(f"{r.name}: {r.problem}" for r in self.reports.values() if r.problem)
        said = f"two plugins claim the {role} {name!r}" if found else f"no {role} named {name!r}"
        raise PluginError(
            f"{said}; installed: {have}" + (f"; not loaded: {broken}" if broken else ""),
            role=role.value,
            name=name,
        )


def _load(entry: EntryPoint) -> tuple[object | None, str]:
    try:
        return entry.load(), ""
    except ModuleNotFoundError as error:
        return None, f"needs the Python package {error.name!r}, which is not installed"
    except Exception as error:  # noqa: BLE001 - a stranger's module may raise anything at all
        return None, f"failed to load: {error!r}"


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(specs)
    return manager


def _register(manager: pluggy.PluginManager, name: str, plugin: object) -> str:
    """Register a plugin; returns what is wrong with it, having taken it out again."""
    manager.register(plugin, name)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        manager.unregister(plugin)
        return f"has a hook that is none: {error}"
    return ""


def load_plugins(
    *,
    disabled: Iterable[str] = (),
    entries: Callable[[], Iterable[EntryPoint]] | None = None,
) -> Plugins:
    """Load every plugin that is installed, except the disabled ones.

    A plugin that cannot be loaded is named in ``reports`` and stands in nobody's way until something
    that it provides is asked for.

    Raises:
        PluginError: a plugin implements a hook that does not exist.
    """
    found = (entries or _installed)()
    manager, reports = _manager(), {}
    off = frozenset(disabled)
    for entry in sorted(found, key=lambda e: e.name):
        if entry.name in off:
            reports[entry.name] = PluginReport(
                name=entry.name, origin=entry.value, problem="disabled in the settings"
            )
            continue
        plugin, problem = _load(entry)
        if plugin is not None:
            problem = _register(manager, entry.name, plugin)
            if problem:
                raise PluginError(f"plugin {entry.name!r} {problem}", plugin=entry.name)
        reports[entry.name] = PluginReport(name=entry.name, origin=entry.value, problem=problem)
    return Plugins(manager=manager, reports=reports)


def plugins_from(modules: Mapping[str, object]) -> Plugins:
    """Build a host from objects at hand, for tests and for embedding.

    Raises:
        PluginError: one of them implements a hook that does not exist.
    """
    manager = _manager()
    for name, plugin in modules.items():
        problem = _register(manager, name, plugin)
        if problem:
            raise PluginError(f"plugin {name!r} {problem}", plugin=name)
    reports = {name: PluginReport(name=name, origin="given") for name in modules}
    return Plugins(manager=manager, reports=reports)
