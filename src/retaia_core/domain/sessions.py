"""Live tokens and one-use tokens (protocol.md, *Actors and scopes*)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from attrs import field, frozen

from ..errors import ValidationFailed
from .actors import ActorKind
from .clients import ClientKind

ACCESS_TTL = timedelta(hours=1)
REFRESH_TTL = timedelta(days=30)
CLIENT_ID_MAX = 200


def digest_of(secret: str) -> str:
    """The SHA-256 (hex) under which a random secret is kept; it has too much chance in it to be guessed.

    >>> digest_of("token")[:8]
    '3c469e9d'
    """
    return hashlib.sha256(secret.encode()).hexdigest()


def parse_client_id(text: str) -> str:
    """Read the name that an interface gives itself; a person has one live token per such name.

    Raises:
        ValidationFailed: empty, longer than 200 characters, or with a character that is not printed.
    """
    if not (0 < len(text) <= CLIENT_ID_MAX and text.isprintable()):
        said = f"1 to {CLIENT_ID_MAX} printable characters"
        raise ValidationFailed(f"a client_id has {said}", client_id=said)
    return text


class Scope(StrEnum):
    """The scopes of the contract."""

    ASSETS_READ = "assets:read"
    ASSETS_WRITE = "assets:write"
    DECISIONS_WRITE = "decisions:write"
    JOBS_CLAIM = "jobs:claim"
    JOBS_HEARTBEAT = "jobs:heartbeat"
    JOBS_SUBMIT = "jobs:submit"
    BATCHES_EXECUTE = "batches:execute"
    PURGE_EXECUTE = "purge:execute"


SCOPES: Mapping[ActorKind, frozenset[Scope]] = {
    ActorKind.PERSON: frozenset(
        {
            Scope.ASSETS_READ,
            Scope.ASSETS_WRITE,
            Scope.DECISIONS_WRITE,
            Scope.BATCHES_EXECUTE,
            Scope.PURGE_EXECUTE,
        }
    ),
    ActorKind.AGENT: frozenset(
        {Scope.ASSETS_READ, Scope.JOBS_CLAIM, Scope.JOBS_HEARTBEAT, Scope.JOBS_SUBMIT}
    ),
    ActorKind.MCP: frozenset({Scope.ASSETS_READ}),
    ActorKind.SYSTEM: frozenset(),
}
"""What each kind of actor may be given."""


@frozen(kw_only=True)
class Claims:
    """What a bearer token says; it carries no personal data."""

    sub: str
    principal_type: ActorKind
    client_id: str
    client_kind: ClientKind
    scope: frozenset[Scope]
    jti: str
    exp: datetime


@frozen(kw_only=True)
class Session:
    """The one live token of ``(principal_id, client_id)``: saving another ends the one before it.

    ``principal_id`` is an account's id, or for a technical client its ``client_id``. ``refresh`` is the
    SHA-256 (hex) of the refresh token, which counts once.
    """

    principal_id: str
    client_id: str
    client_kind: ClientKind
    jti: str
    scope: frozenset[Scope]
    issued_at: datetime
    expires_at: datetime
    refresh: str | None = None
    refresh_expires_at: datetime | None = None

    @property
    def over_at(self) -> datetime:
        """When neither its token nor its refresh token opens anything any more."""
        return max(self.expires_at, self.refresh_expires_at or self.expires_at)


class Purpose(StrEnum):
    """What a one-use token is for."""

    VERIFY_EMAIL = "VERIFY_EMAIL"
    RESET_PASSWORD = "RESET_PASSWORD"
    SIGN_IN = "SIGN_IN"
    BULK_APPROVAL = "BULK_APPROVAL"
    SPENT_REFRESH = "SPENT_REFRESH"
    PREVIEW = "PREVIEW"


LIFETIMES: Mapping[Purpose, timedelta] = {
    Purpose.VERIFY_EMAIL: timedelta(hours=24),
    Purpose.RESET_PASSWORD: timedelta(hours=1),
    Purpose.SIGN_IN: timedelta(minutes=10),
    Purpose.PREVIEW: timedelta(hours=24),
}
"""How long what a person is sent or shown can be used."""


@frozen(kw_only=True)
class OneTime:
    """A one-use token: ``digest`` is the SHA-256 (hex) of what its holder was given.

    ``principal_id`` is whom it was made for, ``data`` plain JSON data that its use needs. Using it
    removes it, in the transaction of what it allowed.
    """

    digest: str
    purpose: Purpose
    principal_id: str
    expires_at: datetime
    data: Mapping[str, object] = field(factory=dict)
