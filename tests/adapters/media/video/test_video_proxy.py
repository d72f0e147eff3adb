"""The proxy of a recording (domain.md, *Derived files*: ``proxy_video``)."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from retaia_tests.video_sources import Clip, Colors, Sound, images, sound_of, write_clip

JOB = "generate_proxy"


def streams(ffprobe: Any, path: Path) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The picture and the sound of a proxy, as ffprobe tells them."""
    found = ffprobe(path)["streams"]
    (video,) = [s for s in found if s["codec_type"] == "video"]
    sounds = [s for s in found if s["codec_type"] == "audio"]
    assert len(sounds) <= 1
    assert len(found) == 1 + len(sounds)
    return video, sounds[0] if sounds else None


def size(video: dict[str, Any]) -> tuple[int, int]:
    return video["width"], video["height"]


def key_gap(ffprobe: Any, path: Path) -> float:
    """The longest time from one key frame to the next, or to the end."""
    packets = ffprobe(path, "-select_streams", "v", "-show_packets")["packets"]
    keys = sorted(float(p["pts_time"]) for p in packets if p["flags"].startswith("K"))
    end = max(float(p["pts_time"]) + float(p["duration_time"]) for p in packets)
    assert keys[0] == 0.0
    return max(b - a for a, b in zip(keys, [*keys[1:], end], strict=True))


class TestFormat:
    def test_it_is_what_every_browser_plays(self, tmp_path, run, ffprobe):
        """MP4, H.264 yuv420p progressive with square pixels, AAC-LC at 48 kHz, moov before mdat."""
        source = write_clip(
            tmp_path / "a.mov",
            Clip(
                seconds=5,
                rate=Fraction(10),
                sounds=[Sound(seconds=5)],
                options={"preset": "ultrafast"},
            ),
        )
        result = run(source, JOB)
        video, audio = streams(ffprobe, result.proxy)
        assert (video["codec_name"], video["pix_fmt"]) == ("h264", "yuv420p")
        assert video["field_order"] == "progressive"
        assert video["sample_aspect_ratio"] == "1:1"
        assert audio is not None
        assert (audio["codec_name"], audio["profile"]) == ("aac", "LC")
        assert audio["sample_rate"] == "48000"
        head = result.proxy.read_bytes()
        assert 0 < head.index(b"moov") < head.index(b"mdat")
        assert key_gap(ffprobe, result.proxy) <= 2.0
        assert result.left == {"proxy.mp4"}

    @pytest.mark.parametrize(
        "rate", [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60)]
    )
    def test_the_rate_is_that_of_the_source_and_constant(self, rate, tmp_path, run, ffprobe):
        """The proxy has the source's frame rate, number of frames and duration."""
        source = write_clip(tmp_path / "a.mp4", Clip(rate=rate))
        result = run(source, JOB, "extract_facts")
        video, _ = streams(ffprobe, result.proxy)
        assert Fraction(video["avg_frame_rate"]) == Fraction(video["r_frame_rate"]) == rate
        assert int(video["nb_frames"]) == round(rate)
        facts = result.done("extract_facts").facts
        assert facts["fps"] == pytest.approx(float(rate), abs=1e-5)
        assert facts["duration_ms"] == pytest.approx(float(video["duration"]) * 1000, abs=20)

    def test_a_large_picture_is_shrunk_and_a_small_one_is_not_grown(self, tmp_path, run, ffprobe):
        """1080 lines become 720; 90 lines stay 90."""
        large = write_clip(tmp_path / "l.mp4", Clip(size=(1920, 1080), seconds=0.2))
        small = write_clip(tmp_path / "s.mp4", Clip(size=(160, 90), codec="mpeg4", options={}))
        assert size(streams(ffprobe, run(large, JOB).proxy)[0]) == (1280, 720)
        assert size(streams(ffprobe, run(small, JOB).proxy)[0]) == (160, 90)

    def test_odd_sides_become_even(self, tmp_path, run, ffprobe):
        """161 by 91 pixels, without subsampled colours, become 160 by 90."""
        clip = Clip(size=(161, 91), codec="ffv1", pixel_format="yuv444p", options={})
        source = write_clip(tmp_path / "a.mkv", clip)
        video, _ = streams(ffprobe, run(source, JOB).proxy)
        assert size(video) == (160, 90)
        assert video["pix_fmt"] == "yuv420p"

    def test_key_frames_of_the_source_are_not_repeated(self, tmp_path, run, ffprobe):
        """An all-key-frame source does not make an all-key-frame proxy."""
        clip = Clip(codec="mjpeg", pixel_format="yuvj420p", options={}, seconds=2)
        source = write_clip(tmp_path / "a.mov", clip)
        packets = ffprobe(run(source, JOB).proxy, "-show_packets")["packets"]
        assert sum(p["flags"].startswith("K") for p in packets) <= 3

    def test_progress_is_reported_up_to_the_whole(self, tmp_path, run):
        """Progress counts seconds and ends at their total."""
        source = write_clip(
            tmp_path / "a.mp4", Clip(seconds=3, rate=Fraction(10), codec="mpeg4", options={})
        )
        progress = run(source, JOB).progress
        assert [p.current for p in progress] == sorted(p.current for p in progress)
        assert progress
        assert all(p.job_id == JOB and 0 < p.current <= p.total == 3 for p in progress)


