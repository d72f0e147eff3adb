"""Damaged, lying and foreign files: refused or read with a warning, never half done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from retaia_tests.sound import bext, encode, tone, wav_bytes, write_wav

Run = Callable[..., Any]
Probe = Callable[..., dict[str, Any]]
SOUND = tone(4)


def refused(run: Run, source: Path) -> str:
    """The one code with which all tasks of a source fail, for good, leaving nothing behind."""
    result = run(source)
    assert result.left == set()
    assert not any(outcome.retryable for outcome in result.outcomes.values())
    (code,) = result.codes
    assert len(result.outcomes) == 4
    return str(code)


class TestTruncated:
    """What ends before its recording does never gives a proxy that looks whole."""

    @pytest.mark.parametrize("share", [0.05, 0.5, 0.98])
    @pytest.mark.parametrize(
        ("name", "codec", "container", "muxing"),
        [
            ("a.flac", "flac", "flac", {}),
            ("a.mp3", "libmp3lame", "mp3", {}),
            ("a.ogg", "libopus", "ogg", {}),
            ("a.aiff", "pcm_s16be", "aiff", {}),
            ("last.m4a", "aac", "ipod", {}),
            ("first.m4a", "aac", "ipod", {"movflags": "+faststart"}),
        ],
    )
    def test_is_refused(
        self,
        tmp_path: Path,
        run: Run,
        name: str,
        codec: str,
        container: str,
        muxing: dict[str, str],
        share: float,
    ) -> None:
        """Each format tells in its own way that something is missing."""
        source = encode(tmp_path / name, SOUND, codec=codec, container=container, muxing=muxing)
        content = source.read_bytes()
        source.write_bytes(content[: int(len(content) * share)])
        assert refused(run, source) == "SOURCE_TRUNCATED"

    def test_a_wav_that_states_more_than_it_has(self, tmp_path: Path, run: Run) -> None:
        """The header states bytes that the file has not."""
        source = tmp_path / "a.wav"
        source.write_bytes(wav_bytes(SOUND)[:-1000])
        assert refused(run, source) == "SOURCE_TRUNCATED"

    @pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
    def test_a_recorder_that_lost_its_power(
        self, tmp_path: Path, run: Run, ffprobe: Probe, size: int
    ) -> None:
        """A header that was never finished is no reason to lose a recording."""
        source = write_wav(tmp_path / "a.wav", SOUND, data_size=size, riff_size=size)
        result = run(source)
        assert result.facts["duration_ms"] == 4000
        assert "never finished" in result.warnings[0]
        assert float(ffprobe(result.proxy)["format"]["duration"]) == pytest.approx(4, abs=0.01)
        assert min(result.waveform["peaks"]) > 0.4


class TestDamaged:
    """Damage in a recording costs what is damaged."""

    def test_a_broken_last_packet(self, tmp_path: Path, run: Run, ffprobe: Probe) -> None:
        """A stream that ends within a frame loses that frame, and says so."""
        source = encode(tmp_path / "a.aac", SOUND, codec="aac", container="adts")
        source.write_bytes(source.read_bytes()[:-60])
        result = run(source)
        assert "broken frames" in result.warnings[0]
        duration = result.facts["duration_ms"]
        assert duration == pytest.approx(4000, abs=30)
        told = float(ffprobe(result.proxy)["format"]["duration"])
        assert told * 1000 == pytest.approx(duration, abs=5)

    def test_noise_in_the_middle_of_a_flac(self, tmp_path: Path, run: Run, ffprobe: Probe) -> None:
        """What follows the damage is heard when it was recorded."""
        samples = np.random.default_rng(3).uniform(-0.5, 0.5, (2, 4 * 48_000))
        source = encode(tmp_path / "a.flac", samples, codec="flac", container="flac")
        content = bytearray(source.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 3000] = bytes(3000)
        source.write_bytes(content)
        result = run(source)
        assert result.facts["duration_ms"] == 4000
        told = float(ffprobe(result.proxy)["format"]["duration"])
        assert told == pytest.approx(4, abs=0.1)
        peaks = result.waveform["peaks"]
        assert min(peaks[:480] + peaks[560:]) > 0.4

    def test_bytes_that_belong_to_no_chunk(self, tmp_path: Path, run: Run) -> None:
        """A header that states less than the file holds is believed, and told."""
        source = tmp_path / "a.wav"
        source.write_bytes(wav_bytes(SOUND, data_size=48_000 * 4))
        result = run(source, "extract_facts")
        assert result.facts["duration_ms"] == 1000
        assert "belong to no chunk" in result.warnings[0]

    def test_a_year_of_two_digits(self, tmp_path: Path, run: Run) -> None:
        """A recorder that writes 0026 means 2026; the reading is told."""
        note = bext(date="0026-03-22", time="19:25:31")
        result = run(write_wav(tmp_path / "a.wav", SOUND, before=[note]), "extract_facts")
        assert result.facts["captured_at"] == "2026-03-22T19:25:31"
        assert "read as 2026" in result.warnings[0]


class TestForeign:
    """Files that are not what their name says."""

    def test_an_empty_file(self, tmp_path: Path, run: Run) -> None:
        """Zero bytes are no recording."""
        source = tmp_path / "a.wav"
        source.touch()
        assert refused(run, source) == "SOURCE_UNREADABLE"

    def test_a_header_without_sound(self, tmp_path: Path, run: Run) -> None:
        """A recorder that was switched off at once."""
        assert refused(run, write_wav(tmp_path / "a.wav", tone(0))) == "SOURCE_UNREADABLE"

    @pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.flac"])
    @pytest.mark.parametrize("content", ["picture", "noise", "playlist"])
    def test_no_sound_at_all(self, tmp_path: Path, run: Run, name: str, content: str) -> None:
        """A picture, noise, and a playlist that would open another file."""
        source = tmp_path / name
        if content == "picture":
            Image.new("RGB", (64, 64)).save(source, "JPEG")
        elif content == "noise":
            source.write_bytes(np.random.default_rng(0).bytes(20_000))
        else:
            source.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/hostname\n")
        assert refused(run, source) == "SOURCE_UNREADABLE"

    def test_a_missing_file(self, tmp_path: Path, run: Run) -> None:
        """A source that vanished."""
        assert refused(run, tmp_path / "gone.wav") == "SOURCE_UNREADABLE"

    def test_an_mp3_named_wav(self, tmp_path: Path, run: Run) -> None:
        """The content decides, and the name is mentioned."""
        source = encode(tmp_path / "a.wav", SOUND, codec="libmp3lame", container="mp3")
        result = run(source)
        assert result.facts["media_format"] == "mp3"
        assert "named .wav" in result.warnings[0]
        assert result.proxy.suffix == ".mp3"

    def test_a_recording_without_sound(self, tmp_path: Path, run: Run) -> None:
        """A silent film is not unreadable: it has no track of sound."""
        source = tmp_path / "a.m4a"
        with av.open(str(source), "w", format="mp4") as output:
            stream = output.add_stream("mpeg4", rate=25)
            stream.width = stream.height = 64
            frame = av.VideoFrame(64, 64, "yuv420p")
            for packet in (*stream.encode(frame), *stream.encode(None)):
                output.mux(packet)
        assert refused(run, source) == "NO_AUDIO_TRACK"

    @pytest.mark.parametrize("name", ["a b%03d.wav", "concat:x.wav", "😀\n.wav", "-i.wav"])
    def test_names_are_names(self, tmp_path: Path, run: Run, name: str) -> None:
        """No name is taken for a pattern, a protocol or an option."""
        assert run(write_wav(tmp_path / name, SOUND), "extract_facts").facts["duration_ms"] == 4000
