"""The markers of hooks: `hookimpl` for plugins, `hookspec` for the specifications."""

from __future__ import annotations

import pluggy

PROJECT = "retaia"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin as the implementation of the hook whose name it has."""
