"""Shared functions on PostgreSQL: one caller's in the event loop, several callers' in a thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import psycopg
import pytest

from retaia_adapters.sql import postgres_quick
from retaia_adapters.sql.postgres_quick import QuickWriter
from retaia_adapters.sql.store import open_store
from retaia_core.domain.identifiers import Subject
from retaia_core.domain.journal import Event
from retaia_core.errors import RetaiaError, StateConflict, StoreError, StoreUnavailable
from retaia_core.ports.store import Store, Transaction

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HERE, THERE = "1 in MainThread", "1 in store-writer"


def note_each(tx: Transaction, items: Sequence[str]) -> list[str | RetaiaError]:
    """Note each item, and answer where and with how many others that was done."""
    for item in items:
        subject = Subject(kind="test", id="1")
        tx.add_event(Event(subject=subject, name=item, actor="test:1", at=NOW))
    return [f"{len(items)} in {threading.current_thread().name}" for _ in items]


def refuse_each(tx: Transaction, items: Sequence[str]) -> list[str | RetaiaError]:
    """Note each item although it is refused."""
    note_each(tx, items)
    return [StateConflict("not now")] * len(items)


async def _note(store: Store, item: str) -> str:
    return await store.transact_shared(note_each, item, durable=False)


async def _names(store: Store) -> list[str]:
    return [event.name for event in await store.read(lambda tx: tx.events())]


async def _until_here(store: Store) -> None:
    """Ask until the connection was opened."""
    until = time.monotonic() + 20
    while await _note(store, "warm") != HERE:
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


@pytest.fixture
async def store(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """A store that has all the time in the world, and its connection open."""
    monkeypatch.setattr(postgres_quick, "MOMENT_S", 60)
    monkeypatch.setattr(postgres_quick, "NEAR_S", 60)
    opened = open_store(postgres_url)
    await opened.prepare()
    await _until_here(opened)
    yield opened
    await opened.close()


async def test_who_is_alone_is_served_in_the_loop(store: Store) -> None:
    """Each commit is there for others at once."""
    for n in range(5):
        assert await _note(store, f"item {n}") == HERE
        assert (await _names(store))[-1] == f"item {n}"


async def test_several_at_once_share_a_run_in_a_thread(store: Store) -> None:
    """The event loop waits for nobody's commit where others want to be served as well."""
    answers = await asyncio.gather(*(_note(store, f"item {n}") for n in range(10)))
    assert set(answers) == {"10 in store-writer"}
    assert sum(name.startswith("item") for name in await _names(store)) == 10


async def test_what_must_survive_a_loss_of_power_is_a_threads(store: Store) -> None:
    """A wait for the disk does not hold the event loop up."""
    assert await store.transact_shared(note_each, "durable", durable=True) == THERE


async def test_a_refusal_leaves_nothing(store: Store) -> None:
    """What was refused was taken back, and the next one is served in the loop again."""
    before = await _names(store)
    with pytest.raises(StateConflict, match="not now"):
        await store.transact_shared(refuse_each, "refused", durable=False)
    assert await _note(store, "next") == HERE
    assert await _names(store) == [*before, "next"]


async def test_what_meets_anothers_lock_is_left_to_a_thread(
    store: Store, postgres_url: str
) -> None:
    """The event loop runs on while a thread waits for the lock; it is noted once."""
    with psycopg.connect(postgres_url) as other:
        other.execute("LOCK TABLE events IN SHARE MODE")
        waiting = asyncio.create_task(_note(store, "locked"))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        other.rollback()
        assert await waiting == THERE
    assert (await _names(store)).count("locked") == 1


async def test_a_function_that_takes_too_long_is_left_to_a_thread(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had done is taken back; after a pause the event loop serves again."""

    def slow_each(tx: Transaction, items: Sequence[str]) -> list[str | RetaiaError]:
        answers = note_each(tx, items)
        if HERE in answers:
            monkeypatch.setattr(postgres_quick, "MOMENT_S", 0.01)
            vars(tx)["_session"]._wire.until = time.monotonic() + 0.01
            vars(tx)["_session"]._wire.rows("SELECT pg_sleep(5)")
        return answers

    assert await store.transact_shared(slow_each, "slow", durable=False) == THERE
    assert (await _names(store)).count("slow") == 1
    monkeypatch.setattr(postgres_quick, "MOMENT_S", 60)
    await _until_here(store)


async def test_a_commit_that_takes_long_is_waited_for_by_a_thread(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not asked for again: what it did was done in the loop, and once."""
    with monkeypatch.context() as patch:
        patch.setattr(QuickWriter, "ended", lambda self: False)
        assert await _note(store, "late") == HERE
    assert (await _names(store)).count("late") == 1
    assert await _note(store, "next") == HERE


async def test_a_lost_connection_costs_nobody_an_error(store: Store, postgres_url: str) -> None:
    """A thread serves until the connection is open again."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert await _note(store, "next") == THERE
    await _until_here(store)


async def test_a_connection_lost_in_the_commit_is_told(store: Store, postgres_url: str) -> None:
    """Nobody knows then whether it was committed, so it is not done again."""

    def cut_each(tx: Transaction, items: Sequence[str]) -> list[str | RetaiaError]:
        session = vars(tx)["_session"]
        ((pid,),) = session._wire.rows("SELECT pg_backend_pid()")
        answers = note_each(tx, items)
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        return answers

    with pytest.raises(StoreUnavailable):
        await store.transact_shared(cut_each, "cut", durable=False)
    assert "cut" not in await _names(store)
    await _until_here(store)


async def test_a_database_far_away_is_left_to_threads(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop waits for none whose answer takes its time."""
    monkeypatch.setattr(postgres_quick, "NEAR_S", -1)
    opened = open_store(postgres_url)
    await opened.prepare()
    for _ in range(5):
        assert await _note(opened, "far") == THERE
        await asyncio.sleep(0.05)
    await opened.close()


async def test_what_was_asked_for_before_the_end_is_done(store: Store) -> None:
    """Who asks in the turn of the loop in which the store is closed gets an answer; later ones are told."""
    first, _ = await asyncio.gather(_note(store, "last"), store.close())
    assert first.startswith("1 in ")
    with pytest.raises(StoreError, match="not open"):
        await _note(store, "too late")
