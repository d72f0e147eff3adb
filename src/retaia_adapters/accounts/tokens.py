"""Bearer tokens: compact JWS, HS256 and nothing else, with the server's own issuer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from retaia_core.domain.actors import ActorKind
from retaia_core.domain.clients import ClientKind
from retaia_core.domain.sessions import Claims, Scope
from retaia_core.errors import Unauthorized

ALGORITHM: Final = "HS256"
ISSUER: Final = "retaia"
HEADER: Final[Mapping[str, Any]] = {"alg": ALGORITHM, "typ": "JWT"}
"""What a token of ours begins with: no other type, and no word about keys from elsewhere."""

_WRONG = (JoseError, ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError)
"""Whatever a text that is no token of ours leads to: times beyond the calendar, endless nesting too."""


@lru_cache(maxsize=4)
def _key(key: bytes) -> OctKey:
    return OctKey.import_key(key)


def sign(claims: Claims, key: bytes) -> str:
    """A token of the claims."""
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
    return jwt.encode({**HEADER}, said, _key(key), algorithms=[ALGORITHM])


def read(token: str, key: bytes) -> Claims:
    """What a token says, once its signature, header and issuer are ours.

    Raises:
        Unauthorized: they are not, or it is no token at all.
    """
    try:
        found = jwt.decode(token, _key(key), algorithms=[ALGORITHM])
        if found.header != HEADER:
            raise ValueError("another kind of token")
        return _claims(found.claims)
    except _WRONG as error:
        raise Unauthorized("the bearer token is not valid here") from error


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
