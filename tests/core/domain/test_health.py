"""What takes a storage offline, and when it is looked at again (domain.md, *Assets*)."""

from __future__ import annotations

import errno
import os
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain import health
from retaia_core.domain.health import (
    CALM,
    FULL,
    MOST_PAUSE,
    READ_ONLY,
    Problem,
    failing,
    makes_room,
    may_look,
    must_write,
    pause,
    problem_of,
    silent,
    with_health,
)
from retaia_core.domain.storage import Health, Storage, Trouble
from retaia_core.testing.clock import START
from retaia_core.testing.samples import after, storage

GONE = Problem(trouble=Trouble.MARKER, reason="no marker")
FOREIGN = Problem(trouble=Trouble.MARKER, reason="foreign marker")
PROBLEMS = (GONE, FOREIGN, FULL, READ_ONLY, silent(10), failing("gone"))
LOOKS = st.lists(
    st.tuples(st.sampled_from([None, *PROBLEMS]), st.floats(min_value=0, max_value=2000)),
    max_size=30,
)
"""What looks find, and the seconds before each."""


def error(number: int) -> OSError:
    """An error as the system raises it."""
    return OSError(number, os.strerror(number))


class TestTheAnswer:
    """*An absent, invalid or foreign marker means: this storage is offline … until it is back.*."""

    def test_it_changes_with_the_answer_alone(self) -> None:
        """The time is that of the first look with this answer; the same answer changes nothing."""
        gone = with_health(storage(), problem=GONE, now=START)
        assert (gone.health, gone.health_reason) == (Health.OFFLINE, "no marker")
        assert gone.health_since == START
        assert with_health(gone, problem=GONE, now=after(9)) is gone
        worse = with_health(gone, problem=FOREIGN, now=after(10))
        assert (worse.health_since, worse.health_reason) == (after(10), "foreign marker")
        back = with_health(worse, problem=None, now=after(11))
        assert (back.health, back.health_reason, back.trouble) == (Health.ONLINE, "", None)
        assert back.health_since == after(11)
        assert with_health(back, problem=None, now=after(12)) is back

    @given(LOOKS)
    def test_it_is_that_of_the_last_look(self, looks: list[tuple[Problem | None, float]]) -> None:
        """Online after a good look, else offline with its trouble; the time never runs backwards."""
        at, seconds = storage(), 0.0
        for problem, passed in looks:
            seconds += passed
            before, at = at, with_health(at, problem=problem, now=after(seconds))
            assert at.trouble is (problem.trouble if problem else None)
            assert (at.health is Health.ONLINE) == (problem is None) == (not at.health_reason)
            if at.health_since != before.health_since:
                assert at.health_since == after(seconds)
                assert (at.trouble, at.health_reason) != (before.trouble, before.health_reason)

    @pytest.mark.parametrize("problem", PROBLEMS[2:])
    def test_the_first_words_of_a_trouble_stand(self, problem: Problem) -> None:
        """The same trouble in other words is no news."""
        first = with_health(storage(), problem=problem, now=START)
        other = Problem(trouble=problem.trouble, reason="said otherwise")
        again = with_health(first, problem=other, now=after(60))
        assert (again.health_since, again.health_reason) == (START, problem.reason)


class TestTheNextLook:
    """One bad contact does not switch the work on and off each second."""

    def test_the_pause_grows_with_each_trouble(self) -> None:
        """Trouble after trouble, with the storage back in between, is looked at less and less often."""
        at, now, pauses = storage(), START, []
        for _ in range(6):
            at = with_health(at, problem=failing("input/output error"), now=now)
            assert at.look_after is not None
            pauses.append((at.look_after - now).total_seconds())
            now = at.look_after
            at = with_health(at, problem=None, now=now)
            assert at.look_after is None
        assert pauses == [2, 4, 8, 16, 30, 30]

    def test_calm_is_rewarded(self) -> None:
        """After a time without trouble, the next one is the first again."""
        at = storage(health_since=START, strikes=5)
        assert with_health(at, problem=FULL, now=START + CALM).strikes == 1
        assert with_health(at, problem=FULL, now=START + CALM / 2).strikes == 6

    def test_a_marker_is_looked_at_each_time(self) -> None:
        """A share that is mounted again is noticed at the next look."""
        flapping = with_health(storage(), problem=failing("gone"), now=START)
        gone = with_health(flapping, problem=GONE, now=after(1))
        assert may_look(gone, after(1))
        assert not may_look(flapping, after(1))
        assert may_look(flapping, after(2))

    @given(st.integers(min_value=1, max_value=10**6))
    def test_no_pause_is_longer_than_the_longest(self, strikes: int) -> None:
        """And none is shorter than the one before."""
        assert timedelta(0) < pause(strikes) <= pause(strikes + 1) <= MOST_PAUSE

    @given(LOOKS, st.floats(min_value=-(10**7), max_value=10**7))
    def test_no_clock_puts_it_off_for_long(
        self, looks: list[tuple[Problem | None, float]], jump: float
    ) -> None:
        """Whatever time a clock shows afterwards, a look comes within the longest pause."""
        at = storage()
        for problem, seconds in looks:
            at = with_health(at, problem=problem, now=after(seconds))
        assert may_look(at, after(jump)) or may_look(at, after(jump) + MOST_PAUSE)


class TestWhatWorkMet:
    """Errors that say something of the whole disk, and those that may be one file's own."""

    @pytest.mark.parametrize(
        ("number", "trouble"),
        [
            (errno.ENOSPC, Trouble.FULL),
            (errno.EDQUOT, Trouble.FULL),
            (errno.EROFS, Trouble.READ_ONLY),
            (errno.ESTALE, Trouble.FAILING),
            (errno.ENOTCONN, Trouble.FAILING),
            (errno.ETIMEDOUT, Trouble.FAILING),
            (errno.ENODEV, Trouble.FAILING),
        ],
    )
    def test_the_disks_own(self, number: int, trouble: Trouble) -> None:
        """Each takes the storage offline; only a look that writes proves that it is well again."""
        problem = problem_of(error(number))
        assert problem is not None
        assert problem.trouble is trouble
        assert must_write(with_health(storage(), problem=problem, now=START))

    @pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ENOENT, errno.EEXIST])
    def test_perhaps_a_files_own(self, number: int) -> None:
        """A bad spot, a permission, a file that is gone: no reason to call everything offline."""
        assert problem_of(error(number)) is None
        assert problem_of(OSError("without a number")) is None

    @pytest.mark.parametrize("problem", PROBLEMS)
    def test_the_reason_says_what_to_do(self, problem: Problem) -> None:
        """No reason names a path of this machine."""
        assert "/" not in problem.reason.replace("input/output", "").replace("and/or", "")


@pytest.mark.parametrize(
    ("at", "removable"),
    [
        (storage(), True),
        (with_health(storage(), problem=FULL, now=START), True),
        (with_health(storage(), problem=READ_ONLY, now=START), False),
        (with_health(storage(), problem=GONE, now=START), False),
    ],
)
def test_a_full_disk_can_be_emptied(at: Storage, removable: bool) -> None:
    """Removing is the way out of a full disk, and is open on no other that is offline."""
    assert makes_room(at) is removable


def test_every_trouble_has_a_problem() -> None:
    """None is without words."""
    made = {problem.trouble for problem in PROBLEMS}
    assert made == set(Trouble)
    assert health.FIRST_PAUSE < MOST_PAUSE
