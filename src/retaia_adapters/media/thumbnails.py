"""Still pictures of a recording: one that represents it, or a storyboard of ten (domain.md, *Derived files*).

A storyboard takes a key frame of each tenth of the recording, which decoders reach without decoding what
lies between. Where key frames are too far apart for that, frames are decoded up to the middle of each tenth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av.error
from av.codec.context import ThreadType
from av.stream import Discard
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from retaia_core.ports.processor import DerivedFile

from .container import Walk, open_source
from .frames import Output, PictureFilter, at_width
from .problems import RenderingProblem, problem_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from av.packet import Packet
    from av.stream import Stream
    from PIL import Image

    from .probe import Recording

WIDTH = 480
STORYBOARD = 10
_QUALITY = 82

# What counts as dark or empty, on 8-bit luma, and as fading, as a ratio of contrasts.
_DARK = 24
_FLAT = 6
_FADE = 1.12
_LOOK_AHEAD = Fraction(1, 5)
_SEARCH = Fraction(10)


def representative_time(duration: Fraction) -> Fraction:
    """Where the representative frame is looked for, in seconds.

    A recording too short for the rule's first second is represented by its middle.

    >>> [float(representative_time(Fraction(s))) for s in (1, 5, 60, 200, 3600)]
    [0.5, 1.0, 6.0, 10.0, 20.0]
    """
    if duration < 120:
        time = max(Fraction(1), duration / 10)
        return time if time < duration else duration / 2
    return min(duration / 20, Fraction(20))


def storyboard_times(start: Fraction, end: Fraction) -> tuple[Fraction, ...]:
    """The middles of the ten equal parts of the time that has pictures, in seconds.

    >>> [float(t) for t in storyboard_times(Fraction(0), Fraction(20))]
    [1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0, 17.0, 19.0]
    """
    half = (end - start) / (2 * STORYBOARD)
    return tuple(start + half * (2 * i + 1) for i in range(STORYBOARD))


class StillWriter:
    """Renders frames as JPEG files in the workspace, in order."""

    def __init__(self, recording: Recording, workspace: Path, stem: str = "thumb") -> None:
        size = at_width(recording.video.display, WIDTH)
        output = Output(size=size, pixel_format="rgb24", still=True)
        self._filter = PictureFilter(output, recording.video.picture.turn)
        self._workspace, self._stem = workspace, stem
        self.files: list[DerivedFile] = []

    def put(self, frame: VideoFrame) -> None:
        """Render a frame as the next file.

        Raises:
            MediaProblem: it cannot be rendered or written.
        """
        index = len(self.files)
        path = self._workspace / f"{self._stem}-{index}.jpg"
        try:
            _save(self._render(frame), path)
        except (av.error.FFmpegError, OSError, MemoryError) as error:
            raise problem_of(error, RenderingProblem) from error
        self.files.append(
            DerivedFile(kind="thumb", path=path, content_type="image/jpeg", index=index)
        )

    def discard(self) -> None:
        """Leave nothing behind."""
        for file in self.files:
            file.path.unlink(missing_ok=True)
        self.files.clear()

    def _render(self, frame: VideoFrame) -> Image.Image:
        # Loaded with the first still: by then a proxy's pictures are being encoded.
        from PIL import Image

        (picture,) = self._filter.feed(frame)
        return Image.fromarray(picture.to_ndarray())


def _save(image: Image.Image, path: Path) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        image.save(part, format="JPEG", quality=_QUALITY)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


class FrameFinder:
    """Finds frames of a recording by their time, in seconds from the origin; owns its container."""

    def __init__(self, recording: Recording, thread_type: ThreadType = ThreadType.AUTO) -> None:
        self._origin = recording.origin
        self._container = open_source(recording.path)
        stream = self._container.streams[recording.video.index]
        assert isinstance(stream, VideoStream)
        self._stream = stream
        self._walk = Walk(self._container, [stream])
        stream.codec_context.thread_type = thread_type
        for other in self._container.streams:
            other.discard = Discard.default if other is stream else Discard.all

    def __enter__(self) -> FrameFinder:
        """Return the finder."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the container."""
        self._container.close()

    def key_time(self, at: Fraction, *, within: Fraction) -> Fraction | None:
        """The time of the `key_frame` there, from its packet: decodes nothing."""
        packet = next(self._keys(at, within), None)
        if packet is None or packet.pts is None:
            return None
        return packet.pts * packet.time_base - self._origin

    def key_frame(self, at: Fraction, *, within: Fraction) -> VideoFrame | None:
        """The key frame before a time, else the one after it; None where both are further than ``within``."""
        for packet in self._keys(at, within):
            frames = [*self._walk.decode(packet), *self._drain()]
            if frames and isinstance(frames[0], VideoFrame):
                return frames[0]
        return None

    def _keys(self, at: Fraction, within: Fraction) -> Iterator[Packet[Stream]]:
        self._seek(at)
        for packet in self._walk.packets():
            if not packet.size or packet.pts is None:
                return
            time = packet.pts * packet.time_base - self._origin
            if time >= at + within:
                return
            if packet.is_keyframe and time >= at - within:
                yield packet

    def frames_from(self, start: Fraction) -> Iterator[tuple[Fraction, VideoFrame]]:
        """Yield frames and their times, from the key frame before ``start``, leaving out what is earlier."""
        self._seek(start)
        self._stream.codec_context.flush_buffers()
        half = Fraction(1, 2) / (self._stream.guessed_rate or 25)
        for frame in self._walk.frames():
            if isinstance(frame, VideoFrame) and frame.pts is not None and frame.time_base:
                time = frame.pts * frame.time_base - self._origin
                if time + half >= start:
                    yield time, frame

    def be_quick(self, *, frames_apart: Fraction) -> None:
        """Leave out frames that no other needs, where few are wanted; before the first frame."""
        if frames_apart > 10:
            self._stream.codec_context.skip_frame = "NONREF"

    def _drain(self) -> Sequence[object]:
        """Get the frame that the decoder holds back, and make it ready for the next key frame."""
        context = self._stream.codec_context
        try:
            return context.decode(None)
        except av.error.FFmpegError:
            return ()
        finally:
            context.flush_buffers()

    def _seek(self, time: Fraction) -> None:
        assert self._stream.time_base is not None
        ticks = int((time + self._origin) / self._stream.time_base)
        try:
            self._container.seek(ticks, stream=self._stream)
        except av.error.FFmpegError as error:
            raise RenderingProblem(f"the file cannot be searched: {error.strerror}") from error


