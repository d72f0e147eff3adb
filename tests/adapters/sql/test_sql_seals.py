"""Seals over real databases: what somebody edits behind the program's back, old rows, two servers."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from functools import partial

import anyio
import psycopg
import pytest
from alembic import command
from alembic.config import Config
from attrs import frozen
from sqlalchemy import create_engine

from retaia_adapters.sql import migrate
from retaia_adapters.sql.store import open_store
from retaia_core.domain.journal import Phase
from retaia_core.domain.seals import Kind, Seal, Wrong
from retaia_core.ports.store import Store, Transaction
from retaia_core.shell.clock import SystemClock
from retaia_core.testing.samples import after, event, journal_entry
from retaia_core.usecases.history import CheckReport, History

Edit = Callable[[str], None]


@frozen
class Files:
    """A database, its store, and a way to edit it with nobody asked."""

    url: str
    store: Store
    stories: History

    def edit(self, *statements: str) -> None:
        if self.url.startswith("sqlite"):
            with sqlite3.connect(self.url.removeprefix("sqlite:///")) as database:
                changed = [database.execute(each).rowcount for each in statements]
        else:
            with psycopg.connect(self.url) as server:
                changed = [server.execute(each).rowcount for each in statements]  # type: ignore[call-overload]
        assert all(changed), "an edit that changes nothing is no test"


@pytest.fixture
async def files(url: str) -> AsyncIterator[Files]:
    store = open_store(url, server=False)
    await store.prepare()
    yield Files(url, store, History(store=store, clock=SystemClock()))
    await store.close()


def _noted(count: int, tx: Transaction) -> None:
    for n in range(count):
        tx.add_event(event(f"e{n}", at=after(n), data={"n": n, "é": ["🎬\n", 2.5, None]}))
        tx.add_journal(journal_entry(Phase.DONE, at=after(n), evidence={"n": n}))


async def sealed_thrice(files: Files) -> None:
    for _ in range(3):
        await files.store.transact(partial(_noted, 4))
        assert await files.stories.seal() == 8
    assert (await files.stories.check()).wrong == 0


def found(report: CheckReport) -> list[tuple[Wrong, Kind | None, int | None]]:
    return [(f.wrong, f.kind, f.seq) for f in report.findings]


_E, _J = Kind.EVENT, Kind.JOURNAL
_COLUMNS = "subject_kind, subject_id, name, actor, at, data"
EDITS: dict[str, tuple[tuple[str, ...], list[tuple[Wrong, Kind | None, int | None]]]] = {
    "changed": (
        ("UPDATE events SET data = '{\"n\":1}' WHERE seq = 6",),
        [(Wrong.ROW_CHANGED, _E, 6)],
    ),
    "moved in time": (
        ("UPDATE journal SET at = at + 1 WHERE seq = 12",),
        [(Wrong.ROW_CHANGED, _J, 12)],
    ),
    "removed": (
        ("DELETE FROM events WHERE seq = 5", "DELETE FROM journal WHERE seq = 1"),
        [(Wrong.ROW_REMOVED, _J, 1), (Wrong.ROW_REMOVED, _E, 5)],
    ),
    "reordered": (
        (
            "UPDATE events SET seq = 1000 WHERE seq = 2",
            "UPDATE events SET seq = 2 WHERE seq = 3",
            "UPDATE events SET seq = 3 WHERE seq = 1000",
        ),
        [(Wrong.ROW_CHANGED, _E, 2), (Wrong.ROW_CHANGED, _E, 3)],
    ),
    "replaced by a copy under another number": (
        (
            f"INSERT INTO events (seq, {_COLUMNS}) SELECT 1000, {_COLUMNS} FROM events WHERE seq = 2",
            "DELETE FROM events WHERE seq = 2",
        ),
        [(Wrong.ROW_REMOVED, _E, 2)],
    ),
    "the seal": (
        ("UPDATE seals SET leaves = (SELECT leaves FROM seals WHERE number = 1) WHERE number = 3",),
        [(Wrong.SEAL_CHANGED, None, None)],
    ),
    "no seal": (
        ("DELETE FROM seals WHERE number = 2",),
        [(Wrong.SEAL_REMOVED, None, None)],
    ),
}


@pytest.mark.parametrize("what", EDITS)
async def test_an_edit_of_the_database_is_named(what: str, files: Files) -> None:
    """What SQL changed, removed or put elsewhere is found, and said of the rows that it was."""
    await sealed_thrice(files)
    statements, expected = EDITS[what]
    files.edit(*statements)
    report = await files.stories.check()
    assert found(report)[: len(expected)] == expected
    if what != "the seal":  # Whose rows are then not those that it names.
        assert report.wrong == len(expected)


async def test_rows_of_before_are_sealed_by_the_first_rounds(url: str) -> None:
    """A database from before seals is brought on, and its rows are covered like new ones."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(migrate.SCRIPTS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        for n in range(1234):
            connection.exec_driver_sql(
                "INSERT INTO events (subject_kind, subject_id, name, actor, at, data) "
                f"VALUES ('asset', 'a', 'e{n}', 'person:a', {n}, '')"
            )
    engine.dispose()
    store = open_store(url, server=False)
    await store.prepare()
    stories = History(store=store, clock=SystemClock())
    assert await stories.seal() == 1234
    report = await stories.check()
    assert (report.wrong, report.rows, report.unsealed) == (0, 1234, 0)
    await store.close()


