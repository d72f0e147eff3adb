"""From EXIF to facts: units, signs, times; nonsense costs its own value and nothing else."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from retaia_tests.photos import Value, exif_block

from retaia_adapters.media.exif import ExifReading, parse_angle, parse_time, read_exif
from retaia_core.domain.facts import parse_facts

Pairs = list[tuple[int, int]]


def _gps(
    latitude: Pairs | None = None,
    ns: str = "N",
    longitude: Pairs | None = None,
    ew: str = "E",
    **more: Value,
) -> ExifReading:
    tags: dict[int, Value] = {0: b"\2\3\0\0", 1: ns, 3: ew}
    if latitude is not None:
        tags[2] = latitude
    if longitude is not None:
        tags[4] = longitude
    tags |= {{"altitude": 6, "below": 5}[name]: value for name, value in more.items()}
    return read_exif(exif_block(gps=tags))


class TestExposure:
    """Exposure values in seconds, f-numbers, millimetres."""

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_usual(self, order: str) -> None:
        """The tags of an ordinary photo, in both byte orders."""
        reading = read_exif(
            exif_block(
                {0x010F: "Canon", 0x0110: "Canon EOS R5", 0x0112: 8},
                {
                    0x829A: [(1, 4000)], 0x829D: [(71, 10)], 0x8827: 1000, 0x920A: [(500, 1)],
                    0xA434: "RF100-500mm F4.5-7.1 L IS USM",
                },
                order=order,
            )
        )  # fmt: skip
        assert reading.facts == {
            "camera_make": "Canon",
            "camera_model": "Canon EOS R5",
            "lens_model": "RF100-500mm F4.5-7.1 L IS USM",
            "exposure_time_s": 1 / 4000,
            "aperture_f_number": 7.1,
            "iso": 1000,
            "focal_length_mm": 500.0,
            "orientation": 8,
        }
        assert reading.warnings == ()

    def test_apex(self) -> None:
        """Shutter speed and aperture in APEX units stand in where the plain values are missing."""
        facts = read_exif(exif_block(exif={0x9201: [(7, 1)], 0x9202: [(4, 1)]})).facts
        assert facts == {"exposure_time_s": 1 / 128, "aperture_f_number": 4.0}

    def test_not_known(self) -> None:
        """What cameras write for "not known" is no value and no warning."""
        reading = read_exif(
            exif_block(
                {0x0112: 0, 0x0110: "   "},
                {
                    0x829A: [(0, 1)], 0x829D: [(0, 0)], 0x8827: 0, 0x920A: [(0, 0)],
                    0x9003: "0000:00:00 00:00:00", 0x9004: "    :  :     :  :  ",
                },
            )
        )  # fmt: skip
        assert reading.facts == {}
        assert reading.warnings == ()

    def test_high_iso(self) -> None:
        """A sensitivity beyond 16 bits is read from the tag that can hold it."""
        assert read_exif(exif_block(exif={0x8827: 65535, 0x8832: 102400})).facts["iso"] == 102400

    def test_texts(self) -> None:
        """Text ends at its NUL, may be Latin-1, and loses what cannot be printed."""
        for raw, expected in ((b"Pentax\0junk", "Pentax"), (b"Caf\xe9 \x01 X", "Café   X")):
            block = exif_block({0x010F: raw})
            assert read_exif(block).facts["camera_make"] == expected

    def test_bad_orientation(self) -> None:
        """An orientation that is not defined is dropped with a warning."""
        reading = read_exif(exif_block({0x0112: 9, 0x010F: "X"}))
        assert reading.orientation is None
        assert reading.facts == {"camera_make": "X"}
        assert "orientation left out: the file states 9" in reading.warnings[0]


class TestTime:
    """captured_at: the moment of the shot, with its offset where the camera states one."""

    @pytest.mark.parametrize(
        ("tags", "expected"),
        [
            ({0x9003: "2024:02:29 23:59:59"}, "2024-02-29T23:59:59"),
            ({0x9003: "2024:02:29 23:59:59", 0x9011: "+05:30"}, "2024-02-29T23:59:59+05:30"),
            (
                {0x9003: "2024:02:29 23:59:59", 0x9011: "Z", 0x9291: "007"},
                "2024-02-29T23:59:59.007Z",
            ),
            ({0x9003: "2024:02:29 23:59:59", 0x9011: "   :  "}, "2024-02-29T23:59:59"),
            ({0x9003: "2024:02:29 23:59:59", 0x9011: "+99:00"}, "2024-02-29T23:59:59"),
            ({0x9003: "2024:02:29 23:59:59", 0x9291: "12345678"}, "2024-02-29T23:59:59.123456"),
            ({0x9003: "2024:02:29 23:59:59", 0x9291: "  "}, "2024-02-29T23:59:59"),
            ({0x9004: "2001:01:01 00:00:01", 0x9012: "-08:00"}, "2001-01-01T00:00:01-08:00"),
            ({0x9003: "2024-02-29T23:59:59"}, "2024-02-29T23:59:59"),
        ],
    )
    def test_stated(self, tags: dict[int, Value], expected: str) -> None:
        """Each way that cameras state it; the result passes the table of facts."""
        reading = read_exif(exif_block(exif=tags))
        assert reading.facts["captured_at"] == expected
        assert reading.warnings == ()

    @pytest.mark.parametrize(
        "said", ["2024:13:01 00:00:00", "2023:02:29 10:00:00", "yesterday", "2024:01:01"]
    )
    def test_nonsense(self, said: str) -> None:
        """A time that does not exist is dropped with a warning that quotes it."""
        reading = read_exif(exif_block(exif={0x9003: said}))
        assert "captured_at" not in reading.facts
        assert said in reading.warnings[0]

    def test_edited_is_not_captured(self) -> None:
        """The time of the last edit is not when the picture was taken."""
        assert read_exif(exif_block({0x0132: "2024:01:01 00:00:00"})).facts == {}

    @given(st.text(max_size=30), st.text(max_size=8), st.text(max_size=8))
    def test_any_text(self, said: str, offset: str, fraction: str) -> None:
        """Any text gives nothing, or a time that the table of facts accepts."""
        time = parse_time(said, offset, fraction)
        if time is not None:
            assert parse_facts({"captured_at": time})

    @given(st.datetimes(), st.sampled_from(["", "Z", "+02:00", "-11:30"]))
    def test_round_trip(self, moment: object, offset: str) -> None:
        """Every moment comes back as it was written."""
        said = f"{moment:%Y:%m:%d %H:%M:%S}".rjust(19, "0")
        assert parse_time(said, offset) == f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + offset


class TestPosition:
    """Positions with the right signs, or none at all."""

    @pytest.mark.parametrize(
        ("ns", "ew", "latitude", "longitude"),
        [
            ("N", "E", 41.5, 96.25),
            ("S", "E", -41.5, 96.25),
            ("N", "W", 41.5, -96.25),
            ("S", "W", -41.5, -96.25),
        ],
    )
    def test_quarters_of_the_earth(
        self, ns: str, ew: str, latitude: float, longitude: float
    ) -> None:
        """North and east are positive."""
        pairs = [(41, 1), (30, 1), (0, 1)], [(96, 1), (15, 1), (0, 1)]
        facts = _gps(pairs[0], ns, pairs[1], ew).facts
        assert (facts["gps_latitude"], facts["gps_longitude"]) == (latitude, longitude)

    def test_altitude(self) -> None:
        """Above sea level is positive, below it negative."""
        for below, expected in ((b"\0", 430.5), (b"\1", -430.5)):
            assert _gps(altitude=[(861, 2)], below=below).facts == {"gps_altitude_m": expected}

    @pytest.mark.parametrize(
        ("latitude", "ns", "said"),
        [
            ([(91, 1), (0, 1), (0, 1)], "N", "91 0 0 N"),
            ([(90, 1), (1, 1), (0, 1)], "N", "90 1 0 N"),
            ([(41, 1), (60, 1), (0, 1)], "N", "41 60 0 N"),
            ([(41, 1), (0, 1), (61, 1)], "N", "41 0 61 N"),
            ([(41, 1), (0, 0), (0, 1)], "N", "41 nan 0 N"),
            ([(41, 1), (0, 1), (0, 1)], "E", "41 0 0 E"),
            ([(41, 1), (0, 1), (0, 1)], "", "no direction"),
        ],
    )
    def test_nonsense(self, latitude: Pairs, ns: str, said: str) -> None:
        """Nonsense is refused with a warning that quotes it; the altitude stays."""
        reading = _gps(latitude, ns, [(96, 1), (0, 1), (0, 1)], altitude=[(5, 1)])
        assert reading.facts == {"gps_altitude_m": 5.0}
        assert said in reading.warnings[0]

    def test_empty_position(self) -> None:
        """A receiver without a fix writes 0/0: no position and no warning."""
        nothing = [(0, 0)] * 3
        reading = _gps(nothing, "N", nothing, "E", altitude=[(0, 0)])
        assert reading.facts == {}
        assert reading.warnings == ()

    def test_one_angle(self) -> None:
        """Half a position is none."""
        reading = _gps([(41, 1), (0, 1), (0, 1)])
        assert reading.facts == {}
        assert "only one of its two angles" in reading.warnings[0]

    @given(st.floats(0, 180), st.sampled_from("EW"))
    def test_round_trip(self, degrees: float, ref: str) -> None:
        """Degrees, minutes and seconds come back within a centimetre or so."""
        whole = int(degrees)
        minutes = int((degrees - whole) * 60)
        seconds = max(0.0, ((degrees - whole) * 60 - minutes) * 60)
        found = parse_angle((whole, minutes, seconds), ref, refs="EW", limit=180)
        assert found is not None
        assert math.isclose(found, degrees if ref == "E" else -degrees, abs_tol=2e-7)

    @given(
        st.lists(st.floats() | st.integers(-(2**32), 2**32), max_size=5),
        st.text(max_size=3),
    )
    def test_any_numbers(self, numbers: list[float], ref: str) -> None:
        """Any numbers give nothing, or a latitude that the table of facts accepts."""
        found = parse_angle(numbers, ref, refs="NS", limit=90)
        if found is not None:
            assert parse_facts({"gps_latitude": found})


_SAMPLE = exif_block(
    {0x010F: "Maker of cameras", 0x0112: 6},
    {0x829A: [(1, 250)], 0x9003: "2024:02:29 23:59:59", 0x8827: 400},
    {1: "N", 2: [(41, 1), (0, 1), (0, 1)], 3: "W", 4: [(96, 1), (0, 1), (0, 1)]},
)


class TestDamage:
    """Damaged metadata is told and survived."""

    def test_loop(self) -> None:
        """A directory that links to itself is read once."""
        block = bytearray(exif_block({0x010F: "Maker"}))
        (first,) = struct.unpack_from("<I", block, 10)
        struct.pack_into("<HHII", block, 6 + first + 2, 0x8769, 4, 1, first)
        reading = read_exif(bytes(block))
        assert reading.warnings == ("damaged metadata: the Exif directory is linked twice",)

    def test_many_problems_are_summed_up(self) -> None:
        """A block full of damage gives one warning of bounded length."""
        rows = b"".join(struct.pack("<HHII", tag, 99, 1, 0) for tag in range(200))
        block = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 200) + rows + bytes(4)
        (warning,) = read_exif(block).warnings
        assert warning.endswith("and 197 more")
        assert len(warning) < 300

    @given(
        st.integers(0, len(_SAMPLE) - 1),
        st.binary(min_size=1, max_size=12),
        st.integers(0, len(_SAMPLE)),
    )
    def test_any_damage(self, at: int, patch: bytes, keep: int) -> None:
        """Whatever happens to a block, what is stated passes the table of facts."""
        content = bytearray(_SAMPLE)
        content[at : at + len(patch)] = patch
        facts = read_exif(bytes(content[:keep])).facts
        assert parse_facts(dict(facts)) == facts

    @given(st.binary(max_size=300), st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b""]))
    def test_any_bytes(self, content: bytes, prefix: bytes) -> None:
        """No bytes upset the reader."""
        facts = read_exif(prefix + content).facts
        assert parse_facts(dict(facts)) == facts
