"""What the acts on an asset change, and what they leave."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.actors import SYSTEM, Actor, ActorKind
from retaia_core.domain.assets import (
    MAX_NOTES,
    MAX_TAGS,
    Asset,
    Flag,
    advanced,
    annotated,
    decided,
    flagged,
    relocated,
    reopened,
    reprocessed,
    waived,
    without_results,
)
from retaia_core.domain.identifiers import RelPath
from retaia_core.domain.lifecycle import Action, State, Verdict, allowed_actions
from retaia_core.errors import ForbiddenActor, Purged, StateConflict, ValidationFailed
from retaia_core.testing import strategies
from retaia_core.testing.clock import START
from retaia_core.testing.samples import after, asset

ADA = Actor(kind=ActorKind.PERSON, id="ada")
AGENT = Actor(kind=ActorKind.AGENT, id="agent-1")
REFUSALS = (StateConflict, ForbiddenActor, Purged)
HUMAN = ("tags", "notes", "fields", "decisions", "path_history", "uuid", "created_at")
"""What no computation and no reprocessing may touch."""


def human_part(of: Asset) -> dict[str, object]:
    """The part of an asset that only persons change."""
    return {name: getattr(of, name) for name in HUMAN}


def _act(action: Action) -> Callable[[Asset, Actor, datetime], Asset]:
    """The function that does an action."""
    if action in (Action.KEEP, Action.REJECT, Action.CLEAR):
        return lambda a, who, now: decided(a, action, who, now)
    special = {Action.REOPEN: reopened, Action.REPROCESS: reprocessed, Action.WAIVE: waived}
    return special.get(action) or (lambda a, who, now: advanced(a, action, who, now))


class TestDecisions:
    """domain.md, *Principles* 1 and 6: a decision is a person's, and is recorded."""

    @given(
        strategies.standing_assets(), st.sampled_from([Action.KEEP, Action.REJECT, Action.CLEAR])
    )
    def test_a_decision_is_recorded_or_refused(self, one: Asset, action: Action) -> None:
        """State, verdict and history agree after a decision; a refusal changes nothing."""
        if action not in allowed_actions(one.standing, ActorKind.PERSON):
            with pytest.raises(REFUSALS):
                decided(one, action, ADA, START)
            return
        after_it = decided(one, action, ADA, START)
        assert after_it.verdict is {Action.KEEP: Verdict.KEEP, Action.REJECT: Verdict.REJECT}.get(
            action
        )
        *before, last = after_it.decisions
        assert tuple(before) == one.decisions
        assert (last.action, last.at, last.by) == (action.value, START, "person:ada")
        assert after_it.path == one.path

    @pytest.mark.parametrize("kind", [k for k in ActorKind if k is not ActorKind.PERSON])
    @given(one=strategies.standing_assets())
    def test_nobody_else_decides(self, kind: ActorKind, one: Asset) -> None:
        """An agent, an orchestrator and the system are refused in every state."""
        for action in (Action.KEEP, Action.REJECT, Action.CLEAR):
            with pytest.raises(REFUSALS):
                decided(one, action, Actor(kind=kind, id="x"), START)

    def test_only_decisions_are_decisions(self) -> None:
        """Another action is refused before anything else is looked at."""
        with pytest.raises(ValidationFailed):
            decided(asset(state=State.DECIDED_KEEP), Action.QUEUE_MOVE, ADA, START)


class TestVerdictAndStateAgree:
    """domain.md, *State machine*: a decided, moving, archived or rejected asset has its verdict."""

    @given(st.data())
    def test_on_every_walk(self, data: st.DataObject) -> None:
        """Whatever is done in whatever order, the verdict is the state's."""
        one = asset(state=State.DECISION_PENDING)
        for step in range(data.draw(st.integers(1, 25))):
            actor = data.draw(st.sampled_from([ADA, ADA, SYSTEM, AGENT]))
            open_now = allowed_actions(one.standing, actor.kind)
            if not open_now:
                continue
            action = data.draw(st.sampled_from(open_now))
            one = _act(action)(one, actor, after(step))
            if one.state is State.MOVE_QUEUED:
                assert one.verdict is not None
            else:
                assert one.verdict is strategies.verdict_in(one.state)
            assert one.state_since == one.updated_at == after(step)

    @given(strategies.standing_assets(st.sampled_from([State.DECIDED_KEEP, State.DECIDED_REJECT])))
    def test_a_move_that_is_given_up_restores_the_decision(self, one: Asset) -> None:
        """MOVE_QUEUED goes back to the very state it came from, with the verdict kept."""
        queued = advanced(one, Action.QUEUE_MOVE, ADA, START)
        back = advanced(queued, Action.ABANDON_MOVE, SYSTEM, START)
        assert (back.state, back.verdict, back.decisions) == (one.state, one.verdict, one.decisions)


