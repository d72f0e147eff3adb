"""Real recordings, where their folder is present."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
Probe = Callable[..., dict[str, Any]]


def test_a_wireless_recorder(real_media: Path, run: Run, ffprobe: Probe) -> None:
    """32-bit float that exceeds full scale, with recorder's notes and a year of two digits."""
    result = run(real_media / "Wireless_PRO_receiver.WAV")
    assert result.facts == {
        "duration_ms": 5388,
        "media_format": "wav",
        "audio_codec": "pcm_f32le",
        "sample_rate_hz": 48_000,
        "channel_count": 1,
        "bits_per_sample": 32,
        "bitrate_kbps": 1536,
        "recorder_model": "RODE Wireless PRO",
        "captured_at": "2026-03-22T19:25:31",
        "timecode_start": "19:25:31:00",
    }
    assert max(result.waveform["peaks"]) == 1
    assert result.waveform["duration_ms"] == 5388
    (stream,) = ffprobe(result.proxy)["streams"]
    assert (stream["codec_name"], stream["sample_rate"], stream["channels"]) == ("aac", "48000", 1)
    assert float(stream["duration"]) == pytest.approx(5.388, abs=0.001)
    assert "quieter" in result.done("generate_proxy").warnings[0]


def test_an_mp3(real_media: Path, run: Run, ffprobe: Probe) -> None:
    """Stereo MP3 with a LAME header: copied, its delay not counted."""
    result = run(real_media / "sample1.mp3")
    facts = result.facts
    assert (facts["audio_codec"], facts["sample_rate_hz"], facts["channel_count"]) == (
        "mp3",
        44_100,
        2,
    )
    assert facts["duration_ms"] == 122_094
    probed = ffprobe(result.proxy)
    assert probed["format"]["format_name"] == "mp3"
    assert float(probed["format"]["duration"]) * 1000 == pytest.approx(122_094, abs=50)
    assert min(result.waveform["peaks"][10:900]) > 0.01
