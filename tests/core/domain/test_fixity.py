"""Fixity: digests belong to a size and a time; what nobody wrote must not change."""

from __future__ import annotations

import hashlib
import string
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.assets import Asset
from retaia_core.domain.fixity import (
    ORIGINAL,
    FileFixity,
    Fixity,
    GroupFile,
    Outcome,
    Reading,
    accepted,
    checksum_line,
    files_of,
    judged,
    known_digest,
    mismatched,
    news,
    noted,
    parse_digest,
    readings_of,
)
from retaia_core.domain.identifiers import RelPath, folder_of, name_of
from retaia_core.errors import ValidationFailed
from retaia_core.testing import strategies
from retaia_core.testing.clock import START
from retaia_core.testing.samples import asset, sidecar

BY = "agent:a"
LATER = START + timedelta(days=30)


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


ONE, OTHER = digest("one"), digest("other")
DIGESTS = st.sampled_from([ONE, OTHER, digest("third")])
READINGS = DIGESTS.map(lambda d: Reading(role=ORIGINAL, digest=d)) | st.just(
    Reading(role=ORIGINAL, problem="input/output error")
)
SHAPES = st.sampled_from([(1, 1), (1, 2), (2, 1)])


def file(shape: tuple[int, int] = (1, 1)) -> GroupFile:
    size, mtime_ns = shape
    return GroupFile(role=ORIGINAL, path=RelPath("INBOX/a.mov"), size=size, mtime_ns=mtime_ns)


def read(text: str | None) -> Reading:
    if text is None:
        return Reading(role=ORIGINAL, problem="input/output error")
    return Reading(role=ORIGINAL, digest=text)


def taken(text: str = ONE, shape: tuple[int, int] = (1, 1)) -> FileFixity:
    return judged(None, file(shape), read(text), BY, START)


def look(
    before: FileFixity | None, text: str | None, shape: tuple[int, int] = (1, 1)
) -> FileFixity:
    return judged(before, file(shape), read(text), BY, LATER)


class TestJudging:
    """A digest belongs to a size and an mtime."""

    def test_a_first_digest(self) -> None:
        """It says when, by whom, and of what."""
        first = taken()
        assert (first.digest, first.taken_at, first.taken_by) == (ONE, START, BY)
        assert (first.outcome, first.verified_at, first.found) == (Outcome.TAKEN, START, None)

    def test_the_same_content_is_a_match(self) -> None:
        """The digest keeps its first date; what grows is the date of the verification."""
        again = look(taken(), ONE)
        assert (again.outcome, again.taken_at, again.verified_at) == (Outcome.MATCH, START, LATER)

    def test_other_content_of_the_same_size_and_time_is_a_mismatch(self) -> None:
        """The digest that it should have stays, and so does the last date at which it had it."""
        wrong = look(taken(), OTHER)
        assert (wrong.outcome, wrong.digest, wrong.found) == (Outcome.MISMATCH, ONE, OTHER)
        assert (wrong.verified_at, wrong.checked_at) == (START, LATER)

    @pytest.mark.parametrize("shape", [(2, 1), (1, 2)])
    def test_another_size_or_time_is_a_change(self, shape: tuple[int, int]) -> None:
        """Its digest is taken anew."""
        renewed = look(taken(), OTHER, shape)
        assert (renewed.outcome, renewed.digest) == (Outcome.RENEWED, OTHER)
        assert (renewed.size, renewed.mtime_ns) == shape
        assert (renewed.taken_at, renewed.found) == (LATER, None)

    def test_the_same_content_under_another_time_is_still_a_match(self) -> None:
        """A move to a filesystem that rounds times loses no history; the digest is of the new time now."""
        touched = look(taken(), ONE, (1, 2))
        assert (touched.outcome, touched.taken_at, touched.mtime_ns) == (Outcome.MATCH, START, 2)
        assert look(touched, OTHER, (1, 2)).outcome is Outcome.MISMATCH

    def test_what_cannot_be_read_keeps_its_digest(self) -> None:
        """An error of the disk proves nothing about the content, and forgets nothing."""
        unread = look(taken(), None)
        assert (unread.outcome, unread.digest, unread.verified_at) == (
            Outcome.UNREADABLE,
            ONE,
            START,
        )
        assert unread.problem == "input/output error"
        assert look(look(taken(), OTHER), None).found == OTHER
        never = look(None, None)
        assert (never.digest, never.verified_at) == (None, None)
        assert look(never, ONE).outcome is Outcome.TAKEN

    @given(st.lists(st.tuples(READINGS, SHAPES), min_size=1, max_size=12))
    def test_a_mismatch_is_never_forgotten_by_itself(
        self, looks: list[tuple[Reading, tuple[int, int]]]
    ) -> None:
        """Only a match, or a change that a scan saw, ends it; nothing but a change replaces a digest."""
        record: FileFixity | None = None
        for reading, shape in looks:
            before, record = record, judged(record, file(shape), reading, BY, LATER)
            assert record.checked_at == LATER
            if before is None or before.digest is None:
                assert record.found is None
                continue
            same = (before.size, before.mtime_ns) == shape
            if record.digest != before.digest:
                assert not same
                assert record.outcome is Outcome.RENEWED
            if before.found is not None and record.found is None:
                assert reading.digest == before.digest or not same
            if same and reading.digest not in (None, before.digest):
                assert (record.outcome, record.found) == (Outcome.MISMATCH, reading.digest)
            if record.found is not None:
                assert record.digest not in (None, record.found)


