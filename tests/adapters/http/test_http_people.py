"""People's accounts over HTTP: the contract's words, codes and silences (protocol.md)."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import anyio
import httpx
import pytest
from retaia_tests.house import House
from retaia_tests.http_house import STORES, Served, client
from retaia_tests.people import PASSWORD, code_now, person
from retaia_tests.socket_house import serve_on_a_socket

from retaia_adapters.accounts.secrets import BuiltinSecrets
from retaia_core.domain.accounts import Email
from retaia_core.domain.actors import SYSTEM
from retaia_core.domain.security_events import EventName
from retaia_core.domain.throttling import FREE_ATTEMPTS
from retaia_core.errors import StateConflict, Unavailable
from retaia_core.testing.memory_secrets import PlainSecrets

ZOE = "zoe@example.org"
FRESH = "another password"


@pytest.fixture
def store_kind(request: pytest.FixtureRequest) -> str:
    """These run in memory, and where asked on the databases."""
    return str(getattr(request, "param", "memory"))


@pytest.fixture
async def zoe(served: Served) -> str:
    """A person with a password and a proven address."""
    return (await person(served.house, "zoe")).account_id


async def login(served: Served, **more: Any) -> httpx.Response:
    """Ask to be signed in."""
    body = {"email": ZOE, "password": PASSWORD, **more}
    return await served.anonymous.post("/auth/login", json=body)


async def signed_in(served: Served, **more: Any) -> httpx.AsyncClient:
    """A client that calls as the person."""
    answer = await login(served, **more)
    assert answer.status_code == 200, answer.text
    return client(served.transport(), answer.json()["access_token"])


def code(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, str(answer.json()["code"])


async def mailed(served: Served, address: str = ZOE) -> str:
    """The token of the last message to an address."""
    await anyio.wait_all_tasks_blocked()
    return served.house.notifier.last_to(address).text.split("\n\n")[3]


@pytest.mark.usefixtures("zoe")
class TestLogin:
    """``POST /auth/login``."""

    @pytest.mark.parametrize(
        "store_kind",
        STORES,
        indirect=True,
    )
    async def test_the_whole_way(self, served: Served) -> None:
        """Sign in, ask who I am, refresh, sign out: on every store."""
        answer = (await login(served)).json()
        assert (answer["token_type"], answer["client_id"], answer["client_kind"]) == (
            "Bearer",
            "web",
            "UI_WEB",
        )
        assert answer["expires_in"] == 3600
        me = await client(served.transport(), answer["access_token"]).get("/auth/me")
        assert me.json()["email"] == ZOE
        assert me.json()["email_verified"] is True
        assert me.json()["roles"] == []
        again = await served.anonymous.post(
            "/auth/refresh", json={"refresh_token": answer["refresh_token"]}
        )
        old = await client(served.transport(), answer["access_token"]).get("/auth/me")
        assert code(old) == (401, "UNAUTHORIZED")
        fresh = client(served.transport(), again.json()["access_token"])
        out = await fresh.post("/auth/logout")
        assert (out.status_code, out.content) == (200, b"")
        assert code(await fresh.get("/assets")) == (401, "UNAUTHORIZED")

    @pytest.mark.parametrize(
        "store_kind",
        STORES[1:],
        indirect=True,
    )
    async def test_everything_at_once(self, served: Served) -> None:
        """Good and bad logins, requests and new passwords of one account never block each other."""
        email = Email(ZOE)
        passwords, seen = served.house.people.passwords, set()

        async def log_in(n: int) -> None:
            password = PASSWORD if n % 3 else "wrong password"
            seen.add((await login(served, password=password, client_id=str(n))).status_code)

        async def reset(n: int) -> None:
            body = {"email": ZOE}
            asked = await served.anonymous.post("/auth/lost-password/request", json=body)
            seen.add(asked.status_code)
            await passwords.set_for(email, PASSWORD)

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for n in range(30):
                    tasks.start_soon(reset if n % 5 == 0 else log_in, n)
        assert seen <= {200, 202, 401, 429}
        served.house.clock.advance(timedelta(hours=1))
        assert (await login(served)).status_code == 200

    async def test_a_token_opens_the_api(self, served: Served) -> None:
        """A person reads and decides, and does not administer."""
        zoe = await signed_in(served)
        assert (await zoe.get("/assets")).status_code == 200
        assert code(await zoe.get("/ops/status")) == (403, "FORBIDDEN_SCOPE")
        assert code(await zoe.get("/jobs")) == (403, "FORBIDDEN_ACTOR")

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ({"password": "wrong password"}, (401, "UNAUTHORIZED")),
            ({"email": "nobody@example.org"}, (401, "UNAUTHORIZED")),
            ({"email": "no address"}, (422, "VALIDATION_FAILED")),
            ({"email": None}, (422, "VALIDATION_FAILED")),
            ({"client_id": ""}, (422, "VALIDATION_FAILED")),
            ({"client_kind": "KING"}, (422, "VALIDATION_FAILED")),
            ({"client_kind": "AGENT"}, (403, "FORBIDDEN_ACTOR")),
            ({"surprise": True}, (422, "VALIDATION_FAILED")),
        ],
        ids=str,
    )
    async def test_refusals(
        self, served: Served, body: dict[str, object], expected: tuple[int, str]
    ) -> None:
        """Each has the code that the contract gives it, and none repeats what was sent."""
        answer = await login(served, **body)
        assert code(answer) == expected
        assert PASSWORD not in answer.text

    async def test_an_unproven_address(self, served: Served) -> None:
        """EMAIL_NOT_VERIFIED, 403."""
        await served.house.people.accounts.add(Email("bob@example.org"), PASSWORD)
        answer = await login(served, email="bob@example.org")
        assert code(answer) == (403, "EMAIL_NOT_VERIFIED")

    async def test_locked_out(self, served: Served) -> None:
        """A thousand wrong passwords are few hashes; the answer says how long to wait."""
        answers = [await login(served, password="wrong password") for _ in range(1000)]
        assert [a.status_code for a in answers] == [401] * FREE_ATTEMPTS + [429] * (
            1000 - FREE_ATTEMPTS
        )
        assert isinstance(served.house.secrets, PlainSecrets)
        assert served.house.secrets.checked == FREE_ATTEMPTS
        assert code(answers[-1]) == (429, "TOO_MANY_ATTEMPTS")
        assert answers[-1].headers["retry-after"] == "2"
        assert answers[-1].json()["retryable"] is True
        assert code(await login(served)) == (429, "TOO_MANY_ATTEMPTS")
        served.house.clock.advance(timedelta(seconds=2))
        assert (await login(served)).status_code == 200

    async def test_a_refresh_token_comes_again(self, served: Served) -> None:
        """The session that grew from it is over."""
        first = (await login(served)).json()
        body = {"refresh_token": first["refresh_token"]}
        second = (await served.anonymous.post("/auth/refresh", json=body)).json()
        assert code(await served.anonymous.post("/auth/refresh", json=body))[0] == 401
        me = await client(served.transport(), second["access_token"]).get("/auth/me")
        assert me.status_code == 401

    async def test_nothing_secret_is_logged(
        self, served: Served, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Neither passwords, tokens, codes nor whole addresses are in any line."""
        caplog.set_level(logging.DEBUG)
        await login(served, password="wrong password")
        answer = (await login(served)).json()
        zoe = client(served.transport(), answer["access_token"])
        setup = (await zoe.post("/auth/2fa/setup")).json()
        otp = code_now(served.house, setup["secret"])
        codes = (await zoe.post("/auth/2fa/enable", json={"otp_code": otp})).json()
        await served.anonymous.post("/auth/lost-password/request", json={"email": ZOE})
        token = await mailed(served)
        body = {"token": token, "new_password": FRESH}
        await served.anonymous.post("/auth/lost-password/reset", json=body)
        said = caplog.text + repr([record.__dict__ for record in caplog.records])
        said += repr(served.house.security.events)
        assert served.house.security.named(EventName.LOGIN_SUCCEEDED)
        for secret in (
            PASSWORD,
            "wrong password",
            FRESH,
            ZOE,
            answer["access_token"],
            answer["refresh_token"],
            setup["secret"],
            otp,
            token,
            *codes["recovery_codes"],
        ):
            assert secret not in said


