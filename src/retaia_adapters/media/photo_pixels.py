"""What is done to decoded pixels: fewer of them, eight bits each, opaque, upright."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import frozen
from PIL import Image, ImageChops

BACKGROUND = (217, 217, 217)
"""What shows through transparent parts: a light grey, on which black and white can both be seen."""

_STRIP_PIXELS = 4 << 20
_REDUCING_GAP = 2
_WORKING = {
    "1": "L",
    "L": "L",
    "La": "LA",
    "LA": "LA",
    "PA": "RGBA",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
    "CMYK": "CMYK",
    "LAB": "LAB",
}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
Convert = Callable[[Image.Image], Image.Image]


@frozen
class Pixels:
    """A picture in its own colours (L, RGB, CMYK or LAB), and its opacity where it has one."""

    base: Image.Image
    alpha: Image.Image | None = None


def reduced(image: Image.Image, size: tuple[int, int], notes: list[str]) -> Pixels:
    """Convert to eight bits and scale down to ``size``, strip by strip."""
    convert, mode = _conversion(image, notes)
    factor = max(1, min(image.width // size[0], image.height // size[1]) // _REDUCING_GAP)
    small = Image.new(mode, (-(-image.width // factor), -(-image.height // factor)))
    rows = max(1, _STRIP_PIXELS // image.width // factor) * factor
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        small.paste(convert(strip).reduce(factor), (0, top // factor))
    if small.size != size:
        small = small.resize(size, Image.Resampling.LANCZOS)
    if mode in ("LA", "RGBA"):
        return Pixels(small.convert(mode[:-1]), small.getchannel("A"))
    return Pixels(small)


def _conversion(image: Image.Image, notes: list[str]) -> tuple[Convert, str]:
    if image.mode.startswith("I") or image.mode == "F":
        return _deep(image, notes), "L"
    transparent = image.info.get("transparency") is not None
    mode = _WORKING.get(image.mode, "RGBA" if transparent and image.mode != "RGB" else "RGB")
    if transparent and mode in ("L", "RGB"):
        mode = {"L": "LA", "RGB": "RGBA"}[mode]
    return (lambda strip: strip.convert(mode)), mode


def _deep(image: Image.Image, notes: list[str]) -> Convert:
    """How to bring more than eight bits of grey down to eight."""
    inverted = _white_is_zero(image)
    if image.mode.startswith("I;16"):
        low, high = 0.0, 65535.0
    else:
        low, high = _range(image, notes)

    def convert(strip: Image.Image) -> Image.Image:
        values = np.nan_to_num(np.asarray(strip).astype(np.float32), nan=low)
        scaled = np.clip((values - low) * (255 / (high - low)), 0, 255).round().astype(np.uint8)
        grey = Image.fromarray(scaled)
        return ImageChops.invert(grey) if inverted else grey

    return convert


def _white_is_zero(image: Image.Image) -> bool:
    """Pillow inverts such TIFFs itself at eight bits, and not above."""
    return getattr(image, "tag_v2", {}).get(262) == 0


def _range(image: Image.Image, notes: list[str]) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        values = np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
        finite = values[np.isfinite(values)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low >= 0 and high <= (1 if image.mode == "F" else 65535):
        return 0.0, 1.0 if image.mode == "F" else 65535.0
    notes.append("the file defines no range of brightness: darkest and brightest were stretched")
    return (low, high) if high > low else (min(low, 0.0) if np.isfinite(low) else 0.0, 1.0)


def flatten(image: Image.Image, alpha: Image.Image | None) -> Image.Image:
    """Lay a transparent picture on the background."""
    if alpha is None or alpha.getextrema() == (255, 255):
        return image
    return Image.composite(image, Image.new("RGB", image.size, BACKGROUND), alpha)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turn and mirror as EXIF's orientation (1 to 8) says."""
    turn = _TURNS.get(orientation)
    return image.transpose(turn) if turn is not None else image


def grey_rows_at_bottom(image: Image.Image) -> int:
    """Count the bottom rows that are nothing but middle grey: what a JPEG decoder fills in."""
    if image.mode not in ("L", "RGB"):
        return 0
    low, high = 0, image.height
    while low < high:  # the smallest height from which on all is grey
        middle = (low + high) // 2
        extrema = image.crop((0, middle, image.width, image.height)).getextrema()
        flat = extrema if image.mode == "RGB" else (extrema,)
        if all(pair == (128, 128) for pair in flat):
            high = middle
        else:
            low = middle + 1
    return image.height - high
