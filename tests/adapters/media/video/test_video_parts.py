"""Laws of the parts that decide without decoding: rates, structure, tags, colours."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from retaia_adapters.media import plugin
from retaia_adapters.media.av_facts import place_of, tag_facts
from retaia_adapters.media.cadence import STANDARD_RATES, ConstantRate, snap_rate
from retaia_adapters.media.frames import HLG, PQ, Size, Turn, fit, turn_of_matrix
from retaia_adapters.media.structure import Structure, structure_of
from retaia_adapters.media.tone import toned
from retaia_core.domain.facts import parse_facts
from retaia_core.ports.processor import Processor

rates = st.sampled_from(STANDARD_RATES) | st.fractions(1, 120, max_denominator=1001)


def laid(times: list[Fraction], rate: Fraction) -> list[tuple[int, int]]:
    """The slots of frames that come at these times, each a number of its own."""
    grid: ConstantRate[int] = ConstantRate(rate)
    slots = [slot for n, time in enumerate(times) for slot in grid.feed(n, time)]
    return [*slots, *grid.finish(times[-1] + 1 / rate)]


class TestConstantRate:
    @given(rate=rates, count=st.integers(1, 60), late=st.fractions(0, 3, max_denominator=90_000))
    def test_a_constant_source_is_kept_frame_by_frame(self, rate, count, late):
        """Frames at the rate itself, whatever their phase, are neither dropped nor repeated."""
        slots = laid([late + n / rate for n in range(count)], rate)
        frames = [frame for _, frame in slots]
        lead = len(frames) - count
        assert frames == [0] * lead + list(range(count))
        assert abs(lead - late * rate) <= Fraction(1, 2)

    @given(
        rate=rates,
        gaps=st.lists(
            st.fractions(Fraction(-1, 10), 2, max_denominator=1000), min_size=1, max_size=40
        ),
    )
    def test_slots_are_every_slot_in_order(self, rate, gaps):
        """Whatever comes, slots count up from 0 without a hole, and frames never go back."""
        times, now = [], Fraction(0)
        for gap in gaps:
            now += gap
            times.append(now)
        slots = laid(times, rate)
        assert [slot for slot, _ in slots] == list(range(len(slots)))
        frames = [frame for _, frame in slots]
        assert frames == sorted(frames)

    @given(rate=rates, jitter=st.lists(st.integers(-4, 4), min_size=2, max_size=50))
    def test_rounded_times_do_no_harm(self, rate, jitter):
        """Times off by less than half a frame change nothing."""
        times = [n / rate + Fraction(j, 10) / rate for n, j in enumerate(jitter)]
        grid: ConstantRate[int] = ConstantRate(rate)
        for n, time in enumerate(times):
            list(grid.feed(n, time - times[0]))
        assert grid.dropped <= len(times) // 2

    @given(st.fractions(Fraction(1, 1000), 5000))
    def test_a_snapped_rate_stays_within_reach(self, rate):
        """Snapping moves a usual rate by less than 0.01, and is done once."""
        snapped = snap_rate(rate)
        assert snap_rate(snapped) == snapped
        if 1 <= rate <= 1000:
            assert abs(snapped - rate) < Fraction(1, 100)


class TestGeometry:
    @given(st.integers(1, 9000), st.integers(1, 9000))
    def test_a_fit_is_even_within_the_box_and_never_larger(self, width, height):
        """Both sides are even, the box and the source are kept to, and so is the aspect."""
        size = fit(Size(width=width, height=height), long_side=1280, short_side=720)
        assert size.width % 2 == size.height % 2 == 0
        assert max(size.width, size.height) <= 1280
        assert min(size.width, size.height) <= 720
        assert size.width <= max(2, width)
        assert size.height <= max(2, height)
        scale = min(1, 1280 / max(width, height), 720 / min(width, height))
        assert abs(size.width - width * scale) <= 2
        assert abs(size.height - height * scale) <= 2

    @pytest.mark.parametrize("mirrored", [False, True])
    @pytest.mark.parametrize("quarters", range(4))
    def test_a_matrix_is_read_back(self, quarters, mirrored):
        """All eight turns are told apart."""
        turn = np.array([[1, 0], [0, 1]])
        for _ in range(quarters):
            turn = turn @ np.array([[0, 1], [-1, 0]])
        if mirrored:
            turn = np.array([[-1, 0], [0, 1]]) @ turn
        (a, b), (c, d) = (turn * 65536).tolist()
        matrix = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
        assert turn_of_matrix(matrix) == Turn(quarters=quarters, mirrored=mirrored)


class TestTone:
    @pytest.mark.parametrize("transfer", [PQ, HLG, 14])
    def test_grey_stays_grey_and_brighter_stays_brighter(self, transfer):
        """A ramp of grey has no colour, rises throughout, and ends at white."""
        ramp = np.repeat(np.linspace(0, 1, 200)[:, None], 3, axis=1)
        shown = toned(ramp, transfer)
        assert np.ptp(shown, axis=1).max() < 0.002
        assert (np.diff(shown[:, 1]) >= -1e-9).all()
        assert shown[0].max() < 0.01
        assert shown[-1].min() > 0.99

    @given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.sampled_from([PQ, HLG, 14]))
    def test_every_color_has_a_place(self, color, transfer):
        """Any signal maps to a signal of bt709."""
        shown = toned(np.array([color]), transfer)
        assert np.isfinite(shown).all()
        assert ((shown >= 0) & (shown <= 1)).all()


class TestStructure:
    @example(bytes.fromhex("01FFFFFFFFFFFFFF"))
    @given(st.binary(max_size=300))
    def test_anything_can_be_looked_at(self, content):
        """No bytes make it fail."""
        import tempfile
        from pathlib import Path

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a"
            for head in (b"", b"\0\0\0\x08ftyp", b"\x1a\x45\xdf\xa3", b"RIFF"):
                path.write_bytes(head + content)
                assert structure_of(path) in Structure


class TestTags:
    @given(
        st.dictionaries(
            st.sampled_from(["creation_time", "timecode", "location", "make", "date"]), st.text()
        )
    )
    def test_whatever_a_tag_says_the_facts_are_valid(self, tags):
        """Tags of any content give facts that the table takes, or none."""
        facts = tag_facts([tags])
        assert parse_facts(facts) == facts

    def test_a_place_that_is_none_is_left_out(self):
        """Zero north, zero east is what a receiver without a fix writes."""
        assert place_of("+00.0000+000.0000/") is None
        assert place_of("somewhere") is None
        assert place_of("-33.8568+151.2153/") == {
            "gps_latitude": -33.8568,
            "gps_longitude": 151.2153,
        }


class TestPlugin:
    def test_importing_it_loads_no_media_library(self):
        """Libraries are loaded in the worker."""
        code = (
            "import sys, retaia_adapters.media.plugin as p; p.MediaProcessor().availability();"
            "heavy = {'av', 'PIL', 'numpy', 'pillow_heif'} & set(sys.modules); assert not heavy, heavy"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

    def test_it_offers_one_processor(self):
        """The hook gives the processor, which is available here."""
        (processor,) = plugin.retaia_processors()
        offered: Processor = processor
        assert offered.availability().available
        assert "media.proxies.video@1" in offered.capabilities
        assert "generate_video_proxies" in offered.job_types
