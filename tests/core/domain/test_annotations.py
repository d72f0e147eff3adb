"""What people say of an asset: edits that lose nothing, and suggestions settled one by one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.actors import SYSTEM, Actor, ActorKind
from retaia_core.domain.annotations import Edit, SuggestionStatus, edited, settled, suggestion_of
from retaia_core.domain.assets import (
    Asset,
    LastChange,
    Suggestion,
    annotated,
    reprocessed,
    said_of,
)
from retaia_core.domain.lifecycle import State
from retaia_core.errors import ForbiddenActor, NotFound, StateConflict, ValidationFailed
from retaia_core.testing.clock import START
from retaia_core.testing.samples import asset

ADA = Actor(kind=ActorKind.PERSON, id="ada")
BOB = Actor(kind=ActorKind.PERSON, id="bob")
AGENT = Actor(kind=ActorKind.AGENT, id="a")
LATER = START + timedelta(minutes=1)
SEA = Suggestion(tag="sea", source="model/1")
PENDING, ACCEPTED, REFUSED = SuggestionStatus

TAGS = st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True, max_size=3).map(tuple)
VALUES = st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["", "x"])


def tag_edits() -> st.SearchStrategy[Edit]:
    """Edits of tags; nobody adds and removes the same one."""
    edits = st.builds(Edit, add_tags=TAGS, remove_tags=TAGS)
    return edits.filter(lambda edit: not set(edit.add_tags) & set(edit.remove_tags))


class TestTwoPeople:
    """Two people who annotate the same asset lose nothing silently."""

    @given(TAGS, tag_edits(), tag_edits())
    def test_edits_of_tags_keep_each_others(self, tags: Any, one: Edit, other: Edit) -> None:
        """What only one of two said of a tag holds, whoever came first."""
        before = asset(tags=tags)
        after = edited(edited(before, one, ADA, START), other, BOB, LATER)
        for edit, against in ((one, other), (other, one)):
            assert set(edit.add_tags) - set(against.remove_tags) <= set(after.tags)
            assert not set(edit.remove_tags) - set(against.add_tags) & set(after.tags)

    @given(VALUES, VALUES, VALUES)
    def test_a_field_is_replaced_only_as_it_was_seen(
        self, there: object, seen: object, wanted: object
    ) -> None:
        """A value that somebody else set since it was seen stays, and is told."""
        before = asset(fields={} if there is None else {"f": there})
        edit = Edit(fields={"f": wanted}, fields_seen={"f": seen}, add_tags=("new",))
        is_fine = any((type(there), there) == (type(one), one) for one in (seen, wanted))
        if is_fine:
            assert edited(before, edit, ADA, START).fields.get("f") == wanted
        else:
            with pytest.raises(StateConflict) as refused:
                edited(before, edit, ADA, START)
            assert refused.value.details["theirs"] == {"fields.f": there}

    def test_notes_are_replaced_only_as_they_were_seen(self) -> None:
        """Notes that somebody else wrote meanwhile are told, and nothing of the edit is applied."""
        before = asset(notes="theirs")
        with pytest.raises(StateConflict, match="notes") as refused:
            edited(before, Edit(notes="mine", notes_seen="old", add_tags=("t",)), ADA, START)
        assert refused.value.details["theirs"] == {"notes": "theirs"}
        assert edited(before, Edit(notes="mine", notes_seen="theirs"), ADA, START).notes == "mine"
        assert edited(before, Edit(notes="theirs", notes_seen="old"), ADA, START) is before

    def test_what_is_replaced_must_be_said(self) -> None:
        """Notes and fields that do not say what they replace are refused."""
        for edit in (Edit(notes="x"), Edit(fields={"f": 1})):
            with pytest.raises(ValidationFailed, match="seen"):
                edited(asset(), edit, ADA, START)


class TestWhoSaidWhat:
    """Each tag, the notes and each field know who made them what they are, and when."""

    @given(TAGS, TAGS, VALUES, VALUES)
    def test_the_last_change_is_of_what_changed(
        self, old: Any, new: Any, was: object, now: object
    ) -> None:
        """What an edit makes another is its author's; the rest stays another's; what is gone is nobody's."""
        first = annotated(asset(), ADA, START, tags=old, notes="n", fields={"f": was})
        after = annotated(first, BOB, LATER, tags=new, fields={"f": now})
        assert set(after.last_changes) == set(said_of(after)) | {"notes"}
        assert after.last_changes["notes"].by == "person:ada"
        for tag in after.tags:
            by = "person:ada" if tag in first.tags else "person:bob"
            assert after.last_changes[f"tag/{tag}"].by == by

    def test_emptied_notes_are_somebodys(self) -> None:
        """Who emptied the notes is known as well."""
        first = annotated(asset(notes="n"), ADA, START, notes="")
        assert annotated(first, BOB, LATER, tags=("t",)).last_changes["notes"] == LastChange(
            by="person:ada", at=START
        )


