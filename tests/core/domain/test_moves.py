"""The laws of the plan of a batch (domain.md, *Batch moves*)."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

import pytest
from attrs import evolve, frozen
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.assets import Asset, Flag
from retaia_core.domain.identifiers import RelPath, StorageId, folder_of, name_of
from retaia_core.domain.lifecycle import State, Verdict
from retaia_core.domain.moves import (
    BlockReason,
    DiskFile,
    MovePlan,
    PlannedMove,
    Planner,
    World,
    candidate_of,
    group_paths,
    in_order,
    plan_moves,
    plan_of,
    same_name,
    target_folder,
)
from retaia_core.domain.naming import ATTEMPTS, nonce, renamed, stem_of
from retaia_core.domain.storage import Layout
from retaia_core.testing import strategies
from retaia_core.testing.samples import NAS, asset, asset_id, sidecar

OTHER = StorageId("other")
NAMES = ("A.mov", "a.MOV", "B.mov", "\u00e9.mov", "e\u0301.mov", "🎬\n.mov")
UNDECIDED: dict[str, Any] = {"state": State.READY}
FOLDERS = (
    "INBOX",
    "INBOX/day 1",
    "INBOX/Day 1",
    "ARCHIVE",
    "ARCHIVE/day 1",
    "REJECTS",
    "REJECTS/x",
)
KEPT: dict[str, Any] = {"state": State.DECIDED_KEEP, "verdict": Verdict.KEEP}
REJECTED: dict[str, Any] = {"state": State.DECIDED_REJECT, "verdict": Verdict.REJECT}


def disk_of(assets: Iterable[Asset]) -> dict[tuple[StorageId, str], DiskFile]:
    """The files of some groups, as the assets know them."""
    disk = {}
    for one in assets:
        disk[one.storage_id, str(one.path)] = DiskFile(size=one.size, mtime_ns=one.mtime_ns)
        for each in one.sidecars:
            file = DiskFile(size=each.size, mtime_ns=each.mtime_ns)
            disk[one.storage_id, str(each.path)] = file
    return disk


def world_of(assets: Iterable[Asset], *others: str, **changes: Any) -> World:
    """A world in which every file is where it should be, and others stand about."""
    disk = disk_of(assets)
    taken: dict[tuple[StorageId, str], set[str]] = {}
    for storage_id, path in [*disk, *((NAS, path) for path in others)]:
        taken.setdefault((storage_id, folder_of(path)), set()).add(name_of(path))
    values: dict[str, Any] = {
        "files": disk,
        "taken": {key: frozenset(names) for key, names in taken.items()},
        "layouts": {NAS: Layout(), OTHER: Layout()},
    }
    return World(**values | changes)


def group(n: int, path: str, **changes: Any) -> Asset:
    """A decided asset with a sidecar in either style."""
    stem = stem_of(name_of(path))
    mate = sidecar(f"{folder_of(path)}/{stem}.srt", size=n)
    return asset(n, path=RelPath(path), **{"sidecars": (mate,), **KEPT, **changes})


@frozen
class Case:
    """Assets in a world, both drawn."""

    assets: list[Asset]
    world: World


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Few names in few folders, so that groups collide with each other and with what stands there."""
    places = draw(
        st.lists(
            st.tuples(
                st.sampled_from([NAS, OTHER]), st.sampled_from(FOLDERS), st.sampled_from(NAMES)
            ),
            unique=True,
            max_size=8,
        )
    )
    assets = []
    for n, (storage_id, folder, name) in enumerate(places, start=1):
        decided = draw(st.sampled_from([KEPT, REJECTED, KEPT, REJECTED, UNDECIDED]))
        flags = draw(st.sampled_from([(), (), (), (Flag.PARKED,), (Flag.CHANGED,)]))
        mates = draw(st.sampled_from([(), (f"{stem_of(name)}.srt",), (f"{name}.xmp",)]))
        one = asset(
            n,
            storage_id=storage_id,
            path=RelPath(f"{folder}/{name}"),
            flags=frozenset(flags),
            sidecars=tuple(sidecar(f"{folder}/{mate}") for mate in mates),
            **decided,
        )
        assets.append(one)
    strangers = draw(
        st.lists(st.tuples(st.sampled_from(FOLDERS), st.sampled_from(NAMES)), max_size=4)
    )
    world = world_of(assets, *(f"{folder}/{name}" for folder, name in strangers))
    lost = draw(st.sets(st.sampled_from(sorted(world.files)), max_size=1)) if world.files else set()
    files = {key: file for key, file in world.files.items() if key not in lost}
    locked = {one.uuid: "held" for one in assets if draw(st.integers(0, 9)) == 0}
    offline = draw(st.sampled_from([{}, {}, {OTHER: "no marker"}]))
    return Case(assets, evolve(world, files=files, locked=locked, offline=offline))


