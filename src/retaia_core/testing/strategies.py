"""Hypothesis strategies for domain values: odd names, twins, whole assets, jobs, locks, layouts, facts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import evolve
from hypothesis import strategies as st

from ..domain.assets import (
    Asset,
    AttachedSidecar,
    DecisionRecord,
    DerivedRef,
    Flag,
    LastChange,
    PathRecord,
    Suggestion,
    Transcript,
)
from ..domain.discovery import SeenFile
from ..domain.facts import FACTS, FactField, Facts, FactValue
from ..domain.identifiers import AgentId, AssetId, Capability, JobId, RelPath, StorageId, Subject
from ..domain.jobs import Failure, Job, JobProgress, JobStatus
from ..domain.leases import Lock, LockKind
from ..domain.lifecycle import State, Verdict
from ..domain.media import MEDIA_FORMATS, MediaType, media_type_of, table_of
from ..domain.moves import MAX_NAME_BYTES
from ..domain.profiles import PROFILES, default_profile
from ..domain.query import Position, Sort, SortKey
from ..domain.storage import Layout
from .clock import START
from .samples import FACTS as MEDIA_FACTS
from .samples import NAS, PROXY

ODD_PIECES = ("🏖️", "\n", "\t", "é", "e\u0301", "ß", "İ", " ", "'", '"', "\\", "%", "_", "你好", ".")
"""What makes a name a test: each is legal in a file name."""

_DAY = 86_400_000_000

JSON_NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)


def texts(max_size: int = 30) -> st.SearchStrategy[str]:
    """Any valid text without NUL, odd pieces more often than chance would have them."""
    characters = st.characters(codec="utf-8", exclude_characters="\0")
    plain = st.text(characters, max_size=max_size)
    odd = st.lists(st.sampled_from([*ODD_PIECES, *"abcXYZ"]), max_size=max_size // 3)
    return plain | odd.map("".join)


def times() -> st.SearchStrategy[datetime]:
    """Aware UTC times with microseconds, from 1971 to 2100."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    microseconds = st.integers(365 * _DAY, 130 * 365 * _DAY)
    return microseconds.map(lambda us: epoch + timedelta(microseconds=us))


def soon(seconds: float = 600) -> st.SearchStrategy[datetime]:
    """Times within this span after `START`, to the microsecond."""
    return st.integers(0, int(seconds * 1e6)).map(lambda us: START + timedelta(microseconds=us))


def uuids() -> st.SearchStrategy[str]:
    """Canonical UUIDs."""
    return st.uuids().map(str)


def asset_ids() -> st.SearchStrategy[AssetId]:
    """Identities of assets."""
    return uuids().map(AssetId)


