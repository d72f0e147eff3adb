"""The stories of technical clients and of the device flow, over ports in memory."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import define, evolve, field

from retaia_core.domain.accounts import Account, AccountId, Email, Totp
from retaia_core.domain.actors import Actor, ActorKind
from retaia_core.domain.clients import DEVICE_INTERVAL_S, DEVICE_TTL, ClientKind, DeviceStatus
from retaia_core.domain.features import AI
from retaia_core.domain.security_events import EventName
from retaia_core.domain.sessions import digest_of
from retaia_core.domain.throttling import FREE_ATTEMPTS, FREE_PER_ADDRESS
from retaia_core.errors import (
    ExpiredDeviceCode,
    ForbiddenActor,
    ForbiddenScope,
    Invalid2faCode,
    InvalidDeviceCode,
    MfaRequired,
    SlowDown,
    StateConflict,
    TooManyAttempts,
    Unauthorized,
    ValidationFailed,
)
from retaia_core.testing.clock import START, FakeClock, SequentialIds
from retaia_core.testing.memory_secrets import PlainSecrets, totp_code
from retaia_core.testing.memory_security import MemorySecurityLog
from retaia_core.testing.memory_store import MemoryStore
from retaia_core.usecases.clients import Clients, NewSecret
from retaia_core.usecases.devices import Devices, Started
from retaia_core.usecases.second_factors import SecondFactors
from retaia_core.usecases.sessions import Minted, Sessions

ANA = Account(
    account_id=AccountId("ana"), email=Email("ana@example.org"), created_at=START,
    email_verified=True,
)  # fmt: skip
HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"
INTERVAL = timedelta(seconds=DEVICE_INTERVAL_S)
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
RIGHT_CODE = totp_code(SECRET, int(START.timestamp()) // 30)


class Tokens(SequentialIds):
    """Gives the tokens that it was made with."""

    def __init__(self, *tokens: str) -> None:
        super().__init__()
        self._tokens = iter(tokens)

    def token(self) -> str:
        return next(self._tokens)


@define(kw_only=True)
class Office:
    """The use cases over one store, and the steps that most stories begin with."""

    clock: FakeClock = field(factory=FakeClock)
    ids: SequentialIds = field(factory=SequentialIds)
    store: MemoryStore = field(factory=MemoryStore)
    log: MemorySecurityLog = field(factory=MemorySecurityLog)
    secrets: PlainSecrets = field(factory=PlainSecrets)
    flags: dict[str, bool] = field(factory=dict)
    factors: SecondFactors = field(init=False)
    sessions: Sessions = field(init=False)
    clients: Clients = field(init=False)
    devices: Devices = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.factors = SecondFactors(
            store=self.store, clock=self.clock, ids=self.ids, secrets=self.secrets,
            security=self.log,
        )  # fmt: skip
        self.sessions = Sessions(
            store=self.store, clock=self.clock, ids=self.ids, secrets=self.secrets
        )
        self.clients = Clients(
            store=self.store, clock=self.clock, ids=self.ids, sessions=self.sessions,
            security=self.log, flags=self.flags,
        )  # fmt: skip
        self.devices = Devices(
            store=self.store, clock=self.clock, ids=self.ids, security=self.log,
            factor=self.factors, flags=self.flags,
        )  # fmt: skip

    async def start(self, label: str = "studio Mac") -> Started:
        return await self.devices.start(ClientKind.AGENT, label, address=HERE)

    async def poll(self, started: Started) -> DeviceStatus:
        return (await self.devices.poll(started.device_code, address=HERE)).status

    async def add(self) -> NewSecret:
        return await self.clients.add(ANA.actor, ClientKind.AGENT, "NAS")

    async def mint(self, new: NewSecret, secret: str | None = None, address: str = HERE) -> Minted:
        client = new.client
        given = new.secret_key if secret is None else secret
        return await self.clients.mint(client.client_id, client.kind, given, address=address)

    def events(self) -> list[tuple[EventName, str]]:
        return [(event.event_name, event.actor_id) for event in self.log.events]


@pytest.fixture
async def office() -> Office:
    office = Office()
    await office.sessions.prepare()
    await office.store.transact(lambda tx: tx.save_account(ANA))
    return office


class TestDeviceFlow:
    """*start → the person approves → poll gives the secret, once*."""

    async def test_the_whole_story(self, office: Office) -> None:
        """The secret that the first poll after the approval shows opens a session; no poll repeats it."""
        started = await office.start()
        assert await office.poll(started) is DeviceStatus.PENDING
        seen = await office.devices.look_up(ANA, started.grant.user_code.lower())
        assert (seen.label, seen.address, seen.created_at) == ("studio Mac", HERE, START)
        await office.devices.approve(ANA, started.grant.user_code, None)
        office.clock.advance(INTERVAL)
        polled = await office.devices.poll(started.device_code, address=HERE)
        assert polled.status is DeviceStatus.APPROVED
        assert polled.made is not None
        assert polled.made.client.created_by == "ana"
        minted = await office.mint(polled.made)
        principal = await office.sessions.principal(minted.access_token)
        assert principal.actor == Actor(kind=ActorKind.AGENT, id=polled.made.client.client_id)
        with pytest.raises(InvalidDeviceCode):
            await office.poll(started)
        assert office.events() == [
            (EventName.DEVICE_APPROVED, "ana"),
            (EventName.TOKEN_MINTED, polled.made.client.client_id),
        ]

    async def test_a_denied_device_is_told_so_and_stays_denied(self, office: Office) -> None:
        """Nobody can approve it afterwards, and it makes no client."""
        started = await office.start()
        await office.devices.deny(ANA, started.grant.user_code)
        assert await office.poll(started) is DeviceStatus.DENIED
        with pytest.raises(StateConflict):
            await office.devices.approve(ANA, started.grant.user_code, None)
        assert await office.clients.all() == ()
        assert office.events() == [(EventName.DEVICE_DENIED, "ana")]

    async def test_what_was_approved_too_late_or_collected_too_late_is_expired(
        self, office: Office
    ) -> None:
        """After ten minutes a code is worth nothing, approved or not."""
        late, unused = await office.start(), await office.start()
        await office.devices.approve(ANA, unused.grant.user_code, None)
        office.clock.advance(DEVICE_TTL)
        with pytest.raises(ExpiredDeviceCode):
            await office.devices.approve(ANA, late.grant.user_code, None)
        with pytest.raises(ExpiredDeviceCode):
            await office.devices.look_up(ANA, late.grant.user_code)
        assert await office.poll(unused) is DeviceStatus.EXPIRED
        assert await office.clients.all() == ()

    async def test_polling_too_fast_is_slowed_down(self, office: Office) -> None:
        """The poll that came too soon does not put the next one off."""
        started = await office.start()
        await office.poll(started)
        office.clock.advance(INTERVAL / 2)
        with pytest.raises(SlowDown):
            await office.poll(started)
        office.clock.advance(INTERVAL / 2)
        assert await office.poll(started) is DeviceStatus.PENDING

    async def test_a_cancelled_flow_is_gone_for_both_sides(self, office: Office) -> None:
        """Neither the device nor the person finds it any more; a denied one has nothing to cancel."""
        started, other = await office.start(), await office.start()
        assert await office.devices.cancel(started.device_code, address=HERE)
        with pytest.raises(InvalidDeviceCode):
            await office.poll(started)
        with pytest.raises(InvalidDeviceCode):
            await office.devices.approve(ANA, started.grant.user_code, None)
        await office.devices.deny(ANA, other.grant.user_code)
        assert not await office.devices.cancel(other.device_code, address=HERE)

    async def test_the_store_never_holds_what_a_device_must_prove(self, office: Office) -> None:
        """Neither its device code nor its secret: digests only."""
        started = await office.start()
        grant = await office.store.read(lambda tx: tx.device_grant(started.grant.digest))
        assert started.device_code not in str(grant)
        assert started.grant.digest == digest_of(started.device_code)
        new = await office.add()
        assert new.secret_key not in str(await office.clients.all())

    async def test_a_user_code_is_shown_by_one_device_at_a_time(self, office: Office) -> None:
        """Where chance repeats itself it is asked again, until the other's time is over."""
        first = await evolve(office.devices, ids=Tokens("1", "same")).start(
            ClientKind.AGENT, "", address=HERE
        )
        second = await evolve(office.devices, ids=Tokens("2", "same", "other")).start(
            ClientKind.AGENT, "", address=HERE
        )
        assert second.grant.user_code != first.grant.user_code
        office.clock.advance(DEVICE_TTL)
        third = await evolve(office.devices, ids=Tokens("3", "same")).start(
            ClientKind.AGENT, "", address=HERE
        )
        assert third.grant.user_code == first.grant.user_code