def plan(case: Case) -> MovePlan:
    """Plan the moves of a case."""
    return plan_moves(case.assets, case.world)


def by_uuid(case: Case) -> dict[str, Asset]:
    """The assets of a case."""
    return {one.uuid: one for one in case.assets}


def real(moves: Iterable[PlannedMove]) -> list[tuple[StorageId, RelPath, RelPath]]:
    """Every file that a plan moves: its storage, source and target."""
    return [
        (move.storage_id, file.source, file.target)
        for move in moves
        for file in move.files
        if file.source != file.target
    ]


class TestEligibility:
    """*Eligible: `DECIDED_KEEP`, `DECIDED_REJECT`*; a preview lists *what is blocked and why*."""

    @given(cases())
    def test_every_asset_is_planned_or_blocked(self, case: Case) -> None:
        """One or the other, exactly once; only decided assets are planned."""
        made = plan(case)
        listed = [move.asset for move in made.moves] + [block.asset for block in made.blocked]
        assert sorted(listed) == sorted(one.uuid for one in case.assets)
        assets = by_uuid(case)
        for move in made.moves:
            assert assets[move.asset].state in (State.DECIDED_KEEP, State.DECIDED_REJECT)
            assert move.verdict is assets[move.asset].verdict
        for block in made.blocked:
            assert block.message
            assert block.path == assets[block.asset].path

    @pytest.mark.parametrize("state", State)
    def test_any_other_state_is_blocked(self, state: State) -> None:
        """Whatever else an asset is, it stays where it is, and its state is named."""
        one = asset(state=state, verdict=strategies.verdict_in(state))
        made = plan_moves([one], world_of([one]))
        if state in (State.DECIDED_KEEP, State.DECIDED_REJECT):
            assert len(made.moves) == 1
        else:
            [block] = made.blocked
            assert (block.reason, state.value in block.message) == (BlockReason.NOT_DECIDED, True)

    def test_each_hindrance_has_its_reason(self) -> None:
        """Offline, parked, locked, missing, changed: each is said by its own name."""
        one = group(1, "INBOX/A.mov")
        key, mate = (NAS, "INBOX/A.mov"), (NAS, "INBOX/A.srt")
        files = disk_of([one])
        other = DiskFile(size=1, mtime_ns=1)
        hindrances: list[tuple[BlockReason, Asset, dict[str, Any]]] = [
            (BlockReason.STORAGE_OFFLINE, one, {"offline": {NAS: "no marker"}}),
            (BlockReason.PARKED, evolve(one, flags=frozenset({Flag.PARKED})), {}),
            (BlockReason.LOCKED, one, {"locked": {one.uuid: "held"}}),
            (BlockReason.MISSING, one, {"files": {mate: files[mate]}}),
            (BlockReason.MISSING, one, {"files": {key: files[key]}}),
            (BlockReason.SOURCE_CHANGED, one, {"files": {**files, key: other}}),
            (BlockReason.SOURCE_CHANGED, one, {"files": {**files, mate: other}}),
        ]
        for reason, blocked, changes in hindrances:
            made = plan_moves([blocked], world_of([one], **changes))
            assert made.moves == ()
            assert [block.reason for block in made.blocked] == [reason]

    def test_an_odd_asset_is_moved_with_a_warning(self) -> None:
        """A file that changed, or was waived, is moved all the same; the person reads it before."""
        one = group(1, "INBOX/A.mov", flags=frozenset({Flag.CHANGED, Flag.UNPROCESSABLE}))
        [move] = plan_moves([one], world_of([one])).moves
        assert len(move.warnings) == 2