@pytest.mark.usefixtures("zoe")
class TestSecondFactor:
    """``/auth/2fa``."""

    async def test_the_whole_way(self, served: Served) -> None:
        """Set up, enable, sign in with a code and with a recovery code, disable."""
        zoe = await signed_in(served)
        setup = (await zoe.post("/auth/2fa/setup")).json()
        assert (setup["method"], setup["issuer"], setup["account_name"]) == ("TOTP", "Retaia", ZOE)
        assert ElementTree.fromstring(setup["qr_svg"]).tag.endswith("svg")
        otp = {"otp_code": code_now(served.house, setup["secret"])}
        enabled = (await zoe.post("/auth/2fa/enable", json=otp)).json()
        assert enabled["mfa_enabled"] is True
        assert len(enabled["recovery_codes"]) == 10
        assert (await zoe.get("/auth/me")).json()["mfa_enabled"] is True
        assert code(await login(served)) == (401, "MFA_REQUIRED")
        wrong = await login(served, otp_code="000000")
        assert code(wrong) == (401, "INVALID_2FA_CODE")
        assert wrong.headers["www-authenticate"] == "Bearer"
        served.house.clock.advance(timedelta(seconds=30))
        fresh = code_now(served.house, setup["secret"])
        assert (await login(served, otp_code=fresh)).status_code == 200
        zoe = await signed_in(served, recovery_code=enabled["recovery_codes"][0])
        new = (await zoe.post("/auth/2fa/recovery-codes/regenerate")).json()["recovery_codes"]
        assert set(new).isdisjoint(enabled["recovery_codes"])
        assert code(await zoe.post("/auth/2fa/disable", json={"otp_code": fresh})) == (
            400,
            "INVALID_2FA_CODE",
        )
        served.house.clock.advance(timedelta(seconds=30))
        last = {"otp_code": code_now(served.house, setup["secret"])}
        assert (await zoe.post("/auth/2fa/disable", json=last)).status_code == 200
        assert (await login(served)).status_code == 200

    async def test_refusals(self, served: Served) -> None:
        """What is off, on already, or malformed."""
        zoe = await signed_in(served)
        otp = {"otp_code": "000000"}
        regenerate = "/auth/2fa/recovery-codes/regenerate"
        assert code(await zoe.post("/auth/2fa/disable", json=otp)) == (409, "MFA_NOT_ENABLED")
        assert code(await zoe.post(regenerate)) == (409, "MFA_NOT_ENABLED")
        assert code(await zoe.post("/auth/2fa/enable", json=otp)) == (409, "STATE_CONFLICT")
        setup = (await zoe.post("/auth/2fa/setup")).json()
        assert code(await zoe.post("/auth/2fa/enable", json=otp)) == (400, "INVALID_2FA_CODE")
        short = await zoe.post("/auth/2fa/enable", json={"otp_code": "12345"})
        assert code(short) == (422, "VALIDATION_FAILED")
        good = {"otp_code": code_now(served.house, setup["secret"])}
        await zoe.post("/auth/2fa/enable", json=good)
        assert code(await zoe.post("/auth/2fa/setup")) == (409, "MFA_ALREADY_ENABLED")


