"""The review proxy of a recording: MP4, H.264 and AAC-LC, at a constant rate (domain.md, *Derived files*)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
from attrs import frozen
from av.codec.context import ThreadType
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from .cadence import ConstantRate
from .frames import BT709, Output, PictureFilter, Size, fit
from .problems import EncodingProblem, problem_of

if TYPE_CHECKING:
    from av.packet import Packet

    from .probe import Recording
    from .sound import Spool


@frozen(kw_only=True)
class ProxySettings:
    """How proxies are made.

    The picture fits into a box of ``long_side`` by ``short_side`` pixels that turns with it. ``quality``
    is the rate factor of x264 (lower is better), ``key_seconds`` the longest time between key frames.
    ``copy_kbps`` is the largest bit rate at which a source that already is a proxy may be one.
    """

    long_side: int = 1280
    short_side: int = 720
    preset: str = "veryfast"
    quality: int = 23
    key_seconds: int = 2
    copy_kbps: int = 12_000

    def size_of(self, display: Size) -> Size:
        """The size of the proxy of a picture of this size."""
        return fit(display, long_side=self.long_side, short_side=self.short_side)

    def key_interval(self, rate: Fraction) -> int:
        """The largest number of frames from one key frame to the next."""
        return max(1, int(rate * self.key_seconds))

    def encoder_options(self, rate: Fraction) -> dict[str, str]:
        """The options of libx264."""
        return {
            "preset": self.preset,
            "crf": str(self.quality),
            "profile": "high",
            "g": str(self.key_interval(rate)),
        }


MP4_OPTIONS = {"movflags": "+faststart"}


class ProxyFile:
    """A proxy while it is being written: under another name until it is whole.

    Frames are given slot by slot of a constant rate; sound comes from ``spool``, which another thread
    fills.
    """

    def __init__(self, path: Path, recording: Recording, settings: ProxySettings) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._rate = recording.video.rate
        self.container = av.open(str(self._part), "w", format="mp4", options=MP4_OPTIONS)
        self._stream = self._add_stream(recording, settings)
        self.spool: Spool | None = None

    def _add_stream(self, recording: Recording, settings: ProxySettings) -> VideoStream:
        size = settings.size_of(recording.video.display)
        stream = self.container.add_stream(
            "libx264", rate=self._rate, options=settings.encoder_options(self._rate)
        )
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = size.width, size.height, "yuv420p"
        context.thread_type = ThreadType.AUTO
        context.sample_aspect_ratio = Fraction(1)
        context.color_range = 1
        context.colorspace = context.color_primaries = context.color_trc = BT709
        return stream

    def put(self, slot: int, frame: VideoFrame) -> None:
        """Encode a frame as the picture of a slot.

        Raises:
            MediaProblem: the encoder or the file failed.
        """
        frame.pts, frame.time_base = slot, 1 / self._rate
        with encoding():
            self._mux(self._stream.encode(frame))

    def flush(self) -> None:
        """Write what the encoders still hold; waits for the sound.

        Raises:
            MediaProblem: the encoder or the file failed.
        """
        with encoding():
            self._mux(self._stream.encode(None))
            if self.spool is not None:
                for packet in self.spool.rest():
                    self.container.mux(packet)

    def finish(self) -> None:
        """Close the file, and give it its name.

        Raises:
            MediaProblem: the file could not be written.
        """
        with encoding():
            self.container.close()
            self._part.replace(self._path)

    def discard(self) -> None:
        """Leave nothing behind; harmless after `finish`."""
        with suppress(av.error.FFmpegError):
            self.container.close()
        self._part.unlink(missing_ok=True)

    def _mux(self, packets: Iterable[Packet[VideoStream]]) -> None:
        for packet in packets:
            if self.spool is not None and packet.dts is not None:
                for sound in self.spool.until(packet.dts * packet.time_base):
                    self.container.mux(sound)
            self.container.mux(packet)


@contextmanager
def encoding() -> Iterator[None]:
    """Turn errors of the encoder and of the output file into problems with their names."""
    try:
        yield
    except (av.error.FFmpegError, OSError, MemoryError) as error:
        raise problem_of(error, EncodingProblem) from error


@frozen(kw_only=True)
class Upright:
    """What became of a decoded frame: its time in seconds from the origin, and the pictures now ready."""

    time: Fraction
    pictures: tuple[VideoFrame, ...]


class PictureRun:
    """The one decode of the pictures: frames become upright, fall on a constant rate, and are encoded.

    `turn_up` and `rest` may run in another thread than `put` and `finish`, which comes after them.
    ``decoded`` is the number of frames, ``end`` where the last one ends, in seconds from the origin.
    """

    def __init__(self, recording: Recording, settings: ProxySettings, file: ProxyFile) -> None:
        video = recording.video
        self._origin = recording.origin
        self._length = 1 / video.rate
        self._file = file
        output = Output(size=settings.size_of(video.display), pixel_format="yuv420p")
        self._filter = PictureFilter(output, video.picture.turn)
        self.cadence: ConstantRate[VideoFrame] = ConstantRate(video.rate)
        self.decoded = 0
        self.end = Fraction(0)

    def turn_up(self, frame: VideoFrame) -> Upright:
        """Take a decoded frame, and make it upright and small."""
        time = self._time(frame)
        self.decoded += 1
        self.end = max(self.end, time + self._duration(frame))
        return Upright(time=time, pictures=tuple(self._filter.feed(frame)))

    def rest(self) -> Upright:
        """The pictures that the filters still hold, after the last frame."""
        return Upright(time=self.end, pictures=tuple(self._filter.finish()))

    def put(self, pictures: Iterable[VideoFrame]) -> None:
        """Encode upright pictures.

        Raises:
            MediaProblem: the encoder or the file failed.
        """
        for picture in pictures:
            assert picture.pts is not None
            assert picture.time_base is not None
            time = picture.pts * picture.time_base - self._origin
            for slot, settled in self.cadence.feed(picture, time):
                self._file.put(slot, settled)

    def finish(self) -> None:
        """Encode the picture that is still held back.

        Raises:
            MediaProblem: the encoder or the file failed.
        """
        for slot, picture in self.cadence.finish(self.end):
            self._file.put(slot, picture)

    def _time(self, frame: VideoFrame) -> Fraction:
        """The time of a frame; one without a time follows the frame before it."""
        time_base = frame.time_base or Fraction(1, 90_000)
        if frame.pts is None:
            frame.pts = round((self.end + self._origin) / time_base)
            frame.time_base = time_base
        return frame.pts * time_base - self._origin

    def _duration(self, frame: VideoFrame) -> Fraction:
        stated = frame.duration * frame.time_base if frame.time_base else Fraction(0)
        return stated or self._length
