"""How the server is, as the wire has it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from attrs import field, frozen

from .assets import AssetState, JobStatus


@frozen(kw_only=True)
class JobStatusCount:
    """How many jobs of a type are in a state."""

    job_type: str
    status: JobStatus
    count: int


@frozen(kw_only=True)
class JobsWaiting:
    """Jobs that wait, and what for."""

    job_type: str
    reason: Literal["NO_AGENT_OFFERS_IT", "OTHER_JOBS_OF_ITS_ASSET", "A_FREE_AGENT"]
    missing_capabilities: tuple[str, ...]
    count: int


@frozen(kw_only=True)
class Workload:
    """The jobs in numbers."""

    counts: tuple[JobStatusCount, ...]
    waiting: tuple[JobsWaiting, ...]


@frozen(kw_only=True)
class HeldJobProgress:
    """How far a held job is."""

    current: int
    total: int
    text: str


@frozen(kw_only=True)
class HeldJob:
    """A job that an agent holds."""

    job_id: str
    job_type: str
    subject_kind: str
    subject_id: str
    locked_until: datetime | None = None
    progress: HeldJobProgress | None = None


@frozen(kw_only=True)
class AgentAtWork:
    """An agent and what it does; ``alive`` says whether it was heard of lately."""

    agent_id: str
    name: str
    version: str
    platform: str
    capabilities: tuple[str, ...]
    alive: bool
    last_seen_at: datetime
    jobs: tuple[HeldJob, ...]


@frozen(kw_only=True)
class AgentsPage:
    """A page of agents."""

    items: tuple[AgentAtWork, ...]
    next_cursor: str | None = None


@frozen(kw_only=True)
class HeldLock:
    """A lock that is held; ``fencing`` grows with each holder."""

    subject_kind: str
    subject_id: str
    kind: Literal["job_lease", "asset_move_lock", "asset_purge_lock"]
    holder: str
    fencing: int
    expires_at: datetime


@frozen(kw_only=True)
class LocksPage:
    """A page of held locks."""

    items: tuple[HeldLock, ...]
    next_cursor: str | None = None


@frozen(kw_only=True)
class UnmatchedSidecar:
    """A sidecar whose parent is not known."""

    storage_id: str
    path: str
    rule: str
    reason: str


@frozen(kw_only=True)
class UnmatchedSidecarsPage:
    """A page of unmatched sidecars."""

    items: tuple[UnmatchedSidecar, ...]
    next_cursor: str | None = None


@frozen(kw_only=True)
class StorageHealth:
    """A storage, and whether it can be trusted now."""

    storage_id: str
    role: str
    health: Literal["ONLINE", "OFFLINE"]
    adopted_at: datetime
    adopted_by: str
    scans: int
    health_reason: str | None = None
    health_since: datetime | None = None
    last_scan_at: datetime | None = None


@frozen(kw_only=True)
class ReadinessCheck:
    """One thing that the server looked at."""

    name: Literal["store", "schema", "storages", "agents"]
    ok: bool
    required: bool
    message: str


@frozen(kw_only=True)
class Storages:
    """Every storage."""

    items: tuple[StorageHealth, ...]


@frozen(kw_only=True)
class Status:
    """What is going on in the server."""

    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Readiness:
    """The server can do its work; ``checks`` say what it looked at."""

    ready: Literal[True]
    checks: tuple[ReadinessCheck, ...]


@frozen(kw_only=True)
class Changed:
    """What an event is about: the kind of thing, which one, and what became of it."""

    kind: str
    id: str
    change: str
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Event:
    """Something changed: look again.

    ``name``: ``asset``, ``job``, ``batch``, ``storage`` or ``policy``; ``ready`` after connecting and
    ``reset`` when too much happened, both without ``changed``.
    """

    name: str
    id: str
    changed: Changed | None = None


@frozen(kw_only=True)
class SettingInForce:
    """A setting as the server has it; without ``value`` it is a secret, or a place on its machine."""

    section: str
    key: str
    given: bool
    source: Literal["DEFAULT", "FILE", "ENVIRONMENT", "COMMAND_LINE"]
    value: str | None = None
    name: str | None = None


@frozen(kw_only=True)
class SettingsInForce:
    """Every setting, by section."""

    items: tuple[SettingInForce, ...]


@frozen(kw_only=True)
class SidecarCandidate:
    """An asset in the folder of an unmatched sidecar."""

    asset_uuid: str
    path: str
    state: AssetState


@frozen(kw_only=True)
class SidecarCandidates:
    """Why a sidecar is attached to nothing, and what it may be attached to."""

    reason: str
    items: tuple[SidecarCandidate, ...]
