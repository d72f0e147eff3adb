"""The state machine, row by row and over its full product."""

from __future__ import annotations

import itertools

import pytest

from retaia_core.domain.actors import ActorKind
from retaia_core.domain.lifecycle import (
    TRANSITIONS,
    Action,
    Condition,
    Standing,
    State,
    Verdict,
    allowed_actions,
    transition,
)
from retaia_core.errors import ForbiddenActor, Purged, StateConflict

TABLE = """
DISCOVERED                  | READY                        | SYSTEM | STABILISE
READY                       | PROCESSING_REVIEW            | AGENT  | CLAIM
PROCESSING_REVIEW           | PROCESSED                    | SYSTEM | COMPLETE
PROCESSING_REVIEW           | READY                        | SYSTEM | RELEASE
READY?unprocessable         | DECISION_PENDING             | PERSON | WAIVE
READY?unprocessable         | READY                        | PERSON | RETRY
PROCESSED                   | DECISION_PENDING             | SYSTEM | OFFER
PROCESSED                   | READY                        | PERSON | REPROCESS
DECISION_PENDING            | DECIDED_KEEP                 | PERSON | KEEP
DECISION_PENDING            | DECIDED_REJECT               | PERSON | REJECT
DECIDED_KEEP                | DECIDED_REJECT               | PERSON | REJECT
DECIDED_KEEP                | DECISION_PENDING             | PERSON | CLEAR
DECIDED_REJECT              | DECIDED_KEEP                 | PERSON | KEEP
DECIDED_REJECT              | DECISION_PENDING             | PERSON | CLEAR
DECIDED_KEEP                | MOVE_QUEUED                  | PERSON | QUEUE_MOVE
DECIDED_REJECT              | MOVE_QUEUED                  | PERSON | QUEUE_MOVE
MOVE_QUEUED?keep            | ARCHIVED                     | SYSTEM | CONFIRM_MOVE
MOVE_QUEUED?reject          | REJECTED                     | SYSTEM | CONFIRM_MOVE
MOVE_QUEUED?keep            | DECIDED_KEEP                 | SYSTEM | ABANDON_MOVE
MOVE_QUEUED?reject          | DECIDED_REJECT               | SYSTEM | ABANDON_MOVE
ARCHIVED                    | DECISION_PENDING             | PERSON | REOPEN
REJECTED                    | DECISION_PENDING             | PERSON | REOPEN
ARCHIVED                    | READY                        | PERSON | REPROCESS
REJECTED                    | READY                        | PERSON | REPROCESS
ARCHIVED                    | MOVE_QUEUED                  | PERSON | QUEUE_UNDO
REJECTED                    | MOVE_QUEUED                  | PERSON | QUEUE_UNDO
REJECTED                    | PURGED                       | PERSON | PURGE
REJECTED?policy             | PURGED                       | SYSTEM | PURGE
"""
"""The table of domain.md, *State machine*, written down a second time; RETRY is the new try that a
person may ask for under *Processing profiles*."""

CONDITIONS = {
    "": Condition.ALWAYS,
    "unprocessable": Condition.UNPROCESSABLE,
    "keep": Condition.VERDICT_KEEP,
    "reject": Condition.VERDICT_REJECT,
    "policy": Condition.PURGE_POLICY,
}

Row = tuple[State, Condition, State, ActorKind, Action]


def _rows() -> list[Row]:
    rows = []
    for line in TABLE.strip().splitlines():
        source, target, actor, action = (cell.strip() for cell in line.split("|"))
        state, _, condition = source.partition("?")
        rows.append(
            (State(state), CONDITIONS[condition], State(target), ActorKind(actor), Action(action))
        )
    return rows


ROWS = _rows()

PRODUCT = [
    Standing(state=state, verdict=verdict, unprocessable=unprocessable, purge_policy=policy)
    for state, verdict, unprocessable, policy in itertools.product(
        State, (None, *Verdict), (False, True), (False, True)
    )
]


def _applies(condition: Condition, standing: Standing) -> bool:
    return (
        condition is Condition.ALWAYS
        or (condition is Condition.UNPROCESSABLE and standing.unprocessable)
        or (condition is Condition.VERDICT_KEEP and standing.verdict is Verdict.KEEP)
        or (condition is Condition.VERDICT_REJECT and standing.verdict is Verdict.REJECT)
        or (condition is Condition.PURGE_POLICY and standing.purge_policy)
    )


def _expected(standing: Standing, actor: ActorKind) -> dict[Action, State]:
    """What the table above opens."""
    return {
        action: target
        for source, condition, target, who, action in ROWS
        if source is standing.state and who is actor and _applies(condition, standing)
    }


class TestTheTable:
    """domain.md: *One table in code is the only place where this stands*."""

    def test_it_has_exactly_the_rows_of_the_document(self) -> None:
        """No row is missing, none is there that the document does not have, and none stands twice."""
        rows = [(r.source, r.condition, r.target, r.actor, r.action) for r in TRANSITIONS]
        assert sorted(rows) == sorted(ROWS)
        assert len(set(rows)) == len(rows)

    def test_every_row_says_when(self) -> None:
        """The reason of every row is a text for people."""
        assert all(rule.when.strip() for rule in TRANSITIONS)

    def test_no_two_rows_lead_apart(self) -> None:
        """In one standing, one actor's action has one outcome."""
        for standing, actor in itertools.product(PRODUCT, ActorKind):
            open_rows = [
                (r.action, r.target)
                for r in TRANSITIONS
                if r.source is standing.state
                and r.actor is actor
                and _applies(r.condition, standing)
            ]
            assert len({action for action, _ in open_rows}) == len(open_rows)