class StoryboardTap:
    """Takes the ten frames of a storyboard out of frames that pass by in order."""

    def __init__(self, writer: StillWriter, times: Sequence[Fraction]) -> None:
        self._writer = writer
        self._times = times
        self._last: VideoFrame | None = None

    @property
    def complete(self) -> bool:
        """Whether all ten are there."""
        return len(self._writer.files) == STORYBOARD

    def feed(self, frame: VideoFrame, time: Fraction) -> None:
        """See a frame pass by: the last one at or before each of the ten times is taken."""
        while not self.complete and self._times[len(self._writer.files)] < time:
            self._writer.put(self._last or frame)
        self._last = frame

    def finish(self) -> None:
        """Give the times after the last frame that frame."""
        while not self.complete and self._last is not None:
            self._writer.put(self._last)


def key_times(recording: Recording) -> tuple[Fraction, ...]:
    """When the key frames of a storyboard are shown; none where a tenth has no key frame."""
    start, end = recording.pictures
    half = (end - start) / (2 * STORYBOARD)
    try:
        with FrameFinder(recording) as finder:
            found = [finder.key_time(t, within=half) for t in storyboard_times(start, end)]
    except RenderingProblem:
        return ()
    times = tuple(time for time in found if time is not None)
    return times if len(times) == STORYBOARD else ()


def write_key_storyboard(recording: Recording, writer: StillWriter) -> bool:
    """Write a storyboard of key frames; False, and nothing written, where they are too far apart."""
    start, end = recording.pictures
    half = (end - start) / (2 * STORYBOARD)
    with FrameFinder(recording, ThreadType.SLICE) as finder:
        for time in storyboard_times(start, end):
            frame = finder.key_frame(time, within=half)
            if frame is None:
                writer.discard()
                return False
            writer.put(frame)
    return True


def write_decoded_storyboard(recording: Recording, writer: StillWriter) -> None:
    """Write a storyboard by decoding from the start to the last of its frames."""
    start, end = recording.pictures
    tap = StoryboardTap(writer, storyboard_times(start, end))
    with FrameFinder(recording) as finder:
        finder.be_quick(frames_apart=(end - start) / STORYBOARD * recording.video.rate)
        for time, frame in finder.frames_from(Fraction(0)):
            tap.feed(frame, time)
            if tap.complete:
                return
    tap.finish()


def write_representative(recording: Recording, writer: StillWriter) -> None:
    """Write the one frame that represents a recording.

    The frame at `representative_time`, unless it is black, empty or fading: then the next one within ten
    seconds that is not, else one before it. Where there is none, the frame with the most to see.
    """
    at = representative_time(recording.duration)
    if at >= recording.pictures[1]:
        at = (recording.pictures[0] + recording.pictures[1]) / 2
    best: tuple[float, VideoFrame] | None = None
    with FrameFinder(recording) as finder:
        for start, end in ((at, at + _SEARCH), (Fraction(0), at)):
            for contrast, good, frame in _judged(_samples(finder, start, end)):
                if good:
                    writer.put(frame)
                    return
                if best is None or contrast > best[0]:
                    best = contrast, frame
    if best is None:
        raise RenderingProblem("no picture of the file can be decoded")
    writer.put(best[1])


def _samples(finder: FrameFinder, start: Fraction, end: Fraction) -> Iterator[VideoFrame]:
    """One frame every fifth of a second."""
    due = start
    for time, frame in finder.frames_from(start):
        if time > end:
            return
        if time >= due or due == start:
            due = max(due, time) + _LOOK_AHEAD
            yield frame


def _judged(frames: Iterator[VideoFrame]) -> Iterator[tuple[float, bool, VideoFrame]]:
    """Give each frame its contrast, and whether it is fit to represent; one frame is looked ahead."""
    held: tuple[VideoFrame, npt.NDArray[np.float32]] | None = None
    for frame in frames:
        luma = _luma(frame)
        if held is not None:
            yield float(held[1].std()), _shows(held[1]) and not _fades(held[1], luma), held[0]
        held = frame, luma
    if held is not None:
        yield float(held[1].std()), _shows(held[1]), held[0]


def _luma(frame: VideoFrame) -> npt.NDArray[np.float32]:
    small = frame.reformat(width=64, height=36, format="gray", interpolation="AREA")
    return small.to_ndarray().astype("float32")


def _shows(luma: npt.NDArray[np.float32]) -> bool:
    """Whether there is anything to see: neither dark nor flat."""
    return bool(luma.mean() >= _DARK and luma.std() >= _FLAT)


def _fades(now: npt.NDArray[np.float32], later: npt.NDArray[np.float32]) -> bool:
    """Whether the same picture goes on with another contrast."""
    a, b = now - now.mean(), later - later.mean()
    power = math.sqrt((a * a).mean() * (b * b).mean())
    alike = float((a * b).mean()) > 0.9 * power
    ratio = float(b.std() / a.std())
    return alike and not 1 / _FADE < ratio < _FADE
