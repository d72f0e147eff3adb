"""Fixtures of the photo tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from retaia_tests import components


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """A folder with files of real cameras and recorders; tests that need it are skipped without it."""
    beside = Path(__file__).parents[5] / "shared" / "media"
    folder = Path(os.environ.get("RETAIA_MEDIA", beside))
    if not folder.is_dir():
        components.absent("media", "no folder of real files (RETAIA_MEDIA names one)")
    return folder
