"""Proof that another copy of a file stands, or a person's word (domain.md, *Reopen, reprocess, purge*)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from attrs import field, frozen

from ..errors import ValidationFailed
from .assets import Asset
from .identifiers import folder_of, name_of
from .storage import Layout

FRESH = timedelta(hours=24)
"""How long a checked copy and a waiver count, where nothing was touched meanwhile."""

MAX_REASON = 2000
"""Characters of a waiver's reason, at most."""


class Refusal(StrEnum):
    """Why what stands in another place is no proof."""

    AWAY = "away"
    LINK = "link"
    SAME_FILE = "same_file"
    SIZE = "size"
    CONTENT = "content"
    UNREADABLE = "unreadable"


@frozen(kw_only=True)
class RefusedCopy:
    """A place, or what stands at a path in it, that proves nothing, and why."""

    place: str
    path: str
    reason: Refusal
    message: str


@frozen(kw_only=True)
class CopyProof:
    """Another copy of one file: both were read whole at ``at``, and have one SHA-256.

    ``path``, ``size`` (bytes) and ``mtime_ns`` are the file's own, ``copy`` is a path relative to the
    ``place``. ``stamp`` is how the copy looked: an opaque text that changes when somebody touches it.
    """

    path: str
    size: int
    mtime_ns: int
    digest: str
    place: str
    copy: str
    stamp: str
    at: datetime


@frozen(kw_only=True)
class Waiver:
    """A person's written word that one file, as it is, may go without a proven copy."""

    path: str
    size: int
    mtime_ns: int
    reason: str
    by: str
    at: datetime


@frozen(kw_only=True)
class Check:
    """What looking for copies of one file found: a proof, or why there is none.

    ``damaged`` says that the file itself is not what it was when its checksum was recorded, so that a
    copy which differs may be the good one.
    """

    path: str
    size: int
    mtime_ns: int
    at: datetime
    proof: CopyProof | None = None
    refused: tuple[RefusedCopy, ...] = ()
    damaged: str = ""
    problem: str = ""


@frozen(kw_only=True)
class Evidence:
    """What counts for one file now: a proof, a waiver, or why there is no proof."""

    proof: CopyProof | None = None
    waiver: Waiver | None = None
    lacking: str = ""
    damaged: str = ""

    @property
    def enough(self) -> bool:
        """Whether the file may go where proof is required."""
        return self.proof is not None or self.waiver is not None


def parse_reason(text: str) -> str:
    """Read the reason of a waiver.

    Raises:
        ValidationFailed: it says nothing, is longer than 2000 characters, or has a NUL.
    """
    said = text.strip()
    if not said or len(said) > MAX_REASON or "\0" in said:
        raise ValidationFailed(
            f"a waiver needs its reason in words, at most {MAX_REASON} characters",
            fields={"reason": f"1 to {MAX_REASON} characters"},
        )
    return said


def known_paths(
    asset: Asset, path: str, moves: Iterable[tuple[str, str]], layout: Layout
) -> tuple[str, ...]:
    """Where a copy of a file of the asset may lie, relative to a place, likeliest first.

    Every path that the file has or had: ``moves`` are the sources and targets of the asset's moves in
    their order, and a sidecar was wherever its asset was. Each as it is below the storage's root, and
    as it is below inbox, archive or rejects.
    """
    known = {path: None}
    for source, target in reversed(list(moves)):
        if target in known:
            known[source] = None
    for record in reversed(asset.path_history):
        former = record.path if path == asset.path else _beside(record.path, path)
        known[former] = None
    return tuple(dict.fromkeys(where for p in known for where in (p, layout.relative_part(p))))


def _beside(original: str, sidecar: str) -> str:
    folder = folder_of(original)
    return f"{folder}/{name_of(sidecar)}" if folder else name_of(sidecar)


def fresh(at: datetime, now: datetime) -> bool:
    """Whether what was seen or said at a time still counts; a time in the future does not."""
    return timedelta(0) <= now - at < FRESH


@frozen(kw_only=True)
class Remembered:
    """What was checked and waived of one asset's files last, by path."""

    checks: Mapping[str, Check] = field(factory=dict)
    waivers: Mapping[str, Waiver] = field(factory=dict)


def evidence_of(
    path: str,
    size: int,
    mtime_ns: int,
    *,
    remembered: Remembered,
    stamp: str | None,
    now: datetime,
) -> Evidence:
    """What counts now for a file that looks so; ``stamp`` is how the copy of its proof looks now.

    A check or a waiver of a file that looked otherwise says nothing about this one.
    """
    look = (size, mtime_ns)
    waiver = remembered.waivers.get(path)
    if waiver and not ((waiver.size, waiver.mtime_ns) == look and fresh(waiver.at, now)):
        waiver = None
    check = remembered.checks.get(path)
    if check is None or (check.size, check.mtime_ns) != look:
        return Evidence(waiver=waiver, lacking="nobody looked for another copy of it yet")
    if check.damaged:
        return Evidence(waiver=waiver, lacking=check.damaged, damaged=check.damaged)
    if not fresh(check.at, now):
        return Evidence(
            waiver=waiver,
            lacking=f"its copy was checked at {check.at:%Y-%m-%d %H:%M}Z, too long ago",
        )
    if check.proof is None:
        return Evidence(waiver=waiver, lacking=_why_not(check))
    if check.proof.stamp != stamp:
        said = f"its copy in {check.proof.place} is gone or was touched since it was checked"
        return Evidence(waiver=waiver, lacking=said)
    return Evidence(proof=check.proof, waiver=waiver)


def _why_not(check: Check) -> str:
    if check.problem:
        return check.problem
    if not check.refused:
        return "no copy of it was found in any place"
    return "; ".join(
        f"{r.place}: {r.path!r} {r.message}" if r.path else f"{r.place}: {r.message}"
        for r in check.refused
    )
