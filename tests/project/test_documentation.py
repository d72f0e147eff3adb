"""The documentation says what the code does."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that writes the pages of tables."""
    monkeypatch.syspath_prepend(str(DOCS))
    import _generate

    return _generate


def test_the_generated_pages_are_current() -> None:
    """Diagram and tables are what the code says now; `python docs/_generate.py` makes them so."""
    result = subprocess.run(
        [sys.executable, str(DOCS / "_generate.py"), "--check"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr


def test_an_old_page_is_noticed(generator: ModuleType, tmp_path: Path) -> None:
    """A page that was edited, is missing, or that no table makes any more is named."""
    generator.write(tmp_path)
    assert generator.stale(tmp_path) == []
    (tmp_path / "facts.md").write_text("by hand")
    (tmp_path / "locks.md").unlink()
    (tmp_path / "old.md").write_text("")
    assert sorted(generator.stale(tmp_path)) == ["facts.md", "locks.md", "old.md"]


def test_the_diagram_has_every_state_and_every_row(generator: ModuleType) -> None:
    """No state is without a box, and no row of the table without an arrow."""
    from _diagram import PLACES, arrows

    from retaia_core.domain.lifecycle import TRANSITIONS, State

    assert set(PLACES) == set(State)
    drawn = {(arrow.source, arrow.target, arrow.actor) for arrow in arrows(TRANSITIONS)}
    assert drawn == {(rule.source, rule.target, rule.actor) for rule in TRANSITIONS}


def test_decisions_have_numbers_of_their_own() -> None:
    """A decision's page is `NNNN-title.md`, begins with its number, and shares it with no other."""
    pages = sorted(path for path in (DOCS / "decisions").glob("*.md") if path.name != "index.md")
    numbers = [page.name.partition("-")[0] for page in pages]
    assert [number for number, count in Counter(numbers).items() if count > 1] == []
    for page, number in zip(pages, numbers, strict=True):
        assert page.read_text().startswith(f"# {number} ")


def test_the_readmes_examples_run() -> None:
    """What the README shows at a Python prompt is what Python answers."""
    result = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert result.attempted > 0
    assert result.failed == 0


def test_ci_runs_the_readmes_test_command() -> None:
    """The command that a newcomer is given is the one that decides."""
    given = re.findall(r"\.venv/bin/nox (--no-venv -s tests)$", README, re.MULTILINE)
    run = (ROOT / ".ci" / "run").read_text()
    assert given == ["--no-venv -s tests"]
    assert re.search(r'^step "tests" \d+ "\$venv/bin/nox" --no-venv -s tests$', run, re.MULTILINE)
