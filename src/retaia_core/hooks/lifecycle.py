"""Hooks of the lifecycle: they may add notes and fields, and nothing else (domain.md)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

from attrs import field, frozen

from ..domain.assets import Asset

TIME_LIMIT_S = 2.0


class HookPoint(StrEnum):
    """Where a lifecycle hook is called."""

    AFTER_PROCESSED = "after_processed_before_decision_pending"
    ON_DECISION_PENDING = "on_enter_decision_pending"


@frozen(kw_only=True)
class HookCall:
    """What a hook gets. ``event_id`` is the same when the call is made again after a crash."""

    point: HookPoint
    asset: Asset
    event_id: str


@frozen(kw_only=True)
class HookReply:
    """What a hook may change: a note that is added, and human-visible fields that are set."""

    note: str = ""
    fields: Mapping[str, object] = field(factory=dict)


class LifecycleHook(Protocol):
    """A hook. It has 2 seconds; failing or late, it is audited and the lifecycle goes on."""

    @property
    def name(self) -> str: ...

    @property
    def point(self) -> HookPoint: ...

    def run(self, call: HookCall) -> HookReply: ...
