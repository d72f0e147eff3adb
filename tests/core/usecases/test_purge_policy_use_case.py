"""The automatic purge: off by default, the same as a person's, and safe from clocks that jump."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import fields, frozen
from retaia_tests.house import PERSON
from retaia_tests.shelf import PLACE, Shelf, shelf

from retaia_core.domain.actors import Actor, ActorKind
from retaia_core.domain.identifiers import AssetId
from retaia_core.domain.journal import Event
from retaia_core.domain.leases import release
from retaia_core.domain.lifecycle import Action, State
from retaia_core.domain.purge import POLICY, PurgePlan
from retaia_core.domain.purge_policy import days_of
from retaia_core.errors import ForbiddenActor, StorageOffline
from retaia_core.ports.store import Transaction
from retaia_core.testing.clock import START
from retaia_core.usecases import purge_policy
from retaia_core.usecases.purge_policy import SUBJECT, PurgePolicy, Round
from retaia_core.usecases.purges import Purges

DAY = timedelta(days=1)


@pytest.fixture
async def stage() -> Shelf:
    return await shelf(required=False, policy_on=True)


@frozen(kw_only=True)
class Meddled(Purges):
    """Purges of a house in which somebody acts right after each preview."""

    stage: Shelf
    act: str

    @classmethod
    def over(cls, stage: Shelf, act: str) -> Meddled:
        given = {a.name: getattr(stage.purges, a.name) for a in fields(Purges)}
        return cls(**given, stage=stage, act=act)

    async def preview(self, uuid: AssetId) -> PurgePlan:
        plan = await super().preview(uuid)
        review = self.stage.house.review
        if self.act == "annotate":
            await review.annotate(PERSON, uuid, notes="wait")
        else:
            await review.reopen(PERSON, uuid)
        return plan


async def days(policy: PurgePolicy, stage: Shelf, count: int) -> list[AssetId]:
    """Let the server see so many more days; returns what was purged meanwhile."""
    purged: list[AssetId] = []
    for _ in range(count):
        stage.house.clock.advance(DAY)
        purged += (await policy.round()).purged
    return purged


async def state(stage: Shelf, uuid: AssetId) -> State:
    return (await stage.house.review.asset(uuid)).state


async def names(stage: Shelf, uuid: AssetId) -> list[str]:
    """The events about an asset's purge."""
    history = await stage.house.operations.history(uuid)
    return [event.name for event in history if "purge" in event.name]


class TestOff:
    """*Default off.*."""

    async def test_nothing_happens(self) -> None:
        """However old a rejected asset is, and however many rounds are made."""
        stage = await shelf(required=False)
        asset = await stage.rejected()
        assert await days(stage.policy(), stage, 400) == []
        assert await state(stage, asset.uuid) is State.REJECTED
        events = await stage.house.store.read(lambda tx: tx.events(purge_policy.SUBJECT))
        assert events == []

    async def test_nobody_else_of_the_system_purges(self, stage: Shelf) -> None:
        """Only the policy, and only while it is on."""
        asset = await stage.rejected()
        plan = await stage.purges.preview(asset.uuid)
        system = Actor(kind=ActorKind.SYSTEM, id="retaia")
        with pytest.raises(ForbiddenActor):
            await stage.purges.purge(system, plan, plan.digest)
        stage.policy_on = False
        with pytest.raises(ForbiddenActor):
            await stage.purges.purge(POLICY, plan, plan.digest)

    async def test_switching_off_starts_the_days_anew(self, stage: Shelf) -> None:
        """Days that were seen before it was off say nothing after it is on again."""
        asset = await stage.rejected()
        await days(stage.policy(), stage, 179)
        stage.policy_on = False
        await days(stage.policy(), stage, 3)
        events = await stage.house.store.read(lambda tx: tx.events(purge_policy.SUBJECT))
        assert [event.name for event in events].count("purge_policy.off") == 1
        stage.policy_on = True
        assert await days(stage.policy(), stage, 29) == []
        assert await days(stage.policy(), stage, 1) == [asset.uuid]


