"""The command ``doctor``: is everything here that the work needs?"""

from __future__ import annotations

import platform
import shutil
import sqlite3
import sys
from collections.abc import Iterable
from pathlib import Path

from attrs import asdict, frozen
from cyclopts import App

from retaia_core.domain.storage import Health
from retaia_core.errors import RetaiaError
from retaia_core.hooks import Plugins, load_plugins
from retaia_core.hooks.exits import Exit
from retaia_core.settings import Settings
from retaia_core.shell.clock import RandomIds
from retaia_core.shell.credentials import local_credentials
from retaia_core.shell.wiring import open_services

from .context import DEFAULT, Common, perform
from .output import Output, size_text

LOW_SPACE = 2 * 2**30


def register(app: App) -> None:
    """Add the command."""
    app.command(doctor)


@frozen(kw_only=True)
class Finding:
    """One thing that was looked at: ``ok``, ``warning`` or ``problem``."""

    what: str
    level: str
    text: str


def _machine() -> Iterable[Finding]:
    version = platform.python_version()
    level = "ok" if sys.version_info >= (3, 11) else "problem"
    yield Finding(what="Python", level=level, text=f"{version} on {platform.platform()}")
    yield Finding(what="SQLite", level="ok", text=sqlite3.sqlite_version)


def _plugins(plugins: Plugins) -> Iterable[Finding]:
    for report in plugins.reports.values():
        level = "warning" if report.problem else "ok"
        text = report.problem or report.origin
        yield Finding(what=f"plugin {report.name}", level=level, text=text)
    for processor in plugins.processors():
        found = processor.availability()
        text = ", ".join(sorted(processor.capabilities)) if found.available else found.reason
        level = "ok" if found.available else "warning"
        yield Finding(what=f"processor {processor.name}", level=level, text=text)


def _data_dir(settings: Settings) -> Iterable[Finding]:
    try:
        local_credentials(settings.data_dir, RandomIds())
    except (RetaiaError, OSError) as error:
        yield Finding(what="data folder", level="problem", text=str(error))
        return
    yield Finding(what="data folder", level="ok", text=str(settings.data_dir))
    yield _space("space for the database", settings.data_dir)


def _space(what: str, folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    level = "ok" if free >= LOW_SPACE else "warning"
    return Finding(what=what, level=level, text=f"{size_text(free)} free")


def _copies(settings: Settings) -> Iterable[Finding]:
    """The places in which purges look for other copies."""
    purge = settings.purge
    if purge.require_proof == "copy" and not purge.copies:
        text = "purges need another copy, and [purge.copies] names no folder to look in"
        yield Finding(what="other copies", level="warning", text=text)
    for name, folder in purge.copies.items():
        here = Path(folder).is_dir()
        text = folder if here else f"{folder} is not there; is it mounted?"
        yield Finding(what=f"other copies in {name}", level="ok" if here else "warning", text=text)


async def _store(settings: Settings, plugins: Plugins) -> list[Finding]:
    shown = settings.store_url.partition("://")[0]
    try:
        async with open_services(settings, plugins=plugins) as services:
            known = await services.storages.all()
            storages = [await services.storages.look(s, at_once=True) for s in known]
    except RetaiaError as error:
        return [Finding(what="database", level="problem", text=str(error))]
    found = [Finding(what="database", level="ok", text=f"{shown}, {len(storages)} storage(s)")]
    for storage in storages:
        online = storage.health is Health.ONLINE
        level = "ok" if online else "problem"
        text = storage.root if online else f"{storage.root} is offline: {storage.health_reason}"
        found.append(Finding(what=f"storage {storage.storage_id}", level=level, text=text))
        if online:
            found.append(_space(f"space on {storage.storage_id}", Path(storage.root)))
    return found


def doctor(*, common: Common = DEFAULT) -> int:
    """Look at everything that the work needs, and say what is missing and how to get it."""

    async def work(out: Output) -> Exit:
        settings = common.settings()
        plugins = load_plugins(disabled=settings.plugins.disabled)
        findings = [*_machine(), *_plugins(plugins), *_data_dir(settings)]
        findings += [*_copies(settings), *await _store(settings, plugins)]
        out.result({"findings": [asdict(finding) for finding in findings]})
        styles = {"ok": "green", "warning": "yellow", "problem": "red"}
        for finding in findings:
            out.say(f"{finding.level:8} {finding.what}: {finding.text}", styles[finding.level])
        bad = any(finding.level == "problem" for finding in findings)
        return Exit.FAILED if bad else Exit.OK

    return perform(common, work)
