"""SQLite under the conditions of real life: other processes, lost power, full disks, crashes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from retaia_adapters.sql import quick_connection, quick_reads, quick_writes, sqlite_store
from retaia_adapters.sql.store import open_store
from retaia_core.domain.identifiers import AgentId, Capability, JobId, Subject
from retaia_core.domain.jobs import Job
from retaia_core.domain.journal import Event
from retaia_core.errors import (
    RetaiaError,
    SettingsError,
    StateConflict,
    StoreError,
    StoreUnavailable,
)
from retaia_core.ports.store import Claim, ClaimableQuery, Store, Transaction

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SUBJECT = Subject(kind="test", id="1")
CAN = frozenset({Capability("test.work@1")})


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store of a server, open."""
    opened = open_store(f"sqlite:///{tmp_path}/data/store.db")
    await opened.prepare()
    yield opened
    await opened.close()


def _event(name: str) -> Event:
    return Event(subject=SUBJECT, name=name, actor="test:1", at=NOW)


def _pragma(tx: Transaction, text: str) -> Any:
    """Ask the connection of a transaction."""
    session: Any = vars(tx)["_session"]
    return session.connection.execute(f"PRAGMA {text}").fetchone()[0]


async def test_only_its_user_can_read_the_database(store: Store, tmp_path: Path) -> None:
    """Folder, database and log are made without any right for others."""
    await store.transact(lambda tx: tx.add_event(_event("x")))
    folder = tmp_path / "data"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()}
    assert {"store.db", "store.db-wal", "store.db.lock"} <= set(modes)
    assert set(modes.values()) == {0o600}


async def test_a_durable_commit_is_synced(store: Store) -> None:
    """Decisions are committed under FULL, job traffic under NORMAL, in any order."""
    for durable, level in ((True, 2), (False, 1), (True, 2), (False, 1)):
        found = await store.transact(lambda tx: _pragma(tx, "synchronous"), durable=durable)
        assert found == level
    assert await store.transact(lambda tx: _pragma(tx, "journal_mode")) == "wal"
    assert await store.transact(lambda tx: _pragma(tx, "foreign_keys")) == 1


async def test_one_durable_function_makes_its_group_durable(store: Store) -> None:
    """What shares a commit with a decision is synced with it."""

    def slow(tx: Transaction) -> None:
        time.sleep(0.05)

    def level(tx: Transaction) -> Any:
        return _pragma(tx, "synchronous")

    first = asyncio.ensure_future(store.transact(slow, durable=False))
    await asyncio.sleep(0.01)
    group = [store.transact(level, durable=n == 3) for n in range(5)]
    assert await asyncio.gather(*group) == [2] * 5
    await first


async def test_a_second_server_is_refused(store: Store, tmp_path: Path) -> None:
    """The message names the process that has the file; a command may share it."""
    url = f"sqlite:///{tmp_path}/data/store.db"
    with pytest.raises(StoreError, match=rf"process {os.getpid()}"):
        await open_store(url).prepare()
    command = open_store(url, server=False)
    await command.prepare()
    await command.transact(lambda tx: tx.add_event(_event("from a command")))
    await command.close()
    assert len(await store.read(lambda tx: tx.events())) == 1


async def test_the_lock_goes_with_its_process(tmp_path: Path) -> None:
    """After a server ended, the next may use the file."""
    url = f"sqlite:///{tmp_path}/store.db"
    for _ in range(2):
        server = open_store(url)
        await server.prepare()
        await server.close()


async def test_a_closed_store_refuses(tmp_path: Path) -> None:
    """Before `prepare` and after `close` there is a clear answer instead of a wait without end."""
    closed = open_store(f"sqlite:///{tmp_path}/store.db")
    with pytest.raises(StoreError, match="prepare"):
        await closed.read(lambda tx: tx.storages())
    await closed.prepare()
    await closed.close()
    with pytest.raises(StoreError, match="prepare"):
        await closed.transact(lambda tx: None)


