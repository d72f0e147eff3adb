"""Everything cryptographic about signing in: passwords, bearer tokens, one-time passwords."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from ..domain.sessions import Claims


class Secrets(Protocol):
    """Hashes, signs and checks; it keeps nothing."""

    async def hash_password(self, password: str) -> str:
        """An Argon2id hash with its parameters and salt; slow on purpose, away from the event loop."""
        ...

    async def check_password(self, hashed: str | None, password: str) -> bool:
        """Whether it is the password of a hash; None takes as long and is never right."""
        ...

    def sign(self, claims: Claims, key: bytes) -> str:
        """A bearer token (compact JWS) of some claims."""
        ...

    def claims(self, token: str, key: bytes) -> Claims:
        """What a bearer token says; its time is not looked at.

        Raises:
            Unauthorized: it is no token of ours: malformed, another algorithm, issuer or key.
        """
        ...

    def totp_secret(self) -> str:
        """A fresh shared secret, base32."""
        ...

    def totp_uri(self, secret: str, *, account: str, issuer: str) -> str:
        """The ``otpauth://`` address that an authenticator application reads."""
        ...

    def qr_svg(self, text: str) -> str:
        """A QR code as an SVG document."""
        ...

    def totp_step(self, secret: str, code: str, at: datetime) -> int | None:
        """The 30-second step that a code belongs to (the present one or a neighbour), or None."""
        ...
