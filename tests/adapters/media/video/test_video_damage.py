"""Damaged, cut and lying recordings (domain.md, *Derived files*; a cut source never looks whole)."""

from __future__ import annotations

import hashlib
import resource
import signal
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from retaia_tests.video_sources import Clip, Sound, images, write_clip

ALL = ("extract_facts", "generate_proxy", "generate_thumbnails", "generate_audio_waveform")
SOUND = [Sound(seconds=2)]
DENSE = {"preset": "ultrafast", "g": "10"}


def cut(source: Path, share: float) -> Path:
    """Keep the first part of a file."""
    content = source.read_bytes()
    source.write_bytes(content[: int(len(content) * share)])
    return source


class TestTruncated:
    @pytest.mark.parametrize(
        ("name", "codec", "options", "container"),
        [
            ("index-first.mp4", "libx264", DENSE, {"movflags": "+faststart"}),
            ("index-last.mp4", "libx264", DENSE, {}),
            ("film.mov", "mjpeg", {}, {"movflags": "+faststart"}),
            ("film.mkv", "libx264", DENSE, {}),
            ("film.avi", "mpeg4", {}, {}),
        ],
    )
    @pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
    def test_a_cut_file_fails_for_good_and_leaves_nothing(
        self, name, codec, options, container, share, tmp_path, run
    ):
        """Every task of a file that was cut short fails with SOURCE_TRUNCATED."""
        clip = Clip(
            seconds=2,
            codec=codec,
            options=options,
            pixel_format="yuvj420p" if codec == "mjpeg" else "yuv420p",
            sounds=[Sound(seconds=2, codec="pcm_s16le" if name.endswith("avi") else "aac")],
            container_options=container,
        )
        source = cut(write_clip(tmp_path / name, clip), share)
        result = run(source, *ALL)
        for job in ALL:
            failure = result.failed(job)
            assert (failure.code, failure.retryable) == ("SOURCE_TRUNCATED", False)
            assert "cut short" in failure.message
        assert result.left == set()

    def test_a_tail_of_zeros_fails_although_the_size_is_right(self, tmp_path, run):
        """A copy that reserved its space and stopped half way has no proxy."""
        source = write_clip(tmp_path / "a.mkv", Clip(seconds=4, codec="ffv1", options={}))
        content = bytearray(source.read_bytes())
        # The index and the last frames stay; the frames before them are gone.
        content[len(content) // 2 : -2000] = bytes(len(content) - len(content) // 2 - 2000)
        source.write_bytes(content)
        result = run(source, "generate_proxy")
        assert result.failed("generate_proxy").code == "SOURCE_TRUNCATED"
        assert result.left == set()

    def test_a_live_recording_that_states_no_size_is_whole(self, tmp_path, run, ffprobe):
        """Matroska written as a stream has no sizes and no duration; it is taken for what is there."""
        source = write_clip(tmp_path / "a.mkv", Clip(container_options={"live": "1"}))
        result = run(source, "generate_proxy", "extract_facts")
        assert result.done("extract_facts").facts["duration_ms"] == pytest.approx(1000, abs=50)
        assert float(ffprobe(result.proxy)["format"]["duration"]) == pytest.approx(1.0, abs=0.05)


def packets_of(path: Path) -> list[tuple[int, int]]:
    """Place and size of the picture packets in a file."""
    with av.open(str(path)) as container:
        found = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    return [(pos, size) for pos, size in found if pos is not None]


def spoil(path: Path, place: tuple[int, int]) -> None:
    """Overwrite a packet."""
    pos, size = place
    content = bytearray(path.read_bytes())
    content[pos : pos + size] = b"\x55" * size
    path.write_bytes(content)


class TestStillTimes:
    def test_a_time_without_pictures_is_said(self, tmp_path, run):
        """A screen recorder that writes nothing while nothing moves is no damage; the gap is named."""
        times = [*(i / 25 for i in range(25)), *(3 + i / 25 for i in range(25))]
        source = write_clip(tmp_path / "a.mkv", Clip(times=times, sounds=[Sound(seconds=4)]))
        warnings = run(source, "generate_proxy").done("generate_proxy").warnings
        assert warnings == ("the file has no pictures from 1.0 s to 3.0 s",)


class TestBrokenPackets:
    @pytest.mark.parametrize(("codec", "options"), [("png", {}), ("libx264", DENSE), ("mjpeg", {})])
    def test_a_broken_last_packet_costs_one_frame(self, codec, options, tmp_path, run, ffprobe):
        """The proxy has the frames before it, and the full length."""
        pixel_format = {"png": "rgb24", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        clip = Clip(codec=codec, options=options, pixel_format=pixel_format, sounds=[Sound()])
        source = write_clip(tmp_path / "a.mov", clip)
        spoil(source, packets_of(source)[-1])
        result = run(source, *ALL)
        assert float(ffprobe(result.proxy)["format"]["duration"]) == pytest.approx(1.0, abs=0.09)
        assert len(images(result.proxy)) >= 24
        for job in ALL:
            result.done(job)

    def test_a_broken_frame_in_the_middle_is_said(self, tmp_path, run, ffprobe):
        """A frame that does not decode is repeated from the one before it, with a warning."""
        clip = Clip(codec="png", options={}, pixel_format="rgb24")
        source = write_clip(tmp_path / "a.mov", clip)
        spoil(source, packets_of(source)[12])
        result = run(source, "generate_proxy")
        assert any("1 of 25 packets" in text for text in result.done("generate_proxy").warnings)
        assert int(ffprobe(result.proxy)["streams"][0]["nb_frames"]) == 25

    def test_too_many_broken_frames_are_too_much(self, tmp_path, run):
        """A file whose every third frame is broken is unreadable, and leaves no proxy."""
        source = write_clip(tmp_path / "a.mov", Clip(codec="png", options={}, pixel_format="rgb24"))
        for place in packets_of(source)[1:-1:3]:
            spoil(source, place)
        result = run(source, "generate_proxy")
        assert result.failed("generate_proxy").code == "SOURCE_UNREADABLE"
        assert result.left == set()


class TestLyingFiles:
    def test_an_mp4_that_states_too_little_is_counted(self, tmp_path, run, ffprobe):
        """A header that states a fifth of the duration is corrected, with a warning."""
        source = write_clip(tmp_path / "a.mp4", Clip(seconds=2, rate=Fraction(10)))
        content = bytearray(source.read_bytes())
        for box, offset in ((b"mvhd", 20), (b"mdhd", 20), (b"tkhd", 24)):
            at = content.index(box) + offset
            content[at : at + 4] = (int.from_bytes(content[at : at + 4]) // 5).to_bytes(4)
        # Without its edit list, which states the length as well.
        at = content.index(b"edts")
        content[at : at + 4] = b"free"
        source.write_bytes(content)
        self._is_two_seconds(run(source, "extract_facts", "generate_proxy"), ffprobe)

    @pytest.mark.parametrize("stated_ms", [20_000.0, 500.0])
    def test_a_matroska_duration_is_counted(self, stated_ms, tmp_path, run, ffprobe):
        """A whole file that states ten times too much, or a quarter, is corrected, with a warning."""
        source = write_clip(tmp_path / "a.mkv", Clip(seconds=2, rate=Fraction(10)))
        content = bytearray(source.read_bytes())
        at = content.index(b"\x44\x89\x88") + 3
        content[at : at + 8] = struct.pack(">d", stated_ms)
        source.write_bytes(content)
        self._is_two_seconds(run(source, "extract_facts", "generate_proxy"), ffprobe)

    @staticmethod
    def _is_two_seconds(result, ffprobe):
        done = result.done("extract_facts")
        assert done.facts["duration_ms"] == pytest.approx(2000, abs=110)
        assert any("states" in text for text in done.warnings)
        assert float(ffprobe(result.proxy)["format"]["duration"]) == pytest.approx(2.0, abs=0.11)

    def test_the_extension_does_not_matter(self, tmp_path, run):
        """A Matroska file named .mp4 is read as what it is."""
        source = write_clip(tmp_path / "a.mkv").rename(tmp_path / "a.mp4")
        facts = run(source, "extract_facts").done("extract_facts").facts
        assert facts["media_format"] == "matroska"


def _empty(path: Path) -> None:
    path.touch()


def _text(path: Path) -> None:
    path.write_text("no film at all\n" * 100)


def _noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(1).bytes(100_000))


def _playlist(path: Path) -> None:
    film = write_clip(path.with_name("film.ts"))
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{film.name}\n#EXT-X-ENDLIST\n")


def _sound_only(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48_000)
        for index in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
            frame.sample_rate, frame.pts = 48_000, 1024 * index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _folder(path: Path) -> None:
    path.mkdir()


def _nothing(path: Path) -> None:
    assert not path.exists()


class TestNoRecording:
    @pytest.mark.parametrize(
        "make", [_empty, _text, _noise, _playlist, _sound_only, _folder, _nothing]
    )
    def test_what_is_no_film_is_refused(self, make: Callable[[Path], None], tmp_path, run):
        """Every task fails for good with SOURCE_UNREADABLE and a sentence; nothing is left."""
        source = tmp_path / "a.mp4"
        make(source)
        result = run(source, *ALL)
        for job in ALL:
            failure = result.failed(job)
            assert (failure.code, failure.retryable) == ("SOURCE_UNREADABLE", False)
            assert len(failure.message) > 20
        assert result.left == set()

    def test_unknown_streams_are_passed_over(self, tmp_path, run):
        """A track in no known codec, as recorders write them, does no harm."""
        source = write_clip(tmp_path / "a.mov", Clip(timecode="01:02:03:04"))
        with av.open(str(source)) as container:
            assert any(stream.codec_context is None for stream in container.streams)
        result = run(source, "extract_facts", "generate_proxy")
        assert result.done("extract_facts").facts["timecode_start"] == "01:02:03:04"
        assert result.proxy.exists()


class TestWorkspace:
    @pytest.mark.parametrize(
        "job", ["generate_proxy", "generate_thumbnails", "generate_audio_waveform"]
    )
    def test_a_workspace_that_is_gone_fails_the_task_for_now(self, job, tmp_path, run, monkeypatch):
        """An output that cannot be written is worth a new try."""
        source = write_clip(tmp_path / "a.mp4", Clip(codec="mpeg4", options={}, sounds=[Sound()]))
        made: list[Path] = []
        mkdir = Path.mkdir
        monkeypatch.setattr(Path, "mkdir", lambda self: made.append(self))
        result = run(source, job)
        monkeypatch.setattr(Path, "mkdir", mkdir)
        assert result.failed(job).retryable
        assert not made[0].exists()

    def test_a_full_disk_fails_the_proxy_for_now(self, tmp_path, run):
        """Where the proxy finds no room, it says so, and takes none."""
        noise = np.random.default_rng(1)
        clip = Clip(
            codec="mjpeg",
            pixel_format="yuvj420p",
            options={},
            size=(320, 180),
            picture=lambda i: noise.integers(0, 255, (180, 320, 3), np.uint8),
        )
        source = write_clip(tmp_path / "a.mov", clip)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
            result = run(source, "generate_proxy", "extract_facts")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)
        failure = result.failed("generate_proxy")
        assert (failure.code, failure.retryable) == ("WORKSPACE_FULL", True)
        assert result.left == set()

    def test_the_source_is_only_read(self, tmp_path, run):
        """Content and time of the source are as before."""
        source = write_clip(tmp_path / "a.mp4", Clip(sounds=[Sound()]))
        source.chmod(0o444)
        before = hashlib.sha256(source.read_bytes()).digest(), source.stat().st_mtime_ns
        run(source, *ALL)
        after = hashlib.sha256(source.read_bytes()).digest(), source.stat().st_mtime_ns
        assert after == before
