"""The story of a bulk decision over ports in memory."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from retaia_tests.house import PERSON, House

from retaia_core.domain.actors import Actor, ActorKind
from retaia_core.domain.assets import Asset
from retaia_core.domain.bulk import APPROVAL_TTL, MAX_ITEMS, Left
from retaia_core.domain.identifiers import AssetId
from retaia_core.domain.leases import LockKind, acquire
from retaia_core.domain.lifecycle import Action, State, Verdict
from retaia_core.domain.query import AssetQuery, Sort, SortKey
from retaia_core.errors import ForbiddenActor, InvalidToken, StateConflict, ValidationFailed
from retaia_core.usecases import bulk_decisions

BOB = Actor(kind=ActorKind.PERSON, id="local/bob")
EVERYTHING = AssetQuery(sort=Sort(key=SortKey.NAME))


@pytest.fixture
async def house() -> House:
    house = House()
    await house.start()
    return house


async def pending(house: House, *names: str) -> list[Asset]:
    """Photos that wait for a decision."""
    return [await house.pending(f"INBOX/{name}.jpg", name.encode()) for name in names]


async def state(house: House, uuid: AssetId) -> State:
    return (await house.review.asset(uuid)).state


class TestPreview:
    """It shows what would be decided, and changes nothing."""

    async def test_what_is_shown(self, house: House) -> None:
        """What waits is eligible, in the filter's order; the rest is blocked with its reason."""
        one, two, three = await pending(house, "A", "B", "C")
        await house.review.decide(PERSON, two.uuid, Action.KEEP)
        shown = (await house.bulk.preview(PERSON, EVERYTHING, Action.REJECT, 10)).preview
        assert list(shown.stamps) == [one.uuid, three.uuid]
        assert [(b.asset, b.reason, b.state) for b in shown.blocked] == [
            (two.uuid, Left.NOT_PENDING, State.DECIDED_KEEP)
        ]
        assert (shown.more_eligible, shown.more_blocked) == (False, False)
        assert await state(house, one.uuid) is State.DECISION_PENDING

    async def test_the_filter_counts(self, house: House) -> None:
        """Only what the filter finds is shown, also where it asks for states."""
        one, two = await pending(house, "A", "B")
        await house.review.annotate(PERSON, one.uuid, tags=["bird"])
        tagged = evolve(EVERYTHING, tags=("bird",))
        shown = (await house.bulk.preview(PERSON, tagged, Action.KEEP, 10)).preview
        assert (list(shown.stamps), shown.blocked) == ([one.uuid], ())
        await house.review.decide(PERSON, two.uuid, Action.KEEP)
        others = evolve(EVERYTHING, states=(State.DECIDED_KEEP,))
        shown = (await house.bulk.preview(PERSON, others, Action.KEEP, 10)).preview
        assert not shown.stamps
        assert [b.asset for b in shown.blocked] == [two.uuid]

    async def test_more_than_was_asked_for(self, house: House) -> None:
        """At most so many are shown, and that there are more is said."""
        one, two, three, four = await pending(house, "A", "B", "C", "D")
        for asset in (three, four):
            await house.review.decide(PERSON, asset.uuid, Action.KEEP)
        shown = (await house.bulk.preview(PERSON, EVERYTHING, Action.KEEP, 1)).preview
        assert (list(shown.stamps), shown.more_eligible) == ([one.uuid], True)
        assert ([b.asset for b in shown.blocked], shown.more_blocked) == ([three.uuid], True)
        shown = (await house.bulk.preview(PERSON, EVERYTHING, Action.KEEP, 2)).preview
        assert (list(shown.stamps), shown.more_eligible) == ([one.uuid, two.uuid], False)

    async def test_refusals(self, house: House) -> None:
        """Nobody but a person, no clearing, and a sensible number."""
        agent = Actor(kind=ActorKind.AGENT, id="x")
        with pytest.raises(ForbiddenActor):
            await house.bulk.preview(agent, EVERYTHING, Action.KEEP, 1)
        with pytest.raises(ValidationFailed):
            await house.bulk.preview(PERSON, EVERYTHING, Action.CLEAR, 1)
        for number in (0, -1, MAX_ITEMS + 1):
            with pytest.raises(ValidationFailed):
                await house.bulk.preview(PERSON, EVERYTHING, Action.KEEP, number)


