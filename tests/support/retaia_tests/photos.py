"""Photo files made for tests: oriented pictures, EXIF, colour profiles, RAW containers."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from PIL import Image

from retaia_adapters.media.photo import process_photo
from retaia_adapters.media.photo_color import assemble_profile
from retaia_core.domain.media import MediaType
from retaia_core.ports.processor import Done, Failed, Outcome, Progress, Task, Work

JOBS = ("extract_facts", "generate_thumbnails", "generate_proxy")
RED, GREEN, BLUE, YELLOW = (200, 30, 30), (30, 160, 30), (30, 30, 200), (220, 210, 40)


@frozen
class Result:
    """The outcomes of one call, by job type, and what it said on the way."""

    outcomes: Mapping[str, Outcome]
    order: tuple[str, ...]
    progress: tuple[Progress, ...]
    workspace: Path

    def done(self, job: str) -> Done:
        outcome = self.outcomes[job]
        assert isinstance(outcome, Done), outcome
        return outcome

    @property
    def facts(self) -> Mapping[str, object]:
        return self.done("extract_facts").facts

    @property
    def warnings(self) -> str:
        return " | ".join(self.done("extract_facts").warnings)

    @property
    def proxy(self) -> Path:
        return self.done("generate_proxy").files[0].path

    @property
    def thumb(self) -> Path:
        return self.done("generate_thumbnails").files[0].path

    @property
    def failures(self) -> set[tuple[str, bool]]:
        """Code and retryability of every outcome; an outcome that succeeded is an error."""
        failed = [outcome for outcome in self.outcomes.values() if isinstance(outcome, Failed)]
        assert len(failed) == len(self.outcomes), self.outcomes
        return {(outcome.code, outcome.retryable) for outcome in failed}

    @property
    def message(self) -> str:
        outcome = next(iter(self.outcomes.values()))
        assert isinstance(outcome, Failed), outcome
        return outcome.message

    @property
    def left_behind(self) -> list[str]:
        return sorted(path.name for path in self.workspace.iterdir())


def process(source: Path, workspace: Path, *jobs: str) -> Result:
    """Run photo work on a file, all of its jobs where none is named."""
    workspace.mkdir(exist_ok=True)
    tasks = tuple(Task(job_id=job, job_type=job) for job in jobs or JOBS)
    work = Work(source=source, media_type=MediaType.PHOTO, tasks=tasks, workspace=workspace)
    said: list[Progress] = []
    outcomes = list(process_photo(work, said.append))
    assert sorted(outcome.job_id for outcome in outcomes) == sorted(jobs or JOBS)
    by_job = {outcome.job_id: outcome for outcome in outcomes}
    return Result(by_job, tuple(outcome.job_id for outcome in outcomes), tuple(said), workspace)


def stream_of(probed: Mapping[str, Any]) -> Mapping[str, Any]:
    """The one picture that ffprobe found in a file."""
    (stream,) = probed["streams"]
    assert isinstance(stream, Mapping)
    return stream


def scene(width: int, height: int) -> Image.Image:
    """A picture with detail everywhere: no row is flat, as in a photo."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(7).integers(0, 40, (height, width))
    planes = (
        x * 200 // max(1, width - 1) + noise,
        y * 200 // max(1, height - 1) + noise,
        noise * 5,
    )
    return Image.fromarray(np.dstack(planes).astype(np.uint8))


def corners(width: int, height: int) -> Image.Image:
    """Red top left, green top right, blue bottom left, yellow bottom right."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    image.paste(YELLOW, (width // 2, height // 2, width, height))
    return image


_SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def stored(displayed: Image.Image, orientation: int) -> Image.Image:
    """Store a picture as EXIF's table says: which visual side the first row and column stand for."""
    pixels = np.asarray(displayed)
    row, column = _SIDES[orientation]
    if row in ("left", "right"):
        pixels = pixels.swapaxes(0, 1)
    if row in ("bottom", "right"):
        pixels = pixels[::-1]
    if column in ("bottom", "right"):
        pixels = pixels[:, ::-1]
    return Image.fromarray(np.ascontiguousarray(pixels))


