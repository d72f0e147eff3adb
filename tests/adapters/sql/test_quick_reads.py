"""Short reads run where they are asked for; long ones leave the event loop free."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from retaia_adapters.sql import quick_connection, quick_reads
from retaia_adapters.sql.dialects import SQLITE
from retaia_adapters.sql.quick_connection import QuickConnection
from retaia_adapters.sql.store import open_store
from retaia_adapters.sql.transaction import Statements
from retaia_core.domain.query import AssetQuery
from retaia_core.ports.store import Store, Transaction
from retaia_core.testing.samples import asset


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """A store of a hundred assets that looks at its clock all the time."""
    monkeypatch.setattr(quick_connection, "STEPS", 1)
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    await store.prepare()
    await store.transact(lambda tx: tx.add_assets(asset(n) for n in range(100)))
    yield store
    await store.close()


def reader(tx: Transaction) -> str:
    """Read something, and say where."""
    assert sum(tx.count_assets().values()) == 100
    return threading.current_thread().name


async def test_a_short_read_goes_to_no_other_thread(store: Store) -> None:
    """What takes less than a moment is done by the caller's thread."""
    assert await store.read(reader) == threading.current_thread().name


async def test_a_long_read_goes_to_a_reading_thread(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a moment is not enough for is begun anew elsewhere, and answers the same."""
    monkeypatch.setattr(quick_reads, "MOMENT_S", 0)
    assert await store.read(reader) == "store-reader"


async def test_a_statement_that_was_interrupted_is_not_prepared_ever_anew(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python spoils a statement that is interrupted while its rows are fetched; that must not last."""
    ticks = itertools.count(0.0)
    monkeypatch.setattr(quick_connection, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    statements = Statements.build(SQLITE)
    quick = QuickConnection(tmp_path / "store.db", statements)

    def read(seconds: float) -> None:
        try:
            tx = quick.begin(seconds, writing=False)
            assert len(tx.find_assets(AssetQuery()).items) == 50
        finally:
            quick.roll_back()

    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        read(500)
    prepared: list[object] = []
    quick._connection.set_authorizer(lambda *what: prepared.append(what) or 0)
    read(1_000_000)
    assert prepared
    prepared.clear()
    read(1_000_000)
    assert not prepared
    quick.close()


async def test_a_read_of_another_event_loop_does_not_wait(store: Store) -> None:
    """While one thread reads here, another one's read is left to the reading threads."""
    quick = getattr(store, "_quick_reads", None)
    assert isinstance(quick, quick_reads.QuickReader)
    names: list[str] = []
    with pytest.raises(quick_reads.TooLong):
        quick.run(lambda tx: quick.run(lambda inner: names.append("inside")))
    assert names == []