class TestApply:
    """A token approves once, for one person, for a while, what was shown."""

    async def test_what_was_shown_is_decided(self, house: House) -> None:
        """Each decision is that person's, with its event; what came later is not touched."""
        one, two = await pending(house, "A", "B")
        approved = await house.bulk.preview(PERSON, EVERYTHING, Action.REJECT, 10)
        (later,) = await pending(house, "C")
        report = await house.bulk.apply(PERSON, approved.token, "r1")
        assert set(report.decided) == {one.uuid, two.uuid}
        assert report.left == ()
        after = await house.review.asset(one.uuid)
        assert (after.state, after.verdict) == (State.DECIDED_REJECT, Verdict.REJECT)
        assert [(d.action, d.by) for d in after.decisions] == [("REJECT", str(PERSON))]
        event = (await house.operations.history(one.uuid))[-1]
        assert (event.name, event.actor) == ("decision.reject", str(PERSON))
        assert await state(house, later.uuid) is State.DECISION_PENDING

    async def test_a_token_is_used_once(self, house: House) -> None:
        """A second use is refused, and changes nothing."""
        (one,) = await pending(house, "A")
        approved = await house.bulk.preview(PERSON, EVERYTHING, Action.KEEP, 10)
        await house.bulk.apply(PERSON, approved.token, "r1")
        await house.review.decide(PERSON, one.uuid, Action.CLEAR)
        for request in ("r1", "r2"):
            with pytest.raises(InvalidToken):
                await house.bulk.apply(PERSON, approved.token, request)
        assert await state(house, one.uuid) is State.DECISION_PENDING

    async def test_whose_it_is_and_how_long(self, house: House) -> None:
        """Another person's, an unknown and an old token are refused alike; the owner's still works."""
        (one,) = await pending(house, "A")
        approved = await house.bulk.preview(PERSON, EVERYTHING, Action.KEEP, 10)
        said = set()
        for actor, token in ((BOB, approved.token), (PERSON, "unknown")):
            with pytest.raises(InvalidToken) as caught:
                await house.bulk.apply(actor, token, "r1")
            said.add(caught.value.message)
        house.clock.advance(APPROVAL_TTL)
        with pytest.raises(InvalidToken) as caught:
            await house.bulk.apply(PERSON, approved.token, "r1")
        assert len(said | {caught.value.message}) == 1
        assert await state(house, one.uuid) is State.DECISION_PENDING
        house.clock.advance(-timedelta(seconds=1))
        await house.bulk.apply(PERSON, approved.token, "r1")
        assert await state(house, one.uuid) is State.DECIDED_KEEP

    async def test_a_crash_between_two_chunks(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The same request goes on where it was; another one is refused meanwhile."""
        monkeypatch.setattr(bulk_decisions, "CHUNK", 2)
        assets = await pending(house, "A", "B", "C")
        approved = await house.bulk.preview(PERSON, EVERYTHING, Action.KEEP, 10)
        assert await house.bulk.step(PERSON, approved.token, "r1")
        with pytest.raises(StateConflict):
            await house.bulk.apply(PERSON, approved.token, "r2")
        states = [await state(house, asset.uuid) for asset in assets]
        assert states.count(State.DECIDED_KEEP) == 2
        report = await house.bulk.apply(PERSON, approved.token, "r1")
        assert list(report.decided) == [asset.uuid for asset in assets]
        for asset in assets:
            assert len((await house.review.asset(asset.uuid)).decisions) == 1

    @given(
        st.lists(st.sampled_from(["", "decide", "clear", "note", "lock"]), min_size=4, max_size=4)
    )
    @settings(max_examples=30, deadline=None)
    async def test_only_what_is_as_it_was_shown(self, deeds: list[str]) -> None:
        """Whatever happens between preview and use: what changed is left and listed, the rest is decided."""
        house = House()
        await house.start()
        assets = await pending(house, "A", "B", "C", "D")
        approved = await house.bulk.preview(PERSON, EVERYTHING, Action.REJECT, 10)
        house.clock.advance(timedelta(seconds=1))
        for asset, deed in zip(assets, deeds, strict=True):
            if deed in ("decide", "clear"):
                await house.review.decide(BOB, asset.uuid, Action.KEEP)
            if deed == "clear":
                await house.review.decide(BOB, asset.uuid, Action.CLEAR)
            if deed == "note":
                await house.review.annotate(BOB, asset.uuid, notes="nice")
            if deed == "lock":
                await _under_a_move(house, asset)
        before = [await house.review.asset(asset.uuid) for asset in assets]
        report = await house.bulk.apply(PERSON, approved.token, "r1")
        expected = {
            "decide": Left.NOT_PENDING, "clear": Left.CHANGED, "lock": Left.LOCKED,
        }  # fmt: skip
        assert {one.asset: one.reason for one in report.left} == {
            asset.uuid: expected[deed]
            for asset, deed in zip(assets, deeds, strict=True)
            if deed in expected
        }
        left = {one.asset for one in report.left}
        assert {asset.uuid for asset in assets} == left | set(report.decided)
        for asset in before:
            after = await house.review.asset(asset.uuid)
            if asset.uuid in left:
                assert after == asset
            else:
                assert after.verdict is Verdict.REJECT


async def _under_a_move(house: House, asset: Asset) -> None:
    current = await house.store.read(lambda tx: tx.lock(asset.subject))
    lock = acquire(
        current, asset.subject, kind=LockKind.ASSET_MOVE_LOCK, holder="x", token="t",
        now=house.clock.now(),
    )  # fmt: skip
    await house.store.transact(lambda tx: tx.save_lock(lock))
