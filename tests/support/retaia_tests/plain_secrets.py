"""Secrets without cryptography, for tests of what is done with them."""

from __future__ import annotations

from datetime import datetime

from attrs import define, field

from retaia_core.domain.sessions import Claims
from retaia_core.errors import Unauthorized
from retaia_core.ports.secrets import Secrets

RIGHT_CODE = "123456"


@define
class PlainSecrets(Secrets):
    """Hashes by a prefix, signs by remembering, and knows one one-time code."""

    signed: dict[str, Claims] = field(factory=dict)

    async def hash_password(self, password: str) -> str:
        return f"hash of {password}"

    async def check_password(self, hashed: str | None, password: str) -> bool:
        return hashed == f"hash of {password}"

    def sign(self, claims: Claims, key: bytes) -> str:
        self.signed[claims.jti] = claims
        return claims.jti

    def claims(self, token: str, key: bytes) -> Claims:
        if token not in self.signed:
            raise Unauthorized("the bearer token is not valid here")
        return self.signed[token]

    def totp_secret(self) -> str:
        return "SECRET"

    def totp_uri(self, secret: str, *, account: str, issuer: str) -> str:
        return f"otpauth://totp/{issuer}:{account}?secret={secret}"

    def qr_svg(self, text: str) -> str:
        return f"<svg><desc>{text}</desc></svg>"

    def totp_step(self, secret: str, code: str, at: datetime) -> int | None:
        return int(at.timestamp()) // 30 if code == RIGHT_CODE else None
