"""Originals and derived files on mounted folders, registered like anybody else's."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from retaia_core.domain.identifiers import StorageId
from retaia_core.hooks import Provider, Role, hookimpl

from .derived import FilesystemDerived
from .driver import FilesystemDriver


def _derived(root: str, storage_id: StorageId) -> FilesystemDerived:
    return FilesystemDerived(Path(root), storage_id)


@hookimpl
def retaia_providers() -> Iterable[Provider]:
    """``files`` for both roles."""
    return (
        Provider(role=Role.ORIGINALS, name="files", factory=FilesystemDriver),
        Provider(role=Role.DERIVED, name="files", factory=_derived),
    )
