"""Processing profiles: what is required, optional and forbidden for an asset (domain.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import field, frozen

from ..errors import ValidationFailed
from .identifiers import ProfileName
from .media import MediaType


@frozen(kw_only=True)
class Profile:
    """One row of the table.

    ``default`` marks the profile that discovery gives to its media type; exactly one has it.
    ``parameters`` are given to the jobs by type.
    """

    name: ProfileName
    media_type: MediaType
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    default: bool = False
    parameters: Mapping[str, Mapping[str, object]] = field(factory=dict)


_REVIEW_AUDIO = ("extract_facts", "generate_proxy", "generate_audio_waveform")
_REVIEW_PICTURE = ("extract_facts", "generate_proxy", "generate_thumbnails")

PROFILES: tuple[Profile, ...] = (
    Profile(
        name=ProfileName("video_standard"),
        media_type=MediaType.VIDEO,
        required=_REVIEW_PICTURE,
        optional=("generate_audio_waveform", "transcribe_audio", "suggest_tags"),
        default=True,
    ),
    Profile(
        name=ProfileName("video_storyboard"),
        media_type=MediaType.VIDEO,
        required=_REVIEW_PICTURE,
        optional=("generate_audio_waveform", "transcribe_audio", "suggest_tags"),
        parameters={"generate_thumbnails": {"storyboard": True}},
    ),
    Profile(
        name=ProfileName("audio_music"),
        media_type=MediaType.AUDIO,
        required=_REVIEW_AUDIO,
        optional=("generate_thumbnails", "suggest_tags"),
        forbidden=("transcribe_audio",),
        default=True,
    ),
    Profile(
        name=ProfileName("audio_voice"),
        media_type=MediaType.AUDIO,
        required=(*_REVIEW_AUDIO, "transcribe_audio"),
        optional=("generate_thumbnails", "suggest_tags"),
    ),
    Profile(
        name=ProfileName("photo_standard"),
        media_type=MediaType.PHOTO,
        required=_REVIEW_PICTURE,
        optional=("suggest_tags",),
        forbidden=("generate_audio_waveform", "transcribe_audio"),
        default=True,
    ),
)
"""The built-in profiles; plugins add rows through the ``retaia_profiles`` hook."""


def default_profile(media_type: MediaType, profiles: Iterable[Profile]) -> Profile:
    """The profile that discovery gives to an asset: by media type alone, never by content.

    >>> default_profile(MediaType.AUDIO, PROFILES).name
    'audio_music'
    """
    return next(p for p in profiles if p.media_type is media_type and p.default)


def check_profile(profile: Profile, known_job_types: Iterable[str]) -> None:
    """Refuse a profile that names unknown job types or names one in two columns.

    Raises:
        ValidationFailed: as said.
    """
    named = (*profile.required, *profile.optional, *profile.forbidden)
    unknown = sorted(set(named) - set(known_job_types))
    twice = sorted({name for name in named if named.count(name) > 1})
    if unknown or twice:
        raise ValidationFailed(
            f"profile {profile.name}: "
            + "; ".join(
                text
                for text in (
                    f"unknown job types {', '.join(unknown)}" if unknown else "",
                    f"named in two columns: {', '.join(twice)}" if twice else "",
                )
                if text
            )
        )
