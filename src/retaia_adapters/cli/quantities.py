"""Quantities as a person writes them: bytes, rates, spans of time."""

from __future__ import annotations

import re
from datetime import timedelta

from retaia_core.errors import SettingsError

_BYTES = {"": 1, "B": 1}
for _power, _prefix in enumerate("KMGTP", start=1):
    _BYTES |= {f"{_prefix}B": 1000**_power, f"{_prefix}IB": 1024**_power}
_SECONDS = {"S": 1, "M": 60, "H": 3600, "D": 86400, "W": 604800}


def _parsed(text: str, units: dict[str, int], example: str) -> float:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text, re.ASCII)
    unit = units.get(found[2].upper()) if found else None
    if found is None or unit is None:
        raise SettingsError(f"{text!r} is no quantity; write it like {example}")
    return float(found[1]) * unit


def bytes_of(text: str) -> int:
    """Read a number of bytes.

    >>> bytes_of("200GB"), bytes_of("1.5 MiB"), bytes_of("17")
    (200000000000, 1572864, 17)

    Raises:
        SettingsError: it is none.
    """
    return int(_parsed(text, _BYTES, "200GB, 1.5TiB or 1000000"))


def rate_of(text: str) -> int:
    """Read a number of bytes a second; 0 is no limit.

    >>> rate_of("50MB/s"), rate_of("50MB")
    (50000000, 50000000)

    Raises:
        SettingsError: it is none.
    """
    return bytes_of(re.sub(r"/s\s*\Z", "", text))


def span_of(text: str) -> timedelta:
    """Read a span of time.

    >>> span_of("30d").days, span_of("12h").seconds
    (30, 43200)

    Raises:
        SettingsError: it is none, or longer than 100 years.
    """
    seconds = _parsed(text, _SECONDS, "30d, 12h or 2w")
    if seconds > 100 * 366 * 86400:
        raise SettingsError(f"{text!r} is longer than anything that was ever verified")
    return timedelta(seconds=seconds)
