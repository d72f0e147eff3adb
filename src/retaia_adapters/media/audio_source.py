"""What a sound recording is, found out once and then passed around as a value.

Durations are counted, not believed: by the size of the samples that are there, by the frame headers of
raw streams, or by the timestamps of the last packets. A file that states more than it has is cut short.
"""

from __future__ import annotations

import re
import struct
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
from attrs import field, frozen
from av.stream import Disposition

from retaia_core.domain.derived import sniff
from retaia_core.domain.facts import Facts, FactValue
from retaia_core.domain.media import extension_of

from .audio_mpeg import Frame, adts_frame, mp3_frame, read_xing
from .av_facts import tag_facts, text_of
from .container import audio_streams, refuse_cut, seconds
from .ogg_pages import OggEnd, ogg_end
from .problems import MediaProblem, NoAudioTrack, SourceTruncated, SourceUnreadable
from .wav_chunks import WavFile, read_wav

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

FORMATS = "wav,w64,mp3,mov,aac,flac,ogg,aiff,caf,matroska,webm,asf,avi,mpegts,mpeg,ac3,eac3,wv"
"""The demuxers for sound. Playlists and pictures are not among them."""

_EXPECTED = {
    "wav": {"wav", "w64"},
    "mp3": {"mp3"},
    "m4a": {"mov"},
    "aac": {"aac", "mov"},
    "flac": {"flac"},
    "ogg": {"ogg"},
    "opus": {"ogg"},
    "aif": {"aiff"},
    "aiff": {"aiff"},
}
_RAW_FRAMES = {"mp3": mp3_frame, "aac": adts_frame}
_STATING = {"flac", "aiff", "w64", "caf"}
"""Formats whose header states the number of samples."""
_STATED_TOLERANCE = Fraction(1, 100)
_MAGIC = {b"fLaC", b"OggS", b"FORM"}
_HEAD = {"mp3": 4, "aac": 7}
_MOST_ERRORS = 50
# A WAV is searched for other codecs in disguise, 25 ms by default; packets are large to be few.
_WAV_OPTIONS = {"probesize": "65536", "max_size": "131072"}


