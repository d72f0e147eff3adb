"""A source that already is its proxy is copied (the issue's *Media work*)."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from retaia_tests.video_sources import Clip, Sound, write_clip

JOB = "generate_proxy"
FIT = {"preset": "ultrafast", "g": "12", "profile": "baseline"}


def payload(path: Path, kind: str) -> list[bytes]:
    """The packets of a file's picture or sound."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(**{kind: 0}) if packet.size]


def copied(result: Any, source: Path) -> bool:
    """Whether the proxy has the very packets of the source."""
    return payload(result.proxy, "video") == payload(source, "video")


class TestCopied:
    @pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
    def test_a_fitting_source_is_copied_packet_by_packet(self, suffix, tmp_path, run, ffprobe):
        """The packets are the same, the container is a proxy's, and a warning says so."""
        source = write_clip(tmp_path / f"a.{suffix}", Clip(options=FIT, sounds=[Sound()]))
        result = run(source, JOB, "generate_audio_waveform", "generate_thumbnails")
        assert copied(result, source)
        assert payload(result.proxy, "audio") == payload(source, "audio")
        assert any("copied" in text for text in result.done(JOB).warnings)
        head = result.proxy.read_bytes()
        assert 0 < head.index(b"moov") < head.index(b"mdat")
        found = ffprobe(result.proxy)
        assert {s["codec_name"] for s in found["streams"]} == {"h264", "aac"}
        assert float(found["format"]["duration"]) == pytest.approx(1.0, abs=0.05)
        assert {"proxy.mp4"} < result.left

    def test_a_proxy_is_its_own_proxy(self, tmp_path, run):
        """What the encoder makes passes as a proxy."""
        clip = Clip(codec="mpeg4", options={}, seconds=3, sounds=[Sound(seconds=3)])
        proxy = run(write_clip(tmp_path / "a.mp4", clip), JOB).proxy
        assert copied(run(proxy, JOB), proxy)


class TestEncoded:
    @pytest.mark.parametrize(
        "clip",
        [
            Clip(options=FIT, size=(1920, 1080), seconds=0.2),
            Clip(options={"preset": "ultrafast"}, pixel_format="yuv444p"),
            Clip(options=FIT, turn=(90, False)),
            Clip(options=FIT, aspect=Fraction(4, 3)),
            Clip(options=FIT, times=[0, 0.04, 0.08, 0.3, 0.34, 0.38]),
            Clip(options={"preset": "ultrafast", "g": "250"}, seconds=3),
            Clip(options={"preset": "ultrafast", "x264-params": "tff=1"}, size=(160, 96)),
            Clip(options=FIT, sounds=[Sound(codec="ac3")]),
            Clip(options=FIT, sounds=[Sound(rate=32_000)]),
            Clip(options=FIT, start=0.5, sounds=[Sound(seconds=1.5)]),
            Clip(codec="mpeg4", options={}),
        ],
        ids=[
            "too large",
            "colours not halved",
            "turned",
            "anamorphic",
            "variable rate",
            "key frames far apart",
            "interlaced",
            "other sound",
            "other rate",
            "other start",
            "other codec",
        ],
    )
    def test_what_does_not_fit_is_encoded(self, clip, tmp_path, run, ffprobe):
        """Each rule of the proxy, when broken by the source, has it encoded."""
        source = write_clip(tmp_path / "a.mp4", clip)
        result = run(source, JOB)
        assert not copied(result, source)
        video = ffprobe(result.proxy)["streams"][0]
        assert (video["codec_name"], video["pix_fmt"]) == ("h264", "yuv420p")
        assert result.left == {"proxy.mp4"}

    def test_a_transport_stream_is_encoded(self, tmp_path, run):
        """Its packets are not stored as MP4 stores them."""
        source = write_clip(tmp_path / "a.ts", Clip(options=FIT))
        assert not copied(run(source, JOB), source)