class TestWhoMayAsk:
    """*client_kind of a user interface there is 403; ``features.ai`` off: MCP clients are refused*."""

    @pytest.mark.parametrize("kind", [ClientKind.UI_WEB, ClientKind.UI_MOBILE])
    async def test_interfaces_have_no_secret(self, office: Office, kind: ClientKind) -> None:
        """They can neither start the flow, nor mint, nor be added."""
        with pytest.raises(ForbiddenActor):
            await office.devices.start(kind, "", address=HERE)
        with pytest.raises(ForbiddenActor):
            await office.clients.mint("any", kind, "any", address=HERE)
        with pytest.raises(ForbiddenActor):
            await office.clients.add(ANA.actor, kind, "")

    async def test_orchestration_clients_need_their_feature(self) -> None:
        """Off by default; on it, an administrator's switch still closes it."""
        office = Office()
        with pytest.raises(ForbiddenScope):
            await office.devices.start(ClientKind.MCP, "", address=HERE)
        office.flags[AI] = True
        await office.devices.start(ClientKind.MCP, "", address=HERE)
        await office.sessions.prepare()
        new = await office.clients.add(ANA.actor, ClientKind.MCP, "")
        await office.mint(new)
        await office.store.transact(lambda tx: tx.save_app_features({AI: False}))
        with pytest.raises(ForbiddenScope):
            await office.mint(new)


