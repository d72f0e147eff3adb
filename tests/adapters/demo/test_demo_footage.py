"""The footage of the demonstration is what it claims to be, by readers that did not write it."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import exifread
import numpy as np
import pytest
from PIL import Image
from retaia_tests import components

from retaia_adapters.demo.copying import PAUSE_S, SlowCopy
from retaia_adapters.demo.footage import Clip, Exposure, write_clip, write_photo
from retaia_adapters.demo.scenery import DAWN, NOON, Harbour
from retaia_adapters.demo.sounds import RATE, sea, tune
from retaia_adapters.demo.storage import ITEMS, Fate, Item, make_item

SMALL = (128, 72)
Probe = Callable[..., dict[str, Any]]


@pytest.fixture
def probe(ffprobe: str) -> Probe:
    """Reads a file with ffprobe; fails where that finds anything wrong."""

    def read(path: Path, *options: str) -> dict[str, Any]:
        command = [ffprobe, "-v", "error", "-of", "json", *options, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert done.stderr == ""
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return read


def item(name: str) -> Item:
    """An item of the storage, by the end of its path."""
    return next(item for item in ITEMS if item.path.endswith(name))


def clip(path: Path, seconds: float = 1.0, black: float = 0.0) -> Path:
    """A small clip in a file."""
    view = Harbour(SMALL, NOON)
    made = Clip(view=view, sound=sea(seconds), seconds=seconds, black=black, timecode="09:00:00:00")
    write_clip(path, made)
    return path


class TestTheClips:
    """Moving pictures with sound."""

    def test_a_clip_has_moving_pictures_and_sound(self, tmp_path: Path, probe: Probe) -> None:
        """A clip is H.264 at 25 fps with stereo AAC and a time code, as long as was asked for."""
        found = probe(clip(tmp_path / "a.mov"), "-show_streams", "-show_format", "-count_frames")
        kinds = {s["codec_type"]: s for s in found["streams"]}
        assert (kinds["video"]["codec_name"], kinds["video"]["nb_read_frames"]) == ("h264", "25")
        assert (kinds["video"]["width"], kinds["video"]["height"]) == SMALL
        assert kinds["video"]["tags"]["timecode"] == "09:00:00:00"
        assert (kinds["audio"]["codec_name"], kinds["audio"]["channels"]) == ("aac", 2)
        assert float(found["format"]["duration"]) == pytest.approx(1.0, abs=0.05)

    def test_the_boat_sails(self) -> None:
        """Pictures of two moments differ, those of one moment do not."""
        view = Harbour(SMALL, DAWN)
        assert not np.array_equal(view.at(0), view.at(1))
        assert np.array_equal(view.at(1), Harbour(SMALL, DAWN).at(1))

    def test_a_black_opening_has_the_only_key_frame(self, tmp_path: Path, probe: Probe) -> None:
        """A clip that opens in black begins with its one key frame, and is bright later."""
        path = clip(tmp_path / "a.mp4", seconds=3.0, black=1.0)
        frames = probe(path, "-select_streams", "v", "-show_frames")["frames"]
        assert [bool(frame["key_frame"]) for frame in frames] == [True, *[False] * 74]
        still, program = tmp_path / "still.png", components.program("ffmpeg")
        for at, bright in (("0.5", False), ("2.0", True)):
            subprocess.run(
                [program, "-v", "error", "-y", "-ss", at, "-i", path, "-frames:v", "1", still],
                check=True, timeout=60,
            )  # fmt: skip
            with Image.open(still) as image:
                assert bool(np.asarray(image.convert("L")).mean() > 40) is bright


class TestThePhotos:
    """Photos with EXIF."""

    def test_a_photo_says_camera_moment_and_place(self, tmp_path: Path) -> None:
        """A photo carries the camera, the moment, the exposure, the orientation and the place."""
        path = tmp_path / "a.jpg"
        exposure = Exposure(
            make="Nordlys", model="Nordlys D4", taken="2026:05:12 06:21:12",
            place=(43.295, -5.364), orientation=6,
        )  # fmt: skip
        write_photo(path, Harbour(SMALL, NOON).at(0), exposure)
        with path.open("rb") as file:
            tags = {name: str(tag) for name, tag in exifread.process_file(file).items()}
        assert tags["Image Model"] == "Nordlys D4"
        assert tags["EXIF DateTimeOriginal"] == "2026:05:12 06:21:12"
        assert tags["EXIF ExposureTime"] == "1/250"
        assert tags["Image Orientation"] == "Rotated 90 CW"
        assert (tags["GPS GPSLatitudeRef"], tags["GPS GPSLongitudeRef"]) == ("N", "W")
        assert tags["GPS GPSLatitude"] == "[43, 17, 42]"

    def test_the_turned_photo_is_upright_when_turned(self, tmp_path: Path) -> None:
        """The photo of the turned camera lies on its side until its orientation is applied."""
        with Image.open(make_item(tmp_path, item("DSC_0422.JPG"))) as image:
            assert image.size == (1200, 900)
            assert image.getexif()[0x0112] == 6


class TestTheRecordings:
    """Recordings without pictures."""

    @pytest.mark.parametrize("name", ["Tide.flac", "Tide.m4a", "Tide.mp3"])
    def test_music_has_a_cover(self, name: str, tmp_path: Path, probe: Probe) -> None:
        """Music has six seconds of sound, a title and a cover picture."""
        found = probe(make_item(tmp_path, item(name)), "-show_streams", "-show_format")
        cover = next(s for s in found["streams"] if s["codec_type"] == "video")
        assert cover["disposition"]["attached_pic"] == 1
        assert float(found["format"]["duration"]) == pytest.approx(6.0, abs=0.1)
        assert found["format"]["tags"]["title"] == "Tide"

    def test_the_field_recording_is_broadcast_wav(self, tmp_path: Path) -> None:
        """The field recording has 24 bits, and a bext chunk that counts samples from midnight."""
        content = make_item(tmp_path, item("ZOOM0007.WAV")).read_bytes()
        assert content[:4] + content[8:12] == b"RIFFWAVE"
        chunks = _chunks(content)
        assert struct.unpack_from("<H", chunks[b"fmt "], 14) == (24,)
        (reference,) = struct.unpack_from("<Q", chunks[b"bext"], 256 + 32 + 32 + 10 + 8)
        assert reference == RATE * (6 * 3600 + 46 * 60 + 12)

    def test_sound_is_neither_silent_nor_clipped(self) -> None:
        """Sea and tune are heard, and stay below full scale."""
        for sound in (sea(2.0), tune(2.0)):
            assert float(np.sqrt(np.mean(sound**2))) > 0.02
            assert float(np.abs(sound).max()) < 1.0


def _chunks(content: bytes) -> dict[bytes, bytes]:
    found, at = {}, 12
    while at + 8 <= len(content):
        (size,) = struct.unpack_from("<I", content, at + 4)
        found[content[at : at + 4]] = content[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return found


class TestTheStorage:
    """The table of what lies in the storage."""

    def test_every_path_is_there_once(self) -> None:
        """No two files have one path, and each lies in the inbox or stood in the archive before."""
        paths = [item.path for item in ITEMS]
        assert len(set(paths)) == len(paths)
        tops = {i.path.partition("/")[0] for i in ITEMS if i.fate is not Fate.STANDING}
        assert tops == {"INBOX"}

    def test_it_has_what_was_promised(self) -> None:
        """Every fate occurs; a kept file wants the name of one that stands in the archive."""
        assert {item.fate for item in ITEMS} == set(Fate)
        (standing,) = (i.path for i in ITEMS if i.fate is Fate.STANDING)
        wanted = {i.path.replace("INBOX/", "ARCHIVE/") for i in ITEMS if i.verdict is not None}
        assert standing in wanted

    def test_only_prepared_files_are_decided(self) -> None:
        """Nothing is decided about a file that cannot be prepared, and some that can are left open."""
        assert {i.fate for i in ITEMS if i.verdict is not None} == {Fate.PREPARED}
        assert any(i.verdict is None for i in ITEMS if i.fate is Fate.PREPARED)

    def test_files_have_the_time_of_their_recording(self, tmp_path: Path) -> None:
        """A file's mtime is when it was taken, whatever its name looks like."""
        odd = item("first light.jpg")
        path = make_item(tmp_path, odd)
        assert "\n" in path.name
        assert path.stat().st_mtime == odd.taken.timestamp()

    def test_cut_files_are_damaged(self, tmp_path: Path, ffprobe: str) -> None:
        """Of a damaged video no reader makes anything; a damaged photo opens, and ends too soon."""
        video = make_item(tmp_path, item("A001_C002.MP4"))
        done = subprocess.run([ffprobe, "-v", "error", video], capture_output=True, check=False)
        assert done.returncode != 0
        with (
            Image.open(make_item(tmp_path, item("DSC_0423.JPG"))) as image,
            pytest.raises(OSError, match="truncated"),
        ):
            image.load()

    def test_the_empty_file_is_empty(self, tmp_path: Path) -> None:
        """The empty file has no byte."""
        assert make_item(tmp_path, item("DSC_0425.JPG")).stat().st_size == 0


class TestTheSlowCopy:
    """A file that grows while somebody looks."""

    def test_it_grows_and_is_whole_in_the_end(self, tmp_path: Path) -> None:
        """The copy is longer at each look, never whole before it is told to finish, then equal."""
        source, target = tmp_path / "card.mov", tmp_path / "inbox.mov"
        source.write_bytes(os.urandom(100_000))
        os.utime(source, (1_700_000_000, 1_700_000_000))
        with SlowCopy(source, target) as copy:
            sizes = []
            for _ in range(3):
                sizes.append(target.stat().st_size)
                time.sleep(3 * PAUSE_S)
            copy.finish()
            assert sizes == sorted(set(sizes))
            assert sizes[-1] < 100_000
            assert target.read_bytes() == source.read_bytes()
            assert target.stat().st_mtime == 1_700_000_000
            copy.finish()

    def test_leaving_it_finishes_the_copy(self, tmp_path: Path) -> None:
        """A demonstration that ends early leaves a whole file behind."""
        source, target = tmp_path / "card.mov", tmp_path / "inbox.mov"
        source.write_bytes(b"x" * 5000)
        with SlowCopy(source, target):
            assert target.stat().st_size < 5000
        assert target.stat().st_size == 5000