async def test_a_full_disk_is_said_and_harms_nobody_else(store: Store) -> None:
    """A function that needs more room fails as unavailable; smaller ones beside it are committed."""
    await store.transact(lambda tx: _pragma(tx, f"max_page_count={_pragma(tx, 'page_count') + 3}"))

    def large(tx: Transaction) -> None:
        for n in range(200):
            tx.add_event(_event("x" * 4000 + str(n)))

    small = [store.transact(lambda tx, n=n: tx.add_event(_event(f"small {n}"))) for n in range(4)]
    answers = await asyncio.gather(store.transact(large), *small, return_exceptions=True)
    assert isinstance(answers[0], StoreUnavailable)
    assert "full" in str(answers[0])
    assert answers[1:] == [None] * 4
    names = [event.name for event in await store.read(lambda tx: tx.events())]
    assert names == [f"small {n}" for n in range(4)]


def _refuse_to_take_back(tx: Transaction) -> sqlite3.Connection:
    """From now on, no transaction of this connection can be taken back."""
    session: Any = vars(tx)["_session"]
    connection: sqlite3.Connection = session.connection
    connection.set_authorizer(
        lambda action, what, *_: (
            sqlite3.SQLITE_DENY
            if action == sqlite3.SQLITE_TRANSACTION and what == "ROLLBACK"
            else sqlite3.SQLITE_OK
        )
    )
    return connection


async def test_a_write_that_cannot_be_taken_back_is_told_and_leaves_nothing(store: Store) -> None:
    """Nobody waits for ever, and the next who can takes it back."""
    stuck: list[sqlite3.Connection] = []

    def half(tx: Transaction) -> None:
        tx.add_event(_event("half"))
        stuck.append(_refuse_to_take_back(tx))
        raise StateConflict("no")

    with anyio.fail_after(10):
        with pytest.raises(StoreError, match="refused"):
            await store.transact(half)
        with pytest.raises(StoreError, match="refused"):
            await store.transact(lambda tx: tx.add_event(_event("too early")))
        stuck[0].set_authorizer(None)
        await store.transact(lambda tx: tx.add_event(_event("whole")))
        assert [e.name for e in await store.read(lambda tx: tx.events())] == ["whole"]


