"""Fixtures and reports of the whole suite."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings
from retaia_tests import components, postgres, secrecy

# A loaded machine is slow, not wrong.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", _PATIENT)
settings.register_profile("ci", _PATIENT, derandomize=True, database=None, print_blob=True)
settings.register_profile("fuzz", _PATIENT, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "dev"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests and fixtures on asyncio, the one event loop that is served."""
    return "asyncio"


@pytest.fixture(scope="session")
def ffprobe() -> str:
    """The path of ffprobe, the independent reader of media files."""
    return components.program("ffprobe")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> postgres.Server:
    """A PostgreSQL server, one for all workers of this run.

    ``RETAIA_TEST_POSTGRES_URL`` names it (a superuser's URL); else a private one is started where
    the server's programs are installed.
    """
    given = os.environ.get(postgres.URL_VARIABLE)
    if given:
        return postgres.Server(url=given)
    programs = postgres.binaries()
    if programs is None:
        components.absent("postgres", "no server's programs, and no RETAIA_TEST_POSTGRES_URL")
    note = _note(tmp_path_factory)
    with FileLock(note.with_suffix(".lock")):
        server = postgres.load(note)
        if server is None:
            server = postgres.start(programs)
            postgres.save(server, note)
    return server


@pytest.fixture
def postgres_url(postgres_server: postgres.Server) -> Iterator[str]:
    """The URL (``postgresql://…``) of a new and empty database of this test."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def new_postgres_database(postgres_server: postgres.Server) -> Iterator[Callable[..., str]]:
    """Make databases for this test: ``new_postgres_database(template=NAME)`` returns a URL."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(postgres_server.database(**options))


def pytest_configure(config: pytest.Config) -> None:
    """Watch every log record of the run for secrets."""
    config.pluginmanager.register(secrecy.begin(), "secrecy")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the server, so that ``-m 'not postgres'`` leaves it out."""
    for item in items:
        if "postgres_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.postgres)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the private server once every worker is done."""
    if hasattr(session.config, "workerinput"):
        return
    factory: pytest.TempPathFactory = session.config._tmp_path_factory  # type: ignore[attr-defined]
    server = postgres.load(_note(factory))
    if server is not None:
        postgres.stop(server)
        _note(factory).unlink()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end which outside components were missing, and what that cost."""
    skipped = terminalreporter.stats.get("skipped", [])
    lines = components.summary(str(report.longrepr[2]) for report in skipped)
    if lines:
        terminalreporter.section("not tested here", yellow=True)
        for line in lines:
            terminalreporter.write_line(line)


def _note(factory: pytest.TempPathFactory) -> Path:
    """The note of the running server lies where the workers of one run meet."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return shared / "postgres.json"
