"""Signing in: by password, by link, by refresh token; and out (protocol.md, *Actors and scopes*)."""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retaia_tests.house import House
from retaia_tests.people import HOME, PASSWORD, WEB, code_now, log_in, person, signed_in

from retaia_core.domain.accounts import Email
from retaia_core.domain.actors import SYSTEM
from retaia_core.domain.clients import ClientKind
from retaia_core.domain.security_events import EventName
from retaia_core.domain.sessions import SCOPES
from retaia_core.domain.throttling import FREE_ATTEMPTS, FREE_PER_ADDRESS
from retaia_core.errors import (
    EmailNotVerified,
    ForbiddenActor,
    Invalid2faCode,
    InvalidToken,
    MfaRequired,
    NotFound,
    RetaiaError,
    TooManyAttempts,
    Unauthorized,
    ValidationFailed,
)
from retaia_core.testing.memory_secrets import PlainSecrets
from retaia_core.testing.memory_store import MemoryStore
from retaia_core.usecases.sign_in import interface


@pytest.fixture
async def house() -> House:
    """A house whose store runs every transaction twice, with one person."""
    house = House(store=MemoryStore(rehearse=True))
    await house.start()
    await house.sessions.prepare()
    await person(house)
    return house


def failures(house: House) -> list[str]:
    """The codes of the failed logins that were recorded."""
    return [event.error_code for event in house.security.named(EventName.LOGIN_FAILED)]


class TestPassword:
    """Address and password together open an account, and nothing less."""

    async def test_the_right_one(self, house: House) -> None:
        """The token is the person's, with a person's scopes, and it is recorded."""
        minted = await log_in(house, "ANA@example.org")
        who = await house.sessions.principal(minted.access_token)
        assert who.account is not None
        assert who.account.email == "ana@example.org"
        assert who.scopes == SCOPES[who.actor.kind]
        assert (minted.client_id, minted.client_kind) == ("web", ClientKind.UI_WEB)
        [event] = house.security.named(EventName.LOGIN_SUCCEEDED)
        assert (event.actor_id, event.client_id) == (who.actor.id, "web")

    @pytest.mark.parametrize(
        ("email", "password"),
        [
            ("ana@example.org", "wrong password"),
            ("ana@example.org", ""),
            ("ana@example.org", PASSWORD + " "),
            ("bob@example.org", PASSWORD),
        ],
    )
    async def test_whatever_is_wrong_is_said_alike(
        self, house: House, email: str, password: str
    ) -> None:
        """An unknown address and a wrong password differ neither in words nor in work."""
        with pytest.raises(Unauthorized) as caught:
            await log_in(house, email, password)
        assert str(caught.value) == "the address or the password is wrong"
        assert type(caught.value) is Unauthorized
        assert isinstance(house.secrets, PlainSecrets)
        assert house.secrets.checked == 1
        assert failures(house) == ["UNAUTHORIZED"]

    async def test_a_closed_account(self, house: House) -> None:
        """It is refused like a wrong password."""
        await person(house, "boss", admin=True)
        await house.people.accounts.close(SYSTEM, Email("ana@example.org"))
        with pytest.raises(Unauthorized, match="address or the password"):
            await log_in(house)

    async def test_an_account_without_a_password(self, house: House) -> None:
        """Only a link opens it."""
        local = await house.people.accounts.local("ana")
        for password in ("", PASSWORD):
            with pytest.raises(Unauthorized):
                await log_in(house, local.email, password)

    async def test_an_unproven_address(self, house: House) -> None:
        """Only who has the password learns that it is unproven; it counts as no failure."""
        await house.people.accounts.add(Email("bob@example.org"), PASSWORD)
        with pytest.raises(Unauthorized):
            await log_in(house, "bob@example.org", "wrong password")
        for _ in range(FREE_ATTEMPTS * 2):
            with pytest.raises(EmailNotVerified):
                await log_in(house, "bob@example.org")

    async def test_a_password_that_changed_while_it_was_checked(self, house: House) -> None:
        """The transaction that signs in looks again."""

        class Slow(PlainSecrets):
            async def check_password(self, hashed: str | None, password: str) -> bool:
                right = await super().check_password(hashed, password)
                await house.people.passwords.set_for(Email("ana@example.org"), "another password")
                return right

        slow = House(store=house.store, clock=house.clock, ids=house.ids, secrets=Slow())
        await slow.sessions.prepare()
        with pytest.raises(Unauthorized):
            await log_in(slow)


