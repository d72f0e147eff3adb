"""The one decode of a recording's sound, in a thread of its own: waveform and AAC out of the same frames.

Sound decodes many times faster than pictures encode. Running ahead, it has the waveform ready long
before the proxy, whose container takes the encoded packets as its pictures get there.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from attrs import frozen
from av.audio.frame import AudioFrame
from av.stream import Discard

from .container import Walk, open_source

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet

    from .audio_encode import AacEncoder
    from .probe import Recording
    from .waveform import PeakAccumulator

AHEAD = 100_000
"""How many packets may wait: about 35 minutes of sound, 40 MB."""


class Spool:
    """Stands for the output container towards the sound encoder, and keeps its packets for the muxer.

    A container may be written by one thread only; the encoder's thread puts packets here, the thread
    that writes takes them.
    """

    def __init__(self, container: OutputContainer) -> None:
        self._container = container
        self._queue: queue.Queue[Packet[AudioStream] | None] = queue.Queue(AHEAD)
        self._next: Packet[AudioStream] | None = None
        self._open = True
        self._cancelled = threading.Event()

    def add_stream(self, *args: Any, **kwargs: Any) -> Any:
        """Add a stream to the output container; before writing starts."""
        return self._container.add_stream(*args, **kwargs)

    def mux(self, packets: Iterable[Packet[AudioStream]]) -> None:
        """Keep packets for the muxer, waiting while too many do; dropped once nobody will take them."""
        for packet in packets:
            self._put(packet)

    def close(self) -> None:
        """Say that no packets follow."""
        self._put(None)

    def cancel(self) -> None:
        """Say that no packets will be taken."""
        self._cancelled.set()

    def until(self, time: Fraction) -> Iterator[Packet[AudioStream]]:
        """Take the packets up to a time in seconds, waiting for the encoder where it is behind."""
        while (packet := self._peek()) is not None and _start_of(packet) <= time:
            self._next = None
            yield packet

    def rest(self) -> Iterator[Packet[AudioStream]]:
        """Take all packets that are left, until the encoder is through."""
        while (packet := self._peek()) is not None:
            self._next = None
            yield packet

    def _put(self, packet: Packet[AudioStream] | None) -> None:
        while not self._cancelled.is_set():
            try:
                self._queue.put(packet, timeout=0.2)
            except queue.Full:
                continue
            return

    def _peek(self) -> Packet[AudioStream] | None:
        if self._next is None and self._open:
            self._next = self._queue.get()
            self._open = self._next is not None
        return self._next


def _start_of(packet: Packet[AudioStream]) -> Fraction:
    return (packet.dts or 0) * packet.time_base


@frozen(kw_only=True)
class SoundReport:
    """What a pass over the sound met: packets read and broken, their size, and its end (file's clock)."""

    read: int
    broken: int
    size_bytes: int
    end: Fraction


def run_sound(
    recording: Recording,
    consumers: Iterable[PeakAccumulator | AacEncoder],
    stop: threading.Event,
) -> SoundReport:
    """Decode the sound of a recording once, and feed every consumer; give up where ``stop`` is set.

    Raises:
        SourceUnreadable: the sound cannot be read.
    """
    track = recording.audio
    assert track is not None
    fed = tuple(consumers)
    end = track.start
    with open_source(recording.path) as container:
        stream = container.streams[track.index]
        for other in container.streams:
            other.discard = Discard.default if other is stream else Discard.all
        walk = Walk(container, [stream])
        for frame in walk.frames():
            assert isinstance(frame, AudioFrame)
            for consumer in fed:
                consumer.feed(frame)
            end = _end_of(frame, end)
            if stop.is_set():
                break
    return SoundReport(read=walk.read, broken=walk.broken, size_bytes=walk.size_bytes, end=end)


def _end_of(frame: AudioFrame, before: Fraction) -> Fraction:
    length = Fraction(frame.samples, frame.sample_rate)
    if frame.pts is None or frame.time_base is None:
        return before + length
    return frame.pts * frame.time_base + length
