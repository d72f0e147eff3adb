"""The commands that run a server: ``up``, ``serve``."""

from __future__ import annotations

import json
import os
import signal
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import App, Parameter

from retaia_core.domain.storage import Layout, Storage
from retaia_core.hooks.exits import Exit
from retaia_core.ports.originals import FolderFound
from retaia_core.settings import Settings
from retaia_core.shell.credentials import local_credentials, local_person
from retaia_core.shell.runtime import Notice, Runtime
from retaia_core.shell.services import Services
from retaia_core.shell.wiring import open_services

from .context import DEFAULT, RUNNING, Common, local_folder, perform
from .output import Output
from .report import print_assets, storage_document
from .watching import Watching

LAYOUT_HELP = """\
{media} media files are in {folder}, and no INBOX. Retaia keeps new footage in an inbox, and moves it to
ARCHIVE or REJECTS only when you say so. Nothing is moved by adopting. Choose one:

  retaia up {folder} --inbox .      the folder itself is the inbox; ARCHIVE and REJECTS are made inside
  retaia up {folder} --inbox INBOX  an empty INBOX is made; copy or move footage into it yourself
"""


def register(app: App) -> None:
    """Add the commands."""
    app.command(up)
    app.command(serve)


Overrides = dict[tuple[str, str], object]


def up(
    folder: Path,
    *,
    inbox: str | None = None,
    until_idle: Annotated[bool, Parameter(negative="")] = False,
    quiet_period: float | None = None,
    scan_interval: float | None = None,
    port: int | None = None,
    agent: bool = True,
    common: Common = DEFAULT,
) -> int:
    """Run the whole product on one folder: server, scanner and one agent.

    Parameters
    ----------
    folder
        The storage's root; it is adopted if no store knows it yet.
    inbox
        Which folder inside is the inbox; ``.`` takes the folder itself.
    until_idle
        Stop when everything that can be done is done, and print a report.
    quiet_period
        Seconds that a file must have been left alone to be stable (default 300).
    scan_interval
        Seconds between scans (default 60).
    port
        Where to listen on this machine (0: a free port; default 8420).
    agent
        Run the embedded agent.
    """
    overrides: Overrides = {}
    if quiet_period is not None:
        overrides["scan", "quiet_period"] = quiet_period
    if scan_interval is not None:
        overrides["scan", "interval"] = scan_interval
    if port is not None or until_idle:
        overrides["server", "port"] = port or 0

    async def work(out: Output) -> Exit:
        settings = common.settings(overrides)
        watching = Watching.begin(settings, out, service=False)
        async with _serving(settings, watching) as services:
            storage = await _adopt_or_open(services, out, folder, inbox)
            if storage is None:
                return Exit.USAGE
            return await _run(
                services, settings, watching, storage, agent=agent, until_idle=until_idle
            )

    return perform(common, work)


def _serving(settings: Settings, watching: Watching) -> AbstractAsyncContextManager[Services]:
    """The services of a server, which keeps its numbers."""
    return open_services(
        settings, server=True, plugins=watching.plugins, observer=watching.observer(settings)
    )


async def _adopt_or_open(
    services: Services, out: Output, folder: Path, inbox: str | None
) -> Storage | None:
    """The storage of a folder; None where a person must choose a layout first."""
    root = local_folder(folder)
    known = next((s for s in await services.storages.all() if Path(s.root) == root), None)
    if known is not None:
        return await services.storages.look(known, at_once=True)
    found = await services.storages.survey(str(root))
    if found.marker is None and found.media and not found.has_inbox and inbox is None:
        inbox = _ask_layout(out, root, found)
        if inbox is None:
            return None
    layout = Layout(inbox=inbox or "INBOX")
    storage = await services.storages.adopt(local_person(), str(root), layout)
    out.tell(f"adopted {root} as storage {storage.storage_id}; nothing was moved")
    return storage


def _ask_layout(out: Output, root: Path, found: FolderFound) -> str | None:
    text = LAYOUT_HELP.format(media=found.media, folder=root)
    if out.as_json or not (out.errors.is_terminal and os.isatty(0)):
        out.result({"error": {"code": "LAYOUT_NEEDED", "message": text, "media": found.media}})
        out.tell(text)
        return None
    out.tell(text)
    for example in found.examples:
        out.tell(f"    {example}")
    return "." if out.ask("Take this folder itself as the inbox?") else None


async def _run(
    services: Services,
    settings: Settings,
    watching: Watching,
    storage: Storage | None,
    *,
    agent: bool,
    until_idle: bool,
) -> Exit:
    out = watching.out
    credentials = local_credentials(settings.data_dir, services.ids)
    running = settings.data_dir / RUNNING
    with watching.view() as view:

        def watch(notice: Notice) -> None:
            if notice.name == "serving":
                _write_running(running, str(notice.data["url"]))
            view(notice)

        runtime = Runtime(
            services=services,
            settings=settings,
            credentials=credentials,
            watch=watch,
            invite=out.live and not until_idle,
            storage_ids=(storage.storage_id,) if storage else None,
        )
        try:
            await _until_stopped(runtime, agent=agent, until_idle=until_idle)
        finally:
            running.unlink(missing_ok=True)
    if storage is not None and until_idle:
        return await _print_report(services, runtime, out, storage)
    out.tell("stopped")
    return Exit.OK


async def _until_stopped(runtime: Runtime, *, agent: bool, until_idle: bool) -> None:
    """Run until idle or until the first SIGINT or SIGTERM; a second one ends at once."""
    async with anyio.create_task_group() as tasks:

        async def stop_on_signal() -> None:
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for _ in signals:
                    tasks.cancel_scope.cancel()
                    return

        if os.name == "posix":
            tasks.start_soon(stop_on_signal)
        await runtime.run(agent=agent, until_idle=until_idle)
        tasks.cancel_scope.cancel()


def _write_running(path: Path, url: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"url": url, "pid": os.getpid()}), "utf-8")
    part.replace(path)


async def _print_report(
    services: Services, runtime: Runtime, out: Output, storage: Storage
) -> Exit:
    storage = await services.storages.get(storage.storage_id)
    scan = runtime.reports.get(storage.storage_id)
    assets = await services.operations.report(storage.storage_id)
    unmatched = [
        u
        for u in (await services.operations.status()).unmatched
        if u.storage_id == storage.storage_id
    ]
    out.result(storage_document(storage, scan, assets, unmatched))
    print_assets(out, assets)
    for sidecar in unmatched:
        out.say(f"  sidecar {sidecar.path!r} is attached to nothing: {sidecar.reason}", "yellow")
    if scan is not None and scan.problem:
        out.tell(f"retaia: {scan.problem}", "red")
        return Exit.UNAVAILABLE
    return Exit.OK


def serve(
    *,
    host: str | None = None,
    port: int | None = None,
    agent: Annotated[bool, Parameter(help="Run an embedded agent too.")] = False,
    common: Common = DEFAULT,
) -> int:
    """Run the server and the scanner for every storage that was adopted.

    Parameters
    ----------
    host
        The address to listen on (default 127.0.0.1: this machine only; 0.0.0.0: every network).
    port
        The port (default 8420; 0: a free one).
    """
    overrides: Overrides = {}
    if host is not None:
        overrides["server", "host"] = host
    if port is not None:
        overrides["server", "port"] = port

    async def work(out: Output) -> Exit:
        settings = common.settings(overrides)
        watching = Watching.begin(settings, out, service=True)
        async with _serving(settings, watching) as services:
            return await _run(services, settings, watching, None, agent=agent, until_idle=False)

    return perform(common, work)
