"""A harbour to point a camera at: sky, hills, sea, a lighthouse and a boat that moves with the time."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
from attrs import define, frozen
from PIL import Image, ImageDraw

Color = tuple[int, int, int]
Plane = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]

HORIZON = 0.55
"""Where sky and sea meet, as a share of the height from the top."""

_SMOOTH = 4


@frozen(kw_only=True)
class Light:
    """An hour of the day: colours from top to bottom, and where the sun stands (shares of the picture)."""

    sky: tuple[Color, Color]
    sea: tuple[Color, Color]
    sun: Color
    sun_at: tuple[float, float]
    land: Color


DAWN = Light(
    sky=((92, 116, 168), (250, 196, 160)),
    sea=((222, 172, 152), (44, 70, 104)),
    sun=(255, 214, 170),
    sun_at=(0.30, 0.48),
    land=(86, 86, 112),
)
NOON = Light(
    sky=((58, 128, 204), (190, 222, 240)),
    sea=((96, 168, 190), (18, 78, 112)),
    sun=(255, 252, 232),
    sun_at=(0.72, 0.12),
    land=(84, 116, 96),
)
DUSK = Light(
    sky=((38, 34, 82), (244, 128, 72)),
    sea=((210, 108, 78), (24, 22, 52)),
    sun=(255, 176, 96),
    sun_at=(0.62, 0.50),
    land=(48, 38, 68),
)
NIGHT = Light(
    sky=((6, 10, 28), (34, 46, 82)),
    sea=((30, 42, 74), (4, 8, 20)),
    sun=(206, 216, 236),
    sun_at=(0.22, 0.18),
    land=(12, 16, 30),
)


@define
class Harbour:
    """One view of the harbour, ``size`` in pixels (width, height)."""

    size: tuple[int, int]
    light: Light

    def at(self, seconds: float) -> Picture:
        """The picture at a time: waves run, the boat sails and bobs."""
        width, height = self.size
        ground = self._still + self._waves(seconds)[..., None]
        image = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
        boat = self._boat
        x = 0.12 + 0.035 * seconds
        y = HORIZON + 0.20 + 0.006 * np.sin(2.1 * seconds)
        corner = (round(x * width), round(y * height) - boat.height)
        image.paste(boat, corner, boat)
        return np.asarray(image)

    @cached_property
    def _grid(self) -> tuple[Plane, Plane]:
        width, height = self.size
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        return x / width, y / height

    @cached_property
    def _still(self) -> Plane:
        """Everything that stands still, as numbers 0..255."""
        x, y = self._grid
        sky = _blend(self.light.sky, y / HORIZON) + self._glow
        hills = HORIZON - 0.05 - 0.035 * np.sin(7 * x + 0.6) - 0.012 * np.sin(23 * x)
        sky = np.where((y > hills)[..., None], np.asarray(self.light.land, np.float32), sky)
        sea = _blend(self.light.sea, (y - HORIZON) / (1 - HORIZON))
        ground = np.where((y < HORIZON)[..., None], sky, sea)
        image = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
        tower = self._lighthouse
        corner = (round(0.84 * self.size[0]), round((HORIZON + 0.04) * self.size[1]) - tower.height)
        image.paste(tower, corner, tower)
        return np.asarray(image, np.float32)

    @cached_property
    def _glow(self) -> Plane:
        x, y = self._grid
        aspect = self.size[0] / self.size[1]
        dx, dy = (x - self.light.sun_at[0]) * aspect, y - self.light.sun_at[1]
        far = np.sqrt(dx * dx + dy * dy)
        strength = np.clip((0.055 - far) * 60, 0, 1) + 0.45 * np.exp(-far * 6)
        return np.asarray(strength[..., None] * np.asarray(self.light.sun), np.float32)

    def _waves(self, seconds: float) -> Plane:
        """Brightness that waves add, finer towards the horizon; strongest below the sun."""
        x, y = self._grid
        depth = np.maximum(y - HORIZON, 0.004)
        rows = np.sin(5.5 / depth + 2.4 * seconds + 5 * np.sin(9 * x))
        runs = np.sin(60 * x + 3.1 * seconds + 40 * depth)
        road = np.exp(-(((x - self.light.sun_at[0]) / (0.03 + 0.5 * depth)) ** 2))
        waves = 9 * rows + 70 * road * np.maximum(rows * runs, 0)
        return np.where(y > HORIZON, waves, 0).astype(np.float32)

    @cached_property
    def _boat(self) -> Image.Image:
        unit = self.size[1]
        sprite, draw = _sprite(round(0.30 * unit), round(0.34 * unit))
        w, h = sprite.size
        hull = [(0.06, 0.80), (0.94, 0.80), (0.80, 0.97), (0.18, 0.97)]
        draw.polygon(_scaled(hull, w, h), fill=(122, 36, 40, 255))
        draw.polygon(
            _scaled([(0.06, 0.80), (0.94, 0.80), (0.92, 0.84), (0.08, 0.84)], w, h),
            fill=(236, 230, 216, 255),
        )
        draw.line(
            _scaled([(0.48, 0.80), (0.48, 0.03)], w, h), fill=(60, 46, 40, 255), width=w // 50
        )
        draw.polygon(
            _scaled([(0.51, 0.06), (0.90, 0.74), (0.51, 0.74)], w, h), (246, 240, 226, 255)
        )
        draw.polygon(
            _scaled([(0.45, 0.14), (0.45, 0.74), (0.12, 0.74)], w, h), (224, 214, 196, 255)
        )
        return _reduced(sprite)

    @cached_property
    def _lighthouse(self) -> Image.Image:
        unit = self.size[1]
        sprite, draw = _sprite(round(0.16 * unit), round(0.42 * unit))
        w, h = sprite.size
        draw.polygon(_scaled([(0, 1), (0.18, 0.88), (0.82, 0.88), (1, 1)], w, h), self.light.land)
        for stripe in range(5):
            top, low = 0.24 + stripe * 0.13, 0.37 + stripe * 0.13
            left, right = 0.36 - 0.12 * top, 0.64 + 0.12 * top
            paint = (196, 52, 48, 255) if stripe % 2 else (238, 234, 226, 255)
            draw.polygon(
                _scaled(
                    [(left, top), (right, top), (right + 0.015, low), (left - 0.015, low)], w, h
                ),
                fill=paint,
            )
        draw.rectangle(_scaled([(0.38, 0.14), (0.62, 0.24)], w, h), fill=(255, 232, 150, 255))
        draw.polygon(_scaled([(0.32, 0.14), (0.5, 0.04), (0.68, 0.14)], w, h), (70, 30, 34, 255))
        return _reduced(sprite)


def _blend(colors: tuple[Color, Color], share: Plane) -> Plane:
    first, last = (np.asarray(color, np.float32) for color in colors)
    part = np.clip(share, 0, 1)[..., None]
    return (first * (1 - part) + last * part).astype(np.float32)


def _sprite(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    sprite = Image.new("RGBA", (width * _SMOOTH, height * _SMOOTH), (0, 0, 0, 0))
    return sprite, ImageDraw.Draw(sprite)


def _scaled(points: list[tuple[float, float]], w: int, h: int) -> list[tuple[float, float]]:
    return [(x * w, y * h) for x, y in points]


def _reduced(sprite: Image.Image) -> Image.Image:
    size = (sprite.width // _SMOOTH, sprite.height // _SMOOTH)
    return sprite.resize(size, Image.Resampling.LANCZOS)
