"""Encode decoded sound as AAC-LC on one continuous time line (domain.md, *Derived files*).

Mono stays mono and stereo stays stereo; more channels are mixed down to stereo by their places, no
channel left out (a recorder's sixth track is a microphone, whatever the header calls it), and turned
down so that the mix cannot clip.

numpy is loaded with the first sound, not before: an encoder for a video is made while its pictures wait.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer

from .audio_clock import FrameClock
from .audio_rates import PROXY_VIDEO_RATES, output_bit_rate, output_rate

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_BLOCK = 65_536
_PLACED = 8
"""Layouts of up to 8 channels have a place for each of them."""


class AacEncoder:
    """Adds one AAC-LC stream to ``container`` and encodes frames of any format, layout and rate into it.

    The encoded sound begins at ``origin_s`` (the timestamp in seconds that counts as zero, the same for
    sound and picture): a later start and gaps are filled with silence, sound before the origin and
    overlaps are cut off, and so is what comes later than ``until_s`` seconds after the origin.
    ``rates`` are the sample rates in Hz that may be kept. ``gain`` scales the samples, for float sources
    that exceed full scale.
    """

    def __init__(
        self,
        container: OutputContainer,
        *,
        source_rate: int,
        source_channels: int,
        origin_s: float | Fraction = 0,
        rates: frozenset[int] = PROXY_VIDEO_RATES,
        gain: float = 1.0,
        until_s: float | Fraction | None = None,
    ) -> None:
        self._container = container
        self._rate = output_rate(source_rate, rates)
        self._channels = 1 if source_channels == 1 else 2
        self._layout = "mono" if source_channels == 1 else "stereo"
        self._gain = gain
        self._most = None if until_s is None else round(until_s * self._rate)
        self._clock = FrameClock(origin_s)
        self._resampler: AudioResampler | None = None
        self._resampler_input: tuple[str, str, int] | None = None
        self._packer = AudioResampler(format="flt")
        self._encoded = 0
        self._cut = 0
        self.stream = self._add_stream()

    @property
    def duration(self) -> Fraction:
        """Seconds of sound given to the encoder so far; whole only after `finish`."""
        return Fraction(self._encoded, self._rate)

    def feed(self, frame: av.AudioFrame) -> None:
        """Encode one decoded frame.

        Raises:
            av.FFmpegError: the encoder or the file failed.
        """
        ended = self._clock.now
        placement = self._clock.place(frame)
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if source != self._resampler_input or placement.jumped:
            self._drain(ended)
            self._resampler, self._resampler_input = self._make_resampler(), source
            self._packer = AudioResampler(format="flt")
            self._go_to(placement.start)
        if frame.samples:
            assert self._resampler is not None
            self._encode(self._resampler.resample(self._mixed(frame)))

    def finish(self) -> None:
        """Encode what is still held back; the container stays open."""
        self._drain(self._clock.now)
        self._container.mux(self.stream.encode(None))

    def _add_stream(self) -> AudioStream:
        # The "fast" coder takes 40 % of the time of "twoloop", and at these bit rates is no worse.
        stream = self._container.add_stream("aac", rate=self._rate, options={"aac_coder": "fast"})
        assert isinstance(stream, AudioStream)
        stream.layout = self._layout
        stream.bit_rate = output_bit_rate(self._rate, self._channels)
        return stream

    def _make_resampler(self) -> AudioResampler:
        options = {
            "rematrix_maxval": "1.0",
            "lfe_mix_level": "1.0",
            "rematrix_volume": repr(self._gain),
        }
        return AudioResampler(
            format="fltp",
            layout=self._layout,
            rate=self._rate,
            frame_size=_BLOCK,
            options=options,
        )

    def _mixed(self, frame: av.AudioFrame) -> av.AudioFrame:
        """Mix channels without a known place evenly; the resampler would leave some of them out."""
        channels = frame.layout.nb_channels
        if channels <= _PLACED:
            return frame
        import numpy as np

        (packed,) = self._packer.resample(frame)
        even = np.asarray(packed.to_ndarray()).reshape(-1, channels).mean(axis=1, dtype=np.float32)
        mixed = av.AudioFrame.from_ndarray(even[np.newaxis, :], format="flt", layout="mono")
        mixed.sample_rate, mixed.time_base = frame.sample_rate, frame.time_base
        return mixed

    def _drain(self, ended: Fraction) -> None:
        """Empty the resampler; its rounding may leave it a sample short of the time line."""
        if self._resampler is not None:
            self._encode(self._resampler.resample(None))
            self._resampler = None
            self._go_to(ended)

    def _go_to(self, time: Fraction) -> None:
        """Fill with silence up to a time, or see to it that what comes is cut off up to where we are."""
        import numpy as np

        missing = round(time * self._rate) - self._encoded
        self._cut = max(0, -missing)
        while missing > 0:
            samples = np.zeros((self._channels, min(missing, _BLOCK)), dtype=np.float32)
            self._encode([self._frame(samples)])
            missing -= samples.shape[1]

    def _frame(self, samples: npt.NDArray[np.float32]) -> av.AudioFrame:
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=self._layout)
        frame.sample_rate = self._rate
        return frame

    def _encode(self, frames: list[av.AudioFrame]) -> None:
        for frame in frames:
            kept = self._within(frame)
            if kept is not None:
                kept.pts, kept.time_base = self._encoded, Fraction(1, self._rate)
                self._encoded += kept.samples
                self._container.mux(self.stream.encode(kept))

    def _within(self, frame: av.AudioFrame) -> av.AudioFrame | None:
        """Cut off the head of a frame that was heard already, and a tail that is too late."""
        head = min(self._cut, frame.samples)
        self._cut -= head
        end = frame.samples
        if self._most is not None:
            end = min(end, head + self._most - self._encoded)
        if end <= head:
            return None
        if head == 0 and end == frame.samples:
            return frame
        import numpy as np

        samples = np.asarray(frame.to_ndarray(), dtype=np.float32)
        return self._frame(np.ascontiguousarray(samples[:, head:end]))
