"""What the tests of media work share: an independent reader, and real recordings where they are."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from retaia_tests import components

Probe = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def ffprobe() -> Probe:
    """Read a file with ffprobe: ``ffprobe(path, "-show_packets", ...)`` gives its JSON.

    Without ffprobe, `components.program` ends the test.
    """
    program = components.program("ffprobe")

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
    """The folder of real recordings beside the repository, or RETAIA_MEDIA."""
    beside = Path(__file__).parents[4] / "shared" / "media"
    folder = Path(os.environ.get("RETAIA_MEDIA", beside))
    if not folder.is_dir():
        components.absent("media", "no folder of real recordings (RETAIA_MEDIA)")
    return folder