class TestInterfaces:
    """One token lives per person and client."""

    async def test_another_login_ends_the_first(self, house: House) -> None:
        """On the same client the token before is dead at once; on another one it lives on."""
        first = await log_in(house)
        phone = await log_in(house, on=interface(None, ClientKind.UI_MOBILE))
        await log_in(house)
        with pytest.raises(Unauthorized):
            await house.sessions.principal(first.access_token)
        await house.sessions.principal(phone.access_token)

    @pytest.mark.parametrize("kind", [ClientKind.AGENT, ClientKind.MCP])
    def test_technical_clients_have_their_own_way(self, kind: ClientKind) -> None:
        """A password is a person's."""
        with pytest.raises(ForbiddenActor):
            interface("x", kind)

    @pytest.mark.parametrize("client_id", ["", "a\nb", "x" * 201])
    def test_a_client_id_is_a_name(self, client_id: str) -> None:
        """Something short that is printed."""
        with pytest.raises(ValidationFailed):
            interface(client_id)


class TestLockOut:
    """Wrong passwords make everybody wait who tries that account, or from that address."""

    async def wrong(self, house: House, email: str = "ana@example.org", address: str = HOME) -> str:
        """The error of a wrong password."""
        try:
            await log_in(house, email, "wrong password", address=address)
        except RetaiaError as error:
            return error.code
        return "in"

    async def test_ten_thousand_wrong_passwords(self) -> None:
        """Almost all are refused before anything is hashed, and the account stays locked."""
        codes: list[str] = []
        house = House()
        await person(house)
        await house.sessions.prepare()

        async def attack(n: int) -> None:
            codes.append(await self.wrong(house, address=f"192.0.2.{n % 250}"))

        async with anyio.create_task_group() as tasks:
            for n in range(10_000):
                tasks.start_soon(attack, n)
        assert codes.count("UNAUTHORIZED") == FREE_ATTEMPTS
        assert codes.count("TOO_MANY_ATTEMPTS") == 10_000 - FREE_ATTEMPTS
        assert isinstance(house.secrets, PlainSecrets)
        assert house.secrets.checked == FREE_ATTEMPTS
        with pytest.raises(TooManyAttempts) as caught:
            await log_in(house)
        assert caught.value.details["retry_after_s"] == 2

    async def test_who_waits_is_let_in(self, house: House) -> None:
        """After the time that was said, the right password opens, and all is forgotten."""
        for _ in range(FREE_ATTEMPTS + 3):
            while await self.wrong(house) == "TOO_MANY_ATTEMPTS":
                house.clock.advance(timedelta(seconds=1))
        with pytest.raises(TooManyAttempts) as caught:
            await log_in(house)
        wait = caught.value.details["retry_after_s"]
        assert isinstance(wait, int)
        house.clock.advance(timedelta(seconds=wait - 0.001))
        with pytest.raises(TooManyAttempts):
            await log_in(house)
        house.clock.advance(timedelta(seconds=0.001))
        await log_in(house)
        assert [await self.wrong(house) for _ in range(FREE_ATTEMPTS)] == [
            "UNAUTHORIZED"
        ] * FREE_ATTEMPTS

    async def test_unknown_addresses_lock_out_alike(self, house: House) -> None:
        """Whether somebody has an address cannot be found out by being locked out."""
        known = [await self.wrong(house, address="a") for _ in range(8)]
        unknown = [await self.wrong(house, "bob@example.org", "b") for _ in range(8)]
        assert known == unknown

    async def test_one_network_address_cannot_try_everybody(self, house: House) -> None:
        """Many accounts from one place are stopped too, and other places are not."""
        codes = [await self.wrong(house, f"p{n}@example.org") for n in range(FREE_PER_ADDRESS + 10)]
        assert codes == ["UNAUTHORIZED"] * FREE_PER_ADDRESS + ["TOO_MANY_ATTEMPTS"] * 10
        await log_in(house, address="198.51.100.7")

    async def test_many_good_logins_from_one_place_are_fine(self, house: House) -> None:
        """A whole crew behind one address, with second factors, is never locked out."""
        setup = await house.people.second_factors.set_up(await signed_in(house))
        await house.people.second_factors.enable(
            await signed_in(house), code_now(house, setup.secret)
        )
        for _ in range(FREE_PER_ADDRESS + 5):
            house.clock.advance(timedelta(seconds=31))
            with pytest.raises(MfaRequired):
                await log_in(house)
            await log_in(house, otp_code=code_now(house, setup.secret))

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(
            st.tuples(st.sampled_from(["right", "wrong", "unknown"]), st.integers(0, 40)),
            max_size=40,
        )
    )
    async def test_nobody_is_let_in_while_locked_out(self, acts: list[tuple[str, int]]) -> None:
        """A model of the lock-out agrees: the right password opens exactly when nobody has to wait."""
        house = House()
        await house.start()
        await house.sessions.prepare()
        await person(house)
        in_a_row, until = 0, house.clock.now()
        for n, (act, pause) in enumerate(acts):
            now = house.clock.advance(timedelta(seconds=pause))
            if act == "unknown":
                await self.wrong(house, "bob@example.org", address=str(n))
                continue
            password = PASSWORD if act == "right" else "wrong password"
            locked = now < until
            try:
                await log_in(house, password=password, address=str(n))
            except TooManyAttempts:
                assert locked
            except Unauthorized:
                assert not locked
                assert act == "wrong"
                in_a_row += 1
                if in_a_row >= FREE_ATTEMPTS:
                    wait = min(2 ** (in_a_row - FREE_ATTEMPTS + 1), 900)
                    until = now + timedelta(seconds=wait)
            else:
                assert not locked
                assert act == "right"
                in_a_row = 0


