"""Accounts, second factor, passwords and proven addresses."""

from __future__ import annotations

from datetime import timedelta

import pytest
from retaia_tests.house import House
from retaia_tests.people import HOME, PASSWORD, code_now, log_in, person, signed_in

from retaia_core.domain.accounts import Email
from retaia_core.domain.actors import SYSTEM
from retaia_core.domain.history import SENTENCES
from retaia_core.domain.security_events import EventName
from retaia_core.domain.throttling import FREE_ATTEMPTS
from retaia_core.errors import (
    EmailNotVerified,
    Invalid2faCode,
    InvalidToken,
    MfaAlreadyEnabled,
    MfaNotEnabled,
    MfaRequired,
    StateConflict,
    TooManyAttempts,
    Unauthorized,
    UserNotFound,
    ValidationFailed,
)
from retaia_core.ports.notifier import Message
from retaia_core.testing.memory_secrets import totp_code
from retaia_core.testing.memory_store import MemoryStore
from retaia_core.usecases.sign_in import interface
from retaia_core.usecases.trail import subject_of

ANA = Email("ana@example.org")
BOB = Email("bob@example.org")
FRESH = "another password"


@pytest.fixture
async def house() -> House:
    """A house whose store runs every transaction twice, with one person."""
    house = House(store=MemoryStore(rehearse=True))
    await house.start()
    await house.sessions.prepare()
    await person(house)
    return house


def token_in(message: Message | None) -> str:
    """The token of a message, which stands in a paragraph of its own."""
    assert message is not None
    return message.text.split("\n\n")[3]


class TestAccounts:
    """Who runs the server makes accounts, closes them and opens them again."""

    async def test_an_address_has_one_account(self, house: House) -> None:
        """The second is a conflict, in whatever case it is written."""
        with pytest.raises(StateConflict):
            await house.people.accounts.add(ANA, PASSWORD)

    async def test_with_a_password_the_address_is_to_be_proven(self, house: House) -> None:
        """The message has the token that proves it."""
        added = await house.people.accounts.add(BOB, PASSWORD, display_name="Bob")
        assert added.message is not None
        assert added.message.to == BOB
        assert "Hello Bob," in added.message.text
        with pytest.raises(EmailNotVerified):
            await log_in(house, BOB)
        await house.people.verification.confirm(token_in(added.message), address=HOME)
        await log_in(house, BOB)

    async def test_without_a_password_the_person_chooses_one(self, house: House) -> None:
        """Who gets the message owns the address, so it is proven by that."""
        added = await house.people.accounts.add(BOB, None)
        await house.people.passwords.reset(token_in(added.message), FRESH, address=HOME)
        await log_in(house, BOB, FRESH)

    async def test_vouched_for_there_is_nothing_to_say(self, house: House) -> None:
        """An account with password and proven address needs no message."""
        added = await house.people.accounts.add(BOB, PASSWORD, verified=True)
        assert added.message is None

    async def test_a_bad_password_makes_no_account(self, house: House) -> None:
        """Nothing is kept of a refused addition."""
        with pytest.raises(ValidationFailed):
            await house.people.accounts.add(BOB, "short")
        assert [a.email for a in await house.people.accounts.all()] == [ANA]

    async def test_the_local_person_is_made_once(self, house: House) -> None:
        """Every start finds the same account."""
        first = await house.people.accounts.local("ana")
        assert await house.people.accounts.local("ana") == first
        assert len(await house.people.accounts.all()) == 2

    async def test_closing_ends_everything_at_once(self, house: House) -> None:
        """Tokens die; opening again does not bring them back, but the password works."""
        minted = await log_in(house)
        await house.people.accounts.close(SYSTEM, ANA)
        with pytest.raises(Unauthorized):
            await house.sessions.principal(minted.access_token)
        await house.people.accounts.open_again(SYSTEM, ANA)
        with pytest.raises(Unauthorized):
            await house.sessions.principal(minted.access_token)
        await log_in(house)

    async def test_one_administrator_stays(self, house: House) -> None:
        """The last who can administer the server is not closed; a closed one does not count."""
        await person(house, "boss", admin=True)
        await person(house, "deputy", admin=True)
        await house.people.accounts.close(SYSTEM, Email("deputy@example.org"))
        with pytest.raises(StateConflict):
            await house.people.accounts.close(SYSTEM, Email("boss@example.org"))
        await house.people.accounts.open_again(SYSTEM, Email("deputy@example.org"))
        await house.people.accounts.close(SYSTEM, Email("boss@example.org"))

    async def test_unlocking_lets_in_at_once(self, house: House) -> None:
        """The wrong attempts are forgotten."""
        for n in range(FREE_ATTEMPTS):
            with pytest.raises(Unauthorized):
                await log_in(house, password="wrong password", address=str(n))
        with pytest.raises(TooManyAttempts):
            await log_in(house)
        await house.people.accounts.unlock(SYSTEM, ANA)
        await log_in(house)

    async def test_nobody_is_said_so(self, house: House) -> None:
        """Each of these names an address that has to have an account."""
        accounts, people = house.people.accounts, house.people
        resets = people.passwords.offer_reset
        for work in (accounts.close, accounts.open_again, accounts.unlock, resets):
            with pytest.raises(UserNotFound):
                await work(SYSTEM, BOB)
        with pytest.raises(UserNotFound):
            await people.verification.vouch(SYSTEM, BOB)
        with pytest.raises(UserNotFound):
            await people.passwords.set_for(BOB, FRESH)


