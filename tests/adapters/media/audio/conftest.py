"""Running the processor on one sound file, and reading what it made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import field, frozen

from retaia_adapters.media.audio import JOB_TYPES, process_audio
from retaia_core.domain.facts import Facts, missing_facts, parse_facts
from retaia_core.domain.media import MediaType
from retaia_core.ports.processor import DerivedFile, Done, Failed, Outcome, Progress, Task, Work


@frozen(kw_only=True)
class Result:
    """The outcomes of a call, by job type; ``order`` is that in which they came."""

    order: tuple[str, ...]
    outcomes: dict[str, Outcome]
    workspace: Path
    progress: list[Progress] = field(factory=list)

    def done(self, job_type: str) -> Done:
        """The outcome of a task that succeeded."""
        outcome = self.outcomes[job_type]
        assert isinstance(outcome, Done), outcome
        return outcome

    def file(self, job_type: str) -> DerivedFile:
        """The one file of a task that succeeded."""
        (file,) = self.done(job_type).files
        return file

    @property
    def facts(self) -> Facts:
        """The facts, which the table must take."""
        facts = self.done("extract_facts").facts
        assert parse_facts(dict(facts)) == facts
        assert not missing_facts(facts, MediaType.AUDIO)
        return facts

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings beside the facts."""
        return self.done("extract_facts").warnings

    @property
    def proxy(self) -> Path:
        """The proxy."""
        return self.file("generate_proxy").path

    @property
    def waveform(self) -> dict[str, Any]:
        """The waveform document."""
        document: dict[str, Any] = json.loads(
            self.file("generate_audio_waveform").path.read_bytes()
        )
        return document

    @property
    def codes(self) -> set[str]:
        """The codes of all failures."""
        return {o.code for o in self.outcomes.values() if isinstance(o, Failed)}

    @property
    def left(self) -> set[str]:
        """The names of the files in the workspace."""
        return {path.name for path in self.workspace.iterdir()}


Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run tasks on a source, all four where none is named; each call has its own workspace."""
    calls = 0

    def call(source: Path, *job_types: str, **parameters: object) -> Result:
        nonlocal calls
        calls += 1
        workspace = tmp_path / f"workspace-{calls}"
        workspace.mkdir()
        wanted = job_types or tuple(sorted(JOB_TYPES))
        tasks = tuple(Task(job_id=n, job_type=n, parameters=parameters) for n in wanted)
        work = Work(source=source, media_type=MediaType.AUDIO, tasks=tasks, workspace=workspace)
        progress: list[Progress] = []
        outcomes = list(process_audio(work, progress.append))
        order = tuple(outcome.job_id for outcome in outcomes)
        assert sorted(order) == sorted(wanted), "exactly one outcome for each task"
        by_job = {outcome.job_id: outcome for outcome in outcomes}
        return Result(order=order, outcomes=by_job, workspace=workspace, progress=progress)

    return call


@pytest.fixture
def peak_level(ffprobe: Callable[..., dict[str, Any]]) -> Callable[..., float]:
    """The largest sample that ffprobe decodes from a file, of one channel or of all; 1.0 is full scale."""

    def measure(path: Path, channel: int | str = "Overall", *, start: float = 0) -> float:
        key = f"lavfi.astats.{channel}.Peak_level"
        graph = f"amovie={path},atrim=start={start},astats=metadata=1"
        options = ("-f", "lavfi", "-show_entries", f"frame_tags={key}")
        frames = ffprobe(Path(graph), *options)["frames"]
        level = frames[-1]["tags"][key]
        return 0.0 if level == "-inf" else float(10 ** (float(level) / 20))

    return measure
