"""The rules of deciding on many assets at once (protocol.md, *Moves and decisions in bulk*)."""

from __future__ import annotations

import json

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.assets import Asset
from retaia_core.domain.bulk import (
    ACTIONS,
    Approval,
    Left,
    LeftAsset,
    hindrance,
    left_now,
    stamp_of,
)
from retaia_core.domain.leases import LockKind
from retaia_core.domain.lifecycle import State
from retaia_core.testing.clock import START
from retaia_core.testing.samples import after, asset, lock
from retaia_core.testing.strategies import asset_ids, standing_assets, texts

PENDING = asset(state=State.DECISION_PENDING, state_since=START)
LEFT = st.builds(
    LeftAsset,
    asset=asset_ids(),
    reason=st.sampled_from(Left),
    message=texts(),
    state=st.none() | st.sampled_from(State),
)


class TestWhatMayBeDecided:
    """*Only touches what the preview showed and what is still `DECISION_PENDING`*."""

    @given(standing_assets())
    def test_only_what_waits(self, one: Asset) -> None:
        """An asset in any other state is left, and its state is said."""
        left = hindrance(one, None, START)
        assert (left is None) is (one.state is State.DECISION_PENDING)
        assert left is None or (left.reason, left.state) == (Left.NOT_PENDING, one.state)

    @pytest.mark.parametrize(
        ("kind", "reason"),
        [
            (LockKind.JOB_LEASE, None),
            (LockKind.ASSET_MOVE_LOCK, Left.LOCKED),
            (LockKind.ASSET_PURGE_LOCK, Left.LOCKED),
        ],
    )
    def test_locks(self, kind: LockKind, reason: Left | None) -> None:
        """A move or purge lock holds it back while it is held; an agent's later work does not."""
        held = evolve(lock(), kind=kind)
        left = hindrance(PENDING, held, START)
        assert (left and left.reason) is reason
        assert hindrance(PENDING, held, after(3600)) is None

    @pytest.mark.parametrize(
        "changed",
        [
            evolve(PENDING, review_version=2),
            evolve(PENDING, state_since=after(1)),
            evolve(PENDING, size=PENDING.size + 1),
            evolve(PENDING, mtime_ns=PENDING.mtime_ns + 1),
        ],
        ids=["another review", "decided and taken back", "size", "mtime"],
    )
    def test_another_question(self, changed: Asset) -> None:
        """What was shown is this review of this file, waiting since then."""
        stamp = stamp_of(PENDING)
        left = left_now(changed.uuid, changed, stamp, None, START)
        assert left is not None
        assert left.reason is Left.CHANGED
        assert left_now(PENDING.uuid, PENDING, stamp, None, START) is None

    def test_what_people_noted_is_no_change(self) -> None:
        """Tags and notes do not make it another question."""
        noted = evolve(PENDING, tags=("bird",), notes="nice", updated_at=after(5), revision=9)
        assert stamp_of(noted) == stamp_of(PENDING)

    def test_what_is_gone(self) -> None:
        """An asset that is not there is left as well."""
        left = left_now(PENDING.uuid, None, "", None, START)
        assert left is not None
        assert left.reason is Left.GONE


class TestApproval:
    """An approval is plain data in the store."""

    @given(
        st.builds(
            Approval,
            action=st.sampled_from(ACTIONS),
            todo=st.dictionaries(asset_ids(), texts()),
            claimed_by=texts(),
            decided=st.lists(asset_ids()).map(tuple),
            left=st.lists(LEFT).map(tuple),
        )
    )
    def test_it_survives_the_store(self, approval: Approval) -> None:
        """Written as JSON and read back, it is the same."""
        assert Approval.read(json.loads(json.dumps(approval.document()))) == approval
