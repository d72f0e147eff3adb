"""Guessing comes to nothing: every door counts what was wrong, and opens to who is right (protocol.md)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest
from attrs import frozen
from retaia_tests.house import House
from retaia_tests.http_house import CheckedTransport, Served, client, serve_in_process
from retaia_tests.people import PASSWORD, code_now, log_in, person, signed_in

from retaia_adapters.http.document import BASE
from retaia_core.domain.accounts import Email
from retaia_core.domain.actors import SYSTEM
from retaia_core.domain.clients import ClientKind
from retaia_core.domain.throttling import FREE_ATTEMPTS, FREE_PER_ADDRESS
from retaia_core.testing.memory_secrets import PlainSecrets

FLOOD = 10_000
THIEF = "198.51.100.1"
ZOE = "zoe@example.org"
WRONG = "a wrong guess, and long enough"


@pytest.fixture
def secrets(house: House) -> PlainSecrets:
    """What is asked to compare passwords, and counts how often."""
    assert isinstance(house.secrets, PlainSecrets)
    return house.secrets


def caller(served: Served, address: str) -> httpx.AsyncClient:
    """Somebody at a network address."""
    inner = httpx.ASGITransport(served.application, client=(address, 40_000))
    return client(CheckedTransport(inner, served.conformance), None)


@frozen(kw_only=True)
class Refusal:
    """As much of an answer as a flood of them needs."""

    status_code: int
    headers: Mapping[str, str]


async def guess(served: Served, address: str, body: Mapping[str, str]) -> Refusal:
    """Try a password from a network address, as straight into the application as a server would."""
    content, sent = json.dumps(body).encode(), list[Any]()
    headers = [(b"content-type", b"application/json"), (b"host", b"server")]
    scope = {
        "type": "http", "method": "POST", "path": BASE + "/auth/login", "query_string": b"",
        "headers": headers, "client": (address, 40_000), "server": ("server", 80),
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await served.application(scope, receive, send)
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Refusal(status_code=sent[0]["status"], headers=told)


async def flood(served: Served, address: str, bodies: Iterable[Mapping[str, str]]) -> list[Refusal]:
    """Try one password after the other."""
    return [await guess(served, address, body) for body in bodies]


def counted(answers: Sequence[httpx.Response | Refusal]) -> dict[int, int]:
    """How many answers there were of each status."""
    statuses = [answer.status_code for answer in answers]
    return {status: statuses.count(status) for status in sorted(set(statuses))}


class TestPasswords:
    """``POST /auth/login``, ten thousand times."""

    async def test_against_one_account(self, served: Served, secrets: PlainSecrets) -> None:
        """Five guesses are hashed; the rest costs nothing, and the person gets in after the wait."""
        await person(served.house, "zoe")
        tries = [{"email": ZOE, "password": f"{WRONG} {n}"} for n in range(FLOOD)]
        answers = await flood(served, THIEF, tries)
        assert counted(answers) == {401: FREE_ATTEMPTS, 429: FLOOD - FREE_ATTEMPTS}
        assert secrets.checked == FREE_ATTEMPTS
        wait = int(answers[-1].headers["retry-after"])
        assert 0 < wait <= 900
        home = caller(served, "192.0.2.1")
        right = {"email": ZOE, "password": PASSWORD}
        assert (await home.post("/auth/login", json=right)).status_code == 429
        served.house.clock.advance(timedelta(seconds=wait))
        assert (await home.post("/auth/login", json=right)).status_code == 200
        again = await flood(served, "192.0.2.1", tries[:FREE_ATTEMPTS])
        assert counted(again) == {401: FREE_ATTEMPTS}

    async def test_against_many_accounts(self, served: Served, secrets: PlainSecrets) -> None:
        """From one address fifty guesses are hashed, of whomever; who calls from elsewhere gets in."""
        await person(served.house, "zoe")
        tries = [{"email": f"person{n}@example.org", "password": WRONG} for n in range(FLOOD)]
        answers = await flood(served, THIEF, tries)
        assert counted(answers) == {401: FREE_PER_ADDRESS, 429: FLOOD - FREE_PER_ADDRESS}
        assert secrets.checked == FREE_PER_ADDRESS
        right = {"email": ZOE, "password": PASSWORD}
        home = caller(served, "192.0.2.1")
        assert (await home.post("/auth/login", json=right)).status_code == 200
        thief = caller(served, THIEF)
        blocked = await thief.post("/auth/login", json=right)
        assert blocked.status_code == 429
        served.house.clock.advance(timedelta(seconds=int(blocked.headers["retry-after"])))
        assert (await thief.post("/auth/login", json=right)).status_code == 200

    async def test_nobody_is_hashed_like_somebody(
        self, served: Served, secrets: PlainSecrets
    ) -> None:
        """An unknown address, one without a password and a closed account cost a hash as all do."""
        await person(served.house, "zoe")
        people = served.house.people
        await people.accounts.add(Email("bob@example.org"), None)
        await person(served.house, "eve")
        await people.accounts.close(SYSTEM, Email("eve@example.org"))
        answers = []
        for n, name in enumerate(("zoe", "nobody", "bob", "eve"), start=1):
            body = {"email": f"{name}@example.org", "password": WRONG}
            answers.append(await served.anonymous.post("/auth/login", json=body))
            assert secrets.checked == n
        told = [{k: v for k, v in a.json().items() if k != "correlation_id"} for a in answers]
        assert counted(answers) == {401: 4}
        assert told == [told[0]] * 4


@frozen(kw_only=True)
class Door:
    """Where something is guessed: what a wrong guess looks like, and a right one."""

    path: str
    wrong: dict[str, str]
    right: dict[str, str]
    refusal: int = 400
    token: str | None = None
    same_for_all: bool = True
    """Whether the right one has to wait too: not where a secret has too much chance in it."""


async def _reset(house: House) -> Door:
    letter = await house.people.passwords.request_reset(Email(ZOE), address="192.0.2.1")
    assert letter is not None
    return Door(
        path="/auth/lost-password/reset",
        wrong={"token": WRONG, "new_password": PASSWORD},
        right={"token": letter.text.split("\n\n")[3], "new_password": PASSWORD},
    )


async def _verification(house: House) -> Door:
    added = await house.people.accounts.add(Email("bob@example.org"), PASSWORD)
    assert added.message is not None
    token = added.message.text.split("\n\n")[3]
    return Door(path="/auth/verify-email/confirm", wrong={"token": WRONG}, right={"token": token})


async def _link(house: House) -> Door:
    who = (await signed_in(house, ZOE)).account
    assert who is not None
    token = await house.people.sign_in.make_link(who.account_id)
    return Door(path="/auth/link", wrong={"token": WRONG}, right={"token": token})


async def _client_secret(house: House) -> Door:
    who = (await signed_in(house, ZOE)).actor
    made = await house.clients.add(who, ClientKind.AGENT, "studio")
    body = {"client_id": made.client.client_id, "client_kind": "AGENT"}
    return Door(
        path="/auth/clients/token",
        wrong={**body, "secret_key": WRONG},
        right={**body, "secret_key": made.secret_key},
        refusal=401,
    )


async def _device_code(house: House) -> Door:
    started = await house.devices.start(ClientKind.AGENT, "studio", address="192.0.2.1")
    return Door(
        path="/auth/clients/device/poll",
        wrong={"device_code": WRONG},
        right={"device_code": started.device_code},
        same_for_all=False,
    )


async def _user_code(house: House) -> Door:
    started = await house.devices.start(ClientKind.AGENT, "studio", address="192.0.2.1")
    return Door(
        path="/auth/device/lookup",
        wrong={"user_code": "BBBB-BBBB"},
        right={"user_code": started.grant.user_code},
        token=(await log_in(house, ZOE)).access_token,
    )


async def _recovery_code(house: House) -> Door:
    who = await signed_in(house, ZOE)
    setup = await house.factors.set_up(who)
    codes = await house.factors.enable(who, code_now(house, setup.secret))
    body = {"email": ZOE, "password": PASSWORD}
    return Door(
        path="/auth/login",
        wrong={**body, "recovery_code": "AAAA-AAAA-AAAA-AAAA"},
        right={**body, "recovery_code": codes[0]},
        refusal=401,
    )


DOORS = (
    _reset, _verification, _link, _client_secret, _device_code, _user_code, _recovery_code,
)  # fmt: skip


@pytest.mark.parametrize("door_of", DOORS, ids=lambda made: made.__name__.strip("_"))
async def test_every_door(door_of: Callable[[House], Awaitable[Door]]) -> None:
    """Five guesses, then 429 with the wait; the right one opens after it, and five are free again."""
    house = House()
    await house.start()
    async with serve_in_process(house) as served:
        await person(house, "zoe")
        door = await door_of(house)
        headers = {"Authorization": f"Bearer {door.token}"} if door.token else {}

        async def ask(body: dict[str, str]) -> httpx.Response:
            return await served.anonymous.post(door.path, json=body, headers=headers)

        answers = [await ask(door.wrong) for _ in range(300)]
        assert counted(answers) == {door.refusal: FREE_ATTEMPTS, 429: 300 - FREE_ATTEMPTS}
        assert answers[-1].json()["code"] == "TOO_MANY_ATTEMPTS"
        if door.same_for_all:
            assert (await ask(door.right)).status_code == 429
        house.clock.advance(timedelta(seconds=int(answers[-1].headers["retry-after"])))
        assert (await ask(door.right)).status_code == 200
        if door.same_for_all:
            again = [await ask(door.wrong) for _ in range(FREE_ATTEMPTS)]
            assert counted(again) == {door.refusal: FREE_ATTEMPTS}
