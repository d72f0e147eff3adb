"""The commands about storages and assets: ``storage``, ``scan``, ``assets``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

from attrs import evolve
from cyclopts import App, Parameter

from retaia_core.domain.identifiers import StorageId
from retaia_core.domain.lifecycle import State
from retaia_core.domain.media import MediaType
from retaia_core.domain.query import MAX_LIMIT, AssetQuery, AssetSummary, Sort, SortKey
from retaia_core.domain.scans import ScanReport
from retaia_core.domain.storage import Health, Storage, parse_layout
from retaia_core.errors import NotFound
from retaia_core.hooks.exits import Exit
from retaia_core.shell.credentials import local_person
from retaia_core.shell.runtime import Notice
from retaia_core.shell.services import Services
from retaia_core.shell.wiring import scan_options

from .context import DEFAULT, Common, find_asset, local_folder, perform, services_for
from .output import Output, plain, size_text
from .progress import line_of
from .report import asset_document


def register(app: App) -> None:
    """Add the commands."""
    storage = App(name="storage", help="Folders that a person adopted as storages.")
    storage.command(storage_adopt, name="adopt")
    storage.command(storage_status, name="status")
    app.command(storage)
    app.command(scan)
    assets = App(name="assets", help="What is known of the footage.")
    assets.command(assets_list, name="list")
    assets.command(assets_show, name="show")
    app.command(assets)


def storage_adopt(
    folder: Path,
    *,
    inbox: str = "INBOX",
    archive: str = "ARCHIVE",
    rejects: str = "REJECTS",
    storage_id: str | None = None,
    common: Common = DEFAULT,
) -> int:
    """Make a folder a storage: its folders are made and a marker is written; nothing is moved.

    Parameters
    ----------
    inbox
        The folder of new footage inside; ``.`` takes the folder itself.
    storage_id
        A name for it (default: a fresh UUID).
    """

    async def work(out: Output) -> Exit:
        layout = parse_layout(inbox=inbox, archive=archive, rejects=rejects)
        root = str(local_folder(folder))
        async with services_for(common) as (_, services):
            storage = await services.storages.adopt(local_person(), root, layout, storage_id)
        out.result(_storage_document(storage))
        out.say(f"{root} is storage {storage.storage_id}; nothing was moved")
        return Exit.OK

    return perform(common, work)


def _storage_document(storage: Storage) -> dict[str, object]:
    document = plain(storage)
    assert isinstance(document, dict)
    return document


def _clock(at: datetime | None) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}" if at else ""


def storage_status(*, common: Common = DEFAULT) -> int:
    """Show every storage, looking at it now; exits with 3 where one is offline."""

    async def work(out: Output) -> Exit:
        async with services_for(common) as (_, services):
            known = await services.storages.all()
            storages = [await services.storages.look(s, at_once=True) for s in known]
        out.result({"storages": [_storage_document(s) for s in storages]})
        out.table(
            ("storage", "health", "since", "root"),
            [(s.storage_id, s.health.value, _clock(s.health_since), s.root) for s in storages],
        )
        for storage in storages:
            if storage.health is Health.OFFLINE:
                out.say(f"  {storage.root} is offline: {storage.health_reason}", "yellow")
        offline = any(s.health is Health.OFFLINE for s in storages)
        return Exit.UNAVAILABLE if offline else Exit.OK

    return perform(common, work)


def scan(
    storage: str | None = None,
    *,
    quiet_period: float | None = None,
    common: Common = DEFAULT,
) -> int:
    """Scan the storages (or one) once, and report; nothing on them is touched.

    Parameters
    ----------
    storage
        The storage's id or folder (default: all).
    quiet_period
        Seconds that a file must have been left alone to be stable.
    """

    async def work(out: Output) -> Exit:
        async with services_for(common) as (settings, services):
            scan_settings = settings.scan
            if quiet_period is not None:
                scan_settings = evolve(scan_settings, quiet_period=quiet_period)
            options = scan_options(evolve(settings, scan=scan_settings))
            reports = [
                await services.discovery.scan(storage_id, options)
                for storage_id in await chosen_storages(services, storage)
            ]
        out.result({"scans": plain(reports)})
        for report in reports:
            _print_scan(out, report)
        return Exit.UNAVAILABLE if any(report.problem for report in reports) else Exit.OK

    return perform(common, work)


async def chosen_storages(services: Services, name: str | None) -> list[StorageId]:
    """The storage that a person names by id or folder; all of them where none is named.

    Raises:
        NotFound: there is no such storage.
    """
    storages = await services.storages.all()
    if name is None:
        return [s.storage_id for s in storages]
    folder = str(local_folder(Path(name)))
    found = [s.storage_id for s in storages if name == s.storage_id or s.root == folder]
    if not found:
        known = ", ".join(s.storage_id for s in storages) or "none"
        raise NotFound(f"no storage is known as {name!r}; known: {known}")
    return found


def _print_scan(out: Output, report: ScanReport) -> None:
    line = line_of(Notice(name="scanned", data={"report": report}))
    out.say(f"{report.storage_id}: {line} ({report.duration_s:.2f} s)")
    for path, reason in report.skipped.items():
        out.say(f"  passed over {path!r}: {reason}")


def assets_list(
    *,
    state: Annotated[list[State] | None, Parameter(negative="", help="May be repeated.")] = None,
    media_type: MediaType | None = None,
    tag: Annotated[
        list[str] | None, Parameter(negative="", help="May be repeated; all must be there.")
    ] = None,
    text: str = "",
    sort: SortKey = SortKey.NAME,
    descending: Annotated[bool, Parameter(negative="")] = False,
    limit: int = 1000,
    common: Common = DEFAULT,
) -> int:
    """List assets.

    Parameters
    ----------
    text
        Part of the file name, notes or transcript.
    limit
        How many at most.
    """

    async def work(out: Output) -> Exit:
        query = AssetQuery(
            states=tuple(state or ()),
            media_type=media_type,
            tags=tuple(tag or ()),
            text=text,
            sort=Sort(key=sort, descending=descending),
            limit=MAX_LIMIT,
        )
        async with services_for(common) as (_, services):
            items = await _pages(services, query, limit)
        out.result({"assets": plain(items)})
        rows = [
            (i.state.value, i.media_type.value, i.path, " ".join(sorted(i.flags)), i.uuid)
            for i in items
        ]
        out.table(("state", "type", "path", "", "uuid"), rows)
        return Exit.OK

    return perform(common, work)


async def _pages(services: Services, query: AssetQuery, limit: int) -> list[AssetSummary]:
    items: list[AssetSummary] = []
    while True:
        page = await services.review.find(query)
        items.extend(page.items)
        if page.next is None or len(items) >= limit:
            return items[:limit]
        query = evolve(query, after=page.next)


def assets_show(asset: str, *, common: Common = DEFAULT) -> int:
    """Show one asset: facts, sidecars, derived files, jobs, decisions, and why.

    Parameters
    ----------
    asset
        Its UUID or a path.
    """

    async def work(out: Output) -> Exit:
        async with services_for(common) as (_, services):
            report = await find_asset(services, asset)
        document = asset_document(report)
        out.result(document)
        out.say(report.why.sentence, "bold")
        if report.why.next:
            out.say(f"open now: {'; '.join(report.why.next)}")
        found = report.asset
        rows = [("uuid", found.uuid), ("path", found.path), ("size", size_text(found.size))]
        rows += [("sidecar", s.path) for s in found.sidecars]
        rows += [(name, str(value)) for name, value in sorted(found.facts.items())]
        rows += [
            (f"{ref.kind} {ref.index}", f"{size_text(ref.size_bytes)}  .derived/{ref.ref}")
            for ref in found.derived
        ]
        rows += [("job " + job.job_type, job.status.value) for job in report.jobs]
        rows += [("warning", warning) for warning in found.warnings]
        rows += [("decision", f"{d.action} by {d.by}") for d in found.decisions]
        rows += [("was at", f"{p.path} ({p.cause})") for p in found.path_history]
        out.table(("", ""), rows)
        return Exit.OK

    return perform(common, work)