class TestTheFullProduct:
    """domain.md, *Principles* 7: *Anything not listed as allowed is refused*."""

    @pytest.mark.parametrize("state", State)
    def test_every_combination(self, state: State) -> None:
        """Each standing, action and actor gives the table's target, or the right refusal."""
        standings = [standing for standing in PRODUCT if standing.state is state]
        for standing, action, actor in itertools.product(standings, Action, ActorKind):
            expected = _expected(standing, actor)
            if action in expected:
                assert transition(standing, action, actor) is expected[action]
            else:
                self._refused(standing, action, actor, expected)

    def _refused(
        self,
        standing: Standing,
        action: Action,
        actor: ActorKind,
        expected: dict[Action, State],
    ) -> None:
        before = (standing.state, standing.verdict, standing.unprocessable, standing.purge_policy)
        with pytest.raises((StateConflict, ForbiddenActor, Purged)) as caught:
            transition(standing, action, actor)
        others = {
            who for source, _, _, who, act in ROWS if (source, act) == (standing.state, action)
        }
        if standing.state is State.PURGED:
            assert isinstance(caught.value, Purged)
        elif others and actor not in others:
            assert isinstance(caught.value, ForbiddenActor)
        else:
            assert isinstance(caught.value, StateConflict)
        assert caught.value.details["state"] == standing.state
        if not isinstance(caught.value, Purged):
            allowed = caught.value.details["allowed"]
            assert isinstance(allowed, list)
            assert set(allowed) == {each.value for each in expected}
        after = (standing.state, standing.verdict, standing.unprocessable, standing.purge_policy)
        assert after == before

    def test_what_is_said_to_be_open_is_open(self) -> None:
        """`allowed_actions` lists exactly what `transition` lets through, each once."""
        for standing, actor in itertools.product(PRODUCT, ActorKind):
            listed = allowed_actions(standing, actor)
            assert len(set(listed)) == len(listed)
            assert set(listed) == set(_expected(standing, actor))


class TestOnlyPersonsDecide:
    """domain.md, *Principles* 1: *KEEP / REJECT is decided by a person*."""

    def test_no_other_actor_decides_or_takes_back(self) -> None:
        """Decisions, waivers, moves, undoing, reopening and reprocessing are a person's alone."""
        acts = {
            Action.KEEP,
            Action.REJECT,
            Action.CLEAR,
            Action.WAIVE,
            Action.RETRY,
            Action.QUEUE_MOVE,
            Action.QUEUE_UNDO,
            Action.REOPEN,
            Action.REPROCESS,
        }
        for standing, actor in itertools.product(PRODUCT, ActorKind):
            if actor is not ActorKind.PERSON:
                assert not acts & set(allowed_actions(standing, actor))

    def test_a_decided_state_is_entered_by_a_person_or_back_from_a_move(self) -> None:
        """The system reaches a decided state only by giving a move up, to the verdict that stands."""
        for rule in TRANSITIONS:
            if rule.target in (State.DECIDED_KEEP, State.DECIDED_REJECT):
                abandoned = rule.action is Action.ABANDON_MOVE
                assert rule.actor is ActorKind.PERSON or abandoned

    def test_an_agent_only_claims(self) -> None:
        """Agents compute: the one step of theirs is the first claim."""
        assert {rule.action for rule in TRANSITIONS if rule.actor is ActorKind.AGENT} == {
            Action.CLAIM
        }

    def test_an_orchestrator_does_nothing_to_states(self) -> None:
        """No row is open to an orchestration client."""
        assert not [rule for rule in TRANSITIONS if rule.actor is ActorKind.MCP]


class TestPurgedIsTerminal:
    """domain.md: *`REJECTED` → `PURGED`: purge; terminal*, and *`PURGED` (410) to writes*."""

    def test_nothing_leaves_it(self) -> None:
        """No row begins there, and nothing is open there to anybody."""
        assert not [rule for rule in TRANSITIONS if rule.source is State.PURGED]
        for standing, actor in itertools.product(PRODUCT, ActorKind):
            if standing.state is State.PURGED:
                assert allowed_actions(standing, actor) == ()

    def test_only_rejected_is_purged(self) -> None:
        """Deletion happens only to REJECTED assets, and by the system only under the policy."""
        purges = [rule for rule in TRANSITIONS if rule.target is State.PURGED]
        assert {rule.source for rule in purges} == {State.REJECTED}
        by_system = [rule for rule in purges if rule.actor is ActorKind.SYSTEM]
        assert [rule.condition for rule in by_system] == [Condition.PURGE_POLICY]

    def test_it_is_the_only_end(self) -> None:
        """Every other state can be left, and every state can be reached from discovery."""
        assert {rule.source for rule in TRANSITIONS} == set(State) - {State.PURGED}
        reached = {State.DISCOVERED}
        while grown := {r.target for r in TRANSITIONS if r.source in reached} - reached:
            reached |= grown
        assert reached == set(State)


class TestAMovingAssetIsLeftAlone:
    """domain.md: *`MOVE_QUEUED` cannot be claimed, decided, reopened, reprocessed or purged*."""

    def test_nothing_is_open_but_the_end_of_the_move(self) -> None:
        """Only the system acts on it, by confirming or giving up, and only with a verdict."""
        for standing, actor in itertools.product(PRODUCT, ActorKind):
            if standing.state is State.MOVE_QUEUED:
                ends = {Action.CONFIRM_MOVE, Action.ABANDON_MOVE}
                expected = ends if actor is ActorKind.SYSTEM and standing.verdict else set()
                assert set(allowed_actions(standing, actor)) == expected
