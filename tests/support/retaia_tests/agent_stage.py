"""A storage, an agent in a hurry, and what it told."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
from attrs import define, field

from retaia_agent.polling import Timing
from retaia_agent.shell import Agent
from retaia_core.ports.agent import AgentEvent, AgentOptions
from retaia_core.ports.processor import Processor
from retaia_core.ports.transport import JobFailure
from retaia_tests.agent_processors import Stunts
from retaia_tests.agent_server import AssetRow, MemoryServer

REVIEW = ("extract_facts", "generate_proxy", "generate_thumbnails", "generate_audio_waveform")
# The worker loads our own tables and the module of the tests, and nothing else.
OTHERS = ("agent", "cli", "files", "http", "http_client", "media", "sql")


@define
class Stage:
    """A storage on disk, a server in memory, and an agent between them."""

    root: Path
    workspace: Path
    server: MemoryServer = field(factory=MemoryServer)
    events: list[AgentEvent] = field(factory=list)
    timing: Timing = field(factory=lambda: Timing(backoff_first=0.02, backoff_most=0.05))

    def film(self, name: str, *jobs: str, **stunts: str) -> AssetRow:
        """Put a file into the storage whose jobs (all of a review by default) go as it says."""
        path = self.root / "INBOX" / name
        path.write_text(json.dumps(stunts))
        return self.server.add(self.root, f"INBOX/{name}", *(jobs or REVIEW))

    def options(self, **changes: object) -> AgentOptions:
        """The options of an agent that stops when it is idle."""
        usual: dict[str, object] = {
            "name": "test",
            "mounts": {"nas": self.root},
            "workspace": self.workspace,
            "poll_interval": 0.02,
            "stop_when_idle": True,
            "disabled_plugins": OTHERS,
            "plugin_modules": ("retaia_tests.agent_processors",),
        }
        return AgentOptions(**{**usual, **changes})  # type: ignore[arg-type]

    async def run(
        self,
        *,
        within: float = 20.0,
        processors: Sequence[Processor] = (Stunts(),),
        **changes: object,
    ) -> None:
        """Run an agent; longer than ``within`` seconds is a failure of the test."""
        with anyio.fail_after(within):
            await Agent(timing=self.timing).run(
                self.server, self.options(**changes), processors, self.events.append
            )

    def told(self, name: str) -> list[AgentEvent]:
        """The events of a name."""
        return [event for event in self.events if event.name == name]

    async def until(self, name: str) -> AgentEvent:
        """Wait for the first event of a name."""
        await wait_until(lambda: bool(self.told(name)))
        return self.told(name)[0]


async def wait_until(condition: Callable[[], bool]) -> None:
    """Look every few milliseconds; a condition that does not come true in time fails the test."""
    with anyio.fail_after(15):
        while True:
            if condition():
                return
            await anyio.sleep(0.005)


def statuses(asset: AssetRow) -> dict[str, str]:
    """The status of each job by type."""
    return {job.job_type: job.status for job in asset.jobs.values()}


def failure_of(asset: AssetRow, job_type: str) -> JobFailure:
    """How a job of an asset failed."""
    failure = next(j.failure for j in asset.jobs.values() if j.job_type == job_type)
    assert failure is not None
    return failure


def is_gone(pid: int) -> bool:
    """Whether a process is dead (an orphan may be a zombie for a moment)."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return True
