"""Lock-out is progressive: each failure in a row makes the next attempt wait longer (protocol.md)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.throttling import (
    FORGOTTEN_AFTER,
    FREE_ATTEMPTS,
    LONGEST_WAIT,
    Throttle,
    failed,
    forgiven,
    seconds_left,
    wait_after,
)
from retaia_core.testing.clock import START


def after(failures: int, free: int = FREE_ATTEMPTS) -> Throttle:
    """So many failures in a row, all at once."""
    known = failed(None, key="k", now=START, free=free)
    for _ in range(failures - 1):
        known = failed(known, key="k", now=START, free=free)
    return known


class TestWaits:
    """None for the first failures, then longer and longer, and never for ever."""

    @given(st.integers(0, 10_000), st.integers(1, 100))
    def test_they_only_grow(self, failures: int, free: int) -> None:
        """One failure more never makes a wait shorter, and none is longer than the longest."""
        assert wait_after(failures, free) <= wait_after(failures + 1, free) <= LONGEST_WAIT

    @given(st.integers(1, 100))
    def test_the_first_are_free(self, free: int) -> None:
        """Below the limit nobody waits; at the limit somebody does."""
        assert wait_after(free - 1, free) == timedelta(0)
        assert wait_after(free, free) > timedelta(0)

    def test_the_wait_is_said_in_whole_seconds(self) -> None:
        """Rounded up, so that who waits as long as said is let in."""
        known = after(FREE_ATTEMPTS)
        assert seconds_left(known, START) == 2
        assert seconds_left(known, START + timedelta(seconds=1.000001)) == 1
        assert seconds_left(known, START + timedelta(seconds=2)) == 0
        assert seconds_left(None, START) == 0


class TestForgetting:
    """A day without a failure, or an attempt that was none, is taken off."""

    def test_a_day_is_enough(self) -> None:
        """What happened more than a day ago does not count."""
        known = after(9)
        late = START + FORGOTTEN_AFTER
        assert failed(known, key="k", now=late).failures == 10
        assert failed(known, key="k", now=late + timedelta(microseconds=1)).failures == 1

    @given(st.integers(1, 40), st.sampled_from([FREE_ATTEMPTS, 10]))
    def test_what_is_forgiven_was_never_counted(self, failures: int, free: int) -> None:
        """One more and one less at the same time is as before."""
        known = after(failures, free)
        assert forgiven(failed(known, key="k", now=START, free=free), free) == known

    def test_the_last_one_leaves_nothing(self) -> None:
        """No row is kept for nobody."""
        assert forgiven(after(1)) is None


@pytest.mark.parametrize("free", [1, FREE_ATTEMPTS])
def test_who_never_waits_is_locked_out(free: int) -> None:
    """Of ten thousand attempts at one instant, as many as are free are let through."""
    known: Throttle | None = None
    let_through = 0
    for _ in range(10_000):
        if not seconds_left(known, START):
            let_through += 1
            known = failed(known, key="k", now=START, free=free)
    assert let_through == free
