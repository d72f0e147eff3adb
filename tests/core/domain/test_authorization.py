"""The table of who may call what (protocol.md, *Actors and scopes*)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.actors import ActorKind
from retaia_core.domain.authorization import (
    ACCESS,
    ALL_FOR_MCP,
    Access,
    Caller,
    authorise,
    features_of,
)
from retaia_core.domain.lifecycle import Action, State
from retaia_core.domain.sessions import SCOPES, Scope
from retaia_core.errors import ForbiddenActor, ForbiddenScope, RetaiaError, Unauthorized

ROWS = st.sampled_from(sorted(ACCESS))
CALLERS = st.sampled_from(Caller)
GIVEN = st.frozensets(st.sampled_from(Scope))
KINDS = {
    Caller.PERSON: ActorKind.PERSON,
    Caller.ADMIN: ActorKind.PERSON,
    Caller.AGENT: ActorKind.AGENT,
    Caller.MCP: ActorKind.MCP,
}


def _outcome(access: Access, caller: Caller, scopes: frozenset[Scope]) -> str:
    try:
        authorise(access, caller, scopes)
    except RetaiaError as error:
        return error.code
    return "allowed"


class TestTheTable:
    """Deny by default; people decide, agents work, orchestration clients read."""

    def test_whoever_may_call_can_have_the_scope(self) -> None:
        """No row asks a caller for a scope that its kind is never given."""
        for name, access in ACCESS.items():
            if access.scope is not None:
                for caller in access.callers:
                    assert access.scope in SCOPES[KINDS[caller]], (name, caller)

    def test_only_people_change_the_lifecycle(self) -> None:
        """A decision, a reopening, a move or a purge is open to people alone."""
        for name, access in ACCESS.items():
            if access.actions:
                assert access.callers <= {Caller.PERSON, Caller.ADMIN}, name

    def test_orchestration_clients_only_read(self) -> None:
        """Nothing that such a client may call changes an asset."""
        for name, access in ACCESS.items():
            if Caller.MCP in access.callers and Caller.ANONYMOUS not in access.callers:
                assert not access.writes, name
                assert access.scope in (None, Scope.ASSETS_READ), name

    def test_states_come_from_the_lifecycle(self) -> None:
        """A decision is open exactly where the lifecycle opens one for a person."""
        assert ACCESS["decideAsset"].states == {
            State.DECISION_PENDING,
            State.DECIDED_KEEP,
            State.DECIDED_REJECT,
        }
        assert ACCESS["reopenAsset"].actions == (Action.REOPEN,)
        assert ACCESS["annotateAsset"].states == frozenset(State) - {State.PURGED}
        assert ACCESS["listAssets"].states is None


class TestAuthorise:
    """Every refusal says whether the kind of actor or its scope is wrong."""

    @given(row=ROWS, caller=CALLERS, scopes=GIVEN)
    def test_a_cell_is_open_only_as_its_row_says(
        self, row: str, caller: Caller, scopes: frozenset[Scope]
    ) -> None:
        """Whoever is let through is in the row and has its scope, and nobody else is refused."""
        access = ACCESS[row]
        named = caller in access.callers
        scoped = caller is Caller.ANONYMOUS or access.scope is None or access.scope in scopes
        assert (_outcome(access, caller, scopes) == "allowed") is (named and scoped)

    @given(row=ROWS, caller=CALLERS, scopes=GIVEN, more=GIVEN)
    def test_another_scope_never_closes(
        self, row: str, caller: Caller, scopes: frozenset[Scope], more: frozenset[Scope]
    ) -> None:
        """Who is let through with some scopes is let through with more."""
        if _outcome(ACCESS[row], caller, scopes) == "allowed":
            assert _outcome(ACCESS[row], caller, scopes | more) == "allowed"

    def test_refusals(self) -> None:
        """Nobody, the wrong kind, the right kind without a scope, and a person who is no administrator."""
        decide = ACCESS["decideAsset"]
        with pytest.raises(Unauthorized):
            authorise(decide, Caller.ANONYMOUS, frozenset())
        with pytest.raises(ForbiddenActor, match="not mcp"):
            authorise(decide, Caller.MCP, SCOPES[ActorKind.MCP])
        with pytest.raises(ForbiddenScope, match="decisions:write"):
            authorise(decide, Caller.PERSON, frozenset({Scope.ASSETS_READ}))
        admins = Access(callers=frozenset({Caller.ADMIN}))
        with pytest.raises(ForbiddenScope, match="administrators"):
            authorise(admins, Caller.PERSON, SCOPES[ActorKind.PERSON])
        with pytest.raises(ForbiddenActor):
            authorise(admins, Caller.AGENT, SCOPES[ActorKind.AGENT])

    def test_an_orchestration_client_needs_its_feature_everywhere(self) -> None:
        """A row's own feature comes on top."""
        row = Access(callers=frozenset(Caller), feature="features.decisions.bulk")
        assert features_of(row, Caller.MCP) == (ALL_FOR_MCP, "features.decisions.bulk")
        assert features_of(row, Caller.PERSON) == ("features.decisions.bulk",)
        assert features_of(Access(callers=frozenset(Caller)), Caller.AGENT) == ()
