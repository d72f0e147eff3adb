"""Shared functions on SQLite: at once in the event loop, or by the writing thread, never twice."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from retaia_adapters.sql import quick_writes, sqlite_store
from retaia_adapters.sql.quick_writes import GROUP, ROUND
from retaia_adapters.sql.sqlite_session import connect
from retaia_adapters.sql.store import open_store
from retaia_core.domain.identifiers import Subject
from retaia_core.domain.journal import Event
from retaia_core.errors import RetaiaError, StateConflict, StoreError
from retaia_core.ports.store import Store, Transaction

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """A store of a server, open, that has all the time in the world."""
    monkeypatch.setattr(quick_writes, "MOMENT_S", 60)
    opened = open_store(f"sqlite:///{tmp_path}/store.db")
    await opened.prepare()
    yield opened
    await opened.close()


def _note(tx: Transaction, name: str) -> None:
    subject = Subject(kind="test", id="1")
    tx.add_event(Event(subject=subject, name=name, actor="test:1", at=NOW))


def note_each(tx: Transaction, items: Sequence[int]) -> list[str | RetaiaError]:
    """Note the thread and how many came together, for each."""
    for item in items:
        _note(tx, f"item {item}")
    return [f"{len(items)} in {threading.current_thread().name}" for _ in items]


async def _names(store: Store) -> list[str]:
    return [event.name for event in await store.read(lambda tx: tx.events())]


async def test_who_comes_in_one_turn_shares_a_commit(store: Store) -> None:
    """Callers at the same time are served together, in the loop's own thread."""
    answers = await asyncio.gather(
        *(store.transact_shared(note_each, n, durable=False) for n in range(10))
    )
    assert set(answers) == {"10 in MainThread"}
    assert await _names(store) == [f"item {n}" for n in range(10)]


async def test_a_crowd_and_durable_functions_are_the_threads(store: Store) -> None:
    """More callers than a turn is worth, and what is synced, never hold the loop up."""
    crowd = await asyncio.gather(
        *(store.transact_shared(note_each, n, durable=False) for n in range(GROUP + 1))
    )
    assert {answer.split()[-1] for answer in crowd} == {"store-writer"}
    assert (await store.transact_shared(note_each, 99)).endswith("store-writer")
    assert len(await _names(store)) == GROUP + 2


async def test_another_writer_is_waited_for_elsewhere(store: Store, tmp_path: Path) -> None:
    """While another process writes the loop turns on; the answer comes when that is done."""
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.ensure_future(store.transact_shared(note_each, 1, durable=False))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    other.execute("COMMIT")
    other.close()
    assert await waiting == "1 in store-writer"
    assert await _names(store) == ["item 1"]


async def test_what_takes_long_is_done_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that is cut short in the loop is run anew by the thread, and leaves its work once."""
    monkeypatch.setattr(quick_writes, "MOMENT_S", 0.005)
    threads: list[str] = []

    def slow(tx: Transaction, items: Sequence[int]) -> list[int | RetaiaError]:
        threads.append(threading.current_thread().name)
        _note(tx, "slow")
        time.sleep(0.02)
        for _ in range(2000):
            tx.find_jobs()
        return list(items)

    assert await store.transact_shared(slow, 7, durable=False) == 7
    assert threads == ["MainThread", "store-writer"]
    assert await _names(store) == ["slow"]


async def test_a_function_that_raises_is_told_to_its_caller(store: Store) -> None:
    """Nothing of it stays, and those beside it have their answers."""

    def picky(tx: Transaction, items: Sequence[int]) -> list[int | RetaiaError]:
        for item in items:
            _note(tx, f"item {item}")
            if item == 2:
                raise StateConflict("not this one")
        return list(items)

    acts = (store.transact_shared(picky, n, durable=False) for n in range(4))
    outcomes = await asyncio.gather(*acts, return_exceptions=True)
    assert [str(each) for each in outcomes] == ["0", "1", "not this one", "3"]
    assert sorted(await _names(store)) == ["item 0", "item 1", "item 3"]


async def test_who_gives_up_leaves_the_others_alone(store: Store) -> None:
    """A caller that is cancelled before the loop turns writes nothing."""
    tasks = [
        asyncio.ensure_future(store.transact_shared(note_each, n, durable=False)) for n in range(3)
    ]
    await asyncio.sleep(0)
    tasks[0].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert outcomes[1:] == ["2 in MainThread"] * 2
    assert await _names(store) == ["item 1", "item 2"]


async def test_one_task_gives_way_to_others(store: Store) -> None:
    """However often a task asks, the loop turns meanwhile."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.ensure_future(count())
    until = time.monotonic() + 0.1
    while time.monotonic() < until:
        await store.transact_shared(note_each, 1, durable=False)
    counting.cancel()
    assert turns > 5


