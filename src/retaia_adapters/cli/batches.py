"""The commands that move files: ``batch`` previews, applies, takes back and reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

from attrs import asdict
from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.text import Text

from retaia_core.domain.batch_lines import BatchLine
from retaia_core.domain.identifiers import BatchId
from retaia_core.domain.lifecycle import Verdict
from retaia_core.domain.moves import Batch, Copying, MovePlan, MoveResult, Outcome
from retaia_core.domain.storage import Health, Storage
from retaia_core.errors import SettingsError
from retaia_core.hooks.exits import Exit
from retaia_core.shell.credentials import local_person
from retaia_core.shell.services import Services
from retaia_core.usecases.monitoring import Monitoring

from .context import DEFAULT, Common, find_ids, perform, seal_trail, services_for
from .output import Output, plain, printable, size_text


def register(app: App) -> None:
    """Add the commands."""
    batch = App(name="batch", help="Move decided assets: preview, apply, undo, list, report.")
    batch.command(batch_preview, name="preview")
    batch.command(batch_apply, name="apply")
    batch.command(batch_undo, name="undo")
    batch.command(batch_list, name="list")
    batch.command(batch_report, name="report")
    app.command(batch)


_INCLUDE = {
    "keep": frozenset({Verdict.KEEP}),
    "reject": frozenset({Verdict.REJECT}),
    "both": frozenset(Verdict),
}


def _plan_document(plan: MovePlan) -> dict[str, object]:
    return {
        "digest": plan.digest,
        "moves": [
            {
                "asset": move.asset,
                "storage_id": move.storage_id,
                "verdict": move.verdict.value,
                "files": [asdict(file) for file in move.files],
                "renamed": bool(move.nonce),
                "collides_with": list(move.collides_with),
                "warnings": list(move.warnings),
            }
            for move in plan.moves
        ],
        "collisions": [move.asset for move in plan.collisions],
        "blocked": plain(plan.blocked),
        "summary": {
            "moves": len(plan.moves),
            "files": sum(len(move.files) for move in plan.moves),
            "bytes": sum(move.size_bytes for move in plan.moves),
            "collisions": len(plan.collisions),
            "blocked": len(plan.blocked),
        },
    }


def _print_plan(out: Output, plan: MovePlan) -> None:
    for move in plan.moves:
        for file in move.files:
            mark = "  " if file.role == "original" else "  + "
            out.say(f"{mark}{printable(file.source)} → {printable(file.target)}")
        if move.nonce:
            taken = ", ".join(printable(path) for path in move.collides_with)
            out.say(f"    renamed, because {taken} is taken", "yellow")
        for warning in move.warnings:
            out.say(f"    {warning}", "yellow")
    for blocked in plan.blocked:
        out.say(f"  stays: {printable(blocked.path)}: {blocked.message}", "yellow")
    total = size_text(sum(move.size_bytes for move in plan.moves))
    out.say(f"{len(plan.moves)} assets would move ({total}), {len(plan.blocked)} stay")


async def _plan(services: Services, include: str, names: tuple[str, ...]) -> MovePlan:
    ids = await find_ids(services, names) if names else None
    return await services.moves.preview(_INCLUDE[include], assets=ids)


def batch_preview(*names: str, include: str = "both", common: Common = DEFAULT) -> int:
    """Show what `batch apply` would do; nothing is changed.

    Parameters
    ----------
    names
        Only these assets (default: everything decided).
    include
        ``keep``, ``reject`` or ``both``.
    """

    async def work(out: Output) -> Exit:
        async with services_for(common) as (_, services):
            plan = await _plan(services, _checked(include), names)
        out.result(_plan_document(plan))
        _print_plan(out, plan)
        return Exit.OK

    return perform(common, work)


def _checked(include: str) -> str:
    if include not in _INCLUDE:
        raise SettingsError(f"--include {include!r} is refused; allowed: keep, reject, both")
    return include


def batch_apply(
    *names: str,
    include: str = "both",
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative="")] = False,
    expect: str | None = None,
    common: Common = DEFAULT,
) -> int:
    """Move decided assets: keeps to the archive, rejects to the rejects; every step is journalled.

    Parameters
    ----------
    names
        Only these assets (default: everything decided).
    include
        ``keep``, ``reject`` or ``both``.
    yes
        Do not ask.
    expect
        The digest of the preview that was looked at; refused where the plan is another one now.
    """

    async def work(out: Output) -> Exit:
        async with services_for(common) as (_, services):
            plan = await _plan(services, _checked(include), names)
            if not plan.moves:
                out.result({"batch_id": None, "results": [], "blocked": plain(plan.blocked)})
                _print_plan(out, plan)
                return Exit.OK
            if not yes and not _confirmed(out, plan):
                return Exit.USAGE
            batch = await services.moves.execute(local_person(), plan, expect or plan.digest)
            with show_results(out) as progress:
                done = await services.moves.run(batch.batch_id, progress)
            await seal_trail(services, out)
            storages = await _looked_at(services)
        out.result(_batch_document(done))
        return _batch_exit(out, done, storages)

    return perform(common, work)


def batch_undo(
    batch_id: str,
    *names: str,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative="")] = False,
    expect: str | None = None,
    common: Common = DEFAULT,
) -> int:
    """Move what a batch moved back to where it was, and restore its decisions; without --yes only show it.

    Parameters
    ----------
    batch_id
        As `batch apply` printed it.
    names
        Only these assets of it (default: everything that it moved).
    yes
        Do not ask.
    expect
        The digest of the plan that was looked at; refused where it is another one now.
    """

    async def work(out: Output) -> Exit:
        async with services_for(common) as (_, services):
            only = await find_ids(services, names) if names else None
            plan = await services.undo.preview(BatchId(batch_id), only)
            if not yes and not _confirmed(out, plan):
                out.result({"undoes": batch_id, "undone": False, **_plan_document(plan)})
                return Exit.OK
            batch = await services.undo.execute(local_person(), plan, expect or plan.digest)
            with show_results(out) as progress:
                done = await services.moves.run(batch.batch_id, progress)
            await seal_trail(services, out)
            storages = await _looked_at(services)
        out.result({"undoes": batch_id, "undone": True, **_batch_document(done)})
        for blocked in done.blocked:
            out.say(f"  stays: {printable(blocked.path)}: {blocked.message}", "yellow")
        return _batch_exit(out, done, storages)

    return perform(common, work)


def _confirmed(out: Output, plan: MovePlan) -> bool:
    _print_plan(out, plan)
    if out.as_json or not out.errors.is_terminal:
        out.tell("nothing was moved; look at the plan, then run again with --yes")
        return False
    return out.ask("Move these files now?")


@contextmanager
def show_results(out: Output) -> Iterator[Callable[[MoveResult], None]]:
    """Print a line for each asset that is done; on a terminal also how far a copy is."""
    status = out.errors.status("", speed=0.5)

    def show(result: MoveResult) -> None:
        if result.copying is None:
            status.stop()
            _print_result(out, result)
        elif out.live:
            status.update(Text(_copying(result.copying)))
            status.start()

    try:
        yield show
    finally:
        status.stop()


def _copying(copying: Copying) -> str:
    share = copying.done / copying.total if copying.total else 1
    # Each byte is written and read back.
    return f"{printable(copying.source)}: {share:.0%} of {size_text(copying.total / 2)} copied"


def _print_result(out: Output, result: MoveResult) -> None:
    first = result.move.files[0]
    line = f"{result.outcome}: {printable(first.source)} → {printable(first.target)}"
    style = "" if result.outcome is Outcome.MOVED else "red"
    out.say(line + (f" ({result.error})" if result.error else ""), style)


def _batch_document(batch: Batch) -> dict[str, object]:
    return {
        "batch_id": batch.batch_id,
        "status": batch.status.value,
        "digest": batch.digest,
        "created_at": plain(batch.created_at),
        "created_by": batch.created_by,
        "finished_at": plain(batch.finished_at),
        "undoes": batch.undoes or None,
        "results": [
            {
                "asset": result.asset,
                "outcome": result.outcome.value,
                "error": result.error,
                "files": [
                    {"source": f.source, "target": f.target, "role": f.role, "size": f.size}
                    for f in result.move.files
                ],
            }
            for result in batch.results
        ],
        "blocked": plain(batch.blocked),
    }


async def _looked_at(services: Services) -> Sequence[Storage]:
    return [await services.storages.look(s) for s in await services.storages.all()]


def _batch_exit(out: Output, batch: Batch, storages: Iterable[Storage]) -> Exit:
    outcomes = [result.outcome for result in batch.results]
    moved, waits = outcomes.count(Outcome.MOVED), outcomes.count(Outcome.PENDING)
    back = f" back (undo of {batch.undoes})" if batch.undoes else ""
    out.say(f"batch {batch.batch_id}: {moved} of {len(outcomes)} assets moved{back}")
    if not waits:
        return Exit.OK if moved == len(outcomes) else Exit.FAILED
    wanted = {r.move.storage_id for r in batch.results if r.outcome is Outcome.PENDING}
    for storage in storages:
        if storage.storage_id in wanted and storage.health is Health.OFFLINE:
            out.say(f"  {storage.root} is offline: {storage.health_reason}", "yellow")
    out.say(
        f"  {waits} wait; a running server (`retaia up` or `serve`) goes on by itself", "yellow"
    )
    return Exit.UNAVAILABLE


def batch_list(
    *,
    limit: Annotated[int, Parameter(validator=Number(gte=1, lte=1000))] = 50,
    common: Common = DEFAULT,
) -> int:
    """List the batches, newest first: by whom, and how many assets moved, failed or were undone.

    Parameters
    ----------
    limit
        How many at most.
    """

    async def work(out: Output) -> Exit:
        async with services_for(common) as (_, services):
            monitoring = Monitoring(store=services.store, clock=services.clock)
            lines = await monitoring.batches(limit=limit)
        documents = [plain(asdict(line)) | {"undoes": line.undoes or None} for line in lines]
        out.result({"batches": documents})
        out.table(
            ("batch", "when", "by", "status", "moved", "undone", "what else"), map(_row, lines)
        )
        return Exit.OK

    return perform(common, work)


def _row(line: BatchLine) -> tuple[str, ...]:
    named = {"failed": line.failed, "unclear": line.parked, "stayed": line.blocked}
    others = [f"{count} {name}" for name, count in named.items() if count]
    undo = [f"undo of {line.undoes}"] if line.undoes else []
    moved = f"{line.moved} of {line.total}"
    when = str(plain(line.created_at))
    return (
        line.batch_id, when, line.created_by, line.status.value, moved, str(line.undone),
        ", ".join([*undo, *others]),
    )  # fmt: skip


def batch_report(batch_id: str | None = None, *, common: Common = DEFAULT) -> int:
    """Show a batch and what became of each asset (default: the newest batches).

    Parameters
    ----------
    batch_id
        As `batch apply` printed it.
    """

    async def work(out: Output) -> Exit:
        async with services_for(common) as (_, services):
            if batch_id is None:
                batches = await services.moves.batches()
                out.result({"batches": [_batch_document(b) for b in batches]})
                rows = [
                    (b.batch_id, b.status.value, str(len(b.results)), str(plain(b.created_at)))
                    for b in batches
                ]
                out.table(("batch", "status", "assets", "when"), rows)
                return Exit.OK
            batch = await services.moves.report(BatchId(batch_id))
            storages = await _looked_at(services)
        out.result(_batch_document(batch))
        for result in batch.results:
            _print_result(out, result)
        return _batch_exit(out, batch, storages)

    return perform(common, work)
