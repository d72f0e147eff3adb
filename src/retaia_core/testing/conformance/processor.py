"""The contract of the processor port: one outcome a task, files in the workspace, the source untouched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest
from attrs import evolve, field, frozen

from ...domain.derived import DERIVED_KINDS, Sample, check_content
from ...domain.facts import Facts, missing_facts, parse_facts
from ...domain.identifiers import parse_capability, parse_name
from ...domain.job_types import JOB_TYPES
from ...domain.media import MediaType
from ...ports.processor import Done, Failed, Outcome, Processor, Progress, Task, Work

KINDS = {kind.name: kind for kind in DERIVED_KINDS}
FATAL = {job_type.name: job_type.fatal for job_type in JOB_TYPES}


@frozen(kw_only=True)
class Source:
    """A source file that the processor can work on.

    ``parameters`` are given to the tasks by job type; ``failing`` maps the job types that rightly fail
    on it (a waveform where there is no audio track) to their code.
    """

    path: Path
    media_type: MediaType
    facts: Facts = field(factory=dict)
    parameters: Mapping[str, Mapping[str, object]] = field(factory=dict)
    failing: Mapping[str, str] = field(factory=dict)


@frozen
class _State:
    """All of a file that a reader must leave alone."""

    content: bytes
    mtime_ns: int
    mode: int
    neighbours: frozenset[str]

    @classmethod
    def of(cls, path: Path) -> _State:
        stat = path.stat()
        names = frozenset(entry.name for entry in path.parent.iterdir())
        return cls(path.read_bytes(), stat.st_mtime_ns, stat.st_mode, names)


def run(
    processor: Processor, work: Work, reported: list[Progress] | None = None
) -> dict[str, Outcome]:
    """Do the work, and return the outcome of each task by job type.

    Fails where a task has no outcome, two, or one was not asked for.
    """
    reports = [] if reported is None else reported
    outcomes = list(processor.process(work, reports.append))
    types = {task.job_id: task.job_type for task in work.tasks}
    assert sorted(outcome.job_id for outcome in outcomes) == sorted(types)
    return {types[outcome.job_id]: outcome for outcome in outcomes}


class ProcessorContract:
    """What every processor must do.

    Subclass it, name the subclass ``Test…``, and override the fixtures ``processor`` and ``source``;
    give ``source`` parameters for more than one. Set ``reads_source`` to False where the work is done
    on facts or derived files alone.
    """

    reads_source = True

    @pytest.fixture
    def processor(self) -> Processor:
        """Override this: return the processor."""
        raise NotImplementedError(f"{type(self).__name__} must define the fixture `processor`")

    @pytest.fixture
    def source(self) -> Source:
        """Override this: return a source that the processor can read, in a folder of its own."""
        raise NotImplementedError(f"{type(self).__name__} must define the fixture `source`")

    @pytest.fixture
    def work(self, processor: Processor, source: Source, tmp_path: Path) -> Work:
        """A bundle of every job type that the processor accepts."""
        availability = processor.availability()
        if not availability.available:
            pytest.skip(f"{processor.name} cannot work here: {availability.reason}")
        workspace = tmp_path / "workspace"
        workspace.mkdir()
        return Work(
            source=source.path,
            media_type=source.media_type,
            tasks=tuple(
                Task(
                    job_id=f"job-{name}", job_type=name, parameters=source.parameters.get(name, {})
                )
                for name in sorted(processor.job_types)
            ),
            workspace=workspace,
            facts=source.facts,
        )

    def test_the_declaration_is_well_formed(self, processor: Processor) -> None:
        """Name and version are texts, capabilities and job types obey their grammar, none is empty."""
        assert processor.name
        assert processor.version
        assert processor.capabilities
        assert processor.job_types
        for capability in processor.capabilities:
            assert parse_capability(capability) == capability
        for name in processor.job_types:
            assert parse_name(name, "job type") == name

    def test_absence_has_a_reason(self, processor: Processor) -> None:
        """A processor that cannot work here says what is missing."""
        availability = processor.availability()
        assert availability.available or availability.reason

    def test_every_task_has_one_outcome(
        self, processor: Processor, source: Source, work: Work
    ) -> None:
        """A bundle succeeds but for what rightly fails, which has its own code."""
        for job_type, outcome in run(processor, work).items():
            if job_type in source.failing:
                assert isinstance(outcome, Failed)
                assert outcome.code == source.failing[job_type]
                assert outcome.message
            else:
                assert isinstance(outcome, Done), outcome

    def test_a_task_alone_does_what_it_does_in_a_bundle(
        self, processor: Processor, work: Work, tmp_path: Path
    ) -> None:
        """Facts and the kinds of files do not depend on what else is asked for."""
        together = run(processor, work)
        for task in work.tasks:
            workspace = tmp_path / f"alone-{task.job_type}"
            workspace.mkdir()
            alone = run(processor, evolve(work, tasks=(task,), workspace=workspace))
            assert _shape(alone[task.job_type]) == _shape(together[task.job_type])

    def test_no_task_is_no_work(self, processor: Processor, work: Work) -> None:
        """An empty bundle yields nothing and writes nothing."""
        assert run(processor, evolve(work, tasks=())) == {}
        assert list(work.workspace.iterdir()) == []

    def test_files_lie_in_the_workspace(self, processor: Processor, work: Work) -> None:
        """Each file named is there, is regular, not empty, and nobody else's."""
        seen: set[Path] = set()
        for outcome in run(processor, work).values():
            for file in outcome.files if isinstance(outcome, Done) else ():
                assert file.path.resolve().is_relative_to(work.workspace.resolve())
                assert file.path.is_file()
                assert not file.path.is_symlink()
                assert file.path.stat().st_size > 0
                assert file.path not in seen
                seen.add(file.path)

    def test_files_are_what_they_say(self, processor: Processor, work: Work) -> None:
        """Files of a built-in kind pass the checks of an upload; indexes count from 0 without gaps."""
        for outcome in run(processor, work).values():
            indexes: dict[str, list[int]] = defaultdict(list)
            for file in outcome.files if isinstance(outcome, Done) else ():
                indexes[file.kind].append(file.index)
                if file.kind in KINDS:
                    content = file.path.read_bytes()
                    assert file.content_type in KINDS[file.kind].suffixes
                    sample = Sample(head=content[:4096], size_bytes=len(content), content=content)
                    check_content(KINDS[file.kind], file.content_type, sample)
            for numbers in indexes.values():
                assert sorted(numbers) == list(range(len(numbers)))

    def test_facts_are_of_the_table(self, processor: Processor, source: Source, work: Work) -> None:
        """Facts pass their table, and ``extract_facts`` states the minimum of the media type."""
        for job_type, outcome in run(processor, work).items():
            if isinstance(outcome, Done):
                assert parse_facts(outcome.facts) == outcome.facts
                if job_type == "extract_facts":
                    assert missing_facts(outcome.facts, source.media_type) == ()

    def test_the_source_is_untouched(
        self, processor: Processor, source: Source, work: Work
    ) -> None:
        """Content, mtime, mode and neighbours of the source are as before."""
        before = _State.of(source.path)
        run(processor, work)
        assert _State.of(source.path) == before

    def test_work_done_again_says_the_same(
        self, processor: Processor, work: Work, tmp_path: Path
    ) -> None:
        """A second run has the same facts and the same kinds of files."""
        workspace = tmp_path / "again"
        workspace.mkdir()
        first, second = run(processor, work), run(processor, evolve(work, workspace=workspace))
        assert {name: _shape(outcome) for name, outcome in first.items()} == {
            name: _shape(outcome) for name, outcome in second.items()
        }

    def test_progress_is_of_the_tasks_and_bounded(self, processor: Processor, work: Work) -> None:
        """Reports name tasks of the bundle, never run backwards, and end within their total."""
        reported: list[Progress] = []
        run(processor, work, reported)
        last: dict[str, int] = defaultdict(int)
        for progress in reported:
            assert progress.job_id in {task.job_id for task in work.tasks}
            assert last[progress.job_id] <= progress.current
            assert progress.total == 0 or progress.current <= progress.total
            last[progress.job_id] = progress.current

    @pytest.mark.parametrize(
        "content", [b"", b"no media at all\n" * 500, None], ids=["empty", "garbage", "absent"]
    )
    def test_an_unreadable_source_fails_for_good(
        self,
        processor: Processor,
        source: Source,
        work: Work,
        tmp_path: Path,
        content: bytes | None,
    ) -> None:
        """Every task fails with a fatal code and a sentence, and no file is left behind."""
        if not self.reads_source:
            pytest.skip(f"{processor.name} does not read the source")
        folder = tmp_path / "unreadable"
        folder.mkdir()
        path = folder / source.path.name
        if content is not None:
            path.write_bytes(content)
        for job_type, outcome in run(processor, evolve(work, source=path)).items():
            assert isinstance(outcome, Failed), outcome
            assert not outcome.retryable
            assert outcome.message
            assert str(folder) not in outcome.message
            if job_type in FATAL:
                assert outcome.code in FATAL[job_type]
        assert [entry for entry in work.workspace.rglob("*") if entry.is_file()] == []


def _shape(outcome: Outcome) -> object:
    """What must be the same whenever a task is done on one source."""
    if isinstance(outcome, Failed):
        return outcome.code, outcome.retryable
    files = sorted((file.kind, file.index, file.content_type) for file in outcome.files)
    return outcome.facts, files
