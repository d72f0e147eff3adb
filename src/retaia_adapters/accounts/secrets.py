"""The secrets port, by libraries that are loaded when they are first needed: most commands need none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

from retaia_core.domain.sessions import Claims
from retaia_core.ports.secrets import Secrets

T = TypeVar("T")

AT_ONCE: Final = 2
"""Passwords hashed at once: each takes 64 MiB."""


class BuiltinSecrets(Secrets):
    """Argon2id in threads, HS256, time-based codes, QR codes."""

    def __init__(self) -> None:
        self._limiter = CapacityLimiter(AT_ONCE)

    async def hash_password(self, password: str) -> str:
        """An Argon2id hash in the PHC format."""
        from . import passwords

        return await self._away(lambda: passwords.hash_password(password))

    async def check_password(self, hashed: str | None, password: str) -> bool:
        """Whether it is the password of a hash."""
        from . import passwords

        return await self._away(lambda: passwords.check_password(hashed, password))

    async def _away(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    def sign(self, claims: Claims, key: bytes) -> str:
        """A compact JWS of the claims."""
        from . import tokens

        return tokens.sign(claims, key)

    def claims(self, token: str, key: bytes) -> Claims:
        """What a token says.

        Raises:
            Unauthorized: it is none of ours.
        """
        from . import tokens

        return tokens.read(token, key)

    def totp_secret(self) -> str:
        """160 bits of randomness, base32."""
        from . import codes

        return codes.secret()

    def totp_uri(self, secret: str, *, account: str, issuer: str) -> str:
        """The address that authenticator applications read."""
        from . import codes

        return codes.uri(secret, account=account, issuer=issuer)

    def qr_svg(self, text: str) -> str:
        """A QR code as an SVG document."""
        from . import codes

        return codes.qr_svg(text)

    def totp_step(self, secret: str, code: str, at: datetime) -> int | None:
        """The step that a code belongs to, or None."""
        from . import codes

        return codes.step(secret, code, at)