class TestDue:
    """*180 days after rejection.*."""

    async def test_on_the_day(self, stage: Shelf) -> None:
        """Not a day before; then all of it goes, by the policy's own name."""
        asset, policy = await stage.rejected(), stage.policy()
        kept = await stage.house.pending("INBOX/K.jpg", b"K")
        assert await days(policy, stage, 179) == []
        assert await days(policy, stage, 1) == [asset.uuid]
        assert await state(stage, asset.uuid) is State.PURGED
        assert set(stage.house.originals.files) == {"INBOX/K.jpg"}
        last = (await stage.house.operations.history(asset.uuid))[-1]
        assert (last.name, last.actor) == ("asset.purged", "system:purge-policy")
        assert await state(stage, kept.uuid) is State.DECISION_PENDING

    async def test_a_decision_alone_is_not_enough(self, stage: Shelf) -> None:
        """Only what lies among the rejects; and the days count from when it came there."""
        asset = await stage.house.pending("INBOX/K.jpg", b"K")
        await stage.house.review.decide(PERSON, asset.uuid, Action.REJECT)
        assert await days(stage.policy(), stage, 400) == []

    async def test_reopening_starts_anew(self, stage: Shelf) -> None:
        """Rejected again, it has its whole time again."""
        asset, policy = await stage.rejected(), stage.policy()
        await days(policy, stage, 179)
        house = stage.house
        await house.review.reopen(PERSON, asset.uuid)
        await house.review.decide(PERSON, asset.uuid, Action.REJECT)
        plan = await house.moves.preview()
        await house.moves.run((await house.moves.execute(PERSON, plan, plan.digest)).batch_id)
        assert await state(stage, asset.uuid) is State.REJECTED
        assert await days(policy, stage, 179) == []
        assert await days(policy, stage, 1) == [asset.uuid]

    async def test_a_few_at_a_time(self, stage: Shelf) -> None:
        """A round has a limit; the next goes on."""
        for name in "ABC":
            await stage.rejected(name)
        policy = stage.policy()
        policy.at_once = 2
        await days(policy, stage, 179)
        stage.house.clock.advance(DAY)
        assert [len((await policy.round()).purged) for _ in range(3)] == [2, 1, 0]


class TestClock:
    """A wall clock that jumps purges nothing that the server has not watched for long enough."""

    async def test_a_jump_ahead_is_one_day(self, stage: Shelf) -> None:
        """Ten years later by the clock, 30 days of the server's own still have to pass."""
        asset, policy = await stage.rejected(), stage.policy()
        await policy.round()
        stage.house.clock.advance(3650 * DAY)
        for _ in range(100):  # the second day of 30, however often it is looked at
            assert (await policy.round()).purged == ()
        events = await stage.house.store.read(lambda tx: tx.events(SUBJECT))
        assert len(events) == 2
        assert await days(policy, stage, 27) == []
        assert await days(policy, stage, 1) == [asset.uuid]

    async def test_a_clock_that_goes_back_and_forth_gains_nothing(self, stage: Shelf) -> None:
        """The same days seen again are no other days."""
        asset, policy = await stage.rejected(), stage.policy()
        stage.house.clock.advance(3650 * DAY)
        for _ in range(40):
            await policy.round()
            stage.house.clock.advance(-DAY)
            await policy.round()
            stage.house.clock.advance(DAY)
        assert await state(stage, asset.uuid) is State.REJECTED

    async def test_rejected_while_the_clock_was_wrong(self, stage: Shelf) -> None:
        """Days that were seen before it was rejected do not count, whatever date the rejection has."""
        policy = stage.policy()
        await days(policy, stage, 60)
        stage.house.clock.advance(-3650 * DAY)
        asset = await stage.rejected()
        stage.house.clock.advance(3650 * DAY)
        assert await days(policy, stage, 29) == []
        assert await days(policy, stage, 1) == [asset.uuid]


