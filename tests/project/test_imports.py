"""Imports point one way, and the core stays light (the house's first habit)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
LIGHT = {"anyio", "attr", "attrs", "cattr", "cattrs", "pluggy"}
# What the light libraries bring along themselves.
BROUGHT = {"exceptiongroup", "idna", "sniffio", "typing_extensions"}
FOR_PLUGIN_AUTHORS = {"hypothesis", "pytest"}

IMPORT_EVERYTHING = """
import json, sys
from importlib import import_module
from pathlib import Path
before = {name.partition(".")[0] for name in sys.modules}
import retaia_core
root = Path(retaia_core.__file__).parent
files = [path.relative_to(root).with_suffix("").parts for path in root.rglob("*.py")]
parts = [p[:-1] if p[-1] == "__init__" else p for p in files if p[0] not in ("testing", "__main__")]
for name in [".".join(("retaia_core", *p)) for p in parts] if sys.argv[1] == "everything" else ():
    import_module(name)
loaded = {name.partition(".")[0] for name in sys.modules} - before - sys.stdlib_module_names
print(json.dumps(sorted(loaded)))
"""

TIME_THE_IMPORT = """
from time import perf_counter
import attr, attrs, cattrs, pluggy
start = perf_counter()
import retaia_core
print(perf_counter() - start)
"""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Who imports whom, other distributions and the standard library included."""
    return grimp.build_graph(
        "retaia_core", "retaia_agent", include_external_packages=True, cache_dir=None
    )


def _outside(graph: grimp.ImportGraph, package: str, *, without: str = "") -> set[str]:
    inside = graph.find_descendants(package) | {package}
    kept = {name for name in inside if not without or not name.startswith(without)}
    found = {target for name in kept for target in graph.find_modules_directly_imported_by(name)}
    tops = {name.partition(".")[0] for name in found}
    return tops - sys.stdlib_module_names - {"__future__", "retaia_core", "retaia_agent"}


class TestTheCoreIsLight:
    """architecture.md: `retaia_core` imports the standard library, attrs, cattrs, pluggy, anyio."""

    def test_the_core_imports_only_the_light_libraries(self, graph: grimp.ImportGraph) -> None:
        """Outside its test kit, the core names no library but the light ones."""
        assert _outside(graph, "retaia_core", without="retaia_core.testing") <= LIGHT

    def test_the_test_kit_adds_only_the_test_tools(self, graph: grimp.ImportGraph) -> None:
        """What plugin authors get needs pytest and Hypothesis, and nothing else."""
        assert _outside(graph, "retaia_core.testing") <= LIGHT | FOR_PLUGIN_AUTHORS

    def test_the_agent_imports_only_the_light_libraries(self, graph: grimp.ImportGraph) -> None:
        """The agent's transport and processors come through hooks."""
        assert _outside(graph, "retaia_agent") <= LIGHT

    @pytest.mark.parametrize("extent", ["top", "everything"])
    def test_nothing_heavy_is_loaded(self, extent: str) -> None:
        """Importing the core, or all of it, loads no library of a trade."""
        loaded = set(json.loads(_python("-c", IMPORT_EVERYTHING, extent).stdout))
        assert loaded <= LIGHT | BROUGHT | {"retaia_core"}

    def test_the_import_costs_at_most_60_ms(self) -> None:
        """`import retaia_core` costs at most 60 ms beyond attrs, cattrs and pluggy, once undisturbed."""
        seconds: list[float] = []
        while not seconds or (min(seconds) > 0.060 and len(seconds) < 20):
            seconds.append(float(_python("-c", TIME_THE_IMPORT).stdout))
        assert min(seconds) <= 0.060, f"best of {len(seconds)}: {min(seconds) * 1000:.0f} ms"


class TestTheContract:
    """The import contract is kept, and would notice."""

    def test_it_is_kept(self) -> None:
        """Every arrow points as the contract says."""
        result = _lint(ROOT)
        assert result.returncode == 0, result.stdout

    @pytest.mark.parametrize(
        ("module", "text", "broken"),
        [
            ("retaia_core/domain/clock.py", "import time\n", "no clock"),
            ("retaia_core/domain/shortcut.py", "from retaia_core import usecases\n", "the domain"),
            ("retaia_core/usecases/query.py", "import sqlalchemy\n", "library of a trade"),
            ("retaia_agent/shortcut.py", "import retaia_adapters\n", "never on each other"),
            ("retaia_core/attic.py", "", "Inside the core"),
            ("retaia_adapters/attic/__init__.py", "", "do not know each other"),
        ],
    )
    def test_it_bites(self, tmp_path: Path, module: str, text: str, broken: str) -> None:
        """A wrong arrow breaks it, and so does a module that nobody placed."""
        shutil.copytree(
            ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__")
        )
        shutil.copy(ROOT / "pyproject.toml", tmp_path)
        target = tmp_path / "src" / module
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)
        result = _lint(tmp_path)
        failed = [line for line in result.stdout.splitlines() if line.endswith("BROKEN")]
        assert result.returncode == 1
        assert any(broken in line for line in failed), result.stdout


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, timeout=60
    )


def _lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Run the contract over the sources of one checkout, whatever is installed."""
    script = (
        f"import sys; sys.path.insert(0, {str(root / 'src')!r})\n"
        "from importlinter.cli import lint_imports_command\n"
        "lint_imports_command(['--no-cache', '--no-logo'])\n"
    )
    return subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=120
    )
