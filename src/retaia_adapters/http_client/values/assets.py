"""Assets, their derived files and what is known of them, as the wire has them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from attrs import field, frozen

AssetState = Literal[
    "DISCOVERED",
    "READY",
    "PROCESSING_REVIEW",
    "PROCESSED",
    "DECISION_PENDING",
    "DECIDED_KEEP",
    "DECIDED_REJECT",
    "MOVE_QUEUED",
    "ARCHIVED",
    "REJECTED",
    "PURGED",
]
AssetFlag = Literal["missing", "changed", "unprocessable", "parked", "fixity_mismatch"]
MediaType = Literal["VIDEO", "PHOTO", "AUDIO"]
Decision = Literal["KEEP", "REJECT", "CLEAR"]
JobStatus = Literal["pending", "claimed", "completed", "failed"]


@frozen(kw_only=True)
class AssetSummary:
    """One row of a list; ``duration`` in seconds."""

    uuid: str
    media_type: MediaType
    state: AssetState
    created_at: datetime
    name: str | None = None
    updated_at: datetime | None = None
    captured_at: datetime | None = None
    duration: float | None = None
    tags: tuple[str, ...] = ()
    has_proxy: bool | None = None
    thumb_url: str | None = None


@frozen(kw_only=True)
class AssetPaths:
    """Where an asset's files lie, relative to the root of their storage."""

    storage_id: str
    original_relative: str
    sidecars_relative: tuple[str, ...] = ()


@frozen(kw_only=True)
class AssetProcessing:
    """What of the review processing is done."""

    facts_done: bool | None = None
    thumbs_done: bool | None = None
    proxy_done: bool | None = None
    waveform_done: bool | None = None
    processing_profile: str | None = None
    review_processing_version: str | None = None


@frozen(kw_only=True)
class AssetDerived:
    """Where the derived files of an asset are read."""

    proxy_video_url: str | None = None
    proxy_audio_url: str | None = None
    proxy_photo_url: str | None = None
    waveform_url: str | None = None
    thumbs: tuple[str, ...] = ()


@frozen(kw_only=True)
class AssetTranscript:
    """How far the transcript is."""

    status: Literal["NONE", "RUNNING", "DONE", "FAILED"] | None = None
    text_preview: str | None = None
    updated_at: datetime | None = None


@frozen(kw_only=True)
class DecisionRecord:
    """One decision that was taken."""

    action: Decision | None = None
    at: datetime | None = None
    by: str | None = None


@frozen(kw_only=True)
class AssetDecisions:
    """The decision that holds, and those before it."""

    current: Literal["KEEP", "REJECT"] | None = None
    history: tuple[DecisionRecord, ...] = ()


@frozen(kw_only=True)
class AssetAudit:
    """Where the original was before."""

    path_history: tuple[str, ...] = ()


@frozen(kw_only=True)
class AssetDetail:
    """Everything the contract says of one asset."""

    summary: AssetSummary
    paths: AssetPaths | None = None
    processing: AssetProcessing | None = None
    derived: AssetDerived | None = None
    transcript: AssetTranscript | None = None
    decisions: AssetDecisions | None = None
    audit: AssetAudit | None = None


@frozen(kw_only=True)
class Explanation:
    """Why something is as it is, and what can be done next."""

    subject: str
    sentence: str
    by: str
    evidence: Mapping[str, Any]
    next: tuple[str, ...]
    since: datetime | None = None


@frozen(kw_only=True)
class FileFixity:
    """The digest that a file should have (``sha256:…``), when it had it last, and what was found instead."""

    role: str
    path: str
    size_bytes: int
    mtime_ns: int
    taken_at: datetime
    taken_by: str
    checked_at: datetime
    outcome: Literal["taken", "renewed", "match", "mismatch", "unreadable"]
    digest: str | None = None
    verified_at: datetime | None = None
    found: str | None = None
    problem: str | None = None


@frozen(kw_only=True)
class AssetFixity:
    """The digests of an asset's files; ``unknown`` are the paths of those that have none yet."""

    asset_uuid: str
    files: tuple[FileFixity, ...]
    unknown: tuple[str, ...]


@frozen(kw_only=True)
class HistoryLine:
    """One thing that was done, in a sentence; ``what`` is its stable name, such as ``move.done``."""

    source: Literal["event", "journal"]
    at: datetime
    what: str
    sentence: str
    subject_kind: str
    subject_id: str
    by: str | None = None
    batch_id: str | None = None
    storage_id: str | None = None
    from_: str | None = None
    to: str | None = None


@frozen(kw_only=True)
class HistoryPage:
    """A page of a history, oldest first; the next one is asked for with ``next_cursor``."""

    items: tuple[HistoryLine, ...]
    next_cursor: str | None = None


@frozen(kw_only=True)
class JobProgress:
    """How far a job is."""

    current: int
    total: int
    text: str | None = None


