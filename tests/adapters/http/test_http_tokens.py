"""Tokens that were ended, mixed up or forged open nothing over HTTP; the authenticator is the real one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest
from attrs import define, evolve
from retaia_tests.house import House
from retaia_tests.http_house import KEY, SESSIONS, Served, client
from retaia_tests.people import PASSWORD, log_in, person

from retaia_adapters.accounts.secrets import BuiltinSecrets
from retaia_core.domain.accounts import Account, Email
from retaia_core.domain.actors import SYSTEM, ActorKind
from retaia_core.domain.clients import ClientKind
from retaia_core.domain.sessions import Claims
from retaia_core.testing.memory_secrets import PlainSecrets
from retaia_core.usecases.sessions import Minted, claims_of
from retaia_core.usecases.sign_in import interface

ZOE = Email("zoe@example.org")
PLACES = (("GET", "/assets"), ("GET", "/auth/me"), ("POST", "/auth/logout"), ("GET", "/ops/status"))


class QuickSecrets(BuiltinSecrets):
    """The real signatures, and passwords that are hashed fast: these tests are about tokens."""

    hash_password = PlainSecrets.hash_password
    check_password = PlainSecrets.check_password
    checked = 0


@pytest.fixture
async def house() -> House:
    """A house with the built-in authenticator."""
    house = House(secrets=QuickSecrets())
    await house.start()
    return house


@define
class Case:
    """Somebody who is signed in, twice, and a technical client with its token."""

    served: Served
    zoe: Account
    web: Minted
    phone: Minted
    client_id: str
    secret: str
    machine: Minted

    @property
    def house(self) -> House:
        return self.served.house

    async def post(self, path: str, body: Any = None, token: str | None = None) -> httpx.Response:
        who = self.served.anonymous if token is None else client(self.served.transport(), token)
        return await who.post(path, json=body)


@pytest.fixture
async def case(served: Served) -> Case:
    house = served.house
    zoe = await person(house, "zoe", admin=True)
    web = await log_in(house, ZOE)
    phone = await log_in(house, ZOE, on=interface("phone", ClientKind.UI_MOBILE))
    made = await house.clients.add(zoe.actor, ClientKind.AGENT, "studio")
    minted = await house.clients.mint(
        made.client.client_id, ClientKind.AGENT, made.secret_key, address="192.0.2.9"
    )
    return Case(served, zoe, web, phone, made.client.client_id, made.secret_key, minted)


async def _log_out(case: Case) -> set[str]:
    await case.post("/auth/logout", token=case.web.access_token)
    return {"web"}


async def _refresh(case: Case) -> set[str]:
    await case.post("/auth/refresh", {"refresh_token": case.web.refresh_token})
    return {"web"}


async def _sign_in_again(case: Case) -> set[str]:
    await case.post("/auth/login", {"email": ZOE, "password": PASSWORD})
    return {"web"}


async def _reset_password(case: Case) -> set[str]:
    letter = await case.house.people.passwords.request_reset(ZOE, address="192.0.2.1")
    assert letter is not None
    body = {"token": letter.text.split("\n\n")[3], "new_password": "another password"}
    await case.post("/auth/lost-password/reset", body)
    return {"web", "phone"}


async def _change_password(case: Case) -> set[str]:
    me = client(case.served.transport(), case.phone.access_token)
    body = {"current_password": PASSWORD, "new_password": "another password"}
    answer = await me.post("/auth/password", json=body)
    assert answer.status_code == 200, answer.text
    return {"web"}


async def _close(case: Case) -> set[str]:
    await case.house.people.accounts.close(SYSTEM, ZOE)
    return {"web", "phone"}


async def _close_and_open(case: Case) -> set[str]:
    await case.house.people.accounts.close(SYSTEM, ZOE)
    await case.house.people.accounts.open_again(SYSTEM, ZOE)
    return {"web", "phone"}


async def _revoke_the_phone(case: Case) -> set[str]:
    await case.post("/auth/clients/phone/revoke-token", token=case.web.access_token)
    return {"phone"}


async def _revoke(case: Case) -> set[str]:
    await case.post(f"/auth/clients/{case.client_id}/revoke-token", token=case.web.access_token)
    return {"machine"}


async def _rotate(case: Case) -> set[str]:
    await case.post(f"/auth/clients/{case.client_id}/rotate-secret", token=case.web.access_token)
    return {"machine"}


async def _mint_again(case: Case) -> set[str]:
    body = {"client_id": case.client_id, "client_kind": "AGENT", "secret_key": case.secret}
    await case.post("/auth/clients/token", body)
    return {"machine"}


async def _expire(case: Case) -> set[str]:
    case.house.clock.advance(timedelta(hours=1))
    return {"web", "phone", "machine"}


ENDINGS = (
    _log_out, _refresh, _sign_in_again, _reset_password, _change_password, _close, _close_and_open,
    _revoke_the_phone, _revoke, _rotate, _mint_again, _expire,
)  # fmt: skip


@pytest.mark.parametrize("end", ENDINGS, ids=lambda end: end.__name__.strip("_"))
async def test_a_token_that_was_ended(
    case: Case, end: Callable[[Case], Awaitable[set[str]]]
) -> None:
    """It is dead at once and everywhere, those that were not ended live on; so with refresh tokens."""
    minted = {"web": case.web, "phone": case.phone, "machine": case.machine}
    ended = await end(case)
    for name, one in minted.items():
        who = client(case.served.transport(), one.access_token)
        if name not in ended:
            assert (await who.get("/assets")).status_code == 200, name
            continue
        for method, path in PLACES:
            answer = await who.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED"), path
            assert answer.headers["www-authenticate"] == "Bearer"
    if end is not _expire:
        for name in ended - {"machine"}:
            again = await case.post("/auth/refresh", {"refresh_token": minted[name].refresh_token})
            assert again.status_code == 401, name


async def test_no_skew_is_granted(case: Case) -> None:
    """A token opens until the second that it names, and not in it; a clock that goes back does no harm."""
    who, clock = client(case.served.transport(), case.web.access_token), case.house.clock
    clock.advance(timedelta(hours=1, seconds=-1))
    assert (await who.get("/assets")).status_code == 200
    clock.advance(timedelta(seconds=1))
    assert (await who.get("/assets")).status_code == 401
    clock.advance(timedelta(hours=-2))
    assert (await who.get("/assets")).status_code == 200


async def test_parts_of_two_tokens(case: Case) -> None:
    """A rightly signed token whose parts belong to two sessions is nobody's."""
    ana, agent = map(claims_of, SESSIONS)
    secrets = case.house.secrets
    zoe = secrets.claims(case.web.access_token, KEY)
    mixed = [
        evolve(ana, sub=zoe.sub), evolve(ana, client_id=zoe.client_id), evolve(ana, jti=zoe.jti),
        evolve(zoe, sub=ana.sub), evolve(zoe, client_id="phone"), evolve(agent, sub=ana.sub),
        evolve(ana, sub=agent.sub, client_id=agent.client_id), evolve(ana, sub=""),
        evolve(zoe, sub=ana.sub, client_id=ana.client_id),
    ]  # fmt: skip
    for claims in mixed:
        who = client(case.served.transport(), secrets.sign(claims, KEY))
        assert (await who.get("/assets")).status_code == 401, claims


