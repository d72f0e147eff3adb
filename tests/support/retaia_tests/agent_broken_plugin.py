"""A plugin that registers, and then fails when it is asked for its processors."""

from __future__ import annotations

from retaia_core.hooks import hookimpl
from retaia_core.ports.processor import Processor


@hookimpl
def retaia_processors() -> list[Processor]:
    """Fail."""
    raise RuntimeError("broken on purpose")
