"""Sums for those who watch, over a store in memory."""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest
from retaia_tests.house import House

from retaia_core.domain.jobs import JobStatus
from retaia_core.domain.leases import LockKind
from retaia_core.domain.lifecycle import State
from retaia_core.domain.workload import WaitReason
from retaia_core.testing import samples
from retaia_core.testing.memory_store import MemoryTransaction
from retaia_core.usecases import monitoring
from retaia_core.usecases.monitoring import Monitoring


@pytest.fixture
async def house() -> House:
    """A house with an adopted storage and a file to process."""
    house = House()
    await house.start()
    await house.ready("INBOX/a.jpg")
    return house


def watching(house: House) -> Monitoring:
    """Who watches it."""
    return Monitoring(store=house.store, clock=house.clock)


class TestLevels:
    """How much there is of everything."""

    async def test_they_are_the_stores(self, house: House) -> None:
        """Jobs, assets, locks and agents that are alive."""
        agent = await house.agent()
        await house.store.transact(
            lambda tx: tx.save_lock(
                samples.lock(1, expires_at=house.clock.now() + timedelta(seconds=60))
            )
        )
        levels = await watching(house).levels()
        assert levels.assets == {State.READY: 1}
        assert {status for _, status in levels.jobs} == {JobStatus.PENDING}
        assert levels.locks == {LockKind.JOB_LEASE: 1}
        assert (levels.agents_alive, agent.alive(house.clock.now())) == (1, True)

    async def test_slow_counts_are_kept_longer(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Counting takes a small share of the time, however often somebody asks."""
        monkeypatch.setattr(monitoring, "LEVELS_AGE_S", 0.0)
        monkeypatch.setattr(monitoring, "LEVELS_SHARE", 10**6)
        watch, counted = watching(house), []
        plain = MemoryTransaction.count_jobs

        def count(tx: MemoryTransaction) -> object:
            counted.append(1)
            return plain(tx)

        monkeypatch.setattr(MemoryTransaction, "count_jobs", count)
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(watch.levels)
        assert len(counted) == 1
        monkeypatch.setattr(monitoring, "LEVELS_SHARE", 0)
        fresh = watching(house)
        await fresh.levels()
        await fresh.levels()
        assert len(counted) == 3


class TestAnswers:
    """What waits, and who works."""

    async def test_a_store_that_hangs(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        """A store that does not answer in time makes the server not ready; nobody waits for it."""
        monkeypatch.setattr(monitoring, "ANSWER_WITHIN_S", 0.01)

        async def hang(*given: object) -> None:
            await anyio.sleep(60)

        monkeypatch.setattr(type(house.store), "read", hang)
        readiness = await watching(house).readiness()
        assert not readiness.ready
        assert "did not answer within" in readiness.checks[0].message

    async def test_what_waits(self, house: House) -> None:
        """Without an agent, every pending job says which capability nobody offers."""
        load = await watching(house).workload()
        assert {w.reason for w in load.waiting} == {WaitReason.NO_AGENT}
        await house.agent()
        load = await watching(house).workload()
        assert WaitReason.NO_AGENT not in {w.reason for w in load.waiting}

    async def test_who_works(self, house: House) -> None:
        """Agents come by their ids, after the one given, with what they hold."""
        first, second = sorted(
            [await house.agent("one"), await house.agent("two")], key=lambda a: a.agent_id
        )
        found = await watching(house).agents(None, 1)
        assert [one.agent.agent_id for one in found] == [first.agent_id]
        found = await watching(house).agents(first.agent_id, 5)
        assert [(one.agent.agent_id, one.jobs) for one in found] == [(second.agent_id, ())]