@pytest.mark.usefixtures("zoe")
class TestMessages:
    """Lost passwords and addresses that are to be proven."""

    async def test_a_lost_password(self, served: Served) -> None:
        """A message, a new password, every session ended, and another message that says so."""
        zoe = await signed_in(served)
        asked = await served.anonymous.post("/auth/lost-password/request", json={"email": ZOE})
        assert (asked.status_code, asked.content) == (202, b"")
        body = {"token": await mailed(served), "new_password": "short"}
        reset = "/auth/lost-password/reset"
        assert code(await served.anonymous.post(reset, json=body)) == (422, "VALIDATION_FAILED")
        body["new_password"] = FRESH
        assert (await served.anonymous.post(reset, json=body)).status_code == 200
        assert code(await served.anonymous.post(reset, json=body)) == (400, "INVALID_TOKEN")
        assert (await zoe.get("/auth/me")).status_code == 401
        assert (await login(served)).status_code == 401
        assert (await login(served, password=FRESH)).status_code == 200
        await anyio.wait_all_tasks_blocked()
        assert "changed" in served.house.notifier.last_to(ZOE).subject

    async def test_an_address_is_proven(self, served: Served) -> None:
        """By the token of the message."""
        await served.house.people.accounts.add(Email("bob@example.org"), PASSWORD)
        body = {"email": "bob@example.org"}
        asked = await served.anonymous.post("/auth/verify-email/request", json=body)
        assert asked.status_code == 202
        token = {"token": await mailed(served, "bob@example.org")}
        confirm = "/auth/verify-email/confirm"
        assert (await served.anonymous.post(confirm, json=token)).status_code == 200
        assert code(await served.anonymous.post(confirm, json=token)) == (400, "INVALID_TOKEN")
        assert (await login(served, email="bob@example.org")).status_code == 200

    @pytest.mark.parametrize("way", ["lost-password", "verify-email"])
    async def test_nobodys_address_is_answered_alike(self, served: Served, way: str) -> None:
        """The same status, the same nothing, the same limit; and no message goes out."""
        for email in (ZOE, "nobody@example.org"):
            answers = [
                await served.anonymous.post(f"/auth/{way}/request", json={"email": email})
                for _ in range(FREE_ATTEMPTS + 1)
            ]
            assert [a.status_code for a in answers] == [202] * FREE_ATTEMPTS + [429]
            assert {a.content for a in answers[:-1]} == {b""}
        await anyio.wait_all_tasks_blocked()
        assert {m.to for m in served.house.notifier.messages} <= {ZOE}

    async def test_an_administrators_word(self, served: Served) -> None:
        """Only theirs; nobody's address is 404."""
        zoe = await signed_in(served)
        path, body = "/auth/verify-email/admin-confirm", {"email": "bob@example.org"}
        assert code(await zoe.post(path, json=body)) == (403, "FORBIDDEN_SCOPE")
        assert code(await served.person.post(path, json=body)) == (404, "USER_NOT_FOUND")
        await served.house.people.accounts.add(Email("bob@example.org"), PASSWORD)
        assert (await served.person.post(path, json=body)).status_code == 200
        assert (await login(served, email="bob@example.org")).status_code == 200


