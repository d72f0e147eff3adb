"""The store on PostgreSQL keeps the port's contract."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import psycopg
import pytest
from retaia_tests.postgres import Server

from retaia_adapters.sql.schema import metadata
from retaia_adapters.sql.store import open_store as open_sql
from retaia_core.ports.store import Store
from retaia_core.testing.conformance import StoreContract
from retaia_core.testing.conformance.database import OpenStore


async def _prepared(url: str) -> None:
    store = open_sql(url)
    await store.prepare()
    await store.close()


@pytest.fixture(scope="module")
def database(postgres_server: Server) -> Iterator[str]:
    """Prepare one database for all tests of this module."""
    with postgres_server.database() as url:
        anyio.run(_prepared, url)
        yield url


class TestPostgresStore(StoreContract):
    """The whole contract, on a server."""

    @pytest.fixture
    def open_store(self, database: str) -> OpenStore:
        """Empty the database, and open it."""
        tables = ", ".join(metadata.tables)
        with psycopg.connect(database) as connection:
            connection.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")

        async def opened() -> Store:
            return open_sql(database)

        return opened
