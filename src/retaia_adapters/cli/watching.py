"""How a program that runs for long tells what happens: live on a terminal, or as lines of its log."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from typing import cast

from attrs import frozen

from retaia_core.hooks import Plugins, Role, load_plugins
from retaia_core.ports.observer import LogStyle, Observer
from retaia_core.settings import Settings
from retaia_core.shell.runtime import Notice, Watch

from .output import Output, plain
from .progress import ProgressView

log = logging.getLogger("retaia.run")

_CHATTER = frozenset({"scanning", "agent.progress", "agent.idle"})
"""What is worth a look and no line."""

_TROUBLE = frozenset(
    {
        "scan_failed",
        "storage_offline",
        "batch_waits",
        "agent.unavailable",
        "agent.offline",
        "agent.failed",
        "agent.lost",
        "agent.worker_died",
        "agent.worker_missing",
    }
)


def log_style(settings: Settings, out: Output, *, service: bool) -> LogStyle:
    """How the log is written, as settings and the place where it goes say.

    Where the settings leave it open, a person sees progress (live on a terminal, else a line for each
    step), and lines of the log only of what is out of order. A ``service`` that no terminal watches
    writes everything as objects; with ``--json``, only what is out of order.
    """
    wanted = settings.log.format
    if wanted != "auto":
        return LogStyle(json=wanted == "json", everything=True)
    watched = out.errors.is_terminal or not service
    if out.as_json:
        return LogStyle(json=not out.errors.is_terminal, everything=False)
    return LogStyle(json=not watched, everything=not watched)


def _write(notice: Notice) -> None:
    if notice.name in _CHATTER:
        return
    level = logging.WARNING if notice.name in _TROUBLE else logging.INFO
    if log.isEnabledFor(level):
        data = {"event": notice.name, **plain(notice.data)}
        log.log(level, notice.name, extra={"retaia": data})


def _tell(text: str, style: str) -> None:
    log.log(logging.ERROR if style == "red" else logging.INFO, "%s", text)


@frozen(kw_only=True)
class Watching:
    """The plugins of a program that runs for long, and how it tells what happens."""

    plugins: Plugins
    style: LogStyle
    out: Output

    @classmethod
    def begin(cls, settings: Settings, out: Output, *, service: bool) -> Watching:
        """Set the log up, before anything else happens.

        Raises:
            PluginError: the settings name a plugin that is not installed.
        """
        plugins = load_plugins(disabled=settings.plugins.disabled)
        style = log_style(settings, out, service=service)
        plugins.provider(Role.LOGS, settings.log.provider).factory(style)
        if style.json and style.everything:
            out.teller = _tell
        log.info("started", extra={"retaia": {"event": "started", "pid": os.getpid()}})
        return cls(plugins=plugins, style=style, out=out)

    def observer(self, settings: Settings) -> Observer:
        """Who keeps the numbers of a server."""
        provider = self.plugins.provider(Role.OBSERVER, settings.observe.provider)
        return cast("Observer", provider.factory())

    def view(self) -> AbstractContextManager[Watch]:
        """What is called with every notice while it is open."""
        return nullcontext(_write) if self.style.json else ProgressView(out=self.out)
