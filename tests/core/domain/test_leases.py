"""Laws of locks, leases and fencing (domain.md, *Claims, leases, fencing*)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.leases import (
    DURATIONS,
    HEARTBEAT_SECONDS,
    PRECEDENCE,
    Lock,
    LockKind,
    acquire,
    check,
    extend,
    release,
)
from retaia_core.errors import LockInvalid, LockRequired, StaleLockToken, StateConflict
from retaia_core.testing import strategies
from retaia_core.testing.clock import START
from retaia_core.testing.samples import after, asset

SUBJECT = asset().subject
TICK = timedelta(microseconds=1)
HOLDERS = st.sampled_from(["a", "b", "c"])
SPANS = st.sampled_from([timedelta(0), TICK, timedelta(seconds=60), timedelta(seconds=120)])


def take(
    current: Lock | None,
    holder: str = "a",
    now: datetime = START,
    kind: LockKind = LockKind.JOB_LEASE,
) -> Lock:
    """Acquire with a token that nobody had before."""
    return acquire(current, SUBJECT, kind=kind, holder=holder, token=f"{holder}@{now}", now=now)


class TestDurations:
    """*A lease lasts 120 s by default, a heartbeat (advised every 30 s) extends it*."""

    def test_the_numbers(self) -> None:
        """120 s for a job lease, 300 s for the move and purge locks, a heartbeat every 30 s."""
        assert {kind.value: span.total_seconds() for kind, span in DURATIONS.items()} == {
            "job_lease": 120,
            "asset_move_lock": 300,
            "asset_purge_lock": 300,
        }
        assert HEARTBEAT_SECONDS == 30
        assert PRECEDENCE == ("purge", "move", "reprocess", "claim")

    @pytest.mark.parametrize("kind", LockKind)
    def test_a_lock_holds_until_its_expiry_and_not_at_it(self, kind: LockKind) -> None:
        """One microsecond before the end it is held; at the end it is anybody's."""
        taken = take(None, kind=kind)
        assert taken.expires_at == START + DURATIONS[kind]
        assert taken.held(taken.expires_at - TICK)
        assert not taken.held(taken.expires_at)

    def test_an_explicit_duration_counts_even_where_it_is_nothing(self) -> None:
        """A lease of no time is over at once."""
        taken = acquire(
            None,
            SUBJECT,
            kind=LockKind.JOB_LEASE,
            holder="a",
            token="t",
            now=START,
            duration=timedelta(0),
        )
        assert taken.expires_at == START
        assert extend(taken, after(5), timedelta(0)).expires_at == after(5)


class TestFencingOnlyGrows:
    """*Every lock carries an opaque token and a fencing number that only grows*."""

    @given(st.lists(st.tuples(st.sampled_from(["take", "extend", "release"]), HOLDERS, SPANS)))
    def test_over_any_history(self, acts: list[tuple[str, str, timedelta]]) -> None:
        """Over any takes, heartbeats, releases and expiries: each new holder exceeds all before."""
        current: Lock | None = None
        now, highest = START, 0
        for act, holder, span in acts:
            now += span
            before = current
            if act == "take":
                try:
                    current = take(current, holder, now)
                except StateConflict:
                    assert before is not None
                    assert before.held(now)
                    assert before.holder != holder
                    continue
                joined = before is not None and before.held(now)
                assert current.fencing == highest + (0 if joined else 1)
                assert (current.token == f"{holder}@{now}") or joined
            elif current is not None:
                current = extend(current, now) if act == "extend" else release(current, now)
                assert before is not None
                assert current.fencing == before.fencing
            highest = current.fencing if current else highest

    @given(strategies.locks(st.just(SUBJECT)))
    def test_release_keeps_the_number(self, lock: Lock) -> None:
        """A released lock is nobody's, and its number stays for the next holder to exceed."""
        gone = release(lock, START)
        assert (gone.holder, gone.token, gone.fencing) == ("", "", lock.fencing)
        assert not gone.held(START - timedelta(days=1))
        assert take(gone, "z").fencing == lock.fencing + 1