def _fits(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name and len(name.encode()) <= MAX_NAME_BYTES


def file_stems() -> st.SearchStrategy[str]:
    """Stems of file names: plain, odd, or of emoji and newlines; no leading dot, never empty."""
    plain = st.from_regex(r"[A-Za-z]{1,3}[0-9]{1,3}", fullmatch=True)
    odd = texts(20).map(lambda text: "x" + text.replace("/", "-"))
    return (plain | odd).filter(
        lambda stem: _fits(stem + ".....") and not stem.endswith(("~", "."))
    )


def case_twins(name: str) -> st.SearchStrategy[str]:
    """A name in any mixture of cases; the name itself among them."""
    flips = st.lists(st.booleans(), min_size=len(name), max_size=len(name))
    twins = flips.map(
        lambda ups: "".join(c.swapcase() if up else c for c, up in zip(name, ups, strict=True))
    )
    return st.sampled_from([name, name.upper(), name.lower()]) | twins


def media_names(media_type: MediaType | None = None) -> st.SearchStrategy[str]:
    """File names with the extension of a built-in format, in any case."""
    wanted = [row.extension for row in MEDIA_FORMATS if media_type in (None, row.media_type)]
    extensions = st.sampled_from(wanted).flatmap(case_twins)
    return st.builds(lambda stem, ext: f"{stem}.{ext}", file_stems(), extensions)


def folders(top: str = "INBOX", max_depth: int = 3) -> st.SearchStrategy[str]:
    """A folder at or below the one given."""
    names = file_stems() | st.sampled_from(["day 1", "Day 1", "card"])
    return st.lists(names, max_size=max_depth).map(lambda parts: "/".join([top, *parts]))


def rel_paths(
    top: str = "INBOX", media_type: MediaType | None = None
) -> st.SearchStrategy[RelPath]:
    """Valid relative paths of media files."""
    return st.builds(lambda d, n: RelPath(f"{d}/{n}"), folders(top), media_names(media_type))


def layouts() -> st.SearchStrategy[Layout]:
    """Layouts whose folders do not overlap, with the whole root as the inbox among them."""
    tops = file_stems().filter(lambda name: name[1:2] != ":")  # that would be a drive
    names = st.lists(tops, min_size=3, max_size=3, unique_by=str.casefold)
    given_names = names.map(
        lambda three: Layout(inbox=three[0], archive=RelPath(three[1]), rejects=RelPath(three[2]))
    )
    whole = names.map(
        lambda three: Layout(inbox=".", archive=RelPath(three[1]), rejects=RelPath(three[2]))
    )
    nested = names.map(
        lambda n: Layout(
            inbox=n[0], archive=RelPath(f"{n[1]}/{n[2]}"), rejects=RelPath(f"{n[1]}/r")
        )
    ).filter(lambda layout: not layout.archive.endswith("/r"))
    return st.sampled_from([Layout(), Layout(inbox=".")]) | given_names | whole | nested


def sizes() -> st.SearchStrategy[int]:
    """Sizes of files in bytes, up to 2^62."""
    return st.integers(1, 5) | st.integers(0, 2**62)


def mtimes() -> st.SearchStrategy[int]:
    """Modification times in nanoseconds since 1970; near the present, or anywhere up to 2^62."""
    now = int(START.timestamp()) * 10**9
    return st.integers(now - 10**12, now + 10**9) | st.integers(0, 2**62)


def seen_files(path: st.SearchStrategy[RelPath] | None = None) -> st.SearchStrategy[SeenFile]:
    """Files as a scan sees them."""
    return st.builds(
        SeenFile, path=rel_paths() if path is None else path, size=sizes(), mtime_ns=mtimes()
    )


def _fact_values(row: FactField) -> st.SearchStrategy[FactValue]:
    if row.type is str:
        if row.pattern is not None:
            # \d means every script's digits to a regular expression, and ten to a clock.
            digits = st.sampled_from("0123456789TZ:.;+-")
            return st.from_regex(row.pattern, fullmatch=True, alphabet=digits)
        return st.text("abc XYZ-9é", min_size=1, max_size=20)
    low = -1e9 if row.minimum is None else row.minimum
    high = 1e12 if row.maximum is None else row.maximum
    if row.type is int:
        return st.integers(int(low), int(high))
    return st.floats(low, high)


_FACT_VALUES = {name: _fact_values(row) for name, row in FACTS.items()}


def facts(required: Sequence[str] = ()) -> st.SearchStrategy[Facts]:
    """Valid facts: those required, and up to three others of the table."""
    others = st.lists(st.sampled_from(sorted(FACTS)), max_size=3, unique=True)
    chosen = others.map(lambda names: {name: _FACT_VALUES[name] for name in (*required, *names)})
    return chosen.flatmap(st.fixed_dictionaries)


def json_values(max_leaves: int = 4) -> st.SearchStrategy[Any]:
    """Plain JSON data."""
    leaves = st.none() | st.booleans() | JSON_NUMBERS | texts(6)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts(4), inner, max_size=2),
        max_leaves=max_leaves,
    )


def json_objects() -> st.SearchStrategy[dict[str, Any]]:
    """Plain JSON objects."""
    return st.dictionaries(texts(6), json_values(), max_size=2)


def sidecars() -> st.SearchStrategy[AttachedSidecar]:
    """Attached sidecars."""
    return st.builds(
        AttachedSidecar,
        path=rel_paths(),
        rule=st.sampled_from(["photo_xmp", "video_srt"]),
        size=sizes(),
        mtime_ns=mtimes(),
    )


