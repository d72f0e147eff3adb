"""Waveforms: exact buckets, any frames, any format (domain.md, *Derived files*)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from av.audio.resampler import AudioResampler
from hypothesis import given
from hypothesis import strategies as st
from retaia_tests.sound import Samples, frame, frames, silence, tone

from retaia_adapters.media.waveform import PeakAccumulator
from retaia_core.domain.derived import DERIVED_KINDS, Sample, check_content

RATE = 48_000


def made(
    samples: Samples,
    *,
    rate: int = RATE,
    sizes: Sequence[int] = (1024,),
    buckets: int = 1000,
    capacity: int = 1 << 22,
    sample_format: str = "fltp",
    layout: str = "mono",
) -> bytes:
    """The document of samples that are cut into frames."""
    peaks = PeakAccumulator(sample_rate=rate, channels=len(samples), capacity=capacity)
    for one in frames(samples, rate=rate, sizes=sizes, layout=layout, sample_format=sample_format):
        peaks.feed(one)
    duration_ms = round(samples.shape[1] * 1000 / rate)
    return peaks.finish(duration_ms=duration_ms, bucket_count=buckets)


def by_hand(samples: Samples, duration_ms: int, rate: int, buckets: int) -> list[float]:
    """The rule of the document in the slowest and plainest way."""
    loudness = np.abs(samples).max(axis=0)
    whole = -(-duration_ms * rate // 1000)
    loudness = np.append(loudness, np.zeros(max(0, whole - len(loudness))))
    peaks: list[float | None] = [None] * buckets
    for at, value in enumerate(loudness):
        bucket = Fraction(at, rate) * buckets / Fraction(duration_ms, 1000)
        index = min(int(bucket), buckets - 1)
        peaks[index] = max(peaks[index] or 0.0, float(value))
    held = 0.0
    for index, peak in enumerate(peaks):
        if peak is None:
            at = int(Fraction(index * duration_ms * rate, buckets * 1000))
            held = float(loudness[at])
        peaks[index] = held if peak is None else peak
    top = max(1.0, *(p for p in peaks if p is not None))
    return [round(p / top, 5) for p in peaks if p is not None]


class TestBuckets:
    """A bucket is the largest absolute sample of its share of the duration."""

    @given(
        milliseconds=st.integers(1, 400),
        rate=st.sampled_from([8_000, 11_025, 44_100, 48_000]),
        buckets=st.integers(100, 1200),
        seed=st.integers(0, 2**16),
    )
    def test_equals_the_rule_done_by_hand(
        self, milliseconds: int, rate: int, buckets: int, seed: int
    ) -> None:
        """Each bucket is what one gets by looking at every sample's time."""
        count = max(1, milliseconds * rate // 1000)
        samples = np.random.default_rng(seed).uniform(-1, 1, (1, count)).astype(np.float32)
        document = json.loads(made(samples, rate=rate, buckets=buckets))
        duration_ms = round(count * 1000 / rate)
        if duration_ms:
            assert document["peaks"] == by_hand(samples, duration_ms, rate, buckets)

    @given(
        sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=6),
        capacity=st.sampled_from([64, 1000, 1 << 22]),
        rate=st.sampled_from([RATE, 44_100, 96_000]),
        seed=st.integers(0, 2**16),
    )
    def test_does_not_depend_on_how_the_sound_is_cut(
        self, sizes: list[int], capacity: int, rate: int, seed: int
    ) -> None:
        """Any sizes of frames give the same bytes, at the own rate or another one."""
        samples = np.random.default_rng(seed).uniform(-1, 1, (2, 20_000))

        def document(cut: Sequence[int]) -> bytes:
            peaks = PeakAccumulator(sample_rate=RATE, channels=2, capacity=capacity)
            for one in frames(samples, rate=rate, sizes=cut):
                peaks.feed(one)
            return peaks.finish(duration_ms=20_000 * 1000 // rate)

        assert document(sizes) == document([len(samples[0])])

    @given(at=st.integers(0, 999), capacity=st.sampled_from([2048, 4096, 1 << 22]))
    def test_a_click_is_in_its_bucket_when_memory_is_short(self, at: int, capacity: int) -> None:
        """Merged blocks keep a click in the middle of a bucket in that bucket alone."""
        samples = silence(10, channels=1)
        samples[0, at * 480 + 240] = 0.75
        peaks = json.loads(made(samples, capacity=capacity))["peaks"]
        assert [index for index, peak in enumerate(peaks) if peak] == [at]

    def test_memory_is_bounded(self) -> None:
        """Ten times more sound than blocks costs no more blocks, and no peak is lost."""
        peaks = PeakAccumulator(sample_rate=RATE, channels=1, capacity=4096)
        for second in range(200):
            part = tone(0.2, channels=1, level=0.5)
            peaks.feed(frame(part, RATE, "mono", "fltp", second * part.shape[1], 0))
        assert peaks._blocks.size == 4096
        assert peaks.peaks(duration_ms=40_000).min() == pytest.approx(0.5, abs=0.01)

    def test_is_a_waveform_to_the_domain(self) -> None:
        """The document passes the check of its kind."""
        (kind,) = (kind for kind in DERIVED_KINDS if kind.name == "waveform")
        content = made(tone(1, channels=1))
        sample = Sample(head=content[:4096], size_bytes=len(content), content=content)
        check_content(kind, "application/json", sample)

    def test_refuses_fewer_than_a_hundred_buckets(self) -> None:
        """99 buckets are a caller's mistake."""
        with pytest.raises(ValueError, match="bucket_count must be 100"):
            PeakAccumulator(sample_rate=RATE, channels=1).finish(duration_ms=1, bucket_count=99)


class TestFormats:
    """Every sample format that a decoder gives reads the same."""

    @pytest.mark.parametrize("planar", ["", "p"])
    @pytest.mark.parametrize("packed", ["u8", "s16", "s32", "flt", "dbl"])
    def test_reads_every_format(self, packed: str, planar: str) -> None:
        """The loudest channel counts, whatever the numbers are stored as."""
        samples = np.concatenate([tone(0.5, channels=1, level=0.25), tone(0.5, channels=1)])
        document = json.loads(made(samples, sample_format=packed + planar, layout="stereo"))
        assert max(document["peaks"]) == pytest.approx(0.5, abs=0.01)

    def test_full_negative_scale_is_one(self) -> None:
        """-32768 of 16-bit is full scale, and does not overflow."""
        samples = np.full((1, 4800), -1.0)
        assert set(json.loads(made(samples, sample_format="s16"))["peaks"]) == {1.0}

    def test_a_float_recording_above_full_scale_keeps_its_shape(self) -> None:
        """Peaks are divided by the largest, so that half as loud reads half as high."""
        samples = np.concatenate(
            [tone(0.5, channels=1, level=4), tone(0.5, channels=1, level=2)], 1
        )
        peaks = json.loads(made(samples))["peaks"]
        assert max(peaks) == 1.0
        assert max(peaks[500:]) == pytest.approx(0.5, abs=0.01)

    def test_a_quiet_recording_stays_quiet(self) -> None:
        """What is below full scale is not made louder."""
        assert max(json.loads(made(tone(1, channels=1, level=0.01)))["peaks"]) < 0.011

    def test_samples_that_are_no_number_are_silent(self) -> None:
        """NaN and infinity do not spoil the rest."""
        samples = tone(1, channels=1)
        samples[0, 100], samples[0, 200] = np.nan, np.inf
        assert max(json.loads(made(samples))["peaks"]) == pytest.approx(0.5, abs=0.01)

    def test_many_planar_channels_are_all_heard(self) -> None:
        """The last of 16 channels counts."""
        samples = silence(0.2, channels=16)
        samples[15] = 0.5
        peaks = PeakAccumulator(sample_rate=RATE, channels=16)
        packed = frame(samples, RATE, "16 channels", "flt", 0, 0)
        for one in AudioResampler(format="fltp").resample(packed):
            peaks.feed(one)
        assert peaks.peak == pytest.approx(0.5)


class TestTime:
    """What was recorded at a time is drawn at that time."""

    def test_gaps_read_as_silence(self) -> None:
        """Timestamps that leap leave a hole where they leapt."""
        peaks = PeakAccumulator(sample_rate=RATE, channels=1)
        part = tone(1, channels=1)
        peaks.feed(frame(part, RATE, "mono", "fltp", 0, 0))
        peaks.feed(frame(part, RATE, "mono", "fltp", 3 * RATE, 0))
        shape = peaks.peaks(duration_ms=4000, bucket_count=400)
        assert shape[:100].min() > 0.4
        assert shape[100:300].max() == 0
        assert shape[300:].min() > 0.4

    def test_rounded_timestamps_tear_no_holes(self) -> None:
        """A time base of milliseconds is too coarse to be believed frame by frame."""
        peaks = PeakAccumulator(sample_rate=RATE, channels=1)
        for at, one in enumerate(frames(np.full((1, RATE), 0.5), layout="mono", sizes=(1000,))):
            one.time_base, one.pts = Fraction(1, 1000), at * 1000 * 1000 // RATE
            peaks.feed(one)
        assert peaks.peaks(duration_ms=1000, bucket_count=1000).min() == 0.5

    def test_a_later_origin_shifts_and_leaves_out(self) -> None:
        """Sound before the origin is not drawn."""
        peaks = PeakAccumulator(sample_rate=RATE, channels=1, origin_s=1.0)
        sound = np.concatenate([tone(1.5, channels=1), silence(0.5, channels=1)], 1)
        for one in frames(sound, layout="mono"):
            peaks.feed(one)
        shape = peaks.peaks(duration_ms=1000, bucket_count=100)
        assert shape[:50].min() > 0.4
        assert shape[51:].max() == 0

    @pytest.mark.parametrize(("first", "second"), [(44_100, 48_000), (48_000, 16_000)])
    def test_the_rate_may_change_in_the_middle(self, first: int, second: int) -> None:
        """A second at one rate and a second at another are half of the drawing each."""
        peaks = PeakAccumulator(sample_rate=first, channels=1)
        for one in frames(tone(1, rate=first, channels=1, level=0.25), rate=first, layout="mono"):
            peaks.feed(one)
        louder = tone(1, rate=second, channels=1, level=0.75)
        for one in frames(louder, rate=second, layout="mono", start=None):
            peaks.feed(one)
        shape = peaks.peaks(duration_ms=2000, bucket_count=100)
        assert shape[:50] == pytest.approx(0.25, abs=0.01)
        assert shape[50:] == pytest.approx(0.75, abs=0.05)
