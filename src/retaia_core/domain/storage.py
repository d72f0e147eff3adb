"""A storage: its layout, its marker file, and whether it can be trusted now (domain.md, *Assets*)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from itertools import permutations

from attrs import field, frozen

from ..errors import ValidationFailed
from .identifiers import RelPath, StorageId, parse_rel_path, parse_storage_id

MARKER_NAME = ".retaia"
MARKER_VERSION = 1
DERIVED_FOLDER = ".derived"
EXPORTS_FOLDER = "EXPORTS"


@frozen(kw_only=True)
class Layout:
    """Where the three kinds of original lie, relative to the root.

    ``inbox`` is ``.`` where the whole folder was adopted as the inbox; archive, rejects, exports and
    derived files are then inside it and left out of the scan.
    """

    inbox: str = "INBOX"
    archive: RelPath = RelPath("ARCHIVE")
    rejects: RelPath = RelPath("REJECTS")

    def inside_inbox(self, path: str) -> str | None:
        """Return the part of a path below the inbox; None where it lies elsewhere.

        >>> Layout().inside_inbox("INBOX/day 1/A.mov"), Layout().inside_inbox("ARCHIVE/A.mov")
        ('day 1/A.mov', None)
        >>> Layout(inbox=".").inside_inbox("ARCHIVE/A.mov"), Layout(inbox=".").inside_inbox("A.mov")
        (None, 'A.mov')
        """
        if self.inbox != ".":
            return _below(path, self.inbox)
        others = (self.archive, self.rejects, EXPORTS_FOLDER, DERIVED_FOLDER)
        return None if any(_below(path + "/", other) is not None for other in others) else path

    def relative_part(self, path: str) -> str:
        """Return what follows the top folder (inbox, archive or rejects) that a path lies in.

        >>> Layout().relative_part("ARCHIVE/2026/A.mov")
        '2026/A.mov'
        """
        for top in (self.archive, self.rejects):
            below = _below(path, top)
            if below is not None:
                return below
        inside = self.inside_inbox(path)
        return path if inside is None else inside


def _below(path: str, folder: str) -> str | None:
    prefix = folder + "/"
    return path[len(prefix) :] if path.startswith(prefix) else None


@frozen(kw_only=True)
class Marker:
    """The content of ``.retaia`` at a storage's root."""

    storage_id: StorageId
    layout: Layout = field(factory=Layout)


def render_marker(marker: Marker) -> bytes:
    """Write a marker as the JSON document that stands in the file."""
    layout = marker.layout
    document = {
        "version": MARKER_VERSION,
        "storage_id": marker.storage_id,
        "paths": {"inbox": layout.inbox, "archive": layout.archive, "rejects": layout.rejects},
    }
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _text(raw: Mapping[str, object], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str):
        raise ValidationFailed(f"the marker's {key!r} must be a text", field=key)
    return value


def parse_marker(content: bytes) -> Marker:
    """Read a marker.

    >>> parse_marker(render_marker(Marker(storage_id=StorageId("nas")))).storage_id
    'nas'

    Raises:
        ValidationFailed: no JSON, another version, or a field that is missing or malformed.
    """
    try:
        raw = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValidationFailed("the marker is no JSON document", field="marker") from error
    if not isinstance(raw, dict) or raw.get("version") != MARKER_VERSION:
        raise ValidationFailed(f"the marker must say version {MARKER_VERSION}", field="version")
    paths = raw.get("paths")
    if not isinstance(paths, dict):
        raise ValidationFailed("the marker has no 'paths'", field="paths")
    layout = parse_layout(
        inbox=_text(paths, "inbox"),
        archive=_text(paths, "archive"),
        rejects=_text(paths, "rejects"),
    )
    return Marker(storage_id=parse_storage_id(_text(raw, "storage_id")), layout=layout)


def parse_layout(*, inbox: str, archive: str, rejects: str) -> Layout:
    """Check the names of the folders: relative, and none inside another (except in an inbox ``.``).

    Raises:
        ValidationFailed: a path is refused, or two overlap.
    """
    if inbox != ".":
        parse_rel_path(inbox)
    tops = (inbox, parse_rel_path(archive), parse_rel_path(rejects))
    named = [top for top in tops if top != "."]
    for one, other in permutations(named, 2):
        if (one + "/").startswith(other + "/"):
            raise ValidationFailed(
                f"the folders {one!r} and {other!r} overlap; give each its own", field="paths"
            )
    return Layout(inbox=inbox, archive=RelPath(archive), rejects=RelPath(rejects))


class Health(StrEnum):
    """Whether a storage can be trusted now."""

    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"


class Trouble(StrEnum):
    """The kinds of what takes a storage offline; see `health`."""

    MARKER = "marker"
    SILENT = "silent"
    READ_ONLY = "read_only"
    FULL = "full"
    FAILING = "failing"


@frozen(kw_only=True)
class Storage:
    """A storage that a person adopted. ``root`` is the server's own mount point, never on the wire.

    ``trouble`` is the kind of what took it offline. ``strikes`` are the troubles in a row, and before
    ``look_after`` it is not looked at. ``mounts`` are those folders of the layout that were seen to be
    filesystems of their own.
    """

    storage_id: StorageId
    root: str
    layout: Layout
    adopted_at: datetime
    adopted_by: str
    role: str = "rushes"
    health: Health = Health.ONLINE
    health_reason: str = ""
    health_since: datetime | None = None
    trouble: Trouble | None = None
    strikes: int = 0
    look_after: datetime | None = None
    mounts: tuple[str, ...] = ()
    scans: int = 0
    last_scan_at: datetime | None = None
