"""The bundle of a recording with pictures: each track is decoded once, whatever is made of it.

Facts come at once. Stills (out of key frames) and sound are worked on by a thread each while the
pictures are encoded, so that everything but the proxy is there early.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av.error
from attrs import define
from av.codec.context import ThreadType
from av.stream import Discard
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from retaia_core.ports.processor import DerivedFile, Done, Outcome, Progress, Report, Task, Work

from .ahead import ahead
from .audio_encode import AacEncoder
from .container import Walk, open_source
from .probe import Recording, SoundTrack, probe
from .problems import (
    EncodingProblem,
    MediaProblem,
    NoAudioTrack,
    RenderingProblem,
    SourceTruncated,
    SourceUnreadable,
    failed,
    problem_of,
)
from .proxy_video import PictureRun, ProxyFile, ProxySettings, Upright, encoding
from .remux import NotAProxy, copy_as_proxy, suits
from .sound import SoundReport, Spool, run_sound
from .thumbnails import (
    StillWriter,
    StoryboardTap,
    key_times,
    storyboard_times,
    write_decoded_storyboard,
    write_key_storyboard,
    write_representative,
)

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer

    from .waveform import PeakAccumulator

PROXY_JOBS = frozenset({"generate_proxy", "generate_video_proxies"})
_FACT_JOBS = frozenset({"extract_facts", "generate_video_proxies"})
_TROUBLE = (MediaProblem, av.error.FFmpegError, OSError, MemoryError)
_PICTURES_AHEAD = 8
_SHORT = 30
"""Seconds of a recording whose proxy is soon there."""
_SAID = 5
_MUCH = 10
"""More than a tenth of the packets broken is too much damage for a review."""


def process_video(
    work: Work, report: Report, settings: ProxySettings | None = None
) -> Iterator[Outcome]:
    """Do the tasks of a recording with pictures; one outcome for each, as soon as it is there."""
    try:
        recording = probe(work.source)
    except _TROUBLE as error:
        problem = problem_of(error, SourceUnreadable)
        yield from (failed(task.job_id, problem) for task in work.tasks)
        return
    yield from _Bundle(recording, work, report, settings or ProxySettings()).outcomes()


@define
class _Tap:
    """A storyboard that waits for the decode of the pictures."""

    task: Task
    writer: StillWriter
    board: StoryboardTap


class _Bundle:
    """One call's work on one recording."""

    def __init__(
        self, recording: Recording, work: Work, report: Report, settings: ProxySettings
    ) -> None:
        self._recording = recording
        self._work = work
        self._report = report
        self._settings = settings
        self._proxies = self._tasks(*PROXY_JOBS)
        self._waveforms = self._tasks("generate_audio_waveform")
        self._peaks: PeakAccumulator | None = None
        self._file: ProxyFile | None = None
        self._encoder: AacEncoder | None = None
        self._sound: Future[SoundReport] | None = None
        self._stop = threading.Event()
        self._taps: list[_Tap] = []
        self._drawings: list[Future[Outcome]] = []
        self._shown = 0
        self._metrics: Mapping[str, object] = {}

    def outcomes(self) -> Iterator[Outcome]:
        """Do the work, cheapest first."""
        yield from self._stated()
        yield from self._copied()
        with ThreadPoolExecutor(max_workers=2, thread_name_prefix="media") as pool:
            try:
                yield from self._opened()
                yield from self._listening(pool)
                self._start_drawing(pool)
                yield from self._encoded()
                yield from self._early(patiently=True)
            finally:
                self._close()

    def _tasks(self, *job_types: str) -> tuple[Task, ...]:
        return tuple(task for task in self._work.tasks if task.job_type in job_types)

    def _stated(self) -> Iterator[Outcome]:
        recording = self._recording
        for task in self._tasks("extract_facts"):
            yield Done(job_id=task.job_id, facts=recording.facts, warnings=recording.warnings)

    # The proxy, copied where the source already is one, else encoded.

    def _copied(self) -> Iterator[Outcome]:
        if not self._proxies or not suits(self._recording, self._settings):
            return
        try:
            copy_as_proxy(self._recording, self._work.workspace / "proxy.mp4", self._settings)
        except NotAProxy:
            return
        except MediaProblem as problem:
            yield from self._fail_proxies(problem)
            return
        said = "the source already is what its proxy must be; it was copied"
        yield from self._proxy_done((said,), {"copied": True})

    def _opened(self) -> Iterator[Outcome]:
        """Open the file of the proxy that is to be encoded, with both its streams."""
        if not self._proxies:
            return
        try:
            with encoding():
                self._file = ProxyFile(
                    self._work.workspace / "proxy.mp4", self._recording, self._settings
                )
                self._add_sound(self._file)
                self._file.container.start_encoding()
        except MediaProblem as problem:
            self._encoder = None
            yield from self._fail_proxies(problem)

    def _add_sound(self, file: ProxyFile) -> None:
        track = self._recording.audio
        if track is None:
            return
        file.spool = Spool(file.container)
        self._encoder = AacEncoder(
            cast("OutputContainer", file.spool),
            source_rate=track.rate,
            source_channels=track.channels,
            origin_s=float(self._recording.origin),
        )

    def _encoded(self) -> Iterator[Outcome]:
        """Decode the pictures once, for the proxy and for the stills that wait for them."""
        file = self._file
        if file is None or not self._proxies:
            return
        try:
            warnings: list[str] = []
            for said in self._encode(file):
                warnings.extend(said)
                yield from self._tapped()
                yield from self._early()
        except _TROUBLE as error:
            problem = problem_of(error, EncodingProblem)
            yield from self._fail_proxies(problem)
            yield from self._drawn_after_all()
            return
        yield from self._early(patiently=True)
        yield from self._proxy_done(tuple(warnings), self._metrics)

    def _encode(self, file: ProxyFile) -> Iterator[tuple[str, ...]]:
        """Encode, step by step; a step may bring warnings."""
        run = PictureRun(self._recording, self._settings, file)
        with open_source(self._recording.path) as container:
            walk = Walk(container, [_only(container, self._recording.video.index)])
            with closing(ahead(self._upright(walk, run), _PICTURES_AHEAD)) as steps:
                for step in steps:
                    run.put(step.pictures)
                    self._progress(step.time)
                    yield ()
        run.finish()
        file.flush()
        self._refuse_short("picture", run.end + self._recording.origin, self._recording.video.end)
        yield _damage("picture", walk.read, walk.broken)
        heard = self._sound.result() if self._sound is not None else None
        if heard is not None:
            yield self._judged(heard)
        yield self._still_times(walk, heard.size_bytes if heard is not None else 0)
        self._metrics = {
            "copied": False,
            "frames_decoded": run.decoded,
            "frames_repeated": run.cadence.repeated,
            "frames_dropped": run.cadence.dropped,
        }
        file.finish()

    def _upright(self, walk: Walk, run: PictureRun) -> Generator[Upright]:
        """Decode the pictures for the encoder and for the stills that wait, ahead of the encoder.

        Decoding, filtering and encoding use all cores only together: each for itself has to wait for
        its slowest thread.
        """
        boards = [tap.board for tap in self._taps]
        for frame in walk.frames():
            assert isinstance(frame, VideoFrame)
            upright = run.turn_up(frame)
            for board in boards:
                board.feed(frame, upright.time)
            yield upright
        for board in boards:
            board.finish()
        yield run.rest()

    def _still_times(self, walk: Walk, sound_bytes: int) -> tuple[str, ...]:
        """Tell times in which nothing was recorded from times whose pictures are lost.

        Lost pictures leave their bytes behind: what the file has in a hole, less the sound.

        Raises:
            SourceTruncated: pictures are lost, in more than a moment.
        """
        duration = self._recording.duration
        other = sound_bytes * self._recording.sounds / duration
        usual = max(Fraction(1), walk.size_bytes / duration)
        said: list[str] = []
        for hole in walk.holes:
            length = hole.end - hole.start
            begin, end = (float(t - self._recording.origin) for t in (hole.start, hole.end))
            if hole.size_bytes - other * length > usual * length / 2:
                raise SourceTruncated(
                    f"the pictures from {begin:.1f} s to {end:.1f} s are destroyed"
                )
            said.append(f"the file has no pictures from {begin:.1f} s to {end:.1f} s")
        return tuple(said[:_SAID])

    def _progress(self, time: Fraction) -> None:
        total = max(1, self._recording.duration_ms // 1000)
        done = min(total, int(time))
        if done > self._shown:
            self._shown = done
            for task in self._proxies:
                self._report(
                    Progress(job_id=task.job_id, current=done, total=total, text="encoding (s)")
                )

    def _proxy_done(
        self, warnings: tuple[str, ...], metrics: Mapping[str, object]
    ) -> Iterator[Outcome]:
        recording = self._recording
        path = self._work.workspace / "proxy.mp4"
        file = DerivedFile(kind="proxy_video", path=path, content_type="video/mp4")
        for task in self._proxies:
            yield Done(
                job_id=task.job_id,
                facts=recording.facts if task.job_type in _FACT_JOBS else {},
                files=(file,),
                warnings=(*recording.warnings, *warnings),
                metrics=metrics,
            )
        self._proxies = ()

    def _fail_proxies(self, problem: MediaProblem) -> Iterator[Outcome]:
        yield from (failed(task.job_id, problem) for task in self._proxies)
        self._proxies = ()
        if self._file is not None and self._file.spool is not None:
            self._file.spool.cancel()

    def _close(self) -> None:
        """End the thread before the container whose stream it encodes for."""
        self._stop.set()
        if self._file is None:
            return
        if self._file.spool is not None:
            self._file.spool.cancel()
        if self._sound is not None:
            wait([self._sound])
        self._file.discard()

    # The sound, decoded by a thread of its own.

    def _listening(self, pool: ThreadPoolExecutor) -> Iterator[Outcome]:
        """Start on the sound, where something is to be made of it."""
        track = self._recording.audio
        if track is None:
            problem = NoAudioTrack("the file has no track of sound that can be decoded")
            yield from (failed(task.job_id, problem) for task in self._waveforms)
            self._waveforms = ()
            return
        if self._waveforms or self._encoder is not None:
            self._sound = pool.submit(self._listen, track)

    def _listen(self, track: SoundTrack) -> SoundReport:
        spool = self._file.spool if self._file is not None else None
        try:
            if self._waveforms:
                self._peaks = self._new_peaks(track)
            consumers = [c for c in (self._peaks, self._encoder) if c is not None]
            heard = run_sound(self._recording, consumers, self._stop)
            if self._encoder is not None:
                self._encoder.finish()
            return heard
        except _TROUBLE as error:
            raise problem_of(error, EncodingProblem) from error
        finally:
            if spool is not None:
                spool.close()

    def _new_peaks(self, track: SoundTrack) -> PeakAccumulator:
        # numpy takes a tenth of a second to load: here, while the pictures are being encoded.
        from .waveform import PeakAccumulator

        return PeakAccumulator(
            sample_rate=track.rate,
            channels=track.channels,
            origin_s=float(self._recording.origin),
        )

    def _heard(self, *, patiently: bool) -> Iterator[Outcome]:
        """The waveforms, once the sound has been decoded."""
        if not self._waveforms or self._sound is None:
            return
        if not (patiently or self._sound.done()):
            return
        waveforms, self._waveforms = self._waveforms, ()
        try:
            warnings = self._judged(self._sound.result())
            for index, task in enumerate(waveforms):
                yield self._waveform(task, index, warnings)
        except MediaProblem as problem:
            yield from (failed(task.job_id, problem) for task in waveforms)

    def _judged(self, heard: SoundReport) -> tuple[str, ...]:
        """The warnings that a pass over the sound gives cause for.

        Raises:
            MediaProblem: there is too much damage, or too little sound.
        """
        track = self._recording.audio
        assert track is not None
        self._refuse_short("sound", heard.end, track.end)
        return _damage("sound", heard.read, heard.broken)

    def _waveform(self, task: Task, index: int, warnings: tuple[str, ...]) -> Outcome:
        from .waveform import DEFAULT_BUCKETS

        assert self._peaks is not None
        count = task.parameters.get("bucket_count", DEFAULT_BUCKETS)
        assert isinstance(count, int)
        document = self._peaks.finish(duration_ms=self._recording.duration_ms, bucket_count=count)
        path = self._work.workspace / f"waveform-{index}.json"
        with encoding():
            part = path.with_name(f"{path.name}.part")
            part.write_bytes(document)
            part.replace(path)
        file = DerivedFile(kind="waveform", path=path, content_type="application/json")
        return Done(job_id=task.job_id, files=(file,), warnings=warnings)

    # Stills: of key frames by a thread of its own, or out of the decode of the pictures.

    def _start_drawing(self, pool: ThreadPoolExecutor) -> None:
        for index, task in enumerate(self._tasks("generate_thumbnails")):
            writer = StillWriter(self._recording, self._work.workspace, f"thumb-{index}")
            times = self._awaited(task)
            if times:
                self._taps.append(_Tap(task, writer, StoryboardTap(writer, times)))
            else:
                self._drawings.append(pool.submit(self._draw, task, writer))

    def _awaited(self, task: Task) -> tuple[Fraction, ...]:
        """The times of a storyboard that costs less as a guest of the proxy's decode, else none.

        Key frames are worth fetching ahead of a long encode. In a short recording they are the same
        frames a few seconds later, and cost no decoder of their own.
        """
        if self._file is None or not self._proxies or not _is_storyboard(task):
            return ()
        keys = key_times(self._recording)
        if not keys:
            return storyboard_times(*self._recording.pictures)
        return keys if self._recording.duration <= _SHORT else ()

    def _draw(self, task: Task, writer: StillWriter) -> Outcome:
        try:
            if not _is_storyboard(task):
                write_representative(self._recording, writer)
            elif not write_key_storyboard(self._recording, writer):
                write_decoded_storyboard(self._recording, writer)
        except _TROUBLE as error:
            writer.discard()
            return failed(task.job_id, problem_of(error, RenderingProblem))
        return Done(job_id=task.job_id, files=tuple(writer.files))

    def _early(self, *, patiently: bool = False) -> Iterator[Outcome]:
        """The stills and waveforms that are ready; all of them where ``patiently``."""
        for drawing in tuple(self._drawings):
            if patiently or drawing.done():
                self._drawings.remove(drawing)
                yield drawing.result()
        yield from self._heard(patiently=patiently)

    def _tapped(self) -> Iterator[Outcome]:
        for tap in [tap for tap in self._taps if tap.board.complete]:
            self._taps.remove(tap)
            yield Done(job_id=tap.task.job_id, files=tuple(tap.writer.files))

    def _drawn_after_all(self) -> Iterator[Outcome]:
        """A storyboard does not fail because the proxy does: it is drawn on its own."""
        taps, self._taps = self._taps, []
        for tap in taps:
            tap.writer.discard()
            yield self._draw(tap.task, tap.writer)

    def _refuse_short(self, what: str, end: Fraction, expected: Fraction) -> None:
        missing = expected - end
        if missing > max(Fraction(1, 2), self._recording.duration / 50):
            raise SourceTruncated(
                f"the {what} can be decoded up to {float(end - self._recording.origin):.1f} s"
                f" of {float(expected - self._recording.origin):.1f} s; the rest is missing or damaged"
            )


def _is_storyboard(task: Task) -> bool:
    return bool(task.parameters.get("storyboard", False))


def _only(container: InputContainer, index: int) -> VideoStream:
    """Choose one stream of pictures, decoded by as many threads as there are cores."""
    stream = container.streams[index]
    assert isinstance(stream, VideoStream)
    stream.codec_context.thread_type = ThreadType.AUTO
    for other in container.streams:
        other.discard = Discard.default if other is stream else Discard.all
    return stream


def _damage(what: str, read: int, broken: int) -> tuple[str, ...]:
    """Say how much was broken.

    Raises:
        SourceUnreadable: too much for a review.
    """
    if broken * _MUCH > read:
        raise SourceUnreadable(f"the {what} is too damaged: {broken} of {read} packets are broken")
    return (f"{broken} of {read} packets of the {what} are broken and left out",) if broken else ()
