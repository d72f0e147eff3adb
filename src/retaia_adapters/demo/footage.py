"""Writes the demonstration's files: moving pictures with sound, photos with EXIF, recordings, sidecars."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from attrs import field, frozen
from av.stream import Disposition
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from .scenery import Harbour, Picture
from .sounds import RATE, Samples

FRAMES_PER_SECOND = 25
VIDEO_SIZE = (640, 360)
_CHUNK = 1024


@frozen(kw_only=True)
class Clip:
    """A short recording with sound: ``black`` seconds of it, at the start, show nothing.

    A clip with a black opening has one key frame, the first, so that no seek lands on a picture.
    """

    view: Harbour
    sound: Samples
    seconds: float
    black: float = 0.0
    metadata: Mapping[str, str] = field(factory=dict)
    timecode: str = ""


def write_clip(path: Path, clip: Clip) -> None:
    """Write a clip as H.264 with AAC; the container follows the name's extension."""
    format_name = "mov" if path.suffix.lower() == ".mov" else "mp4"
    with av.open(str(path), "w", format=format_name) as output:
        output.metadata.update(clip.metadata)
        pictures, sound = _clip_streams(output, clip)
        output.start_encoding()
        packets = [p for frame in _picture_frames(clip) for p in pictures.encode(frame)]
        packets += pictures.encode(None)
        packets += [p for frame in _sound_frames(clip.sound, "fltp") for p in sound.encode(frame)]
        packets += sound.encode(None)
        for packet in sorted(packets, key=lambda p: (p.dts or 0) * p.time_base):
            output.mux(packet)


def _clip_streams(output: Any, clip: Clip) -> tuple[Any, Any]:
    options = {"preset": "veryfast", "crf": "23", "g": "75"}
    if clip.black:
        options |= {"g": "1000", "sc_threshold": "0"}
    pictures = output.add_stream("libx264", rate=FRAMES_PER_SECOND, options=options)
    pictures.width, pictures.height = clip.view.size
    pictures.pix_fmt = "yuv420p"
    if clip.timecode:
        pictures.metadata["timecode"] = clip.timecode
    sound = output.add_stream("aac", rate=RATE)
    sound.layout = "stereo"
    return pictures, sound


def _picture_frames(clip: Clip) -> Iterable[av.VideoFrame]:
    for number in range(round(clip.seconds * FRAMES_PER_SECOND)):
        seconds = number / FRAMES_PER_SECOND
        picture = clip.view.at(seconds)
        if seconds < clip.black:
            picture = np.zeros_like(picture)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
        yield frame