class TestWhatAdministratorsDo:
    """Their acts are in the trail, and a message that they send changes nothing by itself."""

    async def test_a_message_to_choose_a_password(self, house: House) -> None:
        """The present password stays until the token is used; then it is the new one."""
        minted = await log_in(house)
        letter = await house.people.passwords.offer_reset(SYSTEM, ANA)
        assert letter.to == ANA
        await house.sessions.principal(minted.access_token)
        await log_in(house)
        await house.people.passwords.reset(token_in(letter), FRESH, address=HOME)
        await log_in(house, ANA, FRESH)

    async def test_no_message_where_none_would_help(self, house: House) -> None:
        """Not to a disabled account, and not to the person at the machine, whom none reaches."""
        local = await house.people.accounts.local("boss")
        await house.people.accounts.close(SYSTEM, ANA)
        for email in (ANA, local.email):
            with pytest.raises(StateConflict):
                await house.people.passwords.offer_reset(SYSTEM, email)

    async def test_each_act_is_told(self, house: House) -> None:
        """Who did what to which account, as sentences."""
        boss = (await person(house, "boss", admin=True)).actor
        people = house.people
        await people.accounts.close(boss, ANA)
        await people.accounts.open_again(boss, ANA)
        await people.accounts.unlock(boss, ANA)
        await people.verification.vouch(boss, ANA)
        await people.passwords.offer_reset(boss, ANA)
        (ana,) = [a for a in await people.accounts.all() if a.email == ANA]
        events = await house.store.read(lambda tx: tx.events(subject_of(ana)))
        assert [event.name for event in events] == [
            "account.disabled", "account.enabled", "account.unlocked", "account.vouched",
            "account.reset_sent",
        ]  # fmt: skip
        assert {event.actor for event in events} == {str(boss)}
        assert {event.name for event in events} <= SENTENCES.keys()


class TestSecondFactor:
    """Set up, proven, switched off; each with the code of the person's own device."""

    async def on(self, house: House) -> str:
        """Switch it on; returns the secret."""
        factors = house.people.second_factors
        setup = await factors.set_up(await signed_in(house))
        await factors.enable(await signed_in(house), code_now(house, setup.secret))
        house.clock.advance(timedelta(seconds=30))
        return setup.secret

    async def test_what_is_shown_fits_together(self, house: House) -> None:
        """The address and the QR code carry the secret and the account's name."""
        setup = await house.people.second_factors.set_up(await signed_in(house))
        assert setup.secret in setup.uri
        assert setup.account_name == ANA
        assert setup.issuer in setup.uri
        assert setup.secret in setup.qr_svg

    async def test_a_secret_that_was_not_proven_asks_for_nothing(self, house: House) -> None:
        """Until it is enabled, the password alone opens."""
        await house.people.second_factors.set_up(await signed_in(house))
        await log_in(house)

    async def test_a_wrong_code_enables_nothing(self, house: House) -> None:
        """And many of them lock out."""
        factors, who = house.people.second_factors, await signed_in(house)
        await factors.set_up(who)
        for _ in range(FREE_ATTEMPTS):
            with pytest.raises(Invalid2faCode):
                await factors.enable(who, "000000")
        with pytest.raises(TooManyAttempts):
            await factors.enable(who, "000000")
        await log_in(house)

    async def test_events(self, house: House) -> None:
        """Each step is a security event of the person."""
        who = await signed_in(house)
        secret = await self.on(house)
        await house.people.second_factors.disable(who, code_now(house, secret))
        names = [
            EventName.TWO_FACTOR_SET_UP,
            EventName.TWO_FACTOR_ENABLED,
            EventName.TWO_FACTOR_DISABLED,
        ]
        events = [event for name in names for event in house.security.named(name)]
        assert [event.event_name for event in events] == names
        assert {event.actor_id for event in events} == {who.actor.id}

    async def test_states(self, house: House) -> None:
        """What is on is not set up again; what is off is not disabled, and has no codes."""
        factors, who = house.people.second_factors, await signed_in(house)
        with pytest.raises(MfaNotEnabled):
            await factors.disable(who, "000000")
        with pytest.raises(MfaNotEnabled):
            await factors.regenerate(who)
        with pytest.raises(StateConflict):
            await factors.enable(who, "000000")
        await self.on(house)
        with pytest.raises(MfaAlreadyEnabled):
            await factors.set_up(who)

    async def test_the_code_that_enabled_it_is_used_up(self, house: House) -> None:
        """It neither signs in nor switches off."""
        factors, who = house.people.second_factors, await signed_in(house)
        setup = await factors.set_up(who)
        code = code_now(house, setup.secret)
        await factors.enable(who, code)
        with pytest.raises(Invalid2faCode):
            await factors.disable(who, code)
        with pytest.raises(Invalid2faCode):
            await log_in(house, otp_code=code)

    async def test_new_recovery_codes_replace_the_old(self, house: House) -> None:
        """The old ones open nothing any more."""
        factors, who = house.people.second_factors, await signed_in(house)
        setup = await factors.set_up(who)
        old = await factors.enable(who, code_now(house, setup.secret))
        new = await factors.regenerate(who)
        with pytest.raises(Invalid2faCode):
            await log_in(house, recovery_code=old[0])
        await log_in(house, recovery_code=new[0])

    async def test_confirming_asks_only_who_has_one(self, house: House) -> None:
        """Where much is at stake a code is asked for again, and used up."""
        factors = house.people.second_factors
        account = (await signed_in(house)).account
        assert account is not None
        await house.store.transact(lambda tx: factors.confirm(tx, account, None))
        secret = await self.on(house)
        fresh = await house.store.read(lambda tx: tx.account(account.account_id))
        assert fresh is not None
        with pytest.raises(MfaRequired):
            await house.store.transact(lambda tx: factors.confirm(tx, fresh, None))
        code = code_now(house, secret)
        await house.store.transact(lambda tx: factors.confirm(tx, fresh, code))
        with pytest.raises(Invalid2faCode):
            await log_in(house, otp_code=code)

    async def test_no_code_or_secret_is_written_down(self, house: House) -> None:
        """Neither appears among the security events."""
        secret = await self.on(house)
        said = repr(house.security.events)
        assert secret not in said
        assert totp_code(secret, 1) not in said


