"""Names that obey a rule have a type of their own, made by one parsing function."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NewType
from uuid import UUID

from attrs import frozen

from ..errors import ValidationFailed

AssetId = NewType("AssetId", str)
"""A canonical lower-case UUID, given at first discovery and never changed."""

StorageId = NewType("StorageId", str)
"""The identity in a storage's marker file: 1 to 64 characters of ``A-Za-z0-9._-``."""

RelPath = NewType("RelPath", str)
"""A path relative to a storage root, with ``/`` between its parts; see `parse_rel_path`."""

Capability = NewType("Capability", str)
"""``domain.function@major``: what an agent does, never how."""

JobId = NewType("JobId", str)
"""A job's UUID, as the server made it."""

BatchId = NewType("BatchId", str)
"""A batch's UUID, as the server made it."""

AgentId = NewType("AgentId", str)
"""A registered agent's UUID, the same when it registers again."""

ProfileName = NewType("ProfileName", str)
"""A processing profile of the catalog, such as ``video_standard``."""

_STORAGE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CAPABILITY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+@[1-9][0-9]*")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DRIVE = re.compile(r"[A-Za-z]:")


@frozen(kw_only=True)
class Subject:
    """What a job, a lock or an event is about: an asset, or something that a plugin brings."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


def asset_subject(asset: AssetId) -> Subject:
    """Make the subject of an asset."""
    return Subject(kind="asset", id=asset)


def parse_asset_id(raw: str) -> AssetId:
    """Return the canonical form of an asset's UUID.

    >>> parse_asset_id("6F9619FF-8B86-D011-B42D-00CF4FC964FF")
    '6f9619ff-8b86-d011-b42d-00cf4fc964ff'

    Raises:
        ValidationFailed: not a UUID.
    """
    try:
        return AssetId(str(UUID(raw)))
    except (ValueError, AttributeError, TypeError) as error:
        raise ValidationFailed(
            f"{raw!r} is no asset UUID; write it as 8-4-4-4-12 hexadecimal digits", field="uuid"
        ) from error


def parse_storage_id(raw: str) -> StorageId:
    """Check a storage's identity.

    Raises:
        ValidationFailed: empty, longer than 64, or with other characters than ``A-Za-z0-9._-``.
    """
    if not _STORAGE_ID.fullmatch(raw):
        raise ValidationFailed(
            f"{raw!r} is no storage id; allowed are 1 to 64 of A-Z a-z 0-9 . _ -",
            field="storage_id",
        )
    return StorageId(raw)


@lru_cache(maxsize=4096)
def _path_problem(raw: str) -> str | None:
    parts = raw.split("/")
    if not raw:
        return "it is empty"
    if "\0" in raw:
        return "it has a NUL byte"
    if raw.startswith(("/", "\\")) or _DRIVE.match(raw):
        return "it is absolute"
    if "" in parts or "." in parts:
        return "it has an empty part or '.'"
    if ".." in raw and any(step == ".." for part in parts for step in part.split("\\")):
        return "it has '..'"
    try:
        raw.encode("utf-8")
    except UnicodeEncodeError:
        return "it is no valid text (UTF-8)"
    return None


def parse_rel_path(raw: str) -> RelPath:
    """Check a path relative to a storage root (domain.md, *Principles* 3).

    Newlines, emoji and backslashes are legal in names and kept as they are.

    >>> parse_rel_path("INBOX/day 1/A001.mov")
    'INBOX/day 1/A001.mov'
    >>> parse_rel_path("INBOX/../secret")
    Traceback (most recent call last):
    ...
    retaia_core.errors.ValidationFailed: the path 'INBOX/../secret' is refused: it has '..'; \
allowed are relative paths with '/' between the parts

    Raises:
        ValidationFailed: absolute, with ``..``, a drive letter, NUL, an empty part, or no valid text.
    """
    problem = _path_problem(raw)
    if problem:
        raise ValidationFailed(
            f"the path {raw!r} is refused: {problem}; "
            "allowed are relative paths with '/' between the parts",
            field="path",
        )
    return RelPath(raw)


def parse_capability(raw: str) -> Capability:
    """Check a capability's form.

    >>> parse_capability("media.proxies.video@1")
    'media.proxies.video@1'

    Raises:
        ValidationFailed: not ``domain.function@major``.
    """
    if not _CAPABILITY.fullmatch(raw):
        raise ValidationFailed(
            f"{raw!r} is no capability; write it as domain.function@major, such as media.facts@1",
            field="capability",
        )
    return Capability(raw)


def parse_name(raw: str, what: str) -> str:
    """Check the name of a job type, profile, derived kind or rule.

    Raises:
        ValidationFailed: not 1 to 64 of ``a-z0-9_``, starting with a letter.
    """
    if not _NAME.fullmatch(raw):
        raise ValidationFailed(
            f"{raw!r} is no name for a {what}; allowed are a-z 0-9 _, starting with a letter",
            field=what,
        )
    return raw


def folder_of(path: str) -> str:
    """Return the folder part of a relative path; empty at the root.

    >>> folder_of("INBOX/day 1/A001.mov"), folder_of("x")
    ('INBOX/day 1', '')
    """
    return path.rpartition("/")[0]


def name_of(path: str) -> str:
    """Return the last part of a relative path.

    >>> name_of("INBOX/day 1/A001.mov")
    'A001.mov'
    """
    return path.rpartition("/")[2]
