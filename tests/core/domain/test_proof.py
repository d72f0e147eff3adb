"""The rules of what proves that another copy stands (domain.md, *Reopen, reprocess, purge*)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.assets import Asset, AttachedSidecar, PathRecord
from retaia_core.domain.fixity import FileFixity, GroupFile, Outcome
from retaia_core.domain.identifiers import RelPath
from retaia_core.domain.proof import (
    FRESH,
    Check,
    CopyProof,
    Refusal,
    RefusedCopy,
    Remembered,
    Waiver,
    evidence_of,
    fresh,
    known_paths,
    parse_reason,
)
from retaia_core.domain.storage import Layout
from retaia_core.errors import ValidationFailed
from retaia_core.testing.clock import START
from retaia_core.testing.samples import asset

PATH = RelPath("REJECTS/A.jpg")
FILE = GroupFile(role="original", path=PATH, size=10, mtime_ns=5)
READ, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
PROOF = CopyProof(
    path=PATH, size=10, mtime_ns=5, digest=READ, place="nas", copy="A.jpg", stamp="1", at=START
)
CHECK = Check(path=PATH, size=10, mtime_ns=5, at=START, digest=READ, proof=PROOF)
WAIVER = Waiver(path=PATH, size=10, mtime_ns=5, reason="enough", by="person:ana", at=START)
RECORD = FileFixity(
    role="original", path=PATH, size=10, mtime_ns=5, digest=READ, taken_at=START,
    taken_by="agent:x", checked_at=START,
)  # fmt: skip


class TestFresh:
    """What was seen counts for a day, and never before it was seen."""

    @given(st.timedeltas(min_value=timedelta(days=-9), max_value=timedelta(days=9)))
    def test_the_window(self, later: timedelta) -> None:
        """From the very moment on, to a day later."""
        assert fresh(START, START + later) == (timedelta(0) <= later < FRESH)


class TestEvidence:
    """A proof counts while file, copy and time fit; everything else is said."""

    @given(
        size=st.sampled_from([10, 10, 11]),
        mtime_ns=st.sampled_from([5, 5, 6]),
        stamp=st.sampled_from(["1", "1", "2", None]),
        later=st.sampled_from([timedelta(0), FRESH - timedelta(1), FRESH, -timedelta(1)]),
        record=st.sampled_from(
            [
                None,
                RECORD,
                evolve(RECORD, digest=OTHER),
                evolve(RECORD, digest=OTHER, size=9),
                evolve(RECORD, digest=None, outcome=Outcome.UNREADABLE),
                evolve(RECORD, found=OTHER),
            ]
        ),
        check=st.sampled_from([None, CHECK, evolve(CHECK, proof=None), evolve(CHECK, digest="")]),
        waiver=st.sampled_from([None, WAIVER]),
    )
    def test_what_counts(
        self,
        *,
        size: int,
        mtime_ns: int,
        stamp: str | None,
        later: timedelta,
        record: FileFixity | None,
        check: Check | None,
        waiver: Waiver | None,
    ) -> None:
        """Each condition by itself is enough to take a proof away, and none other does."""
        file = evolve(FILE, size=size, mtime_ns=mtime_ns)
        now = START + later
        remembered = Remembered(
            checks={PATH: check} if check else {}, waivers={PATH: waiver} if waiver else {}
        )
        known = evidence_of(file, remembered=remembered, record=record, stamp=stamp, now=now)
        same = (size, mtime_ns) == (10, 5)
        of_now = record is not None and (record.size, record.mtime_ns) == (size, mtime_ns)
        read = (check.digest if check and same else "") or ""
        contradicted = record is not None and bool(
            record.found or (read and record.digest and read != record.digest)
        )
        assert bool(known.damaged) == (of_now and contradicted)
        proven = (
            check is not None
            and check.proof is not None
            and same
            and fresh(START, now)
            and stamp == "1"
            and not known.damaged
        )
        assert (known.proof is not None) == proven == (known.lacking == "")
        assert (known.waiver is not None) == (waiver is not None and same and fresh(START, now))
        assert known.enough == (proven or known.waiver is not None)

    def test_why_there_is_none(self) -> None:
        """Every copy that was refused is named with its place; a place that is away by itself."""
        refused = (
            RefusedCopy(place="nas", path="A.jpg", reason=Refusal.CONTENT, message="other content"),
            RefusedCopy(place="tape", path="", reason=Refusal.AWAY, message="not there"),
        )
        said = [
            evidence_of(
                FILE,
                remembered=Remembered(checks={PATH: evolve(CHECK, proof=None, **more)}),
                record=None,
                stamp=None,
                now=START,
            ).lacking
            for more in ({"refused": refused}, {"problem": "unreadable"}, {})
        ]
        assert said == [
            "in nas 'A.jpg': other content; in tape: not there",
            "unreadable",
            "no copy of it was found in any place",
        ]


class TestPaths:
    """A copy may lie wherever the file is or was, as below the storage or below its own folder."""

    def rejected(self) -> Asset:
        """An asset that was moved by hand, and then rejected."""
        history = (
            PathRecord(path=RelPath("INBOX/old/A.jpg"), until=START, cause="moved_by_hand"),
            PathRecord(path=RelPath("INBOX/day/A.jpg"), until=START, cause="move"),
        )
        xmp = AttachedSidecar(
            path=RelPath("REJECTS/day/A__abc123.xmp"), rule="xmp", size=1, mtime_ns=1
        )
        path = RelPath("REJECTS/day/A__abc123.jpg")
        return asset(path=path, path_history=history, sidecars=(xmp,))

    def test_of_the_original(self) -> None:
        """Where it is first, then backwards through its history; each path once."""
        one = self.rejected()
        assert known_paths(one, one.path, [("INBOX/day/A.jpg", one.path)], Layout()) == (
            "REJECTS/day/A__abc123.jpg", "day/A__abc123.jpg", "INBOX/day/A.jpg", "day/A.jpg",
            "INBOX/old/A.jpg", "old/A.jpg",
        )  # fmt: skip

    def test_of_a_sidecar(self) -> None:
        """Its own moves under its own names, and beside its original where that was."""
        one = self.rejected()
        path = one.sidecars[0].path
        moves = [
            ("INBOX/day/A.jpg", one.path), ("INBOX/day/A.xmp", path), ("INBOX/B", "ARCHIVE/B"),
        ]  # fmt: skip
        found = known_paths(one, path, moves, Layout())
        assert found[:4] == (path, "day/A__abc123.xmp", "INBOX/day/A.xmp", "day/A.xmp")
        assert "INBOX/old/A__abc123.xmp" in found
        assert "INBOX/B" not in found

    def test_at_the_root_of_an_inbox_that_is_all(self) -> None:
        """Files that lie in no folder are looked for in no folder."""
        history = (PathRecord(path=RelPath("A.jpg"), until=START, cause="move"),)
        xmp = AttachedSidecar(path=RelPath("REJECTS/A.xmp"), rule="xmp", size=1, mtime_ns=1)
        one = asset(path=RelPath("REJECTS/A.jpg"), path_history=history, sidecars=(xmp,))
        assert known_paths(one, xmp.path, [], Layout(inbox=".")) == ("REJECTS/A.xmp", "A.xmp")


@pytest.mark.parametrize("text", ["", " \n", "x" * 2001, "a\0"])
def test_a_waiver_says_why(text: str) -> None:
    """In words, and not too many."""
    with pytest.raises(ValidationFailed):
        parse_reason(text)
    assert parse_reason("  because ") == "because"
