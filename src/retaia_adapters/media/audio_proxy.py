"""Make ``proxy_audio``: copied where the source is already what it must be, else encoded as AAC-LC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import av
import av.error

from retaia_core.ports.processor import DerivedFile

from .audio_encode import BROWSER_RATES, AacEncoder
from .audio_source import Sound, open_sound, raw_frame
from .container import Walk
from .problems import EncodingProblem, MediaProblem, SourceTruncated, problem_of

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container import OutputContainer

KIND = "proxy_audio"
M4A, MP3 = "audio/mp4", "audio/mpeg"

_BLOCK = 1 << 20
_FAILURES = (av.error.FFmpegError, OSError, ValueError, MemoryError)


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


class ProxyEncoding:
    """Encodes the frames of one pass into an M4A; as a context, it leaves no unfinished file behind.

    A failure waits for `finish`, so that the other consumers of the pass go on.
    """

    def __init__(self, sound: Sound, workspace: Path, *, gain: float = 1.0) -> None:
        self._path = workspace / f"{KIND}.m4a"
        self._part = workspace / f".{KIND}.m4a.part"
        self._sound = sound
        self._gain = gain
        self._container: OutputContainer | None = None
        self._encoder: AacEncoder | None = None
        self._problem: MediaProblem | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._abandon()

    def feed(self, frame: AudioFrame) -> None:
        """Encode a frame; does nothing after a failure."""
        if self._problem is None:
            try:
                self._started().feed(frame)
            except _FAILURES as error:
                self._problem = problem_of(error, EncodingProblem)
                self._abandon()

    def finish(self) -> DerivedFile:
        """Complete the file and give it its name.

        Raises:
            MediaProblem: something failed now or in `feed`; nothing is left of the file.
        """
        if self._problem is not None:
            raise self._problem
        try:
            self._started().finish()
            self._close()
            self._part.replace(self._path)
        except _FAILURES as error:
            self._abandon()
            raise problem_of(error, EncodingProblem) from error
        return DerivedFile(kind=KIND, path=self._path, content_type=M4A)

    def _abandon(self) -> None:
        # Closing writes the end of a file that nobody will read; it may fail like all that went before.
        with suppress(*_FAILURES):
            self._close()
        self._part.unlink(missing_ok=True)

    def _started(self) -> AacEncoder:
        if self._encoder is None:
            self._container = _create(self._part)
            self._encoder = AacEncoder(
                self._container,
                source_rate=self._sound.rate,
                source_channels=self._sound.channels,
                origin_s=self._sound.origin,
                rates=BROWSER_RATES,
                gain=self._gain,
                until_s=self._sound.duration,
            )
        return self._encoder

    def _close(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            container.close()


def _create(part: Path, container_format: str = "ipod") -> OutputContainer:
    options = {"movflags": "+faststart"} if container_format == "ipod" else {}
    return av.open(str(part), "w", format=container_format, options=options)


@contextmanager
def _published(path: Path) -> Iterator[Path]:
    """Write under a temporary name; the real one is given to a whole file only."""
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        part.replace(path)
    except _FAILURES as error:
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
    with open_sound(sound.path) as container, _create(part, container_format) as output:
        (stream,) = (s for s in container.streams.audio if s.index == sound.index)
        target = output.add_stream_from_template(stream)
        for packet in Walk(container, [stream]).packets():
            if packet.dts is None or (sound.raw and raw_frame(packet, sound.format_name) is None):
                continue
            packet.stream = target
            output.mux_one(packet)
