"""A source that already is what its proxy must be: its packets are copied, not encoded again.

What the headers say is checked first (`suits`), what only the packets show (a constant rate, key frames
often enough, a bit rate that a browser can stream) while they are copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
from av.stream import Discard, Stream

from .container import Walk, open_source
from .frames import BT709, UNSPECIFIED, Turn
from .proxy_video import MP4_OPTIONS, ProxySettings, encoding

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet

    from .probe import PictureTrack, Recording, SoundTrack

_CONTAINERS = {"mp4", "mov", "matroska"}
_RATES = {44_100, 48_000}
_PROFILES = {"Constrained Baseline", "Baseline", "Main", "High"}
_PLAIN_COLORS = {BT709, UNSPECIFIED}


class NotAProxy(Exception):
    """The source is not what a proxy must be; encode it."""


def suits(recording: Recording, settings: ProxySettings) -> bool:
    """Whether, by its headers, a source already is its own proxy."""
    starts = [track.start for track in (recording.video, recording.audio) if track]
    return (
        recording.format_name in _CONTAINERS
        and recording.bitrate_kbps <= settings.copy_kbps
        and _suits_picture(recording.video, settings)
        and (recording.audio is None or _suits_sound(recording.audio))
        and max(starts) - min(starts) < 1 / recording.video.rate
    )


def _suits_picture(track: PictureTrack, settings: ProxySettings) -> bool:
    picture = track.picture
    colors = {picture.matrix, picture.transfer, picture.primaries}
    return (
        track.codec == "h264"
        and track.profile in _PROFILES
        and track.progressive
        and picture.pixel_format == "yuv420p"
        and picture.turn == Turn()
        and track.aspect == 1
        and colors <= _PLAIN_COLORS
        and settings.size_of(track.display) == picture.size
    )


def _suits_sound(track: SoundTrack) -> bool:
    return (
        track.codec == "aac"
        and track.profile == "LC"
        and track.rate in _RATES
        and track.channels <= 2
    )


def copy_as_proxy(recording: Recording, path: Path, settings: ProxySettings) -> None:
    """Copy the packets of the source's picture and sound into a proxy.

    Raises:
        NotAProxy: its packets show that it is none; nothing is left behind.
        MediaProblem: the source cannot be read, or the file cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with open_source(recording.path) as source, encoding():
            with av.open(str(part), "w", format="mp4", options=MP4_OPTIONS) as target:
                _copy(recording, source, target, settings)
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _copy(
    recording: Recording, source: InputContainer, target: OutputContainer, settings: ProxySettings
) -> None:
    tracks = (recording.video, recording.audio)
    streams = [source.streams[track.index] for track in tracks if track is not None]
    for other in source.streams:
        other.discard = Discard.default if other in streams else Discard.all
    copies = {stream.index: target.add_stream_from_template(stream) for stream in streams}
    extradata = streams[0].codec_context.extradata or b""
    check = _PacketCheck(recording.video.rate, settings, length_size=_length_size(extradata))
    for packet in _whole(Walk(source, streams)):
        if packet.stream_index == recording.video.index:
            check.feed(packet)
        packet.stream = copies[packet.stream_index]
        target.mux(packet)
    check.finish()


def _whole(walk: Walk) -> Iterator[Packet[Stream]]:
    for packet in walk.packets():
        if not packet.size:
            continue
        if walk.broken or packet.is_corrupt or packet.dts is None or packet.pts is None:
            raise NotAProxy("it is damaged")
        yield packet


class _PacketCheck:
    """Watches the packets of the picture for what a proxy must keep to."""

    def __init__(self, rate: Fraction, settings: ProxySettings, *, length_size: int) -> None:
        self._length_size = length_size
        self._length = 1 / rate
        self._key_seconds = settings.key_seconds
        self._key: Fraction | None = None
        self._first: Fraction | None = None
        self._end = Fraction(0)
        self._count = 0

    def feed(self, packet: Packet[Stream]) -> None:
        assert packet.dts is not None
        assert packet.pts is not None
        if packet.is_discard:
            raise NotAProxy("an edit list leaves out a part of it")
        if not _units_fit(bytes(packet), self._length_size):
            raise NotAProxy("a picture is damaged")
        self._constant(packet.dts * packet.time_base)
        self._keyed(packet, packet.pts * packet.time_base)

    def finish(self) -> None:
        if not self._count:
            raise NotAProxy("it has no pictures")
        self._often(self._end)

    def _constant(self, time: Fraction) -> None:
        if self._first is None:
            self._first = time
        expected = self._first + self._count * self._length
        self._count += 1
        if abs(time - expected) > self._length / 4:
            raise NotAProxy("its frame rate varies")

    def _keyed(self, packet: Packet[Stream], time: Fraction) -> None:
        if packet.is_keyframe:
            self._often(time)
            self._key = time
        elif self._key is None:
            raise NotAProxy("it does not begin with a key frame")
        self._end = max(self._end, time + self._length)

    def _often(self, time: Fraction) -> None:
        if self._key is not None and time - self._key > self._key_seconds + self._length / 2:
            raise NotAProxy("its key frames are too far apart")


def _length_size(extradata: bytes) -> int:
    """How many bytes tell the length of a unit of H.264 (ISO/IEC 14496-15).

    Raises:
        NotAProxy: the units are not stored with their lengths.
    """
    if len(extradata) < 7 or extradata[0] != 1:
        raise NotAProxy("its pictures are not stored as MP4 stores them")
    return (extradata[4] & 3) + 1


def _units_fit(packet: bytes, length_size: int) -> bool:
    """Whether the units of a picture fill its packet: a copy is not decoded, so this is looked at.

    >>> _units_fit(bytes.fromhex("00000002 6588"), 4), _units_fit(bytes(6), 4)
    (True, False)
    """
    at = 0
    while at + length_size < len(packet):
        length = int.from_bytes(packet[at : at + length_size])
        header = packet[at + length_size]
        if not length or header & 0x80 or not header & 0x1F:
            return False
        at += length_size + length
    return at == len(packet)
