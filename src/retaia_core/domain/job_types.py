"""The job types and the capabilities that they need (domain.md, *Jobs*)."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from ..errors import ValidationFailed
from .identifiers import Capability
from .media import MediaType
from .pacing import DEFAULT_RATE


@frozen(kw_only=True)
class Parameter:
    """A parameter of a job type: its JSON type, and what stands where none is given."""

    type: type[int] | type[float] | type[str] | type[bool]
    default: int | float | str | bool
    allowed: tuple[object, ...] = ()


@frozen(kw_only=True)
class JobType:
    """One row of the table.

    ``capabilities`` maps a media type to what an agent must offer; the key None stands for all others
    (and for subjects that are no assets). ``outputs`` are derived kinds; ``states_facts`` and
    ``result_domain`` (``transcript``, ``suggestions``, or a name of the plugin's own) say what else it
    may write. ``fatal`` and ``retryable`` are failure codes. ``review`` says that it belongs to what a
    person needs for a decision. ``after`` names job types of the same subject that must be completed
    first, ``derived_inputs`` kinds that must be there. ``priority`` is that of its jobs: high goes first.
    ``any_profile`` says that, where it is switched on, every asset gets it, whatever its profile names.
    """

    name: str
    capabilities: Mapping[MediaType | None, Capability]
    outputs: Mapping[MediaType | None, tuple[str, ...]] = field(factory=dict)
    states_facts: bool = False
    result_domain: str = ""
    fatal: tuple[str, ...] = ()
    retryable: tuple[str, ...] = ()
    parameters: Mapping[str, Parameter] = field(factory=dict)
    after: tuple[str, ...] = ()
    derived_inputs: tuple[str, ...] = ()
    review: bool = True
    needs_audio: bool = False
    priority: int = 0
    any_profile: bool = False

    def capability_for(self, media_type: MediaType | None) -> Capability:
        """What an agent must offer for this media type.

        Raises:
            ValidationFailed: the job type does not apply to it.
        """
        found = self.capabilities.get(media_type) or self.capabilities.get(None)
        if found is None:
            raise ValidationFailed(f"{self.name} does not apply to {media_type}")
        return found

    def outputs_for(self, media_type: MediaType | None) -> tuple[str, ...]:
        """The derived kinds that it may write for this media type."""
        return self.outputs.get(media_type) or self.outputs.get(None) or ()


def _any(capability: str) -> Mapping[MediaType | None, Capability]:
    return {None: Capability(capability)}


_PROXY_CAPABILITY: Mapping[MediaType | None, Capability] = {
    MediaType.VIDEO: Capability("media.proxies.video@1"),
    MediaType.AUDIO: Capability("media.proxies.audio@1"),
    MediaType.PHOTO: Capability("media.proxies.photo@1"),
}
_PROXY_OUTPUT: Mapping[MediaType | None, tuple[str, ...]] = {
    MediaType.VIDEO: ("proxy_video",),
    MediaType.AUDIO: ("proxy_audio",),
    MediaType.PHOTO: ("proxy_photo",),
}
FINGERPRINT = "fingerprint_source"
"""The job type by which agents take digests of whole files (see `domain.fixity`)."""

_UNREADABLE = ("SOURCE_UNREADABLE", "SOURCE_TRUNCATED", "SOURCE_TOO_LARGE")
_RESOURCES = ("TIMEOUT", "OUT_OF_MEMORY", "WORKSPACE_FULL")

JOB_TYPES: tuple[JobType, ...] = (
    JobType(
        name="extract_facts",
        capabilities=_any("media.facts@1"),
        states_facts=True,
        fatal=_UNREADABLE,
        retryable=_RESOURCES,
    ),
    JobType(
        name="generate_proxy",
        capabilities=_PROXY_CAPABILITY,
        outputs=_PROXY_OUTPUT,
        fatal=_UNREADABLE,
        retryable=("ENCODING_ERROR", *_RESOURCES),
    ),
    JobType(
        name="generate_thumbnails",
        capabilities=_any("media.thumbnails@1"),
        outputs={None: ("thumb",)},
        fatal=_UNREADABLE,
        retryable=("RENDERING_ERROR", *_RESOURCES),
        parameters={"storyboard": Parameter(type=bool, default=False)},
    ),
    JobType(
        name="generate_audio_waveform",
        capabilities=_any("audio.waveform@1"),
        outputs={None: ("waveform",)},
        fatal=("NO_AUDIO_TRACK", *_UNREADABLE),
        retryable=_RESOURCES,
        parameters={"bucket_count": Parameter(type=int, default=1000)},
        needs_audio=True,
    ),
    JobType(
        name="transcribe_audio",
        capabilities=_any("speech.transcription@1"),
        result_domain="transcript",
        fatal=("NO_AUDIO_TRACK",),
        retryable=("ENGINE_UNAVAILABLE", *_RESOURCES),
        review=False,
        needs_audio=True,
    ),
    JobType(
        name="suggest_tags",
        capabilities=_any("meta.tags.suggestions@1"),
        result_domain="suggestions",
        fatal=("NOT_ENOUGH_INPUT",),
        retryable=("PROVIDER_UNAVAILABLE",),
        review=False,
    ),
    JobType(
        name=FINGERPRINT,
        capabilities=_any("media.fingerprint@1"),
        result_domain="fixity",
        retryable=("SOURCE_CHANGED", "IO_ERROR", "TIMEOUT"),
        parameters={"bytes_per_second": Parameter(type=int, default=DEFAULT_RATE)},
        review=False,
        priority=-10,
        any_profile=True,
    ),
    JobType(
        name="generate_video_proxies",
        capabilities={MediaType.VIDEO: Capability("media.proxies.video@1")},
        outputs={MediaType.VIDEO: ("proxy_video",)},
        states_facts=True,
        fatal=_UNREADABLE,
        retryable=("ENCODING_ERROR", *_RESOURCES),
    ),
)
"""The built-in job types; plugins add rows through the ``retaia_job_types`` hook."""


def _parameter_problem(name: str, row: Parameter, value: object) -> str | None:
    accepted: type | tuple[type, ...] = (int, float) if row.type is float else row.type
    if not isinstance(value, accepted) or (isinstance(value, bool) and row.type is not bool):
        return f"{name} must be {row.type.__name__}"
    if row.allowed and value not in row.allowed:
        return f"{name} must be one of {', '.join(map(repr, row.allowed))}"
    return None


def parse_parameters(job_type: JobType, raw: Mapping[str, object]) -> Mapping[str, object]:
    """Check parameters against the job type's table and fill in the defaults.

    >>> parse_parameters(JOB_TYPES[2], {})
    {'storyboard': False}

    Raises:
        ValidationFailed: an unknown name or a value of another type; ``details["fields"]`` names each.
    """
    problems: dict[str, str] = {}
    for name, value in raw.items():
        row = job_type.parameters.get(name)
        known = ", ".join(job_type.parameters) or "none"
        problem = (
            _parameter_problem(name, row, value) if row else f"{name} is unknown; allowed: {known}"
        )
        if problem:
            problems[name] = problem
    if problems:
        said = "; ".join(problems.values())
        raise ValidationFailed(f"parameters of {job_type.name}: {said}", fields=problems)
    return {name: raw.get(name, row.default) for name, row in job_type.parameters.items()}
