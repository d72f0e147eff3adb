"""Sidecars that a person attached (domain.md, *Sidecars*): a person's word stands."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.assets import Asset
from retaia_core.domain.attachments import (
    News,
    attached,
    by_person,
    detached,
    followed,
    news,
    parents_by_person,
    seen_again,
)
from retaia_core.domain.identifiers import RelPath, folder_of, name_of
from retaia_core.domain.lifecycle import State
from retaia_core.domain.moves import DiskFile
from retaia_core.domain.sidecars import BY_PERSON
from retaia_core.errors import NotFound, Purged, StateConflict, ValidationFailed
from retaia_core.testing import samples, strategies
from retaia_core.testing.clock import START

FILE = DiskFile(size=7, mtime_ns=9)
NAMES = st.sampled_from(["A.xmp", "a.XMP", "b.srt", "other.lrf", "🎬.xmp"])
OPEN = [state for state in State if state not in (State.PURGED, State.MOVE_QUEUED)]


def beside(asset: Asset, name: str) -> RelPath:
    """A path in an asset's folder."""
    folder = folder_of(asset.path)
    return RelPath(f"{folder}/{name}" if folder else name)


def an_asset(state: State = State.DECISION_PENDING) -> Asset:
    return samples.asset(1, path=RelPath("INBOX/day/A.jpg"), state=state)


class TestAttaching:
    """One group lies in one folder, and is closed while it moves and once it is purged."""

    @given(strategies.assets(), NAMES)
    def test_attach_and_detach_is_nothing(self, asset: Asset, name: str) -> None:
        """Where it is allowed at all, taking back what was attached leaves the asset as it was."""
        path = beside(asset, name)
        if asset.state not in OPEN or path in {s.path for s in asset.sidecars} | {asset.path}:
            return
        after = attached(asset, path, FILE, START)
        mine = {s.path: s.rule for s in after.sidecars}
        assert mine[path] == BY_PERSON
        assert mine.items() >= {(s.path, s.rule) for s in asset.sidecars}
        back = detached(after, path, START)
        assert set(back.sidecars) == set(asset.sidecars)
        assert evolve(back, sidecars=(), updated_at=START) == evolve(
            asset, sidecars=(), updated_at=START
        )

    @pytest.mark.parametrize(
        ("state", "error"), [(State.MOVE_QUEUED, StateConflict), (State.PURGED, Purged)]
    )
    def test_a_closed_group(self, state: State, error: type[Exception]) -> None:
        """It is refused while it moves, and for ever once it is purged."""
        asset = an_asset(state)
        with pytest.raises(error):
            attached(asset, beside(asset, "b.xmp"), FILE, START)
        with pytest.raises(error):
            detached(asset, "INBOX/day/b.xmp", START)

    @pytest.mark.parametrize("path", ["INBOX/b.xmp", "INBOX/day/in/b.xmp", "b.xmp"])
    def test_another_folder(self, path: str) -> None:
        """A group lies in one."""
        with pytest.raises(ValidationFailed):
            attached(an_asset(), RelPath(path), FILE, START)

    def test_only_a_persons_word_is_taken_back(self) -> None:
        """What a rule attached has its name for it, and what was never attached is not found."""
        asset = evolve(an_asset(), sidecars=(samples.sidecar("INBOX/day/A.xmp"),))
        with pytest.raises(StateConflict, match="rule"):
            detached(asset, "INBOX/day/A.xmp", START)
        with pytest.raises(NotFound):
            detached(asset, "INBOX/day/b.xmp", START)


class TestScans:
    """A scan keeps what a person attached, and says what became of the file."""

    @given(strategies.assets(), st.sets(NAMES), st.sets(NAMES), st.sets(NAMES))
    def test_nothing_that_a_person_said_is_lost(
        self, asset: Asset, said: set[str], there: set[str], hidden: set[str]
    ) -> None:
        """Every attachment stays: as it is seen, as it was where it is hidden, else as missing."""
        asset = evolve(asset, state=State.DECISION_PENDING, sidecars=())
        for name in sorted(said):
            asset = attached(asset, beside(asset, name), FILE, START)
        found = [evolve(s, size=8) for s in by_person(asset) if name_of(s.path) in there]
        unseen = {beside(asset, name) for name in hidden}
        after = seen_again(asset, found, unseen)
        assert {s.path for s in after} == {s.path for s in asset.sidecars}
        for sidecar in after:
            name = name_of(sidecar.path)
            assert (sidecar.size == 8) == (name in there)
            assert sidecar.missing == (name not in there and name not in hidden)
        told = dict(news(asset, evolve(asset, sidecars=after)))
        for sidecar in after:
            name = name_of(sidecar.path)
            wanted = News.CHANGED if name in there else News.MISSING
            assert told.get(sidecar.path) == (None if name in hidden - there else wanted)
        again = evolve(asset, sidecars=after)
        same = seen_again(again, [s for s in after if not s.missing], unseen)
        assert list(news(again, evolve(again, sidecars=same))) == [], "said once"

    def test_a_file_that_is_back(self) -> None:
        """Is told, and no longer missing."""
        asset = attached(an_asset(), RelPath("INBOX/day/b.xmp"), FILE, START)
        gone = evolve(asset, sidecars=seen_again(asset, ()))
        back = evolve(gone, sidecars=seen_again(gone, asset.sidecars))
        assert back.sidecars == asset.sidecars
        assert list(news(gone, back)) == [("INBOX/day/b.xmp", News.RETURNED)]

    def test_an_asset_that_was_moved_by_hand(self) -> None:
        """Keeps what lies beside it again; what does not is told to be left behind."""
        asset = an_asset()
        for name in ("b.xmp", "c.xmp"):
            asset = attached(asset, beside(asset, name), FILE, START)
        there = followed(asset, "INBOX/other", {"b.xmp": DiskFile(size=1, mtime_ns=2), "x": FILE})
        moved = evolve(asset, path=RelPath("INBOX/other/A.jpg"), sidecars=there)
        assert [(s.path, s.size, s.rule) for s in there] == [("INBOX/other/b.xmp", 1, BY_PERSON)]
        assert dict(news(asset, moved)) == {
            "INBOX/other/b.xmp": News.CHANGED,
            "INBOX/day/c.xmp": News.LEFT,
        }

    def test_parents_by_person(self) -> None:
        """By the sidecar's name, of this folder only."""
        asset = attached(an_asset(), RelPath("INBOX/day/b.xmp"), FILE, START)
        ruled = evolve(asset, sidecars=(*asset.sidecars, samples.sidecar("INBOX/day/A.xmp")))
        assert parents_by_person([ruled], "INBOX/day") == {"b.xmp": "A.jpg"}
        assert parents_by_person([ruled], "INBOX") == {}
