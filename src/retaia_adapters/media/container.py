"""Opening a source and walking its packets without trusting them.

Damage is met packet by packet: a packet that does not decode is counted and passed over, so that a
broken last frame costs that frame and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
from attrs import frozen
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from .problems import SourceTruncated, SourceUnreadable
from .structure import Structure, structure_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet

FORMATS = "mov,matroska,webm,avi,mpegts,mpeg,mxf,asf,flv,ogg,dv,gxf,mpegvideo,h264,hevc,m4v"
"""The demuxers for video. Playlists are not among them: a source must not make us open other files."""

_MAX_ERRORS_IN_A_ROW = 50
_HOLE = Fraction(1, 2)


def open_source(path: Path, *, formats: str = FORMATS) -> InputContainer:
    """Open a file for reading.

    Raises:
        SourceTruncated: it ends before its structure does, or its index was lost.
        SourceUnreadable: it cannot be read, or is none of ``formats``.
    """
    try:
        refuse_cut(path)
        return av.open(
            str(path.absolute()),
            mode="r",
            options={"protocol_whitelist": "file", "format_whitelist": formats},
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, OSError) as error:
        said = error.strerror or type(error).__name__
        raise SourceUnreadable(f"the file cannot be opened as a recording: {said}") from error


def refuse_cut(path: Path) -> Structure:
    """Return the structure of a file that is not visibly cut short.

    Raises:
        SourceTruncated: it ends before its structure does, or its index was lost.
        OSError: it cannot be read.
    """
    structure = structure_of(path)
    if structure is Structure.CUT:
        raise SourceTruncated("the file is cut short: it ends before its own structure does")
    if structure is Structure.NO_INDEX:
        raise SourceTruncated("the file is cut short: its index (moov) is missing")
    return structure


def video_streams(container: InputContainer) -> tuple[VideoStream, ...]:
    """The tracks of moving pictures that can be decoded, the default one first; no cover pictures."""
    cover = Disposition.attached_pic | Disposition.timed_thumbnails
    usable = [
        stream
        for stream in container.streams.video
        if _decodable(stream) and not stream.disposition & cover
    ]
    return tuple(sorted(usable, key=_not_default))


def audio_streams(container: InputContainer) -> tuple[AudioStream, ...]:
    """The tracks of sound that can be decoded, the default one first."""
    return tuple(sorted(filter(_decodable, container.streams.audio), key=_not_default))


def _decodable(stream: Stream) -> bool:
    # The stubs promise a codec context; unknown codecs have none.
    context: object = stream.codec_context
    return context is not None


def _not_default(stream: Stream) -> bool:
    return not stream.disposition & Disposition.default


def seconds(ticks: int | None, time_base: Fraction | None) -> Fraction | None:
    """Turn a time in ticks into seconds, or None where either is unknown."""
    return None if ticks is None or time_base is None else ticks * time_base


@frozen(kw_only=True)
class Hole:
    """A time without packets, in seconds on the file's clock, and how many bytes the file has there."""

    start: Fraction
    end: Fraction
    size_bytes: int


class Walk:
    """One pass over some streams of a container; counts what was broken.

    ``read`` and ``broken`` are the numbers of packets that were read and of those that did not decode,
    ``size_bytes`` is the size of the packets read, ``holes`` the times without any that they do not
    explain by their own length.
    """

    def __init__(self, container: InputContainer, streams: Sequence[Stream]) -> None:
        self._container = container
        self._streams = tuple(streams)
        self.read = 0
        self.broken = 0
        self.size_bytes = 0
        self.holes: list[Hole] = []
        self._end: Fraction | None = None
        self._place = 0

    def packets(self) -> Iterator[Packet[Stream]]:
        """Yield packets to the end of the file, and at last an empty one for each stream (a flush)."""
        errors = 0
        while errors < _MAX_ERRORS_IN_A_ROW:
            try:
                for packet in self._container.demux(*self._streams):
                    errors = 0
                    if packet.size:
                        self._note(packet)
                    yield packet
                return
            except av.error.InvalidDataError:
                errors += 1
                self.broken += 1
            except OSError as error:
                raise SourceUnreadable(f"the file cannot be read on: {error.strerror}") from error
        raise SourceUnreadable("the file cannot be read on: nothing but damage follows")

    def frames(self) -> Iterator[VideoFrame | AudioFrame]:
        """Yield the frames that decode, in the order of the file."""
        for packet in self.packets():
            yield from self.decode(packet)

    def _note(self, packet: Packet[Stream]) -> None:
        self.read += 1
        self.size_bytes += packet.size
        if packet.dts is None:
            return
        start = packet.dts * packet.time_base
        place = self._place if packet.pos is None else packet.pos
        if self._end is not None and start - self._end > _HOLE:
            self.holes.append(Hole(start=self._end, end=start, size_bytes=place - self._place))
        self._end = start + (packet.duration or 0) * packet.time_base
        self._place = place + packet.size

    def decode(self, packet: Packet[Stream]) -> Sequence[VideoFrame | AudioFrame]:
        """Decode a packet; a broken one is counted and yields nothing.

        Raises:
            SourceUnreadable: the decoder refuses the stream itself.
        """
        try:
            return [f for f in packet.decode() if isinstance(f, VideoFrame | AudioFrame)]
        except (av.error.InvalidDataError, av.error.UndefinedError, av.error.EOFError):
            self.broken += 1
            return ()
        except (av.error.PatchWelcomeError, av.error.LookupError) as error:
            raise SourceUnreadable(f"the codec is not supported: {error.strerror}") from error
