from __future__ import annotations

import pluggy

PROJECT = "retaia"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
