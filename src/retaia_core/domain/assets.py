"""The asset: one recording with its attached sidecars, and everything known and decided about it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from attrs import evolve, field, frozen

from ..errors import ForbiddenActor, ValidationFailed
from .actors import Actor, ActorKind
from .facts import Facts
from .identifiers import AssetId, ProfileName, RelPath, StorageId, Subject, asset_subject, name_of
from .lifecycle import Action, Standing, State, Verdict, transition
from .media import MediaType

MAX_TAGS = 200
MAX_NOTES = 100_000


class Flag(StrEnum):
    """What a scan or the work noticed; none of these is a state."""

    MISSING = "missing"
    CHANGED = "changed"
    UNPROCESSABLE = "unprocessable"
    PARKED = "parked"
    FIXITY_MISMATCH = "fixity_mismatch"


@frozen(kw_only=True)
class AttachedSidecar:
    """A sidecar that moves, is renamed and is purged with its asset; ``rule`` is what attached it.

    ``missing`` is only one that a person attached: its file was not there at the last scan.
    """

    path: RelPath
    rule: str
    size: int
    mtime_ns: int
    missing: bool = False


@frozen(kw_only=True)
class DerivedRef:
    """One published derived file. ``ref`` is the derived storage's own key, relative and opaque."""

    kind: str
    index: int
    ref: str
    content_type: str
    size_bytes: int
    sha256: str
    job_id: str
    made_by: str = ""


@frozen(kw_only=True)
class DecisionRecord:
    """One act of deciding; ``action`` is KEEP, REJECT or CLEAR."""

    action: str
    at: datetime
    by: str


@frozen(kw_only=True)
class PathRecord:
    """A path that the asset had, until when, and what changed it (``move``, ``moved_by_hand``, ``undo``)."""

    path: RelPath
    until: datetime
    cause: str


@frozen(kw_only=True)
class Suggestion:
    """A tag that a model proposes; it is no tag until a person accepts it.

    ``since`` and ``by`` say when it got its status and who gave it: the person, once it is settled.
    """

    tag: str
    source: str
    status: str = "PENDING"
    since: datetime | None = None
    by: str = ""


@frozen(kw_only=True)
class LastChange:
    """Who gave a tag, the notes or a field what it is now, and when.

    ``source`` is the model whose suggestion was accepted, where a tag came that way.
    """

    by: str
    at: datetime
    source: str = ""


@frozen(kw_only=True)
class Transcript:
    """A transcript with optional segments (``start_ms``, ``end_ms``, ``text``)."""

    text: str
    language: str = ""
    confidence: float | None = None
    segments: tuple[Mapping[str, object], ...] = ()
    updated_at: datetime | None = None


@frozen(kw_only=True)
class Asset:
    """A media asset (domain.md, *Assets*). ``revision`` grows with every write (optimistic check).

    ``size`` is in bytes, ``mtime_ns`` in nanoseconds since 1970; ``sightings`` counts the consecutive
    scans that saw this size and mtime; ``fingerprint`` is the quick content fingerprint, once known.
    ``last_changes`` is about what people said of it, by ``tag/NAME``, ``notes`` and ``field/NAME``.
    """

    uuid: AssetId
    storage_id: StorageId
    path: RelPath
    media_type: MediaType
    size: int
    mtime_ns: int
    profile: ProfileName
    created_at: datetime
    updated_at: datetime
    state: State = State.DISCOVERED
    state_since: datetime | None = None
    sightings: int = 1
    fingerprint: str | None = None
    flags: frozenset[Flag] = frozenset()
    sidecars: tuple[AttachedSidecar, ...] = ()
    facts: Facts = field(factory=dict)
    warnings: tuple[str, ...] = ()
    derived: tuple[DerivedRef, ...] = ()
    transcript: Transcript | None = None
    suggestions: tuple[Suggestion, ...] = ()
    tags: tuple[str, ...] = ()
    notes: str = ""
    fields: Mapping[str, object] = field(factory=dict)
    last_changes: Mapping[str, LastChange] = field(factory=dict)
    verdict: Verdict | None = None
    decisions: tuple[DecisionRecord, ...] = ()
    path_history: tuple[PathRecord, ...] = ()
    review_version: int = 1
    revision: int = 0

    @property
    def name(self) -> str:
        """The file name."""
        return name_of(self.path)

    @property
    def subject(self) -> Subject:
        """This asset as the subject of jobs, locks and events."""
        return asset_subject(self.uuid)

    @property
    def standing(self) -> Standing:
        """What the state machine looks at."""
        return Standing(
            state=self.state,
            verdict=self.verdict,
            unprocessable=Flag.UNPROCESSABLE in self.flags,
        )

    def derived_of(self, kind: str) -> tuple[DerivedRef, ...]:
        """The derived files of a kind, by index."""
        return tuple(sorted((d for d in self.derived if d.kind == kind), key=lambda d: d.index))


