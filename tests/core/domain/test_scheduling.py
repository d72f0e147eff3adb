"""Which jobs an asset needs, and where it stands after any outcome of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from random import Random

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.actors import SYSTEM
from retaia_core.domain.assets import Asset, advanced
from retaia_core.domain.identifiers import ProfileName
from retaia_core.domain.job_types import FINGERPRINT, JOB_TYPES
from retaia_core.domain.jobs import Failure, Job, JobStatus, claimed, completed, failed, lost
from retaia_core.domain.lifecycle import Action, State
from retaia_core.domain.media import MediaType
from retaia_core.domain.profiles import PROFILES, Profile
from retaia_core.domain.scheduling import (
    Cause,
    advance,
    later_jobs,
    review_jobs,
    unblocked,
    waits,
)
from retaia_core.errors import ValidationFailed
from retaia_core.testing import strategies
from retaia_core.testing.clock import START
from retaia_core.testing.samples import after, asset, derived, job, job_id

TYPES = {job_type.name: job_type for job_type in JOB_TYPES}
PROCESSING = asset(state=State.PROCESSING_REVIEW)
OUTCOMES = ("completed", "fatal", "retryable", "lost")

DOCUMENT = {
    "video_standard": (
        "extract_facts generate_proxy generate_thumbnails",
        "generate_audio_waveform transcribe_audio suggest_tags",
        "",
    ),
    "audio_music": (
        "extract_facts generate_proxy generate_audio_waveform",
        "generate_thumbnails suggest_tags",
        "transcribe_audio",
    ),
    "audio_voice": (
        "extract_facts generate_proxy generate_audio_waveform transcribe_audio",
        "generate_thumbnails suggest_tags",
        "",
    ),
    "photo_standard": (
        "extract_facts generate_proxy generate_thumbnails",
        "suggest_tags",
        "generate_audio_waveform transcribe_audio",
    ),
}
"""The table of domain.md, *Processing profiles*: required, optional, forbidden."""


def of_profile(profile: Profile, **facts: object) -> Asset:
    """An asset with this profile."""
    return asset(media_type=profile.media_type, profile=profile.name, facts=facts)


class TestTheProfiles:
    """The table of domain.md, *Processing profiles*."""

    @pytest.mark.parametrize("name", DOCUMENT)
    def test_they_are_as_documented(self, name: str) -> None:
        """Required, optional and forbidden job types are those of the document."""
        profile = next(p for p in PROFILES if p.name == name)
        columns = (profile.required, profile.optional, profile.forbidden)
        assert tuple(set(column) for column in columns) == tuple(
            set(column.split()) for column in DOCUMENT[name]
        )

    @pytest.mark.parametrize("profile", PROFILES, ids=lambda p: str(p.name))
    @pytest.mark.parametrize("audio", [False, True])
    def test_a_forbidden_job_is_never_asked_for(self, profile: Profile, audio: bool) -> None:
        """Neither in the review nor later, whatever is switched on."""
        one = of_profile(profile, **({"audio_codec": "aac"} if audio else {}))
        review = review_jobs(one, profile, TYPES)
        later = later_jobs(one, profile, TYPES, frozenset(TYPES))
        asked = {request.job_type for request in (*review, *later)}
        assert not asked & set(profile.forbidden)
        assert set(profile.required) <= {request.job_type for request in review if request.required}


class TestReviewJobs:
    """*Every job that the profile requires*, and the optional ones a review can serve at once."""

    @pytest.mark.parametrize("profile", PROFILES, ids=lambda p: str(p.name))
    def test_required_first_each_once(self, profile: Profile) -> None:
        """The required jobs in their order, then optional review jobs; none twice."""
        requests = review_jobs(of_profile(profile), profile, TYPES)
        names = [request.job_type for request in requests]
        assert names[: len(profile.required)] == list(profile.required)
        assert len(set(names)) == len(names)
        for request in requests:
            assert request.required is (request.job_type in profile.required)
            assert request.review is True

    @pytest.mark.parametrize("media_type", MediaType)
    def test_a_proxy_needs_the_capability_of_its_media_type(self, media_type: MediaType) -> None:
        """`media.proxies.video@1` / `.audio@1` / `.photo@1` by media type."""
        profile = next(p for p in PROFILES if p.media_type is media_type and p.default)
        requests = review_jobs(of_profile(profile), profile, TYPES)
        [proxy] = [request for request in requests if request.job_type == "generate_proxy"]
        assert proxy.capability == f"media.proxies.{media_type.lower()}@1"

    def test_a_profile_parametrises_its_jobs(self) -> None:
        """The storyboard profile asks for a storyboard, the standard one does not."""
        said = {}
        for name in ("video_standard", "video_storyboard"):
            profile = next(p for p in PROFILES if p.name == name)
            requests = review_jobs(of_profile(profile), profile, TYPES)
            said[name] = next(
                dict(r.parameters) for r in requests if r.job_type == "generate_thumbnails"
            )
        assert said == {
            "video_standard": {"storyboard": False},
            "video_storyboard": {"storyboard": True},
        }

    def test_a_job_that_does_not_apply_is_refused(self) -> None:
        """A profile cannot give a photo what exists for video alone."""
        bad = Profile(
            name=ProfileName("bad"),
            media_type=MediaType.PHOTO,
            required=("generate_video_proxies",),
        )
        with pytest.raises(ValidationFailed):
            review_jobs(of_profile(bad), bad, TYPES)


class TestLaterJobs:
    """*Jobs that are not required become eligible after `PROCESSED` when switched on.*."""

    @given(st.sampled_from(PROFILES), st.frozensets(st.sampled_from(sorted(TYPES))), st.booleans())
    def test_only_what_is_optional_switched_on_and_possible(
        self, profile: Profile, switched_on: frozenset[str], audio: bool
    ) -> None:
        """No job is asked for later that is off, belongs to the review, or lacks its audio track."""
        one = of_profile(profile, **({"audio_codec": "aac"} if audio else {}))
        asked = [r.job_type for r in later_jobs(one, profile, TYPES, switched_on)]
        assert asked == [
            name
            for name in (*profile.optional, FINGERPRINT)
            if name in switched_on
            and not TYPES[name].review
            and (audio or not TYPES[name].needs_audio)
        ]

    @pytest.mark.parametrize("profile", PROFILES, ids=lambda p: str(p.name))
    def test_what_is_for_any_profile_waits_for_everything_else(self, profile: Profile) -> None:
        """Digests are taken of every asset, named by its profile or not, after what a person waits for."""
        switched_on = frozenset({FINGERPRINT})
        (request,) = later_jobs(of_profile(profile), profile, TYPES, switched_on)
        assert (request.required, request.review, request.priority) == (False, False, -10)
        unwanted = evolve(profile, forbidden=(*profile.forbidden, FINGERPRINT))
        assert later_jobs(of_profile(profile), unwanted, TYPES, switched_on) == ()


class TestWaiting:
    """*May depend on other jobs or need derived files as inputs.*."""

    def test_a_job_waits_for_both(self) -> None:
        """All named job types must be completed and all named kinds be there."""
        done = job(1, job_type="extract_facts", status=JobStatus.COMPLETED)
        open_job = job(2, job_type="generate_proxy")
        with_proxy = asset(derived=(derived("proxy_video"),))
        assert not waits((), (), asset(), [])
        assert waits(("extract_facts",), (), asset(), [open_job])
        assert not waits(("extract_facts",), (), asset(), [done, open_job])
        assert waits(("extract_facts", "generate_proxy"), (), asset(), [done, open_job])
        assert waits((), ("proxy_video",), asset(), [done])
        assert not waits(("extract_facts",), ("proxy_video",), with_proxy, [done])

    @given(st.lists(st.sampled_from(JobStatus), min_size=3, max_size=3), st.booleans())
    def test_what_is_there_unblocks(self, statuses: list[JobStatus], proxy: bool) -> None:
        """Exactly the waiting jobs whose dependencies are completed and inputs there are let go."""
        done = [job(n, status=status) for n, status in enumerate(statuses, start=1)]
        waiting = [
            job(11, waiting=True, depends_on=(job_id(1),)),
            job(12, waiting=True, depends_on=(job_id(2), job_id(3))),
            job(13, waiting=True, derived_inputs=("proxy_video",)),
            job(14, waiting=False, depends_on=(job_id(1),)),
        ]
        one = asset(derived=(derived("proxy_video"),) if proxy else ())
        complete = [status is JobStatus.COMPLETED for status in statuses]
        expected = [
            evolve(each, waiting=False)
            for each, is_ready in zip(
                waiting, [complete[0], complete[1] and complete[2], proxy, False], strict=True
            )
            if is_ready
        ]
        assert list(unblocked(one, [*done, *waiting])) == expected


@st.composite
def job_sets(draw: st.DrawFn) -> list[Job]:
    """The jobs of one review, in any mixture of statuses."""
    flags = draw(st.lists(st.booleans(), min_size=1, max_size=6))
    jobs = []
    for n, required in enumerate(flags, start=1):
        status = draw(st.sampled_from(JobStatus))
        failure = draw(strategies.failures()) if status is JobStatus.FAILED else None
        jobs.append(job(n, required=required, status=status, failure=failure))
    return jobs


class TestAdvance:
    """*`PROCESSING_REVIEW` → `PROCESSED` when every required job is completed*; else as the table says."""

    @given(job_sets(), st.sampled_from(Cause))
    def test_complete_means_every_required_job_is_completed(
        self, jobs: list[Job], cause: Cause
    ) -> None:
        """Never before, and at once then; optional jobs hold nothing back."""
        step = advance(PROCESSING, jobs, cause)
        done = all(j.status is JobStatus.COMPLETED for j in jobs if j.required)
        assert (Action.COMPLETE in step.actions) is done

    @given(job_sets(), st.sampled_from(Cause))
    def test_nothing_goes_back_while_a_job_is_held(self, jobs: list[Job], cause: Cause) -> None:
        """RELEASE waits until no job of the asset is held any more."""
        step = advance(PROCESSING, jobs, cause)
        if any(j.status is JobStatus.CLAIMED for j in jobs):
            assert Action.RELEASE not in step.actions
        assert len(step.actions) <= 1

    @given(job_sets(), st.sampled_from(Cause))
    def test_unprocessable_is_said_with_each_reason(self, jobs: list[Job], cause: Cause) -> None:
        """Exactly where required work failed for good and nothing is under way, with every reason."""
        step = advance(PROCESSING, jobs, cause)
        final = {j.job_id for j in jobs if j.required and j.status is JobStatus.FAILED}
        held = any(j.status is JobStatus.CLAIMED for j in jobs)
        assert step.unprocessable is (bool(final) and not held)
        assert set(step.reasons) == (final if step.unprocessable else set())
        if step.unprocessable:
            assert step.actions == (Action.RELEASE,)

    @given(job_sets(), st.sampled_from(Cause), st.sampled_from(State))
    def test_only_an_asset_in_review_moves(
        self, jobs: list[Job], cause: Cause, state: State
    ) -> None:
        """A result that comes later never changes the main state."""
        step = advance(asset(state=state), jobs, cause)
        assert state is State.PROCESSING_REVIEW or step.actions == ()

    @given(job_sets(), st.randoms(use_true_random=False), st.sampled_from(Cause))
    def test_the_order_of_the_jobs_does_not_matter(
        self,
        jobs: list[Job],
        random: Random,
        cause: Cause,
    ) -> None:
        """The answer is a function of the set of jobs."""
        shuffled = list(jobs)
        random.shuffle(shuffled)
        assert advance(PROCESSING, jobs, cause) == advance(PROCESSING, shuffled, cause)


def _end(one: Job, outcome: str) -> tuple[Job, Cause]:
    """End a claimed job in a way."""
    if outcome == "completed":
        return completed(one, after(1)), Cause.COMPLETED
    if outcome == "lost":
        return lost(one, after(1)), Cause.LET_GO
    failure = Failure(code="X", message="x", retryable=outcome == "retryable", at=after(1))
    return failed(one, failure), Cause.LET_GO


def _run(required: Sequence[bool], outcomes: Sequence[str], order: Sequence[int]) -> Asset:
    """Claim a bundle, end its jobs in an order, and follow every step."""
    one = PROCESSING
    jobs = [
        claimed(job(n, required=r), by="a", token="t", until=after(120), fencing=1, now=START)
        for n, r in enumerate(required, start=1)
    ]
    for index in order:
        jobs[index], cause = _end(jobs[index], outcomes[index])
        for action in advance(one, jobs, cause).actions:
            one = advanced(one, action, SYSTEM, after(1))
    return one


class TestAllOrdersOfOutcomes:
    """*The work was lost or failed retryably and no job of the asset is held any more.*."""

    @pytest.mark.parametrize("outcomes", list(itertools.product(OUTCOMES, repeat=3)), ids=str)
    def test_of_a_bundle_end_in_one_state(self, outcomes: tuple[str, ...]) -> None:
        """Two required jobs and an optional one: the end is the same in all six orders."""
        required = (True, True, False)
        ends = {_run(required, outcomes, order).state for order in itertools.permutations(range(3))}
        expected = State.PROCESSED if outcomes[:2] == ("completed", "completed") else State.READY
        assert ends == {expected}

    def test_a_part_that_is_done_leaves_the_rest_open(self) -> None:
        """An agent that claims one job of three and completes it leaves the asset in review."""
        jobs = [job(1, status=JobStatus.COMPLETED), job(2), job(3)]
        assert advance(PROCESSING, jobs, Cause.COMPLETED).actions == ()