@pytest.mark.usefixtures("zoe")
class TestOurs:
    """What is beside the contract: links, one's own password, accounts."""

    async def test_a_link(self, served: Served) -> None:
        """It signs the local person in, once."""
        local = await served.house.people.accounts.local("ana")
        token = await served.house.people.sign_in.make_link(local.account_id)
        body = {"token": token, "client_id": "browser"}
        answer = await served.anonymous.post("/auth/link", json=body)
        ana = client(served.transport(), answer.json()["access_token"])
        assert (await ana.get("/auth/me")).json()["roles"] == ["ADMIN"]
        again = await served.anonymous.post("/auth/link", json=body)
        assert code(again) == (400, "INVALID_TOKEN")

    async def test_ones_own_password(self, served: Served) -> None:
        """The current one is asked for; the client that changed it stays signed in."""
        zoe = await signed_in(served)
        body = {"current_password": "wrong password", "new_password": FRESH}
        assert code(await zoe.post("/auth/password", json=body)) == (422, "VALIDATION_FAILED")
        body["current_password"] = PASSWORD
        assert (await zoe.post("/auth/password", json=body)).status_code == 200
        assert (await zoe.get("/auth/me")).status_code == 200
        assert (await login(served)).status_code == 401

    async def test_accounts(self, served: Served) -> None:
        """Administrators list them and add to them; their secrets are not shown."""
        body = {"email": "bob@example.org", "display_name": "Bob", "roles": ["ADMIN"]}
        added = await served.person.post("/auth/accounts", json=body)
        assert added.json()["roles"] == ["ADMIN"]
        assert added.json()["has_password"] is False
        assert code(await served.person.post("/auth/accounts", json=body)) == (
            409,
            "STATE_CONFLICT",
        )
        listed = (await served.person.get("/auth/accounts")).json()["items"]
        assert [a["email"] for a in listed] == sorted(a["email"] for a in listed)
        assert {"bob@example.org", ZOE} <= {a["email"] for a in listed}
        token = {"token": await mailed(served, "bob@example.org"), "new_password": PASSWORD}
        reset = await served.anonymous.post("/auth/lost-password/reset", json=token)
        assert reset.status_code == 200
        bob = await signed_in(served, email="bob@example.org")
        assert (await bob.get("/auth/accounts")).status_code == 200

    async def test_what_administrators_do(self, served: Served) -> None:
        """Disabled and enabled again, unlocked, and sent a message; each shows what is now."""
        zoe, body = await signed_in(served), {"email": ZOE}
        disabled = await served.person.post("/auth/accounts/disable", json=body)
        assert disabled.json()["disabled"] is True
        assert code(await zoe.get("/auth/me")) == (401, "UNAUTHORIZED")
        assert code(await login(served)) == (401, "UNAUTHORIZED")
        reset = "/auth/accounts/reset"
        assert code(await served.person.post(reset, json=body)) == (409, "STATE_CONFLICT")
        enabled = await served.person.post("/auth/accounts/enable", json=body)
        assert enabled.json()["disabled"] is False
        for _ in range(FREE_ATTEMPTS + 1):
            await login(served, password="wrong password")
        assert code(await login(served)) == (429, "TOO_MANY_ATTEMPTS")
        assert (await served.person.post("/auth/accounts/unlock", json=body)).status_code == 200
        assert (await login(served)).status_code == 200
        sent = await served.person.post(reset, json=body)
        assert (sent.status_code, sent.content) == (202, b"")
        token = {"token": await mailed(served), "new_password": FRESH}
        await served.anonymous.post("/auth/lost-password/reset", json=token)
        assert (await login(served, password=FRESH)).status_code == 200

    @pytest.mark.parametrize("act", ["disable", "enable", "unlock", "reset"])
    async def test_an_address_that_nobody_has(self, served: Served, act: str) -> None:
        """Administrators are told so; others may not ask."""
        path, body = f"/auth/accounts/{act}", {"email": "nobody@example.org"}
        assert code(await served.person.post(path, json=body)) == (404, "USER_NOT_FOUND")
        zoe = await signed_in(served)
        assert code(await zoe.post(path, json=body)) == (403, "FORBIDDEN_SCOPE")

    @pytest.mark.parametrize("store_kind", STORES, indirect=True)
    async def test_somebody_can_administer_for_ever(self, served: Served) -> None:
        """Administrators who disable each other at the same moment: one of them stays."""
        people, bosses = served.house.people, [f"boss{n}" for n in range(6)]
        for name in bosses:
            await person(served.house, name, admin=True)
        for account in await people.accounts.all():
            if account.is_admin and account.email.partition("@")[0] not in bosses:
                await people.accounts.close(SYSTEM, account.email)
        refused = []

        async def disable(name: str) -> None:
            try:
                await people.accounts.close(SYSTEM, Email(f"{name}@example.org"))
            except StateConflict:
                refused.append(name)

        async with anyio.create_task_group() as tasks:
            for name in bosses:
                tasks.start_soon(disable, name)
        left = [a for a in await people.accounts.all() if a.is_admin and not a.disabled]
        assert (len(left), len(refused)) == (1, 1)
        boss = await signed_in(served, email=left[0].email)
        assert (await boss.get("/auth/accounts")).status_code == 200

    async def test_only_administrators(self, served: Served) -> None:
        """A person sees no list of people."""
        zoe = await signed_in(served)
        assert code(await zoe.get("/auth/accounts")) == (403, "FORBIDDEN_SCOPE")
        body = {"email": "bob@example.org"}
        assert code(await zoe.post("/auth/accounts", json=body)) == (403, "FORBIDDEN_SCOPE")


async def test_on_a_real_socket_with_real_secrets() -> None:
    """Argon2id and signed tokens carry a login over a socket; messages that fail end nothing."""
    house = House(secrets=BuiltinSecrets())
    await house.start()
    await person(house, "zoe")
    house.notifier.problem = Unavailable("the mail server is down")
    async with serve_on_a_socket(house) as url, httpx.AsyncClient(base_url=url + "/api/v1") as web:
        body = {"email": ZOE, "password": "wrong password"}
        assert (await web.post("/auth/login", json=body)).status_code == 401
        answer = await web.post("/auth/login", json={**body, "password": PASSWORD})
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        assert (await web.get("/auth/me", headers=headers)).json()["email"] == ZOE
        lost = await web.post("/auth/lost-password/request", json={"email": ZOE})
        assert lost.status_code == 202
        await anyio.sleep(0.05)
        assert (await web.get("/auth/me", headers=headers)).status_code == 200
