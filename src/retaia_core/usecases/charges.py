"""Attempts that are counted before they are judged: judging takes long, and many may come at once.

Whatever is found to be no wrong attempt after all is given back.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from attrs import frozen

from ..domain.throttling import FREE_ATTEMPTS, FREE_PER_ADDRESS, failed, forgiven, seconds_left
from ..errors import TooManyAttempts
from ..ports.store import Transaction
from .attempts import attempt_key


@frozen(kw_only=True, order=True)
class Limit:
    """Under which key attempts are counted, and from which number on they have to wait."""

    key: str
    free: int = FREE_ATTEMPTS


def per_address(what: str, address: str) -> Limit:
    """The limit of everybody who calls from one network address."""
    return Limit(key=attempt_key(f"{what}-from", address), free=FREE_PER_ADDRESS)


def charge(tx: Transaction, limits: Iterable[Limit], now: datetime) -> None:
    """Count one attempt under each limit, unless one of them makes it wait; then nothing is counted.

    Raises:
        TooManyAttempts: ``details`` has ``retry_after_s``.
    """
    ordered = sorted(limits)  # the same order everywhere, so that no two wait for each other
    known = {limit: tx.throttle(limit.key) for limit in ordered}
    left = max(seconds_left(throttle, now) for throttle in known.values())
    if left:
        said = f"too many attempts were wrong; the next one counts in {left} s"
        raise TooManyAttempts(said, retry_after_s=left)
    for limit, throttle in known.items():
        tx.save_throttle(failed(throttle, key=limit.key, now=now, free=limit.free))


def give_back(tx: Transaction, limits: Iterable[Limit]) -> None:
    """Take one attempt off each limit."""
    for limit in sorted(limits):
        known = tx.throttle(limit.key)
        less = None if known is None else forgiven(known, limit.free)
        if less is None:
            tx.drop_throttle(limit.key)
        else:
            tx.save_throttle(less)
