"""Hooks (pluggy, project name ``retaia``, entry-point group ``retaia``)."""

from __future__ import annotations

from .lifecycle import HookCall, HookPoint, HookReply, LifecycleHook
from .manager import PluginReport, Plugins, load_plugins, plugins_from
from .markers import hookimpl, hookspec
from .roles import Command, Page, Provider, Role, Route

__all__ = [
    "Command",
    "HookCall",
    "HookPoint",
    "HookReply",
    "LifecycleHook",
    "Page",
    "PluginReport",
    "Plugins",
    "Provider",
    "Role",
    "Route",
    "hookimpl",
    "hookspec",
    "load_plugins",
    "plugins_from",
]