class TestPasswords:
    """Changed by who knows the old one, reset by who gets the message."""

    async def test_a_reset_ends_every_session_and_says_so(self, house: House) -> None:
        """The person signs in anew everywhere, and learns of it by message."""
        minted = [await log_in(house, on=interface(name)) for name in ("web", "phone")]
        token = token_in(await house.people.passwords.request_reset(ANA, address=HOME))
        message = await house.people.passwords.reset(token, FRESH, address=HOME)
        assert (message.to, "changed" in message.subject) == (ANA, True)
        for one in minted:
            with pytest.raises(Unauthorized):
                await house.sessions.principal(one.access_token)
        with pytest.raises(Unauthorized):
            await log_in(house)
        await log_in(house, password=FRESH)

    async def test_a_token_counts_once(self, house: House) -> None:
        """Neither it nor another that was asked for before opens again."""
        passwords = house.people.passwords
        tokens = [token_in(await passwords.request_reset(ANA, address=HOME)) for _ in range(2)]
        await passwords.reset(tokens[0], FRESH, address=HOME)
        for token in tokens:
            with pytest.raises(InvalidToken):
                await passwords.reset(token, "a third password", address=HOME)
        await log_in(house, password=FRESH)

    async def test_a_token_ages(self, house: House) -> None:
        """It is good for an hour."""
        token = token_in(await house.people.passwords.request_reset(ANA, address=HOME))
        house.clock.advance(timedelta(hours=1))
        with pytest.raises(InvalidToken):
            await house.people.passwords.reset(token, FRESH, address=HOME)

    async def test_a_bad_password_leaves_the_token(self, house: House) -> None:
        """The person can try another one."""
        token = token_in(await house.people.passwords.request_reset(ANA, address=HOME))
        with pytest.raises(ValidationFailed):
            await house.people.passwords.reset(token, "short", address=HOME)
        await house.people.passwords.reset(token, FRESH, address=HOME)

    async def test_a_reset_does_not_switch_off_the_second_factor(self, house: House) -> None:
        """Who has the mailbox alone does not have the account."""
        factors = house.people.second_factors
        setup = await factors.set_up(await signed_in(house))
        await factors.enable(await signed_in(house), code_now(house, setup.secret))
        token = token_in(await house.people.passwords.request_reset(ANA, address=HOME))
        await house.people.passwords.reset(token, FRESH, address=HOME)
        with pytest.raises(MfaRequired):
            await log_in(house, password=FRESH)

    async def test_asking_tells_nothing_and_is_limited(self, house: House) -> None:
        """Nobody's address is answered alike, and both are slowed down alike."""
        for email, told in ((ANA, True), (BOB, False)):
            for _ in range(FREE_ATTEMPTS):
                message = await house.people.passwords.request_reset(email, address=HOME)
                assert (message is not None) is told
            with pytest.raises(TooManyAttempts):
                await house.people.passwords.request_reset(email, address=HOME)

    async def test_guessing_tokens_locks_out(self, house: House) -> None:
        """By network address, and a good token waits as long."""
        token = token_in(await house.people.passwords.request_reset(ANA, address=HOME))
        for _ in range(FREE_ATTEMPTS):
            with pytest.raises(InvalidToken):
                await house.people.passwords.reset("guess", FRESH, address=HOME)
        with pytest.raises(TooManyAttempts):
            await house.people.passwords.reset(token, FRESH, address=HOME)
        await house.people.passwords.reset(token, FRESH, address="198.51.100.7")

    async def test_changing_ones_own(self, house: House) -> None:
        """The client that changed it stays signed in, the others do not; a message says so."""
        here, there = await log_in(house), await log_in(house, on=interface("phone"))
        who = await house.sessions.principal(here.access_token)
        message = await house.people.passwords.change(who, PASSWORD, FRESH)
        assert message.to == ANA
        await house.sessions.principal(here.access_token)
        with pytest.raises(Unauthorized):
            await house.sessions.principal(there.access_token)
        await log_in(house, password=FRESH)

    async def test_who_does_not_know_it_cannot_change_it(self, house: House) -> None:
        """A borrowed token guesses a few times, and no more."""
        who = await signed_in(house)
        for current in ("wrong password", None, "", *["wrong"] * (FREE_ATTEMPTS - 3)):
            with pytest.raises(ValidationFailed):
                await house.people.passwords.change(who, current, FRESH)
        with pytest.raises(TooManyAttempts):
            await house.people.passwords.change(who, PASSWORD, FRESH)
        await log_in(house)

    async def test_two_changes_at_once(self, house: House) -> None:
        """The one that was made on the old password's word is refused after the other."""
        who = await signed_in(house)
        await house.people.passwords.change(who, PASSWORD, FRESH)
        with pytest.raises(StateConflict):
            await house.people.passwords.change(who, PASSWORD, "a third password")

    async def test_the_local_person_sets_a_first_one(self, house: House) -> None:
        """There is none to prove."""
        local = await house.people.accounts.local("ana")
        token = await house.people.sign_in.make_link(local.account_id)
        minted = await house.people.sign_in.follow_link(token, interface(), address=HOME)
        who = await house.sessions.principal(minted.access_token)
        await house.people.passwords.change(who, None, FRESH)
        await log_in(house, local.email, FRESH)

    async def test_set_by_who_runs_the_server(self, house: House) -> None:
        """The sessions end, and the lock-out with them."""
        minted = await log_in(house)
        for n in range(FREE_ATTEMPTS):
            with pytest.raises(Unauthorized):
                await log_in(house, password="wrong password", address=str(n))
        await house.people.passwords.set_for(ANA, FRESH)
        with pytest.raises(Unauthorized):
            await house.sessions.principal(minted.access_token)
        await log_in(house, password=FRESH)

    async def test_no_password_is_kept(self, house: House) -> None:
        """The store has a hash, and events have nothing."""
        kept = await house.people.accounts.all()
        assert PASSWORD not in repr(kept)
        assert PASSWORD not in repr(house.security.events)


