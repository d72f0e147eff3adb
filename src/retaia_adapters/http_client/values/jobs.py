"""Agents, jobs, leases and uploads, as the wire has them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from attrs import field, frozen

from .assets import AssetPaths, JobStatus, MediaType

DerivedKind = Literal["proxy_video", "proxy_audio", "proxy_photo", "thumb", "waveform"]


@frozen(kw_only=True)
class ServerPolicy:
    """What the server asks of its clients; ``extra`` has what it added to the contract."""

    feature_flags: Mapping[str, bool]
    feature_flags_contract_version: str
    accepted_feature_flags_contract_versions: tuple[str, ...]
    effective_feature_flags_contract_version: str
    feature_flags_compatibility_mode: Literal["STRICT", "COMPAT"]
    min_poll_interval_seconds: int | None = None
    max_parallel_jobs_allowed: int | None = None
    allowed_job_types: tuple[str, ...] = ()
    quiet_hours: Mapping[str, Any] = field(factory=dict)
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class AppPolicyResponse:
    """The server's policy."""

    server_policy: ServerPolicy


@frozen(kw_only=True)
class OfferedJob:
    """A pending job that fits the agent."""

    job_id: str
    job_type: str
    asset_uuid: str
    required_capabilities: tuple[str, ...]


@frozen(kw_only=True)
class Job:
    """A job of the contract; ``lock_token`` is told to its holder only."""

    job_id: str
    job_type: Literal[
        "extract_facts", "generate_proxy", "generate_thumbnails", "generate_audio_waveform"
    ]
    status: JobStatus
    asset_uuid: str
    source: AssetPaths
    required_capabilities: tuple[str, ...]
    claimed_by: str | None = None
    lock_token: str | None = None
    locked_until: datetime | None = None


@frozen(kw_only=True)
class BundleJob:
    """One job of a bundle."""

    job_id: str
    job_type: str
    parameters: Mapping[str, Any]
    derived_inputs: tuple[str, ...]


@frozen(kw_only=True)
class Bundle:
    """The jobs of one asset under one lease; ``mtime_ns`` in nanoseconds since 1970."""

    asset_uuid: str
    media_type: MediaType
    source: AssetPaths
    size_bytes: int
    mtime_ns: int
    lock_token: str
    locked_until: datetime
    facts: Mapping[str, Any]
    jobs: tuple[BundleJob, ...]


@frozen(kw_only=True)
class FactsPatch:
    """The facts that the contract knows."""

    duration_ms: int | None = None
    media_format: str | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None


@frozen(kw_only=True)
class FactsResult:
    """What an extraction of facts found."""

    facts_patch: FactsPatch
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class SubmitExtractFacts:
    """The contract's result of ``extract_facts``."""

    lock_token: str
    job_type: Literal["extract_facts"]
    result: FactsResult


@frozen(kw_only=True)
class ManifestEntry:
    """A derived file that belongs to a result; ``ref`` is what completing its upload answered."""

    kind: str
    ref: str
    size_bytes: int | None = None
    sha256: str | None = None


@frozen(kw_only=True)
class DerivedPatch:
    """The derived files of a result."""

    derived_manifest: tuple[ManifestEntry, ...] = ()


@frozen(kw_only=True)
class DerivedResult:
    """What a job that makes derived files made."""

    derived_patch: DerivedPatch
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class SubmitDerived:
    """The contract's result of a job that makes derived files."""

    lock_token: str
    job_type: Literal["generate_proxy", "generate_thumbnails", "generate_audio_waveform"]
    result: DerivedResult


@frozen(kw_only=True)
class JobResultRequest:
    """A result of any job type, built in or of a plugin."""

    lock_token: str
    job_type: str
    facts_patch: Mapping[str, Any] = field(factory=dict)
    derived_manifest: tuple[ManifestEntry, ...] = ()
    data: Mapping[str, Any] = field(factory=dict)
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class JobOutcome:
    """What became of a job."""

    job_id: str
    status: JobStatus


@frozen(kw_only=True)
class UploadTicket:
    """An upload that was announced; every part but the last has ``max_part_size_bytes``."""

    upload_id: str
    max_part_size_bytes: int
    part_count: int


@frozen(kw_only=True)
class UploadPart:
    """The receipt of a part: its SHA-256 in hexadecimal digits."""

    part_etag: str


@frozen(kw_only=True)
class ArrivedPart:
    """A part that is there already."""

    part_number: int
    size_bytes: int
    part_etag: str


@frozen(kw_only=True)
class UploadState:
    """What arrived of an upload."""

    upload_id: str
    status: Literal["OPEN", "COMPLETE"]
    max_part_size_bytes: int
    part_count: int
    parts: tuple[ArrivedPart, ...]


@frozen(kw_only=True)
class UploadedFile:
    """A derived file that was uploaded whole; ``ref`` is named in the result."""

    upload_id: str
    kind: str
    ref: str
    size_bytes: int
    sha256: str


@frozen(kw_only=True)
class AgentRegistered:
    """The answer to a registration."""

    agent_id: str
    effective_capabilities: tuple[str, ...]
    server_policy: ServerPolicy
    capability_warnings: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class LeaseExtended:
    """Until when the lease holds now."""

    locked_until: datetime
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class OfferedJobs:
    """Pending jobs that fit the agent."""

    items: tuple[OfferedJob, ...]
