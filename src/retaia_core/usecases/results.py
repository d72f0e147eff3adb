"""What an agent submits: refused outside its job type's own domain, else merged into the asset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import evolve, field, frozen

from ..domain.agents import AgentRecord
from ..domain.assets import Asset, DerivedRef, Suggestion, Transcript, is_tag
from ..domain.facts import Facts, missing_facts, parse_facts
from ..domain.job_types import JobType
from ..domain.jobs import Job
from ..domain.uploads import Upload, UploadStatus
from ..errors import ValidationFailed
from ..ports.store import Transaction
from .agents import agent_actor


@frozen(kw_only=True)
class DerivedClaim:
    """A derived file that a submit names: the ``ref`` of a completed upload."""

    kind: str
    ref: str
    size_bytes: int | None = None
    sha256: str | None = None


@frozen(kw_only=True)
class Submission:
    """What an agent submits. Only the job type's own domain may be filled."""

    lock_token: str
    job_type: str
    facts: Mapping[str, object] = field(factory=dict)
    derived: tuple[DerivedClaim, ...] = ()
    data: Mapping[str, object] = field(factory=dict)
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, object] = field(factory=dict)


def check_domain(job_type: JobType, job: Job, submission: Submission, asset: Asset | None) -> Facts:
    """Return the facts of a submission, if it stays within its job type (domain.md, *Claims*).

    Raises:
        ValidationFailed: something lies outside the job type's own domain, is malformed or missing.
    """
    problems = _outside_domain(job_type, submission, asset)
    if problems:
        said = "; ".join(f"{name}: {text}" for name, text in problems.items())
        raise ValidationFailed(f"the result is refused: {said}", fields=problems)
    facts = parse_facts(submission.facts)
    if job_type.states_facts and asset is not None and job.review_version == asset.review_version:
        missing = missing_facts(facts, asset.media_type)
        if missing:
            raise ValidationFailed(
                f"facts of a {asset.media_type} must state {', '.join(missing)}",
                fields=dict.fromkeys(missing, "missing"),
            )
    return facts


def _outside_domain(
    job_type: JobType, submission: Submission, asset: Asset | None
) -> dict[str, str]:
    """What of a submission is not its job type's business, or lacks, by field."""
    problems: dict[str, str] = {}
    if submission.job_type != job_type.name:
        problems["job_type"] = f"the job is {job_type.name}"
    if submission.facts and not job_type.states_facts:
        problems["facts_patch"] = f"{job_type.name} states no facts"
    allowed = job_type.outputs_for(asset.media_type if asset else None)
    named = {claim.kind for claim in submission.derived}
    if named - set(allowed):
        problems["derived_manifest"] = f"{job_type.name} makes {', '.join(allowed) or 'none'}"
    lacking = sorted(set(allowed) - named)
    if lacking:
        problems.setdefault("derived_manifest", f"{', '.join(lacking)} is missing")
    if submission.data and not job_type.result_domain:
        problems["data"] = f"{job_type.name} has no result of its own"
    return problems


def upload_id_of(ref: str) -> str:
    """The upload that made a derived file: the last part of its ref, without the suffix."""
    return ref.rpartition("/")[2].partition(".")[0].rpartition("-")[2]


def derived_refs(
    tx: Transaction,
    job: Job,
    submission: Submission,
    asset: Asset | None,
    agent: AgentRecord,
) -> tuple[DerivedRef, ...]:
    """The derived files of a submission, numbered within their kind, as the asset will name them.

    Raises:
        ValidationFailed: one is no completed upload of this agent, kind and asset.
    """
    counts: Counter[str] = Counter()
    refs = []
    for claim in submission.derived:
        upload = _uploaded(tx, claim, asset, agent)
        refs.append(_derived_ref(upload, counts[claim.kind], job, agent))
        counts[claim.kind] += 1
    return tuple(refs)


def _uploaded(
    tx: Transaction, claim: DerivedClaim, asset: Asset | None, agent: AgentRecord
) -> Upload:
    upload = tx.upload(upload_id_of(claim.ref))
    if upload is None or upload.status is not UploadStatus.COMPLETE:
        raise ValidationFailed(
            f"{claim.ref!r} is no completed upload; upload and complete it first",
            fields={"derived_manifest": "unknown ref"},
        )
    mismatch = (
        asset is None
        or upload.asset != asset.uuid
        or upload.kind != claim.kind
        or upload.created_by != str(agent_actor(agent.agent_id))
        or claim.size_bytes not in (None, upload.size_bytes)
        or claim.sha256 not in (None, upload.sha256)
    )
    if mismatch:
        raise ValidationFailed(
            f"{claim.ref!r} was uploaded as something else (asset, kind, size, digest or agent)",
            fields={"derived_manifest": "does not fit its upload"},
        )
    return upload