@pytest.mark.parametrize(
    "claim",
    [
        lambda claims: evolve(
            claims, principal_type=ActorKind.PERSON, client_kind=ClientKind.UI_WEB
        ),
        lambda claims: evolve(claims, principal_type=ActorKind.SYSTEM),
        lambda claims: evolve(claims, scope=claims_of(SESSIONS[0]).scope),
    ],
    ids=["a person", "the system", "more scopes"],
)
async def test_a_token_that_says_more(case: Case, claim: Callable[[Claims], Claims]) -> None:
    """The session says what a token may do, and not the token: an agent stays one."""
    claims = claim(claims_of(SESSIONS[1]))
    who = client(case.served.transport(), case.house.secrets.sign(claims, KEY))
    answers = [
        await who.get("/auth/me"),
        await who.patch("/assets/6f9619ff-8b86-d011-b42d-00cf4fc964ff", json={"notes": "x"}),
        await who.get("/ops/status"),
    ]
    assert {(a.status_code, a.json()["code"]) for a in answers} == {(403, "FORBIDDEN_ACTOR")}


async def test_a_refresh_token_at_once(case: Case) -> None:
    """Of many who use one refresh token at the same instant one gets a pair, and that dies with the theft."""
    answers: list[httpx.Response] = []

    async def refresh() -> None:
        body = {"refresh_token": case.web.refresh_token}
        answers.append(await case.served.anonymous.post("/auth/refresh", json=body))

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(refresh)
    assert sorted(a.status_code for a in answers) == [200] + [401] * 7
    (won,) = (a.json() for a in answers if a.is_success)
    who = client(case.served.transport(), won["access_token"])
    assert (await who.get("/assets")).status_code == 401


async def test_one_token_lives(case: Case) -> None:
    """Of many sign-ins at once on one interface exactly one token lives."""
    tokens: list[str] = []

    async def sign_in() -> None:
        body = {"email": ZOE, "password": PASSWORD, "client_id": "tablet"}
        answer = await case.served.anonymous.post("/auth/login", json=body)
        tokens.append(answer.json()["access_token"])

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(sign_in)
    found = [
        (await client(case.served.transport(), token).get("/assets")).status_code
        for token in tokens
    ]
    assert sorted(found) == [200, 401, 401, 401]


@pytest.mark.parametrize(
    "header",
    [
        "Bearer", "Bearer ", "Basic {}", "bearer\t{}x", "Bearer {} {}", "Bearer {},{}", "Token {}",
        "Bearer \xa0{}x", "{}", "Bearer {}=", "Bearer .{}", "Bearer " + "x" * 50_000, "Bearer \xff",
    ],
    ids=lambda header: repr(header)[:20],
)  # fmt: skip
async def test_other_headers(case: Case, header: str) -> None:
    """Whatever else the header has, nobody comes in."""
    said = header.replace("{}", case.web.access_token).encode("latin-1")
    answer = await case.served.anonymous.get("/assets", headers={b"Authorization": said})
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")
