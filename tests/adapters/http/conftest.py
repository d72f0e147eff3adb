"""A served house; modules that override ``store_kind`` run on several stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from retaia_tests.house import House
from retaia_tests.http_house import Served, serve_in_process

from retaia_adapters.sql.store import open_store
from retaia_core.ports.store import Store
from retaia_core.testing.memory_store import MemoryStore


@pytest.fixture
def store_kind() -> str:
    """Which store the house stands on."""
    return "memory"


@pytest.fixture
async def house(
    store_kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[House]:
    """A house with an adopted storage."""
    store: Store = MemoryStore()
    if store_kind == "sqlite":
        store = open_store(f"sqlite:///{tmp_path}/retaia.db", server=False)
    twin: Store | None = None
    if store_kind in ("postgres", "two servers"):
        url = request.getfixturevalue("postgres_url")
        store = open_store(url, server=False)
        twin = open_store(url, server=False) if store_kind == "two servers" else None
    house = House(store=store, twin=twin)
    await house.start()
    if twin is not None:
        await twin.prepare()
    yield house
    await house.store.close()
    if twin is not None:
        await twin.close()


@pytest.fixture
async def served(house: House) -> AsyncIterator[Served]:
    """The house behind its application; every answer is held against the document."""
    async with serve_in_process(house) as served:
        yield served
        assert served.conformance.checked, "the test asked nothing"
