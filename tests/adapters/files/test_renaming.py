"""Renaming by a second name: what stands where a disk fails in the middle."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from retaia_tests.disks import failing

from retaia_adapters.files import renaming


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_where_the_sync_fails_both_names_are_left(tmp_path: Path, code: int) -> None:
    """Nothing is taken back: another who took the move up may have removed the first name meanwhile."""
    source, target = tmp_path / "A.mov", tmp_path / "B.mov"
    source.write_bytes(b"content")
    with pytest.raises(OSError, match="both names") as raised:
        renaming.by_link(failing("fsync", code), str(source), str(target))
    assert raised.value.errno == errno.EIO
    assert source.samefile(target)
