"""The in-memory ports keep the contracts that every implementation must keep."""

from __future__ import annotations

import pytest
from attrs import frozen

from retaia_core.domain.identifiers import StorageId
from retaia_core.ports.derived_storage import DerivedStorage
from retaia_core.ports.store import Store
from retaia_core.testing.conformance import (
    CopiesContract,
    DerivedStorageContract,
    OriginalsContract,
    StoreContract,
)
from retaia_core.testing.conformance.copies import PLACE, CopiesStage
from retaia_core.testing.conformance.database import OpenStore
from retaia_core.testing.conformance.originals import Stage
from retaia_core.testing.memory_copies import MemoryCopies
from retaia_core.testing.memory_files import MemoryDerived, MemoryOriginals
from retaia_core.testing.memory_store import MemoryStore


class TestMemoryStore(StoreContract):
    @pytest.fixture(params=[False, True], ids=["once", "rehearsed"])
    def open_store(self, request: pytest.FixtureRequest) -> OpenStore:
        rehearse: bool = request.param

        async def opened() -> Store:
            return MemoryStore(rehearse=rehearse)

        return opened


@frozen
class MemoryStage(Stage):
    """A storage in memory, arranged from outside."""

    originals: MemoryOriginals

    @property
    def storage_id(self) -> StorageId:
        return self.originals.storage_id

    def put(self, path: str, content: bytes, mtime_ns: int) -> None:
        self.originals.add(path, content, mtime_ns)

    def content(self, path: str) -> bytes | None:
        file = self.originals.files.get(path)
        return file.content if file else None

    def set_marker(self, content: bytes | None) -> None:
        self.originals.marker = content


class TestMemoryOriginals(OriginalsContract):
    @pytest.fixture
    def stage(self) -> Stage:
        return MemoryStage(MemoryOriginals())


class TestMemoryDerived(DerivedStorageContract):
    @pytest.fixture
    def derived(self) -> DerivedStorage:
        return MemoryDerived()


class MemoryCopiesStage:
    """A place in memory."""

    def __init__(self) -> None:
        self.copies = MemoryCopies(PLACE)

    def put_original(self, path: str, content: bytes, mtime_ns: int) -> None:
        """Originals are somewhere else."""

    def put_copy(self, path: str, content: bytes, mtime_ns: int) -> None:
        self.copies.add(PLACE, path, content)

    def remove_copy(self, path: str) -> None:
        del self.copies.places[PLACE][path]

    def name_original(self, original: str, path: str) -> None:
        self.copies.add(PLACE, path, b"", same_as=original)

    def take_place_away(self) -> None:
        self.copies.away.add(PLACE)


class TestMemoryCopies(CopiesContract):
    @pytest.fixture
    def stage(self) -> CopiesStage:
        return MemoryCopiesStage()
