"""Machines and footage for stories in a browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from retaia_tests import barriers, components
from retaia_tests.browser import Browser, browser
from retaia_tests.machine import Machine

ROOT = Path(__file__).parents[2]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with the default store."""
    components.program("chromium")
    home = tmp_path / "home"
    home.mkdir()
    return Machine(home=home)


@pytest.fixture(params=["sqlite", "postgresql"])
def either_machine(request: pytest.FixtureRequest, machine: Machine) -> Iterator[Machine]:
    """That machine, and one whose store is PostgreSQL."""
    if request.param == "sqlite":
        yield machine
        return
    with request.getfixturevalue("postgres_server").database() as url:
        yield Machine(home=machine.home, variables={"RETAIA_STORE_URL": url})


@pytest.fixture
def media() -> Path:
    """Real media, which lie beside the checkout."""
    given = os.environ.get("RETAIA_MEDIA")
    found = Path(given) if given else ROOT.parent / "shared" / "media"
    if not found.is_dir():
        components.absent("media", f"no folder {found.name} with real media beside the checkout")
    return found


@pytest.fixture
def footage(tmp_path: Path, media: Path) -> Path:
    """A storage with real media in its inbox, that nobody adopted yet."""
    storage = tmp_path / "storage"
    shutil.copytree(media, storage / "INBOX", ignore=shutil.ignore_patterns("README.md"))
    return storage


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Browser]:
    """A person's browser."""
    with browser(tmp_path / "profile") as page:
        page.look()
        yield page


@pytest.fixture
def axe() -> str:
    """What looks for barriers."""
    if not barriers.AXE.exists():
        components.absent("axe", "nox -s web brings axe-core")
    return barriers.AXE.read_text("utf-8")
