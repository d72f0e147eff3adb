"""Exit codes, documented in the reference (``docs/_commands.py`` writes the page)."""

from __future__ import annotations

from retaia_core.hooks.exits import Exit, exit_of

__all__ = ["Exit", "exit_of"]
