"""The facts of a recording (domain.md, *Jobs*: minimum and further facts)."""

from __future__ import annotations

from fractions import Fraction

import pytest
from retaia_tests.video_sources import Clip, Colors, Sound, write_clip

from retaia_core.domain.facts import missing_facts, parse_facts
from retaia_core.domain.media import MediaType

JOB = "extract_facts"


class TestFacts:
    @pytest.mark.parametrize(
        ("suffix", "codec"),
        [
            ("mp4", "libx264"),
            ("mov", "mjpeg"),
            ("mkv", "ffv1"),
            ("webm", "libvpx-vp9"),
            ("avi", "mpeg4"),
            ("ts", "mpeg2video"),
            ("mxf", "mpeg2video"),
        ],
    )
    def test_the_minimum_is_stated_and_agrees_with_ffprobe(
        self, suffix, codec, tmp_path, run, ffprobe
    ):
        """Duration, format, codecs, size and rate are what an independent reader finds."""
        pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        sound = {"avi": "pcm_s16le", "ts": "mp2", "mxf": "pcm_s16le", "webm": "libopus"}.get(
            suffix, "aac"
        )
        clip = Clip(
            codec=codec,
            pixel_format=pixels,
            options={},
            sounds=[Sound(codec=sound)],
            size=(160, 96),
        )
        source = write_clip(tmp_path / f"a.{suffix}", clip)
        facts = run(source, JOB).done(JOB).facts
        assert parse_facts(facts) == facts
        assert not missing_facts(facts, MediaType.VIDEO)
        found = ffprobe(source)
        video = next(s for s in found["streams"] if s["codec_type"] == "video")
        audio = next(s for s in found["streams"] if s["codec_type"] == "audio")
        assert facts["video_codec"] == video["codec_name"]
        assert facts["audio_codec"] == audio["codec_name"]
        assert (facts["width"], facts["height"]) == (video["width"], video["height"])
        assert facts["fps"] == 25.0
        assert facts["duration_ms"] == pytest.approx(1000, abs=60)
        assert facts["sample_rate_hz"] == int(audio["sample_rate"])
        assert facts["channel_count"] == audio["channels"]
        assert facts["pixel_format"] == video["pix_fmt"]
        assert facts["media_format"] == {"mkv": "matroska", "ts": "mpegts"}.get(suffix, suffix)

    def test_what_a_camera_says_is_stated(self, tmp_path, run):
        """Time, timecode, camera, place, turn and colours."""
        metadata = {
            "com.apple.quicktime.creationdate": "2024-05-01T10:20:30+0200",
            "com.apple.quicktime.make": "Apple",
            "com.apple.quicktime.model": "iPhone 15 Pro",
            "com.apple.quicktime.location.ISO6709": "+48.8577+002.2950+035.100/",
        }
        clip = Clip(
            metadata=metadata,
            timecode="01:02:03:04",
            turn=(-90, False),
            colors=Colors(primaries=1, transfer=1, matrix=1),
            container_options={"movflags": "use_metadata_tags"},
        )
        facts = run(write_clip(tmp_path / "a.mov", clip), JOB).done(JOB).facts
        expected = {
            "captured_at": "2024-05-01T10:20:30+02:00",
            "timecode_start": "01:02:03:04",
            "camera_make": "Apple",
            "camera_model": "iPhone 15 Pro",
            "gps_latitude": 48.8577,
            "gps_longitude": 2.295,
            "gps_altitude_m": 35.1,
            "rotation_deg": 90,
            "color_space": "bt709",
            "color_transfer": "bt709",
            "color_primaries": "bt709",
        }
        assert {name: facts.get(name) for name in expected} == expected

    def test_what_is_not_known_is_left_out(self, tmp_path, run):
        """A file that says nothing of its camera and colours has no such facts."""
        facts = run(write_clip(tmp_path / "a.mp4"), JOB).done(JOB).facts
        unknown = {"captured_at", "camera_make", "gps_latitude", "color_transfer", "audio_codec"}
        assert not unknown & set(facts)

    def test_the_older_job_has_facts_and_proxy(self, tmp_path, run, ffprobe):
        """``generate_video_proxies`` is both in one."""
        source = write_clip(tmp_path / "a.mp4", Clip(codec="mpeg4", options={}, rate=Fraction(10)))
        done = run(source, "generate_video_proxies").done("generate_video_proxies")
        assert done.facts["fps"] == 10.0
        assert [f.kind for f in done.files] == ["proxy_video"]
        assert ffprobe(done.files[0].path)["streams"][0]["codec_name"] == "h264"

    def test_two_runs_are_equal(self, tmp_path, run):
        """Facts, stills and waveform are the same when made again."""
        source = write_clip(tmp_path / "a.mp4", Clip(sounds=[Sound()]))
        jobs = (JOB, "generate_thumbnails", "generate_audio_waveform")
        first, second = run(source, *jobs), run(source, *jobs)
        assert first.done(JOB) == second.done(JOB)
        for job in jobs[1:]:
            contents = [[f.path.read_bytes() for f in r.done(job).files] for r in (first, second)]
            assert contents[0] == contents[1] != []