class TestSecondFactor:
    """A person who asked for it gives a code too."""

    async def secret(self, house: House) -> tuple[str, list[str]]:
        """Switch the second factor on; returns its secret and the recovery codes."""
        factors = house.people.second_factors
        setup = await factors.set_up(await signed_in(house))
        codes = await factors.enable(await signed_in(house), code_now(house, setup.secret))
        house.clock.advance(timedelta(seconds=30))
        return setup.secret, list(codes)

    async def test_without_a_code(self, house: House) -> None:
        """The right password alone says what is missing."""
        await self.secret(house)
        with pytest.raises(MfaRequired):
            await log_in(house)
        with pytest.raises(Unauthorized) as caught:
            await log_in(house, password="wrong password")
        assert not isinstance(caught.value, MfaRequired)

    async def test_a_code_counts_once(self, house: House) -> None:
        """Neither the same code nor an earlier one opens again."""
        secret, _ = await self.secret(house)
        code, earlier = code_now(house, secret), code_now(house, secret, -1)
        await log_in(house, otp_code=code)
        for used in (code, earlier):
            with pytest.raises(Invalid2faCode, match="was used"):
                await log_in(house, otp_code=used)
        await log_in(house, otp_code=code_now(house, secret, 1))

    async def test_of_many_uses_of_one_code_one_wins(self, house: House) -> None:
        """Concurrent logins with one code make one token."""
        secret, _ = await self.secret(house)
        code, outcomes = code_now(house, secret), []

        async def attempt(n: int) -> None:
            try:
                await log_in(house, otp_code=code, on=interface(f"client {n}"))
                outcomes.append("in")
            except RetaiaError as error:
                outcomes.append(error.code)

        async with anyio.create_task_group() as tasks:
            for n in range(5):
                tasks.start_soon(attempt, n)
        assert sorted(outcomes) == ["INVALID_2FA_CODE"] * 4 + ["in"]

    async def test_a_recovery_code_counts_once(self, house: House) -> None:
        """Ten of them, each once, as people type them."""
        _, codes = await self.secret(house)
        assert len(set(codes)) == 10
        await log_in(house, recovery_code=codes[0].lower().replace("-", " "))
        with pytest.raises(Invalid2faCode, match="was used"):
            await log_in(house, recovery_code=codes[0])
        await log_in(house, recovery_code=codes[9])

    async def test_guessing_codes_locks_out(self, house: House) -> None:
        """Asking without a code in between gives no free guesses."""
        await self.secret(house)
        for _ in range(FREE_ATTEMPTS - 1):
            with pytest.raises(Invalid2faCode):
                await log_in(house, otp_code="000000")
            with pytest.raises(MfaRequired):
                await log_in(house)
        with pytest.raises(Invalid2faCode):
            await log_in(house, otp_code="000000")
        with pytest.raises(TooManyAttempts):
            await log_in(house)


