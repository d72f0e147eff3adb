"""What a scan's sightings mean (domain.md, *Discovery* and *State machine*)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from attrs import evolve, frozen
from hypothesis import assume, given
from hypothesis import strategies as st

from retaia_core.domain.assets import Asset, Flag
from retaia_core.domain.discovery import (
    QUIET_PERIOD,
    Arrival,
    Changes,
    Noted,
    SeenFile,
    Skip,
    any_skipped,
    match_moves,
    miss,
    moved_by_hand,
    reconcile,
    sight,
    skip_reason,
)
from retaia_core.domain.identifiers import RelPath
from retaia_core.domain.lifecycle import State
from retaia_core.testing import strategies
from retaia_core.testing.clock import START
from retaia_core.testing.samples import after, asset, asset_id

QUIET = QUIET_PERIOD
OLD = int((START - timedelta(days=1)).timestamp()) * 10**9
"""An mtime that the quiet period is long over for."""


def seen_as(one: Asset, **changes: object) -> SeenFile:
    """The file of an asset, as the asset knows it."""
    values = {"path": one.path, "size": one.size, "mtime_ns": one.mtime_ns}
    return SeenFile(**values | changes)  # type: ignore[arg-type]


def look(
    one: Asset, *, now: datetime = START, **changes: object
) -> tuple[Asset, tuple[Noted, ...]]:
    """See an asset's file again."""
    finding = sight(one, seen_as(one, **changes), now=now, quiet=QUIET)
    return finding.asset, finding.noted


class TestStability:
    """*Stable: same size on 2 consecutive scans and mtime older than the quiet period (300 s).*."""

    def test_the_second_equal_sighting_makes_it_ready(self) -> None:
        """One sighting is never enough; the second is, where the file was left alone."""
        one = asset(mtime_ns=OLD, sightings=1)
        ready, noted = look(one)
        assert (ready.state, noted) == (State.READY, (Noted.STABLE,))
        assert ready.state_since == START

    @pytest.mark.parametrize("age", [0, 299, 300, 301])
    def test_the_quiet_period_is_300_seconds(self, age: int) -> None:
        """A file is quiet from 300 s after its mtime on, not before."""
        mtime = int((START - timedelta(seconds=age)).timestamp() * 1e6) * 1000
        found, _ = look(asset(mtime_ns=mtime, sightings=2))
        assert (found.state is State.READY) is (age >= 300)

    @given(st.integers(-(10**9), 10**9), st.integers(1, 3), st.booleans())
    def test_no_file_is_ready_before_both_hold(self, age_s: int, scans: int, same: bool) -> None:
        """However often a file is seen: without two equal sightings and quiet it stays DISCOVERED."""
        mtime = int(START.timestamp() - age_s) * 10**9
        one = asset(mtime_ns=mtime, sightings=1, updated_at=START)
        for n in range(scans):
            size = one.size if same else one.size + n + 1
            one, _ = look(one, size=size)
        quiet = age_s >= 300
        assert (one.state is State.READY) is (same and quiet)
        assert 1 <= one.sightings <= 2

    def test_a_change_starts_the_count_again(self) -> None:
        """*If the main file's size or mtime changed while `DISCOVERED`, the count starts again.*."""
        one = asset(mtime_ns=OLD, sightings=2)
        for size, mtime in ((9, OLD), (one.size, OLD + 1)):
            grown, noted = look(one, size=size, mtime_ns=mtime)
            assert (grown.sightings, grown.state, noted) == (1, State.DISCOVERED, (Noted.SIGHTED,))
            assert look(grown)[0].state is State.READY

    @pytest.mark.parametrize("ahead", [3600, 10**9, 80 * 365 * 86400, 10**11])
    def test_a_clock_ahead_of_ours_counts_from_when_we_saw_it(self, ahead: int) -> None:
        """A file dated in the future, by an hour or by a century, becomes ready all the same."""
        mtime = int(START.timestamp() + ahead) * 10**9
        one, noted = look(asset(mtime_ns=mtime), now=after(200))
        assert noted == (Noted.SIGHTED,)
        assert look(one, now=after(299))[0].state is State.DISCOVERED
        assert look(one, now=after(301))[0].state is State.READY

    def test_a_file_from_before_1970_is_old(self) -> None:
        """A negative mtime is a time like any other."""
        assert look(asset(mtime_ns=-(10**18)))[0].state is State.READY


