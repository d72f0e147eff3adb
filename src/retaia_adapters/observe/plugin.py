"""Logs and numbers, as the plugin host sees them; importing this loads no library."""

from __future__ import annotations

from collections.abc import Iterable

from retaia_core.hooks import Provider, Role, hookimpl
from retaia_core.ports.observer import LogStyle


def _logs(style: LogStyle) -> None:
    from .logs import set_up

    set_up(style)


def _observer() -> object:
    from .observer import MeasuringObserver

    return MeasuringObserver()


@hookimpl
def retaia_providers() -> Iterable[Provider]:
    return (
        Provider(role=Role.LOGS, name="structlog", factory=_logs),
        Provider(role=Role.OBSERVER, name="default", factory=_observer),
    )
