"""Reading politely: what a token bucket promises, whatever is read and whenever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.pacing import full, take

READS = st.lists(st.tuples(st.integers(1, 10_000), st.floats(0, 10)), min_size=1, max_size=30)
"""Bytes that are read, and the seconds that reading them took."""


class TestThePace:
    """No more than a second's worth at once, and no more than the rate after that."""

    @given(READS, st.integers(1, 5000))
    def test_no_span_has_more_than_the_rate(
        self, reads: list[tuple[int, float]], rate: int
    ) -> None:
        """Whoever waits as told has, at the end of each wait, read at most a second's worth too much."""
        now, total, bucket = 100.0, 0, full(rate, 100.0)
        for count, took in reads:
            now += took
            bucket, wait = take(bucket, rate, count, now)
            total += count
            now += wait
            assert total <= rate * (1 + now - 100.0) * (1 + 1e-9) + 1e-6

    @given(READS, st.integers(1, 5000))
    def test_nobody_waits_without_need(self, reads: list[tuple[int, float]], rate: int) -> None:
        """A wait ends when the debt is paid, and who reads slower than the rate never waits."""
        bucket, now = full(rate, 0.0), 0.0
        for count, _ in reads:
            now += count / rate
            bucket, wait = take(bucket, rate, count, now)
            assert wait <= 1e-6

    @given(READS)
    def test_no_limit_is_no_wait(self, reads: list[tuple[int, float]]) -> None:
        """A rate of 0 never waits."""
        bucket = full(0, 0.0)
        for count, took in reads:
            bucket, wait = take(bucket, 0, count, took)
            assert wait == 0

    @given(st.integers(1, 5000), st.integers(1, 100_000), st.floats(0.001, 1000))
    def test_a_clock_that_goes_back_fills_nothing(self, rate: int, count: int, back: float) -> None:
        """What is owed is owed, whatever the clock does."""
        bucket, wait = take(full(rate, 0.0), rate, count, 0.0)
        again, later = take(bucket, rate, 0, -back)
        assert (again, later) == (bucket, wait)
