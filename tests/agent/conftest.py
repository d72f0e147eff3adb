"""A storage on disk and a server in memory, with an agent between them."""

from __future__ import annotations

from pathlib import Path

import pytest
from retaia_tests.agent_stage import Stage

from retaia_core.domain.identifiers import StorageId
from retaia_core.domain.storage import MARKER_NAME, Marker, render_marker


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A storage with a marker and an empty inbox, and a server that knows nothing yet."""
    root = tmp_path / "storage"
    (root / "INBOX").mkdir(parents=True)
    (root / MARKER_NAME).write_bytes(render_marker(Marker(storage_id=StorageId("nas"))))
    return Stage(root=root, workspace=tmp_path / "workspace")
