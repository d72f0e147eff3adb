"""Attempts that may be wrong: each wrong one in a row makes the next wait longer (protocol.md, lock-out)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from attrs import frozen

from ..domain.sessions import digest_of
from ..domain.throttling import failed, seconds_left
from ..errors import Refused, TooManyAttempts
from ..ports.clock import Clock
from ..ports.store import Store, Transaction

T = TypeVar("T")


def attempt_key(what: str, *of: str) -> str:
    """The key under which attempts are counted; of whom they are is kept as a digest only.

    >>> attempt_key("login", "ana@example.org")[:14]
    'login:86b9260a'
    """
    return f"{what}:{digest_of(chr(10).join(of))}"


@frozen(kw_only=True)
class _Wrong:
    """The error of an attempt that was wrong."""

    error: Refused


@frozen(kw_only=True)
class _Right(Generic[T]):
    """The result of an attempt that was right."""

    result: T


@frozen(kw_only=True)
class Attempts:
    """Counts attempts; those of one key are served one after the other."""

    store: Store
    clock: Clock

    async def run(
        self, key: str, work: Callable[[Transaction], T], *, wrong: tuple[type[Refused], ...]
    ) -> T:
        """Do a transaction unless its key is locked out; being right forgets the wrong ones before.

        ``wrong`` are the errors that count as a wrong attempt; ``work`` raises them before it writes.

        Raises:
            TooManyAttempts: too many were wrong; ``details`` has ``retry_after_s``.
        """

        def transaction(tx: Transaction) -> _Right[T] | _Wrong:
            now, known = self.clock.now(), tx.throttle(key)
            left = seconds_left(known, now)
            if left:
                said = f"too many attempts were wrong; the next one counts in {left} s"
                raise TooManyAttempts(said, retry_after_s=left)
            try:
                result = work(tx)
            except wrong as error:
                tx.save_throttle(failed(known, key=key, now=now))
                return _Wrong(error=error)
            if known is not None:
                tx.drop_throttle(key)
            return _Right(result=result)

        done = await self.store.transact(transaction)
        if isinstance(done, _Wrong):
            raise done.error
        return done.result
