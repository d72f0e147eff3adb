"""Argon2id with the library's own parameters (RFC 9106, second choice)."""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER = PasswordHasher()


def hash_password(password: str) -> str:
    """A hash in the PHC format; it takes 64 MiB and a good part of a second."""
    return _HASHER.hash(password)


def check_password(hashed: str | None, password: str) -> bool:
    """Whether it is the password of a hash; a hash that is damaged is nobody's."""
    if hashed is None:
        _HASHER.hash(password)  # as long as a check takes
        return False
    try:
        return _HASHER.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False
