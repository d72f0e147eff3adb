"""Benchmarks have their goals named, and the page shows what was measured; nothing is timed here."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks"
NAMES = sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))
UTC_NOW = "2026-01-02T03:04:05+00:00"


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The package, with its modules."""
    monkeypatch.syspath_prepend(str(ROOT))
    import benchmarks
    import benchmarks.__main__

    return benchmarks


def document(rows: list[tuple[str, float, object]]) -> list[dict[str, object]]:
    """Rows as the benchmarks write them."""
    return [{"what": name, "ratio": ratio, "limit": limit} for name, ratio, limit in rows]


def result_of(benchmarks: ModuleType, name: str, rows: list[tuple[str, float, object]]) -> object:
    """A result as a run would keep it."""
    suites, results, machine = benchmarks.suites, benchmarks.results, benchmarks.machine
    (suite,) = (suite for suite in suites.SUITES if suite.name == name)
    return results.Result(
        measured_at=UTC_NOW,
        seconds=1,
        size="quick",
        sizes={"rounds": "1"},
        machine=machine.Machine(
            cores=2, processor="P", memory=4.0, system="S", python="Y", versions={"av": "18"}
        ),
        load=machine.Load(average=0.1, busy=0.0),
        cases=results.judged(name, suite.read(document(rows))),
    )


def test_every_benchmark_is_run_and_has_goals(benchmarks: ModuleType) -> None:
    """Each script is in the table of what is run, and in that of what must be reached."""
    assert sorted(suite.name for suite in benchmarks.suites.SUITES) == NAMES
    assert sorted({goal.benchmark for goal in benchmarks.goals.GOALS}) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_takes_the_options_that_it_is_given(
    benchmarks: ModuleType, name: str
) -> None:
    """A script starts, and knows each option of each size, and where to write its figures."""
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"bench_{name}.py"), "--help"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    (suite,) = (suite for suite in benchmarks.suites.SUITES if suite.name == name)
    options = {f"--{option}" for sizes in suite.sizes.values() for option in sizes}
    assert {o for o in (*options, "--json") if f"{o} " not in done.stdout} == set()


def test_the_examples_in_docstrings_are_true(benchmarks: ModuleType) -> None:
    """What the docstrings show is what comes out."""
    for module in (benchmarks.goals, benchmarks.page):
        found = doctest.testmod(module)
        assert found.attempted > 0
        assert found.failed == 0


def test_results_are_judged_by_the_table(benchmarks: ModuleType) -> None:
    """What `results.json` says of goals is what the table of goals says of its ratios."""
    for name, result in benchmarks.results.read().items():
        for case in result.cases:
            goal = benchmarks.goals.goal_of(name, case.name)
            assert case.goal == (str(goal) if goal and case.ratio else "")
            assert case.met == (goal.met(case.ratio) if goal and case.ratio else None)


def test_only_whole_runs_are_kept(benchmarks: ModuleType) -> None:
    """A quick run says nothing, and is not in `results.json`."""
    sizes = {one.size for one in benchmarks.results.read().values()}
    assert sizes <= {"usual", "full"}


def test_the_page_shows_the_results(benchmarks: ModuleType) -> None:
    """The page is what the results make; `python -m benchmarks --render` writes it."""
    page = benchmarks.page
    assert page.PLACE.read_text(encoding="utf-8") == page.render(benchmarks.results.read())


def test_a_goal_that_was_not_met_is_shown(benchmarks: ModuleType) -> None:
    """The page hides no miss: neither in the table of goals nor among the cases."""
    rows: list[tuple[str, float, object]] = [
        ("PostgreSQL, 1 callers: pairs/s beside Procrastinate's", 2.5, ">= 5"),
        ("PostgreSQL, batches of 100: jobs/s beside pgqueuer's", 1.5, ">= 1"),
    ]
    text = benchmarks.page.render({"store": result_of(benchmarks, "store", rows)})
    missed = [line for line in text.splitlines() if "Procrastinate's" in line and "2.5" in line]
    kept = [line for line in text.splitlines() if "pgqueuer's" in line and "1.5" in line]
    assert [line.count("**not met**") for line in missed] == [1, 1]
    assert [line.count("| met |") for line in kept] == [1, 1]


def test_two_bounds_for_one_case_are_an_error(benchmarks: ModuleType) -> None:
    """A benchmark whose own bound is not that of the table is refused, and so is one without a goal."""
    procrastinate = "PostgreSQL, 1 callers: pairs/s beside Procrastinate's"
    for name, limit in ((procrastinate, ">= 4"), ("something else", "<= 2")):
        with pytest.raises(benchmarks.results.GoalsDisagree, match=name):
            result_of(benchmarks, "store", [(name, 2.0, limit)])


def test_results_are_kept_as_they_were(benchmarks: ModuleType, tmp_path: Path) -> None:
    """What is written is what is read."""
    rows: list[tuple[str, float, object]] = [("SQLite: µs per asset of a first scan", 0, "")]
    kept = {"store": result_of(benchmarks, "store", rows)}
    benchmarks.results.write(kept, tmp_path / "results.json")
    assert benchmarks.results.read(tmp_path / "results.json") == kept


def test_flat_is_judged_across_queues(benchmarks: ModuleType) -> None:
    """The rate at the longest queue is held against that at the shortest, for each way to claim."""
    rows = [
        {"what": f"SQLite, {n} queued, durable, 1 caller: pairs/s beside", "ratio": 1, "rate": rate}
        for n, rate in (("1,000", 100.0), ("20,000", 90.0), ("1,000,000", 50.0))
    ]
    store = next(suite for suite in benchmarks.suites.SUITES if suite.name == "store")
    *_, flat = store.read(rows)
    assert flat.name.startswith("SQLite, durable, 1 caller: pairs/s at the longest queue")
    assert flat.ratio == pytest.approx(0.5)
    assert benchmarks.goals.goal_of("store", flat.name).met(flat.ratio) is False
