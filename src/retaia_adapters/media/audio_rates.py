"""Sample rates and bit rates of proxies (domain.md, *Derived files*)."""

from __future__ import annotations

PROXY_VIDEO_RATES = frozenset({44_100, 48_000})
BROWSER_RATES = frozenset({8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000})
"""Sample rates in Hz that every browser plays in AAC and MP3."""

_BITS_PER_CHANNEL = 96_000


def output_rate(source_rate: int, rates: frozenset[int] = PROXY_VIDEO_RATES) -> int:
    """Choose the sample rate of a proxy in Hz: the source's own where allowed, else its family's.

    >>> output_rate(44_100), output_rate(96_000), output_rate(88_200), output_rate(32_000)
    (44100, 48000, 44100, 48000)
    >>> output_rate(32_000, BROWSER_RATES)
    32000
    """
    if source_rate in rates:
        return source_rate
    return 44_100 if source_rate % 11_025 == 0 else 48_000


def output_bit_rate(rate: int, channels: int) -> int:
    """Choose the bit rate in bit/s: 96k a channel, less where the rate is low.

    >>> output_bit_rate(48_000, 2), output_bit_rate(44_100, 1), output_bit_rate(8_000, 1)
    (192000, 96000, 24000)
    """
    return min(_BITS_PER_CHANNEL, 3 * rate) * channels
