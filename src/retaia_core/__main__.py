"""The command ``retaia``: finds the command line among the plugins and hands over."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import cast

from .errors import PluginError
from .hooks.manager import load_plugins
from .hooks.roles import Role


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    try:
        factory = load_plugins().provider(Role.COMMAND_LINE, "cli").factory
    except PluginError as error:
        print(f"retaia: {error}\nInstall it with: pip install 'retaia[all]'", file=sys.stderr)
        return 2
    run = cast("Callable[[Sequence[str] | None], int]", factory())
    return run(argv)


if __name__ == "__main__":
    sys.exit(main())
