"""Commands in processes that are killed at a point of one's choice."""

from __future__ import annotations

DIES = """
import os, signal, sys
from retaia_adapters.files import moves

left, whole = int(sys.argv[1]), moves.move


def cut(*arguments, **named):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return whole(*arguments, **named)


moves.move = cut
from retaia_adapters.cli.app import run

sys.exit(run(sys.argv[2:]))
"""
"""The command, in a process that is killed before it moves another file than so many."""
