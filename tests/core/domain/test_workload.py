"""What waits, and why (domain.md, *Why*)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.identifiers import Capability
from retaia_core.domain.jobs import JobStatus
from retaia_core.domain.workload import JobCount, Waiting, WaitReason, workload

FACTS, PROXY = Capability("facts.video@1"), Capability("proxy.video@1")
COUNTS = st.lists(
    st.builds(
        JobCount,
        job_type=st.sampled_from(["extract_facts", "generate_proxy"]),
        status=st.sampled_from(JobStatus),
        capabilities=st.frozensets(st.sampled_from([FACTS, PROXY])),
        waiting=st.booleans(),
        count=st.integers(1, 9),
    )
)


def count(status: JobStatus = JobStatus.PENDING, *, waiting: bool = False) -> JobCount:
    """Three jobs alike."""
    needs = frozenset({FACTS, PROXY})
    return JobCount(
        job_type="extract_facts", status=status, capabilities=needs, waiting=waiting, count=3
    )


class TestWorkload:
    """Counts are summed, and pending jobs say what they wait for."""

    def test_nobody_offers_it(self) -> None:
        """A job that no agent can do names the capability, also where it waits for others too."""
        found = workload([count(), count(waiting=True)], {FACTS})
        assert found.waiting == (
            Waiting(
                job_type="extract_facts", reason=WaitReason.NO_AGENT, missing=(PROXY,), count=6
            ),
        )
        assert found.counts == {("extract_facts", JobStatus.PENDING): 6}

    def test_it_waits_its_turn(self) -> None:
        """What can be done waits for other jobs, or for an agent that is free."""
        found = workload([count(), count(waiting=True)], {FACTS, PROXY})
        assert [(w.reason, w.count) for w in found.waiting] == [
            (WaitReason.FREE_AGENT, 3),
            (WaitReason.OTHER_JOBS, 3),
        ]

    @given(COUNTS, st.frozensets(st.sampled_from([FACTS, PROXY])))
    def test_nothing_is_lost(self, counts: list[JobCount], offered: frozenset[Capability]) -> None:
        """Every job is in the counts, and every pending one has exactly one reason."""
        found = workload(counts, offered)
        assert sum(found.counts.values()) == sum(c.count for c in counts)
        pending = sum(c.count for c in counts if c.status is JobStatus.PENDING)
        assert sum(w.count for w in found.waiting) == pending
        assert all((w.reason is WaitReason.NO_AGENT) == bool(w.missing) for w in found.waiting)
