"""A storage's layout and marker (domain.md, *Assets*)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from retaia_core.domain.identifiers import RelPath, StorageId
from retaia_core.domain.storage import (
    Layout,
    Marker,
    parse_layout,
    parse_marker,
    render_marker,
)
from retaia_core.errors import ValidationFailed
from retaia_core.testing import strategies

DOCUMENT: dict[str, Any] = {
    "version": 1,
    "storage_id": "nas",
    "paths": {"inbox": "INBOX", "archive": "ARCHIVE", "rejects": "REJECTS"},
}

CHANGES: list[dict[str, Any]] = [
    {"version": 2},
    {"version": "1"},
    {"version": None},
    {"storage_id": ""},
    {"storage_id": "a/b"},
    {"storage_id": 1},
    {"storage_id": None},
    {"paths": None},
    {"paths": []},
    {"paths": {"inbox": "INBOX"}},
    {"paths": {"inbox": "../x", "archive": "A", "rejects": "R"}},
    {"paths": {"inbox": "/x", "archive": "A", "rejects": "R"}},
    {"paths": {"inbox": "I", "archive": ".", "rejects": "R"}},
    {"paths": {"inbox": "I", "archive": "I/A", "rejects": "R"}},
    {"paths": {"inbox": "I", "archive": "A", "rejects": 7}},
]
"""What makes the document invalid."""


class TestTheMarker:
    """*`{"version": 1, "storage_id": "…", "paths": {"inbox": …, "archive": …, "rejects": …}}`*."""

    @given(strategies.storage_ids(), strategies.layouts())
    def test_it_reads_back(self, storage_id: StorageId, layout: Layout) -> None:
        """What was written is read, with any legal folder names."""
        marker = Marker(storage_id=storage_id, layout=layout)
        assert parse_marker(render_marker(marker)) == marker

    def test_it_is_the_documents_json(self) -> None:
        """The keys are exactly those of the document."""
        assert json.loads(render_marker(Marker(storage_id=StorageId("nas")))) == DOCUMENT

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{}",
            b"[]",
            b"null",
            b"\xff\xfe",
            b"[" * 100_000,
            *(json.dumps(DOCUMENT | change).encode() for change in CHANGES),
        ],
    )
    def test_anything_else_is_invalid(self, content: bytes) -> None:
        """An invalid marker means that the storage is offline, so it must be told from a good one."""
        with pytest.raises(ValidationFailed):
            parse_marker(content)

    @given(st.binary(max_size=80))
    def test_no_content_breaks_the_reader(self, content: bytes) -> None:
        """Any bytes but a marker are refused."""
        with pytest.raises(ValidationFailed):
            parse_marker(content)


class TestTheLayout:
    """Folder names are configurable, relative, and apart from each other."""

    @pytest.mark.parametrize(
        ("inbox", "archive", "rejects"),
        [
            ("A", "A", "R"),
            ("I", "A", "A"),
            ("I", "A", "I"),
            ("I", "I/A", "R"),
            ("I/x", "I", "R"),
            ("I", "A", "A/R"),
            (".", "A", "A"),
            ("", "A", "R"),
            ("I", "..", "R"),
            ("I", "A", "C:"),
        ],
    )
    def test_overlapping_or_illegal_folders_are_refused(
        self, inbox: str, archive: str, rejects: str
    ) -> None:
        """Equal names, one inside another, and paths that leave the root."""
        with pytest.raises(ValidationFailed):
            parse_layout(inbox=inbox, archive=archive, rejects=rejects)

    def test_names_that_only_begin_alike_are_apart(self) -> None:
        """A shared beginning is no overlap; nor is a shared parent."""
        assert parse_layout(inbox="IN", archive="INBOX", rejects="IN2").archive == "INBOX"
        assert parse_layout(inbox="x/a", archive="x/b", rejects="x/c").inbox == "x/a"

    @given(strategies.layouts(), strategies.rel_paths("TOP"))
    def test_a_path_lies_in_one_place(self, layout: Layout, path: RelPath) -> None:
        """What is in the archive or the rejects is not in the inbox; its inner part is found again."""
        below = path.partition("/")[2]
        for top in (layout.archive, layout.rejects):
            assert layout.inside_inbox(f"{top}/{below}") is None
            assert layout.relative_part(f"{top}/{below}") == below
        inbox = "" if layout.inbox == "." else f"{layout.inbox}/"
        inside = f"{inbox}{below}"
        assume(not inside.startswith((f"{layout.archive}/", f"{layout.rejects}/")))
        assert layout.inside_inbox(inside) == layout.relative_part(inside) == below

    @pytest.mark.parametrize("top", ["ARCHIVE", "REJECTS", "EXPORTS", ".derived"])
    def test_an_inbox_that_is_the_root_leaves_the_others_out(self, top: str) -> None:
        """*`EXPORTS/` never scanned, never processed*; the folders themselves are out as well."""
        layout = Layout(inbox=".")
        assert layout.inside_inbox(top) is None
        assert layout.inside_inbox(f"{top}/x/A.mov") is None
        assert layout.inside_inbox(f"{top}2/A.mov") == f"{top}2/A.mov"