class TestVerification:
    """An address is proven by message, or by an administrator's word."""

    async def test_by_message(self, house: House) -> None:
        """The newest token and the older one work, once."""
        await house.people.accounts.add(BOB, PASSWORD)
        verification = house.people.verification
        token = token_in(await verification.request(BOB, address=HOME))
        await verification.confirm(token, address=HOME)
        with pytest.raises(InvalidToken):
            await verification.confirm(token, address=HOME)
        await log_in(house, BOB)

    async def test_by_word(self, house: House) -> None:
        """No message is needed."""
        await house.people.accounts.add(BOB, PASSWORD)
        await house.people.verification.vouch(SYSTEM, BOB)
        await log_in(house, BOB)

    async def test_a_token_ages(self, house: House) -> None:
        """It is good for a day."""
        added = await house.people.accounts.add(BOB, PASSWORD)
        house.clock.advance(timedelta(hours=24))
        with pytest.raises(InvalidToken):
            await house.people.verification.confirm(token_in(added.message), address=HOME)

    async def test_asking_tells_nothing_and_is_limited(self, house: House) -> None:
        """A proven address and nobody's are answered alike."""
        for email in (ANA, BOB):
            for _ in range(FREE_ATTEMPTS):
                assert await house.people.verification.request(email, address=HOME) is None
            with pytest.raises(TooManyAttempts):
                await house.people.verification.request(email, address=HOME)
