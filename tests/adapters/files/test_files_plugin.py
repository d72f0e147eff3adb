"""The plugin offers originals and derived files on mounted folders."""

from __future__ import annotations

import os
from pathlib import Path

from retaia_adapters.files import plugin
from retaia_adapters.files.derived import FilesystemDerived
from retaia_adapters.files.driver import FilesystemDriver
from retaia_core.domain.identifiers import StorageId
from retaia_core.hooks import Role


def test_both_roles_are_offered_under_one_name(root: Path) -> None:
    """Each factory takes what its role is called with."""
    offered = {found.role: found for found in plugin.retaia_providers()}
    assert {found.name for found in offered.values()} == {"files"}
    assert isinstance(offered[Role.ORIGINALS].factory(), FilesystemDriver)
    derived = offered[Role.DERIVED].factory(os.fspath(root), StorageId("nas"))
    assert isinstance(derived, FilesystemDerived)
    assert derived.size("no/thing.jpg") is None
