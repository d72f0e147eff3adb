"""One-use tokens: made for a person, and used up in the transaction of what they allow."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ..domain.accounts import Account, AccountId
from ..domain.sessions import LIFETIMES, OneTime, Purpose, digest_of
from ..errors import InvalidToken
from ..ports.store import Transaction


def make(
    tx: Transaction,
    token: str,
    purpose: Purpose,
    account: Account,
    now: datetime,
    data: Mapping[str, object] | None = None,
) -> None:
    """Keep a token (fresh randomness); only its digest is kept."""
    made = OneTime(
        digest=digest_of(token),
        purpose=purpose,
        principal_id=account.account_id,
        expires_at=now + LIFETIMES[purpose],
        data=data or {},
    )
    tx.save_one_time(made)


def look_at(
    tx: Transaction, token: str, purpose: Purpose, now: datetime
) -> tuple[OneTime, Account]:
    """A token that may be used, and whose it is; it is not used up by this.

    Raises:
        InvalidToken: unknown, used, of another purpose, over its time, or its account is closed.
    """
    known = tx.one_time(digest_of(token))
    if known is None or known.purpose is not purpose or known.expires_at <= now:
        raise _unusable()
    account = tx.account(AccountId(known.principal_id))
    if account is None or account.disabled:
        raise _unusable()
    return known, account


def use(tx: Transaction, token: str, purpose: Purpose, now: datetime) -> Account:
    """Use a token up; returns whose it was.

    Raises:
        InvalidToken: as `look_at`.
    """
    known, account = look_at(tx, token, purpose, now)
    tx.drop_one_time(known.digest)
    return account


def _unusable() -> InvalidToken:
    return InvalidToken("this token is not valid, was used, or is too old; ask for another")
