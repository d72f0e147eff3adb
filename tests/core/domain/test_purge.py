"""The rules of planning a purge (domain.md, *Reopen, reprocess, purge*)."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from hypothesis import assume, given
from hypothesis import strategies as st

from retaia_core.domain.actors import SYSTEM, Actor, ActorKind
from retaia_core.domain.assets import Asset, AttachedSidecar, Flag
from retaia_core.domain.identifiers import RelPath
from retaia_core.domain.lifecycle import State, Verdict
from retaia_core.domain.moves import DiskFile
from retaia_core.domain.proof import CopyProof, Evidence, Waiver
from retaia_core.domain.purge import (
    POLICY,
    PurgeBlock,
    PurgePlan,
    PurgeRole,
    PurgeWorld,
    plan_purge,
    purged,
)
from retaia_core.domain.storage import Layout
from retaia_core.errors import ForbiddenActor, StateConflict
from retaia_core.testing.clock import START
from retaia_core.testing.samples import asset
from retaia_core.testing.strategies import standing_assets

PERSON = Actor(kind=ActorKind.PERSON, id="ana")
XMP = AttachedSidecar(path=RelPath("REJECTS/A.xmp"), rule="xmp", size=3, mtime_ns=7)


def rejected(**fixed: Any) -> Asset:
    """A rejected photo with a sidecar."""
    given = {
        "path": RelPath("REJECTS/A.jpg"),
        "size": 10,
        "mtime_ns": 5,
        "sidecars": (XMP,),
        "verdict": Verdict.REJECT,
        "fingerprint": "f1",
    }
    return asset(state=State.REJECTED, **{**given, **fixed})


def world(one: Asset, **fixed: Any) -> PurgeWorld:
    """A disk on which everything is as the last scan saw it, with two derived files."""
    files = {one.path: DiskFile(size=one.size, mtime_ns=one.mtime_ns)}
    files |= {s.path: DiskFile(size=s.size, mtime_ns=s.mtime_ns) for s in one.sidecars}
    derived = {f"{one.uuid}/thumb.jpg": 4, f"{one.uuid}/proxy.jpg": 6}
    given = {"files": files, "derived": derived, "fingerprint": one.fingerprint}
    return PurgeWorld(layout=Layout(), **{**given, **fixed})


def reasons(plan: PurgePlan) -> list[PurgeBlock]:
    """Why nothing goes."""
    return [block.reason for block in plan.blocked]


class TestPlan:
    """*Preview first (every path and derived file, bytes freed)*."""

    def test_every_file_is_named(self) -> None:
        """Original, then sidecars, then derived files, with the bytes of all."""
        one = rejected()
        plan = plan_purge(one, world(one))
        assert [(f.role, f.path) for f in plan.files] == [
            (PurgeRole.ORIGINAL, "REJECTS/A.jpg"), (PurgeRole.SIDECAR, "REJECTS/A.xmp"),
            (PurgeRole.DERIVED, f"{one.uuid}/proxy.jpg"),
            (PurgeRole.DERIVED, f"{one.uuid}/thumb.jpg"),
        ]  # fmt: skip
        assert plan.bytes_freed == 10 + 3 + 6 + 4
        assert (plan.blocked, plan.warnings) == ((), ())

    @pytest.mark.parametrize("state", [s for s in State if s is not State.REJECTED])
    def test_only_rejected_assets(self, state: State) -> None:
        """*`REJECTED` only.*."""
        one = evolve(rejected(), state=state)
        plan = plan_purge(one, world(one))
        assert (reasons(plan), plan.files) == ([PurgeBlock.NOT_REJECTED], ())

    @pytest.mark.parametrize(
        ("fixed", "reason"),
        [
            ({"locked": "agent holds a job_lease"}, PurgeBlock.LOCKED),
            ({"offline": "no marker"}, PurgeBlock.STORAGE_OFFLINE),
            ({"unreadable": "permission denied"}, PurgeBlock.UNREADABLE),
        ],
    )
    def test_hindrances(self, fixed: dict[str, str], reason: PurgeBlock) -> None:
        """A lock, a storage that is away and a file that cannot be looked at are said."""
        one = rejected()
        assert reasons(plan_purge(one, world(one, **fixed))) == [reason]

    @pytest.mark.parametrize(
        ("flag", "reason"), [(Flag.PARKED, PurgeBlock.PARKED), (Flag.CHANGED, PurgeBlock.CHANGED)]
    )
    def test_flags(self, flag: Flag, reason: PurgeBlock) -> None:
        """What could not be proven, and content that nobody rejected, stays."""
        one = rejected(flags=frozenset({flag}))
        assert reasons(plan_purge(one, world(one))) == [reason]

    @pytest.mark.parametrize("path", ["REJECTS/A.jpg", "REJECTS/A.xmp"])
    def test_a_file_that_is_not_as_it_was_seen(self, path: str) -> None:
        """Another size or time blocks the whole asset, and the difference is told."""
        one = rejected()
        files = {**world(one).files, path: DiskFile(size=99, mtime_ns=5)}
        (block,) = plan_purge(one, world(one, files=files)).blocked
        assert (block.reason, block.path, block.found) == (
            PurgeBlock.CHANGED, path, {"size": 99, "mtime_ns": 5},
        )  # fmt: skip
        assert block.expected["size"] != 99

    @pytest.mark.parametrize(
        ("fingerprint", "reason"), [("f2", PurgeBlock.CHANGED), (None, PurgeBlock.UNREADABLE)]
    )
    def test_other_content_of_the_same_size_and_time(
        self, fingerprint: str | None, reason: PurgeBlock
    ) -> None:
        """The fingerprint is looked at as well; where it was never taken, it is not."""
        one = rejected()
        assert reasons(plan_purge(one, world(one, fingerprint=fingerprint))) == [reason]
        unknown = rejected(fingerprint=None)
        assert not plan_purge(unknown, world(unknown, fingerprint="f2")).blocked

    def test_a_file_that_is_not_there(self) -> None:
        """It may lie elsewhere until a scan says that it is missing, or an earlier purge took it."""
        one = rejected()
        gone = world(one, files={XMP.path: DiskFile(size=3, mtime_ns=7)})
        assert reasons(plan_purge(one, gone)) == [PurgeBlock.MISSING]
        for plan in (
            plan_purge(evolve(one, flags=frozenset({Flag.MISSING})), gone),
            plan_purge(one, evolve(gone, removed=frozenset({one.path}))),
        ):
            assert [f.path for f in plan.files][:1] == [XMP.path]
            assert not plan.blocked
            assert "gone already" in plan.warnings[0]

    def test_a_file_that_was_put_elsewhere(self) -> None:
        """Somebody may have meant to save it, so it is said."""
        one = rejected(path=RelPath("INBOX/A.jpg"), sidecars=())
        assert "does not lie in REJECTS" in plan_purge(one, world(one)).warnings[0]

    @given(standing_assets(st.just(State.REJECTED), flags=st.just(frozenset())), st.data())
    def test_laws(self, one: Asset, data: st.DataObject) -> None:
        """Equal inputs make one digest; a plan names nothing but the group and derived files."""
        seen = world(one)
        plan = plan_purge(one, seen)
        assert plan == plan_purge(one, seen)
        group = {one.path, *(s.path for s in one.sidecars)}
        assert {f.path for f in plan.files} <= group | set(seen.derived)
        path = data.draw(st.sampled_from(sorted(seen.derived)))
        other = plan_purge(one, evolve(seen, derived={**seen.derived, path: 999}))
        assert other.digest != plan.digest

    @given(standing_assets(st.just(State.REJECTED)), st.data())
    def test_no_disk_but_the_one_that_was_seen(self, one: Asset, data: st.DataObject) -> None:
        """Whatever else stands at a path of the group, the plan is blocked and says where."""
        seen = world(one)
        path = data.draw(st.sampled_from(sorted(seen.files)))
        size, mtime_ns = data.draw(st.tuples(st.integers(0, 9), st.integers(0, 9)))
        assume(seen.files[path] != DiskFile(size=size, mtime_ns=mtime_ns))
        files = {**seen.files, path: DiskFile(size=size, mtime_ns=mtime_ns)}
        plan = plan_purge(one, evolve(seen, files=files))
        assert plan.blocked
        if not one.flags & {Flag.PARKED, Flag.CHANGED}:
            assert path in {block.path for block in plan.blocked}


PROOF = CopyProof(
    path="REJECTS/A.jpg", size=10, mtime_ns=5, digest="sha256:" + "a" * 64, place="nas",
    copy="INBOX/A.jpg", stamp="1", at=START,
)  # fmt: skip
WAIVER = Waiver(
    path="REJECTS/A.jpg", size=10, mtime_ns=5, reason="enough", by="person:ana", at=START
)
EVIDENCES = st.sampled_from(
    [
        Evidence(lacking="nobody looked"),
        Evidence(proof=PROOF),
        Evidence(waiver=WAIVER),
        Evidence(proof=PROOF, waiver=WAIVER),
        Evidence(waiver=WAIVER, lacking="rotten", damaged="rotten"),
        None,
    ]
)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Asset, PurgeWorld]:
    """A rejected asset, mostly, and a disk that is mostly as it was seen."""
    one = draw(standing_assets(st.sampled_from([State.REJECTED] * 4 + [State.ARCHIVED])))
    seen = world(one)
    files = dict(seen.files)
    for path in draw(st.sets(st.sampled_from(sorted(files)), max_size=2)):
        other = draw(st.sampled_from([None, DiskFile(size=99, mtime_ns=99)]))
        files.pop(path)
        if other is not None:
            files[path] = other
    evidence = {path: draw(EVIDENCES) for path in seen.files}
    fixed = {
        "files": files,
        "fingerprint": draw(st.sampled_from([one.fingerprint] * 3 + ["other", None])),
        "removed": draw(st.sampled_from([frozenset(), frozenset(seen.files)])),
        "evidence": {path: known for path, known in evidence.items() if known},
        "require_proof": draw(st.booleans()),
        **{
            name: draw(st.sampled_from(["", "", "", "said"]))
            for name in ("locked", "offline", "unreadable")
        },
    }
    return one, evolve(seen, **fixed)


def hindered(one: Asset, path: str, seen: PurgeWorld) -> set[PurgeBlock]:
    """What stands in the way of one file, rule by rule."""
    shapes = {one.path: (one.size, one.mtime_ns)}
    shapes |= {s.path: (s.size, s.mtime_ns) for s in one.sidecars}
    found = seen.files.get(path)
    if found is None:
        known = path in seen.removed or Flag.MISSING in one.flags
        return set() if known else {PurgeBlock.MISSING}
    if (found.size, found.mtime_ns) != shapes[path]:
        return {PurgeBlock.CHANGED}
    if path == one.path and one.fingerprint is not None and seen.fingerprint != one.fingerprint:
        return {PurgeBlock.CHANGED if seen.fingerprint else PurgeBlock.UNREADABLE}
    evidence = seen.evidence.get(path, Evidence())
    if evidence.damaged:
        return {PurgeBlock.DAMAGED}
    proven = evidence.proof or evidence.waiver
    return {PurgeBlock.UNPROVEN} if seen.require_proof and not proven else set()


class TestProof:
    """*A purge may be made to require proof*; what goes goes on it."""

    @given(situations())
    def test_it_blocks_exactly_when(self, situation: tuple[Asset, PurgeWorld]) -> None:
        """A plan goes through if and only if no rule stands in its way; each rule has its reason."""
        one, seen = situation
        plan = plan_purge(one, seen)
        standing = {
            PurgeBlock.NOT_REJECTED: one.state is not State.REJECTED,
            PurgeBlock.LOCKED: seen.locked,
            PurgeBlock.PARKED: Flag.PARKED in one.flags,
            PurgeBlock.CHANGED: Flag.CHANGED in one.flags,
            PurgeBlock.STORAGE_OFFLINE: seen.offline,
            PurgeBlock.UNREADABLE: seen.unreadable,
        }
        expected = {reason for reason, holds in standing.items() if holds}
        if not expected:
            group = [one.path, *(s.path for s in one.sidecars)]
            expected = set().union(*(hindered(one, path, seen) for path in group))
        assert set(reasons(plan)) == expected
        if not expected:
            assert {f.path for f in plan.files} == {*seen.files, *seen.derived}

    def test_a_copy_on_the_same_disk(self) -> None:
        """It is a copy, and no safe one: the plan warns, and goes through."""
        one = rejected(sidecars=())
        near = Evidence(proof=evolve(PROOF, same_disk=True))
        plan = plan_purge(one, world(one, evidence={one.path: near}, require_proof=True))
        assert plan.blocked == ()
        assert "in nas lies on the same disk" in plan.warnings[0]
        far = Evidence(proof=PROOF)
        assert plan_purge(one, world(one, evidence={one.path: far})).warnings == ()

    @given(situations())
    def test_what_a_file_goes_on(self, situation: tuple[Asset, PurgeWorld]) -> None:
        """A proof where there is one, else a waiver where there is one; and the digest covers it."""
        one, seen = situation
        plan = plan_purge(one, seen)
        for file in plan.files:
            known = seen.evidence.get(file.path, Evidence())
            assert file.proof == known.proof
            assert file.waiver == (None if known.proof else known.waiver)
        bare = evolve(plan, files=tuple(evolve(f, proof=None, waiver=None) for f in plan.files))
        assert (bare.digest == plan.digest) == (bare == plan)


class TestPurged:
    """*Leaves a minimal audit record*; terminal."""

    def test_what_is_left(self) -> None:
        """Who it was and what was decided; nothing that was computed or said about it."""
        one = rejected(tags=("bird",), notes="blurred", facts={"width": 3})
        after = purged(one, PERSON, START)
        assert (after.state, after.state_since) == (State.PURGED, START)
        assert (after.uuid, after.path, after.size) == (one.uuid, one.path, one.size)
        assert (after.decisions, after.path_history) == (one.decisions, one.path_history)
        assert not any(
            (after.tags, after.notes, after.facts, after.derived, after.sidecars, after.fields)
        )

    def test_the_policy(self) -> None:
        """It purges by its own name, and the rest of the system does not."""
        assert purged(rejected(), POLICY, START).state is State.PURGED
        with pytest.raises(StateConflict, match="the automatic purge policy is on"):
            purged(rejected(), SYSTEM, START)

    def test_who_and_when(self) -> None:
        """No agent purges, and nothing but a rejected asset is purged."""
        with pytest.raises(ForbiddenActor):
            purged(rejected(), Actor(kind=ActorKind.AGENT, id="x"), START)
        with pytest.raises(StateConflict):
            purged(evolve(rejected(), state=State.ARCHIVED), PERSON, START)
