"""When a token is alive, over any life that a few people lead: the real signatures, any order of steps."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st
from retaia_tests.house import House
from retaia_tests.people import HOME

from retaia_adapters.accounts.secrets import BuiltinSecrets
from retaia_core.domain.accounts import AccountId, Email, new_account
from retaia_core.domain.actors import SYSTEM
from retaia_core.domain.clients import ClientKind
from retaia_core.errors import RetaiaError, Unauthorized
from retaia_core.testing.clock import START
from retaia_core.usecases.sessions import Minted
from retaia_core.usecases.sign_in import interface

PEOPLE = ("zoe", "bob")
INTERFACES = (interface("web"), interface("phone", ClientKind.UI_MOBILE))
SPANS = (timedelta(seconds=59), timedelta(minutes=59), timedelta(days=29))

NUMBERS = st.integers(0, 30)
STEPS = st.one_of(
    st.tuples(st.just("link"), st.sampled_from(PEOPLE), st.sampled_from(INTERFACES)),
    st.tuples(st.sampled_from(["refresh", "log out"]), NUMBERS),
    st.tuples(st.sampled_from(["close", "open"]), st.sampled_from(PEOPLE)),
    st.tuples(st.just("wait"), st.sampled_from(SPANS)),
)


@define
class Given:
    """A pair of tokens that somebody got once; ``spent`` when its refresh token was used."""

    who: str
    client_id: str
    minted: Minted
    at: datetime
    spent: bool = False
    ended: bool = False


@define
class Life:
    """A house, what was given out in it, and which of that must be alive."""

    house: House
    all: list[Given] = field(factory=list)
    closed: set[str] = field(factory=set)

    @property
    def now(self) -> datetime:
        return self.house.clock.now()

    async def begin(self) -> None:
        await self.house.store.prepare()
        await self.house.sessions.prepare()
        for name in PEOPLE:
            made = new_account(AccountId(name), Email(f"{name}@example.org"), START)
            account = evolve(made, email_verified=True)
            await self.house.store.transact(lambda tx, a=account: tx.save_account(a))  # type: ignore[misc]

    def end(self, who: str, client_id: str | None = None) -> None:
        for one in self.all:
            if one.who == who and client_id in (None, one.client_id):
                one.ended = True

    def give(self, who: str, minted: Minted) -> None:
        self.end(who, minted.client_id)
        self.all.append(Given(who, minted.client_id, minted, self.now))

    async def opens(self, one: Given) -> bool:
        try:
            who = await self.house.sessions.principal(one.minted.access_token)
        except Unauthorized:
            return False
        assert who.account is not None
        assert (who.account.account_id, who.client_id) == (one.who, one.client_id)
        return True

    def alive(self, one: Given) -> bool:
        over = one.at.replace(microsecond=0) + timedelta(hours=1)
        return not one.ended and self.now < over

    async def step(self, name: str, *of: object) -> None:
        people = self.house.people
        match name, of:
            case "link", (str(who), on):
                try:
                    token = await people.sign_in.make_link(AccountId(who))
                    minted = await people.sign_in.follow_link(token, on, address=HOME)  # type: ignore[arg-type]
                except RetaiaError:
                    assert who in self.closed
                else:
                    assert who not in self.closed
                    self.give(who, minted)
            case "refresh", (int(n),) if self.all:
                await self.refresh(self.all[n % len(self.all)])
            case "log out", (int(n),) if self.all:
                one = self.all[n % len(self.all)]
                if await self.opens(one):
                    who_calls = await self.house.sessions.principal(one.minted.access_token)
                    await people.sign_in.log_out(who_calls)
                    self.end(one.who, one.client_id)
            case "close", (str(who),):
                await people.accounts.close(SYSTEM, Email(f"{who}@example.org"))
                self.closed.add(who)
                self.end(who)
            case "open", (str(who),):
                await people.accounts.open_again(SYSTEM, Email(f"{who}@example.org"))
                self.closed.discard(who)
            case "wait", (timedelta() as span,):
                self.house.clock.advance(span)

    async def refresh(self, one: Given) -> None:
        usable = not one.ended and self.now < one.at + timedelta(days=30)
        try:
            minted = await self.house.people.sign_in.refresh(one.minted.refresh_token or "")
        except Unauthorized:
            assert not usable
            if one.spent:
                self.end(one.who, one.client_id)
        else:
            assert usable
            one.spent = True
            self.give(one.who, minted)


@given(st.lists(STEPS, max_size=25))
@settings(max_examples=150)
async def test_a_token_lives_as_the_rules_say(steps: list[tuple[object, ...]]) -> None:
    """Every token that was ever given is asked for after each step: none lives on, none dies early.

    One lives per person and client; a refresh token counts once, and ends everything where it comes again.
    """
    life = Life(House(secrets=BuiltinSecrets()))
    await life.begin()
    for name, *of in steps:
        await life.step(str(name), *of)
        alive = [one for one in life.all if await life.opens(one)]
        assert alive == [one for one in life.all if life.alive(one)]
        assert len({(one.who, one.client_id) for one in alive}) == len(alive)
