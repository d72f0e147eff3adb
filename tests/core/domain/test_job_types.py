"""The table of job types, their capabilities and parameters (domain.md, *Jobs*)."""

from __future__ import annotations

import pytest

from retaia_core.domain.derived import DERIVED_KINDS
from retaia_core.domain.identifiers import parse_capability, parse_name
from retaia_core.domain.job_types import JOB_TYPES, JobType, Parameter, parse_parameters
from retaia_core.domain.media import MediaType
from retaia_core.domain.profiles import PROFILES, Profile, check_profile, default_profile
from retaia_core.errors import ValidationFailed

TYPES = {job_type.name: job_type for job_type in JOB_TYPES}
DOCUMENT = {
    "extract_facts": "media.facts@1",
    "generate_thumbnails": "media.thumbnails@1",
    "generate_audio_waveform": "audio.waveform@1",
    "transcribe_audio": "speech.transcription@1",
    "suggest_tags": "meta.tags.suggestions@1",
}


class TestTheTable:
    """The table of domain.md, *Jobs*."""

    @pytest.mark.parametrize("name", DOCUMENT)
    def test_capabilities_are_the_documents(self, name: str) -> None:
        """Each job type needs the document's capability, whatever the media type."""
        for media_type in (*MediaType, None):
            assert TYPES[name].capability_for(media_type) == DOCUMENT[name]

    def test_proxies_differ_by_media_type(self) -> None:
        """Capability and output of a proxy are of its media type; no other subject has one."""
        proxy = TYPES["generate_proxy"]
        for media_type in MediaType:
            low = media_type.lower()
            assert proxy.capability_for(media_type) == f"media.proxies.{low}@1"
            assert proxy.outputs_for(media_type) == (f"proxy_{low}",)
        with pytest.raises(ValidationFailed):
            proxy.capability_for(None)
        assert proxy.outputs_for(None) == ()

    def test_the_older_name_stays_registered(self) -> None:
        """*`generate_video_proxies` is the older name of facts + proxy for video.*."""
        old = TYPES["generate_video_proxies"]
        assert old.capability_for(MediaType.VIDEO) == "media.proxies.video@1"
        assert (old.states_facts, old.outputs_for(MediaType.VIDEO)) == (True, ("proxy_video",))
        with pytest.raises(ValidationFailed):
            old.capability_for(MediaType.PHOTO)

    @pytest.mark.parametrize("job_type", JOB_TYPES, ids=lambda t: str(t.name))
    def test_rows_are_well_formed(self, job_type: JobType) -> None:
        """Names and capabilities parse, outputs are known kinds, no code is fatal and retryable."""
        assert parse_name(job_type.name, "job type") == job_type.name
        for capability in job_type.capabilities.values():
            assert parse_capability(capability) == capability
        kinds = {kind.name for kind in DERIVED_KINDS}
        assert {kind for outputs in job_type.outputs.values() for kind in outputs} <= kinds
        assert not set(job_type.fatal) & set(job_type.retryable)
        assert set(job_type.after) <= set(TYPES)


class TestParameters:
    """*Validated `parameters`*."""

    ROW = JobType(
        name="x",
        capabilities={},
        parameters={
            "count": Parameter(type=int, default=3),
            "ratio": Parameter(type=float, default=0.5),
            "on": Parameter(type=bool, default=False),
            "mode": Parameter(type=str, default="a", allowed=("a", "b")),
        },
    )

    def test_defaults_fill_in(self) -> None:
        """What is not given has its default; what is given stays."""
        defaults = {"count": 3, "ratio": 0.5, "on": False, "mode": "a"}
        assert parse_parameters(self.ROW, {}) == defaults
        assert parse_parameters(self.ROW, {"mode": "b", "ratio": 2}) == {
            **defaults,
            "mode": "b",
            "ratio": 2,
        }

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("count", True),
            ("count", 1.5),
            ("count", "1"),
            ("ratio", "x"),
            ("ratio", False),
            ("on", 1),
            ("mode", "c"),
            ("mode", None),
            ("unknown", 1),
        ],
    )
    def test_anything_else_is_refused_by_name(self, name: str, value: object) -> None:
        """Another type, a value that is not allowed, an unknown name."""
        with pytest.raises(ValidationFailed) as caught:
            parse_parameters(self.ROW, {name: value})
        fields = caught.value.details["fields"]
        assert isinstance(fields, dict)
        assert list(fields) == [name]


class TestProfiles:
    """*Profiles are registered through a hook*, and are checked as they come in."""

    @pytest.mark.parametrize("media_type", MediaType)
    def test_each_media_type_has_one_default(self, media_type: MediaType) -> None:
        """*Exactly one per asset, set at discovery.*."""
        defaults = [p for p in PROFILES if p.media_type is media_type and p.default]
        assert [default_profile(media_type, PROFILES)] == defaults

    @pytest.mark.parametrize("profile", PROFILES, ids=lambda p: str(p.name))
    def test_the_built_in_ones_are_sound(self, profile: Profile) -> None:
        """They name known job types, each in one column, and jobs that apply to their media type."""
        check_profile(profile, TYPES)
        for name in (*profile.required, *profile.optional):
            assert TYPES[name].capability_for(profile.media_type)
            assert parse_parameters(TYPES[name], profile.parameters.get(name, {})) is not None

    @pytest.mark.parametrize(
        "columns",
        [
            {"required": ("unknown",)},
            {"required": ("extract_facts", "extract_facts")},
            {"required": ("extract_facts",), "optional": ("extract_facts",)},
            {"required": ("extract_facts",), "forbidden": ("extract_facts",)},
        ],
    )
    def test_a_profile_that_contradicts_itself_is_refused(
        self, columns: dict[str, tuple[str, ...]]
    ) -> None:
        """Unknown job types, and one named twice or in two columns."""
        bad = Profile(name="bad", media_type=MediaType.VIDEO, **{"required": (), **columns})  # type: ignore[arg-type]
        with pytest.raises(ValidationFailed, match="bad"):
            check_profile(bad, TYPES)
