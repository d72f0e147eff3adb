"""Running the processor on one file, and reading what it made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import field, frozen

from retaia_adapters.media.plugin import MediaProcessor
from retaia_core.domain.media import MediaType
from retaia_core.ports.processor import Done, Failed, Outcome, Progress, Task, Work


@frozen(kw_only=True)
class Result:
    """The outcomes of a call, by job type, and in the order in which they came."""

    order: tuple[str, ...]
    outcomes: dict[str, Outcome]
    workspace: Path
    progress: list[Progress] = field(factory=list)

    def done(self, job_type: str) -> Done:
        """The outcome of a task that succeeded."""
        outcome = self.outcomes[job_type]
        assert isinstance(outcome, Done), outcome
        return outcome

    def failed(self, job_type: str) -> Failed:
        """The outcome of a task that failed."""
        outcome = self.outcomes[job_type]
        assert isinstance(outcome, Failed), outcome
        return outcome

    @property
    def proxy(self) -> Path:
        """The proxy."""
        (file,) = self.done("generate_proxy").files
        return file.path

    @property
    def left(self) -> set[str]:
        """The names of the files in the workspace."""
        return {path.name for path in self.workspace.iterdir()}


Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run tasks on a source: ``run(path, "generate_proxy", ...)``; each call has its own workspace."""
    calls = 0

    def call(source: Path, *job_types: str, storyboard: bool = False) -> Result:
        nonlocal calls
        calls += 1
        workspace = tmp_path / f"workspace-{calls}"
        workspace.mkdir()
        given = {"storyboard": True} if storyboard else {}
        tasks = tuple(
            Task(job_id=name, job_type=name, parameters=given if "thumb" in name else {})
            for name in job_types
        )
        work = Work(source=source, media_type=MediaType.VIDEO, tasks=tasks, workspace=workspace)
        progress: list[Progress] = []
        outcomes = list(MediaProcessor().process(work, progress.append))
        order = tuple(outcome.job_id for outcome in outcomes)
        assert sorted(order) == sorted(job_types), "exactly one outcome for each task"
        by_job = {outcome.job_id: outcome for outcome in outcomes}
        return Result(order=order, outcomes=by_job, workspace=workspace, progress=progress)

    return call