class TestLinks:
    """The person at the server's machine follows a link."""

    async def test_a_link_counts_once(self, house: House) -> None:
        """It signs its person in, and nobody after that."""
        local = await house.people.accounts.local("ana")
        token = await house.people.sign_in.make_link(local.account_id)
        minted = await house.people.sign_in.follow_link(token, WEB, address=HOME)
        who = await house.sessions.principal(minted.access_token)
        assert (str(who.actor), who.is_admin) == ("person:local/ana", True)
        with pytest.raises(InvalidToken):
            await house.people.sign_in.follow_link(token, WEB, address=HOME)
        assert failures(house) == ["INVALID_TOKEN"]

    async def test_a_link_ages(self, house: House) -> None:
        """After ten minutes it is nothing any more."""
        local = await house.people.accounts.local("ana")
        token = await house.people.sign_in.make_link(local.account_id)
        house.clock.advance(timedelta(minutes=10))
        with pytest.raises(InvalidToken):
            await house.people.sign_in.follow_link(token, WEB, address=HOME)

    async def test_a_token_of_another_purpose_is_no_link(self, house: House) -> None:
        """What resets a password does not sign in."""
        email = Email("ana@example.org")
        message = await house.people.passwords.request_reset(email, address=HOME)
        assert message is not None
        token = message.text.split("\n\n")[3]
        with pytest.raises(InvalidToken):
            await house.people.sign_in.follow_link(token, WEB, address=HOME)
        await house.people.passwords.reset(token, "a new password", address=HOME)

    async def test_a_closed_account_gets_none(self, house: House) -> None:
        """Neither a link nor a way in by an older one."""
        ana = (await signed_in(house)).account
        assert ana is not None
        token = await house.people.sign_in.make_link(ana.account_id)
        await house.people.accounts.close(SYSTEM, ana.email)
        with pytest.raises(InvalidToken):
            await house.people.sign_in.follow_link(token, WEB, address=HOME)
        with pytest.raises(NotFound):
            await house.people.sign_in.make_link(ana.account_id)

    async def test_guessing_links_locks_out(self, house: House) -> None:
        """By network address."""
        for _ in range(FREE_ATTEMPTS):
            with pytest.raises(InvalidToken):
                await house.people.sign_in.follow_link("guess", WEB, address=HOME)
        with pytest.raises(TooManyAttempts):
            await house.people.sign_in.follow_link("guess", WEB, address=HOME)


class TestRefresh:
    """A refresh token counts once, and one that comes again ends its session."""

    async def test_a_new_pair(self, house: House) -> None:
        """The old access token is dead at once, the new one is the same person's on the same client."""
        first = await log_in(house, on=interface("laptop"))
        second = await house.people.sign_in.refresh(str(first.refresh_token))
        assert second.client_id == "laptop"
        assert second.refresh_token not in (None, first.refresh_token)
        await house.sessions.principal(second.access_token)
        with pytest.raises(Unauthorized):
            await house.sessions.principal(first.access_token)

    async def test_reuse_ends_the_session(self, house: House) -> None:
        """Somebody copied it: both the thief and the person have to sign in again."""
        first = await log_in(house)
        second = await house.people.sign_in.refresh(str(first.refresh_token))
        with pytest.raises(Unauthorized):
            await house.people.sign_in.refresh(str(first.refresh_token))
        with pytest.raises(Unauthorized):
            await house.sessions.principal(second.access_token)
        with pytest.raises(Unauthorized):
            await house.people.sign_in.refresh(str(second.refresh_token))

    async def test_it_outlives_the_access_token_by_far(self, house: House) -> None:
        """Thirty days, from the last use on."""
        minted = await log_in(house)
        house.clock.advance(timedelta(days=30, seconds=-1))
        with pytest.raises(Unauthorized, match="expired"):
            await house.sessions.principal(minted.access_token)
        again = await house.people.sign_in.refresh(str(minted.refresh_token))
        house.clock.advance(timedelta(days=30))
        with pytest.raises(Unauthorized):
            await house.people.sign_in.refresh(str(again.refresh_token))

    async def test_what_is_no_refresh_token(self, house: House) -> None:
        """An access token, a link or nothing refreshes nothing, and ends nothing."""
        minted = await log_in(house)
        account = (await house.sessions.principal(minted.access_token)).account
        assert account is not None
        link = await house.people.sign_in.make_link(account.account_id)
        for token in ("", minted.access_token, link):
            with pytest.raises(Unauthorized):
                await house.people.sign_in.refresh(token)
        await house.sessions.principal(minted.access_token)
        await house.people.sign_in.follow_link(link, WEB, address=HOME)

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.integers(0, 6), max_size=12))
    async def test_only_the_newest_opens(self, uses: list[int]) -> None:
        """In any order of uses, a token opens once and only while the session lives."""
        house = House()
        await house.start()
        await house.sessions.prepare()
        await person(house)
        tokens = [str((await log_in(house)).refresh_token)]
        alive = True
        for use in uses:
            token = tokens[min(use, len(tokens) - 1)]
            good = alive and token == tokens[-1]
            try:
                minted = await house.people.sign_in.refresh(token)
            except Unauthorized:
                assert not good
                alive = False
            else:
                assert good
                tokens.append(str(minted.refresh_token))

    async def test_logging_out_ends_both(self, house: House) -> None:
        """Neither token opens anything after that, and another client's are not touched."""
        minted, phone = await log_in(house), await log_in(house, on=interface("phone"))
        await house.people.sign_in.log_out(await house.sessions.principal(minted.access_token))
        with pytest.raises(Unauthorized):
            await house.sessions.principal(minted.access_token)
        with pytest.raises(Unauthorized):
            await house.people.sign_in.refresh(str(minted.refresh_token))
        await house.sessions.principal(phone.access_token)
        [event] = house.security.named(EventName.LOGGED_OUT)
        assert event.client_id == "web"