async def test_the_log_does_not_grow_for_ever(store: Store, tmp_path: Path) -> None:
    """After some rounds of commits the log has been written back and is used again."""
    for n in range(ROUND * 6):
        await store.transact_shared(note_each, n, durable=False)
    log = (tmp_path / "store.db-wal").stat().st_size
    assert log < ROUND * 3 * 8 * 4120


@pytest.fixture
async def tidied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Store, list[Callable[[], int]]]]:
    """A store whose checkpoints come after ten commits, and what each asks first: SQLite's go-ahead."""
    asked: list[Callable[[], int]] = []

    def authorise(action: int, name: str | None, *_: object) -> int:
        return asked[0]() if asked and name == "wal_checkpoint" else sqlite3.SQLITE_OK

    def watched(path: str, *, writing: bool) -> sqlite3.Connection:
        connection = connect(path, writing=writing)
        connection.set_authorizer(authorise)
        return connection

    monkeypatch.setattr(quick_writes, "MOMENT_S", 60)
    monkeypatch.setattr(quick_writes, "ROUND", 10)
    monkeypatch.setattr(sqlite_store, "connect", watched)
    opened = open_store(f"sqlite:///{tmp_path}/store.db")
    await opened.prepare()
    yield opened, asked
    await opened.close()


async def test_writes_go_on_beside_a_checkpoint(
    tidied: tuple[Store, list[Callable[[], int]]],
) -> None:
    """Nobody waits for the disk while most of the log is moved to its place."""
    store, asked = tidied
    began, go_on = threading.Event(), threading.Event()

    def hold() -> int:
        began.set()
        go_on.wait(10)
        return sqlite3.SQLITE_OK

    asked.append(hold)
    for n in range(10):
        await store.transact_shared(note_each, n, durable=False)
    assert await asyncio.to_thread(began.wait, 10)
    assert await store.transact_shared(note_each, 10, durable=False) == "1 in MainThread"
    assert (await store.transact_shared(note_each, 11)).endswith("store-writer")
    assert not go_on.is_set()
    go_on.set()


async def test_a_checkpoint_that_fails_costs_nothing_but_itself(
    tidied: tuple[Store, list[Callable[[], int]]], caplog: pytest.LogCaptureFixture
) -> None:
    """It is told, the thread lives on to try the next, and nothing is lost."""
    store, asked = tidied
    asked.append(lambda: sqlite3.SQLITE_DENY)
    for n in range(30):
        await store.transact_shared(note_each, n, durable=False)
    await store.close()
    assert caplog.text.count("log is left as long as it is: not authorized") == 3
    await store.prepare()
    assert len(await _names(store)) == 30


async def test_who_comes_as_the_store_is_closed_is_told(store: Store) -> None:
    """A caller that waits for the loop to turn finds the store closed, and nothing is written."""
    waiting = asyncio.ensure_future(store.transact_shared(note_each, 1, durable=False))
    closing = asyncio.ensure_future(store.close())  # begins in the same turn, after the caller
    with pytest.raises(StoreError, match="not open"):
        await waiting
    await closing
    await store.prepare()
    assert await _names(store) == []
