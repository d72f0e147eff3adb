"""The thumbnail of a sound: its cover picture, else its waveform drawn (domain.md, *Derived files*)."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageOps

from retaia_core.ports.processor import DerivedFile

from .photo_color import to_srgb
from .problems import RenderingProblem, problem_of

KIND = "thumb"
WIDTH, HEIGHT = 480, 270

_MOST_PIXELS = 100_000_000
_QUALITY = 85
_SCALE = 4
_MARGIN = 24
_BACKGROUND = ((24, 28, 38), (12, 14, 20))
_BAR = ((94, 214, 196), (72, 132, 232))
_LINE = (44, 50, 66)


class NoPicture(Exception):
    """A cover cannot be shown; the message says why."""


def cover_picture(cover: bytes) -> Image.Image:
    """Open a cover: upright, sRGB, 480 px wide where it has as many, never enlarged.

    Raises:
        NoPicture: it is no picture, is damaged, or is larger than 100 million pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(
                io.BytesIO(cover), formats=["JPEG", "PNG", "WEBP", "GIF", "BMP"]
            ) as file:
                return _prepared(file)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise NoPicture(f"the cover picture cannot be used: {error}") from error


def _prepared(file: Image.Image) -> Image.Image:
    if file.width * file.height > _MOST_PIXELS:
        raise NoPicture(f"the cover picture is too large: {file.width} x {file.height} pixels")
    # A JPEG is decoded at half or a quarter of its size where that is enough.
    file.draft(None, (WIDTH * 2, WIDTH * 2))
    icc = file.info.get("icc_profile")
    image = ImageOps.exif_transpose(file)
    if image.mode not in {"RGB", "L", "CMYK"}:
        image = _flattened(image)
    image, _ = to_srgb(image, icc)
    if image.width > WIDTH:
        height = max(1, round(image.height * WIDTH / image.width))
        image = image.resize((WIDTH, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return image


def _flattened(image: Image.Image) -> Image.Image:
    """Put a transparent picture on white; bring palettes and the like to RGB."""
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB")


def drawn_waveform(peaks: npt.NDArray[np.float64]) -> Image.Image:
    """Draw peaks as a row of rounded bars, 480 x 270 px; the loudest one fills the height.

    ``peaks`` has one value, 0..1, for each bar. A silent recording is a line.
    """
    width, height = WIDTH * _SCALE, HEIGHT * _SCALE
    image = _gradient(*_BACKGROUND, width, height)
    mask = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(mask)
    middle, margin = height / 2, _MARGIN * _SCALE
    step = (width - 2 * margin) / len(peaks)
    radius = step * 0.3
    loudest = max(float(peaks.max()), 1e-9)
    for bar, peak in enumerate(peaks):
        centre = margin + step * (bar + 0.5)
        half = max(radius, (middle - margin) * float(peak) / loudest)
        box = (centre - radius, middle - half, centre + radius, middle + half)
        draw.rounded_rectangle(box, radius=radius, fill=255)
    line = Image.new("RGB", (width - 2 * margin, _SCALE), _LINE)
    image.paste(line, (margin, int(middle) - _SCALE // 2))
    image.paste(_gradient(*_BAR, width, height), mask=mask)
    return image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def _gradient(
    top: tuple[int, int, int], bottom: tuple[int, int, int], width: int, height: int
) -> Image.Image:
    column = np.linspace(np.array(top), np.array(bottom), height).round().astype(np.uint8)
    rows = np.broadcast_to(column[:, None, :], (height, width, 3))
    return Image.fromarray(np.ascontiguousarray(rows), "RGB")


def save_thumb(image: Image.Image, workspace: Path) -> DerivedFile:
    """Save a picture as the thumbnail, without metadata.

    Raises:
        RenderingProblem: it could not be written.
    """
    path, part = workspace / f"{KIND}.jpg", workspace / f".{KIND}.jpg.part"
    try:
        image.save(part, format="JPEG", quality=_QUALITY, optimize=True)
        part.replace(path)
    except (OSError, ValueError) as error:
        raise problem_of(error, RenderingProblem) from error
    finally:
        part.unlink(missing_ok=True)
    return DerivedFile(kind=KIND, path=path, content_type="image/jpeg")
