"""The commands that delete rejected files for good: ``purge`` shows, asks, and certifies."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from attrs import field, frozen
from cyclopts import App, Parameter

from retaia_core.domain.identifiers import AssetId
from retaia_core.domain.lifecycle import State
from retaia_core.domain.purge import PurgeBlock, PurgePlan, PurgeRole
from retaia_core.errors import RetaiaError, SettingsError
from retaia_core.hooks.exits import Exit, exit_of
from retaia_core.settings import Settings
from retaia_core.shell.credentials import local_person
from retaia_core.shell.services import Services

from .context import DEFAULT, Common, find_asset, perform, report_error, seal_trail, services_for
from .output import Output, plain, printable, size_text
from .purge_report import (
    CheckTold,
    ahead_document,
    certificate_document,
    plan_document,
    print_certificate,
    print_plan,
)


def register(app: App) -> None:
    """Add the commands."""
    purges = App(name="purge")
    purges.default(purge)
    purges.command(purge_certificate, name="certificate")
    purges.command(purge_policy, name="policy")
    app.command(purges)


@frozen(kw_only=True)
class _Order:
    """What a person asked for beside the names."""

    prove: bool
    waive: tuple[str, ...]
    because: str
    before: datetime | None = None


@frozen(kw_only=True)
class _Shown:
    """One name with the plan that was shown, or why there is none."""

    name: str
    document: dict[str, object]
    plan: PurgePlan | None = None
    error: RetaiaError | None = field(default=None)


async def _show(services: Services, out: Output, name: str, order: _Order) -> _Shown:
    """Plan the purge of one asset, having waived and looked for copies where that was asked for."""
    asset = (await find_asset(services, name)).asset
    if asset.state is State.PURGED:
        out.say(f"{printable(asset.path)}: it was purged before")
        gone = {"uuid": asset.uuid, "path": asset.path, "state": asset.state.value}
        return _Shown(name=name, document={"name": name, **gone})
    mine = {asset.path, *(sidecar.path for sidecar in asset.sidecars)}
    for path in order.waive:
        if path in mine:
            await services.proofs.waive(local_person(), asset.uuid, path, order.because)
    plan = await services.purges.preview(asset.uuid)
    if order.prove and _unproven(plan):
        await services.proofs.check(local_person(), asset.uuid, CheckTold(out))
        plan = await services.purges.preview(asset.uuid)
    print_plan(out, plan)
    return _Shown(name=name, document={"name": name, **plan_document(plan)}, plan=plan)


def _unproven(plan: PurgePlan) -> bool:
    """Whether nothing but a proof is missing: some file has neither one that counts now nor a waiver."""
    group = [file for file in plan.files if file.role is not PurgeRole.DERIVED]
    lacking = any(file.proof is None and file.waiver is None for file in group)
    return lacking and {block.reason for block in plan.blocked} <= {PurgeBlock.UNPROVEN}


async def _all_shown(
    services: Services, out: Output, names: tuple[str, ...], order: _Order
) -> list[_Shown]:
    shown = []
    for name in names:
        try:
            shown.append(await _show(services, out, name, order))
        except RetaiaError as error:
            shown.append(_failed(out, name, error))
    return shown


def _failed(out: Output, name: str, error: RetaiaError) -> _Shown:
    problem = {"code": error.code, "message": str(error), **error.details}
    out.tell(f"{printable(name)}: {error}", "red")
    return _Shown(name=name, document={"name": name, "error": plain(problem)}, error=error)


async def _delete(services: Services, out: Output, one: _Shown) -> _Shown:
    """Delete what was shown of one asset."""
    if one.plan is None:
        return one
    try:
        result = await services.purges.purge(local_person(), one.plan, one.plan.digest)
    except RetaiaError as error:
        return _failed(out, one.name, error)
    freed = size_text(result.bytes_freed)
    out.say(f"{printable(one.plan.path)}: purged, {len(result.removed)} files deleted ({freed})")
    state = result.asset.state.value
    return _Shown(name=one.name, plan=one.plan, document={**one.document, "state": state})


def _confirmed(out: Output, plans: list[PurgePlan]) -> bool:
    """Have a person who looks on type what is about to happen; nobody else is asked."""
    free = [plan for plan in plans if not plan.blocked]
    if out.as_json or not out.errors.is_terminal or not free:
        out.say("nothing was deleted; look at the list, then run again with --yes")
        return False
    size = size_text(sum(plan.bytes_freed for plan in free))
    phrase = f"delete {len(free)}"
    out.tell(
        f"{len(free)} of {len(plans)} assets can go ({size}). It cannot be taken back.", "bold"
    )
    if out.type(f"Type '{phrase}' to delete them for good: ") == phrase:
        return True
    out.say("nothing was deleted")
    return False


def _checked(names: tuple[str, ...], order: _Order, rejected_before: str | None) -> None:
    """Refuse calls that cannot be meant.

    Raises:
        SettingsError: saying what is missing.
    """
    if not names and rejected_before is None:
        raise SettingsError(
            "name at least one asset, by UUID or by path, or --rejected-before DATE"
        )
    if bool(order.waive) != bool(order.because):
        raise SettingsError("--waive PATH needs --because REASON, and the other way round")


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise SettingsError(f"{text!r} is no date; write it as 2026-12-31") from error


async def _named(services: Services, names: tuple[str, ...], order: _Order) -> tuple[str, ...]:
    if order.before is None:
        return names
    found: tuple[AssetId, ...] = await services.purges.rejected_before(order.before)
    return tuple(dict.fromkeys([*names, *found]))


def _refuse_unnamed(order: _Order, shown: list[_Shown]) -> None:
    """Refuse a waiver that names a file of none of the assets."""
    known = {file.path for one in shown if one.plan for file in one.plan.files}
    known |= {block.path for one in shown if one.plan for block in one.plan.blocked}
    for path in order.waive:
        if path not in known:
            raise SettingsError(
                f"--waive {path!r} is no file of these assets; write its path as shown"
            )


def purge(
    *names: str,
    rejected_before: str | None = None,
    prove: Annotated[bool, Parameter(negative="")] = False,
    waive: tuple[str, ...] = (),
    because: str = "",
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative="")] = False,
    common: Common = DEFAULT,
) -> int:
    """Delete rejected assets for good, with sidecars and derived files: shows them, and asks.

    Where nobody can be asked (and with --json) nothing is deleted without --yes.

    Parameters
    ----------
    names
        UUIDs or paths.
    rejected_before
        Every asset that came among the rejects before this day (2026-12-31, UTC).
    prove
        Look for another copy of each file in the places of `[purge.copies]`, reading both whole; done by
        itself where `[purge] require_proof` is `copy`.
    waive
        The path of a file, as it is shown, that may go without a proven copy.
    because
        Why, in words; it is kept for ever.
    yes
        Do not ask.
    """
    order = _Order(prove=prove, waive=waive, because=because.strip())
    try:
        _checked(names, order, rejected_before)
        order = _Order(
            prove=prove, waive=waive, because=order.because, before=_date(rejected_before)
        )
    except SettingsError as error:
        return report_error(common.out, error)

    async def work(out: Output) -> Exit:
        async with services_for(common) as (settings, services):
            asked = _with_settings(order, settings)
            shown = await _all_shown(services, out, await _named(services, names, asked), asked)
            _refuse_unnamed(asked, shown)
            plans = [one.plan for one in shown if one.plan is not None]
            delete = yes or _confirmed(out, plans)
            if delete:
                shown = [await _delete(services, out, one) for one in shown]
                await seal_trail(services, out)
        results = [one.document for one in shown]
        out.result({"deleted": delete, "by": str(local_person()), "results": results})
        return next((exit_of(one.error) for one in reversed(shown) if one.error), Exit.OK)

    return perform(common, work)


def _with_settings(order: _Order, settings: Settings) -> _Order:
    required = settings.purge.require_proof == "copy"
    return _Order(
        prove=order.prove or required,
        waive=order.waive,
        because=order.because,
        before=order.before,
    )


def purge_certificate(uuid: str, *, common: Common = DEFAULT) -> int:
    """Show what was purged of an asset, when, by whose word, and on which proof; it is kept for ever.

    Parameters
    ----------
    uuid
        The asset's UUID.
    """

    async def work(out: Output) -> Exit:
        async with services_for(common) as (_, services):
            asset = (await find_asset(services, uuid)).asset
            certificate = await services.certificates.of(asset.uuid)
        out.result(certificate_document(certificate))
        print_certificate(out, certificate)
        return Exit.OK

    return perform(common, work)


def purge_policy(*, limit: int = 100, common: Common = DEFAULT) -> int:
    """Show what the automatic policy would purge next, and when; deletes nothing, also where it is on.

    Parameters
    ----------
    limit
        So many assets at most.
    """

    async def work(out: Output) -> Exit:
        async with services_for(common) as (settings, services):
            coming = await services.purge_policy.ahead(limit)
        on, days = settings.purge.policy == "on", settings.purge.after_days
        document = [ahead_document(one) for one in coming]
        out.result({"policy": settings.purge.policy, "after_days": days, "coming": document})
        out.say(f"the policy is {'on' if on else 'off'}: {days} days after rejection")
        for one in coming:
            blocked = f"; stays: {printable(one.blocked)}" if one.blocked else ""
            path = printable(one.asset.path)
            out.say(f"  {plain(one.due_at)}  {path} (rejected {plain(one.rejected_at)}){blocked}")
        return Exit.OK

    return perform(common, work)
