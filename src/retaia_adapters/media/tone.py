"""Wide and bright colours brought to what every screen shows, as a table for the ``lut3d`` filter.

The curve keeps shadows as they are and bends highlights, so that nothing is clipped and diffuse white
(203 cd/m², ITU-R BT.2408) comes out at three quarters of the signal. Hues are kept: the largest of the
three components decides how far all of them are turned down. Colours outside bt709 lose saturation.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from .frames import HLG, PQ

_SIZE = 33
_WHITE = 203.0
_HLG_PEAK = 1000.0
_PQ_PEAK = 10_000.0
_DISPLAY_GAMMA = 2.4
# Linear light from BT.2020 to bt709 (ITU-R BT.2087).
_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593])
_LUMA_709 = np.array([0.2126, 0.7152, 0.0722])

Colors = npt.NDArray[np.float64]


@lru_cache(maxsize=3)
def cube(transfer: int) -> str:
    """The table, in the text form of a .cube file, for BT.2020 colours of a transfer (H.273).

    Transfers other than PQ and HLG are taken as those of an ordinary screen, and only the colours change.
    """
    steps = np.linspace(0, 1, _SIZE)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    signal = np.stack([red, green, blue], axis=-1).reshape(-1, 3)
    lines = (f"{r:.5f} {g:.5f} {b:.5f}" for r, g, b in toned(signal, transfer).tolist())
    return "\n".join((f"LUT_3D_SIZE {_SIZE}", *lines, ""))


def toned(signal: Colors, transfer: int) -> Colors:
    """Map BT.2020 signals (rows of red, green, blue, 0..1) to bt709 signals (0..1)."""
    light = _within_709(_light(signal, transfer) @ _TO_709.T)
    largest = np.maximum(light.max(axis=1, keepdims=True), 1e-9)
    shown = light * (_bent(largest, transfer) / largest)
    return np.asarray(np.clip(shown, 0, 1) ** (1 / _DISPLAY_GAMMA))


def _light(signal: Colors, transfer: int) -> Colors:
    """Linear light on a display, 1 being diffuse white."""
    if transfer == PQ:
        return _pq_light(signal) / _WHITE
    if transfer == HLG:
        return _hlg_light(signal) / _WHITE
    return np.asarray(signal**_DISPLAY_GAMMA)


def _pq_light(signal: Colors) -> Colors:
    """SMPTE ST 2084, in cd/m²."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = signal ** (1 / m2)
    return np.asarray(10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1))


def _hlg_light(signal: Colors) -> Colors:
    """ITU-R BT.2100 on a display of 1000 cd/m², in cd/m²."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luma = np.maximum(scene @ _LUMA_2020, 1e-9)[:, None]
    return np.asarray(_HLG_PEAK * luma**0.2 * scene)


def _within_709(light: Colors) -> Colors:
    """Take saturation from colours that bt709 cannot have, just as much as it needs."""
    luma = (light @ _LUMA_709)[:, None]
    smallest = light.min(axis=1, keepdims=True)
    keep = np.where(smallest < 0, luma / np.maximum(luma - smallest, 1e-9), 1.0)
    return np.asarray(luma + (light - luma) * keep)


def _bent(light: Colors, transfer: int) -> Colors:
    """Bend highlights so that the brightest light is 1 (Reinhard's curve with a white point)."""
    if transfer not in {PQ, HLG}:
        return np.minimum(light, 1)
    peak = (_PQ_PEAK if transfer == PQ else _HLG_PEAK) / _WHITE
    return light * (1 + light / peak**2) / (1 + light)
