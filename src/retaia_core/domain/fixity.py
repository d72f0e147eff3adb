"""Fixity: whether the bytes of a file are still those that were there.

A digest belongs to a file of a group as it stood: its size and mtime. The same size and mtime with
another digest is a *mismatch*: nobody wrote to the file, and its content is not what it was. Another
size or mtime is a change, which a scan sees and a person is told of; its digest is taken anew.
Records are kept by role in the group, not by path, so that a move leaves them as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum

from attrs import evolve, field, frozen

from ..errors import ValidationFailed
from .assets import Asset
from .identifiers import AssetId, RelPath, name_of

ALGORITHM = "sha256"
ORIGINAL = "original"
"""The role of a group's main file; a sidecar's is what its name adds to the main file's stem."""

SAME_MTIME_NS = 1_000_000_000
"""Network filesystems round times, up to a whole second; an agent's smaller difference is no change."""

_MARK = re.compile(r"__[a-z0-9]{6}$")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def parse_digest(raw: object) -> str:
    """Read a digest, ``sha256:`` and 64 hexadecimal digits in lower case.

    Raises:
        ValidationFailed: it is none.
    """
    if not isinstance(raw, str) or not _DIGEST.fullmatch(raw):
        raise ValidationFailed(
            f"{raw!r} is no digest; it reads sha256: and 64 digits of 0-9a-f",
            fields={"digest": "malformed"},
        )
    return raw


class Outcome(StrEnum):
    """What the last reading of a file said."""

    TAKEN = "taken"
    RENEWED = "renewed"
    MATCH = "match"
    MISMATCH = "mismatch"
    UNREADABLE = "unreadable"


@frozen(kw_only=True)
class GroupFile:
    """A file of a group as the last scan saw it."""

    role: str
    path: RelPath
    size: int
    mtime_ns: int

    @property
    def shape(self) -> tuple[int, int]:
        """What a digest belongs to."""
        return self.size, self.mtime_ns


@frozen(kw_only=True)
class Reading:
    """What reading a whole file gave: its digest, or why it could not be read."""

    role: str
    digest: str | None = None
    problem: str = ""


@frozen(kw_only=True)
class FileFixity:
    """The record of one file: the digest that it should have, and what was found last.

    ``path`` is where it lay when it was last read. ``found`` is another digest that was found instead,
    until the file matches again or a person accepts it; ``problem`` says why it could not be read.
    """

    role: str
    path: RelPath
    size: int
    mtime_ns: int
    digest: str | None
    taken_at: datetime
    taken_by: str
    checked_at: datetime
    verified_at: datetime | None = None
    outcome: Outcome = Outcome.TAKEN
    found: str | None = None
    problem: str = ""


@frozen(kw_only=True)
class Fixity:
    """The records of one asset's files, the original first. ``checked_at`` is the oldest look at one."""

    asset: AssetId
    checked_at: datetime
    files: tuple[FileFixity, ...] = field(factory=tuple)

    def of(self, role: str) -> FileFixity | None:
        """The record of a role."""
        return next((file for file in self.files if file.role == role), None)

    @property
    def mismatched(self) -> tuple[FileFixity, ...]:
        """The files whose content was found to be another."""
        return tuple(file for file in self.files if file.found is not None)

    @property
    def unreadable(self) -> tuple[FileFixity, ...]:
        """The files that could not be read when they were looked at last."""
        return tuple(file for file in self.files if file.outcome is Outcome.UNREADABLE)


def _role(stem: str, name: str) -> str:
    if name[: len(stem)].casefold() == stem.casefold() and len(name) > len(stem):
        return name[len(stem) :]
    # What a person attached may have a stem of its own, to which a new name of the group adds its mark.
    mark = _MARK.search(stem)
    own, dot, extension = name.rpartition(".")
    if mark is None or not own.endswith(mark[0]):
        return name
    return f"{own.removesuffix(mark[0])}{dot}{extension}"


def files_of(asset: Asset) -> tuple[GroupFile, ...]:
    """The files of an asset's group with their roles; a rename of the whole group changes no role."""
    main = GroupFile(role=ORIGINAL, path=asset.path, size=asset.size, mtime_ns=asset.mtime_ns)
    stem = asset.name.rpartition(".")[0] or asset.name
    files = {ORIGINAL: main}
    for sidecar in sorted(asset.sidecars, key=lambda s: s.path):
        name = name_of(sidecar.path)
        role = _role(stem, name)
        while role in files:  # a twin in another spelling: told apart by its whole name
            role = f"{role}/{name}"
        files[role] = GroupFile(
            role=role, path=sidecar.path, size=sidecar.size, mtime_ns=sidecar.mtime_ns
        )
    return tuple(files.values())


def judged(
    before: FileFixity | None, file: GroupFile, reading: Reading, by: str, now: datetime
) -> FileFixity:
    """The record of a file after it was read as it stood (``file``).

    Only a match, a first digest or a change of size or mtime clears a mismatch; a file that could not
    be read keeps the digest that it should have.
    """
    if reading.digest is None:
        return _unread(before, file, reading.problem, by, now)
    fresh = FileFixity(
        role=file.role,
        path=file.path,
        size=file.size,
        mtime_ns=file.mtime_ns,
        digest=reading.digest,
        taken_at=now,
        taken_by=by,
        checked_at=now,
        verified_at=now,
    )
    if before is None or before.digest is None:
        return fresh
    if before.digest == reading.digest:
        kept = evolve(fresh, taken_at=before.taken_at, taken_by=before.taken_by)
        return evolve(kept, outcome=Outcome.MATCH)
    if (before.size, before.mtime_ns) != file.shape:
        return evolve(fresh, outcome=Outcome.RENEWED)
    return evolve(
        before,
        path=file.path,
        checked_at=now,
        outcome=Outcome.MISMATCH,
        found=reading.digest,
        problem="",
    )


