"""The closed table of technical facts (domain.md, *Jobs*)."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.facts import FACTS, Facts, minimum_facts, missing_facts, parse_facts
from retaia_core.domain.media import MediaType
from retaia_core.errors import ValidationFailed
from retaia_core.testing import strategies

FURTHER = [
    "captured_at",
    "timecode_start",
    "rotation_deg",
    "orientation",
    "bitrate_kbps",
    "sample_rate_hz",
    "channel_count",
    "bits_per_sample",
    "pixel_format",
    "color_space",
    "color_transfer",
    "color_primaries",
    "color_range",
    "camera_make",
    "camera_model",
    "lens_model",
    "recorder_model",
    "exposure_time_s",
    "aperture_f_number",
    "iso",
    "focal_length_mm",
    "gps_latitude",
    "gps_longitude",
    "gps_altitude_m",
]
"""The further facts that the document lists."""


class TestMinimumFacts:
    """*PHOTO: `media_format, width, height`. AUDIO: … VIDEO: …*."""

    @pytest.mark.parametrize(
        ("media_type", "names"),
        [
            (MediaType.PHOTO, "media_format width height"),
            (MediaType.AUDIO, "duration_ms media_format audio_codec"),
            (MediaType.VIDEO, "duration_ms media_format video_codec width height fps"),
        ],
    )
    def test_they_are_the_documents(self, media_type: MediaType, names: str) -> None:
        """Each media type must state exactly these."""
        assert set(minimum_facts(media_type)) == set(names.split())

    @given(strategies.facts(), st.sampled_from(MediaType))
    def test_what_is_missing_is_named(self, facts: Facts, media_type: MediaType) -> None:
        """The missing ones and the stated ones make the minimum."""
        missing = set(missing_facts(facts, media_type))
        assert missing == set(minimum_facts(media_type)) - set(facts)

    def test_the_table_is_closed(self) -> None:
        """Minimum and further facts together are the whole table."""
        minimum = {name for media_type in MediaType for name in minimum_facts(media_type)}
        assert set(FACTS) == minimum | set(FURTHER)


class TestParsing:
    """*A job may write only its own domain; anything else is `VALIDATION_FAILED`.*."""

    @given(strategies.facts())
    def test_valid_facts_are_kept(self, facts: Facts) -> None:
        """Parsing is the identity on facts, also after a round trip through JSON."""
        assert parse_facts(facts) == facts
        assert parse_facts(json.loads(json.dumps(facts))) == facts

    @given(strategies.facts())
    def test_whole_numbers_become_the_tables_type(self, facts: Facts) -> None:
        """A number fact is a float, a whole-number fact an int, a text fact a text."""
        for name, value in parse_facts(facts).items():
            assert type(value) is FACTS[name].type
        assert parse_facts({"fps": 25}) == {"fps": 25.0}

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("width", 0),
            ("width", -1),
            ("width", 1.0),
            ("width", "1"),
            ("width", True),
            ("width", None),
            ("duration_ms", -1),
            ("duration_ms", 10**400),
            ("iso", 2**63),
            ("fps", float("nan")),
            ("fps", float("inf")),
            ("fps", 10**400),
            ("fps", "25"),
            ("rotation_deg", 360),
            ("orientation", 0),
            ("orientation", 9),
            ("gps_latitude", 90.001),
            ("gps_longitude", -180.001),
            ("media_format", ""),
            ("media_format", "a\nb"),
            ("media_format", "a\0b"),
            ("media_format", "\ud800"),
            ("media_format", "x" * 1001),
            ("media_format", ["mp4"]),
            ("captured_at", "2024"),
            ("captured_at", "2024-01-01 00:00:00"),
            ("captured_at", "2024-01-01T00:00:00Z\n"),
            ("captured_at", "٢٠٢٤-01-01T00:00:00Z"),
            ("timecode_start", "1:00:00:00"),
            ("unknown", 1),
        ],
        ids=lambda value: ascii(value)[:30],
    )
    def test_anything_else_is_refused_by_name(self, name: str, value: object) -> None:
        """Another type, a value out of range, or an unknown name; good facts beside it change nothing."""
        with pytest.raises(ValidationFailed) as caught:
            parse_facts({"height": 1080, name: value})
        fields = caught.value.details["fields"]
        assert isinstance(fields, dict)
        assert list(fields) == [name]

    @given(st.dictionaries(st.sampled_from(sorted(FACTS)), strategies.json_values(), max_size=4))
    def test_any_data_is_accepted_or_refused(self, raw: dict[str, object]) -> None:
        """Nothing but a refusal comes of odd data, and what is accepted is accepted again."""
        try:
            facts = parse_facts(raw)
        except ValidationFailed:
            return
        assert parse_facts(facts) == facts

    @pytest.mark.parametrize(
        "text",
        ["2024-05-06T07:08:09", "2024-05-06T07:08:09Z", "2024-05-06T07:08:09.123456+02:00"],
    )
    def test_capture_times_read_as_times(self, text: str) -> None:
        """With and without an offset; the form is ISO 8601."""
        assert parse_facts({"captured_at": text}) == {"captured_at": text}
        assert datetime.fromisoformat(text).year == 2024