class TestChanges:
    """*If it changed later, the asset is flagged `changed` and the person is offered a reprocess.*."""

    @given(
        strategies.standing_assets(
            st.sampled_from([s for s in State if s not in (State.DISCOVERED, State.PURGED)])
        ),
        strategies.sizes(),
        strategies.mtimes(),
    )
    def test_a_change_is_a_flag_and_nothing_else(self, one: Asset, size: int, mtime: int) -> None:
        """State, verdict and results stay; size and mtime are the new ones; the fingerprint goes."""
        assume((size, mtime) != (one.size, one.mtime_ns))
        found, noted = look(one, size=size, mtime_ns=mtime)
        assert Noted.CHANGED in noted
        assert found.flags == (one.flags | {Flag.CHANGED}) - {Flag.MISSING}
        assert found == evolve(
            one,
            size=size,
            mtime_ns=mtime,
            sightings=1,
            updated_at=START,
            fingerprint=None,
            flags=found.flags,
        )

    def test_a_replaced_file_of_an_unprocessable_asset_starts_anew(self) -> None:
        """*A person may … replace the file (a change, seen by the scan)*: once stable, work begins again."""
        broken = asset(
            state=State.READY,
            mtime_ns=OLD,
            sightings=2,
            flags=frozenset({Flag.UNPROCESSABLE}),
            fingerprint="old",
            facts={"width": 1},
        )
        replaced, noted = look(broken, size=5)
        assert noted == (Noted.CHANGED,)
        again, noted = look(replaced)
        assert noted == (Noted.REPLACED,)
        assert again.flags == frozenset()
        assert (again.review_version, again.facts, again.fingerprint) == (2, {}, None)
        assert look(again)[1] == (Noted.SAME,)

    @given(strategies.standing_assets())
    def test_an_equal_sighting_of_a_settled_asset_changes_nothing(self, one: Asset) -> None:
        """Beyond DISCOVERED, an unchanged file is the very same asset."""
        assume(one.state is not State.DISCOVERED and Flag.MISSING not in one.flags)
        assume(not {Flag.CHANGED, Flag.UNPROCESSABLE} <= one.flags)
        assert look(one) == (one, (Noted.SAME,))


class TestMissing:
    """*The asset is flagged `missing` (not a state, nothing deleted) and unflagged when seen again.*."""

    @given(strategies.standing_assets())
    def test_missing_is_only_a_flag(self, one: Asset) -> None:
        """Nothing but the flag and the time changes, whatever the state."""
        finding = miss(one, START)
        there_already = Flag.MISSING in one.flags
        if there_already or one.state in (State.PURGED, State.MOVE_QUEUED):
            assert (finding.asset, finding.noted) == (one, (Noted.SAME,))
        else:
            flags = one.flags | {Flag.MISSING}
            assert finding.asset == evolve(one, flags=flags, updated_at=START)
            assert finding.noted == (Noted.MISSING,)

    @given(strategies.standing_assets(st.sampled_from([State.READY, State.ARCHIVED])))
    def test_coming_back_drops_it(self, one: Asset) -> None:
        """Missed and then seen unchanged, an asset is as before but for the time."""
        assume(not {Flag.CHANGED, Flag.UNPROCESSABLE} <= one.flags)
        assume(Flag.MISSING not in one.flags)
        back, noted = look(miss(one, START).asset, now=after(5))
        assert noted[0] is Noted.RETURNED
        assert back == evolve(one, updated_at=after(5))

    def test_missing_twice_is_missing_once(self) -> None:
        """A second scan without the file notes nothing new."""
        once = miss(asset(), START).asset
        assert miss(once, after(9)).asset == once