class TestNews:
    """The trail has what a person must know, once, and not each match of a million files."""

    @pytest.mark.parametrize(
        ("looks", "said"),
        [
            ([ONE], [None]),
            ([ONE, ONE, ONE], [None, None, None]),
            ([ONE, OTHER, OTHER], [None, "fixity.mismatch", None]),
            ([ONE, OTHER, digest("third")], [None, "fixity.mismatch", "fixity.mismatch"]),
            ([ONE, OTHER, ONE], [None, "fixity.mismatch", "fixity.restored"]),
            ([None, None, ONE], ["fixity.unreadable", None, "fixity.readable"]),
            ([ONE, OTHER, None], [None, "fixity.mismatch", "fixity.unreadable"]),
            ([ONE, OTHER, None, OTHER], [None, "fixity.mismatch", "fixity.unreadable", None]),
        ],
    )
    def test_each_is_told_once(self, looks: list[str | None], said: list[str | None]) -> None:
        """A mismatch, its end, a file that cannot be read, its return."""
        told, record = [], None
        for text in looks:
            before, record = record, look(record, text)
            told.append(news(before, record))
        assert told == said

    def test_a_change_is_told(self) -> None:
        """With a new digest an old one goes, and the trail keeps both."""
        assert news(taken(), look(taken(), OTHER, (2, 1))) == "fixity.renewed"


class TestAccepting:
    """A person may say that what was found is right."""

    def test_what_was_found_counts_from_now_on(self) -> None:
        """It is the digest, and the next reading matches it."""
        right = accepted(look(taken(), OTHER), "person:ada", LATER)
        assert (right.digest, right.found, right.taken_by) == (OTHER, None, "person:ada")
        assert look(right, OTHER).outcome is Outcome.MATCH
        assert look(right, ONE).outcome is Outcome.MISMATCH

    def test_there_must_be_something_to_accept(self) -> None:
        """What matches is refused."""
        with pytest.raises(ValidationFailed, match="nothing to accept"):
            accepted(taken(), "person:ada", LATER)


GROUP = asset(
    sidecars=tuple(
        sidecar(f"INBOX/{name}") for name in ("A001.xmp", "A001.mov.xmp", "a001.SRT", "A001.LRF")
    )
)


def renamed(one: Asset, stem: str) -> Asset:
    """The group as a move with a collision, or a person, renames it."""

    def place(path: str) -> RelPath:
        old = one.name.rpartition(".")[0]
        return RelPath(f"ARCHIVE/day/{stem}{name_of(path)[len(old) :]}")

    sidecars = tuple(evolve(s, path=place(s.path)) for s in one.sidecars)
    return evolve(one, path=place(one.path), sidecars=sidecars)


