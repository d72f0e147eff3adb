"""The four tasks of a sound recording (domain.md, *Jobs* and *Derived files*)."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from retaia_tests.sound import Samples, bext, encode, silence, tone, write_wav

from retaia_adapters.media.audio import process_audio
from retaia_core.domain.derived import DERIVED_KINDS, HEAD_BYTES, Sample, check_content
from retaia_core.domain.media import MediaType
from retaia_core.ports.processor import Task, Work

Run = Callable[..., Any]
Probe = Callable[..., dict[str, Any]]
PeakLevel = Callable[..., float]
Maker = Callable[[Path], Path]

FACTS, PROXY = "extract_facts", "generate_proxy"
WAVEFORM, THUMBNAILS = "generate_audio_waveform", "generate_thumbnails"

SOUND = tone(2.5)


def made(codec: str, container: str, **options: Any) -> Maker:
    """A maker of 2.5 s in a format."""
    return lambda path: encode(path, SOUND, codec=codec, container=container, **options)


def noise(seconds: float, *, channels: int = 2) -> Samples:
    """Sound that a variable bit rate varies over."""
    samples = tone(seconds, channels=channels)
    half = samples.shape[1] // 2
    samples[:, half:] = np.random.default_rng(1).uniform(-0.4, 0.4, samples[:, half:].shape)
    return samples


SOURCES: dict[str, tuple[Maker, dict[str, object]]] = {
    "16.wav": (
        lambda path: write_wav(path, SOUND),
        {"media_format": "wav", "audio_codec": "pcm_s16le", "bits_per_sample": 16},
    ),
    "24.wav": (
        lambda path: write_wav(path, SOUND, sample_format="s24"),
        {"audio_codec": "pcm_s24le", "bits_per_sample": 24, "bitrate_kbps": 2304},
    ),
    "float.wav": (
        lambda path: write_wav(path, SOUND, sample_format="f32"),
        {"audio_codec": "pcm_f32le", "bits_per_sample": 32},
    ),
    "a.aiff": (made("pcm_s24be", "aiff"), {"media_format": "aiff", "bits_per_sample": 24}),
    "a.flac": (made("flac", "flac"), {"media_format": "flac", "audio_codec": "flac"}),
    "a.ogg": (made("libopus", "ogg"), {"media_format": "ogg", "audio_codec": "opus"}),
    "alac.m4a": (
        made("alac", "ipod"),
        {"media_format": "m4a", "audio_codec": "alac", "bits_per_sample": 24},
    ),
    "a.m4a": (made("aac", "ipod"), {"media_format": "m4a", "audio_codec": "aac"}),
    "a.aac": (made("aac", "adts"), {"media_format": "aac", "audio_codec": "aac"}),
    "a.mp3": (made("libmp3lame", "mp3"), {"media_format": "mp3", "audio_codec": "mp3"}),
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_format_gets_its_review_set(
    tmp_path: Path, run: Run, ffprobe: Probe, peak_level: PeakLevel, name: str
) -> None:
    """Facts, proxy, waveform and thumbnail agree with one another and with an independent reader."""
    make, expected = SOURCES[name]
    source = make(tmp_path / name)
    result = run(source)
    facts = result.facts
    assert facts.items() >= {"sample_rate_hz": 48_000, "channel_count": 2, **expected}.items()
    (told,) = ffprobe(source)["streams"]
    assert facts["audio_codec"] == told["codec_name"]
    assert facts["duration_ms"] == pytest.approx(2500, abs=45)

    probed = ffprobe(result.proxy)
    (stream,) = probed["streams"]
    assert stream["codec_name"] in {"aac", "mp3"}
    assert (stream["sample_rate"], stream["channels"]) == ("48000", 2)
    assert float(stream["duration"]) * 1000 == pytest.approx(facts["duration_ms"], abs=50)
    assert peak_level(result.proxy) == pytest.approx(0.5, abs=0.06)

    waveform = result.waveform
    assert waveform["duration_ms"] == facts["duration_ms"]
    assert len(waveform["peaks"]) == waveform["bucket_count"] == 1000
    assert np.mean(waveform["peaks"]) == pytest.approx(0.5, abs=0.03)
    thumb = opened(result.file(THUMBNAILS).path)
    assert (thumb.format, thumb.mode, thumb.width) == ("JPEG", "RGB", 480)
    assert result.order[0] == FACTS
    assert not {name for name in result.left if name.endswith(".part")}
    for outcome in result.outcomes.values():
        for file in outcome.files:
            _check_like_the_server(file.kind, file.content_type, file.path)


def _check_like_the_server(kind: str, content_type: str, path: Path) -> None:
    (row,) = (row for row in DERIVED_KINDS if row.name == kind)
    content = path.read_bytes()
    sample = Sample(head=content[:HEAD_BYTES], size_bytes=len(content), content=content)
    check_content(row, content_type, sample)


def opened(path: Path) -> Image.Image:
    """A picture file, read whole and closed."""
    with Image.open(path) as image:
        image.load()
        return image


class TestFacts:
    """Facts are counted, and state what a recorder noted."""

    def test_a_recorder_s_notes(self, tmp_path: Path, run: Run) -> None:
        """Model, time and timecode of a broadcast WAV."""
        note = bext(
            originator="Recorder 8",
            date="2026-03-22",
            time="10:20:30",
            time_reference=48_000 * 7200,
            description="sSPEED=025.000-ND",
        )
        facts = run(write_wav(tmp_path / "a.wav", SOUND, before=[note]), FACTS).facts
        assert facts["recorder_model"] == "Recorder 8"
        assert facts["captured_at"] == "2026-03-22T10:20:30"
        assert facts["timecode_start"] == "02:00:00:00"

    def test_a_phone_s_notes(self, tmp_path: Path, run: Run) -> None:
        """The creation time of an M4A."""
        tags = {"creation_time": "2026-05-01T08:00:00Z"}
        source = encode(tmp_path / "a.m4a", SOUND, codec="aac", container="ipod", tags=tags)
        assert run(source, FACTS).facts["captured_at"] == "2026-05-01T08:00:00Z"

    @pytest.mark.parametrize("xing", ["0", "1"])
    def test_an_mp3_of_variable_rate_is_counted(
        self, tmp_path: Path, run: Run, ffprobe: Probe, xing: str
    ) -> None:
        """With and without a header that states its length; the proxy tells it right."""
        source = encode(
            tmp_path / "a.mp3",
            noise(8),
            codec="libmp3lame",
            container="mp3",
            options={"global_quality": str(4 * 118), "flags": "+qscale"},
            muxing={"write_xing": xing},
        )
        result = run(source, FACTS, PROXY)
        packets = ffprobe(source, "-show_packets", "-show_entries", "packet=duration_time")
        counted = sum(float(packet["duration_time"]) for packet in packets["packets"])
        assert result.facts["duration_ms"] == pytest.approx(counted * 1000, abs=60)
        told = float(ffprobe(result.proxy)["format"]["duration"])
        assert told * 1000 == pytest.approx(counted * 1000, abs=60)

    def test_a_lying_length_is_not_believed(self, tmp_path: Path, run: Run, ffprobe: Probe) -> None:
        """An MP3 whose header states a tenth of its frames is told, and gives a proxy that is right."""
        source = encode(tmp_path / "a.mp3", tone(20), codec="libmp3lame", container="mp3")
        content = bytearray(source.read_bytes())
        at = content.index(b"Info") + 8
        frames = int.from_bytes(content[at : at + 4])
        content[at : at + 4] = (frames // 10).to_bytes(4)
        source.write_bytes(content)
        result = run(source, FACTS, PROXY)
        assert result.facts["duration_ms"] == pytest.approx(20_000, abs=60)
        assert any("states" in warning for warning in result.warnings)
        assert float(ffprobe(result.proxy)["format"]["duration"]) == pytest.approx(20, abs=0.1)

    def test_facts_alone_leave_nothing_behind(self, tmp_path: Path, run: Run) -> None:
        """No file is made for facts."""
        assert run(write_wav(tmp_path / "a.wav", SOUND), FACTS).left == set()


class TestProxy:
    """Copied where it can be, else encoded; never clipped."""

    @pytest.mark.parametrize(
        ("name", "codec", "container"),
        [
            ("a.mp3", "libmp3lame", "mp3"),
            ("a.m4a", "aac", "ipod"),
            ("a.aac", "aac", "adts"),
        ],
    )
    def test_a_source_that_is_a_proxy_is_copied(
        self, tmp_path: Path, run: Run, ffprobe: Probe, name: str, codec: str, container: str
    ) -> None:
        """The packets of the proxy are those of the source, byte for byte."""
        source = encode(tmp_path / name, SOUND, codec=codec, container=container, bit_rate=96_000)
        proxy = run(source, PROXY).proxy

        def digests(path: Path) -> list[str]:
            options = ("-show_packets", "-show_data_hash", "md5", "-select_streams", "a")
            return [packet["data_hash"] for packet in ffprobe(path, *options)["packets"]]

        if container == "adts":
            assert len(digests(proxy)) == len(digests(source))
        else:
            assert digests(proxy) == digests(source)

    def test_a_float_recording_above_full_scale_is_turned_down(
        self, tmp_path: Path, run: Run, peak_level: PeakLevel
    ) -> None:
        """The proxy keeps the shape: the half that was half as loud still is."""
        samples = np.concatenate([tone(2, level=1.5), tone(2, level=3)], 1)
        result = run(write_wav(tmp_path / "a.wav", samples, sample_format="f32"))
        assert peak_level(result.proxy) == pytest.approx(1, abs=0.1)
        (warning,) = result.done(PROXY).warnings
        assert "9.5 dB quieter" in warning
        peaks = result.waveform["peaks"]
        assert max(peaks) == 1
        assert max(peaks[:499]) == pytest.approx(0.5, abs=0.01)

    def test_many_channels_become_stereo(self, tmp_path: Path, run: Run, ffprobe: Probe) -> None:
        """A recorder file of eight tracks, one of them loud, is heard and drawn."""
        samples = silence(1, channels=8)
        samples[3] = tone(1, channels=1, level=0.8)[0]
        result = run(write_wav(tmp_path / "a.wav", samples, sample_format="s24"))
        assert result.facts["channel_count"] == 8
        (stream,) = ffprobe(result.proxy)["streams"]
        assert stream["channels"] == 2
        assert max(result.waveform["peaks"]) == pytest.approx(0.8, abs=0.01)

    @pytest.mark.parametrize(("rate", "expected"), [(22_050, 22_050), (96_000, 48_000)])
    def test_the_rate_is_kept_where_browsers_play_it(
        self, tmp_path: Path, run: Run, ffprobe: Probe, rate: int, expected: int
    ) -> None:
        """A low rate is kept, one above 48 kHz is not."""
        source = write_wav(tmp_path / "a.wav", tone(1, rate=rate, channels=1), rate=rate)
        (stream,) = ffprobe(run(source, PROXY).proxy)["streams"]
        assert (int(stream["sample_rate"]), stream["channels"]) == (expected, 1)

    @pytest.mark.parametrize(("codec", "suffix"), [("aac", "aac"), ("libmp3lame", "mp3")])
    def test_a_rate_that_changes_in_the_middle(
        self, tmp_path: Path, run: Run, ffprobe: Probe, codec: str, suffix: str
    ) -> None:
        """Two recordings glued together are counted, drawn and encoded in their true length."""
        container = {"aac": "adts", "mp3": "mp3"}[suffix]
        parts = []
        for rate, level in ((44_100, 0.2), (48_000, 0.6)):
            part = encode(
                tmp_path / f"{rate}.{suffix}",
                tone(3, rate=rate, level=level),
                codec=codec,
                container=container,
                rate=rate,
                muxing={"write_xing": "0"} if suffix == "mp3" else None,
            )
            parts.append(part.read_bytes())
        source = tmp_path / f"both.{suffix}"
        source.write_bytes(b"".join(parts))
        result = run(source)
        duration = result.facts["duration_ms"]
        assert duration == pytest.approx(6100, abs=100)
        (stream,) = ffprobe(result.proxy)["streams"]
        assert float(stream["duration"]) * 1000 == pytest.approx(duration, abs=5)
        peaks = result.waveform["peaks"]
        assert np.median(peaks[100:450]) == pytest.approx(0.2, abs=0.03)
        assert np.median(peaks[550:950]) == pytest.approx(0.6, abs=0.05)

    def test_a_failing_encoder_fails_the_proxy_alone(
        self, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The waveform is made, the proxy may be tried again, and no half of it is left."""

        def full(*_: object) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr("retaia_adapters.media.audio_encode.AacEncoder.finish", full)
        result = run(write_wav(tmp_path / "a.wav", SOUND))
        failed = result.outcomes[PROXY]
        assert (failed.code, failed.retryable) == ("ENCODING_ERROR", True)
        assert result.left == {"waveform.json", "thumb.jpg"}

    def test_a_caller_that_stops_leaves_nothing_behind(self, tmp_path: Path) -> None:
        """Closing the outcomes in the middle removes the unfinished proxy."""
        source = write_wav(tmp_path / "a.wav", SOUND)
        workspace = tmp_path / "workspace"
        workspace.mkdir()
        tasks = tuple(Task(job_id=name, job_type=name) for name in (WAVEFORM, PROXY))
        work = Work(source=source, media_type=MediaType.AUDIO, tasks=tasks, workspace=workspace)
        outcomes = process_audio(work, lambda _: None)
        assert next(outcomes).job_id == WAVEFORM
        outcomes.close()  # type: ignore[attr-defined]
        assert [path.name for path in workspace.iterdir()] == ["waveform.json"]