def corner_colors(image: Image.Image) -> list[tuple[int, ...]]:
    """The colours at the middles of the four quarters: top left, top right, bottom left, bottom right."""
    rgb = image.convert("RGB")
    xs, ys = (rgb.width // 4, rgb.width * 3 // 4), (rgb.height // 4, rgb.height * 3 // 4)
    found = [rgb.getpixel((x, y)) for y in ys for x in xs]
    return [tuple(color) for color in found]  # type: ignore[arg-type]


def near(found: Sequence[float], expected: Sequence[float], tolerance: float) -> bool:
    """Whether two colours are alike."""
    return all(abs(a - b) <= tolerance for a, b in zip(found, expected, strict=True))


def jpeg(image: Image.Image, **options: object) -> bytes:
    """A picture as JPEG bytes."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", **{"quality": 92, **options})  # type: ignore[arg-type]
    return stream.getvalue()


# TIFF directories, EXIF and RAW containers


@frozen
class Typed:
    """A value whose type the test states itself."""

    kind: int
    count: int
    content: bytes


# int as SHORT or LONG, str as ASCII, bytes as UNDEFINED, tuple as LONGs, list of pairs as RATIONALs.
Value = int | str | bytes | Typed | tuple[int, ...] | list[tuple[int, int]]

_FORMS = {1: "B", 3: "H", 4: "I", 9: "i", 13: "I"}


def _typed(value: Value, order: str) -> tuple[int, int, bytes]:
    if isinstance(value, Typed):
        return value.kind, value.count, value.content
    if isinstance(value, str):
        data = value.encode("utf-8") + b"\0"
        return 2, len(data), data
    if isinstance(value, bytes):
        return 7, len(value), value
    if isinstance(value, list):
        return 5, len(value), b"".join(struct.pack(order + "II", *pair) for pair in value)
    numbers = value if isinstance(value, tuple) else (value,)
    kind = 3 if isinstance(value, int) and value < 65536 else 4
    return kind, len(numbers), struct.pack(order + _FORMS[kind] * len(numbers), *numbers)


class TiffBuilder:
    """Lays out TIFF directories by hand, so that the reader is not tested by its own kind."""

    def __init__(self, *, order: str = "<", magic: int = 42) -> None:
        self.order = order
        mark = b"II" if order == "<" else b"MM"
        self.data = bytearray(mark + struct.pack(order + "HI", magic, 0))

    def blob(self, content: bytes) -> int:
        """Append bytes and return their offset."""
        self.data += bytes(len(self.data) % 2)
        offset = len(self.data)
        self.data += content
        return offset

    def directory(self, tags: Mapping[int, Value], *, next_offset: int = 0) -> int:
        """Append a directory, its values before it, and return its offset."""
        rows = b""
        for tag, value in sorted(tags.items()):
            kind, count, content = _typed(value, self.order)
            slot = content.ljust(4, b"\0")
            if len(content) > 4:
                slot = struct.pack(self.order + "I", self.blob(content))
            rows += struct.pack(self.order + "HHI", tag, kind, count) + slot
        head = struct.pack(self.order + "H", len(tags))
        return self.blob(head + rows + struct.pack(self.order + "I", next_offset))

    def finish(self, first: int) -> bytes:
        """Point the header at the first directory."""
        struct.pack_into(self.order + "I", self.data, 4, first)
        return bytes(self.data)


def exif_block(
    main: Mapping[int, Value] | None = None,
    exif: Mapping[int, Value] | None = None,
    gps: Mapping[int, Value] | None = None,
    *,
    order: str = "<",
) -> bytes:
    """An EXIF block with its prefix, as a JPEG carries it."""
    builder = TiffBuilder(order=order)
    tags = dict(main or {})
    if exif is not None:
        tags[0x8769] = builder.directory(exif)
    if gps is not None:
        tags[0x8825] = builder.directory(gps)
    return b"Exif\0\0" + builder.finish(builder.directory(tags))


def cmyk_profile(lab: Mapping[tuple[int, int, int, int], tuple[float, float, float]]) -> bytes:
    """A CMYK printer profile: the Lab colour of each full or absent ink, blended in between."""
    grid = b""
    for index in range(16):
        inks = ((index >> 3) & 1, (index >> 2) & 1, (index >> 1) & 1, index & 1)
        light, a, b = lab[inks]
        grid += struct.pack(
            ">3H", *(round(v) for v in (light * 652.8, (a + 128) * 256, (b + 128) * 256))
        )
    unit = (65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    ramp = struct.pack(">2H", 0, 65535)
    table = struct.pack(">4s4xBBBx9i2H", b"mft2", 4, 3, 2, *unit, 2, 2) + ramp * 4 + grid + ramp * 3
    name = b"Test press\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78),
        b"cprt": b"text\0\0\0\0No copyright\0",
        b"wtpt": struct.pack(">4s4x3i", b"XYZ ", 63190, 65536, 54061),
        b"A2B0": table,
    }
    return assemble_profile(tags, device=b"prtr", space=b"CMYK", connection=b"Lab ")