class TestSame:
    """*Does the same and nothing more*: same plan, same proof, same refusals."""

    async def test_proof_is_required_of_it_too(self) -> None:
        """It looks for copies itself; what is not proven stays, is told once, and is tried daily."""
        stage = await shelf(required=True, policy_on=True, after_days=40)
        asset, policy = await stage.rejected(), stage.policy()
        assert await days(policy, stage, 50) == []
        assert (await names(stage, asset.uuid)).count("purge.skipped") == 1
        assert (await names(stage, asset.uuid)).count("purge.checked") == 11
        stage.back_up()
        assert (await policy.round()).skipped == ()
        assert await days(policy, stage, 1) == [asset.uuid]
        proofs = [f.file.proof for f in (await stage.certificates.of(asset.uuid)).files]
        assert [p.place for p in proofs if p] == [PLACE, PLACE]

    async def test_another_reason_is_told_again(self, stage: Shelf) -> None:
        """Once each, not in each round."""
        asset, policy = await stage.rejected(), stage.policy()
        await days(policy, stage, 179)
        before = stage.house.originals.files["REJECTS/A.jpg"]
        stage.house.originals.add("REJECTS/A.jpg", b"worked on")
        await days(policy, stage, 3)
        del stage.house.originals.files["REJECTS/A.jpg"]
        await days(policy, stage, 3)
        events = await stage.house.operations.history(asset.uuid)
        told = [str(e.data["problem"]) for e in events if e.name == "purge.skipped"]
        assert ["not as the last scan" in t for t in told] == [True, False]
        stage.house.originals.files["REJECTS/A.jpg"] = before
        assert await days(policy, stage, 1) == [asset.uuid]

    async def test_a_storage_that_is_away(self, stage: Shelf) -> None:
        """Nothing is told of each asset; when it is back, the next round goes on."""
        asset, policy = await stage.rejected(), stage.policy()
        await days(policy, stage, 179)
        stage.house.originals.problem = "unplugged"
        assert await days(policy, stage, 2) == []
        assert "purge.skipped" not in await names(stage, asset.uuid)
        stage.house.originals.problem = None
        await stage.house.storages.online(asset.storage_id)
        assert (await policy.round()).purged == (asset.uuid,)

    async def test_a_storage_that_goes_away_in_the_middle(self, stage: Shelf) -> None:
        """What was accepted is recovery's, whose order stays the policy's."""
        asset, policy = await stage.rejected(), stage.policy()
        await days(policy, stage, 179)

        def unplug(operation: str, path: str) -> None:
            if operation == "remove":
                raise StorageOffline("unplugged")

        stage.house.originals.fault = unplug
        assert await days(policy, stage, 1) == []
        stage.house.originals.fault = None
        stage.policy_on = False
        assert await stage.purges.recover(held=True) == 1
        last = (await stage.house.operations.history(asset.uuid))[-1]
        assert (last.name, last.actor) == ("asset.purged", str(POLICY))

    async def test_somebody_who_acts_meanwhile(self, stage: Shelf) -> None:
        """What a person does between plan and purge wins; a note about it is made where it stays."""
        for act, told in (("annotate", 1), ("reopen", 0)):
            asset = await stage.rejected(act)
            policy = stage.policy()
            await days(policy, stage, 179)
            policy.purges = Meddled.over(stage, act)
            stage.house.clock.advance(DAY)
            round_ = await policy.round()
            assert (round_.purged, round_.skipped) == ((), (asset.uuid,))
            assert (await names(stage, asset.uuid)).count("purge.skipped") == told
            assert f"REJECTS/{act}.jpg" in stage.house.originals.files
            await stage.purge(asset.uuid) if told else None

    async def test_an_asset_that_is_locked(self, stage: Shelf) -> None:
        """It is passed over in silence, and tried in the next round."""
        asset, policy = await stage.rejected(), stage.policy()
        await days(policy, stage, 179)
        plan = await stage.purges.preview(asset.uuid)
        stage.house.clock.advance(DAY)
        await stage.purges.accept(PERSON, plan, plan.digest)
        assert await policy.round() == Round()
        stage.house.clock.advance(timedelta(seconds=301))
        assert await policy.round() == Round()

        def let_go(tx: Transaction) -> None:
            lock = tx.lock(asset.subject)
            assert lock is not None
            tx.save_lock(release(lock, stage.house.clock.now()))

        await stage.house.store.transact(let_go)
        assert (await policy.round()).purged == (asset.uuid,)


class TestDays:
    """The policy's own trail."""

    def test_other_events_are_no_days(self) -> None:
        """Only days count, since it was off last."""
        names = ["purge_policy.day", "purge_policy.off", "other", "purge_policy.day", "other"]
        events = [
            Event(subject=SUBJECT, name=name, actor="system:x", at=START + n * DAY, seq=n)
            for n, name in enumerate(names)
        ]
        assert days_of(events).days == ((3, (START + 3 * DAY).date()),)

    def test_a_day_counts_once(self) -> None:
        """Also where two servers wrote it down at once."""
        events = [
            Event(subject=SUBJECT, name="purge_policy.day", actor="system:x", at=START, seq=n)
            for n in (5, 6)
        ]
        assert days_of(events).since(4) == 1


class TestAhead:
    """What it would purge next, and when, is shown before it happens."""

    async def test_soonest_first(self) -> None:
        """Also where it is off; with what stands in the way of those that are due."""
        stage = await shelf(required=True)
        first = await stage.rejected("A")
        stage.house.clock.advance(10 * DAY)
        second = await stage.rejected("B")
        (one, two) = await stage.policy().ahead()
        assert (one.asset.uuid, two.asset.uuid) == (first.uuid, second.uuid)
        assert (one.due_at - one.rejected_at, one.blocked) == (180 * DAY, "")
        (only,) = await stage.policy().ahead(limit=1)
        assert only.asset.uuid == first.uuid
        stage.policy_on = True
        await days(stage.policy(), stage, 172)
        (one, _) = await stage.policy().ahead()
        assert one.due_at <= stage.house.clock.now()
        assert "no other copy of it is proven" in one.blocked

    async def test_the_days_that_are_missing(self, stage: Shelf) -> None:
        """An old asset of a policy that was just switched on is due in 30 days, not today."""
        await stage.rejected()
        stage.house.clock.advance(1000 * DAY)
        (one,) = await stage.policy().ahead()
        assert one.due_at == stage.house.clock.now() + 30 * DAY