class TestWaveform:
    """One document for each task."""

    def test_the_number_of_buckets_is_a_parameter(self, tmp_path: Path, run: Run) -> None:
        """250 buckets instead of 1000."""
        source = write_wav(tmp_path / "a.wav", SOUND)
        assert run(source, WAVEFORM, bucket_count=250).waveform["bucket_count"] == 250

    @pytest.mark.parametrize("buckets", [99, 0, "many", 10**9])
    def test_an_impossible_number_is_refused(
        self, tmp_path: Path, run: Run, buckets: object
    ) -> None:
        """A wrong parameter fails its task, for good."""
        result = run(write_wav(tmp_path / "a.wav", SOUND), WAVEFORM, bucket_count=buckets)
        assert result.codes == {"VALIDATION_FAILED"}

    def test_is_the_same_when_made_again(self, tmp_path: Path, run: Run) -> None:
        """Alone or with other tasks, twice or once: the same bytes."""
        source = encode(tmp_path / "a.flac", noise(3), codec="flac", container="flac")
        first, second = run(source), run(source, WAVEFORM)
        assert first.waveform == second.waveform

    def test_progress_is_told(self, tmp_path: Path, run: Run) -> None:
        """Progress grows to the duration, in milliseconds."""
        progress = run(write_wav(tmp_path / "a.wav", tone(20)), WAVEFORM).progress
        amounts = [one.current for one in progress]
        assert amounts == sorted(amounts)
        assert amounts[-1] > 18_000
        assert {one.total for one in progress} == {20_000}


