"""Who may call what: one table, deny by default (protocol.md, *Actors and scopes*).

Each operation of the API has a row, by the name that the OpenAPI document gives it; an operation without
one cannot be served. The server enforces the rows, the documentation prints them, and a test walks every
cell of them against a running server.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import frozen

from ..errors import ForbiddenActor, ForbiddenScope, Unauthorized
from .actors import ActorKind
from .features import AI, BULK_DECISIONS, SUGGEST_TAGS
from .lifecycle import TRANSITIONS, Action, State
from .sessions import Scope


class Caller(StrEnum):
    """The kinds of caller that the table tells apart."""

    ANONYMOUS = "ANONYMOUS"
    PERSON = "PERSON"
    ADMIN = "ADMIN"
    AGENT = "AGENT"
    MCP = "MCP"

    @property
    def is_person(self) -> bool:
        """Whether a person calls."""
        return self in (Caller.PERSON, Caller.ADMIN)


ALL_FOR_MCP = AI
"""Orchestration clients are refused everywhere while this feature is off."""


@frozen(kw_only=True)
class Access:
    """One row: who may call an operation, with which scope, and what must be switched on.

    ``actions`` are the changes of the lifecycle that the operation makes: it succeeds only in the states
    that the lifecycle's own table opens for one of them. ``writes`` says that it changes an asset
    otherwise, which a purged one refuses.
    """

    callers: frozenset[Caller]
    scope: Scope | None = None
    feature: str | None = None
    actions: tuple[Action, ...] = ()
    writes: bool = False

    @property
    def states(self) -> frozenset[State] | None:
        """The states of its asset in which it can succeed; None where the state does not matter."""
        if self.actions:
            return frozenset(
                rule.source
                for rule in TRANSITIONS
                if rule.action in self.actions and rule.actor is ActorKind.PERSON
            )
        return frozenset(State) - {State.PURGED} if self.writes else None


_PEOPLE = frozenset({Caller.PERSON, Caller.ADMIN})
_ADMINS = frozenset({Caller.ADMIN})
_AGENTS = frozenset({Caller.AGENT})
_MEMBERS = frozenset(Caller) - {Caller.ANONYMOUS}
_ANYONE = frozenset(Caller)

_READ = Access(callers=_MEMBERS, scope=Scope.ASSETS_READ)
_MEMBER = Access(callers=_MEMBERS)
_PERSON = Access(callers=_PEOPLE)
_ADMIN = Access(callers=_ADMINS)
_OPEN = Access(callers=_ANYONE)
_CLAIM = Access(callers=_AGENTS, scope=Scope.JOBS_CLAIM)
_SUBMIT = Access(callers=_AGENTS, scope=Scope.JOBS_SUBMIT)
_UPLOAD = Access(callers=_AGENTS, scope=Scope.JOBS_SUBMIT, writes=True)
_MOVE = Access(callers=_PEOPLE, scope=Scope.BATCHES_EXECUTE)
_BULK = Access(callers=_PEOPLE, scope=Scope.DECISIONS_WRITE, feature=BULK_DECISIONS)


def _asset(scope: Scope, *actions: Action, feature: str | None = None) -> Access:
    """A change that people make to an asset."""
    return Access(
        callers=_PEOPLE, scope=scope, actions=actions, writes=not actions, feature=feature
    )


PLUGIN_ROUTES = _MEMBER
"""The row of every route that a plugin brings; it learns who calls, and may ask for more."""

ACCESS: Mapping[str, Access] = {
    # The server itself
    "getAppPolicy": _MEMBER,
    "listenEvents": _READ,
    "getStatus": _ADMIN,
    "getReadiness": _ADMIN,
    "countJobs": _ADMIN,
    "listAgents": _ADMIN,
    "listLocks": _ADMIN,
    "listUnmatchedSidecars": _ADMIN,
    "listSidecarCandidates": _ADMIN,
    "listStorages": _ADMIN,
    "listSettings": _ADMIN,
    "listParked": _ADMIN,
    # People
    "logIn": _OPEN,
    "refreshToken": _OPEN,
    "followLink": _OPEN,
    "requestPasswordReset": _OPEN,
    "resetPassword": _OPEN,
    "requestVerification": _OPEN,
    "confirmEmail": _OPEN,
    "logOut": _PERSON,
    "getMe": _PERSON,
    "changePassword": _PERSON,
    "setUpSecondFactor": _PERSON,
    "enableSecondFactor": _PERSON,
    "disableSecondFactor": _PERSON,
    "regenerateRecoveryCodes": _PERSON,
    "vouchForEmail": _ADMIN,
    "listAccounts": _ADMIN,
    "addAccount": _ADMIN,
    "disableAccount": _ADMIN,
    "enableAccount": _ADMIN,
    "unlockAccount": _ADMIN,
    "sendPasswordReset": _ADMIN,
    # Technical clients
    "startDevice": _OPEN,
    "pollDevice": _OPEN,
    "cancelDevice": _OPEN,
    "mintClientToken": _OPEN,
    "lookUpDevice": _PERSON,
    "approveDevice": _PERSON,
    "denyDevice": _PERSON,
    "listClients": _ADMIN,
    "addClient": _ADMIN,
    "revokeClientToken": _ADMIN,
    "rotateClientSecret": _ADMIN,
    # Assets
    "listAssets": _READ,
    "getAsset": _READ,
    "getAssetFacts": _READ,
    "explainAsset": _READ,
    "getAssetFixity": _READ,
    "getAssetSidecars": _READ,
    "attachSidecar": _asset(Scope.ASSETS_WRITE),
    "detachSidecar": _asset(Scope.ASSETS_WRITE),
    "listAssetHistory": _READ,
    "listAssetJobs": _READ,
    "listMarks": _READ,
    "listDerived": _READ,
    "readDerived": _READ,
    "getAnnotations": _READ,
    "getTranscript": _READ,
    "listTags": _READ,
    "listFields": _MEMBER,
    "annotateAsset": _asset(Scope.ASSETS_WRITE),
    "editAnnotations": _asset(Scope.ASSETS_WRITE),
    "settleSuggestion": _asset(Scope.ASSETS_WRITE, feature=SUGGEST_TAGS),
    "reprocessAsset": _asset(Scope.ASSETS_WRITE, Action.REPROCESS),
    "retryAsset": _asset(Scope.ASSETS_WRITE, Action.RETRY),
    "waiveAsset": _asset(Scope.DECISIONS_WRITE, Action.WAIVE),
    "decideAsset": _asset(Scope.DECISIONS_WRITE, Action.KEEP, Action.REJECT, Action.CLEAR),
    "reopenAsset": _asset(Scope.DECISIONS_WRITE, Action.REOPEN),
    # Moves
    "previewMoves": _MOVE,
    "moveBatch": _MOVE,
    "listMoveBatches": _MOVE,
    "getMoveBatch": _MOVE,
    "listBatchHistory": _MOVE,
    "previewUndo": _MOVE,
    "undoMoveBatch": _MOVE,
    "getParked": _MOVE,
    "settleParked": _MOVE,
    "previewDecisions": _BULK,
    "applyDecisions": _BULK,
    # Features
    "getAppFeatures": _ADMIN,
    "switchAppFeatures": _ADMIN,
    "getMyFeatures": _PERSON,
    "switchMyFeatures": _PERSON,
    "explainMyFeatures": _PERSON,
    # Purges
    "previewPurge": Access(callers=_PEOPLE, scope=Scope.PURGE_EXECUTE),
    "purgeAsset": _asset(Scope.PURGE_EXECUTE, Action.PURGE),
    "getCopyProof": Access(callers=_PEOPLE, scope=Scope.PURGE_EXECUTE),
    "proveCopies": _asset(Scope.PURGE_EXECUTE, Action.PURGE),
    "waiveCopyProof": _asset(Scope.PURGE_EXECUTE, Action.PURGE),
    "getPurgeCertificate": Access(callers=_PEOPLE, scope=Scope.ASSETS_READ),
    # Agents and their work
    "registerAgent": _CLAIM,
    "listJobs": _CLAIM,
    "listOfferedJobs": _CLAIM,
    "claimJob": Access(callers=_AGENTS, scope=Scope.JOBS_CLAIM, writes=True),
    "claimBundle": Access(callers=_AGENTS, scope=Scope.JOBS_CLAIM, writes=True),
    "releaseJob": _SUBMIT,
    "heartbeatJob": Access(callers=_AGENTS, scope=Scope.JOBS_HEARTBEAT),
    "submitJob": _SUBMIT,
    "submitJobResult": _SUBMIT,
    "failJob": _SUBMIT,
    "initUpload": _UPLOAD,
    "putUploadPart": _UPLOAD,
    "completeUpload": _UPLOAD,
    "getUpload": _SUBMIT,
}
"""The whole table. What is not in it is refused."""


def features_of(access: Access, caller: Caller) -> tuple[str, ...]:
    """The features that must be on for a caller to use an operation.

    >>> features_of(ACCESS["listAssets"], Caller.MCP)
    ('features.ai',)
    """
    general = (ALL_FOR_MCP,) if caller is Caller.MCP else ()
    return general if access.feature is None else (*general, access.feature)


def authorise(access: Access, caller: Caller, scopes: frozenset[Scope]) -> None:
    """Let a caller through, or refuse.

    >>> authorise(ACCESS["decideAsset"], Caller.PERSON, frozenset({Scope.DECISIONS_WRITE}))

    Raises:
        Unauthorized: nobody is signed in, and somebody must be.
        ForbiddenActor: this kind of actor may never call it.
        ForbiddenScope: the right kind, without the scope, or no administrator where one must be.
    """
    if caller not in access.callers:
        _refuse(access, caller)
    if caller is not Caller.ANONYMOUS and access.scope is not None and access.scope not in scopes:
        raise ForbiddenScope(f"this needs the scope {access.scope}", scope=access.scope)


def _refuse(access: Access, caller: Caller) -> None:
    if caller is Caller.ANONYMOUS:
        raise Unauthorized("this needs a bearer token (Authorization: Bearer …)")
    if caller.is_person and Caller.ADMIN in access.callers:
        raise ForbiddenScope("this is for administrators", role=Caller.ADMIN)
    allowed = " or ".join(sorted(one.lower() for one in access.callers))
    raise ForbiddenActor(f"who calls this must be {allowed}, not {caller.lower()}")