async def test_what_the_loop_cannot_take_back_goes_with_its_connection(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock would keep every writer waiting: it is closed, and the next ones find another."""
    for module in (quick_reads, quick_writes):
        monkeypatch.setattr(module, "MOMENT_S", 60)
    stuck: list[sqlite3.Connection] = []

    def stick(tx: Transaction) -> str:
        if threading.current_thread() is threading.main_thread():
            stuck.append(_refuse_to_take_back(tx))
        return threading.current_thread().name

    def half(tx: Transaction, items: Sequence[str]) -> Sequence[RetaiaError | None]:
        tx.add_event(_event("half"))
        stick(tx)
        raise StateConflict("no")

    def whole(tx: Transaction, items: Sequence[str]) -> Sequence[str | RetaiaError]:
        tx.add_event(_event("whole"))
        return [threading.current_thread().name for _ in items]

    with anyio.fail_after(10):
        with pytest.raises(StateConflict):
            await store.transact_shared(half, "x", durable=False)
        assert await store.read(stick) == "MainThread"
        assert await store.transact_shared(whole, "x", durable=False) == "MainThread"
        assert [e.name for e in await store.read(lambda tx: tx.events())] == ["whole"]
    assert len(set(map(id, stuck))) == 2


async def test_a_read_that_cannot_be_ended_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread lives on, and reads what is there once it can."""
    monkeypatch.setattr(quick_reads, "MOMENT_S", -1)
    monkeypatch.setattr(quick_connection, "STEPS", 1)
    monkeypatch.setattr(sqlite_store, "READERS", 1)
    stuck: list[sqlite3.Connection] = []

    def stick(tx: Transaction) -> str:
        tx.count_assets()
        if threading.current_thread().name == "store-reader":
            stuck.append(_refuse_to_take_back(tx))
        return threading.current_thread().name

    await store.close()
    await store.prepare()
    with anyio.fail_after(10):
        assert await store.read(stick) == "store-reader"
        with pytest.raises(StoreError, match="refused"):
            await store.read(lambda tx: tx.count_assets())
        stuck[0].set_authorizer(None)
        assert set((await store.read(lambda tx: tx.count_assets())).values()) <= {0}


async def test_who_reads_as_the_store_is_closed_is_told(store: Store) -> None:
    """A read that lets others have the event loop finds the store closed when it goes on."""
    reading = asyncio.ensure_future(store.read(lambda tx: tx.count_assets()))
    closing = asyncio.ensure_future(store.close())  # begins in the same turn, after the read
    with pytest.raises(StoreError, match="not open"):
        await reading
    await closing


async def test_who_stops_waiting_stops_nobody_else(store: Store) -> None:
    """A cancelled call that has not begun is not run, and the store goes on."""

    def slow(tx: Transaction) -> None:
        time.sleep(0.1)

    first = asyncio.ensure_future(store.transact(slow))
    await asyncio.sleep(0.02)
    second = asyncio.ensure_future(store.transact(lambda tx: tx.add_event(_event("no"))))
    third = asyncio.ensure_future(store.transact(lambda tx: tx.add_event(_event("yes"))))
    await asyncio.sleep(0.02)
    second.cancel()
    await asyncio.gather(first, third)
    assert [event.name for event in await store.read(lambda tx: tx.events())] == ["yes"]


def _job(n: int) -> Job:
    subject = Subject(kind="test", id=f"{n:05d}")
    return Job(
        job_id=JobId(f"{n:05d}"),
        job_type="work",
        subject=subject,
        capabilities=CAN,
        created_at=NOW,
        updated_at=NOW,
    )


async def _work(store: Store, name: str, until: float) -> list[JobId]:
    """Claim and complete whatever is offered, until the time is over."""
    done: list[JobId] = []
    while time.monotonic() < until:
        query = ClaimableQuery(agent_id=AgentId(name), capabilities=CAN, now=NOW, limit=40)
        offered = await store.read(lambda tx, q=query: tx.claimable(q))
        if not offered:
            return done
        job = offered[hash((name, len(done))) % len(offered)]
        wish = Claim(
            subject=job.subject,
            agent_id=AgentId(name),
            capabilities=CAN,
            token=f"{name} {len(done)} {time.monotonic_ns()}",
            now=NOW,
            until=NOW + timedelta(seconds=120),
        )
        try:
            won = await store.transact(lambda tx, w=wish: tx.claim(w), durable=False)
        except StateConflict:
            continue
        for held in won.jobs:
            token = held.lock_token or ""
            await store.transact(
                lambda tx, j=held, t=token: tx.complete(j.job_id, token=t, now=NOW), durable=False
            )
            done.append(held.job_id)
    return done


async def test_many_writers_of_two_stores_never_meet(store: Store, tmp_path: Path) -> None:
    """32 callers over a server's and a command's connection: no lock error, no job done twice."""
    await store.transact(lambda tx: tx.add_jobs([_job(n) for n in range(3000)]))
    command = open_store(f"sqlite:///{tmp_path}/data/store.db", server=False)
    await command.prepare()
    until = time.monotonic() + 3
    works = [_work(store if n % 2 else command, f"agent {n}", until) for n in range(32)]
    done = [job for each in await asyncio.gather(*works) for job in each]
    await command.close()
    assert len(done) == len(set(done)) > 32
    completed = await store.read(lambda tx: tx.find_jobs(limit=5000))
    assert {job.job_id for job in completed if job.status == "completed"} == set(done)
    assert {job.attempts for job in completed} <= {0, 1}


PASSER_BY = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("CREATE TABLE IF NOT EXISTS passer_by (n)")
database.commit()
database.close()
"""


async def test_a_second_store_of_a_process_keeps_its_locks(store: Store, tmp_path: Path) -> None:
    """Opening the file again in one process takes no lock from the first: the log stays while it is used.

    Another process that closes the database believes to be the last where no lock is left, and removes
    the log that this one writes to; what is written then is lost, or tears the file.
    """
    second = open_store(f"sqlite:///{tmp_path}/data/store.db", server=False)
    await second.prepare()
    await second.close()
    await store.transact(lambda tx: tx.add_event(_event("before")))
    log = tmp_path / "data" / "store.db-wal"
    number = log.stat().st_ino
    await anyio.run_process([sys.executable, "-c", PASSER_BY, str(tmp_path / "data" / "store.db")])
    assert log.exists(), "the log was removed under a store that is open"
    assert log.stat().st_ino == number
    await store.transact(lambda tx: tx.add_event(_event("after")))
    assert len(await store.read(lambda tx: tx.events())) == 2


async def test_closing_waits_for_no_other_writer(tmp_path: Path) -> None:
    """A command ends at once and without a word, also while another process writes for long."""
    store = open_store(f"sqlite:///{tmp_path}/store.db", server=False)
    await store.prepare()
    await store.transact(lambda tx: tx.add_jobs([_job(n) for n in range(3000)]))
    await store.transact(lambda tx: tx.jobs_of(_job(1).subject))
    raised: list[object] = []
    before, threading.excepthook = threading.excepthook, raised.append
    try:
        with contextlib.closing(sqlite3.connect(tmp_path / "store.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            await store.close()
            assert time.monotonic() - began < 10
    finally:
        threading.excepthook = before
    assert raised == []


WRITER = textwrap.dedent(
    """
    import asyncio, sys
    from datetime import UTC, datetime
    from retaia_adapters.sql.store import open_store
    from retaia_core.domain.identifiers import Subject
    from retaia_core.domain.journal import Event
    from retaia_core.ports.store import Replay

    def both(n):
        now = datetime.now(UTC)
        def work(tx):
            subject = Subject(kind="test", id="1")
            tx.add_event(Event(subject=subject, name=str(n), actor="test:1", at=now))
            tx.save_replay(Replay(scope=str(n), body_digest="", status=1, body=b"", created_at=now))
        return work

    async def main():
        store = open_store(sys.argv[1])
        await store.prepare()
        async def one(n):
            await store.transact(both(n), durable=False)
            print(n, flush=True)
        n = 0
        while True:
            await asyncio.gather(*(one(n + k) for k in range(20)))
            n += 20

    asyncio.run(main())
    """
)


def _write_until_killed(url: str) -> set[str]:
    """Let another process write, kill it in the middle, and return what it was told is committed."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    answered = {process.stdout.readline().strip() for _ in range(150)}
    process.send_signal(signal.SIGKILL)
    answered |= set(process.stdout.read().split("\n")[:-1])
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    return answered


async def test_a_killed_writer_leaves_whole_transactions(tmp_path: Path) -> None:
    """After SIGKILL every commit that was answered is there, and none is there by half."""
    url = f"sqlite:///{tmp_path}/store.db"
    answered = await asyncio.to_thread(_write_until_killed, url)
    store = open_store(url)
    await store.prepare()
    events = await store.read(lambda tx: tx.events(limit=100_000))
    names = {event.name for event in events}
    kept = {n for n in names if await store.read(lambda tx, n=n: tx.replay(n))}
    await store.close()
    assert answered <= names == kept
    with sqlite3.connect(tmp_path / "store.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM replays").fetchone() == (len(names),)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://x/y", "nonsense", ""])
def test_other_urls_are_refused_without_repeating_them(url: str) -> None:
    """A URL that names no store is a settings error that shows what is allowed."""
    with pytest.raises(SettingsError, match="allowed: sqlite:"):
        open_store(url)


def test_a_refused_url_keeps_its_password() -> None:
    """The message shows the scheme alone."""
    with pytest.raises(SettingsError) as refused:
        open_store("mysql://user:hunter2@host/db")
    assert "hunter2" not in str(refused.value)
