"""One sentence, and the same as data (domain.md, *Why*)."""

from __future__ import annotations

import pytest
from hypothesis import given

from retaia_core.domain.actors import ActorKind
from retaia_core.domain.assets import Asset, DecisionRecord, Flag
from retaia_core.domain.fixity import Outcome as ContentOutcome
from retaia_core.domain.history import told
from retaia_core.domain.jobs import Failure, JobStatus
from retaia_core.domain.lifecycle import State, Verdict, allowed_actions
from retaia_core.domain.storage import Health
from retaia_core.domain.why import explain_asset
from retaia_core.testing import strategies
from retaia_core.testing.clock import START
from retaia_core.testing.samples import (
    FACTS,
    after,
    asset,
    event,
    file_fixity,
    fixity,
    job,
    lock,
    storage,
)


class TestEveryAssetIsExplained:
    """*Why is it in this state, since when, by whom, on what evidence, and what can be done next.*."""

    @given(strategies.standing_assets())
    def test_in_every_state(self, one: Asset) -> None:
        """There is a sentence with name and state, a time, evidence, and each step that is open."""
        said = explain_asset(one, now=START)
        assert one.state.value in said.sentence
        assert repr(one.name) in said.sentence
        assert said.sentence.endswith(".")
        assert said.since == (one.state_since or one.created_at)
        open_now = len(allowed_actions(one.standing, ActorKind.PERSON))
        parked = one.state is State.MOVE_QUEUED and Flag.PARKED in one.flags
        if parked or one.state is State.PURGED:  # its evidence, its certificate
            open_now += 1
        if Flag.FIXITY_MISMATCH in one.flags and one.state is not State.PURGED:
            open_now += 2
        assert len(said.next) == len(set(said.next)) == open_now
        assert said.evidence["uuid"] == one.uuid
        assert said.evidence["state"] == one.state.value

    @pytest.mark.parametrize(
        ("flag", "words"),
        [
            (Flag.MISSING, "not there at the last scan"),
            (Flag.CHANGED, "changed"),
            (Flag.PARKED, "could not be proven"),
        ],
    )
    def test_flags_are_said(self, flag: Flag, words: str) -> None:
        """What a scan or a move noticed is in the sentence."""
        one = asset(state=State.DECISION_PENDING, flags=frozenset({flag}))
        assert words in explain_asset(one, now=START).sentence

    def test_content_that_is_another_is_said_with_its_evidence(self) -> None:
        """Which file, since when, what was found; a person may put it back or say that it is right."""
        other = "sha256:" + "f" * 64
        record = fixity(1, files=(file_fixity(outcome=ContentOutcome.MISMATCH, found=other),))
        one = asset(state=State.ARCHIVED, flags=frozenset({Flag.FIXITY_MISMATCH}))
        said = explain_asset(one, fixity=record, now=START)
        assert "the content of 'INBOX/A001.mov' is not what it was on 2026-01-02" in said.sentence
        content = said.evidence["content"]
        assert isinstance(content, dict)
        assert content["INBOX/A001.mov"]["found"] == other
        assert [step for step in said.next if f"retaia verify {one.uuid}" in step] == [
            *said.next[-2:]
        ]

    def test_a_file_that_could_not_be_read_is_said(self) -> None:
        """With the system's reason; what matches is not spoken of."""
        bad = file_fixity(outcome=ContentOutcome.UNREADABLE, problem="input/output error")
        said = explain_asset(asset(), fixity=fixity(1, files=(bad,)), now=START).sentence
        assert "'INBOX/A001.mov' could not be read at" in said
        assert "(input/output error)" in said
        plain = explain_asset(asset(), fixity=fixity(1), now=START)
        assert plain == explain_asset(asset(), now=START)

    def test_a_decision_names_who_and_when(self) -> None:
        """The person and the time of the last decision are said, and whether files moved."""
        record = DecisionRecord(action="KEEP", at=START, by="person:ada")
        one = asset(state=State.DECIDED_KEEP, verdict=Verdict.KEEP, decisions=(record,))
        sentence = explain_asset(one, now=START).sentence
        assert "person:ada kept it on 2026-01-02" in sentence
        assert "no file has moved yet" in sentence

    def test_it_is_said_in_the_words_of_the_history(self) -> None:
        """How it came to be so is the history's own sentence, and a decision is told alike in both."""
        record = DecisionRecord(action="KEEP", at=START, by="person:ada")
        one = asset(state=State.DECIDED_KEEP, verdict=Verdict.KEEP, decisions=(record,))
        data = {"from": "DECISION_PENDING", "to": "DECIDED_KEEP"}
        kept = event("decision.keep", actor="person:ada", at=START, data=data)
        said = explain_asset(one, events=[kept], now=START)
        assert said.evidence["how"] == told(kept) == "person:ada kept it"
        assert told(kept) in said.sentence

    def test_the_event_names_who(self) -> None:
        """The actor is that of the event that led to the present state."""
        one = asset(state=State.READY)
        events = [
            event("asset.transition", actor="system:retaia", data={"to": "READY"}),
            event("asset.note", actor="person:ada", data={}),
        ]
        assert explain_asset(one, events=events, now=START).by == "system:retaia"


