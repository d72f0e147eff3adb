"""The page of the documentation that shows the results, written from ``results.json``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from .goals import GOALS, Goal
from .results import Measured, Result, Results
from .suites import SUITES, Suite

PLACE = Path(__file__).parents[1] / "docs" / "reference" / "benchmarks.md"

_HEAD = """\
<!-- Written by `python -m benchmarks --render` from benchmarks/results.json; do not edit. -->

# Benchmarks

What is measured beside what, the goal of each, and what came out. Every figure is a ratio of two
contenders that took turns in one run on one machine, the median of the rounds: a ratio travels to another
machine better than seconds do. Goals that were not met are shown like the others.

```console
$ pip install -e '.[dev,bench]'
$ python -m benchmarks              # all of them, in about half an hour
$ python -m benchmarks --quick      # only to see that they run: the figures say nothing
$ python -m benchmarks --full       # with a million files, jobs and assets
$ python -m benchmarks --only scan  # one of them; the results of the others stay
```

`ffmpeg` and `ffprobe` must be installed, and `chromium` for the interface, whose benchmark takes real media
from `RETAIA_MEDIA`. PostgreSQL, Procrastinate and pgqueuer take part where they are.
No test compares times; a busy machine makes a figure worthless, never a check red."""


def render(results: Results) -> str:
    """The whole page, in Markdown."""
    parts = [_HEAD, "## Goals", _goals(results)]
    for suite in SUITES:
        parts += [f"## {suite.title}", *_suite(suite, results.get(suite.name))]
    parts += _machines(results)
    return "\n\n".join(parts) + "\n"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(
        "| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines
    )


def figure(value: float) -> str:
    """A number as a person reads it.

    >>> figure(12345.6), figure(0.0274), figure(3.0)
    ('12,346', '0.0274', '3')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def verdict(met: bool | None) -> str:
    """Whether a goal was met, in a word."""
    return "" if met is None else "met" if met else "**not met**"


def _goals(results: Results) -> str:
    rows = ((goal.compares, str(goal), *_standing(goal, results)) for goal in GOALS)
    return table(("compared", "goal", "worst case", ""), rows)


def _standing(goal: Goal, results: Results) -> tuple[str, str]:
    measured = results.get(goal.benchmark)
    cases = measured.cases if measured else ()
    ratios = [c.ratio for c in cases if c.ratio is not None and goal.names(goal.benchmark, c.name)]
    if not ratios:
        return "", "not measured yet"
    met = sum(goal.met(ratio) for ratio in ratios)
    worst = figure(goal.worst(ratios))
    if met == len(ratios):
        return worst, verdict(met=True)
    return worst, verdict(met=False) if not met else f"**met in {met} of {len(ratios)} cases**"


def _suite(suite: Suite, measured: Result | None) -> Iterator[str]:
    if measured is None:
        yield f"`benchmarks/bench_{suite.name}.py` was not measured yet."
        return
    sizes = ", ".join(f"{name} {value}" for name, value in measured.sizes.items())
    said = f"`benchmarks/bench_{suite.name}.py`, {measured.measured_at}: {sizes}."
    if not measured.load.quiet:
        said += f" **The machine was not quiet before it** ({measured.load})."
    yield said
    yield table(("case", "ratio", "goal", "", "figures"), map(_row, measured.cases))


def _row(case: Measured) -> tuple[str, ...]:
    figures = ", ".join(f"{name.replace('_', ' ')} {figure(v)}" for name, v in case.figures.items())
    ratio = "" if case.ratio is None else figure(case.ratio)
    return case.name, ratio, case.goal, verdict(case.met), figures


def _machines(results: Results) -> Iterator[str]:
    """The machine, once where all was measured on the same."""
    seen: dict[str, list[str]] = {}
    for suite in SUITES:
        if one := results.get(suite.name):
            m = one.machine
            versions = ", ".join(f"{name} {version}" for name, version in m.versions.items())
            text = (
                f"{m.cores} cores of {m.processor}, {m.memory:g} GiB of memory, {m.system}, "
                f"{m.python}; {versions}."
            )
            seen.setdefault(text, []).append(suite.title)
    if seen:
        yield "## The machine"
    for text, titles in seen.items():
        yield text if len(seen) == 1 else f"{', '.join(titles)}: {text}"
