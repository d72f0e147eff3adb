"""What listeners are told of the trail, and that no event is passed over or told twice."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.feed import GIVE_UP_S, Tail, Topic, hints_of, topic_of
from retaia_core.domain.identifiers import Subject
from retaia_core.domain.journal import Event
from retaia_core.testing import samples


def event(seq: int, name: str = "asset.decided", of: int = 1) -> Event:
    """An event with a number."""
    return evolve(samples.event(name, of=of), seq=seq)


class TestTopics:
    """The subject says what an event is about, and the work done on it is told apart."""

    def test_by_subject_and_name(self) -> None:
        """Assets, their jobs, batches, storages and the server's switches have a topic."""
        about = {
            "asset.decided": ("asset", Topic.ASSET),
            "move.done": ("asset", Topic.ASSET),
            "jobs.claimed": ("asset", Topic.JOB),
            "job.lost": ("link", Topic.JOB),
            "batch.done": ("batch", Topic.BATCH),
            "storage.offline": ("storage", Topic.STORAGE),
            "features.switched": ("server", Topic.POLICY),
        }
        for name, (kind, topic) in about.items():
            assert topic_of(evolve(event(1, name), subject=Subject(kind=kind, id="x"))) is topic

    def test_accounts_are_private(self) -> None:
        """What happens to an account is told to nobody."""
        private = evolve(event(1, "features.switched"), subject=Subject(kind="account", id="x"))
        assert topic_of(private) is None
        assert hints_of([private]) == ()


class TestHints:
    """One hint for each thing."""

    def test_the_latest_counts(self) -> None:
        """Several events of one asset are one hint, under the last number, in order."""
        hints = hints_of([event(1), event(2, of=2), event(3, "asset.reopened")])
        assert [(h.seq, h.name) for h in hints] == [(2, "asset.decided"), (3, "asset.reopened")]

    def test_a_late_one_does_not_go_back(self) -> None:
        """An event that was committed late is told under the number that was told already."""
        assert [h.seq for h in hints_of([event(4), event(9, of=2)], told=7)] == [7, 9]


@st.composite
def arrivals(draw: st.DrawFn) -> list[list[int]]:
    """In which order the numbers 1 to n are committed, look by look; some never are."""
    numbers = draw(st.permutations(range(1, draw(st.integers(1, 12)) + 1)))
    kept = [n for n in numbers if draw(st.integers(0, 4))]
    looks: list[list[int]] = [[]]
    for number in kept:
        if draw(st.booleans()):
            looks.append([])
        looks[-1].append(number)
    return looks


class TestTail:
    """Reading on from where no number is missing."""

    @given(arrivals())
    def test_each_event_is_taken_once(self, looks: Sequence[Sequence[int]]) -> None:
        """Whatever the order of commits, everything there is comes once, while nothing is given up."""
        tail, there, taken = Tail(floor=0), set[int](), list[int]()
        for second, look in enumerate(looks):
            there |= set(look)
            found = [event(n) for n in sorted(there) if n > tail.floor]
            taken += [e.seq for e in tail.take(found, second * GIVE_UP_S / 100)]
        assert sorted(taken) == sorted(there)
        assert tail.top == max(there, default=0)

    @given(arrivals())
    def test_what_never_comes_is_given_up(self, looks: Sequence[Sequence[int]]) -> None:
        """After a while nothing is read again, though numbers are missing."""
        there = sorted(n for look in looks for n in look)
        tail = Tail(floor=0)
        tail.take([event(n) for n in there], 0.0)
        tail.take([event(n) for n in there if n > tail.floor], GIVE_UP_S)
        assert tail.floor == max(there, default=0)

    def test_a_hole_that_is_filled(self) -> None:
        """A number that comes late is taken, and reading goes on behind it."""
        tail = Tail(floor=5)
        assert [e.seq for e in tail.take([event(6), event(8)], 0.0)] == [6, 8]
        assert (tail.floor, tail.top) == (6, 8)
        assert [e.seq for e in tail.take([event(7), event(8)], 1.0)] == [7]
        assert (tail.floor, tail.top) == (8, 8)
