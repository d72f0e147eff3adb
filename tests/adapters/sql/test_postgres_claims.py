"""Submits that meet others at the same lease on PostgreSQL: it ends with its last job, and not before."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import psycopg
import pytest

from retaia_adapters.sql.store import open_store
from retaia_core.domain.jobs import Job, JobStatus
from retaia_core.domain.leases import Lock
from retaia_core.ports.store import Claim, Completion, Store, Transaction
from retaia_core.testing.clock import START
from retaia_core.testing.samples import ALICE, FACTS, LATE, after, asset, job, job_id

SUBJECTS = (asset(1).subject, asset(2).subject)
JOBS = [job(n, of=of) for of in (1, 2) for n in (of, of + 2)]
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s"

Do = Callable[[Transaction], Any]


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[Store]:
    """A store with two jobs of each of two assets."""
    store = open_store(postgres_url)
    await store.prepare()
    await store.transact(lambda tx: tx.add_jobs(JOBS))
    yield store
    await store.close()


def _claiming(*numbers: int) -> Do:
    """Claim one job of each asset."""
    wishes = [
        Claim(
            subject=subject,
            agent_id=ALICE,
            capabilities=frozenset({FACTS}),
            token=f"{subject.id} {numbers}",
            now=START,
            until=START + LATE,
            job_ids=(job_id(n),),
        )
        for subject, n in zip(SUBJECTS, numbers, strict=True)
    ]
    return lambda tx: tx.claim_all(wishes)


def _submitting(held: Sequence[Job]) -> Do:
    """Submit one job, or several at once."""
    if len(held) == 1:
        return lambda tx: tx.complete(held[0].job_id, token=held[0].lock_token or "", now=after(1))
    all_of = [Completion(job_id=each.job_id, token=each.lock_token or "") for each in held]
    return lambda tx: tx.complete_all(all_of, now=after(1))


async def _meeting(store: Store, url: str, first: Do, second: Do) -> None:
    """Run two functions, of which the second meets the locks of the first before its commit."""
    did, go = threading.Event(), threading.Event()

    def slowly(tx: Transaction) -> None:
        first(tx)
        did.set()
        assert go.wait(20)

    one = asyncio.create_task(store.transact(slowly))
    assert await asyncio.to_thread(did.wait, 20)
    other = asyncio.create_task(store.transact(second))
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for _ in range(2000):
            cursor = await connection.execute(WAITING, (connection.info.dbname,))
            if (await cursor.fetchone()) != (0,) or other.done():
                break
            await asyncio.sleep(0.01)
    go.set()
    await one
    await other


async def _held(store: Store) -> list[Job]:
    held = await store.read(lambda tx: tx.find_jobs(statuses=(JobStatus.CLAIMED,)))
    return list(held)


async def _leases(store: Store) -> list[Lock]:
    return list(await store.read(lambda tx: tx.locks(now=START, expired=False)))


@pytest.mark.parametrize("at_once", [1, 2])
async def test_jobs_submitted_at_the_same_time_end_their_lease(
    store: Store, postgres_url: str, at_once: int
) -> None:
    """Neither sees the other's submit before it has the lock."""
    await store.transact(_claiming(1, 2))
    await store.transact(_claiming(3, 4))  # by the same agent: it joins the leases
    held = await _held(store)
    assert [each.job_id for each in held] == [job_id(n) for n in (1, 2, 3, 4)]
    mine, others = held[:at_once], held[2 : 2 + at_once]
    await _meeting(store, postgres_url, _submitting(mine), _submitting(others))
    left = {each.subject for each in await _held(store)}
    assert {lease.subject for lease in await _leases(store)} == left == set(SUBJECTS[at_once:])


@pytest.mark.parametrize("at_once", [1, 2])
async def test_a_lease_that_was_joined_meanwhile_stays(
    store: Store, postgres_url: str, at_once: int
) -> None:
    """A submit of what was its only job does not end it."""
    await store.transact(_claiming(1, 2))
    held = (await _held(store))[:at_once]
    await _meeting(store, postgres_url, _claiming(3, 4), _submitting(held))
    assert job_id(3) in {each.job_id for each in await _held(store)}
    assert {lease.subject for lease in await _leases(store)} == set(SUBJECTS)


@pytest.mark.parametrize("at_once", [1, 2])
async def test_a_lease_ends_with_its_last_job(store: Store, at_once: int) -> None:
    """One that still holds another job stays."""
    await store.transact(_claiming(1, 2))
    await store.transact(_claiming(3, 4))
    held = await _held(store)
    await store.transact(_submitting(held[:at_once]))
    assert len(await _leases(store)) == 2
    await store.transact(_submitting(held[2 : 2 + at_once]))
    assert {lease.subject for lease in await _leases(store)} == set(SUBJECTS[at_once:])
