"""The one pass over a source of sound: decoded frames, on the time line, damage passed over."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from av.audio.frame import AudioFrame

from .audio_source import Sound, open_sound, raw_frame
from .container import Walk
from .problems import SourceUnreadable

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream


class Decoding:
    """Decodes a source once, front to back.

    ``broken`` counts the packets that did not decode; their time stays on the time line, so that what
    follows is heard when it was recorded.
    """

    def __init__(self, sound: Sound) -> None:
        self._sound = sound
        self._counted = Fraction(0)
        self.broken = 0

    def frames(self) -> Iterator[AudioFrame]:
        """Yield the frames; their timestamps count from `Sound.origin`'s clock.

        Raises:
            SourceUnreadable: nothing decodes, or the file cannot be read on.
        """
        decoded = 0
        with open_sound(self._sound.path) as container:
            stream = container.streams[self._sound.index]
            walk = Walk(container, [stream])
            for packet in walk.packets():
                for frame in self._decoded(walk, packet):
                    decoded += frame.samples
                    yield frame
            self.broken = walk.broken
        if not decoded:
            raise SourceUnreadable("no sound of the file can be decoded")

    def warnings(self) -> tuple[str, ...]:
        """What a person should know about the pass, once it is over."""
        if not self.broken:
            return ()
        return (f"damaged packets of sound that cannot be decoded and are silent: {self.broken}",)

    def _decoded(self, walk: Walk, packet: Packet[Stream]) -> Iterator[AudioFrame]:
        broken = walk.broken
        frames = [f for f in walk.decode(packet) if isinstance(f, AudioFrame) and f.sample_rate]
        if self._sound.raw:
            if walk.broken > broken:
                frame = raw_frame(packet, self._sound.format_name)
                self._counted += frame.length if frame else 0
            frames = [self._stamped(frame) for frame in frames]
        yield from frames

    def _stamped(self, frame: AudioFrame) -> AudioFrame:
        """Give a frame of a raw stream the time at which it is heard; the demuxer only guessed."""
        frame.time_base = Fraction(1, frame.sample_rate)
        frame.pts = round(self._counted * frame.sample_rate)
        self._counted += Fraction(frame.samples, frame.sample_rate)
        return frame
