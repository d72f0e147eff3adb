"""Mounted folders, registered the way any other distribution registers its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from retaia_core.domain.identifiers import StorageId
from retaia_core.hooks import Provider, Role, hookimpl
from retaia_core.ports.copies import Copies
from retaia_core.ports.derived_storage import DerivedStorage
from retaia_core.ports.originals import OriginalsDriver
from retaia_core.ports.processor import Processor

from .copies import FolderCopies
from .derived import FilesystemDerived
from .driver import FilesystemDriver
from .fingerprint import FingerprintProcessor


def _driver() -> OriginalsDriver:
    return FilesystemDriver()


def _derived(root: str, storage_id: StorageId) -> DerivedStorage:
    return FilesystemDerived(Path(root), storage_id)


def _copies(root: str, places: Mapping[str, str]) -> Copies:
    return FolderCopies(Path(root), places)


@hookimpl
def retaia_processors() -> Iterable[Processor]:
    """Digests of whole files, which need nothing but this package."""
    return (FingerprintProcessor(),)


@hookimpl
def retaia_providers() -> Iterable[Provider]:
    """Originals, derived files and other copies by the name ``files``."""
    return [
        Provider(role=Role.ORIGINALS, name="files", factory=_driver),
        Provider(role=Role.DERIVED, name="files", factory=_derived),
        Provider(role=Role.COPIES, name="files", factory=_copies),
    ]
