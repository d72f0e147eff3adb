"""The command ``verify``: read files whole, and name every one whose content is not what it was."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

from cyclopts import App, Parameter

from retaia_core.domain.fixity import checksum_line, files_of
from retaia_core.domain.identifiers import AssetId, StorageId
from retaia_core.domain.verifying import (
    QUIET,
    WRONG,
    Checked,
    Result,
    VerifyOptions,
    VerifyReport,
)
from retaia_core.errors import SettingsError, StateConflict
from retaia_core.hooks.exits import Exit
from retaia_core.settings import Settings
from retaia_core.shell.credentials import local_person
from retaia_core.shell.services import Services
from retaia_core.usecases.pacing import Pace

from .assets import chosen_storages
from .context import DEFAULT, Common, find_ids, perform, services_for
from .output import Output, plain, printable, size_text
from .quantities import bytes_of, rate_of, span_of


def register(app: App) -> None:
    """Add the command."""
    app.command(verify)


def verify(
    *assets: str,
    storage: str | None = None,
    budget: str | None = None,
    rate: str | None = None,
    older_than: str | None = None,
    accept: Annotated[bool, Parameter(negative="")] = False,
    export: str | None = None,
    common: Common = DEFAULT,
) -> int:
    """Read files whole, compare them with their digests, and name every one that does not match.

    What was verified longest ago comes first, so that runs with a budget take turns; a run that is
    interrupted is gone on with by the next. A file that has no digest yet gets its first one. Exits with 1
    where a file does not match or cannot be read, with 3 where a storage is offline.

    Parameters
    ----------
    assets
        Only these: UUIDs or paths (default: everything that is due).
    storage
        Only this storage: its id or folder.
    budget
        Begin no further asset once so much was read: 200GB, say.
    rate
        Read no more than so much in a second: 50MB/s, say (0: no limit; default: the settings').
    older_than
        Only what was not looked at for so long: 30d, say.
    accept
        Read nothing: take what was found in these assets as right from now on.
    export
        Read nothing: write the digests of a storage to a new file (``--export=-``: to standard
        output), as ``sha256sum --check`` reads them in the storage's root.
    """

    async def work(out: Output) -> Exit:
        async with services_for(common) as (settings, services):
            chosen = await chosen_storages(services, storage)
            if export is not None:
                return await _export(services, out, chosen, export)
            named = tuple(await find_ids(services, assets))
            if accept:
                return await _accept(services, out, named)
            options = VerifyOptions(
                storage_id=chosen[0] if storage is not None else None,
                assets=named,
                budget=None if budget is None else bytes_of(budget),
                **({} if older_than is None else {"older_than": span_of(older_than)}),
            )
            return await _verify(services, out, options, _pace(settings, rate))

    return perform(common, work)


def _pace(settings: Settings, rate: str | None) -> Pace:
    return Pace(rate=settings.fixity.bytes_per_second if rate is None else rate_of(rate))


async def _verify(services: Services, out: Output, options: VerifyOptions, pace: Pace) -> Exit:
    with _progress(out, pace) as tell:
        report = await services.fixity.run(options, local_person(), pace, tell)
    out.result(_document(report))
    _print(out, report)
    if report.wrong:
        return Exit.FAILED
    return Exit.UNAVAILABLE if report.offline else Exit.OK


@contextmanager
def _progress(out: Output, pace: Pace) -> Iterator[Callable[[Checked], None]]:
    """Show what is not well at once; on a terminal, how far the run is too."""
    count = 0
    live = out.errors.status("reading …") if out.live else None

    def tell(one: Checked) -> None:
        nonlocal count
        count += 1
        if live is not None:
            said = f"{count} files, {size_text(pace.bytes_read)}: {printable(one.path)}"
            live.update(said.replace("[", r"\["))
        if one.result not in QUIET:
            show = out.tell if out.as_json else out.say
            show(_line(one), "red" if one.result in WRONG else "yellow")

    if live is None:
        yield tell
        return
    with live:
        yield tell


def _line(one: Checked) -> str:
    return f"{one.result.upper()}  {printable(one.path)}: {one.message}"


_WORDS = {
    Result.MATCH: "match",
    Result.TAKEN: "had no digest and have one now",
    Result.RENEWED: "were changed since, and have a new digest",
    Result.MISMATCH: "DO NOT MATCH",
    Result.UNREADABLE: "cannot be read",
    Result.CHANGED: "are not as the last scan saw them",
    Result.MISSING: "assets are missing since the last scan",
    Result.BUSY: "assets were passed over, being worked on",
}


def _print(out: Output, report: VerifyReport) -> None:
    parts = [f"{report.counts[r]} {words}" for r, words in _WORDS.items() if report.counts.get(r)]
    out.say(f"{size_text(report.bytes_read)} read: {', '.join(parts) or 'nothing was due'}")
    for storage_id, reason in report.offline.items():
        out.say(f"storage {storage_id} is offline: {reason}; nothing there was looked at", "yellow")
    if report.stopped:
        out.say(f"stopped early: {report.stopped}; the next run goes on from here")
    oldest = f"; the longest ago was {report.oldest:%Y-%m-%d %H:%M}Z" if report.oldest else ""
    out.say(f"{report.known} assets have digests, {report.never} have none yet{oldest}")


def _document(report: VerifyReport) -> dict[str, object]:
    document = plain(report)
    assert isinstance(document, dict)
    return {**document, "counts": {r.value: report.counts.get(r, 0) for r in Result}}


async def _accept(services: Services, out: Output, uuids: tuple[AssetId, ...]) -> Exit:
    if not uuids:
        raise SettingsError("--accept takes what was found as right: name the assets it is for")
    accepted = [await services.fixity.accept(local_person(), uuid) for uuid in uuids]
    out.result({"accepted": [plain(report.fixity) for report in accepted]})
    for report in accepted:
        out.say(f"{printable(report.asset.path)}: what was found in it is right from now on")
    return Exit.OK


async def _export(services: Services, out: Output, chosen: list[StorageId], name: str) -> Exit:
    if len(chosen) != 1:
        known = ", ".join(chosen) or "none"
        raise SettingsError(f"--export is for one storage; name it with --storage: {known}")
    written, without = 0, []
    with _new_file(name) as file:
        async for report in services.fixity.listing(chosen[0]):
            for one in files_of(report.asset):
                record = report.fixity.of(one.role) if report.fixity else None
                if record is None or record.digest is None:
                    without.append(one.path)
                    continue
                file.write(checksum_line(one.path, record.digest))
                written += 1
    if name != "-":
        out.result({"file": name, "written": written, "without_digest": without})
    out.tell(f"{written} digests written")
    if without:
        out.tell(f"{len(without)} files have none yet; `retaia verify` takes it", "yellow")
    return Exit.OK


@contextmanager
def _new_file(name: str) -> Iterator[TextIO]:
    """A file that must not be there yet: no list of digests is ever overwritten.

    Raises:
        StateConflict: it is there already, or cannot be made.
    """
    if name == "-":
        yield sys.stdout
        return
    try:
        file = Path(name).open("x", encoding="utf-8", newline="")  # noqa: SIM115 - closed below
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        raise StateConflict(f"{name!r} cannot be written: {said}; name another file") from error
    with file:
        yield file
