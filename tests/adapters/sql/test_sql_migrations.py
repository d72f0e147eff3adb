"""The migrations make the tables of the metadata, and leave alone what is not ours."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import msgspec
import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from retaia_adapters.sql import migrate
from retaia_adapters.sql.job_rows import row_of
from retaia_adapters.sql.schema import metadata
from retaia_adapters.sql.store import open_store
from retaia_core.domain.jobs import JobStatus
from retaia_core.errors import StoreError
from retaia_core.testing.samples import NAS, account, job, storage

FAILED = job(status=JobStatus.FAILED)


def _objects(path: Path) -> dict[str, str]:
    """The statements that make a database's tables and indexes, without the freedom of their layout."""
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        found = {name: re.sub(r"[\s\"]+", "", sql) for name, sql in rows}
    return {n: sql for n, sql in found.items() if n not in ("alembic_version", "sqlite_sequence")}


async def _migrated(url: str) -> None:
    store = open_store(url)
    await store.prepare()
    await store.close()


async def test_sqlite_migrations_make_what_the_metadata_says(tmp_path: Path) -> None:
    """Tables, partial indexes and options are letter for letter those of the metadata."""
    await _migrated(f"sqlite:///{tmp_path}/migrated.db")
    engine = create_engine(f"sqlite:///{tmp_path}/made.db")
    metadata.create_all(engine)
    engine.dispose()
    assert _objects(tmp_path / "migrated.db") == _objects(tmp_path / "made.db")


async def test_postgres_migrations_make_what_the_metadata_says(postgres_url: str) -> None:
    """Alembic finds no difference between the migrated database and the metadata."""
    await _migrated(postgres_url)
    engine = create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def _write_first_schema(url: str) -> None:
    """Make a database as the first schema had it, with a storage in it and a failed job without a reason."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(migrate.SCRIPTS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        document = msgspec.json.encode(storage()).decode()
        connection.execute(
            metadata.tables["storages"].insert(), {"storage_id": NAS, "document": document}
        )
        connection.execute(metadata.tables["jobs"].insert(), row_of(FAILED) | {"failure": ""})
    engine.dispose()


async def test_a_store_of_the_first_schema_is_brought_on(url: str) -> None:
    """What it had is still there and found, and accounts can be kept beside it."""
    _write_first_schema(url)
    store = open_store(url)
    await store.prepare()
    await store.transact(lambda tx: tx.save_account(account()))
    found = await store.read(lambda tx: (tx.storages(), tx.accounts()))
    failed = await store.read(lambda tx: tx.find_jobs(statuses=(JobStatus.FAILED,)))
    await store.close()
    assert found == ([storage()], [account()])
    assert list(failed) == [FAILED]


def test_head_is_the_last_script() -> None:
    """The constant that spares a start the machinery of migrations is true."""
    config = Config()
    config.set_main_option("script_location", str(migrate.SCRIPTS))
    assert ScriptDirectory.from_config(config).get_current_head() == migrate.HEAD
    assert migrate.HEAD in migrate.known_revisions()


async def test_a_newer_sqlite_database_is_refused(tmp_path: Path) -> None:
    """A schema that this version does not know is left alone, and the message says what to do."""
    url = f"sqlite:///{tmp_path}/store.db"
    await _migrated(url)
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"newer version.*9999.*install that version"):
        await open_store(url).prepare()


async def test_a_newer_postgres_database_is_refused(postgres_url: str) -> None:
    """The same on PostgreSQL."""
    await _migrated(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="newer version"):
        await open_store(postgres_url).prepare()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_tables_that_changed_meanwhile_are_noticed(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A store that is open says so where another program brought the schema on."""
    file = tmp_path / "store.db"
    url = f"sqlite:///{file}" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    store = open_store(url)
    await store.prepare()
    assert await store.read(lambda tx: tx.schema_current())
    change = "UPDATE alembic_version SET version_num = '9999'"
    with sqlite3.connect(file) if kind == "sqlite" else psycopg.connect(url) as connection:
        connection.execute(change)
    assert not await store.read(lambda tx: tx.schema_current())
    await store.close()


async def test_a_database_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Tables that are not ours are neither used nor mixed with ours."""
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(StoreError, match="not Retaia's"):
        await open_store(f"sqlite:///{tmp_path}/store.db").prepare()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """A file of another kind keeps its content."""
    path = tmp_path / "store.db"
    path.write_text("a letter to my aunt, of more than a hundred characters\n" * 30)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="no sound SQLite database"):
        await open_store(f"sqlite:///{path}").prepare()
    assert path.read_bytes() == before


async def test_preparing_again_changes_nothing(tmp_path: Path) -> None:
    """A prepared database is opened as it is."""
    url = f"sqlite:///{tmp_path}/store.db"
    await _migrated(url)
    before = _objects(tmp_path / "store.db")
    await _migrated(url)
    assert _objects(tmp_path / "store.db") == before