@frozen
class World:
    """What is known, and what a scan saw."""

    known: list[Asset]
    arrived: list[Arrival]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Few paths, sizes, times and fingerprints, so that files vanish, appear and look alike."""
    paths = [RelPath(f"INBOX/{name}.mov") for name in "abcdef"]
    shapes = st.tuples(st.sampled_from([1, 2]), st.sampled_from([OLD, OLD + 1]))
    prints = st.sampled_from([None, "fp-1", "fp-2"])
    known = []
    for n, path in enumerate(draw(st.lists(st.sampled_from(paths), unique=True)), start=1):
        size, mtime = draw(shapes)
        state = draw(st.sampled_from(State))
        known.append(
            asset(
                n,
                path=path,
                size=size,
                mtime_ns=mtime,
                fingerprint=draw(prints),
                state=state,
                verdict=strategies.verdict_in(state),
                sightings=draw(st.integers(1, 2)),
                flags=draw(st.frozensets(st.sampled_from(Flag), max_size=2)),
            )
        )
    arrived = []
    for path in draw(st.lists(st.sampled_from(paths), unique=True)):
        size, mtime = draw(shapes)
        seen = SeenFile(path=path, size=size, mtime_ns=mtime)
        arrived.append(Arrival(seen=seen, fingerprint=draw(prints)))
    return World(known, arrived)


def scan(world: World, now: datetime = START) -> Changes:
    """Compare what is known with what was seen."""
    return reconcile(world.known, world.arrived, now=now)


def living(assets: Sequence[Asset]) -> list[Asset]:
    """Those that were not purged."""
    return [one for one in assets if one.state is not State.PURGED]


class TestReconcile:
    """The laws of a scan as a whole."""

    @given(worlds())
    def test_no_asset_is_lost_and_every_uuid_is_kept(self, world: World) -> None:
        """There is one finding for each known asset, about that asset."""
        found = [finding.asset.uuid for finding in scan(world).findings]
        assert sorted(found) == sorted(one.uuid for one in world.known)

    @given(worlds())
    def test_every_file_is_accounted_for_once(self, world: World) -> None:
        """Each file seen is a known asset's, or was moved by hand, or is new."""
        changes = scan(world)
        kept = {one.path for one in living(world.known)}
        moved = {f.asset.path for f in changes.findings if Noted.MOVED in f.noted}
        new = {seen.path for seen in changes.new}
        arrived = {arrival.seen.path for arrival in world.arrived}
        assert new | moved | (arrived & kept) == arrived
        assert not new & moved
        assert not (new | moved) & kept
        assert set(changes.ambiguous) <= new

    @given(worlds())
    def test_no_two_assets_share_a_path(self, world: World) -> None:
        """After a scan, the paths of living assets are as different as before it."""
        paths = [one.path for one in living([f.asset for f in scan(world).findings])]
        assert len(set(paths)) == len(paths)

    @given(worlds())
    def test_the_order_of_what_is_seen_does_not_matter(self, world: World) -> None:
        """Read backwards, the same world has the same changes."""
        other = World(world.known[::-1], world.arrived[::-1])

        def by_uuid(changes: Changes) -> dict[str, object]:
            return {finding.asset.uuid: finding for finding in changes.findings}

        assert by_uuid(scan(world)) == by_uuid(scan(other))
        assert set(scan(world).new) == set(scan(other).new)
        assert scan(world).ambiguous == scan(other).ambiguous

    @given(worlds())
    def test_a_second_look_at_an_unchanged_world_only_counts_sightings(self, world: World) -> None:
        """Nothing is found twice: at most a file becomes stable."""
        once = [finding.asset for finding in scan(world).findings]
        paths = {one.path for one in living(once)}
        still = [arrival for arrival in world.arrived if arrival.seen.path in paths]
        quiet = {Noted.SAME, Noted.SIGHTED, Noted.STABLE, Noted.REPLACED}
        for _ in range(4):
            again = scan(World(once, still))
            assert again.new == ()
            assert {noted for f in again.findings for noted in f.noted} <= quiet
            once = [finding.asset for finding in again.findings]
        at_rest = scan(World(once, still))
        assert {finding.noted for finding in at_rest.findings} <= {(Noted.SAME,)}

    @given(worlds())
    def test_the_state_moves_by_becoming_ready_alone(self, world: World) -> None:
        """A scan takes no other step of the state machine, and decides nothing."""
        before = {one.uuid: one for one in world.known}
        for finding in scan(world).findings:
            old, new = before[finding.asset.uuid], finding.asset
            assert new.state is old.state or (old.state, new.state) == (
                State.DISCOVERED,
                State.READY,
            )
            assert (new.verdict, new.decisions) == (old.verdict, old.decisions)

    @given(worlds())
    def test_purged_assets_are_left_alone(self, world: World) -> None:
        """A purged asset never changes, and hides no new file at its old path."""
        changes = scan(world)
        for one in world.known:
            if one.state is State.PURGED:
                assert one in [finding.asset for finding in changes.findings]
        without = scan(World(living(world.known), world.arrived))
        assert (without.new, without.ambiguous) == (changes.new, changes.ambiguous)


