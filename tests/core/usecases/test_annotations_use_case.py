"""What people say of assets, as a program keeps it."""

from __future__ import annotations

import pytest
from retaia_tests.house import PERSON, House

from retaia_core.domain.annotations import Edit, SuggestionStatus
from retaia_core.domain.assets import Asset, reprocessed
from retaia_core.domain.jobs import Job
from retaia_core.domain.lifecycle import State
from retaia_core.errors import Purged
from retaia_core.hooks.lifecycle import HookCall, HookPoint, HookReply, LifecycleHook
from retaia_core.testing.clock import START
from retaia_core.testing.samples import asset, job
from retaia_core.usecases.results import merged

ACCEPTED, REFUSED = SuggestionStatus.ACCEPTED, SuggestionStatus.REFUSED


class Cataloguer(LifecycleHook):
    """A hook that adds a note."""

    name = "cataloguer"
    point = HookPoint.AFTER_PROCESSED

    def run(self, call: HookCall) -> HookReply:
        return HookReply(note="roll 7", fields={"roll": 7})


def computed(one: Asset, suggest: Job, *tags: str, source: str = "model/1") -> Asset:
    """The asset once a model suggested tags for it."""
    return merged(one, suggest, {}, (), (), {"tags": list(tags), "source": source}, START)


class TestComputedAgain:
    """*Recomputing replaces pending suggestions and never resurrects one that a person refused*."""

    async def test_what_a_person_said_holds(self) -> None:
        """After a new computation, also through a reprocess, only what nobody spoke of is new."""
        house, suggest = House(), job(1, job_type="suggest_tags")
        await house.start()
        found = computed(asset(state=State.ARCHIVED), suggest, "sea", "car", "old")
        await house.store.transact(lambda tx: tx.add_assets([found]))
        await house.annotations.settle(PERSON, found.uuid, "sea", ACCEPTED)
        said = await house.annotations.settle(PERSON, found.uuid, "car", REFUSED)
        for one in (said, reprocessed(said, PERSON, START)):
            after = computed(one, suggest, "car", "new", "sea", source="model/2")
            assert [(s.tag, s.status, s.source) for s in after.suggestions] == [
                ("sea", "ACCEPTED", "model/1"),
                ("car", "REFUSED", "model/1"),
                ("new", "PENDING", "model/2"),
            ]
            assert after.tags == ("sea",)


class TestPurged:
    """``PURGED`` answers 410 to writes."""

    async def test_nothing_is_said_of_it_any_more(self) -> None:
        """Neither an edit nor a suggestion is taken."""
        house = House()
        await house.start()
        gone = asset(state=State.PURGED)
        await house.store.transact(lambda tx: tx.add_assets([gone]))
        with pytest.raises(Purged):
            await house.annotations.edit(PERSON, gone.uuid, Edit(add_tags=("x",)))
        with pytest.raises(Purged):
            await house.annotations.settle(PERSON, gone.uuid, "x", ACCEPTED)


class TestHooks:
    """*It may return notes and patches to human-visible `fields` and `notes` only*."""

    async def test_what_a_hook_said_is_not_a_persons(self) -> None:
        """Notes and fields of a hook are the hook's in who changed what last."""
        house = House(hooks=(Cataloguer(),))
        await house.start()
        after = await house.pending("INBOX/A.jpg")
        assert (after.notes, after.fields) == ("roll 7", {"roll": 7})
        by = {name: change.by for name, change in after.last_changes.items()}
        assert by == dict.fromkeys(("notes", "field/roll"), "system:hook/cataloguer")
