"""The state machine of an asset: one table, and the functions that read it (domain.md, *State machine*).

The table executes transitions, explains refusals, tells an interface what is open for an asset and an
actor, and draws the diagram in the docs. Nothing else in the code knows a transition.
"""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen

from ..errors import ForbiddenActor, Purged, StateConflict
from .actors import ActorKind


class State(StrEnum):
    """The states of an asset."""

    DISCOVERED = "DISCOVERED"
    READY = "READY"
    PROCESSING_REVIEW = "PROCESSING_REVIEW"
    PROCESSED = "PROCESSED"
    DECISION_PENDING = "DECISION_PENDING"
    DECIDED_KEEP = "DECIDED_KEEP"
    DECIDED_REJECT = "DECIDED_REJECT"
    MOVE_QUEUED = "MOVE_QUEUED"
    ARCHIVED = "ARCHIVED"
    REJECTED = "REJECTED"
    PURGED = "PURGED"


class Verdict(StrEnum):
    """What a person decided."""

    KEEP = "KEEP"
    REJECT = "REJECT"


class Action(StrEnum):
    """What can be done to an asset's state."""

    STABILISE = "STABILISE"
    CLAIM = "CLAIM"
    COMPLETE = "COMPLETE"
    RELEASE = "RELEASE"
    RETRY = "RETRY"
    WAIVE = "WAIVE"
    OFFER = "OFFER"
    REPROCESS = "REPROCESS"
    KEEP = "KEEP"
    REJECT = "REJECT"
    CLEAR = "CLEAR"
    QUEUE_MOVE = "QUEUE_MOVE"
    CONFIRM_MOVE = "CONFIRM_MOVE"
    ABANDON_MOVE = "ABANDON_MOVE"
    QUEUE_UNDO = "QUEUE_UNDO"
    REOPEN = "REOPEN"
    PURGE = "PURGE"


class Condition(StrEnum):
    """What must hold beside the state for a row to apply."""

    ALWAYS = "always"
    UNPROCESSABLE = "flagged unprocessable"
    VERDICT_KEEP = "the verdict is KEEP"
    VERDICT_REJECT = "the verdict is REJECT"
    PURGE_POLICY = "the automatic purge policy is on"


@frozen(kw_only=True)
class Standing:
    """What the state machine looks at: the state, the present verdict, and two switches."""

    state: State
    verdict: Verdict | None = None
    unprocessable: bool = False
    purge_policy: bool = False


@frozen(kw_only=True)
class Rule:
    """One row of the table."""

    source: State
    action: Action
    actor: ActorKind
    target: State
    when: str
    condition: Condition = Condition.ALWAYS


def _rows(
    sources: tuple[State, ...],
    action: Action,
    actor: ActorKind,
    target: State,
    when: str,
    condition: Condition = Condition.ALWAYS,
) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            source=source,
            action=action,
            actor=actor,
            target=target,
            when=when,
            condition=condition,
        )
        for source in sources
    )


_S, _A, _K, _C = State, Action, ActorKind, Condition
_DECIDED = (_S.DECIDED_KEEP, _S.DECIDED_REJECT)
_SETTLED = (_S.ARCHIVED, _S.REJECTED)
_QUEUED = (_S.MOVE_QUEUED,)

