"""Encoding on one time line: gaps, overlaps, rates, channels (domain.md, *Derived files*)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from retaia_tests.sound import Samples, frame, frames, silence, tone

from retaia_adapters.media.audio_encode import AacEncoder
from retaia_adapters.media.audio_rates import BROWSER_RATES

RATE = 48_000
Probe = Callable[..., dict[str, Any]]
PeakLevel = Callable[..., float]


def encoded(
    path: Path,
    sound: Iterable[av.AudioFrame],
    *,
    rate: int = RATE,
    channels: int = 2,
    **options: Any,
) -> Path:
    """Encode frames into an M4A."""
    with av.open(str(path), "w", format="ipod") as output:
        encoder = AacEncoder(output, source_rate=rate, source_channels=channels, **options)
        for one in sound:
            encoder.feed(one)
        encoder.finish()
    return path


def stream_of(ffprobe: Probe, path: Path) -> dict[str, Any]:
    """The one stream of a file."""
    (stream,) = ffprobe(path)["streams"]
    assert isinstance(stream, dict)
    return stream


class TestTimeLine:
    """What was recorded at a time is heard at that time."""

    def test_a_late_start_and_a_gap_are_silent(
        self, tmp_path: Path, ffprobe: Probe, peak_level: PeakLevel
    ) -> None:
        """Sound at 1 s and at 3 s after the origin is there, and nothing is in between."""
        part = tone(1)
        sound = [frame(part, RATE, "stereo", "fltp", at * RATE, 0) for at in (11, 13)]
        path = encoded(tmp_path / "gap.m4a", sound, origin_s=10.0)
        assert float(stream_of(ffprobe, path)["duration"]) == pytest.approx(4, abs=0.001)
        with av.open(str(path)) as container:
            heard = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
        loud = [np.abs(heard[int(at * RATE) :][:4800]).max() > 0.3 for at in (0.5, 1.5, 2.5, 3.5)]
        assert loud == [False, True, False, True]

    def test_what_lies_before_the_origin_is_cut_off(self, tmp_path: Path, ffprobe: Probe) -> None:
        """A track that begins half a second early loses that half."""
        path = encoded(tmp_path / "early.m4a", frames(tone(2)), origin_s=0.5)
        assert float(stream_of(ffprobe, path)["duration"]) == pytest.approx(1.5, abs=0.001)

    def test_an_overlap_is_heard_once(self, tmp_path: Path, ffprobe: Probe) -> None:
        """Timestamps that leap back do not make the sound longer."""
        sound = [*frames(tone(1)), *frames(tone(1), start=RATE // 2)]
        path = encoded(tmp_path / "overlap.m4a", sound)
        assert float(stream_of(ffprobe, path)["duration"]) == pytest.approx(1.5, abs=0.001)

    def test_what_comes_after_the_end_is_cut_off(self, tmp_path: Path, ffprobe: Probe) -> None:
        """``until_s`` is to the sample."""
        path = encoded(tmp_path / "end.m4a", frames(tone(2)), until_s=1.25)
        assert stream_of(ffprobe, path)["duration_ts"] == RATE * 5 // 4

    @pytest.mark.parametrize("other", [16_000, 44_100, 96_000])
    def test_the_rate_may_change_in_the_middle(
        self, tmp_path: Path, ffprobe: Probe, other: int
    ) -> None:
        """Two seconds at two rates stay two seconds, of the same pitch."""
        second = frames(tone(1, rate=other), rate=other, start=None)
        path = encoded(tmp_path / "rates.m4a", [*frames(tone(1)), *second])
        stream = stream_of(ffprobe, path)
        assert (stream["sample_rate"], stream["duration_ts"]) == ("48000", 2 * RATE)
        with av.open(str(path)) as container:
            heard = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
        for start in (0.3, 1.3):
            part = heard[int(start * RATE) :][: RATE // 2]
            assert np.abs(np.fft.rfft(part)).argmax() * 2 == 440


class TestFormat:
    """AAC-LC at a rate that is allowed, mono or stereo."""

    @pytest.mark.parametrize(
        ("rate", "kept", "expected"),
        [
            (44_100, False, 44_100),
            (96_000, False, 48_000),
            (88_200, False, 44_100),
            (32_000, False, 48_000),
            (22_050, True, 22_050),
            (192_000, True, 48_000),
        ],
    )
    def test_the_rate(
        self, tmp_path: Path, ffprobe: Probe, rate: int, kept: bool, expected: int
    ) -> None:
        """A rate that may be kept is kept; another becomes one of its family."""
        options = {"rates": BROWSER_RATES} if kept else {}
        sound = frames(tone(0.5, rate=rate), rate=rate)
        stream = stream_of(ffprobe, encoded(tmp_path / "rate.m4a", sound, rate=rate, **options))
        assert (stream["codec_name"], stream["profile"]) == ("aac", "LC")
        assert int(stream["sample_rate"]) == expected
        assert float(stream["duration"]) == pytest.approx(0.5, abs=0.001)

    @pytest.mark.parametrize(("channels", "layout"), [(1, "mono"), (2, "stereo")])
    def test_mono_and_stereo_are_kept(
        self, tmp_path: Path, ffprobe: Probe, channels: int, layout: str
    ) -> None:
        """No channel is made up and none is lost."""
        sound = frames(tone(0.5, channels=channels), layout=layout)
        stream = stream_of(ffprobe, encoded(tmp_path / "a.m4a", sound, channels=channels))
        assert stream["channels"] == channels

    @pytest.mark.parametrize(
        "layout", ["2.1", "quad", "5.1", "5.1(side)", "7.1", "7 channels", "16 channels"]
    )
    def test_every_channel_is_in_the_mix(self, tmp_path: Path, layout: str) -> None:
        """A recorder's tracks are all heard in stereo, the one called LFE among them."""
        channels = av.AudioLayout(layout).nb_channels
        for channel in range(channels):
            samples = silence(0.1, channels=channels)
            samples[channel] = tone(0.1, channels=1, level=0.9)[0]
            one = frame(samples, RATE, layout, "flt", 0, 0)
            path = encoded(tmp_path / "mix.m4a", [one], channels=channels)
            assert _loudest(path) > 0.02, f"channel {channel} of {layout}"

    def test_a_full_mix_does_not_clip(self, tmp_path: Path) -> None:
        """Six loud channels stay below full scale."""
        sound = [frame(tone(0.5, channels=6, level=1.0), RATE, "5.1", "flt", 0, 0)]
        assert _loudest(encoded(tmp_path / "mix.m4a", sound, channels=6)) < 1.1

    def test_gain_turns_a_float_recording_down(self, tmp_path: Path) -> None:
        """Four times full scale, a quarter as loud, is full scale."""
        sound = frames(tone(0.5, level=4))
        loudest = _loudest(encoded(tmp_path / "gain.m4a", sound, gain=0.25))
        assert loudest == pytest.approx(1, abs=0.1)


def _loudest(path: Path) -> float:
    with av.open(str(path)) as container:
        parts: list[Samples] = [f.to_ndarray() for f in container.decode(audio=0)]
    return float(max(np.abs(part).max() for part in parts))