def picture(width: int, height: int, mode: str = "RGB", file_format: str = "JPEG") -> bytes:
    """A picture file of one colour."""
    buffer = io.BytesIO()
    Image.new(mode, (width, height), "red" if mode != "CMYK" else (0, 255, 255, 0)).save(
        buffer, file_format
    )
    return buffer.getvalue()


class TestThumbnail:
    """The cover, else the drawn waveform."""

    @pytest.mark.parametrize(
        ("size", "expected"), [((1200, 900), (480, 360)), ((200, 300), (200, 300))]
    )
    def test_a_cover_is_shown_and_never_enlarged(
        self, tmp_path: Path, run: Run, size: tuple[int, int], expected: tuple[int, int]
    ) -> None:
        """480 px wide where the cover has them; the aspect is kept."""
        source = encode(
            tmp_path / "a.mp3", SOUND, codec="libmp3lame", container="mp3", cover=picture(*size)
        )
        result = run(source, THUMBNAILS, PROXY)
        thumb = opened(result.file(THUMBNAILS).path)
        assert thumb.size == expected
        red, green, blue = thumb.convert("RGB").getpixel((5, 5))
        assert red > 240
        assert max(green, blue) < 15
        assert result.proxy.stat().st_size < source.stat().st_size, "the cover stays behind"

    @pytest.mark.parametrize("mode", ["CMYK", "L"])
    def test_a_cover_becomes_srgb(self, tmp_path: Path, run: Run, mode: str) -> None:
        """CMYK and grey covers become RGB."""
        cover = picture(600, 600, mode)
        source = encode(tmp_path / "a.mp3", SOUND, codec="libmp3lame", container="mp3", cover=cover)
        assert opened(run(source, THUMBNAILS).file(THUMBNAILS).path).mode == "RGB"

    def test_a_damaged_cover_gives_way_to_the_waveform(self, tmp_path: Path, run: Run) -> None:
        """A cover that is no picture costs a warning, not the thumbnail."""
        cover = picture(600, 600)[:200] + bytes(50)
        source = encode(tmp_path / "a.mp3", SOUND, codec="libmp3lame", container="mp3", cover=cover)
        result = run(source, THUMBNAILS)
        assert opened(result.file(THUMBNAILS).path).size == (480, 270)
        assert "the waveform is shown instead" in result.done(THUMBNAILS).warnings[0]

    def test_the_drawing_shows_where_it_is_loud(self, tmp_path: Path, run: Run) -> None:
        """Bars are high where it is loud and a line where it is silent."""
        samples = np.concatenate([silence(2), tone(2)], 1)
        path = run(write_wav(tmp_path / "a.wav", samples), THUMBNAILS).file(THUMBNAILS).path
        grey = np.asarray(opened(path).convert("L")).astype(int)
        row = grey[60]
        assert row[30:230].max() < 60
        assert row[250:450].max() > 120
