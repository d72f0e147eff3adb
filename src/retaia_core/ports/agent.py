"""The agent shell, as the rest of the program sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from attrs import field, frozen

from .processor import Processor
from .transport import Transport


@frozen(kw_only=True)
class AgentOptions:
    """How an agent runs. Sizes in bytes, times in seconds.

    ``mounts`` maps a storage id to the folder where its root is mounted on this machine.
    ``memory_limit`` is that of each worker process (None: no limit), ``time_limit`` the wall time of
    one bundle, ``niceness`` 0 to 19. ``capabilities``, where given, restricts what is declared.
    ``plugin_modules`` are modules that the worker processes load beside the installed plugins.
    """

    name: str
    mounts: Mapping[str, Path]
    workspace: Path
    max_parallel: int = 1
    memory_limit: int | None = 4 * 2**30
    time_limit: float = 3600.0
    poll_interval: float = 5.0
    stop_when_idle: bool = False
    capabilities: Sequence[str] | None = None
    disabled_plugins: Sequence[str] = ()
    plugin_modules: Sequence[str] = ()
    niceness: int = 0


@frozen(kw_only=True)
class AgentEvent:
    """Something that the agent did, for whoever watches: a name and plain data."""

    name: str
    data: Mapping[str, object] = field(factory=dict)


Watch = Callable[[AgentEvent], None]


class AgentShell(Protocol):
    """Runs an agent until it is cancelled (or idle, where so asked)."""

    async def run(
        self,
        transport: Transport,
        options: AgentOptions,
        processors: Sequence[Processor],
        watch: Watch,
    ) -> None: ...