class TestOneHolder:
    """*While one agent holds a job of an asset, no other agent may claim another job of it*."""

    @given(
        strategies.locks(st.just(SUBJECT)), HOLDERS, st.sampled_from(LockKind), strategies.soon()
    )
    def test_a_held_lock_is_only_joined(
        self, lock: Lock, holder: str, kind: LockKind, now: datetime
    ) -> None:
        """Taking succeeds where no lock binds, or where one joins one's own job lease; else never."""
        lock = evolve(lock, holder=lock.holder.removeprefix("agent-"))
        joins = lock.kind is kind is LockKind.JOB_LEASE and lock.holder == holder
        if lock.binds(now) and not joins:
            with pytest.raises(StateConflict) as caught:
                take(lock, holder, now, kind)
            assert caught.value.details["lock"] == lock.kind
            return
        taken = take(lock, holder, now, kind)
        assert (taken.holder, taken.kind) == (holder, kind)
        assert taken.held(now)
        if lock.held(now):
            assert (taken.token, taken.fencing) == (lock.token, lock.fencing)
            assert taken.expires_at == max(lock.expires_at, now + DURATIONS[kind])

    @pytest.mark.parametrize("first", LockKind)
    @pytest.mark.parametrize("second", LockKind)
    def test_kinds_exclude_each_other(self, first: LockKind, second: LockKind) -> None:
        """Purge is refused while a job is held, claims while a move or purge is under way, and so on."""
        held = take(None, "a", kind=first)
        if first is second is LockKind.JOB_LEASE:
            assert take(held, "a", kind=second).token == held.token
        else:
            with pytest.raises(StateConflict):
                take(held, "a", kind=second)
        with pytest.raises(StateConflict):
            take(held, "b", kind=second)


class TestHeartbeats:
    """*A heartbeat extends it*."""

    @given(strategies.locks(st.just(SUBJECT)), strategies.soon())
    def test_a_heartbeat_only_moves_the_expiry_on(self, lock: Lock, now: datetime) -> None:
        """Never back, and nothing else changes."""
        later = extend(lock, now)
        assert later == evolve(lock, expires_at=later.expires_at)
        assert later.expires_at == max(lock.expires_at, now + DURATIONS[lock.kind])


class TestTheLateHolderIsRefused:
    """*The late holder's submit is refused (`STALE_LOCK_TOKEN`, 409) with nothing applied*."""

    @given(strategies.locks(st.just(SUBJECT)), st.sampled_from(["t1", "t2"]), strategies.soon())
    def test_a_token_opens_only_its_own_lock_in_its_time(
        self, lock: Lock, token: str, now: datetime
    ) -> None:
        """The present holder's token opens until the expiry; everything else is stale."""
        if lock.token == token and now < lock.expires_at:
            assert check(lock, token=token, now=now) is lock
        else:
            with pytest.raises(StaleLockToken):
                check(lock, token=token, now=now)

    @pytest.mark.parametrize("token", ["", None])
    def test_without_a_token_one_is_required(self, token: str | None) -> None:
        """No token is its own refusal, also where nothing was ever locked."""
        for current in (None, take(None)):
            with pytest.raises(LockRequired):
                check(current, token=token, now=START)

    def test_a_token_for_what_was_never_locked_is_invalid(self) -> None:
        """A subject without a lock row never gave a token."""
        with pytest.raises(LockInvalid):
            check(None, token="made up", now=START)

    def test_a_released_lock_is_opened_by_nothing(self) -> None:
        """Not even by the empty token that it carries."""
        gone = release(take(None), START)
        with pytest.raises(LockRequired):
            check(gone, token=gone.token, now=START)
        with pytest.raises(StaleLockToken):
            check(gone, token=take(None).token, now=START)