TRANSITIONS: tuple[Rule, ...] = (
    *_rows((_S.DISCOVERED,), _A.STABILISE, _K.SYSTEM, _S.READY, "the file is stable"),
    *_rows((_S.READY,), _A.CLAIM, _K.AGENT, _S.PROCESSING_REVIEW, "first claim of a review job"),
    *_rows(
        (_S.PROCESSING_REVIEW,),
        _A.COMPLETE,
        _K.SYSTEM,
        _S.PROCESSED,
        "every job that the profile requires is completed",
    ),
    *_rows(
        (_S.PROCESSING_REVIEW,),
        _A.RELEASE,
        _K.SYSTEM,
        _S.READY,
        "the work was lost or failed and no job of the asset is held",
    ),
    *_rows(
        (_S.READY,),
        _A.RETRY,
        _K.PERSON,
        _S.READY,
        "required work failed for good; a new try is asked for",
        _C.UNPROCESSABLE,
    ),
    *_rows(
        (_S.READY,),
        _A.WAIVE,
        _K.PERSON,
        _S.DECISION_PENDING,
        "required work failed for good; the person wants to decide all the same",
        _C.UNPROCESSABLE,
    ),
    *_rows(
        (_S.PROCESSED,), _A.OFFER, _K.SYSTEM, _S.DECISION_PENDING, "after the post-processing hooks"
    ),
    *_rows((_S.PROCESSED, *_SETTLED), _A.REPROCESS, _K.PERSON, _S.READY, "reprocess"),
    *_rows(
        (_S.DECISION_PENDING, _S.DECIDED_REJECT),
        _A.KEEP,
        _K.PERSON,
        _S.DECIDED_KEEP,
        "decision, or change of mind",
    ),
    *_rows(
        (_S.DECISION_PENDING, _S.DECIDED_KEEP),
        _A.REJECT,
        _K.PERSON,
        _S.DECIDED_REJECT,
        "decision, or change of mind",
    ),
    *_rows(_DECIDED, _A.CLEAR, _K.PERSON, _S.DECISION_PENDING, "the decision is taken back"),
    *_rows(_DECIDED, _A.QUEUE_MOVE, _K.PERSON, _S.MOVE_QUEUED, "batch execute"),
    *_rows(
        _QUEUED,
        _A.CONFIRM_MOVE,
        _K.SYSTEM,
        _S.ARCHIVED,
        "the files were verified in the archive",
        _C.VERDICT_KEEP,
    ),
    *_rows(
        _QUEUED,
        _A.CONFIRM_MOVE,
        _K.SYSTEM,
        _S.REJECTED,
        "the files were verified among the rejects",
        _C.VERDICT_REJECT,
    ),
    *_rows(
        _QUEUED,
        _A.ABANDON_MOVE,
        _K.SYSTEM,
        _S.DECIDED_KEEP,
        "the files were verified where they were before the batch",
        _C.VERDICT_KEEP,
    ),
    *_rows(
        _QUEUED,
        _A.ABANDON_MOVE,
        _K.SYSTEM,
        _S.DECIDED_REJECT,
        "the files were verified where they were before the batch",
        _C.VERDICT_REJECT,
    ),
    *_rows(_SETTLED, _A.QUEUE_UNDO, _K.PERSON, _S.MOVE_QUEUED, "undo of a batch"),
    *_rows(_SETTLED, _A.REOPEN, _K.PERSON, _S.DECISION_PENDING, "reopen; no move happens"),
    *_rows((_S.REJECTED,), _A.PURGE, _K.PERSON, _S.PURGED, "confirmed purge; terminal"),
    *_rows(
        (_S.REJECTED,),
        _A.PURGE,
        _K.SYSTEM,
        _S.PURGED,
        "automatic purge; terminal",
        _C.PURGE_POLICY,
    ),
)
"""The whole state machine. Anything that is not a row is refused."""


_RULES: dict[tuple[State, Action], list[Rule]] = {}
for _rule in TRANSITIONS:
    _RULES.setdefault((_rule.source, _rule.action), []).append(_rule)


def _holds(condition: Condition, standing: Standing) -> bool:
    return {
        Condition.ALWAYS: True,
        Condition.UNPROCESSABLE: standing.unprocessable,
        Condition.VERDICT_KEEP: standing.verdict is Verdict.KEEP,
        Condition.VERDICT_REJECT: standing.verdict is Verdict.REJECT,
        Condition.PURGE_POLICY: standing.purge_policy,
    }[condition]


def allowed_actions(standing: Standing, actor: ActorKind) -> tuple[Action, ...]:
    """List what an actor of this kind may do now, in the table's order.

    >>> [a.value for a in allowed_actions(Standing(state=State.DECIDED_KEEP), ActorKind.PERSON)]
    ['REJECT', 'CLEAR', 'QUEUE_MOVE']
    """
    open_rules = (
        rule.action
        for rule in TRANSITIONS
        if rule.source is standing.state
        and rule.actor is actor
        and _holds(rule.condition, standing)
    )
    return tuple(dict.fromkeys(open_rules))


def transition(standing: Standing, action: Action, actor: ActorKind) -> State:
    """Return the state after an action, or refuse it.

    >>> transition(Standing(state=State.DECISION_PENDING), Action.KEEP, ActorKind.PERSON)
    <State.DECIDED_KEEP: 'DECIDED_KEEP'>

    Raises:
        Purged: the asset is ``PURGED``.
        ForbiddenActor: another kind of actor may do this in this state.
        StateConflict: nobody may do this in this state; ``details`` has ``state`` and ``allowed``.
    """
    if standing.state is State.PURGED:
        raise Purged("the asset was purged; only its audit record is left", state=standing.state)
    rules = _RULES.get((standing.state, action), [])
    for rule in rules:
        if rule.actor is actor and _holds(rule.condition, standing):
            return rule.target
    allowed = [open_action.value for open_action in allowed_actions(standing, actor)]
    if rules and all(rule.actor is not actor for rule in rules):
        raise ForbiddenActor(
            f"{action} is for a {rules[0].actor.lower()}, not for a {actor.lower()}",
            state=standing.state,
            allowed=allowed,
        )
    mine = [rule for rule in rules if rule.actor is actor]
    missing = f" unless {mine[0].condition}" if mine else ""
    raise StateConflict(
        f"{action} is not open in state {standing.state}{missing}; "
        f"open now: {', '.join(allowed) or 'nothing'}",
        state=standing.state,
        allowed=allowed,
    )