@frozen(kw_only=True)
class Sound:
    """A source of sound. Times in seconds; ``origin`` is the timestamp at which the sound begins.

    ``raw`` says that the stream has no timestamps of its own, so that time is counted by its frames.
    ``steady`` says that no change of sample rate was seen. ``size_bytes`` is that of the sound alone.
    ``whole_mp3`` is the range of bytes from the ``Xing`` header of an MP3, if it is right, to its end.
    """

    path: Path
    format_name: str
    media_format: str
    index: int
    codec: str
    profile: str
    rate: int
    channels: int
    bits: int
    origin: Fraction
    duration: Fraction
    size_bytes: int
    whole_mp3: tuple[int, int] | None = None
    raw: bool = False
    steady: bool = True
    cover: bytes | None = field(default=None, repr=False)
    tags: Facts = field(factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def duration_ms(self) -> int:
        """The duration in whole milliseconds."""
        return round(self.duration * 1000)

    @property
    def is_float(self) -> bool:
        """Whether samples may lie above full scale without harm."""
        return self.codec.startswith("pcm_f")

    @property
    def facts(self) -> Facts:
        """What ``extract_facts`` states."""
        facts: dict[str, FactValue] = {
            "duration_ms": self.duration_ms,
            "media_format": self.media_format,
            "audio_codec": self.codec,
            "sample_rate_hz": self.rate,
            "channel_count": self.channels,
            **self.tags,
        }
        if self.bits:
            facts["bits_per_sample"] = self.bits
        if self.duration:
            facts["bitrate_kbps"] = round(self.size_bytes * 8 / self.duration / 1000)
        return facts


@frozen(kw_only=True)
class _Count:
    """What one walk over the packets found; times in seconds, ``end`` the place of the last byte."""

    length: Fraction
    size_bytes: int
    origin: Fraction = Fraction(0)
    end: int = 0
    steady: bool = True
    frames: int = 0
    cover: bytes | None = None
    broken: int = 0


def open_sound(path: Path) -> InputContainer:
    """Open a file of sound for reading.

    Raises:
        SourceTruncated: it ends before its structure does.
        SourceUnreadable: it cannot be read, or is no sound.
    """
    try:
        return _open(path, wav=read_wav(path) is not None)
    except OSError as error:
        raise _unreadable(error) from error


def probe_sound(path: Path) -> Sound:
    """Find out what a file of sound is.

    Raises:
        SourceTruncated: the file ends before its recording does.
        SourceUnreadable: it cannot be read, is empty, or holds no sound that can be decoded.
        NoAudioTrack: it is a recording, without a track of sound.
    """
    try:
        if not path.stat().st_size:
            raise SourceUnreadable("the file is empty")
        wav = read_wav(path)
        _refuse_wav(wav)
        with _open(path, wav=wav is not None) as container:
            return _sound(path, container, wav)
    except OSError as error:
        raise _unreadable(error) from error


def _open(path: Path, *, wav: bool) -> InputContainer:
    if not wav:
        refuse_cut(path)
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    try:
        return av.open(
            str(path.absolute()),
            mode="r",
            options={**options, **(_WAV_OPTIONS if wav else {})},
            metadata_errors="replace",
        )
    except av.error.FFmpegError as error:
        raise _not_opened(path, error) from error


def _not_opened(path: Path, error: av.error.FFmpegError) -> MediaProblem:
    with path.open("rb") as file:
        head = file.read(64)
    if isinstance(error, av.error.EOFError) and head[:4] in _MAGIC:
        return SourceTruncated("the file is cut short: it ends before its sound begins")
    said = error.strerror or type(error).__name__
    found = sniff(head) or "of an unknown type"
    return SourceUnreadable(f"the file cannot be opened as sound ({said}): its content is {found}")


def _unreadable(error: OSError) -> MediaProblem:
    return SourceUnreadable(f"the file cannot be read: {error.strerror or error}")


def _refuse_wav(wav: WavFile | None) -> None:
    if wav is None:
        return
    if wav.cut:
        raise SourceTruncated(
            f"the file is cut short: its header states {wav.data_stated} bytes of sound, "
            f"{wav.data_present} are there"
        )
    if not wav.blocks:
        raise SourceUnreadable("the file has a header and no sound")


def _sound(path: Path, container: InputContainer, wav: WavFile | None) -> Sound:
    format_name = container.format.name.split(",", maxsplit=1)[0]
    streams = audio_streams(container)
    if not streams:
        raise NoAudioTrack("the file has no track of sound that can be decoded")
    stream = streams[0]
    codec = stream.codec_context.codec.canonical_name
    count = _counted(container, stream, format_name, wav)
    notes = [
        *_extension_warnings(path, format_name),
        *(_wav_warnings(wav) if wav else ()),
        *_track_warnings(container, len(streams)),
        *_against_header(path, stream, format_name, count),
    ]
    if count.length <= 0:
        raise SourceUnreadable("the file holds no sound that can be decoded")
    return Sound(
        path=path,
        format_name=format_name,
        media_format=_media_format(format_name),
        index=stream.index,
        codec=codec,
        profile=stream.codec_context.profile or "",
        rate=stream.codec_context.sample_rate,
        channels=stream.codec_context.layout.nb_channels,
        bits=_bits(stream, codec, wav),
        origin=count.origin,
        duration=count.length,
        size_bytes=count.size_bytes,
        whole_mp3=_whole_mp3(path, count) if format_name == "mp3" else None,
        raw=format_name in _RAW_FRAMES,
        steady=count.steady,
        cover=count.cover,
        tags=_tags(container, stream, wav),
        warnings=tuple(notes),
    )


def _counted(
    container: InputContainer, stream: AudioStream, format_name: str, wav: WavFile | None
) -> _Count:
    cover = _cover_stream(container)
    if wav and wav.format.plain and stream.codec_context.name.startswith("pcm_"):
        return _Count(
            length=Fraction(wav.blocks, wav.format.rate),
            size_bytes=wav.blocks * wav.format.block_bytes,
            cover=_first_packet(container, cover) if cover else None,
        )
    if format_name in _RAW_FRAMES:
        return _count_frames(container, stream, cover, format_name)
    if format_name == "mov" and 0 < stream.frames == len(stream.index_entries):
        return _count_index(container, stream, cover)
    return _count_stamps(container, stream, cover, format_name)


def _cover_stream(container: InputContainer) -> Stream | None:
    pictures = [s for s in container.streams.video if s.disposition & Disposition.attached_pic]
    front = [s for s in pictures if "front" in s.metadata.get("comment", "").lower()]
    return next(iter(front or pictures), None)


def _first_packet(container: InputContainer, stream: Stream) -> bytes | None:
    for packet in packets_of(container, stream):
        return bytes(packet)
    return None


def packets_of(container: InputContainer, *streams: Stream) -> Iterator[Packet[Stream]]:
    """Yield the packets of streams that hold something, passing over damage between them.

    Raises:
        SourceUnreadable: the file cannot be read on.
    """
    for _ in range(_MOST_ERRORS):
        try:
            for packet in container.demux(*streams):
                if packet.size:
                    yield packet
            return
        except av.error.InvalidDataError:
            continue
        except OSError as error:
            raise _unreadable(error) from error
    raise SourceUnreadable("the file cannot be read on: nothing but damage follows")


def _count_frames(
    container: InputContainer, stream: AudioStream, cover: Stream | None, format_name: str
) -> _Count:
    """Count a raw stream by its frame headers; what the decoder will skip is not counted."""
    counts: dict[tuple[int, int], int] = {}
    size = broken = end = 0
    ends = _Ends()
    picture: bytes | None = None
    for packet in packets_of(container, stream, *([cover] if cover else [])):
        if packet.stream_index != stream.index:
            picture = picture or bytes(packet)
            continue
        frame = raw_frame(packet, format_name)
        if frame is None:
            broken += 1
            continue
        counts[frame.samples, frame.rate] = counts.get((frame.samples, frame.rate), 0) + 1
        size += packet.size
        end = (packet.pos or 0) + packet.size
        ends.note(packet)
    length = sum(
        (Fraction(samples, rate) * n for (samples, rate), n in counts.items()), Fraction(0)
    )
    return _Count(
        length=length - Fraction(sum(ends.skips()), stream.codec_context.sample_rate or 1),
        size_bytes=size,
        end=end,
        frames=sum(counts.values()),
        steady=len(counts) <= 1,
        cover=picture,
        broken=broken,
    )


def _whole_mp3(path: Path, count: _Count) -> tuple[int, int] | None:
    xing = read_xing(path)
    honest = xing is not None and xing.frames > 0 and xing.frames == count.frames
    return (xing.first_frame, count.end) if xing and honest and not count.broken else None


def raw_frame(packet: Packet[Stream], format_name: str) -> Frame | None:
    """The frame that a packet of a raw stream holds; None where it holds none, or not all of it."""
    frame = _RAW_FRAMES[format_name](bytes(memoryview(packet)[: _HEAD[format_name]]))
    return frame if frame and packet.size >= frame.size_bytes else None


def _count_index(container: InputContainer, stream: AudioStream, cover: Stream | None) -> _Count:
    """Count a stream by the index of all its packets, of which only the last is read."""
    picture = _first_packet(container, cover) if cover else None
    index = stream.index_entries
    container.seek(index[-1].timestamp, stream=stream)
    end = index[-1].timestamp
    for packet in packets_of(container, stream):
        end = max(end, (packet.pts or 0) + (packet.duration or 0))
    base = stream.time_base or Fraction(1)
    origin = max(index[0].timestamp, stream.start_time or 0) * base
    size = sum(entry.size for entry in index)
    return _Count(length=end * base - origin, size_bytes=size, origin=origin, cover=picture)


def _count_stamps(
    container: InputContainer, stream: AudioStream, cover: Stream | None, format_name: str
) -> _Count:
    """Count a stream with timestamps from where it is first heard to the end of its last packet."""
    start: int | None = None
    end = size = 0
    ends = _Ends()
    picture: bytes | None = None
    for packet in packets_of(container, stream, *([cover] if cover else [])):
        if packet.stream_index != stream.index:
            picture = picture or bytes(packet)
        elif packet.pts is not None:
            start = packet.pts if start is None else start
            end = max(end, packet.pts + (packet.duration or 0))
            size += packet.size
            ends.note(packet)
    base = stream.time_base or Fraction(1)
    # Samples before the start of the stream are the encoder's run-in, which decoders drop.
    origin = max(start or 0, stream.start_time or 0) * base
    # Ogg has its padding taken off the last packet's duration already, Matroska has not.
    tail = ends.skips()[1] if format_name == "matroska" else 0
    padding = Fraction(tail, stream.codec_context.sample_rate or 1)
    return _Count(
        length=end * base - origin - padding, size_bytes=size, origin=origin, cover=picture
    )


class _Ends:
    """The first and the last packets of a stream, which alone may hold samples that are dropped."""

    _FEW = 4

    def __init__(self) -> None:
        self._head: list[Packet[Stream]] = []
        self._tail: deque[Packet[Stream]] = deque(maxlen=self._FEW)

    def note(self, packet: Packet[Stream]) -> None:
        """Take the next packet."""
        if len(self._head) < self._FEW:
            self._head.append(packet)
        else:
            self._tail.append(packet)

    def skips(self) -> tuple[int, int]:
        """How many samples the decoder drops at the head and at the tail of packets."""
        heads = tails = 0
        for packet in (*self._head, *self._tail):
            if packet.has_sidedata("skip_samples"):
                data = bytes(packet.get_sidedata("skip_samples"))
                head, tail = struct.unpack_from("<II", data)
                heads, tails = heads + head, tails + tail
        return heads, tails


def _media_format(format_name: str) -> str:
    return {"mov": "m4a"}.get(format_name, format_name)


def _bits(stream: AudioStream, codec: str, wav: WavFile | None) -> int:
    """Bits per sample of lossless codecs; 0 for lossy ones, which have none."""
    pcm = re.match(r"pcm_[suf](\d+)", codec)
    if pcm:
        return wav.format.bits if wav and wav.format.bits else int(pcm[1])
    extra = stream.codec_context.extradata or b""
    if codec == "flac" and len(extra) >= 34:
        return ((extra[-22] & 1) << 4 | extra[-21] >> 4) + 1
    if codec == "alac" and len(extra) >= 18:
        return extra[17]
    return 0


def _tags(container: InputContainer, stream: AudioStream, wav: WavFile | None) -> Facts:
    said = tag_facts((container.metadata, stream.metadata))
    tags = {name: said.get(name) for name in ("captured_at", "timecode_start")}
    tags["recorder_model"] = said.get("camera_model")
    if wav:
        tags["captured_at"] = wav.captured_at or tags["captured_at"]
        tags["timecode_start"] = wav.timecode_start or tags["timecode_start"]
        tags["recorder_model"] = text_of(wav.bext.originator) if wav.bext else None
    return {name: value for name, value in tags.items() if value is not None}


def _extension_warnings(path: Path, format_name: str) -> Iterator[str]:
    extension = extension_of(path.name)
    if extension in _EXPECTED and format_name not in _EXPECTED[extension]:
        yield f"the file is named .{extension} and its content is {_media_format(format_name)}"


def _wav_warnings(wav: WavFile) -> Iterator[str]:
    if wav.data_stated is None:
        yield "the header was never finished (lost power, or a pipe); all that is there is used"
    if wav.loose_bytes > 1:
        yield f"{wav.loose_bytes} bytes at the end of the file belong to no chunk; they are left out"
    if wav.bext and wav.captured_at and not wav.captured_at.startswith(wav.bext.date[:4]):
        yield f"the recorder wrote the year as {wav.bext.date[:4]}; it is read as {wav.captured_at[:4]}"


def _track_warnings(container: InputContainer, tracks: int) -> Iterator[str]:
    if tracks > 1:
        yield f"the file has {tracks} tracks of sound; the first is used"
    if tracks < len(container.streams.audio):
        yield "the file has a track of sound in a codec that is not known; it is left out"


def _against_header(
    path: Path, stream: AudioStream, format_name: str, count: _Count
) -> Iterator[str]:
    """Compare what was counted with what the file states.

    Raises:
        SourceTruncated: less is there than stated.
    """
    if format_name == "ogg":
        end = ogg_end(path)
        if end is OggEnd.CUT:
            raise SourceTruncated("the file is cut short: its last page is not whole")
        if end is OggEnd.OPEN:
            yield "the stream has no end mark; it may have been cut short"
    if count.broken:
        yield f"broken frames of sound that are passed over: {count.broken}"
    stated = seconds(stream.duration, stream.time_base)
    if not stated or format_name not in {*_STATING, "mp3"}:
        return
    said = f"the file states {float(stated):.2f} s of sound; {float(count.length):.2f} s are there"
    if format_name == "mp3":
        xing = read_xing(path)
        short = stated - count.length > _STATED_TOLERANCE
        if xing and xing.missing_bytes and short:
            raise SourceTruncated(f"the file is cut short: {said}")
        if xing and xing.frames and abs(stated - count.length) > max(Fraction(1), stated / 50):
            yield said
    elif stated - count.length > _STATED_TOLERANCE:
        raise SourceTruncated(f"the file is cut short: {said}")
