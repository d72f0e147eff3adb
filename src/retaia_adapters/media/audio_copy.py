"""Copy the sound of a source that already is what its proxy must be, instead of encoding it again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error

from retaia_core.ports.processor import DerivedFile

from .audio_rates import BROWSER_RATES
from .audio_source import Sound, open_sound, packets_of, raw_frame
from .problems import EncodingProblem, SourceTruncated, problem_of

if TYPE_CHECKING:
    from av.container import OutputContainer

KIND = "proxy_audio"
M4A, MP3 = "audio/mp4", "audio/mpeg"
FAILURES = (av.error.FFmpegError, OSError, ValueError, MemoryError)
"""What encoders, muxers and disks raise."""

_BLOCK = 1 << 20


def can_copy(sound: Sound) -> bool:
    """Whether a source's sound is already what a proxy must be, so that it need not be encoded again."""
    if sound.rate not in BROWSER_RATES or sound.channels not in {1, 2} or not sound.steady:
        return False
    if sound.codec == "mp3":
        return sound.format_name == "mp3"
    return sound.codec == "aac" and sound.profile == "LC" and sound.format_name in {"mov", "aac"}


def copy_proxy(sound: Sound, workspace: Path) -> DerivedFile:
    """Copy the sound of a source that is a proxy already; tags and covers are left behind.

    Raises:
        EncodingProblem: the file could not be written.
        SourceUnreadable: the source cannot be read on.
    """
    suffix, content_type = (".mp3", MP3) if sound.codec == "mp3" else (".m4a", M4A)
    path = workspace / f"{KIND}{suffix}"
    with _published(path) as part:
        if sound.whole_mp3 is not None:
            _copy_bytes(sound.path, sound.whole_mp3, part)
        else:
            _copy_packets(sound, part, "mp3" if content_type == MP3 else "ipod")
    return DerivedFile(kind=KIND, path=path, content_type=content_type)


def create_proxy(part: Path, container_format: str = "ipod") -> OutputContainer:
    """Open a new proxy file: an M4A whose index comes first, or an MP3."""
    options = {"movflags": "+faststart"} if container_format == "ipod" else {}
    return av.open(str(part), "w", format=container_format, options=options)


@contextmanager
def _published(path: Path) -> Iterator[Path]:
    """Write under a temporary name; the real one is given to a whole file only."""
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        part.replace(path)
    except FAILURES as error:
        raise problem_of(error, EncodingProblem) from error
    finally:
        part.unlink(missing_ok=True)


def _copy_bytes(source: Path, span: tuple[int, int], part: Path) -> None:
    """Copy the frames of an MP3 as they are, so that its notes on the encoder's delay stay true."""
    start, end = span
    with source.open("rb") as file, part.open("wb") as target:
        file.seek(start)
        while file.tell() < end:
            block = file.read(min(_BLOCK, end - file.tell()))
            if not block:
                raise SourceTruncated("the source shrank while it was copied")
            target.write(block)


def _copy_packets(sound: Sound, part: Path, container_format: str) -> None:
    with open_sound(sound.path) as container, create_proxy(part, container_format) as output:
        (stream,) = (s for s in container.streams.audio if s.index == sound.index)
        target = output.add_stream_from_template(stream)
        for packet in packets_of(container, stream):
            if packet.dts is None or (sound.raw and raw_frame(packet, sound.format_name) is None):
                continue
            packet.stream = target
            output.mux_one(packet)