class TestRoles:
    """Records are kept by role, so that no move has to touch them."""

    def test_a_role_is_what_a_name_adds_to_the_stem(self) -> None:
        """Also where the spelling differs in case."""
        assert {f.role: name_of(f.path) for f in files_of(GROUP)} == {
            "original": "A001.mov",
            ".xmp": "A001.xmp",
            ".mov.xmp": "A001.mov.xmp",
            ".SRT": "a001.SRT",
            ".LRF": "A001.LRF",
        }

    @given(st.text(string.ascii_letters + "_é🎬\n", min_size=1, max_size=8))
    def test_a_rename_of_the_group_keeps_every_role(self, stem: str) -> None:
        """And so every digest."""
        before = noted(
            None, GROUP, [Reading(role=f.role, digest=ONE) for f in files_of(GROUP)], BY, START
        )
        after = renamed(GROUP, stem)
        assert {f.role for f in files_of(after)} == {f.role for f in files_of(GROUP)}
        assert all(known_digest(before, after, f.path) == ONE for f in files_of(after))

    @given(strategies.assets())
    def test_no_two_files_share_one(self, one: Asset) -> None:
        """The original has its own; twins are told apart, and every file has its record."""
        files = files_of(one)
        assert files[0].role == ORIGINAL
        assert len({f.role for f in files}) == len(files) == 1 + len(one.sidecars)
        record = noted(None, one, [Reading(role=f.role, digest=ONE) for f in files], BY, START)
        assert [f.path for f in record.files] == [f.path for f in files]

    def test_a_twin_of_a_role_is_told_apart(self) -> None:
        """Whatever attached it."""
        twins = evolve(GROUP, sidecars=(sidecar("INBOX/A001.xmp"), sidecar("INBOX/a001.xmp")))
        assert [f.role for f in files_of(twins)] == [ORIGINAL, ".xmp", ".xmp/a001.xmp"]


class TestRecords:
    """One record an asset; its place in the rolling order is that of the file that waited longest."""

    def test_what_was_not_read_stays(self) -> None:
        """Reading one file forgets nothing of the others, not even of a sidecar that is gone."""
        whole = noted(
            None, GROUP, [Reading(role=f.role, digest=ONE) for f in files_of(GROUP)], BY, START
        )
        bare = evolve(GROUP, sidecars=())
        after = noted(whole, bare, [Reading(role=ORIGINAL, digest=ONE)], BY, LATER)
        assert {f.role for f in after.files} == {f.role for f in whole.files}
        assert after.checked_at == LATER
        again = noted(after, GROUP, [], BY, LATER)
        assert again.checked_at == START

    def test_a_role_that_nobody_has_is_passed_over(self) -> None:
        """A reading of what is no file of the group any more changes nothing."""
        assert noted(None, GROUP, [Reading(role=".none", digest=ONE)], BY, START).files == ()

    def test_only_files_of_the_group_are_wrong(self) -> None:
        """A mismatch of a sidecar that is detached is no fault of the asset."""
        whole = noted(None, GROUP, [Reading(role=".SRT", digest=ONE)], BY, START)
        wrong = noted(whole, GROUP, [Reading(role=".SRT", digest=OTHER)], BY, LATER)
        assert [f.role for f in mismatched(wrong, GROUP)] == [".SRT"]
        assert mismatched(wrong, evolve(GROUP, sidecars=())) == ()


class TestTheKnownDigest:
    """What copies and proofs are compared with."""

    def test_it_is_of_the_file_as_it_stands(self) -> None:
        """Not of another size or time, not of a mismatch, not of another file."""
        first = noted(None, GROUP, [Reading(role=ORIGINAL, digest=ONE)], BY, START)
        assert known_digest(first, GROUP, GROUP.path) == ONE
        assert known_digest(first, evolve(GROUP, size=5), GROUP.path) is None
        assert known_digest(first, evolve(GROUP, mtime_ns=5), GROUP.path) is None
        assert known_digest(first, GROUP, "INBOX/A001.xmp") is None
        assert known_digest(None, GROUP, GROUP.path) is None
        wrong = noted(first, GROUP, [Reading(role=ORIGINAL, digest=OTHER)], BY, LATER)
        assert known_digest(wrong, GROUP, GROUP.path) is None


def row(**changes: object) -> dict[str, object]:
    size, mtime_ns = GROUP.size, GROUP.mtime_ns
    return {"name": "A001.mov", "size_bytes": size, "mtime_ns": mtime_ns, "digest": ONE} | changes


