"""Technical clients and the device flow, as clients of the API meet them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from attrs import evolve
from retaia_tests.http_house import Served

from retaia_core.domain.accounts import Account, AccountId, Email, Role, Totp
from retaia_core.domain.clients import DEVICE_INTERVAL_S, DEVICE_TTL, ClientKind
from retaia_core.domain.throttling import FREE_ATTEMPTS
from retaia_core.ports.store import Transaction
from retaia_core.testing.clock import START
from retaia_core.testing.memory_secrets import totp_code

CLIENTS = "/auth/clients"
DEVICE = f"{CLIENTS}/device"
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
RIGHT_CODE = totp_code(SECRET, int(START.timestamp()) // 30)
BOB = Account(
    account_id=AccountId("bob"), email=Email("bob@example.org"), created_at=START,
    email_verified=True,
)  # fmt: skip
EVE = evolve(
    BOB, account_id=AccountId("eve"), email=Email("eve@example.org"), roles=frozenset({Role.ADMIN})
)


async def sign_in(served: Served, account: Account) -> dict[str, str]:
    """Save a person's account and sign them in; returns the header that says so."""
    house = served.house

    def work(tx: Transaction) -> str:
        tx.save_account(account)
        sessions = house.sessions
        return sessions.open_for_person(
            tx, account, client_id="web", kind=ClientKind.UI_WEB
        ).access_token

    return {"Authorization": f"Bearer {await house.store.transact(work)}"}


async def start(served: Served, kind: str = "AGENT") -> dict[str, Any]:
    body = {"client_kind": kind, "client_label": "studio Mac"}
    answer = await served.anonymous.post(f"{DEVICE}/start", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def poll(served: Served, device: dict[str, Any]) -> httpx.Response:
    return await served.anonymous.post(
        f"{DEVICE}/poll", json={"device_code": device["device_code"]}
    )


async def connected(served: Served, bob: dict[str, str]) -> dict[str, str]:
    """Take a device through the whole flow; returns its credentials."""
    device = await start(served)
    body = {"user_code": device["user_code"]}
    answer = await served.anonymous.post("/auth/device/approve", json=body, headers=bob)
    assert answer.json() == {"status": "APPROVED"}
    approved = dict((await poll(served, device)).json())
    assert approved.pop("status") == "APPROVED"
    return approved


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json().get("code"))