class TestSecondFactor:
    """*approves (with OTP if they use it)*."""

    @pytest.fixture
    async def careful(self, office: Office) -> Account:
        account = evolve(ANA, totp=Totp(secret=SECRET, enabled=True))
        await office.store.transact(lambda tx: tx.save_account(account))
        return account

    async def test_a_code_is_asked_of_who_uses_one(self, office: Office, careful: Account) -> None:
        """Without it, or with a wrong one, the device stays outside."""
        started = await office.start()
        code = started.grant.user_code
        with pytest.raises(MfaRequired):
            await office.devices.approve(careful, code, None)
        with pytest.raises(Invalid2faCode):
            await office.devices.approve(careful, code, "000000")
        assert await office.poll(started) is DeviceStatus.PENDING
        await office.devices.approve(careful, code, RIGHT_CODE)

    async def test_a_code_lets_one_device_in(self, office: Office, careful: Account) -> None:
        """What was used is good for no other."""
        first, second = await office.start(), await office.start()
        await office.devices.approve(careful, first.grant.user_code, RIGHT_CODE)
        with pytest.raises(Invalid2faCode):
            await office.devices.approve(careful, second.grant.user_code, RIGHT_CODE)

    async def test_looking_up_again_forgets_no_wrong_code(
        self, office: Office, careful: Account
    ) -> None:
        """After five wrong codes even the right one has to wait, whatever was looked up between."""
        code = (await office.start()).grant.user_code
        for _ in range(FREE_ATTEMPTS):
            with pytest.raises(Invalid2faCode):
                await office.devices.approve(careful, code, "000000")
            await office.devices.look_up(careful, code)
        with pytest.raises(TooManyAttempts) as refused:
            await office.devices.approve(careful, code, RIGHT_CODE)
        assert refused.value.details == {"retry_after_s": 2}
        office.clock.advance(timedelta(seconds=2))
        await office.devices.approve(careful, code, RIGHT_CODE)


class TestLockOut:
    """*Lock-out is progressive on device and token endpoints*."""

    async def test_user_codes_cannot_be_guessed(self, office: Office) -> None:
        """Who is wrong five times waits, for a right code too."""
        code = (await office.start()).grant.user_code
        for _ in range(FREE_ATTEMPTS):
            with pytest.raises(InvalidDeviceCode):
                await office.devices.look_up(ANA, "BBBB-BBBB")
        with pytest.raises(TooManyAttempts):
            await office.devices.look_up(ANA, code)

    async def test_wrong_device_codes_wait_and_right_ones_do_not(self, office: Office) -> None:
        """A stranger behind the same address locks nobody out."""
        started = await office.start()
        for _ in range(FREE_ATTEMPTS):
            with pytest.raises(InvalidDeviceCode):
                await office.devices.poll("guess", address=HERE)
        with pytest.raises(TooManyAttempts):
            await office.devices.poll("guess", address=HERE)
        assert await office.poll(started) is DeviceStatus.PENDING

    async def test_starts_that_come_to_nothing_are_slowed_down(self, office: Office) -> None:
        """One that is approved or given up counts no more; another address is not concerned."""
        started = [await office.start() for _ in range(FREE_PER_ADDRESS)]
        with pytest.raises(TooManyAttempts):
            await office.start()
        await office.devices.start(ClientKind.AGENT, "", address=ELSEWHERE)
        await office.devices.approve(ANA, started[0].grant.user_code, None)
        await office.start()
        with pytest.raises(TooManyAttempts):
            await office.start()
        await office.devices.cancel(started[1].device_code, address=HERE)
        await office.start()

    async def test_wrong_secrets_are_counted_by_client_and_address(self, office: Office) -> None:
        """After five the right one waits too, from there; from elsewhere it works."""
        new = await office.add()
        for _ in range(FREE_ATTEMPTS):
            with pytest.raises(Unauthorized):
                await office.mint(new, "wrong")
        with pytest.raises(TooManyAttempts):
            await office.mint(new)
        await office.mint(new, address=ELSEWHERE)


