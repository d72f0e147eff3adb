"""SQLite and PostgreSQL answer a random program as the store in memory does."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import psycopg
import pytest
from retaia_tests.postgres import Server

from retaia_adapters.sql.schema import metadata
from retaia_adapters.sql.store import open_store
from retaia_core.ports.store import Store
from retaia_core.testing.agreement import store_agreement
from retaia_core.testing.memory_store import MemoryStore


async def _memory() -> Store:
    return MemoryStore()


async def _prepared(url: str) -> None:
    store = open_store(url)
    await store.prepare()
    await store.close()


@pytest.fixture(scope="module")
def database(postgres_server: Server) -> Iterator[str]:
    """Prepare one database for all programs."""
    with postgres_server.database() as url:
        anyio.run(_prepared, url)
        yield url


def test_sqlite_agrees_with_memory(tmp_path: Path) -> None:
    """Every answer, error and stored value is the same."""

    async def sqlite() -> Store:
        folder = tempfile.mkdtemp(dir=tmp_path)
        return open_store(f"sqlite:///{folder}/store.db")

    store_agreement({"memory": _memory, "sqlite": sqlite})("runTest").debug()


def test_postgres_agrees_with_memory(database: str) -> None:
    """Every answer, error and stored value is the same."""

    async def on_server() -> Store:
        with psycopg.connect(database) as connection:
            connection.execute(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY CASCADE")
        return open_store(database)

    store_agreement({"memory": _memory, "postgres": on_server})("runTest").debug()
