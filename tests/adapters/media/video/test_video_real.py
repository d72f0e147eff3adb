"""Real recordings, where their folder is present."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

JOBS = ("extract_facts", "generate_proxy", "generate_thumbnails", "generate_audio_waveform")


class TestRealRecordings:
    @pytest.mark.parametrize(
        ("name", "codec"), [("sample-h264.mp4", "h264"), ("sample-h265.mp4", "hevc")]
    )
    def test_a_recording_has_its_whole_review_set(self, name, codec, real_media, run, ffprobe):
        """Facts, proxy, storyboard and waveform, which agree with each other."""
        result = run(real_media / name, *JOBS, storyboard=True)
        facts = result.done("extract_facts").facts
        assert (facts["video_codec"], facts["width"], facts["height"], facts["fps"]) == (
            codec,
            1920,
            1080,
            25,
        )
        assert facts["timecode_start"] == "01:00:00:00"
        found = ffprobe(result.proxy)
        video, audio = found["streams"]
        assert (video["width"], video["height"]) == (1280, 720)
        assert Fraction(video["avg_frame_rate"]) == 25
        assert audio["codec_name"] == "aac"
        assert float(found["format"]["duration"]) * 1000 == pytest.approx(
            facts["duration_ms"], abs=40
        )
        assert len(result.done("generate_thumbnails").files) == 10
        (waveform,) = result.done("generate_audio_waveform").files
        document = json.loads(waveform.path.read_bytes())
        assert document["duration_ms"] == facts["duration_ms"]
        assert not any(done for done in result.done("generate_proxy").warnings)

    def test_a_truncated_recording_fails_clearly(self, real_media, run):
        """Every task fails for good, and nothing is left."""
        result = run(real_media / "truncated.mp4", *JOBS)
        for job in JOBS:
            failure = result.failed(job)
            assert (failure.code, failure.retryable) == ("SOURCE_TRUNCATED", False)
        assert result.left == set()
