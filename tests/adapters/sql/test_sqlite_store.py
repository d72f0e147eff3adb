"""The store on SQLite keeps the port's contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from retaia_adapters.sql.store import open_store as open_sql
from retaia_core.ports.store import Store
from retaia_core.testing.conformance import StoreContract
from retaia_core.testing.conformance.database import OpenStore


class TestSqliteStore(StoreContract):
    """The whole contract, on a file."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        """Open the one database of this test."""

        async def opened() -> Store:
            return open_sql(f"sqlite:///{tmp_path}/data/retaia.db", server=False)

        return opened
