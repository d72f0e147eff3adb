"""The chunks of recorder files: what they note, and how their sizes lie."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from retaia_tests.sound import bext, chunk, ixml, pcm, tone, wav_bytes, write_wav

from retaia_adapters.media.wav_chunks import TimecodeRate, WavFile, read_wav, timecode

STAMP = {
    "TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI": "0",
    "TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO": str(48_000 * 3600),
    "TIMESTAMP_SAMPLE_RATE": "48000",
}


def read(path: Path, content: bytes) -> WavFile:
    """Read a file that is a WAV."""
    path.write_bytes(content)
    wav = read_wav(path)
    assert wav is not None
    return wav


class TestNotes:
    """bext, iXML, cue and fact."""

    def test_bext_tells_recorder_and_time(self, tmp_path: Path) -> None:
        """Originator, date and time of the broadcast extension."""
        note = bext(
            originator="MixPre-6", date="2026-03-22", time="19:25:31", time_reference=48_000
        )
        wav = read(tmp_path / "a.wav", wav_bytes(tone(0.1), before=[note]))
        assert wav.bext is not None
        assert wav.bext.originator == "MixPre-6"
        assert wav.captured_at == "2026-03-22T19:25:31"
        assert wav.timecode_start == "00:00:01:00"

    def test_notes_may_come_after_the_sound(self, tmp_path: Path) -> None:
        """Chunks behind an odd data chunk are found."""
        content = wav_bytes(
            tone(0.1001, channels=1), sample_format="u8", after=[bext(originator="X")]
        )
        wav = read(tmp_path / "a.wav", content)
        assert wav.bext is not None
        assert wav.bext.originator == "X"

    @pytest.mark.parametrize(
        ("rate", "flag", "expected"),
        [
            ("25/1", "NDF", "01:00:00:00"),
            ("24000/1001", "NDF", "00:59:56:09"),
            ("30000/1001", "DF", "01:00:00;00"),
            ("30000/1001", "NDF", "00:59:56:12"),
        ],
    )
    def test_ixml_tells_the_timecode(
        self, tmp_path: Path, rate: str, flag: str, expected: str
    ) -> None:
        """An hour after midnight in the labels of each frame rate."""
        note = ixml(TIMECODE_RATE=rate, TIMECODE_FLAG=flag, **STAMP)
        wav = read(tmp_path / "a.wav", wav_bytes(tone(0.1), before=[note]))
        assert wav.timecode_start == expected

    def test_a_description_tells_the_rate_too(self, tmp_path: Path) -> None:
        """Recorders without iXML note ``SPEED=`` in the description."""
        note = bext(description="sSPEED=029.970-DF\r\n", time_reference=48_000 * 3600)
        wav = read(tmp_path / "a.wav", wav_bytes(tone(0.1), before=[note]))
        assert wav.speed == TimecodeRate(rate=Fraction(30_000, 1001), drop=True)
        assert wav.timecode_start == "01:00:00;00"

    def test_no_frame_is_made_up(self, tmp_path: Path) -> None:
        """Without a frame rate only a whole second is a timecode."""
        note = bext(time_reference=48_000 * 10 + 24_000)
        assert read(tmp_path / "a.wav", wav_bytes(tone(0.1), before=[note])).timecode_start is None

    @pytest.mark.parametrize(
        "body",
        [
            b"<BWFXML><SPEED>",
            b"\xff\xfe\x00",
            b'<!DOCTYPE a [<!ENTITY b "c">]><BWFXML>&b;</BWFXML>',
            b"",
        ],
    )
    def test_damaged_ixml_says_nothing(self, tmp_path: Path, body: bytes) -> None:
        """What cannot be parsed, or would expand entities, is left alone."""
        wav = read(tmp_path / "a.wav", wav_bytes(tone(0.1), before=[chunk(b"iXML", body)]))
        assert wav.speed is None

    def test_cue_points_and_fact(self, tmp_path: Path) -> None:
        """Cue points in samples, and the number of samples that ``fact`` states."""
        points = struct.pack("<I", 2) + b"".join(
            struct.pack("<II4sIII", n, 0, b"data", 0, 0, at) for n, at in ((1, 480), (2, 960))
        )
        notes = [chunk(b"fact", struct.pack("<I", 4800)), chunk(b"cue ", points)]
        wav = read(tmp_path / "a.wav", wav_bytes(tone(0.1), before=notes))
        assert wav.cues == (480, 960)
        assert wav.fact_samples == 4800


class TestSizes:
    """How much sound there really is."""

    def test_whole(self, tmp_path: Path) -> None:
        """A file that is what it says."""
        wav = read(tmp_path / "a.wav", wav_bytes(tone(0.5)))
        assert (wav.blocks, wav.cut, wav.loose_bytes) == (24_000, False, 0)

    def test_cut(self, tmp_path: Path) -> None:
        """One sample less than stated is cut; half a sample less is not."""
        content = wav_bytes(tone(0.5))
        assert read(tmp_path / "a.wav", content[:-4]).cut
        assert not read(tmp_path / "b.wav", wav_bytes(tone(0.5), data_size=24_000 * 4 + 2)).cut

    @pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000, 0x80000000])
    def test_a_placeholder_means_all_that_is_there(self, tmp_path: Path, size: int) -> None:
        """A recorder that lost its power leaves a placeholder."""
        wav = read(tmp_path / "a.wav", wav_bytes(tone(0.5), data_size=size, riff_size=size))
        assert (wav.data_stated, wav.blocks, wav.cut) == (None, 24_000, False)

    def test_an_empty_data_chunk_before_others_is_empty(self, tmp_path: Path) -> None:
        """A size of zero that is true is no placeholder."""
        content = wav_bytes(tone(0), after=[chunk(b"LIST", b"INFO")])
        assert read(tmp_path / "a.wav", content).blocks == 0

    @pytest.mark.parametrize("form", [b"RF64", b"BW64"])
    def test_wide_sizes(self, tmp_path: Path, form: bytes) -> None:
        """RF64 and BW64 keep the size in ``ds64``."""
        samples = tone(0.5)
        size = len(pcm(samples, "s16"))
        ds64 = chunk(b"ds64", struct.pack("<QQQI", size + 100, size, size // 4, 0))
        body = wav_bytes(samples, data_size=0xFFFFFFFF)
        content = form + b"\xff" * 4 + b"WAVE" + ds64 + body[12:]
        wav = read(tmp_path / "a.wav", content)
        assert (wav.form, wav.data_stated, wav.blocks) == (form.decode(), size, 24_000)
        assert read(tmp_path / "b.wav", content[:-400]).cut

    @given(st.binary(max_size=300))
    def test_any_bytes_are_read_or_refused(
        self, tmp_path_factory: pytest.TempPathFactory, noise: bytes
    ) -> None:
        """Garbage behind a header raises nothing."""
        path = tmp_path_factory.mktemp("noise") / "a.wav"
        path.write_bytes(b"RIFF\0\0\0\0WAVE" + noise)
        wav = read_wav(path)
        assert wav is None or wav.blocks >= 0

    def test_another_file_is_none(self, tmp_path: Path) -> None:
        """What does not begin like a WAV is not one."""
        path = tmp_path / "a.wav"
        path.write_bytes(b"\xff\xd8\xff")
        assert read_wav(path) is None


class TestTimecode:
    """Labels from the clock."""

    @given(
        hours=st.integers(0, 23),
        minutes=st.integers(0, 59),
        seconds=st.integers(0, 59),
        frame=st.integers(0, 29),
    )
    def test_drop_frame_labels_are_those_of_the_standard(
        self, hours: int, minutes: int, seconds: int, frame: int
    ) -> None:
        """Two labels are passed over each minute, but not each tenth (SMPTE ST 12-1)."""
        if seconds == 0 and frame < 2 and minutes % 10:
            return
        labels = ((hours * 60 + minutes) * 60 + seconds) * 30 + frame
        whole_minutes = hours * 60 + minutes
        frames = labels - 2 * (whole_minutes - whole_minutes // 10)
        speed = TimecodeRate(rate=Fraction(30_000, 1001), drop=True)
        stamp = Fraction(frames * 1001, 30_000)
        samples = Fraction(int(stamp * 48_000), 48_000)
        said = timecode(samples, speed, tolerance=Fraction(1, 48_000))
        assert said == f"{hours:02}:{minutes:02}:{seconds:02};{frame:02}"


def test_write_wav_makes_what_it_says(tmp_path: Path) -> None:
    """The maker of these files is right about 24-bit."""
    path = write_wav(tmp_path / "a.wav", tone(0.1), sample_format="s24")
    wav = read_wav(path)
    assert wav is not None
    assert (wav.format.bits, wav.format.block_bytes, wav.blocks) == (24, 6, 4800)