async def test_two_servers_seal_one_chain(url: str) -> None:
    """While both write and both seal, there is one chain, and every row is in it once."""
    stores = [open_store(url, server=False) for _ in range(2)]
    for store in stores:
        await store.prepare()
    stories = [History(store=store, clock=SystemClock()) for store in stores]

    async def write(store: Store) -> None:
        for _ in range(40):
            await store.transact(partial(_noted, 2), durable=False)

    async def seal(story: History) -> None:
        for _ in range(25):
            await story.seal()

    async with anyio.create_task_group() as tasks:
        for store, story in zip(stores, stories, strict=True):
            for _ in range(3):
                tasks.start_soon(write, store)
            tasks.start_soon(seal, story)
    while await stories[0].seal() + await stories[1].seal():
        pass
    reports = [await story.check() for story in stories]
    assert [(r.wrong, r.rows, r.unsealed) for r in reports] == [(0, 2 * 3 * 40 * 4, 0)] * 2
    chain = await stores[0].read(lambda tx: list(tx.seals(limit=10_000)))
    assert [seal.number for seal in chain] == list(range(1, len(chain) + 1))
    for store in stores:
        await store.close()


async def test_a_transaction_that_ends_late_is_awaited(postgres_url: str) -> None:
    """On a server a lower number can be committed after a higher one was sealed: it comes next."""
    store = open_store(postgres_url)
    await store.prepare()
    stories = History(store=store, clock=SystemClock())
    insert = (
        "INSERT INTO events (subject_kind, subject_id, name, actor, at, data) "
        "VALUES ('asset', 'a', 'slow', 'person:a', 1, '')"
    )
    with psycopg.connect(postgres_url) as slow, psycopg.connect(postgres_url) as given_up:
        slow.execute(insert)
        given_up.execute(insert)
        await store.transact(partial(_noted, 1))
        assert await stories.seal() == 2
        first = await store.read(lambda tx: tx.last_seal())
        assert isinstance(first, Seal)
        assert [one.seq for one in first.awaited] == [1, 2]
        given_up.rollback()
        slow.commit()
    assert (await stories.check()).unsealed == 1
    assert await stories.seal() == 1
    report = await stories.check()
    assert (report.wrong, report.rows, report.unsealed) == (0, 3, 0)
    second = report.head
    assert second is not None
    assert [one.seq for one in second.awaited] == [2]
    await store.close()