class TestDeviceFlow:
    """From the start to work that is done."""

    async def test_what_the_device_is_told(self, served: Served) -> None:
        """Where to send the person, how long there is, and how often to ask."""
        device = await start(served)
        assert device["verification_uri"] == "http://127.0.0.1/device"
        assert device["verification_uri_complete"].endswith(f"#code={device['user_code']}")
        assert (device["expires_in"], device["interval"]) == (600, DEVICE_INTERVAL_S)

    async def test_what_the_person_is_shown(self, served: Served) -> None:
        """Name, kind, address and times of what asks, however the code is typed."""
        bob = await sign_in(served, BOB)
        device = await start(served)
        body = {"user_code": device["user_code"].lower().replace("-", " ")}
        seen = await served.anonymous.post("/auth/device/lookup", json=body, headers=bob)
        assert seen.json() == {
            "user_code": device["user_code"],
            "status": "PENDING",
            "client_kind": "AGENT",
            "client_label": "studio Mac",
            "address": "127.0.0.1",
            "requested_at": "2026-01-02T03:04:05Z",
            "expires_at": "2026-01-02T03:14:05Z",
            "otp_required": False,
        }

    async def test_an_approved_device_works(self, served: Served) -> None:
        """Its secret gives a token, the token registers an agent, and a new one ends it."""
        client = await connected(served, await sign_in(served, BOB))
        first = (await served.anonymous.post(f"{CLIENTS}/token", json=client)).json()
        assert (first["token_type"], first["client_id"]) == ("Bearer", client["client_id"])
        headers = {"Authorization": f"Bearer {first['access_token']}"}
        body = {"agent_name": "a", "agent_version": "1", "capabilities": []}
        answer = await served.anonymous.post("/agents/register", json=body, headers=headers)
        assert answer.status_code == 200
        await served.anonymous.post(f"{CLIENTS}/token", json=client)
        answer = await served.anonymous.post("/agents/register", json=body, headers=headers)
        assert told(answer) == (401, "UNAUTHORIZED")

    async def test_every_status(self, served: Served) -> None:
        """PENDING with the interval, DENIED, EXPIRED; once APPROVED was told the code is unknown."""
        bob = await sign_in(served, BOB)
        pending, denied, approved = [await start(served) for _ in range(3)]
        assert (await poll(served, pending)).json() == {
            "status": "PENDING",
            "interval": DEVICE_INTERVAL_S,
        }
        for device, act in ((denied, "deny"), (approved, "approve")):
            body = {"user_code": device["user_code"]}
            await served.anonymous.post(f"/auth/device/{act}", json=body, headers=bob)
        assert (await poll(served, denied)).json() == {"status": "DENIED"}
        assert (await poll(served, approved)).json()["status"] == "APPROVED"
        assert told(await poll(served, approved)) == (400, "INVALID_DEVICE_CODE")
        served.house.clock.advance(DEVICE_TTL)
        assert (await poll(served, pending)).json() == {"status": "EXPIRED"}

    async def test_polling_too_fast(self, served: Served) -> None:
        """429 SLOW_DOWN says how long to wait."""
        device = await start(served)
        await poll(served, device)
        answer = await poll(served, device)
        assert told(answer) == (429, "SLOW_DOWN")
        assert answer.headers["retry-after"] == str(DEVICE_INTERVAL_S)

    async def test_cancelling(self, served: Served) -> None:
        """A flow that was given up is gone; an unknown one cannot be."""
        device = await start(served)
        body = {"device_code": device["device_code"]}
        answer = await served.anonymous.post(f"{DEVICE}/cancel", json=body)
        assert answer.json() == {"canceled": True}
        assert told(await poll(served, device)) == (400, "INVALID_DEVICE_CODE")
        answer = await served.anonymous.post(f"{DEVICE}/cancel", json=body)
        assert told(answer) == (400, "INVALID_DEVICE_CODE")

    async def test_a_code_is_decided_once(self, served: Served) -> None:
        """The second decision is a conflict, a code that is over or never was is a 400."""
        bob = await sign_in(served, BOB)
        body = {"user_code": (await start(served))["user_code"]}
        await served.anonymous.post("/auth/device/deny", json=body, headers=bob)
        answer = await served.anonymous.post("/auth/device/approve", json=body, headers=bob)
        assert told(answer) == (409, "STATE_CONFLICT")
        served.house.clock.advance(DEVICE_TTL)
        bob = await sign_in(served, BOB)
        answer = await served.anonymous.post("/auth/device/approve", json=body, headers=bob)
        assert told(answer) == (400, "EXPIRED_DEVICE_CODE")
        body = {"user_code": "BBBB-BBBB"}
        answer = await served.anonymous.post("/auth/device/lookup", json=body, headers=bob)
        assert told(answer) == (400, "INVALID_DEVICE_CODE")
        body = {"user_code": "no code"}
        answer = await served.anonymous.post("/auth/device/lookup", json=body, headers=bob)
        assert told(answer) == (422, "VALIDATION_FAILED")

    async def test_a_second_factor_is_asked_for(self, served: Served) -> None:
        """Without a code MFA_REQUIRED, with a wrong one INVALID_2FA_CODE."""
        bob = await sign_in(served, evolve(BOB, totp=Totp(secret=SECRET, enabled=True)))
        code = (await start(served))["user_code"]
        seen = await served.anonymous.post(
            "/auth/device/lookup", json={"user_code": code}, headers=bob
        )
        assert seen.json()["otp_required"] is True
        expected = {None: (401, "MFA_REQUIRED"), "0": (400, "INVALID_2FA_CODE")}
        for otp, refusal in expected.items():
            body = {"user_code": code, **({"otp_code": otp} if otp else {})}
            answer = await served.anonymous.post("/auth/device/approve", json=body, headers=bob)
            assert told(answer) == refusal
        body = {"user_code": code, "otp_code": RIGHT_CODE}
        answer = await served.anonymous.post("/auth/device/approve", json=body, headers=bob)
        assert answer.json() == {"status": "APPROVED"}


class TestWhoMay:
    """Kinds, roles and features."""

    @pytest.mark.parametrize("kind", ["UI_WEB", "UI_MOBILE"])
    async def test_interfaces_are_refused_as_actors(self, served: Served, kind: str) -> None:
        """A person's interface is 403 FORBIDDEN_ACTOR, a kind that nobody knows 422."""
        body = {"client_kind": kind, "client_id": "x", "secret_key": "x"}
        answer = await served.anonymous.post(f"{CLIENTS}/token", json=body)
        assert told(answer) == (403, "FORBIDDEN_ACTOR")
        answer = await served.anonymous.post(f"{DEVICE}/start", json={"client_kind": kind})
        assert told(answer) == (403, "FORBIDDEN_ACTOR")
        answer = await served.anonymous.post(f"{DEVICE}/start", json={"client_kind": "TOASTER"})
        assert told(answer) == (422, "VALIDATION_FAILED")

    async def test_orchestration_clients_wait_for_their_feature(self, served: Served) -> None:
        """While features.ai is off they are 403 FORBIDDEN_SCOPE."""
        answer = await served.anonymous.post(f"{DEVICE}/start", json={"client_kind": "MCP"})
        assert told(answer) == (403, "FORBIDDEN_SCOPE")

    async def test_clients_are_an_administrators_matter(self, served: Served) -> None:
        """Whoever is none is told so."""
        bob = await sign_in(served, BOB)
        client = await connected(served, bob)
        at = f"{CLIENTS}/{client['client_id']}"
        for method, path in (
            ("GET", CLIENTS),
            ("POST", f"{at}/rotate-secret"),
            ("POST", f"{at}/revoke-token"),
        ):
            answer = await served.anonymous.request(method, path, headers=bob)
            assert told(answer) == (403, "FORBIDDEN_SCOPE")


