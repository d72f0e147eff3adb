"""The demonstration's storage: one table of what lies in it, how it is made and what must become of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

import numpy as np
from attrs import field, frozen

from retaia_core.domain.lifecycle import Verdict

from .footage import (
    VIDEO_SIZE,
    Clip,
    Exposure,
    Recording,
    jpeg,
    subtitles,
    write_clip,
    write_photo,
    write_recording,
    xmp,
)
from .scenery import DAWN, DUSK, NIGHT, NOON, Harbour, Light
from .sounds import RATE, sea, tune

HARBOUR = "INBOX/2026-05-12 Harbour"
STUDIO = "INBOX/2026-05-13 Studio"
SIDECARS = frozenset({".srt", ".lrf", ".xmp"})


Maker = Callable[[Path, datetime], None]
"""Writes one file that was taken at a time."""


class Fate(Enum):
    """What must become of a file; the demonstration fails where anything else did."""

    PREPARED = "prepared"
    DAMAGED = "damaged"
    COPYING = "copying"
    ATTACHED = "attached"
    UNMATCHED = "unmatched"
    PASSED_OVER = "passed over"
    STANDING = "standing"


@frozen(kw_only=True)
class Item:
    """One file: its path in the storage, what it is, its fate, and what the demonstration decides.

    ``reason`` is the one that Retaia must give for leaving a file alone; ``taken`` the time of its mtime.
    """

    path: str
    says: str
    make: Maker = field(repr=False, eq=False)
    fate: Fate = Fate.PREPARED
    verdict: Verdict | None = None
    reason: str = ""
    taken: datetime


def _at(day: int, hour: int, minute: int) -> datetime:
    return datetime(2026, 5, day, hour, minute, 12, tzinfo=UTC)


def _clip(
    light: Light, seconds: float, *, black: float = 0.0, timecode: str = "", maker: str = "Cinema"
) -> Maker:
    def make(path: Path, taken: datetime) -> None:
        clip = Clip(
            view=Harbour(VIDEO_SIZE, light),
            sound=sea(seconds),
            seconds=seconds,
            black=black,
            timecode=timecode,
            metadata={"make": maker, "model": f"{maker} One"},
        )
        write_clip(path, clip)

    return make


def _photo(
    light: Light,
    *,
    seconds: float = 3.0,
    orientation: int = 1,
    place: tuple[float, float] | None = (43.295, 5.364),
) -> Maker:
    def make(path: Path, taken: datetime) -> None:
        size = (900, 1200) if orientation == 6 else (1200, 900)
        picture = Harbour(size, light).at(seconds)
        if orientation == 6:
            picture = np.ascontiguousarray(np.rot90(picture))
        exposure = Exposure(
            make="Nordlys",
            model="Nordlys D4",
            lens="Nordlys 24-70mm f/2.8",
            taken=f"{taken:%Y:%m:%d %H:%M:%S}",
            place=place,
            orientation=orientation,
        )
        write_photo(path, picture, exposure)

    return make


def _recording(codec: str, container: str, sample_format: str) -> Maker:
    def make(path: Path, taken: datetime) -> None:
        recording = Recording(
            sound=tune(6.0),
            codec=codec,
            container=container,
            sample_format=sample_format,
            cover=jpeg(Harbour((600, 600), NIGHT).at(4.0)),
            tags={"title": path.stem, "artist": "The Pier", "album": "Harbour"},
        )
        write_recording(path, recording)

    return make


def _field_recording(path: Path, taken: datetime) -> None:
    tags = {
        "description": "Pier, morning atmosphere",
        "originator": "Fieldmix 6",
        "origination_date": f"{taken:%Y-%m-%d}",
        "origination_time": f"{taken:%H:%M:%S}",
        "time_reference": str(RATE * (taken.hour * 3600 + taken.minute * 60 + taken.second)),
    }
    write_recording(
        path,
        Recording(
            sound=sea(6.0, seed=7),
            codec="pcm_s24le",
            container="wav",
            sample_format="s32",
            tags=tags,
            muxing={"write_bext": "1"},
        ),
    )


def _cut(make: Maker, share: float) -> Maker:
    """A file of which only the first part was ever written."""

    def cut(path: Path, taken: datetime) -> None:
        make(path, taken)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return cut


def _text(content: str) -> Maker:
    def make(path: Path, taken: datetime) -> None:
        path.write_text(content, "utf-8")

    return make


def _nothing(path: Path, taken: datetime) -> None:
    path.touch()


KEEP, REJECT = Verdict.KEEP, Verdict.REJECT

ITEMS: tuple[Item, ...] = (
    Item(
        path=f"{HARBOUR}/A001_C002.MP4",
        says="video whose copy was cut off",
        make=_cut(_clip(NOON, 3.0), 0.6),
        fate=Fate.DAMAGED,
        taken=_at(12, 9, 2),
    ),
    Item(
        path=f"{HARBOUR}/A001_C003.MOV",
        says="video; the archive has another file of this name",
        make=_clip(NOON, 5.0, timecode="09:05:12:00"),
        verdict=KEEP,
        taken=_at(12, 9, 5),
    ),
    Item(
        path=f"{HARBOUR}/A001_C003.srt",
        says="its subtitles",
        make=_text(subtitles(["The boat leaves.", "Wind from the west.", "Gulls."])),
        fate=Fate.ATTACHED,
        taken=_at(12, 9, 30),
    ),
    Item(
        path=f"{HARBOUR}/A001_C004.MOV",
        says="video that opens in black",
        make=_clip(DUSK, 4.0, black=1.6, timecode="19:41:02:00"),
        verdict=KEEP,
        taken=_at(12, 19, 41),
    ),
    Item(
        path=f"{HARBOUR}/A001_C005.MOV",
        says="video that is still being copied",
        make=_clip(NIGHT, 4.0, timecode="22:10:00:00"),
        fate=Fate.COPYING,
        taken=_at(12, 22, 10),
    ),
    Item(
        path=f"{HARBOUR}/A001_C006.MOV.part",
        says="half of a copy, by its name",
        make=_cut(_clip(NIGHT, 1.0), 0.5),
        fate=Fate.PASSED_OVER,
        reason="temporary_copy",
        taken=_at(12, 22, 14),
    ),
    Item(
        path=f"{HARBOUR}/DJI_0041.MP4",
        says="drone video",
        make=_clip(DAWN, 3.0, maker="Kite"),
        verdict=REJECT,
        taken=_at(12, 6, 8),
    ),
    Item(
        path=f"{HARBOUR}/DJI_0041.LRF",
        says="its small copy from the drone",
        make=_cut(_clip(DAWN, 1.0, maker="Kite"), 1.0),
        fate=Fate.ATTACHED,
        taken=_at(12, 6, 8),
    ),
    Item(
        path=f"{HARBOUR}/DJI_0041.SRT",
        says="its flight data",
        make=_text(subtitles(["43.295N 5.364E 41m", "43.296N 5.364E 44m"])),
        fate=Fate.ATTACHED,
        taken=_at(12, 6, 8),
    ),
    Item(
        path=f"{HARBOUR}/DSC_0421.JPG",
        says="photo with camera, place and time",
        make=_photo(DAWN),
        verdict=KEEP,
        taken=_at(12, 6, 21),
    ),
    Item(
        path=f"{HARBOUR}/DSC_0421.xmp",
        says="its four stars",
        make=_text(xmp(4)),
        fate=Fate.ATTACHED,
        taken=_at(12, 20, 3),
    ),
    Item(
        path=f"{HARBOUR}/DSC_0422.JPG",
        says="photo from a turned camera",
        make=_photo(DUSK, orientation=6),
        verdict=REJECT,
        taken=_at(12, 19, 44),
    ),
    Item(
        path=f"{HARBOUR}/DSC_0423.JPG",
        says="photo whose copy was cut off",
        make=_cut(_photo(NOON), 0.5),
        fate=Fate.DAMAGED,
        taken=_at(12, 9, 11),
    ),
    Item(
        path=f"{HARBOUR}/DSC_0424.JPG",
        says="photo",
        make=_photo(NOON, seconds=8.0),
        taken=_at(12, 9, 12),
    ),
    Item(
        path=f"{HARBOUR}/DSC_0424.png",
        says="the same, exported once more",
        make=_photo(NOON, seconds=8.0),
        taken=_at(12, 21, 0),
    ),
    Item(
        path=f"{HARBOUR}/DSC_0424.xmp",
        says="stars for one of these two: which?",
        make=_text(xmp(2)),
        fate=Fate.UNMATCHED,
        reason="ambiguous_parent",
        taken=_at(12, 21, 1),
    ),
    Item(
        path=f"{HARBOUR}/DSC_0425.JPG",
        says="empty file",
        make=_nothing,
        fate=Fate.PASSED_OVER,
        reason="empty_file",
        taken=_at(12, 9, 13),
    ),
    Item(
        path=f"{HARBOUR}/DSC_0430.xmp",
        says="stars for a photo that is not there",
        make=_text(xmp(3)),
        fate=Fate.UNMATCHED,
        reason="missing_parent",
        taken=_at(12, 21, 2),
    ),
    Item(
        path=f"{HARBOUR}/pier \N{ANCHOR}\nfirst light.jpg",
        says="photo; an emoji and a line break in its name",
        make=_photo(DAWN, seconds=6.0, place=None),
        verdict=KEEP,
        taken=_at(12, 6, 2),
    ),
    Item(
        path=f"{STUDIO}/Tide.flac",
        says="music with a cover",
        make=_recording("flac", "flac", "s16"),
        verdict=KEEP,
        taken=_at(13, 15, 20),
    ),
    Item(
        path=f"{STUDIO}/Tide.m4a",
        says="music with a cover",
        make=_recording("aac", "mp4", "fltp"),
        verdict=REJECT,
        taken=_at(13, 15, 22),
    ),
    Item(
        path=f"{STUDIO}/Tide.mp3",
        says="music with a cover",
        make=_recording("libmp3lame", "mp3", "fltp"),
        verdict=KEEP,
        taken=_at(13, 15, 24),
    ),
    Item(
        path=f"{STUDIO}/ZOOM0007.WAV",
        says="24-bit field recording with time code",
        make=_field_recording,
        verdict=KEEP,
        taken=_at(13, 6, 46),
    ),
    Item(
        path="ARCHIVE/2026-05-12 Harbour/A001_C003.MOV",
        says="archived long ago, under a name that is wanted again",
        make=_clip(DAWN, 2.0),
        fate=Fate.STANDING,
        taken=_at(12, 5, 0),
    ),
)
"""Everything in the storage, in the order of its listing."""


def make_item(root: Path, item: Item) -> Path:
    """Make one file below a storage's root, with the mtime of its recording; returns its path."""
    path = root / item.path
    path.parent.mkdir(parents=True, exist_ok=True)
    item.make(path, item.taken)
    stamp = item.taken.timestamp()
    os.utime(path, (stamp, stamp))
    return path
