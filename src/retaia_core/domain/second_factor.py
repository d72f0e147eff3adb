"""A person's second factor: one-time codes, and recovery codes for when the device is lost."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from attrs import evolve

from ..errors import MfaAlreadyEnabled, MfaNotEnabled, StateConflict
from .accounts import Account, Totp
from .sessions import digest_of

ISSUER = "Retaia"
RECOVERY_CODES = 10


def recovery_code(chance: str) -> str:
    """A recovery code out of fresh randomness: 16 characters of base32, 80 bits.

    >>> recovery_code("some randomness")
    'HMQX-CEC7-4Q5E-D7MX'
    """
    text = base64.b32encode(hashlib.sha256(chance.encode()).digest()).decode()
    return "-".join(text[n : n + 4] for n in range(0, 16, 4))


def recovery_digest(code: str) -> str:
    """The digest of a code as people type it: case, spaces and dashes do not matter.

    >>> recovery_digest("ab cd-ef") == recovery_digest("ABCDEF")
    True
    """
    return digest_of("".join(c for c in code.upper() if c.isalnum()))


def set_up(account: Account, secret: str) -> Account:
    """The account with a secret that is not asked for yet; one that was never enabled is replaced.

    Raises:
        MfaAlreadyEnabled: a code is asked for already.
    """
    if account.mfa_enabled:
        raise MfaAlreadyEnabled("the second factor is on already; switch it off first")
    return evolve(account, totp=Totp(secret=secret))


def to_enable(account: Account) -> Totp:
    """The second factor that waits to be enabled.

    Raises:
        MfaAlreadyEnabled: it is on.
        StateConflict: there is none; set it up first.
    """
    if account.mfa_enabled:
        raise MfaAlreadyEnabled("the second factor is on already")
    if account.totp is None:
        raise StateConflict("set the second factor up first")
    return account.totp


def enabled(account: Account, step: int, codes: Iterable[str]) -> Account:
    """The account once the person proved with the code of a step that their device has the secret."""
    totp = evolve(to_enable(account), enabled=True, last_step=step, recovery=_digests(codes))
    return evolve(account, totp=totp)


def enabled_totp(account: Account) -> Totp:
    """The second factor that is on.

    Raises:
        MfaNotEnabled: it is off.
    """
    if account.totp is None or not account.totp.enabled:
        raise MfaNotEnabled("the second factor is off")
    return account.totp


def without(account: Account) -> Account:
    """The account without a second factor."""
    return evolve(account, totp=None)


def with_codes(account: Account, codes: Iterable[str]) -> Account:
    """The account with new recovery codes; the old ones are good for nothing any more.

    Raises:
        MfaNotEnabled: it is off.
    """
    return evolve(account, totp=evolve(enabled_totp(account), recovery=_digests(codes)))


def step_used(account: Account, step: int | None) -> Account | None:
    """The account once the code of a step was used; None where the code is wrong or was used.

    A step counts once, and none before it counts any more.
    """
    totp = enabled_totp(account)
    if step is None or step <= totp.last_step:
        return None
    return evolve(account, totp=evolve(totp, last_step=step))


def code_used(account: Account, code: str) -> Account | None:
    """The account once a recovery code was used; None where it is none (any more)."""
    totp, digest = enabled_totp(account), recovery_digest(code)
    if digest not in totp.recovery:
        return None
    return evolve(account, totp=evolve(totp, recovery=totp.recovery - {digest}))


def _digests(codes: Iterable[str]) -> frozenset[str]:
    return frozenset(recovery_digest(code) for code in codes)
