"""PostgreSQL under the conditions of real life: lost connections, deadlocks, several servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from retaia_adapters.sql.store import open_store
from retaia_core.domain.identifiers import AgentId, Capability, JobId, Subject
from retaia_core.domain.jobs import Job
from retaia_core.domain.journal import Event
from retaia_core.errors import RetaiaError, StateConflict, StoreError, StoreUnavailable
from retaia_core.ports.store import (
    Claim,
    ClaimableQuery,
    Claimed,
    Completion,
    Replay,
    Store,
    Transaction,
)

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


async def test_an_answer_outlives_the_connection_it_came_by(
    store: Store, postgres_url: str
) -> None:
    """What was read is read, though the end of its transaction does not get through any more."""

    def cut(tx: Transaction) -> int:
        session: Any = vars(tx)["_session"]
        ((pid,),) = session._wire.rows("SELECT pg_backend_pid()")
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        return int(pid)

    pids = [await store.read(cut) for _ in range(3)]
    assert len(set(pids)) == 3
    assert await store.read(lambda tx: tx.events()) == []


async def test_a_write_in_a_read_is_told_at_its_end(store: Store) -> None:
    """Also one whose answer nobody asked for before."""

    def sneak(tx: Transaction) -> str:
        session: Any = vars(tx)["_session"]
        session._wire.send("DELETE FROM events")
        return "done"

    with pytest.raises(StoreError, match="must not write"):
        await store.read(sneak)


async def test_no_read_keeps_its_snapshot(store: Store, postgres_url: str) -> None:
    """Its transaction ends, though nobody waits for that: a snapshot that is held keeps dead rows alive."""
    look = """SELECT DISTINCT state FROM pg_stat_activity
        WHERE application_name = 'retaia' AND datname = current_database()"""
    await asyncio.gather(*(store.read(lambda tx: tx.events()) for _ in range(20)))
    with psycopg.connect(postgres_url, autocommit=True) as other:
        until = time.monotonic() + 5
        while (states := other.execute(look).fetchall()) != [("idle",)]:
            assert time.monotonic() < until, states
            await asyncio.sleep(0.01)


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


def _wish(subject: Subject, name: str) -> Claim:
    return Claim(
        subject=subject,
        agent_id=AgentId(name),
        capabilities=CAN,
        token=f"{name} {time.monotonic_ns()}",
        now=NOW,
        until=NOW + timedelta(seconds=120),
    )


def _claiming(wish: Claim) -> Callable[[Transaction], Claimed]:
    return lambda tx: tx.claim(wish)


def _claim_each(tx: Transaction, wishes: Sequence[Claim]) -> Sequence[Claimed | RetaiaError]:
    return tx.claim_all(wishes)


def _complete_each(tx: Transaction, wishes: Sequence[Completion]) -> Sequence[RetaiaError | None]:
    return tx.complete_all(wishes, now=NOW)


def _completing(job: Job) -> Callable[[Transaction], Job]:
    return lambda tx: tx.complete(job.job_id, token=job.lock_token or "", now=NOW)


async def _completed(store: Store, job: Job, *, shares: bool) -> None:
    if shares:
        wish = Completion(job_id=job.job_id, token=job.lock_token or "")
        await store.transact_shared(_complete_each, wish, durable=False)
    else:
        await store.transact(_completing(job))


async def _work(store: Store, name: str, until: float, *, shares: bool) -> list[JobId]:
    """Claim bundles and complete their jobs at the same time, until nothing is left or time is over."""
    done: list[JobId] = []
    query = ClaimableQuery(agent_id=AgentId(name), capabilities=CAN, now=NOW, limit=60)
    while time.monotonic() < until:
        offered = await store.read(lambda tx: tx.claimable(query))
        if not offered:
            break
        chosen = offered[hash((name, len(done))) % len(offered)]
        try:
            wish = _wish(chosen.subject, name)
            if shares:
                won = await store.transact_shared(_claim_each, wish, durable=False)
            else:
                won = await store.transact(_claiming(wish), durable=False)
        except StateConflict:
            continue
        await asyncio.gather(*(_completed(store, job, shares=shares) for job in won.jobs))
        done += [job.job_id for job in won.jobs]
    return done


async def test_two_servers_never_do_one_job_twice(store: Store, postgres_url: str) -> None:
    """32 callers over two servers, some of which share: no job is done twice, and each lease ends."""
    await store.transact(lambda tx: tx.add_jobs([_job(n) for n in range(1500)]))
    other = open_store(postgres_url)
    await other.prepare()
    until = time.monotonic() + 4
    works = [
        _work(store if n % 2 else other, f"agent {n}", until, shares=n % 4 < 2) for n in range(32)
    ]
    done = [job_id for each in await asyncio.gather(*works) for job_id in each]
    held = await other.read(lambda tx: tx.locks(now=NOW, expired=False))
    await other.close()
    assert len(done) == len(set(done)) > 32
    assert held == []


async def test_who_comes_while_a_shared_function_runs_shares_the_next_run(store: Store) -> None:
    """One run at a time: the first caller's, then one for all others."""
    runs: list[list[int]] = []

    def slow(tx: Transaction, items: Sequence[int]) -> list[int | RetaiaError]:
        tx.add_event(_event(str(items)))
        runs.append(list(items))
        time.sleep(0.2)
        return list(items)

    first = asyncio.ensure_future(store.transact_shared(slow, 0))
    await asyncio.sleep(0.1)
    assert await asyncio.gather(*(store.transact_shared(slow, n) for n in range(1, 9))) == [
        *range(1, 9)
    ]
    assert await first == 0
    assert runs == [[0], [*range(1, 9)]]


async def test_closing_waits_for_those_who_share(postgres_url: str) -> None:
    """Whoever waits for a shared function has an answer before the store is closed."""
    opened = open_store(postgres_url)
    await opened.prepare()

    def slow(tx: Transaction, items: Sequence[int]) -> list[int | RetaiaError]:
        time.sleep(0.1)
        return list(items)

    asked = [asyncio.ensure_future(opened.transact_shared(slow, n)) for n in range(5)]
    await asyncio.sleep(0.05)
    asked += [asyncio.ensure_future(opened.transact_shared(slow, n)) for n in range(5, 9)]
    await asyncio.sleep(0)
    await opened.close()
    assert await asyncio.wait_for(asyncio.gather(*asked), 5) == [*range(9)]
