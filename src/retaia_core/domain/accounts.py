"""People's accounts: who may sign in, and what they proved (protocol.md, *Actors and scopes*)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NewType

from attrs import evolve, field, frozen

from ..errors import ValidationFailed
from .actors import Actor, ActorKind

AccountId = NewType("AccountId", str)
Email = NewType("Email", str)

PASSWORD_MIN = 10
PASSWORD_MAX = 1024
EMAIL_MAX = 254
NAME_MAX = 200

_NEVER_PLAIN = frozenset('()<>[]:;,\\"')
"""What an address may have only between quotes, which mail programs read differently."""

LOCAL_HOST = "localhost"
"""The addresses here are those of the people at the server's own machine; nobody else gets one."""


class Role(StrEnum):
    """What an account may do beyond a person's own work."""

    ADMIN = "ADMIN"


def parse_email(text: str) -> Email:
    """Read an address; case does not tell two people apart here.

    Raises:
        ValidationFailed: it is no address, or longer than 254 characters.

    >>> parse_email(" Ana@Example.ORG ")
    'ana@example.org'
    """
    email = text.strip().lower()
    name, at, host = email.rpartition("@")
    odd = any(c in _NEVER_PLAIN or c.isspace() or not c.isprintable() for c in email)
    if not (name and at and host) or odd or "@" in name or len(email) > EMAIL_MAX:
        raise ValidationFailed("this is no e-mail address; give name@host", email="no address")
    return Email(email)


def check_password(password: str) -> str:
    """Return a password that may be set; length is what makes one strong.

    Raises:
        ValidationFailed: shorter than 10 or longer than 1024 characters.
    """
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise ValidationFailed(
            f"a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters",
            password=f"{PASSWORD_MIN} to {PASSWORD_MAX} characters",
        )
    return password


def parse_name(text: str) -> str:
    """Read a person's name as it is shown; it may be empty.

    Raises:
        ValidationFailed: longer than 200 characters, or with a control character.
    """
    name = text.strip()
    if len(name) > NAME_MAX or not all(c.isprintable() for c in name):
        said = f"at most {NAME_MAX} printable characters"
        raise ValidationFailed(f"a name has {said}", display_name=said)
    return name


@frozen(kw_only=True)
class Totp:
    """A person's second factor.

    ``secret`` is base32. ``last_step`` is the time step that was used last: a code counts once.
    ``recovery`` are the digests of the recovery codes that are left.
    """

    secret: str
    enabled: bool = False
    last_step: int = 0
    recovery: frozenset[str] = frozenset()


@frozen(kw_only=True)
class Account:
    """A person. ``password`` is an Argon2id hash; without one only a sign-in link opens the account.

    ``local_name`` is the login name of the person at the server's own machine, who signs in by the
    link of ``retaia up`` and is named ``local/<name>`` in journal and audit trail, as their commands
    are. ``features`` are the person's own switches; a missing key is on.
    """

    account_id: AccountId
    email: Email
    created_at: datetime
    display_name: str = ""
    password: str | None = None
    email_verified: bool = False
    roles: frozenset[Role] = frozenset()
    local_name: str | None = None
    totp: Totp | None = None
    features: Mapping[str, bool] = field(factory=dict)
    disabled: bool = False

    @property
    def is_admin(self) -> bool:
        """Whether this person administers the server."""
        return Role.ADMIN in self.roles

    @property
    def mfa_enabled(self) -> bool:
        """Whether signing in needs a code."""
        return self.totp is not None and self.totp.enabled

    @property
    def actor(self) -> Actor:
        """This person, as journal and audit trail name them."""
        name = self.account_id if self.local_name is None else f"local/{self.local_name}"
        return Actor(kind=ActorKind.PERSON, id=name)


def new_account(
    account_id: AccountId,
    email: Email,
    at: datetime,
    *,
    display_name: str = "",
    admin: bool = False,
    verified: bool = False,
) -> Account:
    """A person's account, without a password yet.

    Raises:
        ValidationFailed: the address is one of this machine's own people.
    """
    if email.endswith(f"@{LOCAL_HOST}"):
        said = f"an address outside {LOCAL_HOST}, whose people are those of this machine"
        raise ValidationFailed(f"give {said}", email=said)
    return Account(
        account_id=account_id,
        email=email,
        created_at=at,
        display_name=display_name,
        email_verified=verified,
        roles=frozenset({Role.ADMIN}) if admin else frozenset(),
    )


def local_account(account_id: AccountId, name: str, at: datetime) -> Account:
    """The account of the person at the server's machine, by login name; only a link opens it.

    >>> from datetime import UTC
    >>> local_account(AccountId("1"), "Ana", datetime(2026, 1, 1, tzinfo=UTC)).email
    'ana@localhost'
    """
    return Account(
        account_id=account_id,
        email=Email("-".join(name.lower().split()) + f"@{LOCAL_HOST}"),
        created_at=at,
        display_name=name,
        email_verified=True,
        roles=frozenset({Role.ADMIN}),
        local_name=name,
    )


def verified(account: Account) -> Account:
    """The account once its address is proven."""
    return evolve(account, email_verified=True)


def with_password(account: Account, hashed: str) -> Account:
    """The account under a new password; whoever got the message that allowed it owns the address."""
    return evolve(account, password=hashed)


def shut(account: Account) -> Account:
    """The account once nobody may sign in to it any more."""
    return evolve(account, disabled=True)


def opened_again(account: Account) -> Account:
    """The account once its person may sign in again."""
    return evolve(account, disabled=False)
