"""The command that deletes rejected files for good: ``purge``, which shows first."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from retaia_core.domain.lifecycle import State
from retaia_core.domain.purge import PurgeFile, PurgePlan, PurgeRole
from retaia_core.errors import RetaiaError, SettingsError
from retaia_core.shell.credentials import local_person
from retaia_core.shell.services import Services

from .context import DEFAULT, Common, find_asset, perform, report_error, services_for
from .exits import Exit, exit_of
from .output import Output, plain, printable, size_text


def register(app: App) -> None:
    """Add the command."""
    app.command(purge)


def _file(file: PurgeFile) -> dict[str, object]:
    return {"role": file.role.value, "path": file.path, "size_bytes": file.size}


def _plan_document(plan: PurgePlan) -> dict[str, object]:
    return {
        "uuid": plan.asset,
        "path": plan.path,
        "state": plan.state.value,
        "digest": plan.digest,
        "files": [_file(file) for file in plan.files],
        "bytes_freed": plan.bytes_freed,
        "blocked": plain(plan.blocked),
        "warnings": list(plan.warnings),
    }


def _print_plan(out: Output, plan: PurgePlan) -> None:
    for file in plan.files:
        mark = "  " if file.role is PurgeRole.ORIGINAL else "  + "
        out.say(f"{mark}{printable(file.path)} ({size_text(file.size)}, {file.role})")
    for warning in plan.warnings:
        out.say(f"    {warning}", "yellow")
    for blocked in plan.blocked:
        where = printable(blocked.path or plan.path)
        out.say(f"  stays: {where}: {blocked.message}", "yellow")


async def _one(services: Services, out: Output, name: str, *, yes: bool) -> dict[str, object]:
    """Show the purge of one asset and, with ``yes``, do it."""
    asset = (await find_asset(services, name)).asset
    if asset.state is State.PURGED:
        out.say(f"{printable(asset.path)}: it was purged before")
        return {"name": name, "uuid": asset.uuid, "path": asset.path, "state": asset.state.value}
    plan = await services.purges.preview(asset.uuid)
    _print_plan(out, plan)
    document = {"name": name, **_plan_document(plan)}
    if not yes:
        return document
    result = await services.purges.purge(local_person(), plan, plan.digest)
    freed = size_text(result.bytes_freed)
    out.say(f"{printable(plan.path)}: purged, {len(result.removed)} files deleted ({freed})")
    return {**document, "state": result.asset.state.value}


def purge(
    *names: str,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative="")] = False,
    common: Common = DEFAULT,
) -> int:
    """Delete rejected assets for good, with sidecars and derived files; without --yes only show them.

    Parameters
    ----------
    names
        UUIDs or paths.
    yes
        Delete; without it nothing is changed.
    """
    if not names:
        return report_error(
            common.out, SettingsError("name at least one asset, by UUID or by path")
        )

    async def work(out: Output) -> Exit:
        code, results = Exit.OK, []
        async with services_for(common) as (_, services):
            for name in names:
                try:
                    results.append(await _one(services, out, name, yes=yes))
                except RetaiaError as error:
                    code = exit_of(error)
                    problem = {"code": error.code, "message": str(error), **error.details}
                    results.append({"name": name, "error": plain(problem)})
                    out.tell(f"{printable(name)}: {error}", "red")
        if not yes:
            out.say("nothing was deleted; look at the list, then run again with --yes")
        out.result({"deleted": yes, "by": str(local_person()), "results": results})
        return code

    return perform(common, work)
