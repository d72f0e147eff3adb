"""Encode ``proxy_audio`` as AAC-LC in an M4A."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from retaia_core.ports.processor import DerivedFile

from .audio_copy import FAILURES, KIND, M4A, create_proxy
from .audio_encode import AacEncoder
from .audio_rates import BROWSER_RATES
from .audio_source import Sound
from .problems import EncodingProblem, MediaProblem, problem_of

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container import OutputContainer


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
            except FAILURES as error:
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
        except FAILURES as error:
            self._abandon()
            raise problem_of(error, EncodingProblem) from error
        return DerivedFile(kind=KIND, path=self._path, content_type=M4A)

    def _abandon(self) -> None:
        # Closing writes the end of a file that nobody will read; it may fail like all that went before.
        with suppress(*FAILURES):
            self._close()
        self._part.unlink(missing_ok=True)

    def _started(self) -> AacEncoder:
        if self._encoder is None:
            self._container = create_proxy(self._part)
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