class TestReprocess:
    """domain.md, *Reopen, reprocess, purge*: what is computed goes, what people said stays."""

    @given(
        strategies.standing_assets(
            st.sampled_from([State.PROCESSED, State.ARCHIVED, State.REJECTED])
        )
    )
    def test_it_drops_results_and_keeps_people(self, one: Asset) -> None:
        """Facts, derived files, transcript and pending suggestions go; the version grows."""
        again = reprocessed(one, ADA, START)
        assert again.state is State.READY
        assert again.verdict is None
        assert again.review_version == one.review_version + 1
        assert (again.facts, again.derived, again.transcript) == ({}, (), None)
        assert again.warnings == ()
        assert human_part(again) == human_part(one)
        assert again.suggestions == tuple(s for s in one.suggestions if s.status != "PENDING")
        assert (again.path, again.sidecars) == (one.path, one.sidecars)

    @given(strategies.assets())
    def test_flags_of_the_place_stay(self, one: Asset) -> None:
        """Only flags about the work are dropped; the others are about the file."""
        of_the_work = {Flag.UNPROCESSABLE, Flag.CHANGED}
        assert without_results(one).flags == one.flags - of_the_work


class TestReopen:
    """domain.md: *Reopen is a person's act and moves nothing*."""

    @given(strategies.standing_assets(st.sampled_from([State.ARCHIVED, State.REJECTED])))
    def test_nothing_but_the_decision_opens(self, one: Asset) -> None:
        """Everything but state, verdict and time stays."""
        opened = reopened(one, ADA, START)
        assert (opened.state, opened.verdict) == (State.DECISION_PENDING, None)
        expected = evolve(
            one, state=opened.state, verdict=None, state_since=START, updated_at=START
        )
        assert opened == expected


class TestRelocation:
    """domain.md, *Principles* 3: *A path is a mutable attribute with a history, never an identity*."""

    @given(strategies.assets(), strategies.rel_paths(), strategies.times())
    def test_the_history_grows_and_the_uuid_stays(
        self, one: Asset, path: RelPath, now: datetime
    ) -> None:
        """The last line of the history is the path that was left."""
        there = relocated(one, path, cause="move", now=now)
        assert (there.uuid, there.path) == (one.uuid, path)
        *before, last = there.path_history
        assert tuple(before) == one.path_history
        assert (last.path, last.until, last.cause) == (one.path, now, "move")


class TestFlags:
    """domain.md: *flagged … (not a state, nothing deleted) and unflagged when it is seen again*."""

    @given(strategies.assets(), st.sampled_from(Flag))
    def test_setting_and_dropping(self, one: Asset, flag: Flag) -> None:
        """A flag changes itself alone; setting what is set gives the same asset."""
        on, off = flagged(one, flag, on=True), flagged(one, flag, on=False)
        assert on.flags == one.flags | {flag}
        assert off.flags == one.flags - {flag}
        assert evolve(on, flags=one.flags) == evolve(off, flags=one.flags) == one
        assert flagged(on, flag, on=True) is on


class TestHumanMetadata:
    """domain.md, *Principles* 6: decisions and human metadata are only a person's to change."""

    @given(strategies.assets(), st.sampled_from([SYSTEM, AGENT, Actor(kind=ActorKind.MCP, id="m")]))
    def test_nobody_else_annotates(self, one: Asset, who: Actor) -> None:
        """Tags, notes and fields are refused to anybody but a person."""
        with pytest.raises(ForbiddenActor):
            annotated(one, who, START, notes="x")

    def test_each_part_that_is_given_replaces_that_part(self) -> None:
        """Tags are trimmed and lose repetitions; fields are merged by key; the rest stays."""
        one = asset(tags=("old",), notes="old", fields={"a": 1, "b": 2})
        now = START + timedelta(seconds=1)
        tagged = annotated(one, ADA, now, tags=(" a ", "b", "a"))
        assert (tagged.tags, tagged.notes, tagged.fields) == (("a", "b"), "old", {"a": 1, "b": 2})
        assert annotated(one, ADA, now, notes="").notes == ""
        assert annotated(one, ADA, now, fields={"b": 3}).fields == {"a": 1, "b": 3}
        assert annotated(one, ADA, now) == evolve(one, updated_at=now)

    @pytest.mark.parametrize("tag", ["", "  ", "a,b", "x" * 101, "a\nb", "a\0b"])
    def test_malformed_tags_are_refused(self, tag: str) -> None:
        """Empty, long, unprintable tags and tags with a comma are refused by name."""
        with pytest.raises(ValidationFailed, match="tags"):
            annotated(asset(), ADA, START, tags=("good", tag))

    def test_too_much_is_refused(self) -> None:
        """There is a limit to the number of tags and to the length of notes."""
        many = tuple(f"t{n}" for n in range(MAX_TAGS + 1))
        assert annotated(asset(), ADA, START, tags=many[:-1]).tags == many[:-1]
        with pytest.raises(ValidationFailed):
            annotated(asset(), ADA, START, tags=many)
        annotated(asset(), ADA, START, notes="x" * MAX_NOTES)
        for notes in ("x" * (MAX_NOTES + 1), "a\0b"):
            with pytest.raises(ValidationFailed):
                annotated(asset(), ADA, START, notes=notes)


class TestDerivedFiles:
    """domain.md, *Derived files*: several of one kind are told apart by their index."""

    @given(strategies.assets())
    def test_by_kind_in_order(self, one: Asset) -> None:
        """Those of a kind come by index; all kinds together are all files."""
        kinds = {ref.kind for ref in one.derived}
        listed = [ref for kind in kinds for ref in one.derived_of(kind)]
        assert sorted(map(repr, listed)) == sorted(map(repr, one.derived))
        for kind in kinds:
            indexes = [ref.index for ref in one.derived_of(kind)]
            assert indexes == sorted(indexes)
