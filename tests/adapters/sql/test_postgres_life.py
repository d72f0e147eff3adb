"""PostgreSQL under the conditions of real life: lost connections, deadlocks, several servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from retaia_adapters.sql.store import open_store
from retaia_core.domain.identifiers import AgentId, Capability, JobId, Subject
from retaia_core.domain.jobs import Job
from retaia_core.domain.journal import Event
from retaia_core.errors import StateConflict, StoreUnavailable
from retaia_core.ports.store import Claim, ClaimableQuery, Claimed, Replay, Store, Transaction

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CAN = frozenset({Capability("test.work@1")})


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[Store]:
    """A store on a database of its own, open."""
    opened = open_store(postgres_url)
    await opened.prepare()
    yield opened
    await opened.close()


def _event(name: str) -> Event:
    return Event(subject=Subject(kind="test", id="1"), name=name, actor="test:1", at=NOW)


def _show(tx: Transaction, setting: str) -> str:
    session: Any = vars(tx)["_session"]
    ((shown,),) = session._wire.rows(f"SHOW {setting}")
    return str(shown)


async def test_only_job_traffic_may_be_lost_with_the_power(store: Store) -> None:
    """A durable commit waits for the disk, another does not, in any order."""
    for durable, level in ((False, "off"), (True, "on"), (False, "off"), (True, "on")):
        shown = [
            store.transact(lambda tx: _show(tx, "synchronous_commit"), durable=durable)
            for _ in range(8)
        ]
        assert set(await asyncio.gather(*shown)) == {level}


async def test_a_lost_connection_is_opened_again(store: Store, postgres_url: str) -> None:
    """Connections that the server closed while they were idle cost nobody an error."""
    await asyncio.gather(*(store.transact(lambda tx: tx.add_event(_event("1"))) for _ in range(9)))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    await asyncio.gather(*(store.transact(lambda tx: tx.add_event(_event("2"))) for _ in range(9)))
    assert len(await store.read(lambda tx: tx.events())) == 18


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    """The message says so, and repeats no password."""
    store = open_store("postgresql://user:hunter2@127.0.0.1:1/retaia")
    with pytest.raises(StoreUnavailable, match="does not answer") as refused:
        await store.prepare()
    assert "hunter2" not in str(refused.value)


async def test_functions_that_lock_each_other_out_are_run_again(store: Store) -> None:
    """A deadlock costs a new try and no error."""

    def save(scope: str, tx: Transaction) -> None:
        replay = Replay(scope=scope, body_digest="", status=1, body=b"", created_at=NOW)
        tx.save_replay(replay)
        assert tx.replay("look" + scope) is None  # waits until the row is really written

    def both(first: str, second: str) -> Any:
        def work(tx: Transaction) -> None:
            save(first, tx)
            time.sleep(0.3)
            save(second, tx)
            tx.add_event(_event(first))

        return work

    await asyncio.gather(store.transact(both("a", "b")), store.transact(both("b", "a")))
    assert {event.name for event in await store.read(lambda tx: tx.events())} == {"a", "b"}


def _job(n: int) -> Job:
    return Job(
        job_id=JobId(f"{n:05d}"),
        job_type="work",
        subject=Subject(kind="test", id=f"{n // 3:05d}"),
        capabilities=CAN,
        created_at=NOW,
        updated_at=NOW,
    )


def _claiming(subject: Subject, name: str) -> Callable[[Transaction], Claimed]:
    wish = Claim(
        subject=subject,
        agent_id=AgentId(name),
        capabilities=CAN,
        token=f"{name} {time.monotonic_ns()}",
        now=NOW,
        until=NOW + timedelta(seconds=120),
    )
    return lambda tx: tx.claim(wish)


def _completing(job: Job) -> Callable[[Transaction], Job]:
    return lambda tx: tx.complete(job.job_id, token=job.lock_token or "", now=NOW)


async def _work(store: Store, name: str, until: float) -> list[JobId]:
    """Claim bundles and complete their jobs at the same time, until nothing is left or time is over."""
    done: list[JobId] = []
    query = ClaimableQuery(agent_id=AgentId(name), capabilities=CAN, now=NOW, limit=60)
    while time.monotonic() < until:
        offered = await store.read(lambda tx: tx.claimable(query))
        if not offered:
            break
        chosen = offered[hash((name, len(done))) % len(offered)]
        try:
            won = await store.transact(_claiming(chosen.subject, name), durable=False)
        except StateConflict:
            continue
        await asyncio.gather(*(store.transact(_completing(job)) for job in won.jobs))
        done += [job.job_id for job in won.jobs]
    return done


async def test_two_servers_never_do_one_job_twice(store: Store, postgres_url: str) -> None:
    """32 callers over two servers: no job is done twice, and each lease ends with its jobs."""
    await store.transact(lambda tx: tx.add_jobs([_job(n) for n in range(1500)]))
    other = open_store(postgres_url)
    await other.prepare()
    until = time.monotonic() + 4
    works = [_work(store if n % 2 else other, f"agent {n}", until) for n in range(32)]
    done = [job_id for each in await asyncio.gather(*works) for job_id in each]
    held = await other.read(lambda tx: tx.locks(now=NOW, expired=False))
    await other.close()
    assert len(done) == len(set(done)) > 32
    assert held == []
