"""The command ``retaia`` as its user runs it: a process of its own, real files, a real server and agent."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from retaia_tests import components
from retaia_tests.machine import Machine

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """A machine whose store is SQLite, and one whose store is PostgreSQL, by one setting."""
    home = tmp_path / "home"
    home.mkdir()
    if request.param == "sqlite":
        yield Machine(home=home)
        return
    server = request.getfixturevalue("postgres_server")
    with server.database() as url:
        yield Machine(home=home, variables={"RETAIA_STORE_URL": url})


@pytest.fixture
def sqlite_machine(tmp_path: Path) -> Machine:
    """A machine with the default store."""
    home = tmp_path / "home"
    home.mkdir()
    return Machine(home=home)


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    """A copy of the real media, in the inbox of a folder that nobody adopted yet."""
    given = os.environ.get("RETAIA_MEDIA")
    media = Path(given) if given else ROOT.parent / "shared" / "media"
    if not media.is_dir():
        components.absent("media", f"no folder {media.name} with real media beside the checkout")
    storage = tmp_path / "storage"
    shutil.copytree(media, storage / "INBOX", ignore=shutil.ignore_patterns("README.md"))
    return storage


@pytest.fixture(scope="session")
def probe() -> Callable[[Path], dict[str, Any]]:
    """The independent reader of media files."""
    program = components.program("ffprobe")

    def read(path: Path) -> dict[str, Any]:
        done = subprocess.run(
            [program, "-v", "error", "-of", "json", "-show_streams", "-show_format", str(path)],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return read