class TestTargets:
    """*INBOX → ARCHIVE for KEEP, → REJECTS for REJECT; relative sub-folders kept.*."""

    @given(cases())
    def test_the_verdict_chooses_the_top_and_the_sub_folder_stays(self, case: Case) -> None:
        """The whole group goes to one folder: the top of the verdict, and what was below the old top."""
        assets = by_uuid(case)
        for move in plan(case).moves:
            one = assets[move.asset]
            top = "ARCHIVE" if one.verdict is Verdict.KEEP else "REJECTS"
            inner = folder_of(one.path).partition("/")[2]
            expected = f"{top}/{inner}" if inner else top
            assert {folder_of(file.target) for file in move.files} == {expected}

    @given(cases())
    def test_groups_are_whole(self, case: Case) -> None:
        """The original first, then every sidecar, each with the size and mtime that it must have."""
        assets = by_uuid(case)
        for move in plan(case).moves:
            one = assets[move.asset]
            assert tuple(file.source for file in move.files) == group_paths(one)
            assert [file.role for file in move.files] == ["original"] + ["sidecar"] * len(
                one.sidecars
            )
            for file in move.files:
                there = case.world.files[move.storage_id, file.source]
                assert (file.size, file.mtime_ns) == (there.size, there.mtime_ns)
            assert move.size_bytes == sum(file.size for file in move.files)

    @given(strategies.layouts(), strategies.rel_paths("TOP"), st.sampled_from([KEPT, REJECTED]))
    def test_any_layout(self, layout: Layout, path: RelPath, decided: dict[str, Any]) -> None:
        """From the inbox, the archive or the rejects of any layout, the sub-folder is kept."""
        below = path.partition("/")[2]
        top = layout.archive if decided is KEPT else layout.rejects
        tops = [layout.archive, layout.rejects]
        if layout.inbox != ".":
            tops.append(RelPath(layout.inbox))
        for source in tops:
            one = asset(path=RelPath(f"{source}/{below}"), **decided)
            inner = folder_of(below)
            assert target_folder(one, layout) == (f"{top}/{inner}" if inner else top)

    def test_the_whole_root_as_the_inbox(self) -> None:
        """With ``.`` as the inbox a file's whole folder is its sub-folder."""
        layout = Layout(inbox=".")
        assert target_folder(asset(path=RelPath("A.mov"), **KEPT), layout) == "ARCHIVE"
        deep = asset(path=RelPath("day 1/card/A.mov"), **REJECTED)
        assert target_folder(deep, layout) == "REJECTS/day 1/card"


class TestNoNameIsTakenTwice:
    """*No file is ever overwritten*; *a name is taken if any member of the group would collide.*."""

    @given(cases())
    def test_targets_are_unique_to_a_careful_file_server(self, case: Case) -> None:
        """No two files of a plan get names that are one without case and accents' form."""
        targets = [
            (storage_id, folder_of(target), same_name(name_of(target)))
            for storage_id, _, target in real(plan(case).moves)
        ]
        assert len(set(targets)) == len(targets)

    @given(cases())
    def test_a_taken_name_is_never_a_target(self, case: Case) -> None:
        """Nothing is planned onto what stands in the target folder, in any spelling."""
        for storage_id, _, target in real(plan(case).moves):
            names = case.world.taken.get((storage_id, folder_of(target)), frozenset())
            assert same_name(name_of(target)) not in {same_name(name) for name in names}

    @given(cases())
    def test_a_group_is_renamed_whole_or_not_at_all(self, case: Case) -> None:
        """All members bear the nonce, which is one of the ten of this asset and folder, or none does."""
        assets = by_uuid(case)
        for move in plan(case).moves:
            one = assets[move.asset]
            folder = folder_of(move.files[0].target)
            marks = [nonce(one.uuid, folder, attempt) for attempt in range(ATTEMPTS)]
            assert move.nonce == "" or move.nonce in marks
            assert bool(move.nonce) is bool(move.collides_with)
            for file in move.files:
                name = name_of(file.source)
                wanted = renamed(name, stem_of(one.name), move.nonce) if move.nonce else name
                assert name_of(file.target) == wanted

    @given(cases())
    def test_a_free_name_is_kept(self, case: Case) -> None:
        """Where a group is renamed, a member's own name was really taken, or planned before it."""
        made = plan(case)
        planned = {(s, same_name(target)) for s, _, target in real(made.moves)}
        taken = {
            (storage_id, same_name(f"{folder}/{name}"))
            for (storage_id, folder), names in case.world.taken.items()
            for name in names
        }
        for move in made.collisions:
            for path in move.collides_with:
                assert (move.storage_id, same_name(path)) in planned | taken

    def test_a_sidecars_collision_renames_the_original(self) -> None:
        """One taken member is enough, in another case as well."""
        one = group(1, "INBOX/A.mov")
        for stranger in ("ARCHIVE/A.srt", "ARCHIVE/a.SRT", "ARCHIVE/A.mov"):
            [move] = plan_moves([one], world_of([one], stranger)).moves
            mark = nonce(one.uuid, "ARCHIVE", 0)
            assert [file.target for file in move.files] == [
                f"ARCHIVE/A__{mark}.mov",
                f"ARCHIVE/A__{mark}.srt",
            ]
            assert len(move.collides_with) == 1

    @pytest.mark.parametrize("others", range(ATTEMPTS + 1))
    def test_the_attempts_count_from_0(self, others: int) -> None:
        """The first free of ten names is taken; when all are, the group is blocked."""
        one = asset(path=RelPath("INBOX/A.mov"), **KEPT)
        marks = [nonce(one.uuid, "ARCHIVE", n) for n in range(ATTEMPTS)]
        strangers = [f"ARCHIVE/A__{mark}.mov" for mark in marks[:others]]
        made = plan_moves([one], world_of([one], "ARCHIVE/A.mov", *strangers))
        if others < ATTEMPTS:
            assert [move.nonce for move in made.moves] == [marks[others]]
        else:
            assert [b.reason for b in made.blocked] == [BlockReason.NAME_COLLISION_EXHAUSTED]

    def test_a_new_name_that_is_too_long_is_blocked(self) -> None:
        """No name of more than 255 bytes is planned; a name of exactly 255 is fine."""
        for letters, fits in ((243, True), (244, False)):
            one = asset(path=RelPath(f"INBOX/{'x' * letters}.mov"), **KEPT)
            made = plan_moves([one], world_of([one], f"ARCHIVE/{one.name}"))
            assert bool(made.moves) is fits
            if not fits:
                assert [b.reason for b in made.blocked] == [BlockReason.NAME_TOO_LONG]

    def test_a_blocked_group_takes_no_name(self) -> None:
        """What stays where it is stands in nobody's way."""
        stays, goes = group(1, "INBOX/A.mov"), group(2, "REJECTS/A.mov")
        world = world_of([stays, goes], locked={stays.uuid: "held"})
        [move] = plan_moves([stays, goes], world).moves
        assert (move.asset, move.nonce) == (goes.uuid, "")

    def test_an_asset_that_is_there_already_stays(self) -> None:
        """Reopened and kept again in the archive: the plan names it, and its target is its source."""
        one = group(1, "ARCHIVE/day 1/A.mov")
        [move] = plan_moves([one], world_of([one])).moves
        assert all(file.source == file.target for file in move.files)
        assert move.nonce == ""