def derived_refs() -> st.SearchStrategy[DerivedRef]:
    """Published derived files."""
    return st.builds(
        DerivedRef,
        kind=st.sampled_from(["proxy_video", "proxy_photo", "thumb", "waveform"]),
        index=st.integers(0, 9),
        ref=uuids(),
        content_type=st.sampled_from(["video/mp4", "image/jpeg"]),
        size_bytes=sizes(),
        sha256=st.just("0" * 64),
        job_id=uuids(),
        made_by=texts(10),
    )


def transcripts() -> st.SearchStrategy[Transcript]:
    """Transcripts with and without segments."""
    segment = st.fixed_dictionaries(
        {"start_ms": st.integers(0, 10**7), "end_ms": st.integers(0, 10**7), "text": texts(10)}
    )
    return st.builds(
        Transcript,
        text=texts(),
        language=st.sampled_from(["", "fr", "en"]),
        confidence=st.none() | st.floats(0, 1),
        segments=st.lists(segment, max_size=3).map(tuple),
        updated_at=st.none() | times(),
    )


def suggestions() -> st.SearchStrategy[Suggestion]:
    """Tags that a model proposes, pending and settled ones."""
    return st.builds(
        Suggestion,
        tag=texts(10),
        source=texts(10),
        status=st.sampled_from(["PENDING", "ACCEPTED", "REFUSED"]),
        since=st.none() | times(),
        by=texts(10),
    )


def last_changes() -> st.SearchStrategy[LastChange]:
    """Who changed something last."""
    return st.builds(LastChange, by=texts(10), at=times(), source=texts(10))


def assets(**fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Asset]:
    """Assets with anything in any field; a strategy by field name takes that field's place.

    State and verdict are drawn apart; see `standing_assets` for those that agree.
    """
    values: dict[str, st.SearchStrategy[Any]] = {
        "uuid": asset_ids(),
        "storage_id": st.just(NAS),
        "path": rel_paths(),
        "media_type": st.sampled_from(MediaType),
        "size": sizes(),
        "mtime_ns": mtimes(),
        "profile": st.sampled_from([p.name for p in PROFILES]),
        "created_at": times(),
        "updated_at": times(),
        "state": st.sampled_from(State),
        "state_since": st.none() | times(),
        "sightings": st.integers(1, 2),
        "fingerprint": st.none() | st.sampled_from(["fp-1", "fp-2"]),
        "flags": st.frozensets(st.sampled_from(Flag)),
        "sidecars": st.lists(sidecars(), max_size=2, unique_by=lambda s: s.path).map(tuple),
        "facts": facts(),
        "warnings": st.lists(texts(10), max_size=2).map(tuple),
        "derived": st.lists(derived_refs(), max_size=3).map(tuple),
        "transcript": st.none() | transcripts(),
        "suggestions": st.lists(suggestions(), max_size=3).map(tuple),
        "tags": st.lists(st.sampled_from(["a", "b", "é"]), unique=True, max_size=3).map(tuple),
        "notes": texts(),
        "last_changes": st.dictionaries(
            st.sampled_from(["notes", "tag/a", "field/b"]), last_changes(), max_size=2
        ),
        "fields": json_objects(),
        "verdict": st.none() | st.sampled_from(Verdict),
        "decisions": st.lists(
            st.builds(
                DecisionRecord, action=st.sampled_from(["KEEP", "CLEAR"]), at=times(), by=texts(8)
            ),
            max_size=2,
        ).map(tuple),
        "path_history": st.lists(
            st.builds(PathRecord, path=rel_paths(), until=times(), cause=st.just("move")),
            max_size=1,
        ).map(tuple),
        "review_version": st.integers(1, 9),
    }
    return st.builds(Asset, **values | fixed).filter(_is_a_group)


def _is_a_group(asset: Asset) -> bool:
    """Whether no file is its own sidecar."""
    return asset.path not in {sidecar.path for sidecar in asset.sidecars}


_TABLE = table_of(MEDIA_FORMATS)
_VERDICTS = {
    State.DECIDED_KEEP: Verdict.KEEP,
    State.ARCHIVED: Verdict.KEEP,
    State.DECIDED_REJECT: Verdict.REJECT,
    State.REJECTED: Verdict.REJECT,
    State.PURGED: Verdict.REJECT,
}