@frozen(kw_only=True)
class FailureReport:
    """How a job failed last."""

    code: str
    message: str
    retryable: bool
    at: datetime


@frozen(kw_only=True)
class JobReport:
    """A job of an asset, as people see it."""

    job_id: str
    job_type: str
    status: JobStatus
    required_capabilities: tuple[str, ...]
    required: bool
    review: bool
    attempts: int
    max_attempts: int
    waiting: bool
    warnings: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    not_before: datetime | None = None
    claimed_by: str | None = None
    locked_until: datetime | None = None
    progress: JobProgress | None = None
    failure: FailureReport | None = None


@frozen(kw_only=True)
class AssetPage:
    """A page of a list; the next one is asked for with ``next_cursor``, which the last has not."""

    items: tuple[AssetSummary, ...]
    next_cursor: str | None = None
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class AssetFacts:
    """The technical facts of an asset, and what was odd about the file."""

    facts: Mapping[str, Any]
    warnings: tuple[str, ...]
    flags: tuple[AssetFlag, ...]


@frozen(kw_only=True)
class JobReports:
    """The jobs of an asset."""

    items: tuple[JobReport, ...]


@frozen(kw_only=True)
class DerivedFile:
    """A derived file; ``url`` is a path on the server."""

    kind: str
    index: int
    content_type: str
    sha256: str
    size_bytes: int | None = None
    url: str | None = None
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class DerivedFiles:
    """The derived files of an asset."""

    items: tuple[DerivedFile, ...]
    extra: Mapping[str, Any] = field(factory=dict)


SuggestionStatus = Literal["PENDING", "ACCEPTED", "REFUSED"]
FieldType = Literal["text", "integer", "number", "boolean", "date", "choice"]


@frozen(kw_only=True)
class AnnotatedTag:
    """A tag, and who set it when; ``source`` is the model whose suggestion it was, if any."""

    tag: str
    by: str | None = None
    since: datetime | None = None
    source: str | None = None


@frozen(kw_only=True)
class AnnotatedNotes:
    """The notes, and who wrote them last."""

    text: str
    by: str | None = None
    since: datetime | None = None


@frozen(kw_only=True)
class AnnotatedField:
    """A custom field's value; ``problem`` says what it must be, where it does not fit its declaration."""

    name: str
    value: Any
    by: str | None = None
    since: datetime | None = None
    problem: str | None = None


@frozen(kw_only=True)
class Suggestion:
    """A tag that a model suggests, and what a person said of it."""

    tag: str
    source: str
    status: SuggestionStatus
    since: datetime | None = None
    by: str | None = None


@frozen(kw_only=True)
class Annotations:
    """What people say of an asset."""

    tags: tuple[AnnotatedTag, ...]
    notes: AnnotatedNotes
    fields: tuple[AnnotatedField, ...]
    suggestions: tuple[Suggestion, ...]


@frozen(kw_only=True)
class TranscriptSegment:
    """What is said from one moment to another, in milliseconds."""

    start_ms: int
    end_ms: int
    text: str


@frozen(kw_only=True)
class Transcript:
    """What is said in a recording; ``confidence`` from 0 to 1."""

    status: Literal["NONE", "RUNNING", "DONE", "FAILED"]
    segments: tuple[TranscriptSegment, ...]
    text: str | None = None
    language: str | None = None
    confidence: float | None = None
    updated_at: datetime | None = None


@frozen(kw_only=True)
class TagUse:
    """A tag and its number of assets; ``at_least`` says that there are more than were counted."""

    tag: str
    assets: int
    at_least: bool


@frozen(kw_only=True)
class TagsPage:
    """One page of tags."""

    items: tuple[TagUse, ...]
    next_cursor: str | None = None


@frozen(kw_only=True)
class FieldDefinition:
    """A custom field that the server declares."""

    name: str
    label: str
    type: FieldType
    choices: tuple[str, ...] = ()


@frozen(kw_only=True)
class FieldDefinitions:
    """The custom fields, in the order they are shown."""

    items: tuple[FieldDefinition, ...]


@frozen(kw_only=True)
class AssetMarks:
    """What a list shows beside an asset; ``offline`` says that its storage is away."""

    uuid: str
    flags: tuple[AssetFlag, ...]
    sidecars: int
    offline: bool


@frozen(kw_only=True)
class MarkList:
    """The marks of assets that have some."""

    items: tuple[AssetMarks, ...]


@frozen(kw_only=True)
class AttachedSidecar:
    """A sidecar of an asset; ``rule`` is ``by_person`` where a person said so."""

    path: str
    rule: str
    missing: bool


@frozen(kw_only=True)
class AttachedSidecars:
    """The sidecars of an asset."""

    asset_uuid: str
    sidecars: tuple[AttachedSidecar, ...]
