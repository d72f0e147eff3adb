from __future__ import annotations

import pluggy

PROJECT = "retaia"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin as the implementation of the hook whose name it has."""