def corner_picture(index: int) -> Any:
    """A picture whose top left quarter is red, and whose top right quarter is green."""
    image = np.full((64, 128, 3), 30, np.uint8)
    image[:32, :64] = (220, 20, 20)
    image[:32, 64:] = (20, 220, 20)
    return image


def corners(image: Any) -> dict[str, str]:
    """Which corner is red and which is green."""
    height, width, _ = image.shape
    spots = {
        "top left": image[height // 4, width // 4],
        "top right": image[height // 4, 3 * width // 4],
        "bottom left": image[3 * height // 4, width // 4],
        "bottom right": image[3 * height // 4, 3 * width // 4],
    }
    names = {}
    for place, (red, green, _) in spots.items():
        if int(red) > int(green) + 60:
            names["red"] = place
        if int(green) > int(red) + 60:
            names["green"] = place
    return names


class TestGeometry:
    @pytest.mark.parametrize(
        ("degrees", "mirrored"), [(d, m) for d in (0, 90, 180, 270) for m in (False, True)]
    )
    def test_the_turn_is_applied(self, degrees, mirrored, tmp_path, run, ffprobe):
        """A picture that the container turns or mirrors is upright in the proxy, as ffmpeg shows it."""
        clip = Clip(size=(128, 64), picture=corner_picture, seconds=0.2, turn=(degrees, mirrored))
        source = write_clip(tmp_path / "a.mp4", clip)
        proxy = run(source, JOB).proxy
        video, _ = streams(ffprobe, proxy)
        assert size(video) == ((64, 128) if degrees % 180 else (128, 64))
        assert not video.get("side_data_list")
        # Counter-clockwise, then mirrored from left to right.
        image = np.rot90(corner_picture(0), degrees // 90)
        expected = corners(image[:, ::-1] if mirrored else image)
        assert corners(images(proxy)[2]) == expected

    @pytest.mark.parametrize(
        ("stored", "aspect", "expected"),
        [
            ((720, 576), Fraction(64, 45), (1024, 576)),
            ((1440, 1080), Fraction(4, 3), (1280, 720)),
            ((160, 90), Fraction(1, 2), (80, 90)),
        ],
    )
    def test_pixels_become_square(self, stored, aspect, expected, tmp_path, run, ffprobe):
        """An anamorphic picture is shown at its true aspect with square pixels."""
        source = write_clip(tmp_path / "a.mp4", Clip(size=stored, aspect=aspect, seconds=0.2))
        video, _ = streams(ffprobe, run(source, JOB).proxy)
        assert size(video) == expected
        assert video["sample_aspect_ratio"] == "1:1"

    def test_fields_are_woven_away(self, tmp_path, run, ffprobe):
        """An interlaced source of moving edges becomes progressive, without combs, at its frame rate."""

        def moving(index: int) -> Any:
            image = np.full((96, 160, 3), 40, np.uint8)
            for field in (0, 1):
                edge = 20 + 8 * (2 * index + field)
                image[field::2, edge : edge + 40] = 210
            return image

        options = {"preset": "ultrafast", "x264-params": "tff=1", "qp": "10"}
        clip = Clip(size=(160, 96), picture=moving, seconds=0.24, options=options)
        source = write_clip(tmp_path / "a.mp4", clip)
        proxy = run(source, JOB).proxy
        video, _ = streams(ffprobe, proxy)
        assert video["field_order"] == "progressive"
        assert (video["avg_frame_rate"], int(video["nb_frames"])) == ("25/1", 6)

        def combs(image: Any) -> float:
            rows = image[:, :, 0].astype(float)
            return float(np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean())

        assert combs(images(source)[3]) > 10
        assert combs(images(proxy)[3]) < 3


def code_of(nits: Any) -> Any:
    """The PQ signal of a brightness (SMPTE ST 2084)."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    y = (np.asarray(nits, float) / 10000) ** m1
    return ((c1 + c2 * y) / (1 + c3 * y)) ** m2


def gray_ramp(signal: Any) -> Any:
    """Frames of ten bits whose columns have the given signals (0..1), without colour."""

    def picture(index: int) -> av.VideoFrame:
        frame = av.VideoFrame(len(signal) * 8, 64, "yuv420p10le")
        luma = np.repeat(64 + np.asarray(signal) * 876, 8).round().astype(np.uint16)
        for plane, row in zip(frame.planes, (luma, None, None), strict=True):
            pixels = np.full((plane.height, plane.line_size // 2), 512, np.uint16)
            if row is not None:
                pixels[:, : len(row)] = row
            plane.update(pixels.tobytes())
        return frame

    return picture


class TestColors:
    def test_ten_bits_become_eight(self, tmp_path, run, ffprobe):
        """A ten-bit HEVC source becomes yuv420p, and grey stays the same grey."""
        levels = np.linspace(0, 1, 16)
        clip = Clip(
            size=(128, 64),
            seconds=0.2,
            codec="libx265",
            pixel_format="yuv420p10le",
            picture=gray_ramp(levels),
            options={"preset": "ultrafast", "x265-params": "log-level=none"},
            colors=Colors(primaries=1, transfer=1, matrix=1),
        )
        proxy = run(write_clip(tmp_path / "a.mp4", clip), JOB).proxy
        video, _ = streams(ffprobe, proxy)
        assert (video["pix_fmt"], video["color_space"]) == ("yuv420p", "bt709")
        row = images(proxy)[0][32, 4::8, 0].astype(float)
        assert np.abs(row - levels * 255).max() < 8

    @pytest.mark.parametrize(("name", "transfer"), [("PQ", 16), ("HLG", 18)])
    def test_high_dynamic_range_is_toned(self, name, transfer, tmp_path, run, ffprobe):
        """PQ and HLG keep their steps from shadow to highlight, nothing is clipped, and white is bright."""
        signal = code_of([1, 5, 20, 50, 100, 203, 400, 700, 1000, 2000, 4000, 9000])
        signal = signal if name == "PQ" else np.linspace(0.05, 1, 12)
        clip = Clip(
            size=(96, 64),
            seconds=0.2,
            codec="libx265",
            pixel_format="yuv420p10le",
            picture=gray_ramp(signal),
            options={"preset": "ultrafast", "x265-params": "log-level=none:qp=4:bframes=0"},
            colors=Colors(primaries=9, transfer=transfer, matrix=9),
        )
        result = run(write_clip(tmp_path / "a.mp4", clip), JOB, "extract_facts")
        video, _ = streams(ffprobe, result.proxy)
        assert {video[f"color_{x}"] for x in ("space", "transfer", "primaries")} == {"bt709"}
        row = images(result.proxy)[0][32, 4::8].astype(float)
        assert (np.diff(row[:, 1]) > 2).all(), "every step is still a step"
        assert row[0, 1] < 60
        assert row[-1, 1] > 225
        assert np.abs(row - row.mean(axis=1, keepdims=True)).max() < 8, "grey stays grey"
        if name == "PQ":
            assert 110 < row[5, 1] < 220, "reference white (203 cd/m²) lies well above the middle"
        facts = result.done("extract_facts").facts
        assert facts["color_transfer"] == {16: "smpte2084", 18: "arib-std-b67"}[transfer]

    def test_full_range_and_old_matrices_keep_their_colors(self, tmp_path, run):
        """A full-range source in the matrix of standard television shows the same colours."""
        clip = Clip(
            codec="mjpeg",
            pixel_format="yuvj420p",
            options={"qmin": "1", "qmax": "1"},
            size=(128, 64),
            seconds=0.2,
            picture=lambda i: av.VideoFrame.from_ndarray(corner_picture(i)).reformat(
                format="yuvj420p", dst_colorspace="ITU601"
            ),
        )
        proxy = run(write_clip(tmp_path / "a.mov", clip), JOB).proxy
        with av.open(str(proxy)) as container:
            frame = next(container.decode(video=0))
            image = frame.to_ndarray(format="rgb24", src_colorspace="ITU709")
        assert np.abs(image[16, 32].astype(int) - (220, 20, 20)).max() < 16
        assert np.abs(image[16, 96].astype(int) - (20, 220, 20)).max() < 16


class TestTime:
    def test_a_variable_rate_becomes_constant(self, tmp_path, run, ffprobe):
        """Frames fall on a constant grid at the average rate, each shown from its time on."""
        times = [0, 0.1, 0.2, 0.3, 0.9, 1.0, 1.04, 1.08, 1.5]

        def picture(index: int) -> Any:
            return np.full((64, 128, 3), 30 + 20 * index, np.uint8)

        source = write_clip(tmp_path / "a.mp4", Clip(size=(128, 64), times=times, picture=picture))
        result = run(source, JOB, "extract_facts")
        video, _ = streams(ffprobe, result.proxy)
        rate = Fraction(video["avg_frame_rate"])
        assert video["r_frame_rate"] == video["avg_frame_rate"]
        original, _ = streams(ffprobe, source)
        assert abs(rate - Fraction(original["avg_frame_rate"])) < 0.01
        assert float(video["duration"]) == pytest.approx(
            float(original["duration"]), abs=float(1 / rate)
        )
        assert result.done(JOB).metrics["frames_decoded"] == len(times)
        for index, image in enumerate(images(result.proxy)):
            shown = (int(image[32, 64, 0]) - 30) / 20
            due = [i for i, t in enumerate(times) if t <= index / rate + 0.5 / rate + 1e-6]
            assert abs(shown - due[-1]) < 0.5

    @pytest.mark.parametrize("suffix", ["ts", "mkv", "mp4"])
    def test_sound_and_picture_share_one_origin(self, suffix, tmp_path, run, ffprobe):
        """A flash and a beep at the same moment stay together although the tracks begin 0.7 s apart."""

        def flash(index: int) -> Any:
            return np.full((64, 128, 3), 230 if 20 <= index < 25 else 20, np.uint8)

        def beep(times: Any) -> Any:
            on = (times >= 1.5) & (times < 1.7)
            return np.where(on, 0.8 * np.sin(2 * np.pi * 1000 * times), 0)

        clip = Clip(
            size=(128, 64),
            seconds=1.4,
            picture=flash,
            start=10.7,
            sounds=[Sound(seconds=2.1, start=10, signal=beep)],
        )
        proxy = run(write_clip(tmp_path / f"a.{suffix}", clip), JOB).proxy
        video, audio = streams(ffprobe, proxy)
        assert audio is not None
        assert float(video["start_time"]) == float(audio["start_time"]) == 0
        bright = [i for i, image in enumerate(images(proxy)) if image.mean() > 120]
        rate, samples = sound_of(proxy)
        loud = np.flatnonzero(np.abs(samples) > 0.2)
        assert bright[0] / 25 == pytest.approx(1.5, abs=0.05)
        assert loud[0] / rate == pytest.approx(1.5, abs=0.05)
        assert loud[-1] / rate == pytest.approx((bright[-1] + 1) / 25, abs=0.05)


class TestSound:
    def test_without_sound_there_is_none(self, tmp_path, run, ffprobe):
        """A silent film has a proxy without a track of sound, and no waveform."""
        source = write_clip(tmp_path / "a.mp4")
        result = run(source, JOB, "generate_audio_waveform", "extract_facts")
        assert streams(ffprobe, result.proxy)[1] is None
        failure = result.failed("generate_audio_waveform")
        assert (failure.code, failure.retryable) == ("NO_AUDIO_TRACK", False)
        assert "audio_codec" not in result.done("extract_facts").facts

    def test_of_several_tracks_the_default_is_taken(self, tmp_path, run, ffprobe):
        """The default track is heard, and a warning says that there are others."""
        sounds = [Sound(hertz=300), Sound(hertz=3000, default=True)]
        source = write_clip(tmp_path / "a.mkv", Clip(sounds=sounds))
        result = run(source, JOB)
        assert streams(ffprobe, result.proxy)[1] is not None
        rate, samples = sound_of(result.proxy)
        spectrum = np.abs(np.fft.rfft(samples))
        assert spectrum.argmax() * rate / len(samples) == pytest.approx(3000, abs=50)
        assert any("2 tracks of sound" in text for text in result.done(JOB).warnings)

    @pytest.mark.parametrize(
        ("rate", "expected"), [(44_100, "44100"), (32_000, "48000"), (96_000, "48000")]
    )
    def test_the_rate_is_one_of_two(self, rate, expected, tmp_path, run, ffprobe):
        """44.1 kHz is kept; other rates become 48 kHz."""
        sound = Sound(rate=rate, codec="pcm_s24le", layout="stereo")
        clip = Clip(sounds=[sound])
        source = write_clip(tmp_path / "a.mkv", clip)
        _, audio = streams(ffprobe, run(source, JOB).proxy)
        assert audio is not None
        assert (audio["sample_rate"], audio["channels"]) == (expected, 2)
        assert float(audio["duration"]) == pytest.approx(1.0, abs=0.05)

    def test_sound_may_go_on_long_after_the_picture(self, tmp_path, run, ffprobe, monkeypatch):
        """Sound that outlasts the picture, and the packets that may wait for it, is all there."""
        monkeypatch.setattr("retaia_adapters.media.sound.AHEAD", 10)
        clip = Clip(seconds=0.2, codec="mpeg4", options={}, sounds=[Sound(seconds=5)])
        _, audio = streams(ffprobe, run(write_clip(tmp_path / "a.mp4", clip), JOB).proxy)
        assert audio is not None
        assert float(audio["duration"]) == pytest.approx(5.0, abs=0.05)

    def test_a_rate_that_changes_in_the_middle_is_followed(self, tmp_path, run, ffprobe):
        """The sound goes on at its pitch and time where its sample rate changes."""
        first = write_clip(tmp_path / "1.ts", Clip(start=1, sounds=[Sound(start=1, hertz=1000)]))
        second = write_clip(
            tmp_path / "2.ts", Clip(start=2, sounds=[Sound(start=2, rate=32_000, hertz=1000)])
        )
        source = tmp_path / "a.ts"
        source.write_bytes(first.read_bytes() + second.read_bytes())
        result = run(source, JOB, "generate_audio_waveform")
        _, audio = streams(ffprobe, result.proxy)
        assert audio is not None
        assert float(audio["duration"]) == pytest.approx(2.0, abs=0.1)
        rate, samples = sound_of(result.proxy)
        for part in (samples[rate // 4 : rate * 3 // 4], samples[rate * 5 // 4 : rate * 7 // 4]):
            spectrum = np.abs(np.fft.rfft(part))
            assert spectrum.argmax() * rate / len(part) == pytest.approx(1000, abs=30)
        assert result.done("generate_audio_waveform").files