class TestSuggestions:
    """*Suggestions are kept apart from tags until a person accepts one (recorded, with its source)*."""

    @pytest.mark.parametrize("who", [SYSTEM, AGENT, Actor(kind=ActorKind.MCP, id="m")])
    def test_only_a_person_settles(self, who: Actor) -> None:
        """domain.md, *Principles* 1: a suggestion is never applied by itself."""
        with pytest.raises(ForbiddenActor):
            settled(asset(suggestions=(SEA,)), "sea", ACCEPTED, who, START)

    def test_accepted_it_is_a_tag_with_its_source(self) -> None:
        """The tag bears the model's name, and the suggestion who accepted it and when."""
        after = settled(asset(tags=("sky",), suggestions=(SEA,)), "sea", ACCEPTED, ADA, START)
        assert after.tags == ("sky", "sea")
        assert after.last_changes["tag/sea"] == LastChange(
            by="person:ada", at=START, source="model/1"
        )
        [one] = after.suggestions
        assert (one.status, one.since, one.by) == ("ACCEPTED", START, "person:ada")

    @given(said=st.lists(st.sampled_from(SuggestionStatus), max_size=6), is_set=st.booleans())
    def test_what_is_said_last_holds(self, said: list[SuggestionStatus], *, is_set: bool) -> None:
        """It is a tag exactly while it is accepted; one that a person had set stays whatever is said."""
        one = asset(suggestions=(SEA,))
        one = annotated(one, BOB, START, tags=("sea",)) if is_set else one
        for status in said:
            one = settled(one, "sea", status, ADA, LATER)
            assert suggestion_of(one, "sea").status == status
            assert ("sea" in one.tags) is (is_set or status is ACCEPTED)
            assert settled(one, "sea", status, BOB, LATER) is one

    def test_somebody_else_was_first(self) -> None:
        """A suggestion that is not as it was seen is refused, with who settled it."""
        there = settled(asset(suggestions=(SEA,)), "sea", REFUSED, BOB, START)
        with pytest.raises(StateConflict, match="bob"):
            settled(there, "sea", ACCEPTED, ADA, LATER, seen=PENDING)
        assert settled(there, "sea", REFUSED, ADA, LATER, seen=PENDING) is there
        assert settled(there, "sea", PENDING, ADA, LATER, seen=REFUSED).suggestions[0].by

    def test_what_is_not_suggested(self) -> None:
        """The refusal says what is suggested."""
        with pytest.raises(NotFound, match="'sea'"):
            settled(asset(suggestions=(SEA,)), "see", ACCEPTED, ADA, START)

    def test_reprocessing_keeps_what_was_settled(self) -> None:
        """Pending suggestions go with the other results; refused and accepted ones stay."""
        one = asset(state=State.PROCESSED, suggestions=(SEA, evolve(SEA, tag="sky")))
        one = settled(one, "sky", REFUSED, ADA, START)
        after: Asset = reprocessed(one, ADA, LATER)
        assert [s.tag for s in after.suggestions] == ["sky"]
