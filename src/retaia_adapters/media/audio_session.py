"""The tasks of a sound recording that need it decoded, or a picture of it.

One pass feeds the waveform and the encoder. Only a float recording is decoded twice: whether it exceeds
full scale, so that the proxy has to be turned down instead of clipped, is known when it was heard once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from av.audio.frame import AudioFrame

from retaia_core.ports.processor import (
    DerivedFile,
    Done,
    Failed,
    Outcome,
    Progress,
    Report,
    Task,
    Work,
)

from .audio_decode import Decoding
from .audio_picture import NoPicture, cover_picture, drawn_waveform, save_thumb
from .audio_proxy import ProxyEncoding
from .audio_source import Sound
from .problems import EncodingProblem, MediaProblem, failed, problem_of
from .waveform import DEFAULT_BUCKETS, MAX_BUCKETS, MIN_BUCKETS, PeakAccumulator

PROXY = "generate_proxy"
WAVEFORM, THUMBNAILS = "generate_audio_waveform", "generate_thumbnails"

_REPORTS = 50
_JSON = "application/json"


class Session:
    """The tasks of one source that are still to be done."""

    def __init__(self, work: Work, tasks: Sequence[Task], sound: Sound, report: Report) -> None:
        self._workspace = work.workspace
        self._sound = sound
        self._report = report
        self._open = list(tasks)

    def outcomes(self) -> Iterator[Outcome]:
        """Do the tasks; one outcome for each, as soon as it is there."""
        notes: tuple[str, ...] = ()
        if self._wanted(THUMBNAILS) and self._sound.cover is not None:
            try:
                image = cover_picture(self._sound.cover)
            except NoPicture as error:
                notes = (f"{error}; the waveform is shown instead",)
            else:
                yield from self._made(THUMBNAILS, lambda: save_thumb(image, self._workspace))
        if self._open:
            yield from self._decoded(notes)

    def _wanted(self, job_type: str) -> bool:
        return any(task.job_type == job_type for task in self._open)

    def _take(self, job_type: str) -> tuple[Task, ...]:
        """The tasks of a type, which are from now on somebody's: exactly one outcome for each."""
        taken = tuple(task for task in self._open if task.job_type == job_type)
        self._open = [task for task in self._open if task.job_type != job_type]
        return taken

    def _made(
        self, job_type: str, make: Callable[[], DerivedFile], notes: tuple[str, ...] = ()
    ) -> Iterator[Outcome]:
        """Make one file for all tasks of a type."""
        tasks = self._take(job_type)
        try:
            file = make()
        except MediaProblem as problem:
            yield from (failed(task.job_id, problem) for task in tasks)
            return
        for task in tasks:
            yield Done(job_id=task.job_id, files=(file,), warnings=notes)

    def _decoded(self, notes: tuple[str, ...]) -> Iterator[Outcome]:
        """The outcomes that need the sound itself."""
        try:
            if self._wanted(PROXY) and not self._sound.is_float:
                yield from self._heard_and_encoded(notes)
            else:
                peaks = self._new_peaks()
                damage = self._pass([peaks.feed])
                yield from self._of_peaks(peaks, notes, damage)
                if self._wanted(PROXY):
                    yield from self._turned_down(peaks.peak)
        except MediaProblem as problem:
            left, self._open = self._open, []
            yield from (failed(task.job_id, problem) for task in left)

    def _heard_and_encoded(self, notes: tuple[str, ...]) -> Iterator[Outcome]:
        with ProxyEncoding(self._sound, self._workspace) as encoding:
            peaks = (
                self._new_peaks() if self._wanted(WAVEFORM) or self._wanted(THUMBNAILS) else None
            )
            damage = self._pass([encoding.feed, *([peaks.feed] if peaks else [])])
            if peaks:
                yield from self._of_peaks(peaks, notes, damage)
            yield from self._of_encoding(encoding, damage)

    def _turned_down(self, peak: float) -> Iterator[Outcome]:
        """Encode a float recording, so quiet that its loudest sample is not clipped."""
        notes: tuple[str, ...] = ()
        if peak > 1:
            louder = 20 * math.log10(peak)
            notes = (f"the sound exceeds full scale; the proxy is {louder:.1f} dB quieter",)
        gain = 1 / max(1.0, peak)
        with ProxyEncoding(self._sound, self._workspace, gain=gain) as encoding:
            damage = self._pass([encoding.feed])
            yield from self._of_encoding(encoding, (*notes, *damage))

    def _new_peaks(self) -> PeakAccumulator:
        return PeakAccumulator(
            sample_rate=self._sound.rate,
            channels=self._sound.channels,
            origin_s=self._sound.origin,
        )

    def _pass(self, consumers: Sequence[Callable[[AudioFrame], None]]) -> tuple[str, ...]:
        """Decode the source once into all consumers; returns what a person should know of damage."""
        decoding = Decoding(self._sound)
        heard, next_report = 0.0, 0.0
        for frame in decoding.frames():
            for consume in consumers:
                consume(frame)
            heard += frame.samples / frame.sample_rate
            if heard >= next_report:
                self._progress(heard)
                next_report += float(self._sound.duration) / _REPORTS
        return decoding.warnings()

    def _progress(self, heard_s: float) -> None:
        total = self._sound.duration_ms
        for task in self._open:
            current = min(total, round(heard_s * 1000))
            self._report(
                Progress(job_id=task.job_id, current=current, total=total, text="decoding")
            )

    def _of_peaks(
        self, peaks: PeakAccumulator, notes: tuple[str, ...], damage: tuple[str, ...]
    ) -> Iterator[Outcome]:
        for number, task in enumerate(self._take(WAVEFORM)):
            yield self._waveform(task, number, peaks, damage)
        if self._wanted(THUMBNAILS):
            bars = peaks.peaks(duration_ms=self._sound.duration_ms, bucket_count=MIN_BUCKETS)
            image = drawn_waveform(bars)
            yield from self._made(
                THUMBNAILS, lambda: save_thumb(image, self._workspace), (*notes, *damage)
            )

    def _waveform(
        self, task: Task, number: int, peaks: PeakAccumulator, damage: tuple[str, ...]
    ) -> Outcome:
        buckets = task.parameters.get("bucket_count", DEFAULT_BUCKETS)
        if not isinstance(buckets, int) or not MIN_BUCKETS <= buckets <= MAX_BUCKETS:
            return Failed(
                job_id=task.job_id,
                code="VALIDATION_FAILED",
                message=f"bucket_count must be a whole number from {MIN_BUCKETS} to {MAX_BUCKETS}",
                retryable=False,
            )
        path = self._workspace / (f"waveform-{number}.json" if number else "waveform.json")
        try:
            path.write_bytes(
                peaks.finish(duration_ms=self._sound.duration_ms, bucket_count=buckets)
            )
        except OSError as error:
            path.unlink(missing_ok=True)
            return failed(task.job_id, problem_of(error, EncodingProblem))
        file = DerivedFile(kind="waveform", path=path, content_type=_JSON)
        return Done(job_id=task.job_id, files=(file,), warnings=damage)

    def _of_encoding(self, encoding: ProxyEncoding, notes: tuple[str, ...]) -> Iterator[Outcome]:
        yield from self._made(PROXY, encoding.finish, notes)
