"""The command ``history``: what was done, as a person reads it, as JSON lines, and whether it was edited."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

from attrs import frozen
from cyclopts import App, Parameter

from retaia_core.domain.assets import Asset
from retaia_core.domain.history import Row, name_of_row, sentence_of
from retaia_core.domain.identifiers import AssetId, BatchId, Subject, parse_asset_id
from retaia_core.domain.journal import Event
from retaia_core.domain.seals import row_digest
from retaia_core.errors import NotFound, SettingsError, ValidationFailed
from retaia_core.hooks.exits import Exit
from retaia_core.shell.services import Services
from retaia_core.usecases.history import CheckReport, History, Trail

from .context import DEFAULT, Common, candidates, perform, services_for
from .output import Output, plain, printable


def register(app: App) -> None:
    """Add the command."""
    app.command(history)


@frozen
class _Story:
    """A trail, and the line above it where several are told."""

    trail: Trail
    heading: str = ""


def history(
    name: str | None = None,
    *,
    everything: Annotated[bool, Parameter(name="--all", negative="")] = False,
    since: datetime | None = None,
    until: datetime | None = None,
    check: Annotated[bool, Parameter(negative="")] = False,
    head: str | None = None,
    common: Common = DEFAULT,
) -> int:
    """Show all that was done to an asset or in a batch, in order; --check says whether it was changed since.

    With --json it prints one JSON object on each line.

    Parameters
    ----------
    name
        An asset's UUID or any path it ever had, a batch, a storage, or a subject as `kind:id`.
    everything
        All there is, of everything.
    since
        From this time on; a local one, unless it says its zone.
    until
        Before this time.
    check
        Recompute every seal over the trail, and name what was changed, removed or put in since.
    head
        The digest of a seal that was noted earlier; the check fails where no seal has it.
    """

    async def work(out: Output) -> Exit:
        wanted = [name is not None, everything, check]
        if sum(wanted) != 1 or (head is not None and not check):
            raise SettingsError("give one of: a name, --all, --check; --head is for --check")
        async with services_for(common) as (_, services):
            stories = services.history
            if check:
                return _report(out, await stories.check(head.lower() if head else None))
            told = [_Story(Trail())] if name is None else await _stories(services, stories, name)
            span = _aware(since), _aware(until)
            agents = await services.store.read(lambda tx: tx.agents())
            names = {f"agent:{agent.agent_id}": f"agent {agent.name!r}" for agent in agents}
            try:
                for story in told:
                    rows = stories.rows(story.trail, since=span[0], until=span[1])
                    await _tell(out, story, rows, names, subjects=everything)
                sys.stdout.flush()
            except BrokenPipeError:  # Whoever read has seen enough.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK

    return perform(common, work)


def _aware(time: datetime | None) -> datetime | None:
    return time if time is None or time.tzinfo is not None else time.astimezone()


async def _stories(services: Services, stories: History, name: str) -> list[_Story]:
    """Whose history a name means.

    Raises:
        NotFound: nobody's.
    """
    known = {storage.storage_id for storage in await services.storages.all()}
    if name in known:
        return [_Story(Trail(subject=Subject(kind="storage", id=name)))]
    assets = [
        a for place in await candidates(services, name) for a in await stories.assets_at(*place)
    ]
    if assets:
        return _of_assets(assets)
    kind, colon, identity = name.partition(":")
    if colon and kind.isidentifier():
        return [_Story(Trail(subject=Subject(kind=kind, id=identity)))]
    trail = await _numbered(stories, name)
    if trail is None:
        raise NotFound(
            f"nothing is known of {name!r}; give an asset's UUID, a path that it has or had (on this "
            "machine, or in the storage: INBOX/…), a batch, or a storage"
        )
    return [_Story(trail)]


async def _numbered(stories: History, name: str) -> Trail | None:
    """The asset or the batch of a UUID."""
    try:
        uuid = parse_asset_id(name)
    except ValidationFailed:
        return None
    for trail in (
        Trail(subject=Subject(kind="asset", id=uuid)),
        Trail(batch=BatchId(uuid)),
        Trail(subject=Subject(kind="account", id=uuid)),
    ):
        try:
            await stories.page(trail, None, 1)
        except NotFound:
            continue
        return trail
    return None


def _of_assets(assets: Sequence[Asset]) -> list[_Story]:
    """The histories of the assets that had a path, the first to be found there first."""
    one = len(assets) == 1
    return [
        _Story(
            Trail(subject=asset.subject),
            "" if one else f"{AssetId(asset.uuid)}: now {asset.state} at {asset.path!r}",
        )
        for asset in assets
    ]


async def _tell(
    out: Output,
    story: _Story,
    rows: AsyncIterator[Row],
    names: Mapping[str, str],
    *,
    subjects: bool,
) -> None:
    """Tell a history; ``names`` are what people call actors that have a number."""
    if story.heading:
        out.say(printable(story.heading), "bold")
    async for row in rows:
        if out.as_json:
            sys.stdout.write(json.dumps(document_of(row), ensure_ascii=False) + "\n")
            continue
        local = row.at.astimezone().isoformat(sep=" ", timespec="seconds")
        subject = f"{row.subject}  " if subjects else ""
        said = sentence_of(row)
        if isinstance(row, Event) and row.actor in names:
            said = said.replace(row.actor, names[row.actor])
        out.say(printable(f"{local}  {subject}{said}"))


def document_of(row: Row) -> dict[str, object]:
    """A row as a line of JSON; its ``sha256`` is what its seal names."""
    event = isinstance(row, Event)
    document: dict[str, object] = {
        "source": "event" if event else "journal",
        "seq": row.seq,
        "at": row.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "what": name_of_row(row),
        "subject": {"kind": row.subject.kind, "id": row.subject.id},
        "sentence": sentence_of(row),
    }
    if isinstance(row, Event):
        document |= {"by": row.actor, "data": plain(row.data)}
    else:
        document |= {
            "operation": row.operation,
            "phase": row.phase.value,
            "batch_id": row.batch_id,
            "storage_id": row.storage_id,
            "from": row.source,
            "to": row.target,
            "fencing": row.fencing,
            "evidence": plain(row.evidence),
        }
    # A discovery is read from the asset itself: it has no number, and no seal names it.
    return document | {"sha256": row_digest(row).hex() if row.seq else None}


def _report(out: Output, report: CheckReport) -> Exit:
    head = report.head
    out.result(
        {
            "ok": not report.wrong,
            "rows": report.rows,
            "unsealed": report.unsealed,
            "unproven": report.unproven,
            "head": head and {"seal": head.number, "digest": head.digest, "at": head.at},
            "wrong": report.wrong,
            "findings": [
                {
                    "wrong": finding.wrong.value,
                    "sentence": finding.sentence,
                    "seal": finding.seal,
                    "source": finding.kind and finding.kind.value,
                    "seq": finding.seq,
                }
                for finding in report.findings
            ],
        }
    )
    for finding in report.findings:
        out.say(finding.sentence, "red")
    if report.wrong > len(report.findings):
        out.say(f"and {report.wrong - len(report.findings)} more", "red")
    if report.unproven:
        out.say(f"{report.unproven} rows cannot be checked, since their seal is gone", "yellow")
    said = (
        "they are as they were sealed" if not report.wrong else f"{report.wrong} things are wrong"
    )
    out.say(f"{report.rows} rows under {head.number if head else 0} seals: {said}")
    if report.unsealed:
        out.say(f"{report.unsealed} newer rows are not sealed yet; a server seals them as it runs")
    if head is not None:
        out.say(f"head: seal {head.number} of {plain(head.at)}, digest {head.digest}")
        out.say(
            "keep that digest elsewhere: --check --head DIGEST shows a trail that was cut or remade"
        )
    return Exit.FAILED if report.wrong else Exit.OK
