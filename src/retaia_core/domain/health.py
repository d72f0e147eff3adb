"""What takes a storage offline, and when it is looked at again (domain.md, *Assets*).

A storage is online, or offline for one reason that a person can act on. The reason stands until a look
that does the same thing succeeds; how soon the next look comes depends on how often it failed lately,
so that a cable with a bad contact does not switch the work on and off each second.
"""

from __future__ import annotations

import errno
from collections.abc import Collection
from datetime import datetime, timedelta

from attrs import evolve, frozen

from .storage import Health, Storage, Trouble

FIRST_PAUSE = timedelta(seconds=2)
MOST_PAUSE = timedelta(seconds=30)
CALM = timedelta(minutes=10)
"""After so long without trouble, the next one counts as the first."""

_MOST_DOUBLINGS = 8


@frozen(kw_only=True)
class Problem:
    """Why a storage cannot be worked on now: the kind, and a reason in words with what to do.

    A reason names no number that varies from look to look, and no absolute path.
    """

    trouble: Trouble
    reason: str


READ_ONLY = Problem(
    trouble=Trouble.READ_ONLY,
    reason="the disk or share is read-only; make it writable again (remount it, look at its health)",
)
FULL = Problem(
    trouble=Trouble.FULL,
    reason="the disk is full; make room on it, or purge rejected files",
)


def silent(seconds: float) -> Problem:
    """The problem of a storage that did not answer for so long.

    >>> silent(10.0).reason
    'it did not answer within 10 s; is the disk awake, is the share reachable?'
    """
    reason = f"it did not answer within {seconds:g} s; is the disk awake, is the share reachable?"
    return Problem(trouble=Trouble.SILENT, reason=reason)


def failing(said: str) -> Problem:
    """The problem of a storage whose disk answers with errors; ``said`` are the system's words.

    >>> failing("Stale file handle").reason
    'the disk or share answers with an error (stale file handle); look at its cable, network and health'
    """
    reason = (
        f"the disk or share answers with an error ({said.lower()}); "
        "look at its cable, network and health"
    )
    return Problem(trouble=Trouble.FAILING, reason=reason)


def unmounted(storage: Storage, mounts: Collection[str]) -> Problem | None:
    """Why a storage is offline whose marker is there, and a folder of which is not mounted any more.

    Without its disk such a folder is empty, which must never look like a mass deletion.
    """
    lost = [folder for folder in storage.mounts if folder not in mounts]
    if not lost:
        return None
    return Problem(trouble=Trouble.MARKER, reason=not_mounted(lost[0]))


def not_mounted(folder: str) -> str:
    """What is wrong where a folder of a storage was a disk of its own.

    >>> not_mounted("ARCHIVE").partition(";")[0]
    'its folder ARCHIVE was a disk of its own, which is not mounted'
    """
    return (
        f"its folder {folder} was a disk of its own, which is not mounted; "
        "mount it, or adopt the storage again as it is"
    )


def _numbers(*names: str) -> frozenset[int]:
    return frozenset(getattr(errno, name) for name in names if hasattr(errno, name))


_NO_SPACE = _numbers("ENOSPC", "EDQUOT")
_GONE = _numbers(
    "ENODEV",
    "ENXIO",
    "ENOTCONN",
    "ESTALE",
    "ETIMEDOUT",
    "EHOSTDOWN",
    "EHOSTUNREACH",
    "ENETDOWN",
    "ENETUNREACH",
    "ESHUTDOWN",
    "ECONNABORTED",
    "ECONNRESET",
    "ENOMEDIUM",
)


def problem_of(error: OSError) -> Problem | None:
    """What an error that work met says of the whole storage; None where it may be one file's own.

    An input/output error is a file's own (a bad spot on a disk) until a look at the storage fails too.
    """
    if error.errno in _NO_SPACE:
        return FULL
    if error.errno == errno.EROFS:
        return READ_ONLY
    if error.errno in _GONE:
        return failing(error.strerror or type(error).__name__)
    return None


def pause(strikes: int) -> timedelta:
    """How long after the n-th trouble in a row (from 1) the storage is not looked at.

    >>> [pause(n).total_seconds() for n in (1, 2, 3, 4, 5, 6)]
    [2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    """
    doublings = max(0, min(strikes - 1, _MOST_DOUBLINGS))
    return min(MOST_PAUSE, FIRST_PAUSE * (1 << doublings))


def may_look(storage: Storage, now: datetime) -> bool:
    """Whether it is time for a look; a clock that was set back does not put it off for long."""
    until = storage.look_after
    return until is None or now >= until or until - now > MOST_PAUSE


def must_write(storage: Storage) -> bool:
    """Whether only a look that also writes can end the trouble: work may have failed at writing."""
    return storage.trouble in (Trouble.READ_ONLY, Trouble.FULL, Trouble.FAILING)


def makes_room(storage: Storage) -> bool:
    """Whether files may be removed: where it is online, or offline for nothing but being full."""
    return storage.health is Health.ONLINE or storage.trouble is Trouble.FULL


def with_health(storage: Storage, *, problem: Problem | None, now: datetime) -> Storage:
    """Record what a look or a failure of work found; the time changes only when the answer does.

    A marker is absent or there, and is looked at each time; every other trouble has its pause.
    """
    if problem is None:
        return _back(storage, now)
    same = storage.health is Health.OFFLINE and storage.trouble is problem.trouble
    if problem.trouble is Trouble.MARKER:
        same = same and storage.health_reason == problem.reason
        return storage if same else _offline(storage, problem, now)
    strikes = _strikes(storage, now)
    after = evolve(storage, strikes=strikes, look_after=now + pause(strikes))
    return after if same else _offline(after, problem, now)


def _back(storage: Storage, now: datetime) -> Storage:
    if storage.health is Health.ONLINE:
        return storage
    return evolve(
        storage,
        health=Health.ONLINE,
        health_reason="",
        health_since=now,
        trouble=None,
        look_after=None,
    )


def _offline(storage: Storage, problem: Problem, now: datetime) -> Storage:
    after = storage
    if problem.trouble is Trouble.MARKER:
        after = evolve(storage, look_after=None)
    return evolve(
        after,
        health=Health.OFFLINE,
        health_reason=problem.reason,
        health_since=now,
        trouble=problem.trouble,
    )


def _strikes(storage: Storage, now: datetime) -> int:
    """The troubles in a row, this one included."""
    since = storage.health_since
    calm = storage.health is Health.ONLINE and (since is None or now - since >= CALM)
    return 1 if calm else storage.strikes + 1