def _derived_ref(upload: Upload, index: int, job: Job, agent: AgentRecord) -> DerivedRef:
    assert upload.ref is not None
    assert upload.sha256 is not None
    return DerivedRef(
        kind=upload.kind,
        index=index,
        ref=upload.ref,
        content_type=upload.content_type,
        size_bytes=upload.size_bytes,
        sha256=upload.sha256,
        job_id=job.job_id,
        made_by=f"{agent.name}/{agent.version}",
    )


def merged(
    asset: Asset,
    job: Job,
    facts: Facts,
    refs: tuple[DerivedRef, ...],
    warnings: Sequence[str],
    data: Mapping[str, object],
    now: datetime,
) -> Asset:
    """Put one job's result into the asset, each part in its own domain."""
    kinds = {ref.kind for ref in refs}
    after = evolve(
        asset,
        facts={**asset.facts, **facts},
        derived=(*(d for d in asset.derived if d.kind not in kinds), *refs),
        warnings=tuple(dict.fromkeys((*asset.warnings, *warnings))),
        updated_at=now,
    )
    if job.job_type == "transcribe_audio":
        return evolve(after, transcript=_transcript(data, now))
    if job.job_type == "suggest_tags":
        return evolve(after, suggestions=_suggestions(asset, data, now))
    return after


def _transcript(data: Mapping[str, object], now: datetime) -> Transcript:
    """The transcript of a result (domain.md, *Jobs*: text, optional segments, language, confidence).

    Raises:
        ValidationFailed: a part is malformed; ``details["fields"]`` names each.
    """
    text, language = data.get("text"), data.get("language", "")
    confidence, segments = data.get("confidence"), data.get("segments", [])
    rows: list[Any] = segments if isinstance(segments, list) else [None]
    problems = {
        "text": None if isinstance(text, str) else "must be a text",
        "language": None if isinstance(language, str) else "must be a text",
        "confidence": None if _is_share(confidence) else "must be a number from 0 to 1",
        "segments": None if all(map(_is_segment, rows)) else _SEGMENTS,
    }
    _refuse("the transcript", {name: said for name, said in problems.items() if said})
    return Transcript(
        text=str(text),
        language=str(language),
        confidence=float(confidence) if isinstance(confidence, int | float) else None,
        segments=tuple({name: row[name] for name in _SEGMENT} for row in rows),
        updated_at=now,
    )


_SEGMENT = ("start_ms", "end_ms", "text")
_SEGMENTS = (
    "must be a list of {start_ms, end_ms, text}; whole milliseconds, no end before its start"
)


def _is_share(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (number and 0 <= float(str(value)) <= 1)


def _is_segment(row: object) -> bool:
    if not isinstance(row, Mapping) or not isinstance(row.get("text"), str):
        return False
    start, end = row.get("start_ms"), row.get("end_ms")
    return type(start) is int and type(end) is int and 0 <= start <= end < 2**53


def _refuse(what: str, problems: Mapping[str, str]) -> None:
    if problems:
        said = "; ".join(f"{name}: {text}" for name, text in problems.items())
        fields = {f"data.{name}": text for name, text in problems.items()}
        raise ValidationFailed(f"{what} is refused: {said}", fields=fields)


def _suggestions(asset: Asset, data: Mapping[str, object], now: datetime) -> tuple[Suggestion, ...]:
    """Replace pending suggestions; one that a person refused or accepted stays as it is.

    Raises:
        ValidationFailed: a part is malformed; a suggestion that can be no tag could never be accepted.
    """
    tags, source = data.get("tags"), data.get("source")
    given = tags if isinstance(tags, list) else [None]
    bad = [repr(tag) for tag in given if not isinstance(tag, str) or not is_tag(tag)]
    problems = {"source": None if isinstance(source, str) and source else "must be a text"}
    problems["tags"] = f"must be a list of tags, not {', '.join(bad)}" if bad else None
    _refuse("the result", {name: said for name, said in problems.items() if said})
    settled = tuple(s for s in asset.suggestions if s.status != "PENDING")
    known = {s.tag for s in settled}
    fresh = dict.fromkeys(str(tag).strip() for tag in given)
    return (
        *settled,
        *(Suggestion(tag=t, source=str(source), since=now) for t in fresh if t not in known),
    )
