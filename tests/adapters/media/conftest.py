"""What the tests of media work share: an independent reader, and real recordings where they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Probe = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def ffprobe() -> Probe:
    """Read a file with ffprobe: ``ffprobe(path, "-show_packets", ...)`` gives its JSON.

    Without ffprobe the test is skipped; with RETAIA_REQUIRE_FFPROBE=1 it fails.
    """
    program = shutil.which("ffprobe")
    if program is None:
        if os.environ.get("RETAIA_REQUIRE_FFPROBE") == "1":
            pytest.fail("ffprobe is required and not installed")
        pytest.skip("ffprobe is not installed")

    def read(path: Path, *options: str) -> dict[str, Any]:
        wanted = options or ("-show_streams", "-show_format")
        command = [program, "-v", "error", "-of", "json", *wanted, str(path)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        assert not done.stderr, done.stderr.decode()
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return read


@pytest.fixture(scope="session")
def real_media() -> Path:
    """The folder of real recordings beside the repository, or RETAIA_MEDIA; skipped where there is none."""
    beside = Path(__file__).parents[4] / "shared" / "media"
    folder = Path(os.environ.get("RETAIA_MEDIA", beside))
    if not folder.is_dir():
        pytest.skip("no folder of real recordings (RETAIA_MEDIA)")
    return folder