class TestClients:
    """What an administrator does with them."""

    async def test_listing_shows_no_secret(self, served: Served) -> None:
        """Who let it in, when, and nothing that opens anything."""
        client = await connected(served, await sign_in(served, BOB))
        eve = await sign_in(served, EVE)
        items = (await served.anonymous.get(CLIENTS, headers=eve)).json()["items"]
        (mine,) = (item for item in items if item["client_id"] == client["client_id"])
        assert mine == {
            "client_id": client["client_id"],
            "client_kind": "AGENT",
            "label": "studio Mac",
            "created_at": "2026-01-02T03:04:05Z",
            "created_by": "bob",
        }

    async def test_making_one(self, served: Served) -> None:
        """Its secret is told this once, and opens; what is for later kinds is refused."""
        eve, bob = await sign_in(served, EVE), await sign_in(served, BOB)
        body = {"client_kind": "AGENT", "client_label": "studio Mac"}
        made = (await served.anonymous.post(CLIENTS, json=body, headers=eve)).json()
        assert (await served.anonymous.post(f"{CLIENTS}/token", json=made)).status_code == 200
        listed = (await served.anonymous.get(CLIENTS, headers=eve)).json()["items"]
        (mine,) = (item for item in listed if item["client_id"] == made["client_id"])
        assert (mine["label"], mine["created_by"]) == ("studio Mac", "eve")
        for body, headers, refusal in (
            ({"client_kind": "AGENT"}, bob, (403, "FORBIDDEN_SCOPE")),
            ({"client_kind": "MCP"}, eve, (403, "FORBIDDEN_SCOPE")),
            ({"client_kind": "UI_WEB"}, eve, (422, "VALIDATION_FAILED")),
            ({"client_kind": "AGENT", "client_label": "a\nb"}, eve, (422, "VALIDATION_FAILED")),
        ):
            answer = await served.anonymous.post(CLIENTS, json=body, headers=headers)
            assert told(answer) == refusal

    async def test_rotating(self, served: Served) -> None:
        """The old secret and its tokens are dead at once, the new one works."""
        client = await connected(served, await sign_in(served, BOB))
        eve = await sign_in(served, EVE)
        token = (await served.anonymous.post(f"{CLIENTS}/token", json=client)).json()
        at = f"{CLIENTS}/{client['client_id']}/rotate-secret"
        new = (await served.anonymous.post(at, headers=eve)).json()
        assert new["rotated_at"] == "2026-01-02T03:04:05Z"
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        assert (await served.anonymous.get("/app/policy", headers=headers)).status_code == 401
        answer = await served.anonymous.post(f"{CLIENTS}/token", json=client)
        assert told(answer) == (401, "UNAUTHORIZED")
        client["secret_key"] = new["secret_key"]
        answer = await served.anonymous.post(f"{CLIENTS}/token", json=client)
        assert answer.status_code == 200

    async def test_revoking(self, served: Served) -> None:
        """A revoked client is out; a web interface cannot be revoked, an unknown id is told so."""
        client = await connected(served, await sign_in(served, BOB))
        eve = await sign_in(served, EVE)
        at = f"{CLIENTS}/{client['client_id']}/revoke-token"
        answer = await served.anonymous.post(at, headers=eve)
        assert answer.json() == {
            "client_id": client["client_id"],
            "revoked": True,
            "revoked_at": "2026-01-02T03:04:05Z",
        }
        answer = await served.anonymous.post(f"{CLIENTS}/token", json=client)
        assert told(answer) == (401, "UNAUTHORIZED")
        for client_id, refusal in (
            ("web", (403, "FORBIDDEN_ACTOR")),
            ("nobody", (422, "VALIDATION_FAILED")),
        ):
            for act in ("revoke-token", "rotate-secret"):
                path = f"{CLIENTS}/{client_id}/{act}"
                answer = await served.anonymous.post(path, headers=eve)
                assert told(answer) == refusal

    async def test_guessing_secrets_is_locked_out(self, served: Served) -> None:
        """After five wrong ones it is 429 with the seconds to wait."""
        client = await connected(served, await sign_in(served, BOB))
        wrong = {**client, "secret_key": "guess"}
        for _ in range(FREE_ATTEMPTS):
            answer = await served.anonymous.post(f"{CLIENTS}/token", json=wrong)
            assert told(answer) == (401, "UNAUTHORIZED")
        answer = await served.anonymous.post(f"{CLIENTS}/token", json=client)
        assert told(answer) == (429, "TOO_MANY_ATTEMPTS")
        assert answer.headers["retry-after"] == "2"
