"""Proof that another copy of a file stands, or a person's word (domain.md, *Reopen, reprocess, purge*)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from attrs import field, frozen

from ..errors import ValidationFailed
from .assets import Asset
from .fixity import FileFixity, GroupFile
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
    ``place``. ``stamp`` is how the copy looked: an opaque text that changes when somebody touches it;
    ``same_disk`` says that it lies on the disk of the original.
    """

    path: str
    size: int
    mtime_ns: int
    digest: str
    place: str
    copy: str
    stamp: str
    at: datetime
    same_disk: bool = False


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

    ``digest`` is that of the file itself, empty where there was nothing to compare it with.
    """

    path: str
    size: int
    mtime_ns: int
    at: datetime
    digest: str = ""
    proof: CopyProof | None = None
    refused: tuple[RefusedCopy, ...] = ()
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
    file: GroupFile,
    *,
    remembered: Remembered,
    record: FileFixity | None,
    stamp: str | None,
    now: datetime,
) -> Evidence:
    """What counts now for a file that looks so; ``stamp`` is how the copy of its proof looks now.

    A check or a waiver of a file that looked otherwise says nothing about this one. ``record`` is its
    fixity: where the content that was read is not the recorded one, a copy that differs may be the good
    one.
    """
    waiver, check = remembered.waivers.get(file.path), remembered.checks.get(file.path)
    if waiver and not ((waiver.size, waiver.mtime_ns) == file.shape and fresh(waiver.at, now)):
        waiver = None
    if check and (check.size, check.mtime_ns) != file.shape:
        check = None
    damaged = _damage(file, check, record)
    lacking = damaged or _lack(check, stamp, now)
    proof = check.proof if check and not lacking else None
    return Evidence(proof=proof, waiver=waiver, lacking=lacking, damaged=damaged)


def _damage(file: GroupFile, check: Check | None, record: FileFixity | None) -> str:
    """How the content that was read differs from the recorded one; empty where it does not."""
    if record is None or record.digest is None or (record.size, record.mtime_ns) != file.shape:
        return ""
    read = record.found or (check.digest if check else "")
    if not read or read == record.digest:
        return ""
    return (
        f"its content is no longer what it was on {record.taken_at:%Y-%m-%d}: "
        f"{record.digest} was recorded, {read} was read"
    )


def _lack(check: Check | None, stamp: str | None, now: datetime) -> str:
    """Why there is no proof; empty where there is one."""
    if check is None:
        return "nobody looked for another copy of it yet"
    if not fresh(check.at, now):
        return f"copies of it were looked for at {check.at:%Y-%m-%d %H:%M}Z, which does not count any more"
    if check.proof is None:
        return _why_not(check)
    if check.proof.stamp != stamp:
        return f"its copy in {check.proof.place} is gone or was touched since it was checked"
    return ""


def _why_not(check: Check) -> str:
    if check.problem or not check.refused:
        return check.problem or "no copy of it was found in any place"
    return "; ".join(
        f"in {refused.place}{f' {refused.path!r}' if refused.path else ''}: {refused.message}"
        for refused in check.refused
    )
