"""What a recording is, found out once and then passed around as a value.

Durations are counted, not believed: the last packets of each track are read. The first picture is
decoded, because only a frame tells how it is turned, woven and coloured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av.error
from attrs import evolve, field, frozen
from av.stream import Discard
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from retaia_core.domain.facts import Facts, FactValue

from .av_facts import color_facts, tag_facts
from .cadence import snap_rate
from .container import Walk, audio_streams, open_source, refuse_cut, seconds, video_streams
from .frames import Picture, Size, display_size, picture_of
from .problems import SourceTruncated, SourceUnreadable
from .structure import Structure

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream

_MICROSECONDS = 1_000_000
# Formats whose header states a duration of its own, rather than one guessed from the file.
_STATING = {"mov", "matroska", "avi", "mxf", "asf", "flv"}
# Formats whose index is whole as soon as they are open, so that their average rate is exact.
_COUNTED = {"mov"}
_PROGRESSIVE = 1  # AV_FIELD_PROGRESSIVE
_PRIMING = Fraction(1, 10)


@frozen(kw_only=True)
class SoundTrack:
    """The track of sound that is used; ``start`` and ``end`` in seconds on the file's own clock."""

    index: int
    codec: str
    profile: str
    rate: int
    channels: int
    bits: int
    start: Fraction
    end: Fraction


@frozen(kw_only=True)
class PictureTrack:
    """The track of pictures that is used; ``start`` and ``end`` in seconds on the file's own clock."""

    index: int
    codec: str
    profile: str
    picture: Picture
    aspect: Fraction
    rate: Fraction
    start: Fraction
    end: Fraction
    progressive: bool
    facts: Facts = field(factory=dict)

    @property
    def display(self) -> Size:
        """The size of the upright picture with square pixels."""
        return display_size(self.picture.size, self.aspect, self.picture.turn)


@frozen(kw_only=True)
class Recording:
    """A recording with pictures: its tracks, and one clock for both.

    ``origin`` is the time on the file's clock at which the first of the two tracks begins; ``sounds``
    counts all tracks of sound.
    """

    path: Path
    format_name: str
    video: PictureTrack
    audio: SoundTrack | None
    sounds: int
    tags: Facts
    bitrate_kbps: int
    warnings: tuple[str, ...]

    @property
    def origin(self) -> Fraction:
        """Where the first track begins, in seconds on the file's clock."""
        return min(track.start for track in (self.video, self.audio) if track is not None)

    @property
    def duration(self) -> Fraction:
        """Seconds from the origin to the end of the last track."""
        end = max(track.end for track in (self.video, self.audio) if track is not None)
        return end - self.origin

    @property
    def pictures(self) -> tuple[Fraction, Fraction]:
        """Where the pictures begin and end, in seconds from the origin."""
        return self.video.start - self.origin, self.video.end - self.origin

    @property
    def duration_ms(self) -> int:
        """The duration in whole milliseconds."""
        return round(self.duration * 1000)

    @property
    def facts(self) -> Facts:
        """What ``extract_facts`` states. Width and height are as stored, before any turn."""
        size = self.video.picture.size
        facts: dict[str, FactValue] = {
            "duration_ms": self.duration_ms,
            "media_format": self.format_name,
            "video_codec": self.video.codec,
            "width": size.width,
            "height": size.height,
            "fps": round(float(self.video.rate), 6),
            "rotation_deg": self.video.picture.turn.quarters * 90,
            **self.video.facts,
            **self.tags,
        }
        if self.bitrate_kbps:
            facts["bitrate_kbps"] = self.bitrate_kbps
        return {**facts, **(sound_facts(self.audio) if self.audio else {})}


def sound_facts(track: SoundTrack) -> Facts:
    """The facts of a track of sound."""
    facts: dict[str, FactValue] = {
        "audio_codec": track.codec,
        "sample_rate_hz": track.rate,
        "channel_count": track.channels,
    }
    if track.bits:
        facts["bits_per_sample"] = track.bits
    return facts


def probe(path: Path) -> Recording:
    """Find out what a recording with pictures is.

    Raises:
        SourceTruncated: the file ends before its recording does.
        SourceUnreadable: it is no recording, or has no picture that can be decoded.
    """
    with open_source(path) as container:
        structure = refuse_cut(path)
        pictures, sounds = video_streams(container), audio_streams(container)
        if not pictures:
            raise SourceUnreadable("the file has no track of pictures that can be decoded")
        first = _first_frame(container, pictures[0])
        ends = _ends(container, (pictures[0], *sounds[:1]))
        video = _picture_track(container, pictures[0], first, ends)
        audio = _sound_track(sounds[0], ends) if sounds else None
        recording = Recording(
            path=path,
            format_name=_format_name(container),
            video=video,
            audio=audio,
            sounds=len(container.streams.audio),
            tags=tag_facts((container.metadata, *(s.metadata for s in container.streams))),
            bitrate_kbps=round((container.bit_rate or 0) / 1000),
            warnings=tuple(_track_warnings(container, len(pictures), len(sounds))),
        )
        return _against_header(recording, container, structure)


def _first_frame(container: InputContainer, stream: VideoStream) -> VideoFrame:
    for frame in Walk(container, [stream]).frames():
        if isinstance(frame, VideoFrame):
            return frame
    raise SourceUnreadable("no picture of the file can be decoded")


