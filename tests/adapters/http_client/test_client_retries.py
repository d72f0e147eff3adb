"""The client on a bad network: what is tried again, how long, and with what."""

from __future__ import annotations

import itertools
from functools import partial

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from retaia_tests.scripted_wire import SUMMARY, UUID, Script, Time, client, good, problem

from retaia_adapters.http_client import Client, Retries
from retaia_core.domain.backoff import backoff_s
from retaia_core.errors import (
    RateLimited,
    RetaiaError,
    StateConflict,
    Unavailable,
    ValidationFailed,
)


class TestBackoff:
    """From 2 s, doubling, at most 60 s, full jitter (protocol.md)."""

    @given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.floats(0, 600))
    def test_bounds(self, tries: int, chance: float, asked: float) -> None:
        """A pause is at least what was asked for, and else below its doubling and a minute."""
        pause = backoff_s(tries, chance, at_least=asked)
        assert pause >= asked
        assert pause <= max(asked, min(60.0, 2.0**tries) if tries < 60 else 60.0)

    @given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=50))
    def test_a_call_ends_by_its_deadline(self, chances: list[float]) -> None:
        """Whatever chance says, no pause reaches beyond the deadline."""
        time, drawn, tries = Time(), itertools.cycle(chances), itertools.count()
        retries = Retries(
            deadline_s=100, chance=lambda: max(0.01, next(drawn)), now=time.now, sleep=time.sleep
        )

        async def attempt() -> None:
            next(tries)
            raise Unavailable("away")

        with pytest.raises(Unavailable, match="away"):
            anyio.run(partial(retries.run, attempt, repeatable=True))
        assert time.at < 100
        assert next(tries) == len(time.slept) + 1


class TestRetries:
    """What is safe is tried again."""

    async def test_the_key_is_kept(self, time: Time) -> None:
        """Every try of a decision has the key of the first; the next decision has another."""
        script = Script(problem(503), httpx.ReadError("cut"), problem(429), good(), good())
        async with client(time, script) as c:
            assert (await c.assets.decide(UUID, "KEEP")).state == "DECIDED_KEEP"
            await c.assets.decide(UUID, "KEEP")
        first, *others, last = script.sent("idempotency-key")
        assert first
        assert set(others) == {first}
        assert last not in (first, None)
        assert time.slept == [2, 4, 8]

    async def test_retry_after(self, time: Time) -> None:
        """What the server asks for is kept, in seconds or as a time."""
        script = Script(
            problem(503, Retry_After="30"),
            problem(
                429,
                "RATE_LIMITED",
                Retry_After="Fri, 31 Dec 1999 23:59:59 GMT",
                Date="Fri, 31 Dec 1999 23:58:59 GMT",
            ),
            problem(503, Retry_After="soon"),
            good(),
        )
        async with client(time, script) as c:
            await c.assets.decide(UUID, "KEEP")
        assert time.slept == [30, 60, 8]

    @pytest.mark.parametrize("step", [problem(503), httpx.ReadError("cut"), problem(502)])
    async def test_a_post_without_a_key(self, time: Time, step: httpx.Response | Exception) -> None:
        """What may have been done and has no key is not sent twice."""
        script = Script(step)
        async with client(time, script) as c:
            with pytest.raises(Unavailable):
                await c.assets.reopen(UUID)
        assert len(script.requests) == 1

    async def test_refusals_are_final(self, time: Time) -> None:
        """A refusal is raised at once, with its correlation id."""
        script = Script(problem(409, "STATE_CONFLICT"))
        async with client(time, script) as c:
            with pytest.raises(StateConflict) as refused:
                await c.assets.decide(UUID, "KEEP")
        assert refused.value.details["correlation_id"] == "c-1"

    async def test_a_crash_is_final(self, time: Time) -> None:
        """500 is no promise that another try would help."""
        script = Script(problem(500))
        async with client(time, script) as c:
            with pytest.raises(RetaiaError) as failed:
                await c.assets.get(UUID)
        assert not isinstance(failed.value, Unavailable)

    async def test_the_deadline(self, time: Time) -> None:
        """A pause that would pass the deadline is not made: the last error is raised."""
        script = Script(problem(429, "RATE_LIMITED", Retry_After="301"))
        async with client(time, script) as c:
            with pytest.raises(RateLimited):
                await c.assets.get(UUID)
        assert time.slept == []

    async def test_a_silent_server(self) -> None:
        """A try under way is ended at the deadline."""

        async def answer(request: httpx.Request) -> httpx.Response:
            await anyio.sleep_forever()
            raise AssertionError

        async with Client(
            "http://x", "t", retries=Retries(deadline_s=0.05), transport=httpx.MockTransport(answer)
        ) as c:
            with pytest.raises(Unavailable, match=r"within 0\.05 s"):
                await c.assets.get(UUID)

    async def test_the_number_of_tries(self, time: Time) -> None:
        """Who wants fewer tries says so."""
        script = Script(problem(503), problem(503), good())
        async with client(time, script, retries=time.retries(tries=2)) as c:
            with pytest.raises(Unavailable):
                await c.assets.decide(UUID, "KEEP")
        assert len(script.requests) == 2

    @pytest.mark.parametrize("url", ["nas.local", "ftp://nas", "http://", "file:///etc"])
    async def test_addresses(self, url: str) -> None:
        """What is no address of a server is refused before anything is sent."""
        with pytest.raises(ValidationFailed, match="http://"):
            Client(url)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({**SUMMARY, "has_proxy": "yes"}, "has_proxy"),
        ({**SUMMARY, "state": "LOST"}, "state"),
        ({**SUMMARY, "tags": "ab"}, "tags"),
        ({**SUMMARY, "tags": [1]}, "tags"),
        ({**SUMMARY, "duration": True}, "duration"),
        ({**SUMMARY, "created_at": "2026-05-12T18:00:00"}, "created_at"),
        ({**SUMMARY, "created_at": 5}, "created_at"),
        ({k: v for k, v in SUMMARY.items() if k != "uuid"}, "uuid"),
        ([], "object"),
        ("text", "object"),
    ],
)
async def test_answers_of_the_wrong_form(time: Time, body: object, said: str) -> None:
    """An answer that is not as documented is an error that names the place; nothing is coerced."""
    async with client(time, Script(good(body))) as c:
        with pytest.raises(RetaiaError, match=said):
            await c.assets.decide(UUID, "KEEP")
