"""What was measured, when, on which machine; kept in ``results.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from attrs import asdict, field, frozen
from cattrs import structure

from .goals import goal_of
from .machine import Load, Machine
from .suites import Case, Sizes

PLACE = Path(__file__).with_name("results.json")


@frozen(kw_only=True)
class Measured:
    """One case: its ratio, the goal as text (empty where there is none), and whether it was met."""

    name: str
    ratio: float | None
    goal: str = ""
    met: bool | None = None
    figures: Mapping[str, float] = field(factory=dict)


@frozen(kw_only=True)
class Result:
    """One run of one benchmark. ``measured_at`` is an ISO time in UTC, ``seconds`` how long it took."""

    measured_at: str
    seconds: float
    size: str
    sizes: Mapping[str, str]
    machine: Machine
    load: Load
    cases: tuple[Measured, ...]


Results = Mapping[str, Result]


class GoalsDisagree(ValueError):
    """A benchmark states another bound than the table of goals, or one that the table lacks."""


def judged(benchmark: str, cases: Iterable[Case]) -> tuple[Measured, ...]:
    """Hold cases against the table of goals.

    Raises:
        GoalsDisagree: as said.
    """
    return tuple(_judged(benchmark, case) for case in cases)


def _judged(benchmark: str, case: Case) -> Measured:
    goal = goal_of(benchmark, case.name)
    bound = None if goal is None else goal.at_least if goal.at_most is None else goal.at_most
    if case.limit is not None and (bound is None or abs(bound - case.limit) > 0.01):
        raise GoalsDisagree(
            f"{benchmark}: {case.name!r} must reach {case.limit:g} as the benchmark says, "
            f"and {goal or 'nothing'} as benchmarks/goals.py says"
        )
    figures = {name: float(f"{value:.5g}") for name, value in case.figures.items()}
    ratio = None if case.ratio is None else float(f"{case.ratio:.4g}")
    if goal is None or case.ratio is None:
        return Measured(name=case.name, ratio=ratio, figures=figures)
    met = goal.met(case.ratio)
    return Measured(name=case.name, ratio=ratio, goal=str(goal), met=met, figures=figures)


def result(
    benchmark: str,
    cases: Iterable[Case],
    *,
    began: datetime,
    ended: datetime,
    size: str,
    sizes: Sizes,
    machine: Machine,
    load: Load,
) -> Result:
    """Put a run together."""
    return Result(
        measured_at=began.isoformat(timespec="seconds"),
        seconds=round((ended - began).total_seconds()),
        size=size,
        sizes={name: str(value) for name, value in sizes.items()},
        machine=machine,
        load=load,
        cases=judged(benchmark, cases),
    )


def read(place: Path = PLACE) -> dict[str, Result]:
    """What was measured so far, by benchmark; nothing where nothing was."""
    if not place.exists():
        return {}
    return structure(json.loads(place.read_text("utf-8")), dict[str, Result])


def write(results: Results, place: Path = PLACE) -> None:
    """Keep results."""
    document = {name: asdict(one) for name, one in sorted(results.items())}
    place.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")