class Source(NamedTuple):
    """Of an asset what handing out its jobs depends on: where its files are, and whether they can be read."""

    uuid: AssetId
    storage_id: StorageId
    path: RelPath
    state: State
    flags: frozenset[Flag]
    sidecars: tuple[RelPath, ...]


def source_of(asset: Asset) -> Source:
    """Where an asset's files are."""
    return Source(
        uuid=asset.uuid,
        storage_id=asset.storage_id,
        path=asset.path,
        state=asset.state,
        flags=asset.flags,
        sidecars=tuple(sidecar.path for sidecar in asset.sidecars),
    )


def flagged(asset: Asset, flag: Flag, *, on: bool) -> Asset:
    """Set or drop a flag."""
    flags = asset.flags | {flag} if on else asset.flags - {flag}
    return asset if flags == asset.flags else evolve(asset, flags=flags)


def advanced(asset: Asset, action: Action, actor: Actor, now: datetime) -> Asset:
    """Take one step of the state machine, touching nothing but state and time.

    Raises:
        Purged, ForbiddenActor, StateConflict: as `lifecycle.transition` says.
    """
    state = transition(asset.standing, action, actor.kind)
    return evolve(asset, state=state, state_since=now, updated_at=now)


_VERDICTS = {Action.KEEP: Verdict.KEEP, Action.REJECT: Verdict.REJECT, Action.CLEAR: None}


def decided(asset: Asset, action: Action, actor: Actor, now: datetime) -> Asset:
    """Record a person's KEEP, REJECT or CLEAR, with who and when.

    Raises:
        ForbiddenActor: the actor is no person (domain.md, *Principles* 1).
        StateConflict, Purged: the state does not allow it.
    """
    if action not in _VERDICTS:
        raise ValidationFailed(f"{action} is no decision; allowed: KEEP, REJECT, CLEAR")
    moved = advanced(asset, action, actor, now)
    record = DecisionRecord(action=action.value, at=now, by=str(actor))
    return evolve(moved, verdict=_VERDICTS[action], decisions=(*asset.decisions, record))


def reopened(asset: Asset, actor: Actor, now: datetime) -> Asset:
    """Open a settled asset for a new decision; its files stay where they are."""
    return evolve(advanced(asset, Action.REOPEN, actor, now), verdict=None)


def reprocessed(asset: Asset, actor: Actor, now: datetime) -> Asset:
    """Drop everything that can be computed again and return to READY; human data is kept."""
    ready = advanced(asset, Action.REPROCESS, actor, now)
    return without_results(evolve(ready, verdict=None))


def without_results(asset: Asset) -> Asset:
    """Drop facts, derived files, transcript and pending suggestions, and start a new review version."""
    return evolve(
        asset,
        review_version=asset.review_version + 1,
        facts={},
        warnings=(),
        derived=(),
        transcript=None,
        suggestions=tuple(s for s in asset.suggestions if s.status != "PENDING"),
        flags=asset.flags - {Flag.UNPROCESSABLE, Flag.CHANGED},
    )


def waived(asset: Asset, actor: Actor, now: datetime) -> Asset:
    """Let a person decide on an asset whose required work failed for good."""
    return advanced(asset, Action.WAIVE, actor, now)


