"""Technical clients and the device flow by which they get their secret (protocol.md, *Actors and scopes*)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from attrs import evolve, frozen

from ..errors import (
    ExpiredDeviceCode,
    ForbiddenActor,
    SlowDown,
    StateConflict,
    ValidationFailed,
)
from .actors import ActorKind

UserCode = NewType("UserCode", str)

DEVICE_TTL = timedelta(minutes=10)
DEVICE_INTERVAL_S = 5
_INTERVAL = timedelta(seconds=DEVICE_INTERVAL_S)
LABEL_MAX = 80
USER_CODE_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels and nothing that looks like something else: a person reads it from another screen."""

_USER_CODE = re.compile(f"[{USER_CODE_ALPHABET}]{{8}}")
_BETWEEN = re.compile(r"[\s\-\u2010-\u2015\u2212]+")
"""What people put between the letters: spaces, and every dash that a keyboard may make of theirs."""


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


def technical(kind: ClientKind) -> ClientKind:
    """A kind that may have a secret of its own.

    Raises:
        ForbiddenActor: an interface; a person signs in there.
    """
    if not kind.is_technical:
        raise ForbiddenActor(f"{kind} is a person's interface and has no secret; sign in instead")
    return kind


def parse_label(text: str) -> str:
    """Read what a client calls itself; whoever approves it is shown this.

    Raises:
        ValidationFailed: longer than 80 characters, or with characters that cannot be seen.

    >>> parse_label(" studio Mac ")
    'studio Mac'
    """
    label = text.strip()
    if len(label) > LABEL_MAX or not label.isprintable():
        said = f"at most {LABEL_MAX} visible characters"
        raise ValidationFailed(f"a client's label has {said}", client_label=said)
    return label


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


def rotated(client: Client, secret: str, now: datetime) -> Client:
    """The client under the digest of another secret.

    Raises:
        ValidationFailed: it was revoked; a new client takes its place.
    """
    if client.revoked_at is not None:
        raise ValidationFailed("this client was revoked; connect it again", client_id="revoked")
    return evolve(client, secret=secret, rotated_at=now)


def revoked(client: Client, now: datetime) -> Client:
    """The client once it may not come back; a second time changes nothing."""
    return client if client.revoked_at is not None else evolve(client, revoked_at=now)


class DeviceStatus(StrEnum):
    """``PENDING → APPROVED | DENIED``; time makes any of them ``EXPIRED``."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    DENIED = "DENIED"
    EXPIRED = "EXPIRED"


class DeviceAct(StrEnum):
    """What a person (approve, deny) and the device (cancel, collect its secret) do to a grant."""

    APPROVE = "APPROVE"
    DENY = "DENY"
    CANCEL = "CANCEL"
    COLLECT = "COLLECT"


DEVICE_CHANGES: Mapping[tuple[DeviceStatus, DeviceAct], DeviceStatus | None] = {
    (DeviceStatus.PENDING, DeviceAct.APPROVE): DeviceStatus.APPROVED,
    (DeviceStatus.PENDING, DeviceAct.DENY): DeviceStatus.DENIED,
    (DeviceStatus.PENDING, DeviceAct.CANCEL): None,
    (DeviceStatus.APPROVED, DeviceAct.CANCEL): None,
    (DeviceStatus.APPROVED, DeviceAct.COLLECT): None,
}
"""Every legal change of a grant; None: it is gone, and its codes with it."""


@frozen(kw_only=True)
class DeviceGrant:
    """One run of the device flow; ``digest`` is the SHA-256 (hex) of the device code.

    ``label`` and ``address`` are what the device says of itself and where it called from, for whoever
    approves it. The client is made, and its secret shown, by the first poll after the approval; then
    the grant is gone, so that the secret never lies anywhere.
    """

    digest: str
    user_code: UserCode
    kind: ClientKind
    label: str
    created_at: datetime
    expires_at: datetime
    address: str = ""
    status: DeviceStatus = DeviceStatus.PENDING
    approved_by: str | None = None
    polled_at: datetime | None = None


def make_user_code(chance: str) -> UserCode:
    """The code that a person types, out of fresh randomness: 8 letters, 34 bits.

    >>> make_user_code("some randomness")
    'ZZPS-KQZS'
    """
    number = int.from_bytes(hashlib.sha256(chance.encode()).digest())
    letters = ""
    for _ in range(8):
        number, index = divmod(number, len(USER_CODE_ALPHABET))
        letters += USER_CODE_ALPHABET[index]
    return UserCode(f"{letters[:4]}-{letters[4:]}")


def parse_user_code(text: str) -> UserCode:
    """Read a code as people type it: case, spaces and dashes do not matter.

    Raises:
        ValidationFailed: it is not eight of the letters that codes are made of.

    >>> parse_user_code(" zzps kqzs")
    'ZZPS-KQZS'
    """
    letters = _BETWEEN.sub("", text).upper()
    if not _USER_CODE.fullmatch(letters):
        said = "eight letters, XXXX-XXXX, without vowels"
        raise ValidationFailed(f"this is no code of a device; it has {said}", user_code=said)
    return UserCode(f"{letters[:4]}-{letters[4:]}")


def standing(grant: DeviceGrant, now: datetime) -> DeviceStatus:
    """The status of a grant now: whatever was decided, it ends with its time."""
    return DeviceStatus.EXPIRED if now >= grant.expires_at else grant.status


def change(grant: DeviceGrant, act: DeviceAct, now: datetime) -> DeviceStatus | None:
    """What an act makes of a grant; None: it is gone.

    Raises:
        ExpiredDeviceCode: its time is over.
        StateConflict: the act is not open any more.
    """
    status = standing(grant, now)
    if status is DeviceStatus.EXPIRED:
        raise ExpiredDeviceCode("this code is over its time; start again on the device")
    if (status, act) not in DEVICE_CHANGES:
        open_acts = sorted(a for s, a in DEVICE_CHANGES if s is status)
        raise StateConflict(
            f"this request is {status.lower()} already", state=status, allowed=open_acts
        )
    return DEVICE_CHANGES[status, act]


def approved(grant: DeviceGrant, by: str, now: datetime) -> DeviceGrant:
    """The grant once a person let the device in.

    Raises:
        ExpiredDeviceCode, StateConflict: see `change`.
    """
    status = change(grant, DeviceAct.APPROVE, now)
    assert status is not None
    return evolve(grant, status=status, approved_by=by)


def denied(grant: DeviceGrant, now: datetime) -> DeviceGrant:
    """The grant once a person turned the device away.

    Raises:
        ExpiredDeviceCode, StateConflict: see `change`.
    """
    status = change(grant, DeviceAct.DENY, now)
    assert status is not None
    return evolve(grant, status=status)


def polled(grant: DeviceGrant, now: datetime) -> tuple[DeviceStatus, DeviceGrant | None]:
    """What the device is told, and what is left of the grant: nothing once its secret is collected.

    Raises:
        SlowDown: the poll before was less than the interval ago; this one does not count.
    """
    status = standing(grant, now)
    if status is DeviceStatus.EXPIRED:
        return status, grant
    due = None if grant.polled_at is None else grant.polled_at + _INTERVAL
    if due is not None and now < due:
        left = (due - now).total_seconds()
        raise SlowDown(f"ask every {DEVICE_INTERVAL_S} s", retry_after_s=left)
    if (status, DeviceAct.COLLECT) in DEVICE_CHANGES:
        return status, None
    return status, evolve(grant, polled_at=now)