def _sound_frames(samples: Samples, format_name: str) -> Iterable[av.AudioFrame]:
    for start in range(0, samples.shape[1], _CHUNK):
        part = np.ascontiguousarray(samples[:, start : start + _CHUNK])
        if format_name.startswith("s"):
            part = _whole_numbers(part, format_name)
        frame = av.AudioFrame.from_ndarray(part, format=format_name, layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        yield frame


def _whole_numbers(part: Samples, format_name: str) -> Any:
    """Samples as the integers of ``s16``, ``s16p`` or ``s32``; packed unless the name ends in ``p``."""
    bits = int(format_name[1:3])
    full = float(2 ** (bits - 1) - 1)
    whole = np.round(np.clip(part.astype(np.float64), -1, 1) * full).astype(f"<i{bits // 8}")
    return whole if format_name.endswith("p") else np.ascontiguousarray(whole.T.reshape(1, -1))


@frozen(kw_only=True)
class Recording:
    """A recording without pictures; ``cover`` is a JPEG, ``muxing`` are options of the container."""

    sound: Samples
    codec: str
    container: str
    sample_format: str = "fltp"
    cover: bytes = b""
    tags: Mapping[str, str] = field(factory=dict)
    muxing: Mapping[str, str] = field(factory=dict)


def write_recording(path: Path, recording: Recording) -> None:
    """Write a recording."""
    options = dict(recording.muxing)
    with av.open(str(path), "w", format=recording.container, options=options) as output:
        sound: Any = output.add_stream(recording.codec, rate=RATE)
        sound.layout, sound.format = "stereo", recording.sample_format
        output.metadata.update(recording.tags)
        if recording.cover:
            _mux_cover(output, recording.cover)
        for frame in _sound_frames(recording.sound, recording.sample_format):
            output.mux(sound.encode(frame))
        output.mux(sound.encode(None))


def _mux_cover(output: Any, cover: bytes) -> None:
    stream = output.add_stream("mjpeg")
    with Image.open(io.BytesIO(cover)) as image:
        stream.width, stream.height = image.size
    stream.pix_fmt = "yuvj420p"
    stream.disposition = Disposition.attached_pic
    packet = av.Packet(cover)
    packet.stream, packet.time_base = stream, Fraction(1, 90_000)
    packet.pts = packet.dts = 0
    output.mux(packet)


@frozen(kw_only=True)
class Exposure:
    """What a camera writes beside a photo: itself, the moment (``YYYY:MM:DD HH:MM:SS``), the place.

    ``place`` is latitude and longitude in degrees north and east.
    """

    make: str
    model: str
    taken: str
    lens: str = ""
    iso: int = 200
    time_s: Fraction = Fraction(1, 250)
    aperture: Fraction = Fraction(28, 5)
    focal_mm: Fraction = Fraction(35)
    place: tuple[float, float] | None = None
    orientation: int = 1


def write_photo(path: Path, picture: Picture, exposure: Exposure | None = None) -> None:
    """Write a photo as JPEG, or as PNG by its name; a turned camera stores its pixels unturned."""
    image = Image.fromarray(picture)
    if path.suffix.lower() == ".png":
        image.save(path, format="PNG")
        return
    exif = _exif(exposure) if exposure is not None else Image.Exif()
    image.save(path, format="JPEG", quality=88, exif=exif, dpi=(300, 300))


def jpeg(picture: Picture) -> bytes:
    """A picture as JPEG bytes, for a cover."""
    into = io.BytesIO()
    Image.fromarray(picture).save(into, format="JPEG", quality=88)
    return into.getvalue()


def _exif(exposure: Exposure) -> Image.Exif:
    """EXIF tags by number: 0x8769 is the camera's own part, 0x8825 the place."""
    exif = Image.Exif()
    exif.update({0x010F: exposure.make, 0x0110: exposure.model, 0x0112: exposure.orientation})
    exif[0x0132] = exposure.taken
    camera = exif.get_ifd(0x8769)
    camera.update({0x829A: _rational(exposure.time_s), 0x829D: _rational(exposure.aperture)})
    camera.update({0x8827: exposure.iso, 0x920A: _rational(exposure.focal_mm)})
    camera.update({0x9003: exposure.taken, 0x9011: "+00:00"})
    if exposure.lens:
        camera[0xA434] = exposure.lens
    if exposure.place is not None:
        north, east = exposure.place
        exif.get_ifd(0x8825).update(
            {
                1: "N" if north >= 0 else "S",
                2: _sexagesimal(north),
                3: "E" if east >= 0 else "W",
                4: _sexagesimal(east),
            }
        )
    return exif


def _sexagesimal(degrees: float) -> tuple[IFDRational, IFDRational, IFDRational]:
    hundredths = round(abs(degrees) * 360_000)
    whole, rest = divmod(hundredths, 360_000)
    minutes, seconds = divmod(rest, 6_000)
    return IFDRational(whole), IFDRational(minutes), IFDRational(seconds, 100)


def _rational(number: Fraction) -> IFDRational:
    return IFDRational(number.numerator, number.denominator)


_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="{rating}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""


def xmp(rating: int) -> str:
    """An XMP sidecar that gives a photo so many stars."""
    return _XMP.format(rating=rating)


def subtitles(lines: Iterable[str]) -> str:
    """Subtitles, one second for each line."""
    blocks = (
        f"{number}\n00:00:{number - 1:02},000 --> 00:00:{number:02},000\n{line}\n"
        for number, line in enumerate(lines, start=1)
    )
    return "\n".join(blocks)