def verdict_in(state: State, moving: Verdict = Verdict.KEEP) -> Verdict | None:
    """The verdict that goes with a state; that of a moving asset is given."""
    return moving if state is State.MOVE_QUEUED else _VERDICTS.get(state)


def standing_assets(
    states: st.SearchStrategy[State] | None = None, **fixed: st.SearchStrategy[Any]
) -> st.SearchStrategy[Asset]:
    """Assets whose verdict goes with their state, and media type and profile with their name."""

    def agreed(one: Asset, state: State, moving: Verdict) -> Asset:
        media_type = media_type_of(one.path, _TABLE) or one.media_type
        return evolve(
            one,
            state=state,
            verdict=verdict_in(state, moving),
            media_type=media_type,
            profile=default_profile(media_type, PROFILES).name,
        )

    chosen = st.sampled_from(State) if states is None else states
    return st.builds(agreed, assets(**fixed), chosen, st.sampled_from(Verdict))


def subjects() -> st.SearchStrategy[Subject]:
    """Assets and other subjects."""
    return st.builds(Subject, kind=st.sampled_from(["asset", "link"]), id=uuids())


def failures() -> st.SearchStrategy[Failure]:
    """Failures of jobs."""
    return st.builds(
        Failure,
        code=st.sampled_from(["TIMEOUT", "SOURCE_UNREADABLE"]),
        message=texts(),
        retryable=st.booleans(),
        at=times(),
    )


def jobs(**fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Job]:
    """Jobs with anything in any field but the lease's mirror, which is empty."""
    values: dict[str, st.SearchStrategy[Any]] = {
        "job_id": uuids().map(JobId),
        "job_type": st.sampled_from(["extract_facts", "generate_proxy", "suggest_tags"]),
        "subject": subjects(),
        "capabilities": st.frozensets(
            st.sampled_from([MEDIA_FACTS, PROXY, Capability("speech.transcription@1")])
        ),
        "created_at": times(),
        "updated_at": times(),
        "status": st.sampled_from([JobStatus.PENDING, JobStatus.COMPLETED, JobStatus.FAILED]),
        "parameters": json_objects(),
        "required": st.booleans(),
        "review": st.booleans(),
        "priority": st.integers(-5, 5),
        "not_before": st.none() | soon(),
        "depends_on": st.lists(uuids().map(JobId), max_size=2).map(tuple),
        "derived_inputs": st.lists(st.sampled_from(["thumb", "proxy_audio"]), max_size=2).map(
            tuple
        ),
        "waiting": st.booleans(),
        "review_version": st.integers(1, 3),
        "attempts": st.integers(0, 3),
        "failure": st.none() | failures(),
        "progress": st.none()
        | st.builds(
            JobProgress, current=st.integers(0, 2**40), total=st.integers(0, 2**40), text=texts(10)
        ),
        "result": json_objects(),
        "warnings": st.lists(texts(10), max_size=2).map(tuple),
    }
    return st.builds(Job, **values | fixed)


def locks(subject: st.SearchStrategy[Subject] | None = None) -> st.SearchStrategy[Lock]:
    """Locks that are held, over, or given back."""

    def consistent(lock: tuple[LockKind, str, str, int, datetime], of: Subject) -> Lock:
        kind, holder, token, fencing, expires = lock
        return Lock(
            subject=of,
            kind=kind,
            holder=holder if token else "",
            token=token,
            fencing=fencing,
            expires_at=expires,
        )

    parts = st.tuples(
        st.sampled_from(LockKind),
        st.sampled_from(["agent-a", "agent-b", "agent-c"]).map(AgentId),
        st.sampled_from(["", "t1", "t2", "t3"]),
        st.integers(1, 2**40),
        soon(),
    )
    return st.builds(consistent, parts, subjects() if subject is None else subject)


def sorts() -> st.SearchStrategy[Sort]:
    """Every sort order."""
    return st.builds(Sort, key=st.sampled_from(SortKey), descending=st.booleans())


def positions() -> st.SearchStrategy[Position]:
    """Positions in a list, before a value or among the unknown."""
    values = st.none() | texts() | st.integers(-(2**62), 2**62)
    return st.builds(Position, value=values, uuid=asset_ids())


def storage_ids() -> st.SearchStrategy[StorageId]:
    """Valid identities of storages."""
    return st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True).map(StorageId)
