"""Secrets by the standard library alone: as the port says, and fast rather than strong."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape

import anyio.lowlevel

from ..domain.actors import ActorKind
from ..domain.clients import ClientKind
from ..domain.sessions import Claims, Scope
from ..errors import Unauthorized
from ..ports.secrets import Secrets

_HEADER = {"alg": "HS256", "typ": "JWT"}


class PlainSecrets(Secrets):
    """Hashes passwords by one round of SHA-256: for tests, which sign in often.

    ``checked`` counts the passwords that were compared, also with nobody's.
    """

    def __init__(self) -> None:
        self.checked = 0

    async def hash_password(self, password: str) -> str:
        """A salted digest."""
        await anyio.lowlevel.checkpoint()
        return _hashed(os.urandom(8).hex(), password)

    async def check_password(self, hashed: str | None, password: str) -> bool:
        """Whether it is the password of a digest."""
        await anyio.lowlevel.checkpoint()
        self.checked += 1
        salt = (hashed or "$").split("$")[0]
        return hmac.compare_digest((hashed or "").encode(), _hashed(salt, password).encode())

    def sign(self, claims: Claims, key: bytes) -> str:
        """A compact JWS."""
        said = {
            "iss": "retaia",
            "sub": claims.sub,
            "principal_type": claims.principal_type,
            "client_id": claims.client_id,
            "client_kind": claims.client_kind,
            "scope": " ".join(sorted(claims.scope)),
            "jti": claims.jti,
            "exp": int(claims.exp.timestamp()),
        }
        signed = f"{_encoded(_HEADER)}.{_encoded(said)}"
        return f"{signed}.{_signature(signed, key)}"

    def claims(self, token: str, key: bytes) -> Claims:
        """What a token says.

        Raises:
            Unauthorized: it is none of ours.
        """
        try:
            return _read(token, key)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unauthorized("the bearer token is not valid here") from error

    def totp_secret(self) -> str:
        """160 bits, base32."""
        return base64.b32encode(os.urandom(20)).decode()

    def totp_uri(self, secret: str, *, account: str, issuer: str) -> str:
        """The address that authenticator applications read."""
        said = urlencode({"secret": secret, "issuer": issuer})
        return f"otpauth://totp/{quote(issuer)}:{quote(account)}?{said}"

    def qr_svg(self, text: str) -> str:
        """An SVG document that says the text instead of drawing it."""
        return f'<svg xmlns="http://www.w3.org/2000/svg"><desc>{escape(text)}</desc></svg>'

    def totp_step(self, secret: str, code: str, at: datetime) -> int | None:
        """The step of a code, or None."""
        now = int(at.timestamp()) // 30
        steps = (step for step in (now + 1, now, now - 1) if step >= 0)
        return next((step for step in steps if totp_code(secret, step) == code), None)


def totp_code(secret: str, step: int) -> str:
    """The code of a step (RFC 6238: SHA-1, six digits), as a person's device shows it.

    >>> totp_code("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", 1)
    '287082'
    """
    digest = hmac.digest(base64.b32decode(secret), step.to_bytes(8, "big"), "sha1")
    at = digest[-1] & 15
    number = int.from_bytes(digest[at : at + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**6:06}"


def _hashed(salt: str, password: str) -> str:
    return f"{salt}${hashlib.sha256((salt + password).encode()).hexdigest()}"


def _encoded(document: object) -> str:
    return _text(json.dumps(document).encode())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))


def _signature(signed: str, key: bytes) -> str:
    return _text(hmac.digest(key, signed.encode(), "sha256"))


def _read(token: str, key: bytes) -> Claims:
    header, body, signature = token.split(".")
    mine = _signature(f"{header}.{body}", key)
    said: dict[str, Any] = json.loads(_raw(body))
    alike = hmac.compare_digest(signature.encode(), mine.encode())
    if not alike or json.loads(_raw(header))["alg"] != "HS256" or said["iss"] != "retaia":
        raise ValueError("not ours")
    if not all(isinstance(said[name], str) for name in ("sub", "client_id", "scope", "jti")):
        raise TypeError("a text is expected")
    return Claims(
        sub=said["sub"],
        principal_type=ActorKind(said["principal_type"]),
        client_id=said["client_id"],
        client_kind=ClientKind(said["client_kind"]),
        scope=frozenset(Scope(one) for one in said["scope"].split()),
        jti=said["jti"],
        exp=datetime.fromtimestamp(said["exp"], UTC),
    )