class TestOnePlan:
    """*The plan is one value, made by one pure planner: its digest goes with the request.*."""

    @given(cases(), st.randoms(use_true_random=False))
    def test_the_order_of_the_selection_does_not_matter(self, case: Case, random: Random) -> None:
        """Equal inputs in any order make equal plans with equal digests."""
        shuffled = list(case.assets)
        random.shuffle(shuffled)
        other = plan(Case(shuffled, case.world))
        assert other == plan(case)
        assert other.digest == plan(case).digest

    @given(cases(), st.integers(0, 8))
    def test_parts_make_the_same_plan(self, case: Case, first: int) -> None:
        """Planned in two parts, the second after a look of its own, a plan is the one made at once."""
        candidates, planner = in_order(map(candidate_of, case.assets)), Planner()
        parts = (candidates[:first], candidates[first:])
        planned = [one for part in parts for one in planner.plan(part, case.world)]
        assert plan_of(planned) == plan(case)

    @given(cases(), cases())
    def test_equal_digests_mean_equal_moves(self, one: Case, other: Case) -> None:
        """Two plans have one digest exactly where they move the same files in the same way."""

        def done(made: MovePlan) -> object:
            return [(m.asset, m.storage_id, m.verdict, m.files) for m in made.moves]

        first, second = plan(one), plan(other)
        assert (first.digest == second.digest) is (done(first) == done(second))

    def test_a_digest_covers_everything_that_is_done(self) -> None:
        """Another target, size, mtime or verdict is another digest."""
        one = group(1, "INBOX/A.mov")
        world = world_of([one])
        variants = [
            plan_moves([one], world),
            plan_moves([one], world_of([one], "ARCHIVE/A.mov")),
            plan_moves([evolve(one, **REJECTED)], world),
            plan_moves([big := evolve(one, size=9)], world_of([big])),
            plan_moves([late := evolve(one, mtime_ns=9)], world_of([late])),
            plan_moves([bare := evolve(one, sidecars=())], world_of([bare])),
            plan_moves([twin := evolve(one, uuid=asset_id(2))], world_of([twin])),
            plan_moves([], world),
        ]
        assert len({made.digest for made in variants}) == len(variants)

    @given(cases())
    def test_a_plan_is_made_of_what_was_given(self, case: Case) -> None:
        """Planning again changes nothing, and the world is left as it was."""
        before = {key: set(names) for key, names in case.world.taken.items()}
        assert plan(case) == plan(case)
        assert {key: set(names) for key, names in case.world.taken.items()} == before


class TestSameName:
    """Names are compared as a careful file server compares them: composed, without case."""

    @given(strategies.media_names())
    def test_case_and_composition_make_no_other_name(self, name: str) -> None:
        """The form is its own form, and twins without case share it."""
        assert same_name(same_name(name)) == same_name(name)
        assert same_name("\u00c9.mov") == same_name("e\u0301.MOV")
        assert same_name("STRASSE") == same_name("straße")
