"""Names that obey a rule, and what is refused (domain.md, *Principles* 3)."""

from __future__ import annotations

import posixpath
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.identifiers import (
    asset_subject,
    folder_of,
    name_of,
    parse_asset_id,
    parse_capability,
    parse_name,
    parse_rel_path,
    parse_storage_id,
)
from retaia_core.errors import ValidationFailed
from retaia_core.testing import strategies

HOSTILE = [
    "",
    "/",
    "/etc/passwd",
    "//server/share",
    "\\\\server\\share",
    "\\windows",
    "C:\\windows",
    "c:/windows",
    "C:",
    "C:relative",
    "..",
    "../x",
    "a/..",
    "a/../b",
    "a/../../b",
    "a\\..\\b",
    "a/b\\..",
    "..\\x",
    ".",
    "./a",
    "a/.",
    "a/./b",
    "a//b",
    "a/",
    "a\0b",
    "\0",
    "a/\ud800",
]


class TestRelativePaths:
    """*Absolute paths, `..`, drive letters and NUL bytes never appear and are refused.*."""

    @pytest.mark.parametrize("raw", HOSTILE, ids=ascii)
    def test_what_leaves_the_root_is_refused(self, raw: str) -> None:
        """Each of these is refused with its field's name."""
        with pytest.raises(ValidationFailed) as caught:
            parse_rel_path(raw)
        assert caught.value.details["field"] == "path"

    @given(st.text("ab./\\:C\0 é", max_size=12))
    def test_what_is_accepted_stays_below_the_root(self, raw: str) -> None:
        """Whatever is accepted, joined to a root, does not leave it, however a system reads it."""
        try:
            path = parse_rel_path(raw)
        except ValidationFailed:
            return
        assert path == raw
        for spelling in (path, path.replace("\\", "/")):
            joined = posixpath.normpath(posixpath.join("/root", spelling))
            assert joined == "/root" or joined.startswith("/root/")
        assert "\0" not in path
        assert posixpath.normpath(path) == path

    @given(strategies.rel_paths())
    def test_odd_names_are_kept_as_they_are(self, path: str) -> None:
        """Newlines, emoji and decomposed accents are legal; a path is parsed to itself."""
        assert parse_rel_path(path) == path

    @given(strategies.rel_paths())
    def test_folder_and_name_make_the_path(self, path: str) -> None:
        """Taken apart and joined, a path is itself."""
        assert f"{folder_of(path)}/{name_of(path)}" == path
        assert (folder_of(name_of(path)), name_of(name_of(path))) == ("", name_of(path))


class TestAssetIds:
    """*A file is identified by its asset's UUID.*."""

    @given(st.uuids(), st.booleans())
    def test_they_are_canonical(self, uuid: UUID, upper: bool) -> None:
        """Any spelling of one UUID is the one canonical text."""
        text = str(uuid).upper() if upper else str(uuid)
        assert parse_asset_id(text) == parse_asset_id(f"{{{text}}}") == str(uuid)

    @pytest.mark.parametrize(
        "raw", ["", "x", "6f9619ff", "../../etc", "6f9619ff-8b86-d011-b42d-00cf4fc964fg"]
    )
    def test_anything_else_is_refused(self, raw: str) -> None:
        """What is no UUID is refused."""
        with pytest.raises(ValidationFailed):
            parse_asset_id(raw)

    def test_an_asset_is_a_subject(self) -> None:
        """Jobs, locks and events are about an asset by its kind and UUID."""
        subject = asset_subject(parse_asset_id("6f9619ff-8b86-d011-b42d-00cf4fc964ff"))
        assert str(subject) == "asset:6f9619ff-8b86-d011-b42d-00cf4fc964ff"


class TestStorageIds:
    """1 to 64 characters of ``A-Za-z0-9._-``."""

    @given(strategies.storage_ids())
    def test_good_ones_are_kept(self, storage_id: str) -> None:
        """A valid identity is parsed to itself."""
        assert parse_storage_id(storage_id) == storage_id

    @pytest.mark.parametrize("raw", ["", ".", "..", "-a", "a/b", "a b", "é", "a\n", "x" * 65])
    def test_bad_ones_are_refused(self, raw: str) -> None:
        """Nothing that could be a path, a flag or another line."""
        with pytest.raises(ValidationFailed):
            parse_storage_id(raw)


class TestCapabilities:
    """*A capability is `domain.function@major`: what an agent does, never how.*."""

    @pytest.mark.parametrize("raw", ["media.facts@1", "media.proxies.video@1", "a.b_c@12"])
    def test_good_ones_are_kept(self, raw: str) -> None:
        """A valid capability is parsed to itself."""
        assert parse_capability(raw) == raw

    @pytest.mark.parametrize(
        "raw",
        [
            *("", "media", "media@1", "media.facts", "media.facts@0", "media.facts@01"),
            *("Media.facts@1", "media.facts@1.2", "media..facts@1", ".facts@1"),
            *("media.facts@1\n", "media.facts@١"),
        ],
    )
    def test_bad_ones_are_refused(self, raw: str) -> None:
        """Domain, function and major version must all be there."""
        with pytest.raises(ValidationFailed):
            parse_capability(raw)


class TestNames:
    """Names of job types, profiles, derived kinds and rules."""

    @given(st.from_regex(r"[a-z][a-z0-9_]{0,63}", fullmatch=True))
    def test_good_ones_are_kept(self, raw: str) -> None:
        """A valid name is parsed to itself."""
        assert parse_name(raw, "job type") == raw

    @pytest.mark.parametrize("raw", ["", "A", "1a", "a-b", "a b", "é", "a" * 65, "a\n", "_a"])
    def test_bad_ones_are_refused(self, raw: str) -> None:
        """Anything else is refused, and what it should have been is named."""
        with pytest.raises(ValidationFailed, match="job type"):
            parse_name(raw, "job type")