def _ends(container: InputContainer, streams: tuple[Stream, ...]) -> dict[int, Fraction]:
    """Count where each stream ends, by reading its last packets; by stream index, in seconds."""
    ends: dict[int, Fraction] = {}
    for stream in streams:
        for other in container.streams:
            other.discard = Discard.default if other is stream else Discard.all
        near_end = (container.start_time or 0) + (container.duration or 0) - _MICROSECONDS
        end = _end_from(container, stream, near_end)
        if end is None:
            end = _end_from(container, stream, 0)
        if end is not None:
            ends[stream.index] = end
    return ends


def _end_from(container: InputContainer, stream: Stream, microseconds: int) -> Fraction | None:
    """Read a stream's packets from a time on; where the last one ends, or None where there is none."""
    ticks = int(
        Fraction(microseconds, _MICROSECONDS) / (stream.time_base or Fraction(1, _MICROSECONDS))
    )
    # A file that cannot be searched is read through from where it stands.
    with suppress(av.error.FFmpegError):
        container.seek(ticks, stream=stream, any_frame=_short_name(container) in _COUNTED)
    end: Fraction | None = None
    for packet in Walk(container, [stream]).packets():
        time = seconds(packet.dts if packet.pts is None else packet.pts, stream.time_base)
        if time is not None:
            length = seconds(packet.duration, stream.time_base) or _packet_length(stream)
            end = time + length if end is None else max(end, time + length)
    return end


def _packet_length(stream: Stream) -> Fraction:
    if isinstance(stream, VideoStream):
        return 1 / _rate(stream, counted=False)
    return Fraction(0)


def _rate(stream: VideoStream, *, counted: bool) -> Fraction:
    candidates = (
        stream.average_rate if counted else stream.guessed_rate,
        stream.guessed_rate,
        stream.base_rate,
        stream.average_rate,
    )
    return snap_rate(next((rate for rate in candidates if rate), Fraction(25)))


def _picture_track(
    container: InputContainer,
    stream: VideoStream,
    first: VideoFrame,
    ends: dict[int, Fraction],
) -> PictureTrack:
    start = seconds(first.pts, first.time_base) or Fraction(0)
    rate = _rate(stream, counted=_short_name(container) in _COUNTED)
    context = stream.codec_context
    return PictureTrack(
        index=stream.index,
        codec=context.codec.canonical_name,
        profile=context.profile or "",
        picture=picture_of(first),
        aspect=stream.sample_aspect_ratio or Fraction(1),
        rate=rate,
        start=start,
        end=max(ends.get(stream.index, start), start + 1 / rate),
        progressive=context.field_order == _PROGRESSIVE and not first.interlaced_frame,
        facts={
            "pixel_format": first.format.name,
            **color_facts(
                space=first.colorspace,
                transfer=first.color_trc,
                primaries=first.color_primaries,
                color_range=first.color_range,
            ),
        },
    )


def _sound_track(stream: AudioStream, ends: dict[int, Fraction]) -> SoundTrack:
    start = seconds(stream.start_time, stream.time_base) or Fraction(0)
    if -_PRIMING < start < 0:
        # The encoder's run-in, which decoders drop.
        start = Fraction(0)
    context = stream.codec_context
    codec = context.codec.canonical_name
    bits = re.fullmatch(r"pcm_[suf](\d+).*", codec)
    return SoundTrack(
        index=stream.index,
        codec=codec,
        profile=context.profile or "",
        rate=context.sample_rate,
        channels=context.layout.nb_channels,
        bits=int(bits[1]) if bits else 0,
        start=start,
        end=max(ends.get(stream.index, start), start),
    )


def _short_name(container: InputContainer) -> str:
    return container.format.name.split(",", maxsplit=1)[0]


def _format_name(container: InputContainer) -> str:
    """The format in one word: ISO base media by its brand, the others by their demuxer."""
    name = _short_name(container)
    if name == "mov":
        return "mov" if container.metadata.get("major_brand", "qt").strip() == "qt" else "mp4"
    return "webm" if name == "matroska" and container.name.lower().endswith(".webm") else name


def _track_warnings(container: InputContainer, pictures: int, sounds: int) -> Iterator[str]:
    if pictures > 1:
        yield f"the file has {pictures} tracks of pictures; the first is used"
    if sounds > 1:
        yield f"the file has {sounds} tracks of sound; the first is used"
    if sounds < len(container.streams.audio):
        yield "the file has a track of sound in a codec that is not known; it is left out"


def _against_header(
    recording: Recording, container: InputContainer, structure: Structure
) -> Recording:
    """Compare what was counted with what the header states.

    Raises:
        SourceTruncated: less is there than stated, and nothing else shows that the file is whole.
    """
    if container.duration is None or _short_name(container) not in _STATING:
        return recording
    stated = Fraction(container.duration, _MICROSECONDS)
    missing = stated - recording.duration
    if abs(missing) <= max(Fraction(1), stated / 50):
        return recording
    said = f"the file states {float(stated):.1f} s; {float(recording.duration):.1f} s are there"
    if missing > 0 and structure is not Structure.WHOLE:
        raise SourceTruncated(f"the file is cut short: {said}")
    return evolve(recording, warnings=(*recording.warnings, said))
