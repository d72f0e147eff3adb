"""Writing the audit trail: one way to record a change, in the transaction that makes it."""

from __future__ import annotations

from datetime import datetime

from ..domain.accounts import Account
from ..domain.actors import Actor
from ..domain.assets import Asset
from ..domain.identifiers import Subject
from ..domain.journal import Event
from ..ports.store import Transaction


def subject_of(account: Account) -> Subject:
    """An account as the subject of events."""
    return Subject(kind="account", id=account.account_id)


def record(
    tx: Transaction, subject: Subject, name: str, actor: Actor, at: datetime, **data: object
) -> None:
    """Add an event about a subject."""
    tx.add_event(Event(subject=subject, name=name, actor=str(actor), at=at, data=data))


def save_step(
    tx: Transaction,
    before: Asset,
    after: Asset,
    name: str,
    actor: Actor,
    at: datetime,
    **data: object,
) -> Asset:
    """Save an asset's change together with its event."""
    saved = tx.save_asset(after)
    tx.add_event(step(before, after, name, actor, at, **data))
    return saved


def step(
    before: Asset, after: Asset, name: str, actor: Actor, at: datetime, **data: object
) -> Event:
    """The event of an asset's change; it names the states where they differ."""
    if before.state is not after.state:
        data = {"from": before.state.value, "to": after.state.value, **data}
    return Event(subject=after.subject, name=name, actor=str(actor), at=at, data=data)