class TestMovedByHand:
    """*Same size, mtime and quick content fingerprint, old path gone: the same asset.*."""

    def test_its_uuid_is_kept_and_the_history_grows(self) -> None:
        """The asset has its new path, remembers the old one, and is missing no more."""
        one = asset(fingerprint="fp", flags=frozenset({Flag.MISSING}), state=State.READY)
        target = RelPath("INBOX/elsewhere/A.mov")
        changes = reconcile(
            [one], [Arrival(seen=seen_as(one, path=target), fingerprint="fp")], now=START
        )
        assert changes.new == ()
        [finding] = changes.findings
        assert finding.noted == (Noted.MOVED,)
        assert (finding.asset.uuid, finding.asset.path) == (one.uuid, target)
        assert finding.asset.flags == frozenset()
        [left] = finding.asset.path_history
        assert (left.path, left.cause) == (one.path, "moved_by_hand")
        assert moved_by_hand(one, target, START) == finding

    @pytest.mark.parametrize(
        ("known", "size", "mtime", "arrived"),
        [
            ("fp", 1, 0, "fp"),
            ("fp", 0, 1, "fp"),
            ("fp", 0, 0, "other"),
            ("fp", 0, 0, None),
            (None, 0, 0, "fp"),
            (None, 0, 0, None),
            ("", 0, 0, ""),
        ],
    )
    def test_anything_that_differs_is_a_new_file(
        self, known: str | None, size: int, mtime: int, arrived: str | None
    ) -> None:
        """Another size, mtime or fingerprint, or none, proves nothing."""
        one = asset(fingerprint=known)
        seen = SeenFile(
            path=RelPath("INBOX/new.mov"), size=one.size + size, mtime_ns=one.mtime_ns + mtime
        )
        changes = reconcile([one], [Arrival(seen=seen, fingerprint=arrived)], now=START)
        assert changes.new == (seen,)
        assert Flag.MISSING in changes.findings[0].asset.flags

    def test_a_copy_is_no_move(self) -> None:
        """While the old path is there, an equal file is another asset."""
        one = asset(fingerprint="fp")
        copy = seen_as(one, path=RelPath("INBOX/copy.mov"))
        arrived = [Arrival(seen=each, fingerprint="fp") for each in (seen_as(one), copy)]
        changes = reconcile([one], arrived, now=START)
        assert changes.new == (copy,)
        assert changes.ambiguous == ()

    @given(st.integers(0, 3), st.integers(0, 3))
    def test_where_two_candidates_fit_nothing_is_guessed(self, gone: int, come: int) -> None:
        """Only one against one is a move; otherwise each arrival is named as ambiguous."""
        assets = [
            asset(n, size=1, mtime_ns=OLD, fingerprint="fp", path=RelPath(f"INBOX/{n}.mov"))
            for n in range(gone)
        ]
        arrivals = [
            Arrival(
                seen=SeenFile(path=RelPath(f"INBOX/new{n}.mov"), size=1, mtime_ns=OLD),
                fingerprint="fp",
            )
            for n in range(come)
        ]
        matches = match_moves(assets, arrivals)
        if gone == come == 1:
            assert matches.moved == {"INBOX/new0.mov": asset_id(0)}
            assert matches.ambiguous == ()
        else:
            assert matches.moved == {}
            assert len(matches.ambiguous) == (come if gone else 0)

    @given(worlds())
    def test_a_move_is_proven_by_all_three(self, world: World) -> None:
        """Whatever is matched agrees in size, mtime and fingerprint, and is matched once."""
        gone = [one for one in world.known if one.fingerprint]
        matches = match_moves(gone, world.arrived)
        by_uuid = {one.uuid: one for one in gone}
        by_path = {arrival.seen.path: arrival for arrival in world.arrived}
        for path, uuid in matches.moved.items():
            one, arrival = by_uuid[uuid], by_path[path]
            assert (one.size, one.mtime_ns) == (arrival.seen.size, arrival.seen.mtime_ns)
            assert one.fingerprint == arrival.fingerprint
        assert len(set(matches.moved.values())) == len(matches.moved)


ODD_NAMES = [
    *(".hidden.mov", "._A001.MOV", ".DS_Store", "Thumbs.db", "@eaDir", "lost+found", "a.mov"),
    *("a.mov.PART", "a.partial", "a.crdownload", "a.download", "a.mov~", "a.tmp", "a.FilePart"),
    *("part.mov", "desktop.ini", "İ.part", "~"),
]


class TestSkipped:
    """*Hidden files, temporary copies (`.part`, `.crdownload`, `~`, `._*`, `.DS_Store`, …) are skipped.*."""

    @pytest.mark.parametrize(
        "name", [".hidden.mov", "._A001.MOV", ".DS_Store", "Thumbs.db", ".retaia", "@eaDir"]
    )
    def test_hidden(self, name: str) -> None:
        """A leading dot, and what systems leave about."""
        assert skip_reason(name) is Skip.HIDDEN

    @pytest.mark.parametrize(
        "name", ["a.mov.part", "a.mov.PART", "a.mov.crdownload", "a.mov~", "a.tmp", "a.partial"]
    )
    def test_temporary(self, name: str) -> None:
        """What is still being copied or downloaded, in any case."""
        assert skip_reason(name) is Skip.TEMPORARY

    @given(st.lists(strategies.media_names() | st.sampled_from(ODD_NAMES), max_size=5))
    def test_the_quick_look_misses_none(self, names: list[str]) -> None:
        """Where the look at many names says that none is skipped, none is."""
        assert any_skipped(names) or not any(map(skip_reason, names))
        assert not any_skipped([name for name in names if name in ("a.mov", "part.mov")])

    @given(strategies.media_names())
    def test_media_is_not(self, name: str) -> None:
        """No name of a media file is skipped for its name."""
        assert skip_reason(name) is None
