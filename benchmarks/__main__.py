"""Runs the benchmarks one after the other, each in a process of its own, and keeps what they found."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from . import page, results
from .machine import Machine, load, machine
from .results import Result
from .suites import SUITES, Size, Suite

HERE = Path(__file__).parent


class DidNotRun(Exception):
    """A benchmark ended without figures."""


def run(suite: Suite, size: Size, on: Machine) -> Result:
    """Run a benchmark; what it prints on its way is shown.

    Raises:
        DidNotRun: it ended without figures.
        GoalsDisagree: its bounds are not those of the table of goals.
    """
    before = load()
    if not before.quiet:
        print(f"\nwarning: the machine is not quiet ({before}): these figures are worth little")
    began = datetime.now(UTC)
    document = _document(suite, size)
    return results.result(
        suite.name,
        suite.read(document),
        began=began,
        ended=datetime.now(UTC),
        size=size,
        sizes=suite.sizes[size],
        machine=on,
        load=before,
    )


def _document(suite: Suite, size: Size) -> object:
    with tempfile.TemporaryDirectory(prefix="retaia-bench-") as folder:
        answer = Path(folder) / "figures.json"
        script, options = HERE / f"bench_{suite.name}.py", suite.arguments(size)
        print(f"\n=== {suite.title}: {script.name} {' '.join(options)}", flush=True)
        command = [sys.executable, str(script), *options, "--json", str(answer)]
        done = subprocess.run(command, check=False, cwd=HERE.parent, stdin=subprocess.DEVNULL)
        # Some say by their exit status that a goal was not met; what counts is whether they measured.
        if not answer.exists():
            raise DidNotRun(f"{suite.name} ended with status {done.returncode} and no figures")
        return json.loads(answer.read_text("utf-8"))


def show(measured: Mapping[str, Result]) -> None:
    """Print one table of everything."""
    rows = list(_rows(measured))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print()
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def _rows(measured: Mapping[str, Result]) -> Iterator[tuple[str, ...]]:
    yield "case", "ratio", "goal", ""
    for name, one in measured.items():
        sizes = ", ".join(f"{key} {value}" for key, value in one.sizes.items())
        yield f"{name} ({sizes})", "", "", ""
        for case in one.cases:
            ratio = "" if case.ratio is None else page.figure(case.ratio)
            met = "" if case.met is None else "met" if case.met else "NOT MET"
            yield f"  {case.name}", ratio, case.goal, met


def render() -> None:
    """Write the page of the documentation."""
    page.PLACE.write_text(page.render(results.read()), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [suite.name for suite in SUITES]
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument(
        "--quick",
        dest="size",
        action="store_const",
        const=Size.QUICK,
        default=Size.USUAL,
        help="tiny sizes, to see that everything runs; nothing is kept",
    )
    sizes.add_argument(
        "--full", dest="size", action="store_const", const=Size.FULL, help="a million of everything"
    )
    parser.add_argument("--only", action="append", choices=names, help="may be repeated")
    parser.add_argument("--output", type=Path, help="another place than benchmarks/results.json")
    parser.add_argument(
        "--render", action="store_true", help="measure nothing; write the page of the results"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 where a benchmark did not run, whatever the figures say."""
    given = _parser().parse_args(arguments)
    if given.render:
        render()
        return 0
    place = given.output or (None if given.size is Size.QUICK else results.PLACE)
    chosen = [suite for suite in SUITES if not given.only or suite.name in given.only]
    on, measured, problems = machine(), {}, []
    for suite in chosen:
        try:
            measured[suite.name] = run(suite, given.size, on)
        except (DidNotRun, results.GoalsDisagree) as problem:
            problems.append(str(problem))
            continue
        if place is not None:
            results.write({**results.read(place), suite.name: measured[suite.name]}, place)
    show(measured)
    if place == results.PLACE:
        render()
    for text in problems:
        print(f"problem: {text}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
