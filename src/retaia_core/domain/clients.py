"""Technical clients and the device flow by which they get their secret (protocol.md, *Actors and scopes*)."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from attrs import frozen

from .actors import ActorKind

DEVICE_TTL = timedelta(minutes=10)
DEVICE_INTERVAL_S = 5
USER_CODE_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels and nothing that looks like something else: a person reads it from another screen."""


class ClientKind(StrEnum):
    """What a client is; the interfaces belong to a person, the others are technical."""

    UI_WEB = "UI_WEB"
    UI_MOBILE = "UI_MOBILE"
    AGENT = "AGENT"
    MCP = "MCP"

    @property
    def is_technical(self) -> bool:
        """Whether it has a secret of its own and acts for itself."""
        return self in (ClientKind.AGENT, ClientKind.MCP)

    @property
    def actor_kind(self) -> ActorKind:
        """Who acts through such a client."""
        return ActorKind(self.value) if self.is_technical else ActorKind.PERSON


@frozen(kw_only=True)
class Client:
    """A technical client. ``secret`` is the SHA-256 (hex) of a random secret, which is shown once."""

    client_id: str
    kind: ClientKind
    label: str
    secret: str
    created_at: datetime
    created_by: str
    rotated_at: datetime | None = None
    revoked_at: datetime | None = None


class DeviceStatus(StrEnum):
    """``PENDING → APPROVED | DENIED``; time makes any of them ``EXPIRED``."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    DENIED = "DENIED"
    EXPIRED = "EXPIRED"


@frozen(kw_only=True)
class DeviceGrant:
    """One run of the device flow; ``digest`` is the SHA-256 (hex) of the device code.

    The client is made, and its secret shown, by the first poll after the approval; then the grant is
    gone, so that the secret never lies anywhere.
    """

    digest: str
    user_code: str
    kind: ClientKind
    label: str
    created_at: datetime
    expires_at: datetime
    status: DeviceStatus = DeviceStatus.PENDING
    approved_by: str | None = None
    polled_at: datetime | None = None
