"""The processor's contract accepts an honest processor and finds each fault of a dishonest one."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from retaia_core.domain.facts import Facts
from retaia_core.domain.media import MediaType
from retaia_core.errors import ValidationFailed
from retaia_core.ports.processor import (
    Availability,
    DerivedFile,
    Done,
    Failed,
    Outcome,
    Processor,
    Progress,
    Report,
    Task,
    Work,
)
from retaia_core.testing.conformance import ProcessorContract
from retaia_core.testing.conformance.processor import Source

MAGIC = b"TOY"


class ToyProcessor(Processor):
    """Reads files that begin with ``TOY``; every byte after that lasts a second."""

    name = "toy"
    version = "1"
    capabilities = frozenset({"media.facts@1", "audio.waveform@1"})
    job_types = frozenset({"extract_facts", "generate_audio_waveform"})

    def availability(self) -> Availability:
        return Availability(available=True)

    def process(self, work: Work, report: Report) -> Iterator[Outcome]:
        try:
            content = work.source.read_bytes()
        except OSError:
            content = b""
        for task in work.tasks:
            if not content.startswith(MAGIC):
                yield Failed(
                    job_id=task.job_id,
                    code="SOURCE_UNREADABLE",
                    message="the file is no toy",
                    retryable=False,
                )
                continue
            report(Progress(job_id=task.job_id, current=1, total=2))
            duration = 1000 * (len(content) - len(MAGIC))
            if task.job_type == "extract_facts":
                facts: Facts = {
                    "duration_ms": duration,
                    "media_format": "toy",
                    "audio_codec": "toy",
                }
                yield Done(job_id=task.job_id, facts=facts)
            else:
                yield Done(job_id=task.job_id, files=(self.waveform(work, duration),))

    def waveform(self, work: Work, duration: int) -> DerivedFile:
        path = work.workspace / "waveform.json"
        document = {"duration_ms": duration, "bucket_count": 100, "peaks": [0.5] * 100}
        path.write_text(json.dumps(document))
        return DerivedFile(kind="waveform", path=path, content_type="application/json")


@pytest.fixture
def toy_source(tmp_path: Path) -> Source:
    folder = tmp_path / "source"
    folder.mkdir()
    path = folder / "recording.wav"
    path.write_bytes(MAGIC + b"....")
    return Source(path=path, media_type=MediaType.AUDIO)


class TestToyProcessor(ProcessorContract):
    @pytest.fixture
    def processor(self) -> Processor:
        return ToyProcessor()

    @pytest.fixture
    def source(self, toy_source: Source) -> Source:
        return toy_source


class Twice(ToyProcessor):
    def process(self, work: Work, report: Report) -> Iterator[Outcome]:
        for outcome in super().process(work, report):
            yield outcome
            yield outcome


class Forgets(ToyProcessor):
    def process(self, work: Work, report: Report) -> Iterator[Outcome]:
        yield from list(super().process(work, report))[1:]


class WritesElsewhere(ToyProcessor):
    def waveform(self, work: Work, duration: int) -> DerivedFile:
        made = super().waveform(work, duration)
        path = work.source.parent / "waveform.json"
        made.path.rename(path)
        return DerivedFile(kind="waveform", path=path, content_type="application/json")


class TouchesTheSource(ToyProcessor):
    def process(self, work: Work, report: Report) -> Iterator[Outcome]:
        yield from super().process(work, report)
        os.utime(work.source)


class LiesAboutKinds(ToyProcessor):
    def waveform(self, work: Work, duration: int) -> DerivedFile:
        made = super().waveform(work, duration)
        made.path.write_text("{}")
        return made


class StatesTooLittle(ToyProcessor):
    def process(self, work: Work, report: Report) -> Iterator[Outcome]:
        for outcome in super().process(work, report):
            if isinstance(outcome, Done) and outcome.facts:
                yield Done(job_id=outcome.job_id, facts={"media_format": "toy"})
            else:
                yield outcome


class RunsBackwards(ToyProcessor):
    def process(self, work: Work, report: Report) -> Iterator[Outcome]:
        for outcome in super().process(work, report):
            report(Progress(job_id=outcome.job_id, current=0, total=2))
            yield outcome


class HopesForBetter(ToyProcessor):
    def process(self, work: Work, report: Report) -> Iterator[Outcome]:
        for outcome in super().process(work, report):
            if isinstance(outcome, Failed):
                yield Failed(job_id=outcome.job_id, code="TIMEOUT", message="x", retryable=True)
            else:
                yield outcome


class LeavesCrumbs(ToyProcessor):
    def process(self, work: Work, report: Report) -> Iterator[Outcome]:
        (work.workspace / "crumb").write_text("x")
        yield from super().process(work, report)


class Misnamed(ToyProcessor):
    capabilities = frozenset({"facts"})


FAULTS: list[tuple[type[ToyProcessor], str, dict[str, Any]]] = [
    (Twice, "test_every_task_has_one_outcome", {}),
    (Forgets, "test_every_task_has_one_outcome", {}),
    (WritesElsewhere, "test_files_lie_in_the_workspace", {}),
    (WritesElsewhere, "test_the_source_is_untouched", {}),
    (TouchesTheSource, "test_the_source_is_untouched", {}),
    (LiesAboutKinds, "test_files_are_what_they_say", {}),
    (StatesTooLittle, "test_facts_are_of_the_table", {}),
    (RunsBackwards, "test_progress_is_of_the_tasks_and_bounded", {}),
    (HopesForBetter, "test_an_unreadable_source_fails_for_good", {"content": b"garbage"}),
    (LeavesCrumbs, "test_an_unreadable_source_fails_for_good", {"content": b""}),
    (Misnamed, "test_the_declaration_is_well_formed", {}),
]


@pytest.mark.parametrize(("fault", "name", "extra"), FAULTS, ids=lambda value: str(value))
def test_the_contract_finds_the_fault(
    fault: type[ToyProcessor],
    name: str,
    extra: dict[str, Any],
    toy_source: Source,
    tmp_path: Path,
) -> None:
    """A processor with one fault fails the test of the contract that is about it."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    tasks = tuple(Task(job_id=f"job-{n}", job_type=n) for n in sorted(fault.job_types))
    given = {
        "processor": fault(),
        "source": toy_source,
        "work": Work(
            source=toy_source.path,
            media_type=toy_source.media_type,
            tasks=tasks,
            workspace=workspace,
        ),
        "tmp_path": tmp_path,
        **extra,
    }
    check = getattr(TestToyProcessor(), name)
    wanted = inspect.signature(check).parameters
    with pytest.raises((AssertionError, ValidationFailed)):
        check(**{key: value for key, value in given.items() if key in wanted})