class TestAgentsResults:
    """An agent's digests count for files that are as the last scan saw them."""

    def test_files_are_told_by_their_names(self) -> None:
        """The original, a sidecar; a name that is no file of the group is passed over."""
        one = GROUP.sidecars[0]
        rows = [
            row(),
            row(name=name_of(one.path), size_bytes=one.size, mtime_ns=one.mtime_ns, digest=OTHER),
            row(name="stranger.mov"),
        ]
        assert readings_of(GROUP, {"files": rows}) == (
            Reading(role=ORIGINAL, digest=ONE),
            Reading(role=".xmp", digest=OTHER),
        )

    @pytest.mark.parametrize(
        ("changes", "counts"),
        [
            ({}, True),
            ({"mtime_ns": GROUP.mtime_ns + 999_999_999}, True),
            ({"mtime_ns": GROUP.mtime_ns - 999_999_999}, True),
            ({"mtime_ns": GROUP.mtime_ns + 1_000_000_000}, False),
            ({"size_bytes": GROUP.size + 1}, False),
        ],
    )
    def test_of_another_size_or_time_they_say_nothing(
        self, changes: dict[str, object], counts: bool
    ) -> None:
        """Mounts round times up to a second; anything more is another file."""
        assert bool(readings_of(GROUP, {"files": [row(**changes)]})) is counts

    @pytest.mark.parametrize(
        "data",
        [
            {},
            {"files": []},
            {"files": {}},
            {"files": [row()], "more": 1},
            {"files": [1]},
            {"files": [row(name=1)]},
            {"files": [row(size_bytes="1")]},
            {"files": [row(size_bytes=True)]},
            {"files": [row(mtime_ns=1.5)]},
            {"files": [row(digest=None)]},
            {"files": [row(problem="no")]},
            {"files": [row(digest="sha256:00")]},
            {"files": [row(digest=ONE.upper())]},
            {"files": [row(digest=7)]},
        ],
    )
    def test_what_is_malformed_is_refused(self, data: dict[str, object]) -> None:
        """Nothing is guessed."""
        with pytest.raises(ValidationFailed):
            readings_of(GROUP, data)

    def test_a_file_that_could_not_be_read_has_a_reason(self) -> None:
        """And no digest."""
        rows = [row(digest=None, problem="input/output error")]
        (reading,) = readings_of(GROUP, {"files": rows})
        assert (reading.digest, reading.problem) == (None, "input/output error")


class TestTheList:
    """What ``sha256sum --check`` reads."""

    @given(
        st.text(
            st.characters(exclude_categories=["Cs"], exclude_characters="/\0"),
            min_size=1,
            max_size=20,
        )
    )
    def test_a_line_is_a_line(self, name: str) -> None:
        """However many a name has in it."""
        line = checksum_line(f"INBOX/{name}", ONE)
        assert line.count("\n") == 1
        assert line.endswith("\n")
        assert line.startswith("\\") == bool(set(name) & set("\\\n\r"))

    def test_the_real_program_reads_it(self, tmp_path: Path) -> None:
        """Names with quotes, backslashes, newlines, returns, spaces at both ends and emoji."""
        names = (
            "plain",
            " lead",
            "trail ",
            "a\nb",
            "a\\nb",
            "\\",
            "a\rb",
            "🏖️",
            "-c",
            "*star",
            "'\"",
        )
        for name in names:
            (tmp_path / name).write_text(name)
        listed = "".join(checksum_line(name, digest(name)) for name in names)
        check = ["sha256sum", "--check", "--strict", "--quiet"]
        done = subprocess.run(
            check, cwd=tmp_path, input=listed, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@given(st.text(max_size=80))
def test_a_digest_is_sha256_in_lower_case(text: str) -> None:
    """Anything else is refused."""
    assert parse_digest(ONE) == ONE
    if text != ONE:
        with pytest.raises(ValidationFailed):
            parse_digest(text)


def test_folders_are_no_part_of_a_role() -> None:
    """Where a group lies says nothing about its files."""
    moved = renamed(GROUP, "A001")
    assert folder_of(moved.path) != folder_of(GROUP.path)
    assert isinstance(noted(None, moved, [], BY, START), Fixity)
