"""What a microphone in the harbour hears, and a little tune; one row of samples for each channel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
"""Channels by time; 1.0 is full scale."""

RATE = 48_000
_TUNE = (220.0, 261.63, 329.63, 440.0, 392.0, 329.63, 261.63, 246.94)


def sea(seconds: float, *, seed: int = 1) -> Samples:
    """Surf and two gulls, in stereo."""
    count = round(seconds * RATE)
    times = np.arange(count) / RATE
    noise = np.random.default_rng(seed).standard_normal((2, count))
    soft = np.stack([np.convolve(row, np.ones(48) / 48, "same") for row in noise])
    swell = 0.35 + 0.30 * np.sin(2 * np.pi * times / 3.5 + np.array([[0.0], [0.6]])) ** 2
    gulls = sum(_gull(times, at) for at in (0.8, 0.45 * seconds + 0.9))
    return np.asarray(soft * swell + gulls * np.array([[0.7], [0.4]]), np.float32)


def _gull(times: npt.NDArray[np.float64], start: float) -> npt.NDArray[np.float64]:
    """A falling cry of 0.4 s."""
    into = np.clip((times - start) / 0.4, 0, 1)
    return 0.12 * np.sin(np.pi * into) * np.sin(2 * np.pi * (1900 - 500 * into) * (times - start))


def tune(seconds: float) -> Samples:
    """Plucked notes over a low one, in stereo."""
    count = round(seconds * RATE)
    times = np.arange(count) / RATE
    sound = 0.10 * np.sin(2 * np.pi * 110 * times)
    for number in range(int(seconds / 0.3)):
        since = np.maximum(times - 0.3 * number, 0)
        pitch = _TUNE[number % len(_TUNE)]
        pluck = sum(np.sin(2 * np.pi * pitch * k * since) / k**2 for k in (1, 2, 3))
        sound = sound + 0.22 * np.exp(-5 * since) * pluck * (since > 0)
    side = 0.85 + 0.15 * np.sin(2 * np.pi * times / 4)
    return np.asarray([sound * side, sound * (1.7 - side)], np.float32)