def _unread(
    before: FileFixity | None, file: GroupFile, problem: str, by: str, now: datetime
) -> FileFixity:
    known = before or FileFixity(
        role=file.role,
        path=file.path,
        size=file.size,
        mtime_ns=file.mtime_ns,
        digest=None,
        taken_at=now,
        taken_by=by,
        checked_at=now,
    )
    return evolve(
        known, path=file.path, checked_at=now, outcome=Outcome.UNREADABLE, problem=problem
    )


def noted(
    before: Fixity | None, asset: Asset, readings: Iterable[Reading], by: str, now: datetime
) -> Fixity:
    """An asset's records after some of its files were read. What is known of other roles stays."""
    records = {file.role: file for file in before.files} if before else {}
    files = {file.role: file for file in files_of(asset)}
    for reading in readings:
        if reading.role in files:
            file = files[reading.role]
            records[file.role] = judged(records.get(file.role), file, reading, by, now)
    looked = [records[role].checked_at for role in files if role in records]
    order = [*files, *(role for role in records if role not in files)]
    return Fixity(
        asset=asset.uuid,
        checked_at=min(looked, default=now),
        files=tuple(records[role] for role in order if role in records),
    )


def mismatched(fixity: Fixity, asset: Asset) -> tuple[FileFixity, ...]:
    """The records of files that are part of the group now and whose content was found to be another."""
    roles = {file.role for file in files_of(asset)}
    return tuple(file for file in fixity.files if file.found is not None and file.role in roles)


def news(before: FileFixity | None, after: FileFixity) -> str | None:
    """The name of the event that another reading of a file is worth; None for what was expected.

    A first digest and a match leave no event: the record itself says when, and a library has many files.
    """
    if after.found is not None and (before is None or before.found != after.found):
        return "fixity.mismatch"
    if after.outcome is Outcome.RENEWED:
        return "fixity.renewed"
    if after.outcome is Outcome.UNREADABLE:
        known = before is not None and before.outcome is Outcome.UNREADABLE
        return None if known else "fixity.unreadable"
    if before is None or after.found is not None:
        return None
    if before.found is not None:
        return "fixity.restored"
    return "fixity.readable" if before.outcome is Outcome.UNREADABLE else None


def accepted(record: FileFixity, by: str, now: datetime) -> FileFixity:
    """The record after a person said that what was found is right.

    Raises:
        ValidationFailed: nothing else was found.
    """
    if record.found is None:
        raise ValidationFailed(
            f"the content of {record.path!r} matches; there is nothing to accept"
        )
    return evolve(
        record,
        digest=record.found,
        found=None,
        taken_at=now,
        taken_by=by,
        verified_at=record.checked_at,
        outcome=Outcome.TAKEN,
        problem="",
    )


def checksum_line(path: str, digest: str) -> str:
    r"""One line of a list that ``sha256sum --check`` reads; odd names are escaped as it does.

    >>> checksum_line("INBOX/a.mov", "sha256:00")
    '00  INBOX/a.mov\n'
    >>> checksum_line("a\nb.mov", "sha256:00")
    '\\00  a\\nb.mov\n'
    """
    escaped = path.replace("\\", r"\\").replace("\n", r"\n").replace("\r", r"\r")
    mark = "\\" if escaped != path else ""
    return f"{mark}{digest.removeprefix(f'{ALGORITHM}:')}  {escaped}\n"


def known_digest(fixity: Fixity | None, asset: Asset, path: str) -> str | None:
    """The digest that a file of a group should have as it stands now; None where it is not known.

    Known is a digest that was taken of this size and mtime, and that nothing has contradicted since.
    """
    if fixity is None:
        return None
    for file in files_of(asset):
        record = fixity.of(file.role) if file.path == path else None
        if record is not None and record.found is None:
            return record.digest if (record.size, record.mtime_ns) == file.shape else None
    return None


def readings_of(asset: Asset, data: Mapping[str, object]) -> tuple[Reading, ...]:
    """The readings in an agent's result: those of files that are as the last scan saw them.

    ``data`` is ``{"files": [{"name", "size_bytes", "mtime_ns", "digest" or "problem"}, …]}``.

    Raises:
        ValidationFailed: it is malformed.
    """
    rows = data.get("files")
    if not isinstance(rows, list) or not rows or set(data) != {"files"}:
        raise ValidationFailed(
            "fingerprints are a list of files", fields={"data": "must be {files: […]}"}
        )
    files = {name_of(file.path): file for file in files_of(asset)}
    readings = []
    for row in rows:
        name, size, mtime_ns, reading = _row(row)
        file = files.get(name)
        if file is None:
            continue
        if size == file.size and abs(mtime_ns - file.mtime_ns) < SAME_MTIME_NS:
            readings.append(evolve(reading, role=file.role))
    return tuple(readings)


def _row(row: object) -> tuple[str, int, int, Reading]:
    if isinstance(row, dict):
        name, size, mtime_ns = row.get("name"), row.get("size_bytes"), row.get("mtime_ns")
        digest, problem = row.get("digest"), row.get("problem", "")
        said = isinstance(problem, str) and (digest is None) == bool(problem)
        if said and isinstance(name, str) and type(size) is int and type(mtime_ns) is int:
            known = None if digest is None else parse_digest(digest)
            return name, size, mtime_ns, Reading(role=name, digest=known, problem=problem[:500])
    raise ValidationFailed(
        "each file of a fingerprint has name, size_bytes, mtime_ns, and digest or problem",
        fields={"data": "a file is malformed"},
    )