class TestClients:
    """*Rotating a secret kills the client's tokens at once. Revoking a UI_WEB client is refused*."""

    async def test_a_new_token_ends_the_one_before(self, office: Office) -> None:
        """One live token per technical client."""
        new = await office.add()
        first, second = await office.mint(new), await office.mint(new)
        with pytest.raises(Unauthorized):
            await office.sessions.principal(first.access_token)
        await office.sessions.principal(second.access_token)

    @pytest.mark.parametrize("wrong", ["id", "kind", "secret"])
    async def test_id_kind_and_secret_belong_together(self, office: Office, wrong: str) -> None:
        """All that is wrong is told alike."""
        new = await office.add()
        client_id = "nobody" if wrong == "id" else new.client.client_id
        kind = ClientKind.MCP if wrong == "kind" else ClientKind.AGENT
        secret = "" if wrong in ("secret", "id") else new.secret_key
        with pytest.raises(Unauthorized, match="do not belong together"):
            await office.clients.mint(client_id, kind, secret, address=HERE)

    async def test_rotating_kills_tokens_and_the_old_secret(self, office: Office) -> None:
        """Only the new secret opens anything."""
        old = await office.add()
        minted = await office.mint(old)
        new = await office.clients.rotate(ANA.actor, old.client.client_id)
        with pytest.raises(Unauthorized):
            await office.sessions.principal(minted.access_token)
        with pytest.raises(Unauthorized):
            await office.mint(old)
        await office.mint(new)
        assert (EventName.SECRET_ROTATED, "ana") in office.events()

    async def test_a_revoked_client_is_out_for_good(self, office: Office) -> None:
        """Its token dies, its secret opens nothing, and no other is made for it."""
        new = await office.add()
        minted = await office.mint(new)
        since = await office.clients.revoke(ANA.actor, new.client.client_id)
        office.clock.advance(INTERVAL)
        assert await office.clients.revoke(ANA.actor, new.client.client_id) == since == START
        with pytest.raises(Unauthorized):
            await office.sessions.principal(minted.access_token)
        with pytest.raises(Unauthorized):
            await office.mint(new)
        with pytest.raises(ValidationFailed):
            await office.clients.rotate(ANA.actor, new.client.client_id)
        with pytest.raises(Unauthorized):
            await office.clients.provision(ANA.actor, new.client.client_id, "x", "")
        assert (EventName.TOKEN_REVOKED, "ana") in office.events()

    async def test_interfaces_are_no_clients_to_rotate(self, office: Office) -> None:
        """A web interface is refused, a mobile one is signed out, an unknown id is told so."""

        async def sign_in(client_id: str, kind: ClientKind) -> Minted:
            return await office.store.transact(
                lambda tx: office.sessions.open_for_person(tx, ANA, client_id=client_id, kind=kind)
            )

        await sign_in("web", ClientKind.UI_WEB)
        mobile = await sign_in("phone", ClientKind.UI_MOBILE)
        for client_id in ("web", "phone"):
            with pytest.raises(ForbiddenActor):
                await office.clients.rotate(ANA.actor, client_id)
        with pytest.raises(ForbiddenActor):
            await office.clients.revoke(ANA.actor, "web")
        await office.clients.revoke(ANA.actor, "phone")
        with pytest.raises(Unauthorized):
            await office.sessions.principal(mobile.access_token)
        with pytest.raises(ValidationFailed):
            await office.clients.revoke(ANA.actor, "nobody")

    async def test_a_machine_of_its_own_is_provisioned_once(self, office: Office) -> None:
        """Saying the same again changes nothing; another secret ends what the old one opened."""
        await office.clients.provision(ANA.actor, "machine", "one", "server")
        (made,) = await office.clients.all()
        new = NewSecret(client=made, secret_key="one")
        minted = await office.mint(new)
        await office.clients.provision(ANA.actor, "machine", "one", "server")
        assert await office.clients.all() == (made,)
        await office.sessions.principal(minted.access_token)
        await office.clients.provision(ANA.actor, "machine", "two", "server")
        with pytest.raises(Unauthorized):
            await office.sessions.principal(minted.access_token)
        with pytest.raises(Unauthorized):
            await office.mint(new)
        await office.mint(new, "two")