class TestReadyAssets:
    """*A job may stay `pending` for ever when no agent has the capability: that is visible.*."""

    def test_a_missing_capability_is_named(self) -> None:
        """What no agent offers is said by name; once it is offered, an agent will take it."""
        one = asset(state=State.READY)
        without = explain_asset(one, jobs=[job()], now=START)
        assert f"no agent offers {FACTS}" in without.sentence
        offered = explain_asset(one, jobs=[job()], offered=frozenset({FACTS}), now=START)
        assert "an agent will take it" in offered.sentence

    def test_a_pause_is_named(self) -> None:
        """Where all open jobs wait for a new try, its time is said."""
        one = asset(state=State.READY)
        said = explain_asset(
            one, jobs=[job(not_before=after(60))], offered=frozenset({FACTS}), now=START
        )
        assert f"{after(60):%H:%M:%S}Z" in said.sentence

    def test_an_unprocessable_asset_gives_each_reason(self) -> None:
        """*Flagged `unprocessable` with each job's reason*, and the data has code and attempts."""
        failure = Failure(
            code="SOURCE_UNREADABLE", message="no index found", retryable=False, at=START
        )
        failed = job(status=JobStatus.FAILED, failure=failure, attempts=1)
        one = asset(state=State.READY, flags=frozenset({Flag.UNPROCESSABLE}))
        said = explain_asset(one, jobs=[failed], now=START)
        assert "no index found" in said.sentence
        assert said.evidence["failures"] == {
            "extract_facts": {
                "code": "SOURCE_UNREADABLE",
                "message": "no index found",
                "attempts": 1,
            }
        }


class TestHindrances:
    """An offline storage and a held lock are part of the reason."""

    def test_they_are_said(self) -> None:
        """The storage's reason, and who holds what until when; a lock that is over is not."""
        offline = storage(health=Health.OFFLINE, health_reason="no marker")
        said = explain_asset(asset(), storage=offline, lock=lock(), now=START).sentence
        assert "offline (no marker)" in said
        assert "agent-alice holds a job_lease until" in said
        over = explain_asset(asset(), lock=lock(), now=after(121)).sentence
        assert "holds" not in over

    def test_a_purge_that_left_something_is_said(self) -> None:
        """The reason and the number of files that stand are said, until another purge is accepted."""
        one = asset(state=State.REJECTED, verdict=Verdict.REJECT)
        failed = event("purge.failed", data={"error": "permission denied", "left": ["a", "b"]})
        said = explain_asset(one, events=[failed], now=START)
        assert "(permission denied); 2 files still stand" in said.sentence
        assert any("purge" in step for step in said.next)
        looked = event("purge.checked", data={"files": []})
        assert "still stand" in explain_asset(one, events=[failed, looked], now=START).sentence
        again = event("purge.accepted", data={})
        assert "still stand" not in explain_asset(one, events=[failed, again], now=START).sentence

    def test_what_the_policy_passed_over(self) -> None:
        """Its reason is said."""
        one = asset(state=State.REJECTED, verdict=Verdict.REJECT)
        skipped = event("purge.skipped", data={"problem": "no other copy"})
        said = explain_asset(one, events=[skipped], now=START).sentence
        assert "the purge policy passed it over (no other copy)" in said

    def test_what_is_left_of_a_purged_asset(self) -> None:
        """Its certificate can be read."""
        said = explain_asset(asset(state=State.PURGED), now=START)
        assert any("retaia purge certificate" in step for step in said.next)
