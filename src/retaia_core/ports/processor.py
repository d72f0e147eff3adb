"""The processor port: what does the work of one or more job types on a source file.

A processor runs inside a worker process of an agent, with a read-only source, an empty workspace and
limits of time and memory. It is synchronous, and it may die: the agent outlives it.

One call gets all the tasks of one asset that the processor can do (a *bundle*), so that a source is
decoded once and every output is a consumer of the same frames. Outcomes are yielded as soon as they
are there: facts and thumbnails do not wait for the proxy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from attrs import field, frozen

from ..domain.facts import Facts
from ..domain.media import MediaType


@frozen(kw_only=True)
class Task:
    """One job, as a processor sees it. ``parameters`` were validated against the job type's table."""

    job_id: str
    job_type: str
    parameters: Mapping[str, object] = field(factory=dict)


@frozen(kw_only=True)
class Work:
    """A bundle: the source, what is to be made of it, and where results may be written.

    ``source`` must only be read. ``workspace`` is an empty folder of this call; files named in
    outcomes lie in it. ``derived_inputs`` are the derived files that the tasks asked for, by kind.
    ``sidecars`` are those files of the group that could be found; they too must only be read.
    """

    source: Path
    media_type: MediaType
    tasks: tuple[Task, ...]
    workspace: Path
    facts: Facts = field(factory=dict)
    derived_inputs: Mapping[str, tuple[Path, ...]] = field(factory=dict)
    sidecars: tuple[Path, ...] = ()


@frozen(kw_only=True)
class Progress:
    """How far a task is: ``current`` of ``total`` (any unit; total 0 where unknown), and a short text."""

    job_id: str
    current: int
    total: int
    text: str = ""


@frozen(kw_only=True)
class DerivedFile:
    """One derived file in the workspace. ``index`` orders several of one kind, from 0."""

    kind: str
    path: Path
    content_type: str
    index: int = 0


@frozen(kw_only=True)
class Done:
    """A task succeeded.

    ``facts`` is for ``extract_facts``; ``files`` for derived kinds; ``data`` for job types with a
    result of their own (plain JSON data). Warnings are honest sentences for a person.
    """

    job_id: str
    facts: Facts = field(factory=dict)
    files: tuple[DerivedFile, ...] = ()
    data: Mapping[str, object] = field(factory=dict)
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, object] = field(factory=dict)


@frozen(kw_only=True)
class Failed:
    """A task failed: a stable ``code``, a sentence for a person, and whether a new try may help."""

    job_id: str
    code: str
    message: str
    retryable: bool


Outcome = Done | Failed
Report = Callable[[Progress], None]


@frozen(kw_only=True)
class Availability:
    """Whether a processor can work here; where not, ``reason`` says what is missing and how to get it."""

    available: bool
    reason: str = ""


class Processor(Protocol):
    """Does the work of some job types.

    ``name`` and ``version`` go into every result's record: a result is a function of the source's
    digest, the job type, ``version`` and the parameters. ``capabilities`` are what an agent with this
    processor declares (``domain.function@major``), where `availability` allows it.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def capabilities(self) -> frozenset[str]: ...

    @property
    def job_types(self) -> frozenset[str]:
        """The job types that `process` accepts."""
        ...

    def availability(self) -> Availability:
        """Say whether the libraries and models that the work needs are here; loads nothing heavy."""
        ...

    def process(self, work: Work, report: Report) -> Iterator[Outcome]:
        """Do the tasks, and yield exactly one outcome for each, in any order.

        A source that cannot be read yields `Failed` with ``SOURCE_UNREADABLE`` for each task; an
        exception that escapes is a bug, which the agent turns into a failure of the tasks left.
        """
        ...
