"""Recordings made for tests by PyAV: small, short, and each with the one trait that a test is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt
from attrs import field, frozen
from av.audio.stream import AudioStream
from av.stream import Disposition
from av.video.stream import VideoStream

Image = npt.NDArray[np.uint8]
# MPEG-4 knows no finer clock, MPEG-2 only that of its frames.
_CLOCKS = {"mpeg4": 60_000, "mpeg2video": 25}
_CLOCK = 90_000


@frozen(kw_only=True)
class Sound:
    """A track of sound: a tone, or ``signal`` of the time in seconds (-1..1)."""

    seconds: float = 1.0
    start: float = 0.0
    rate: int = 48_000
    layout: str = "mono"
    codec: str = "aac"
    hertz: float = 440.0
    default: bool = False
    signal: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]] | None = None


@frozen(kw_only=True)
class Colors:
    """Numbers of ITU-T H.273."""

    primaries: int
    transfer: int
    matrix: int


@frozen(kw_only=True)
class Clip:
    """A recording to be written. ``picture`` gives frame ``i`` as RGB, or as a frame of its own."""

    seconds: float = 1.0
    rate: Fraction = Fraction(25)
    size: tuple[int, int] = (160, 90)
    picture: Callable[[int], Image | av.VideoFrame] | None = None
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    options: Mapping[str, str] = field(factory=lambda: {"preset": "ultrafast", "g": "12"})
    times: Sequence[float] | None = None
    start: float = 0.0
    sounds: Sequence[Sound] = ()
    turn: tuple[int, bool] | None = None
    aspect: Fraction | None = None
    colors: Colors | None = None
    metadata: Mapping[str, str] = field(factory=dict)
    timecode: str | None = None
    container_options: Mapping[str, str] = field(factory=dict)


def counting_picture(size: tuple[int, int], count: int) -> Callable[[int], Image]:
    """Frames told apart by their brightness, which rises from frame to frame, with a bright left half."""

    def picture(index: int) -> Image:
        image = np.full((size[1], size[0], 3), 60 + 120 * index // max(1, count), np.uint8)
        image[:, : size[0] // 2] += 60
        return image

    return picture


def write_clip(path: Path, clip: Clip | None = None) -> Path:
    """Write a recording, and return its path."""
    clip = clip or Clip()
    with av.open(str(path), "w", options=dict(clip.container_options)) as container:
        container.metadata.update(clip.metadata)
        stream = _picture_stream(container, clip)
        sounds = [_sound_stream(container, sound) for sound in clip.sounds]
        container.start_encoding()
        packets = [*_pictures(stream, clip)]
        for sound, sound_stream in zip(clip.sounds, sounds, strict=True):
            packets += _samples(sound_stream, sound)
        for packet in sorted(packets, key=lambda p: (p.dts or 0) * p.time_base):
            container.mux(packet)
    return path


def _picture_stream(container: av.container.OutputContainer, clip: Clip) -> VideoStream:
    stream = cast(
        VideoStream,
        container.add_stream(clip.codec, rate=clip.rate, options=dict(clip.options)),
    )
    context = stream.codec_context
    context.width, context.height = clip.size
    context.pix_fmt = clip.pixel_format
    context.time_base = Fraction(1, _CLOCKS.get(clip.codec, _CLOCK))
    if clip.aspect is not None:
        context.sample_aspect_ratio = clip.aspect
    if clip.colors is not None:
        context.color_primaries = clip.colors.primaries
        context.color_trc = clip.colors.transfer
        context.colorspace = clip.colors.matrix
    if clip.turn is not None:
        stream.set_display_rotation(clip.turn[0], hflip=clip.turn[1])
    if clip.timecode is not None:
        stream.metadata["timecode"] = clip.timecode
    return stream


def _sound_stream(container: av.container.OutputContainer, sound: Sound) -> AudioStream:
    stream = cast(AudioStream, container.add_stream(sound.codec, rate=sound.rate))
    stream.layout = sound.layout
    if sound.default:
        stream.disposition = Disposition.default
    return stream


def _pictures(stream: VideoStream, clip: Clip) -> list[Any]:
    count = len(clip.times) if clip.times is not None else round(clip.seconds * clip.rate)
    picture = clip.picture or counting_picture(clip.size, count)
    packets = []
    for index in range(count):
        made = picture(index)
        frame = made if isinstance(made, av.VideoFrame) else av.VideoFrame.from_ndarray(made)
        if frame.format.name != clip.pixel_format:
            frame = frame.reformat(format=clip.pixel_format, dst_colorspace="ITU709")
        time = clip.times[index] if clip.times is not None else index / clip.rate
        frame.pts, frame.time_base = round((time + clip.start) * _CLOCK), Fraction(1, _CLOCK)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def _samples(stream: AudioStream, sound: Sound) -> list[Any]:
    count = round(sound.seconds * sound.rate)
    times = np.arange(count) / sound.rate
    values = sound.signal(times) if sound.signal else 0.5 * np.sin(2 * np.pi * sound.hertz * times)
    packets = []
    channels = stream.layout.nb_channels
    for first in range(0, count, 1024):
        block = np.tile(values[first : first + 1024].astype(np.float32), (channels, 1))
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=sound.layout)
        frame.sample_rate, frame.time_base = sound.rate, Fraction(1, sound.rate)
        frame.pts = first + round(sound.start * sound.rate)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def images(path: Path) -> list[Image]:
    """Decode the pictures of a file as RGB, without turning them."""
    with av.open(str(path)) as container:
        return [cast(Image, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def sound_of(path: Path) -> tuple[int, npt.NDArray[np.float32]]:
    """Decode the sound of a file: its rate, and the first channel with silence for gaps."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    rate = frames[0].sample_rate
    end = max(round(f.time * rate) + f.samples for f in frames)
    samples = np.zeros(end, np.float32)
    for frame in frames:
        at = max(0, round(frame.time * rate))
        samples[at : at + frame.samples] = frame.to_ndarray()[0][: end - at]
    return rate, samples
