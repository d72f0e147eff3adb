"""The secrets port: Argon2id, signed tokens (HS256), time-based one-time passwords, QR codes."""

from __future__ import annotations

import hmac
import io
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TypeVar

import anyio.to_thread
import pyotp
import segno
from anyio import CapacityLimiter
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from retaia_core.domain.actors import ActorKind
from retaia_core.domain.clients import ClientKind
from retaia_core.domain.sessions import Claims, Scope
from retaia_core.errors import Unauthorized
from retaia_core.ports.secrets import Secrets

T = TypeVar("T")

ALGORITHM: Final = "HS256"
ISSUER: Final = "retaia"
AT_ONCE: Final = 2
"""Passwords hashed at once: each takes 64 MiB."""

STEP_SECONDS: Final = 30
DIGITS: Final = 6


class BuiltinSecrets(Secrets):
    """Passwords with the library's own parameters (RFC 9106, second choice), tokens as compact JWS."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._limiter = CapacityLimiter(AT_ONCE)

    async def hash_password(self, password: str) -> str:
        """An Argon2id hash in the PHC format."""
        return await self._away(lambda: self._hasher.hash(password))

    async def check_password(self, hashed: str | None, password: str) -> bool:
        """Whether it is the password of a hash; a hash that is damaged is nobody's."""
        return await self._away(lambda: self._matches(hashed, password))

    async def _away(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    def _matches(self, hashed: str | None, password: str) -> bool:
        if hashed is None:
            self._hasher.hash(password)  # as long as a check takes
            return False
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    def sign(self, claims: Claims, key: bytes) -> str:
        """A compact JWS of the claims."""
        said = {
            "iss": ISSUER,
            "sub": claims.sub,
            "principal_type": claims.principal_type.value,
            "client_id": claims.client_id,
            "client_kind": claims.client_kind.value,
            "scope": " ".join(sorted(claims.scope)),
            "jti": claims.jti,
            "exp": int(claims.exp.timestamp()),
        }
        header = {"alg": ALGORITHM, "typ": "JWT"}
        return jwt.encode(header, said, _key(key), algorithms=[ALGORITHM])

    def claims(self, token: str, key: bytes) -> Claims:
        """What a token says, once its signature, algorithm and issuer are ours.

        Raises:
            Unauthorized: they are not, or it is no token at all.
        """
        try:
            read = jwt.decode(token, _key(key), algorithms=[ALGORITHM])
            return _claims(read.claims)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise Unauthorized("the bearer token is not valid here") from error

    def totp_secret(self) -> str:
        """160 bits of randomness, base32."""
        return pyotp.random_base32()

    def totp_uri(self, secret: str, *, account: str, issuer: str) -> str:
        """The address that authenticator applications read."""
        return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=issuer)

    def qr_svg(self, text: str) -> str:
        """A QR code with a medium error correction, as an SVG document that scales."""
        document = io.BytesIO()
        segno.make_qr(text, error="m").save(
            document, kind="svg", scale=4, omitsize=True, xmldecl=False, nl=False
        )
        return document.getvalue().decode()

    def totp_step(self, secret: str, code: str, at: datetime) -> int | None:
        """The step that a code belongs to: the present one, the one before or the one after."""
        if not (len(code) == DIGITS and code.isascii() and code.isdigit()):
            return None
        totp, now = pyotp.TOTP(secret), int(at.timestamp()) // STEP_SECONDS
        steps = (step for step in (now - 1, now, now + 1) if step >= 0)
        found = [s for s in steps if hmac.compare_digest(totp.generate_otp(s), code)]
        return max(found, default=None)


@lru_cache(maxsize=4)
def _key(key: bytes) -> OctKey:
    return OctKey.import_key(key)


def _claims(said: Mapping[str, Any]) -> Claims:
    if said["iss"] != ISSUER:
        raise ValueError("another issuer")
    return Claims(
        sub=_text(said["sub"]),
        principal_type=ActorKind(said["principal_type"]),
        client_id=_text(said["client_id"]),
        client_kind=ClientKind(said["client_kind"]),
        scope=frozenset(Scope(one) for one in _text(said["scope"]).split()),
        jti=_text(said["jti"]),
        exp=datetime.fromtimestamp(_number(said["exp"]), UTC),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is expected")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("a whole number is expected")
    return value
