"""Where the client's tokens come from, and when it asks for another."""

from __future__ import annotations

import anyio
import httpx
import pytest
from retaia_tests.scripted_wire import UUID, Script, Time, client, good, problem

from retaia_adapters.http_client import Client, ClientCredentials, Login
from retaia_core.errors import (
    MfaRequired,
    TooManyAttempts,
    Unauthorized,
)


def minted(token: str) -> httpx.Response:
    return good(
        {"client_id": "i", "client_kind": "AGENT", "access_token": token, "token_type": "Bearer"}
    )


def credentials() -> ClientCredentials:
    return ClientCredentials(client_id="i", client_kind="AGENT", secret_key="hush")


class TestTokens:
    """Where tokens come from."""

    def client(self, script: Script, source: object, time: Time) -> Client:
        return Client("http://x", source, transport=script, retries=time.retries())  # type: ignore[arg-type]

    async def test_minted_once_and_again(self, time: Time) -> None:
        """A token is minted before the first call, kept, and minted anew when it is refused."""
        script = Script(
            minted("a"), good(), good(), problem(401, "UNAUTHORIZED"), minted("b"), good()
        )
        async with self.client(script, credentials(), time) as c:
            await c.assets.decide(UUID, "KEEP")
            await c.assets.decide(UUID, "KEEP")
            await c.assets.decide(UUID, "KEEP")
        bearer = [text and text.removeprefix("Bearer ") for text in script.sent("authorization")]
        assert bearer == [None, "a", "a", "a", None, "b"]
        keys = script.sent("idempotency-key")
        assert keys[3] == keys[5]

    async def test_minting_on_a_bad_network(self, time: Time) -> None:
        """A token that could not be had is tried again; with the call's patience where it is a person's."""
        script = Script(problem(503), httpx.ConnectError("down"), minted("a"), good())
        async with self.client(script, credentials(), time) as c:
            await c.assets.reopen(UUID)
        token = {"access_token": "a", "token_type": "Bearer"}
        script = Script(problem(503), good(token), good())
        async with self.client(script, Login(email="a@b.org", password="pw"), time) as c:
            await c.assets.decide(UUID, "KEEP")
        assert time.slept == [2, 4, 2]

    async def test_a_lock_out(self, time: Time) -> None:
        """A technical client that is locked out is told so, and how long."""
        script = Script(problem(429, "TOO_MANY_ATTEMPTS", Retry_After="5"))
        async with self.client(script, credentials(), time) as c:
            with pytest.raises(TooManyAttempts):
                await c.assets.get(UUID)
        assert time.slept == []

    async def test_refused_twice(self, time: Time) -> None:
        """A fresh token that is refused as well is an error, not a loop."""
        script = Script(
            minted("a"), problem(401, "UNAUTHORIZED"), minted("b"), problem(401, "UNAUTHORIZED")
        )
        async with self.client(script, credentials(), time) as c:
            with pytest.raises(Unauthorized):
                await c.assets.decide(UUID, "KEEP")

    async def test_a_fixed_token(self, time: Time) -> None:
        """A token that cannot be made anew is asked with once."""
        script = Script(problem(401, "UNAUTHORIZED"))
        async with client(time, script) as c:
            with pytest.raises(Unauthorized):
                await c.assets.decide(UUID, "KEEP")
        assert len(script.requests) == 1

    async def test_many_at_once(self, time: Time) -> None:
        """Calls that start together share one token."""
        script = Script(minted("a"), *(good() for _ in range(5)))
        async with (
            self.client(script, credentials(), time) as c,
            anyio.create_task_group() as tasks,
        ):
            for _ in range(5):
                tasks.start_soon(c.assets.reopen, UUID)
        assert script.sent("authorization") == [None, *["Bearer a"] * 5]

    async def test_login(self, time: Time) -> None:
        """A person logs in with a fresh code each time; wrong or missing ones are told apart."""
        codes = iter(["111111", "222222"])
        login = Login(email="ana@example.org", password="pw", otp=lambda: next(codes))
        token = {"access_token": "a", "token_type": "Bearer"}
        script = Script(
            good(token), problem(401, "UNAUTHORIZED"), good({**token, "access_token": "b"}), good()
        )
        async with self.client(script, login, time) as c:
            await c.assets.decide(UUID, "KEEP")
        assert b"111111" in script.bodies[0]
        assert b"222222" in script.bodies[2]

    async def test_refreshing(self, time: Time) -> None:
        """A refresh token counts once and needs no code; where it is refused, the person logs in again."""
        codes = iter(["111111", "222222"])
        login = Login(email="ana@example.org", password="pw", otp=lambda: next(codes))

        def token(name: str) -> httpx.Response:
            return good({"access_token": name, "token_type": "Bearer", "refresh_token": f"r{name}"})

        def refused() -> httpx.Response:
            return problem(401, "UNAUTHORIZED")

        script = Script(
            token("a"), refused(), token("b"), refused(), refused(), refused(), token("c"), good()
        )
        async with self.client(script, login, time) as c:
            with pytest.raises(Unauthorized):
                await c.assets.decide(UUID, "KEEP")
            await c.assets.decide(UUID, "KEEP")
        assert [request.url.path.rpartition("/")[2] for request in script.requests] == [
            "login", "decision", "refresh", "decision", "decision", "refresh", "login", "decision",
        ]  # fmt: skip
        assert b'"ra"' in script.bodies[2]
        assert b'"rb"' in script.bodies[5]

    async def test_logging_in_fails(self, time: Time) -> None:
        """A missing code and a lock-out are told apart, and a lock-out is not met with more attempts."""
        asked = Script(problem(401, "MFA_REQUIRED"))
        async with self.client(asked, Login(email="a@b.org", password="pw"), time) as c:
            with pytest.raises(MfaRequired):
                await c.assets.get(UUID)
        locked = Script(problem(429, "TOO_MANY_ATTEMPTS", Retry_After="5"))
        async with self.client(locked, Login(email="a@b.org", password="pw"), time) as c:
            with pytest.raises(TooManyAttempts) as error:
                await c.assets.get(UUID)
        assert error.value.details["retry_after_s"] == 5
        assert time.slept == [], "a lock-out is not met with more attempts"

    @pytest.mark.parametrize("source", [credentials(), Login(email="a@b.c", password="hush")])
    def test_secrets_are_not_shown(self, source: object) -> None:
        """No secret stands in a source's repr."""
        assert "hush" not in repr(source)
