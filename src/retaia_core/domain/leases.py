"""Locks, leases and fencing: who may act on a subject now (domain.md, *Claims, leases, fencing*).

A subject has one lock row at most. A job lease reserves the whole asset for one agent; a move or purge
lock keeps everybody else out. The fencing number of a subject only grows, also across releases, so that
a write by a late holder can be told from the present one's.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from attrs import evolve, frozen

from ..errors import LockInvalid, LockRequired, StaleLockToken, StateConflict
from .identifiers import Subject


class LockKind(StrEnum):
    """The kinds of lock, with their precedence in `PRECEDENCE`."""

    JOB_LEASE = "job_lease"
    ASSET_MOVE_LOCK = "asset_move_lock"
    ASSET_PURGE_LOCK = "asset_purge_lock"


DURATIONS = {
    LockKind.JOB_LEASE: timedelta(seconds=120),
    LockKind.ASSET_MOVE_LOCK: timedelta(seconds=300),
    LockKind.ASSET_PURGE_LOCK: timedelta(seconds=300),
}
HEARTBEAT_SECONDS = 30

PRECEDENCE = ("purge", "move", "reprocess", "claim")
"""What goes first where several want one asset."""


@frozen(kw_only=True)
class Lock:
    """The lock of a subject. Released: ``holder`` and ``token`` are empty and the fencing number stays."""

    subject: Subject
    kind: LockKind
    holder: str
    token: str
    fencing: int
    expires_at: datetime

    def held(self, now: datetime) -> bool:
        """Whether somebody holds it at this time."""
        return bool(self.token) and self.expires_at > now

    def binds(self, now: datetime) -> bool:
        """Whether others must wait for it: it is held, or the purge under it has not ended.

        A purge that a crash cut off may have removed files; nothing else begins before recovery ends it.
        """
        return self.held(now) or (bool(self.token) and self.kind is LockKind.ASSET_PURGE_LOCK)

    def said(self) -> str:
        """Who holds it, and until when, for a person."""
        return f"{self.holder} holds a {self.kind} until {self.expires_at:%H:%M:%S}Z"


def acquire(
    current: Lock | None,
    subject: Subject,
    *,
    kind: LockKind,
    holder: str,
    token: str,
    now: datetime,
    duration: timedelta | None = None,
) -> Lock:
    """Take the lock, or join one's own job lease (same token, later expiry).

    ``token`` is fresh randomness of the caller; it is ignored where a lease is joined.

    Raises:
        StateConflict: somebody else holds a lock of the subject, or a purge of it has not ended.
    """
    expires = now + (DURATIONS[kind] if duration is None else duration)
    if current is not None and current.binds(now):
        joins = kind is LockKind.JOB_LEASE and (current.kind, current.holder) == (kind, holder)
        if not joins:
            raise StateConflict(
                f"{current.said()}, of {subject}; try again after it",
                lock=current.kind,
                locked_until=current.expires_at.isoformat(),
            )
        return evolve(current, expires_at=max(expires, current.expires_at))
    return Lock(
        subject=subject,
        kind=kind,
        holder=holder,
        token=token,
        fencing=(current.fencing if current else 0) + 1,
        expires_at=expires,
    )


def check(current: Lock | None, *, token: str | None, now: datetime) -> Lock:
    """Return the lock where a token opens it now.

    Raises:
        LockRequired: no token was given.
        LockInvalid: the subject was never locked.
        StaleLockToken: the lock expired, was released, or has another holder.
    """
    if not token:
        raise LockRequired("this write needs the lock_token that the claim answered")
    if current is None:
        raise LockInvalid("no lock was ever given for this subject; claim it first")
    if current.token != token or not current.held(now):
        raise StaleLockToken(
            "the lease is over (expired, released, or another holder's); nothing was applied; "
            "claim the job again"
        )
    return current


def extend(lock: Lock, now: datetime, duration: timedelta | None = None) -> Lock:
    """Move the expiry on; a heartbeat never shortens a lease."""
    expires = now + (DURATIONS[lock.kind] if duration is None else duration)
    return evolve(lock, expires_at=max(lock.expires_at, expires))


def release(lock: Lock, now: datetime) -> Lock:
    """Give the lock back; the fencing number stays for the next holder to exceed."""
    return evolve(lock, holder="", token="", expires_at=now)
