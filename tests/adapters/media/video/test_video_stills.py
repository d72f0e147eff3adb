"""Stills and storyboards of a recording (domain.md, *Derived files*: ``thumb``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from retaia_tests.video_sources import Clip, Sound, write_clip

from retaia_adapters.media.problems import EncodingProblem
from retaia_core.ports.processor import Failed

JOB = "generate_thumbnails"
SIZE = (128, 64)


def ramp(index: int) -> Any:
    """A picture whose right half tells the frame's number by its brightness, two steps a frame."""
    image = np.full((SIZE[1], SIZE[0], 3), 250, np.uint8)
    image[:, 64:] = 20 + 4 * index
    return image


def bar(index: int) -> Any:
    """A picture of one contrast throughout, whose bar tells the frame's number by its place."""
    image = np.full((SIZE[1], SIZE[0], 3), 60, np.uint8)
    image[:, 2 * index : 2 * index + 8] = 220
    return image


def bar_shown(path: Path) -> float:
    """The number of the frame of `bar` that a still shows."""
    with Image.open(path) as image:
        row = np.asarray(image.convert("L"))[32].astype(float)
    return (np.flatnonzero(row > 140).mean() - 3.5) / 2


def shown(path: Path) -> float:
    """The number of the frame of `ramp` that a still shows."""
    with Image.open(path) as image:
        return (np.asarray(image.convert("L"))[20:44, 80:110].mean() - 20) / 4


def stills(result: Any) -> list[Path]:
    """The files of a result in their order, checked for what all stills have in common."""
    files = result.done(JOB).files
    assert [f.index for f in files] == list(range(len(files)))
    assert {(f.kind, f.content_type) for f in files} == {("thumb", "image/jpeg")}
    for file in files:
        with Image.open(file.path) as image:
            assert (image.format, image.mode) == ("JPEG", "RGB")
            image.verify()
    assert {f.path.name for f in files} == {n for n in result.left if n.startswith("thumb")}
    return [f.path for f in files]


class TestStoryboard:
    @pytest.mark.parametrize("interval", [1, 5, 250])
    @pytest.mark.parametrize("with_proxy", [False, True])
    def test_it_is_ten_frames_evenly_spread(self, interval, with_proxy, tmp_path, run):
        """Each tenth is shown by a frame of its own, in order, however far apart key frames are."""
        options = {"preset": "ultrafast", "g": str(interval), "sc_threshold": "0"}
        clip = Clip(size=SIZE, seconds=2, picture=ramp, options=options)
        source = write_clip(tmp_path / "a.mp4", clip)
        jobs = (JOB, "generate_proxy") if with_proxy else (JOB,)
        paths = stills(run(source, *jobs, storyboard=True))
        assert len(paths) == 10
        for index, path in enumerate(paths):
            assert 5 * index - 0.6 <= shown(path) <= 5 * index + 4.6

    def test_it_is_there_before_the_proxy(self, tmp_path, run):
        """Facts, then stills and waveform, and the proxy last."""
        clip = Clip(
            size=SIZE,
            seconds=2,
            sounds=[Sound(seconds=2)],
            codec="mjpeg",
            pixel_format="yuvj420p",
            options={},
        )
        source = write_clip(tmp_path / "a.mov", clip)
        jobs = ("generate_proxy", "generate_audio_waveform", JOB, "extract_facts")
        order = run(source, *jobs, storyboard=True).order
        assert order[0] == "extract_facts"
        assert order[-1] == "generate_proxy"

    @pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
    @pytest.mark.parametrize("short_s", [0, 30])
    def test_a_proxy_beside_it_changes_nothing(self, suffix, short_s, tmp_path, run, monkeypatch):
        """The key frames of a storyboard are the same ones, fetched or out of the proxy's decode."""
        monkeypatch.setattr("retaia_adapters.media.video._SHORT", short_s)
        clip = Clip(size=SIZE, seconds=2, picture=ramp, codec="mpeg4", options={"g": "5"})
        source = write_clip(tmp_path / f"a.{suffix}", clip)
        alone, beside = (
            [path.read_bytes() for path in stills(run(source, *jobs, storyboard=True))]
            for jobs in ((JOB,), (JOB, "generate_proxy"))
        )
        assert alone == beside

    @pytest.mark.parametrize("interval", [5, 250])
    def test_a_proxy_that_fails_takes_no_storyboard_with_it(
        self, interval, tmp_path, run, monkeypatch
    ):
        """A storyboard that waited for the proxy's decode is drawn without it."""

        def put(self: Any, slot: int, frame: Any) -> None:
            raise EncodingProblem("the encoder gave up")

        monkeypatch.setattr("retaia_adapters.media.proxy_video.ProxyFile.put", put)
        clip = Clip(size=SIZE, seconds=2, picture=ramp, codec="mpeg4", options={"g": str(interval)})
        source = write_clip(tmp_path / "a.mp4", clip)
        result = run(source, JOB, "generate_proxy", storyboard=True)
        assert isinstance(result.outcomes["generate_proxy"], Failed)
        assert len(stills(result)) == 10

    @pytest.mark.parametrize("jobs", [(JOB,), (JOB, "generate_proxy")])
    def test_fewer_frames_than_ten_still_make_ten(self, jobs, tmp_path, run):
        """Three frames are shown ten times in their order."""
        clip = Clip(
            size=SIZE, seconds=0.12, picture=lambda i: ramp(10 * i), codec="mpeg4", options={}
        )
        paths = stills(run(write_clip(tmp_path / "a.mp4", clip), *jobs, storyboard=True))
        numbers = [round(shown(path) / 10) for path in paths]
        assert len(numbers) == 10
        assert numbers == sorted(numbers)
        assert set(numbers) == {0, 1, 2}

    @pytest.mark.parametrize("suffix", ["ts", "avi", "mkv"])
    def test_it_needs_no_index(self, suffix, tmp_path, run):
        """Formats that are searched by other means give the same spread."""
        codec = "mpeg4" if suffix == "avi" else "libx264"
        clip = Clip(size=SIZE, seconds=2, picture=ramp, codec=codec, options={"g": "5", "bf": "0"})
        paths = stills(run(write_clip(tmp_path / f"a.{suffix}", clip), JOB, storyboard=True))
        for index, path in enumerate(paths):
            assert 5 * index - 1 <= shown(path) <= 5 * index + 5


