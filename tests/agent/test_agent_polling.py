"""Back-off and calls that are tried again."""

from __future__ import annotations

import anyio
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from retaia_tests.agent_server import MemoryServer, failing

from retaia_agent.events import Teller
from retaia_agent.polling import Backoff, LeaseOver, RegistrationRefused, Session, Timing
from retaia_core.errors import StateConflict, Unauthorized, Unavailable
from retaia_core.ports.agent import AgentEvent
from retaia_core.ports.transport import Registration

ME = Registration(name="a", version="1", platform="test", capabilities=("media.facts@1",))


class Patience:
    """Sleep that takes no time and is written down."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Note it."""
        self.slept.append(seconds)
        await anyio.lowlevel.checkpoint()


def session(server: MemoryServer, patience: Patience, events: list[AgentEvent]) -> Session:
    """A session that waits as long as it may."""
    timing = Timing(chance=lambda: 1.0, sleep=patience.sleep)
    return Session(server, ME, Teller(events.append), timing)


class TestBackoff:
    """From 2 s, doubling, at most 60 s, full jitter (protocol.md)."""

    def test_it_doubles_up_to_a_minute(self) -> None:
        """The longest waits are the contract's."""
        backoff = Backoff(Timing(chance=lambda: 1.0))
        assert [backoff.after() for _ in range(8)] == [2, 4, 8, 16, 32, 60, 60, 60]

    @given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=3000))
    def test_jitter_is_full(self, chances: list[float]) -> None:
        """A wait is the same share of its longest as chance says, for as many tries as one likes."""
        drawn = iter(chances)
        backoff = Backoff(Timing(chance=lambda: next(drawn)))
        for tries, chance in enumerate(chances):
            assert backoff.after() == min(60.0, 2.0 * 2.0 ** min(tries, 10)) * chance

    @given(st.integers(0, 600))
    def test_what_the_server_asks_for_is_the_least(self, asked: int) -> None:
        """``Retry-After`` is kept, also where it is longer than a minute."""
        backoff = Backoff(Timing(chance=lambda: 0.5))
        assert backoff.after(Unavailable("slow down", retry_after_s=asked)) == max(asked, 1.0)


class TestSession:
    """Calls outlive the server's absence."""

    async def test_it_tries_for_ever(self) -> None:
        """Hundreds of refusals to connect end with the answer."""
        server, patience = MemoryServer(), Patience()
        events: list[AgentEvent] = []
        server.before = failing(Unavailable("down"), "register", times=300)
        await session(server, patience, events).register()
        assert len(patience.slept) == 300
        assert max(patience.slept) == 60
        assert [e.name for e in events[-2:]] == ["online", "registered"]

    async def test_an_answer_that_cannot_change_is_passed_on(self) -> None:
        """Only what may work later is tried again."""
        server, patience = MemoryServer(), Patience()
        agent = session(server, patience, [])
        await agent.register()
        server.before = failing(StateConflict("no"), "jobs")
        with pytest.raises(StateConflict):
            await agent.jobs()
        assert patience.slept == []

    async def test_a_lease_bounds_the_waiting(self) -> None:
        """Pauses are cut at the lease's end, and then it is over."""
        server, patience = MemoryServer(), Patience()
        agent = session(server, patience, [])
        await agent.register()
        server.down = True
        left = iter([3.0, 1.5, 0.0])
        with pytest.raises(LeaseOver):
            await agent.call(server.jobs, lease_left=lambda: next(left))
        assert patience.slept == [2.0, 1.5]

    async def test_many_calls_that_were_forgotten_register_once(self) -> None:
        """Several bundles notice at the same time; one registration serves them all."""
        server, patience = MemoryServer(), Patience()
        agent = session(server, patience, [])
        await agent.register()
        server.forget_agents()
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(agent.jobs)
        assert server.calls["register"] == 2

    async def test_a_revoked_credential_is_an_end(self) -> None:
        """Forgotten and not wanted back: no endless knocking."""
        server = MemoryServer()
        agent = session(server, Patience(), [])
        await agent.register()
        server.forget_agents()
        server.before = failing(Unauthorized("revoked"), "register")
        with pytest.raises(RegistrationRefused, match="revoked"):
            await agent.jobs()

    async def test_times_are_the_contracts(self) -> None:
        """Without other orders the times are those of protocol.md."""
        timing = Timing()
        assert (timing.backoff_first, timing.backoff_most) == (2.0, 60.0)
        assert (timing.heartbeat_most, timing.lease) == (30.0, 120.0)
        assert evolve(timing, lease=1.0).now().utcoffset() is not None
