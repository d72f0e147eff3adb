"""Features: which are on for whom, and which gate closed one (protocol.md, *Features*).

A feature is on when every gate lets it through: the server's flag, the administrators' switch, the
person's switch, every feature that it depends on, and no feature that takes it along when it is off.
What is ``CORE_V1_GLOBAL`` is always on. Closing a gate therefore never opens a feature.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from attrs import frozen

from ..errors import (
    ForbiddenScope,
    UnsupportedFeatureFlagsContractVersion,
    ValidationFailed,
)

BULK_DECISIONS = "features.decisions.bulk"
AI = "features.ai"
TRANSCRIBE_AUDIO = "features.ai.transcribe_audio"
SUGGEST_TAGS = "features.ai.suggest_tags"


class Tier(StrEnum):
    """Whether a feature can be off at all."""

    CORE_V1_GLOBAL = "CORE_V1_GLOBAL"
    OPTIONAL = "OPTIONAL"


@frozen(kw_only=True)
class Feature:
    """One row of the table; ``disable_escalation`` are the features that go off with this one."""

    key: str
    tier: Tier = Tier.OPTIONAL
    user_can_disable: bool = True
    dependencies: tuple[str, ...] = ()
    disable_escalation: tuple[str, ...] = ()


def _core(name: str) -> Feature:
    return Feature(key=f"features.core.{name}", tier=Tier.CORE_V1_GLOBAL, user_can_disable=False)


FEATURES: tuple[Feature, ...] = (
    _core("auth"),
    _core("assets.lifecycle"),
    _core("jobs.runtime"),
    _core("search.query"),
    _core("policy.runtime"),
    _core("derived.access"),
    _core("clients.bootstrap"),
    Feature(key=BULK_DECISIONS),
    Feature(key=AI, disable_escalation=(TRANSCRIBE_AUDIO, SUGGEST_TAGS)),
    Feature(key=TRANSCRIBE_AUDIO, dependencies=(AI,)),
    Feature(key=SUGGEST_TAGS, dependencies=(AI,)),
)
"""Every feature that the server knows."""

CORE_KEYS = tuple(f.key for f in FEATURES if f.tier is Tier.CORE_V1_GLOBAL)
OPTIONAL_KEYS = tuple(f.key for f in FEATURES if f.tier is Tier.OPTIONAL)

JOBS_OF: Mapping[str, str] = {TRANSCRIBE_AUDIO: "transcribe_audio", SUGGEST_TAGS: "suggest_tags"}
"""Features that are the making of a job type."""


def server_flags(enabled: Iterable[str], job_types: Iterable[str]) -> dict[str, bool]:
    """The server's flags: what its settings enable, and the optional job types that they switch on.

    A feature whose work is switched on brings those along that it depends on.

    >>> flags = server_flags((), {"suggest_tags"})
    >>> sorted(key for key in OPTIONAL_KEYS if flags[key])
    ['features.ai', 'features.ai.suggest_tags']
    """
    types = frozenset(job_types)
    on = {*enabled, *(key for key, job_type in JOBS_OF.items() if job_type in types)}
    on |= {key for f in FEATURES if f.key in on for key in f.dependencies}
    return {f.key: f.tier is Tier.CORE_V1_GLOBAL or f.key in on for f in FEATURES}


class GateKind(StrEnum):
    """What can close a feature."""

    SERVER = "server"
    APP = "app"
    USER = "user"
    DEPENDENCY = "dependency"
    ESCALATION = "escalation"


@frozen(kw_only=True)
class Gate:
    """What closed a feature; ``key`` names the other feature, of a dependency or an escalation."""

    kind: GateKind
    key: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.key}".rstrip()


_REASONS = {
    GateKind.SERVER: "the server's flag is off",
    GateKind.APP: "an administrator switched it off",
    GateKind.USER: "you switched it off for yourself",
    GateKind.DEPENDENCY: "it depends on {key}, which is off",
    GateKind.ESCALATION: "it goes off with {key}, which is off",
}


@frozen(kw_only=True)
class Effect:
    """Whether a feature is on; ``closed_by`` is the gate that closed it, None where it is on."""

    key: str
    closed_by: Gate | None = None

    @property
    def on(self) -> bool:
        """Whether every gate lets it through."""
        return self.closed_by is None

    @property
    def reason(self) -> str:
        """Why it is off, as part of a sentence; empty where it is on."""
        gate = self.closed_by
        return _REASONS[gate.kind].format(key=gate.key) if gate else ""


def _own_gate(
    feature: Feature,
    server: Mapping[str, bool],
    app: Mapping[str, bool],
    user: Mapping[str, bool],
) -> Gate | None:
    if not server.get(feature.key, False):
        return Gate(kind=GateKind.SERVER)
    if not app.get(feature.key, True):
        return Gate(kind=GateKind.APP)
    if feature.user_can_disable and not user.get(feature.key, True):
        return Gate(kind=GateKind.USER)
    return None


def _other_gate(feature: Feature, table: Sequence[Feature], off: frozenset[str]) -> Gate | None:
    """The gate that features which are off close; what nobody knows counts as off."""
    known = {f.key for f in table}
    for key in feature.dependencies:
        if key in off or key not in known:
            return Gate(kind=GateKind.DEPENDENCY, key=key)
    parents = sorted(f.key for f in table if f.key in off and feature.key in f.disable_escalation)
    return Gate(kind=GateKind.ESCALATION, key=parents[0]) if parents else None


def resolve(
    table: Iterable[Feature] = FEATURES,
    *,
    server: Mapping[str, bool],
    app: Mapping[str, bool] | None = None,
    user: Mapping[str, bool] | None = None,
) -> dict[str, Effect]:
    """Say of every feature whether it is on and, if not, which gate closed it first.

    ``server`` are the server's flags (an absent one is off), ``app`` the administrators' switches and
    ``user`` those of one person (an absent one is on). Where several gates are closed, the first in
    the order of protocol.md is named.

    >>> flags = {"features.ai": True, "features.ai.suggest_tags": True}
    >>> str(resolve(server=flags, app={"features.ai": False})["features.ai.suggest_tags"].closed_by)
    'dependency features.ai'
    >>> resolve(server=flags)["features.ai.suggest_tags"].on
    True
    """
    rows = tuple(table)
    optional = [f for f in rows if f.tier is Tier.OPTIONAL]
    gates = {f.key: _own_gate(f, server, app or {}, user or {}) for f in optional}
    while True:
        off = frozenset(key for key, gate in gates.items() if gate)
        closing = {
            f.key: gate
            for f in optional
            if f.key not in off and (gate := _other_gate(f, rows, off)) is not None
        }
        if not closing:
            return {f.key: Effect(key=f.key, closed_by=gates.get(f.key)) for f in rows}
        gates |= closing


# Switching


def _refuse_unknown(table: Sequence[Feature], wanted: Mapping[str, bool]) -> None:
    known = {f.key for f in table}
    unknown = sorted(wanted.keys() - known)
    if unknown:
        raise ValidationFailed(
            f"there is no feature {unknown[0]!r}; known: {', '.join(sorted(known))}",
            fields=dict.fromkeys(unknown, "unknown feature"),
        )


def _refuse_off(keys: Iterable[str], why: str) -> None:
    refused = sorted(keys)
    if refused:
        raise ForbiddenScope(f"{refused[0]} {why}", features=refused)


def switched_app(
    current: Mapping[str, bool],
    wanted: Mapping[str, bool],
    table: Iterable[Feature] = FEATURES,
) -> dict[str, bool]:
    """The administrators' switches after a change; keys that are not named stay as they are.

    >>> switched_app({"features.ai": False}, {"features.decisions.bulk": False})
    {'features.ai': False, 'features.decisions.bulk': False}

    Raises:
        ValidationFailed: a key that nobody knows.
        ForbiddenScope: a core feature would be switched off.
    """
    rows = tuple(table)
    _refuse_unknown(rows, wanted)
    core = {f.key for f in rows if f.tier is Tier.CORE_V1_GLOBAL}
    off = {key for key, on in wanted.items() if not on}
    _refuse_off(off & core, "belongs to the core and cannot be switched off")
    return {key: on for key, on in {**current, **wanted}.items() if key not in core}


def switched_user(
    current: Mapping[str, bool],
    wanted: Mapping[str, bool],
    table: Iterable[Feature] = FEATURES,
) -> dict[str, bool]:
    """One person's switches after a change, as `switched_app`.

    Raises:
        ValidationFailed: a key that nobody knows.
        ForbiddenScope: a core feature, or one that a person cannot switch off for themselves.
    """
    rows = tuple(table)
    after = switched_app(current, wanted, rows)
    fixed = {f.key for f in rows if not f.user_can_disable}
    off = {key for key, on in wanted.items() if not on}
    _refuse_off(off & fixed, "cannot be switched off by one person")
    return after


def require(effects: Mapping[str, Effect], key: str) -> None:
    """Let nobody past a feature that is off.

    Raises:
        ForbiddenScope: it is off; ``details`` has ``feature`` and the ``gate`` that closed it.
    """
    effect = effects[key]
    if not effect.on:
        raise ForbiddenScope(
            f"{key} is off: {effect.reason}", feature=key, gate=str(effect.closed_by)
        )


# The version of the flags' contract

FLAGS_VERSION = "1.0.0"
ACCEPTED_VERSIONS = (FLAGS_VERSION,)


class Compatibility(StrEnum):
    """Whether a client speaks the present version of the contract, or an older one that is accepted."""

    STRICT = "STRICT"
    COMPAT = "COMPAT"


@frozen(kw_only=True)
class Negotiation:
    """The version of the flags' contract that holds for a client."""

    version: str
    accepted: tuple[str, ...]
    effective: str
    mode: Compatibility


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def negotiate(
    asked: str | None,
    *,
    version: str = FLAGS_VERSION,
    accepted: Sequence[str] = ACCEPTED_VERSIONS,
) -> Negotiation:
    """Agree with a client on a version of the flags' contract (SemVer); None asks for the present one.

    The present version is accepted, and so are older ones that are listed; never a newer one.

    >>> negotiate("1.0.0", version="1.2.0", accepted=("1.0.0", "1.2.0")).mode
    <Compatibility.COMPAT: 'COMPAT'>

    Raises:
        UnsupportedFeatureFlagsContractVersion: it is not accepted; ``details`` has what is.
    """
    effective = version if asked is None else asked
    older = {v for v in accepted if _parts(v) < _parts(version)}
    allowed = tuple(sorted({version, *older}, key=_parts))
    if effective not in allowed:
        raise UnsupportedFeatureFlagsContractVersion(
            f"version {effective} of the feature flags' contract is not accepted; "
            f"accepted: {', '.join(allowed)}",
            accepted=list(allowed),
        )
    return Negotiation(
        version=version,
        accepted=allowed,
        effective=effective,
        mode=Compatibility.STRICT if effective == version else Compatibility.COMPAT,
    )