class TestRepresentative:
    def test_it_is_the_frame_of_the_rule(self, tmp_path, run):
        """Of 2 s it is the frame at 1 s."""
        clip = Clip(size=SIZE, seconds=2, picture=bar, options={"preset": "ultrafast"})
        (path,) = stills(run(write_clip(tmp_path / "a.mp4", clip), JOB))
        assert bar_shown(path) == pytest.approx(25, abs=1)

    def test_a_recording_shorter_than_a_second_has_its_middle(self, tmp_path, run):
        """Of 0.8 s it is the frame at 0.4 s."""
        clip = Clip(size=SIZE, seconds=0.8, picture=bar)
        (path,) = stills(run(write_clip(tmp_path / "a.mp4", clip), JOB))
        assert bar_shown(path) == pytest.approx(10, abs=1)

    @pytest.mark.parametrize("dark_from", [0, 20])
    def test_black_is_passed_over(self, dark_from, tmp_path, run):
        """Black at the rule's time: the next frame that shows something, else one before it, is taken."""
        black = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)

        def picture(index: int) -> Any:
            dark = dark_from <= index and (dark_from or index < 35)
            return black if dark else bar(index)

        clip = Clip(size=SIZE, seconds=2, picture=picture)
        (path,) = stills(run(write_clip(tmp_path / "a.mp4", clip), JOB))
        found = bar_shown(path)
        assert (35 <= found <= 45) if dark_from == 0 else (0 <= found < 20)

    def test_a_fade_is_passed_over(self, tmp_path, run):
        """A frame on its way from black to the picture is passed over for the whole picture."""

        def picture(index: int) -> Any:
            return (ramp(30) * min(1.0, index / 40)).astype(np.uint8)

        clip = Clip(size=SIZE, seconds=2.4, picture=picture)
        (path,) = stills(run(write_clip(tmp_path / "a.mp4", clip), JOB))
        assert shown(path) == pytest.approx(30, abs=4)

    def test_black_throughout_is_still_a_picture(self, tmp_path, run):
        """A recording that is all black has a black still."""
        clip = Clip(size=SIZE, picture=lambda i: np.zeros((64, 128, 3), np.uint8))
        (path,) = stills(run(write_clip(tmp_path / "a.mp4", clip), JOB))
        with Image.open(path) as image:
            assert np.asarray(image).max() < 10


class TestSize:
    @pytest.mark.parametrize(
        ("stored", "turn", "expected"),
        [
            ((1280, 720), None, (480, 270)),
            ((320, 180), None, (320, 180)),
            ((1280, 720), (90, False), (480, 853)),
            ((161, 91), None, (161, 91)),
        ],
    )
    def test_it_is_480_wide_and_never_grown(self, stored, turn, expected, tmp_path, run):
        """Wide pictures shrink to 480 pixels after their turn; narrow ones are kept."""
        codec, pixels = ("libx264", "yuv420p") if stored[0] % 2 == 0 else ("ffv1", "yuv444p")
        clip = Clip(
            size=stored, turn=turn, seconds=0.2, codec=codec, pixel_format=pixels, options={}
        )
        suffix = "mp4" if codec == "libx264" else "mkv"
        (path,) = stills(run(write_clip(tmp_path / f"a.{suffix}", clip), JOB))
        with Image.open(path) as image:
            assert image.size == expected

    def test_an_interlaced_still_is_woven(self, tmp_path, run):
        """A single frame of an interlaced recording has no combs."""

        def moving(index: int) -> Any:
            image = np.full((96, 160, 3), 40, np.uint8)
            image[0::2, 20:60] = 210
            image[1::2, 60:100] = 210
            return image

        options = {"preset": "ultrafast", "x264-params": "tff=1", "qp": "10"}
        clip = Clip(size=(160, 96), picture=moving, seconds=0.24, options=options)
        (path,) = stills(run(write_clip(tmp_path / "a.mp4", clip), JOB))
        with Image.open(path) as image:
            rows = np.asarray(image.convert("L")).astype(float)
        assert np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean() < 3
