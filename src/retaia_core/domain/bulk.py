"""Deciding on many assets at once: what a preview shows, and what may still be decided afterwards.

protocol.md, *Moves and decisions in bulk*: nothing is touched but what the preview showed, and only
while it waits for a decision still. What was approved is an asset as it was then, so each is shown with
a stamp: a new review, another file, or a decision that was taken back since is another question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from attrs import field, frozen

from .assets import Asset
from .identifiers import AssetId
from .leases import Lock, LockKind
from .lifecycle import Action, State

MAX_ITEMS = 10_000
APPROVAL_TTL = timedelta(minutes=10)
"""How long an approval can be used after its preview."""

ACTIONS = (Action.KEEP, Action.REJECT)


class Left(StrEnum):
    """Why an asset is not decided."""

    NOT_PENDING = "not_pending"
    LOCKED = "locked"
    CHANGED = "changed"
    GONE = "gone"


@frozen(kw_only=True)
class LeftAsset:
    """An asset that is not decided, and why; ``state`` is None where there is no such asset."""

    asset: AssetId
    reason: Left
    message: str
    state: State | None = None


def stamp_of(asset: Asset) -> str:
    """What a preview showed of an asset: this review, waiting since then, of this file.

    Notes and tags, or a transcript that came in, do not change it.
    """
    since = asset.state_since or asset.created_at
    return f"{asset.review_version}/{since.isoformat()}/{asset.size}/{asset.mtime_ns}"


def hindrance(asset: Asset, lock: Lock | None, now: datetime) -> LeftAsset | None:
    """Why an asset cannot be decided in bulk now; None where it can."""
    if asset.state is not State.DECISION_PENDING:
        return LeftAsset(
            asset=asset.uuid,
            reason=Left.NOT_PENDING,
            message=f"its state is {asset.state}; only what waits for a decision is decided in bulk",
            state=asset.state,
        )
    if lock is not None and lock.held(now) and lock.kind is not LockKind.JOB_LEASE:
        return LeftAsset(
            asset=asset.uuid,
            reason=Left.LOCKED,
            message=lock.said(),
            state=asset.state,
        )
    return None


def left_now(
    uuid: AssetId, asset: Asset | None, stamp: str, lock: Lock | None, now: datetime
) -> LeftAsset | None:
    """Why an asset that a preview showed with a stamp is left; None where it may be decided."""
    if asset is None:
        return LeftAsset(asset=uuid, reason=Left.GONE, message="there is no such asset any more")
    hindered = hindrance(asset, lock, now)
    if hindered is not None:
        return hindered
    if stamp_of(asset) != stamp:
        return LeftAsset(
            asset=uuid,
            reason=Left.CHANGED,
            message="it changed after the preview; look at it again",
            state=asset.state,
        )
    return None


@frozen(kw_only=True)
class BulkPreview:
    """What an approval would decide: ``stamps`` by asset in the order of the filter's sort.

    ``more_eligible`` and ``more_blocked`` say that the filter fits more than was asked for.
    """

    action: Action
    stamps: Mapping[AssetId, str]
    blocked: tuple[LeftAsset, ...] = ()
    more_eligible: bool = False
    more_blocked: bool = False


@frozen(kw_only=True)
class BulkReport:
    """What became of each asset of an approval."""

    action: Action
    decided: tuple[AssetId, ...] = ()
    left: tuple[LeftAsset, ...] = ()


@frozen(kw_only=True)
class Approval:
    """What a one-use token stands for, and how far its use is; plain data in the store.

    ``claimed_by`` is the request that uses it; ``todo`` has the stamps of what was not looked at yet.
    """

    action: Action
    todo: Mapping[AssetId, str] = field(factory=dict)
    claimed_by: str = ""
    decided: tuple[AssetId, ...] = ()
    left: tuple[LeftAsset, ...] = ()

    def document(self) -> dict[str, object]:
        """As JSON data."""
        return {
            "action": self.action.value,
            "todo": [[uuid, stamp] for uuid, stamp in self.todo.items()],
            "claimed_by": self.claimed_by,
            "decided": list(self.decided),
            "left": [
                [one.asset, one.reason.value, one.message, one.state.value if one.state else None]
                for one in self.left
            ],
        }

    @classmethod
    def read(cls, document: Mapping[str, object]) -> Approval:
        """Read what `document` made."""
        return cls(
            action=Action(str(document["action"])),
            todo={AssetId(uuid): stamp for uuid, stamp in _rows(document["todo"])},
            claimed_by=str(document["claimed_by"]),
            decided=tuple(AssetId(uuid) for uuid in _list(document["decided"])),
            left=tuple(
                LeftAsset(
                    asset=AssetId(uuid),
                    reason=Left(reason),
                    message=message,
                    state=State(state) if state else None,
                )
                for uuid, reason, message, state in _rows(document["left"])
            ),
        )


def _list(value: object) -> Sequence[str]:
    assert isinstance(value, Sequence)
    return value


def _rows(value: object) -> Sequence[Sequence[str]]:
    assert isinstance(value, Sequence)
    return value