def relocated(asset: Asset, path: RelPath, *, cause: str, now: datetime) -> Asset:
    """Give the asset another path and remember the one it had; its UUID stays."""
    return evolve(asset, path=path, path_history=_left(asset, cause, now), updated_at=now)


def _left(asset: Asset, cause: str, now: datetime) -> tuple[PathRecord, ...]:
    return (*asset.path_history, PathRecord(path=asset.path, until=now, cause=cause))


def group_relocated(
    asset: Asset,
    action: Action,
    actor: Actor,
    targets: Mapping[RelPath, RelPath],
    *,
    cause: str,
    now: datetime,
) -> Asset:
    """`advanced` and `relocated`, with the sidecars: ``targets`` has where each file of the group is now.

    Raises:
        Purged, ForbiddenActor, StateConflict: as `lifecycle.transition` says.
    """
    moved, path = advanced(asset, action, actor, now), targets[asset.path]
    history = asset.path_history if path == asset.path else _left(asset, cause, now)
    sidecars = tuple(evolve(s, path=targets.get(s.path, s.path)) for s in asset.sidecars)
    return evolve(moved, path=path, path_history=history, sidecars=sidecars)


def is_tag(text: str) -> bool:
    """Whether a text, trimmed, can be a tag.

    >>> is_tag(" low tide "), is_tag("sea, sand"), is_tag("")
    (True, False, False)
    """
    tag = text.strip()
    return 0 < len(tag) <= 100 and "," not in tag and tag.isprintable()


def _clean_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    cleaned = tuple(dict.fromkeys(tag.strip() for tag in tags))
    bad = [tag for tag in cleaned if not is_tag(tag)]
    if bad or len(cleaned) > MAX_TAGS:
        raise ValidationFailed(
            f"tags must be 1 to 100 printable characters without a comma, at most {MAX_TAGS}",
            fields={"tags": [repr(tag) for tag in bad]},
        )
    return cleaned


def annotated(
    asset: Asset,
    actor: Actor,
    now: datetime,
    *,
    tags: tuple[str, ...] | None = None,
    notes: str | None = None,
    fields: Mapping[str, object] | None = None,
    source: str = "",
) -> Asset:
    """Change the human metadata: each part that is given replaces that part; a field's None removes it.

    ``source`` is the model whose suggestion the new tags are, where they are one.

    Raises:
        ValidationFailed: a tag or the notes are malformed or too long.
        ForbiddenActor: the actor is no person.
    """
    if actor.kind is not ActorKind.PERSON:
        raise ForbiddenActor("tags, notes and fields are a person's to change")
    if notes is not None and (len(notes) > MAX_NOTES or "\0" in notes):
        raise ValidationFailed(
            f"notes must be at most {MAX_NOTES} characters, without NUL",
            fields={"notes": "too long or with NUL"},
        )
    merged = {**asset.fields, **(fields or {})}
    after = evolve(
        asset,
        tags=asset.tags if tags is None else _clean_tags(tags),
        notes=asset.notes if notes is None else notes,
        fields={name: value for name, value in merged.items() if value is not None},
        updated_at=now,
    )
    return signed(asset, after, LastChange(by=str(actor), at=now, source=source))


def said_of(asset: Asset) -> Mapping[str, object]:
    """What people said of an asset, by the names that ``last_changes`` has."""
    notes = {"notes": asset.notes} if asset.notes else {}
    tags = {f"tag/{tag}": True for tag in asset.tags}
    return {**tags, **notes, **{f"field/{name}": value for name, value in asset.fields.items()}}


def signed(before: Asset, after: Asset, change: LastChange) -> Asset:
    """The asset after a change, with that change as the last one of whatever it made another."""
    was, now = said_of(before), said_of(after)
    known = {n: one for n, one in before.last_changes.items() if n in now or n == "notes"}
    new = {name: change for name, value in now.items() if name not in was or was[name] != value}
    if before.notes != after.notes:
        new["notes"] = change
    return evolve(after, last_changes={**known, **new})
