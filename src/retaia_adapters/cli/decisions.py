"""The commands by which a person decides: ``decide``, ``reopen``, ``retry``, ``waive`` and so on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from cyclopts import App

from retaia_core.domain.actors import Actor
from retaia_core.domain.assets import Asset
from retaia_core.domain.identifiers import AssetId
from retaia_core.domain.lifecycle import Action
from retaia_core.errors import RetaiaError, SettingsError
from retaia_core.hooks.exits import Exit, exit_of
from retaia_core.shell.credentials import local_person
from retaia_core.shell.services import Services

from .context import DEFAULT, Common, find_asset, perform, report_error, services_for
from .output import Output, plain, printable

Deed = Callable[[Services, Actor, AssetId], Awaitable[Asset]]


def register(app: App) -> None:
    """Add the commands."""
    decide = App(name="decide", help="Decide what becomes of assets; no file moves by it.")
    decide.command(decide_keep, name="keep")
    decide.command(decide_reject, name="reject")
    decide.command(decide_clear, name="clear")
    app.command(decide)
    app.command(reopen)
    app.command(reprocess)
    app.command(retry)
    app.command(waive)
    app.command(profile)


def _do(common: Common, names: tuple[str, ...], deed: Deed, said: str) -> int:
    """Do one thing to each of several assets; one refusal does not stop the others."""
    if not names:
        error = SettingsError("name at least one asset, by UUID or by path")
        return report_error(common.out, error)

    async def work(out: Output) -> Exit:
        actor, code, results = local_person(), Exit.OK, []
        async with services_for(common) as (_, services):
            for name in names:
                try:
                    found = (await find_asset(services, name)).asset
                    asset = await deed(services, actor, found.uuid)
                except RetaiaError as error:
                    code = exit_of(error)
                    problem = {"code": error.code, "message": str(error), **error.details}
                    results.append({"name": name, "error": plain(problem)})
                    out.tell(f"{printable(name)}: {error}", "red")
                    continue
                results.append(
                    {
                        "name": name,
                        "uuid": asset.uuid,
                        "path": asset.path,
                        "state": asset.state.value,
                    }
                )
                out.say(f"{printable(asset.path)}: {said}; it is {asset.state} now")
        out.result({"by": str(actor), "results": results})
        return code

    return perform(common, work)


def decide_keep(*names: str, common: Common = DEFAULT) -> int:
    """Keep assets (UUIDs or paths)."""
    return _do(common, names, lambda s, a, u: s.review.decide(a, u, Action.KEEP), "kept")


def decide_reject(*names: str, common: Common = DEFAULT) -> int:
    """Reject assets (UUIDs or paths)."""
    return _do(common, names, lambda s, a, u: s.review.decide(a, u, Action.REJECT), "rejected")


def decide_clear(*names: str, common: Common = DEFAULT) -> int:
    """Take the decision on assets back (UUIDs or paths)."""
    return _do(common, names, lambda s, a, u: s.review.decide(a, u, Action.CLEAR), "cleared")


def reopen(*names: str, common: Common = DEFAULT) -> int:
    """Open archived or rejected assets for a new decision; nothing moves."""
    return _do(common, names, lambda s, a, u: s.review.reopen(a, u), "reopened")


def reprocess(*names: str, profile: str | None = None, common: Common = DEFAULT) -> int:
    """Have assets processed and decided again; tags, notes and history are kept.

    Parameters
    ----------
    names
        UUIDs or paths.
    profile
        Another processing profile from now on, such as ``video_storyboard``.
    """
    return _do(
        common,
        names,
        lambda s, a, u: s.review.reprocess(a, u, profile=profile),
        "to be processed again",
    )


def retry(*names: str, common: Common = DEFAULT) -> int:
    """Give the failed work of unprocessable assets a new try."""
    return _do(common, names, lambda s, a, u: s.review.retry(a, u), "to be tried again")


def waive(*names: str, common: Common = DEFAULT) -> int:
    """Decide on unprocessable assets all the same: their failed work is waived."""
    return _do(common, names, lambda s, a, u: s.review.waive(a, u), "waived")


def profile(name: str, *names: str, common: Common = DEFAULT) -> int:
    """Choose the processing profile of assets, before their work has begun.

    Parameters
    ----------
    name
        The profile, such as ``audio_voice``.
    names
        UUIDs or paths.
    """
    return _do(common, names, lambda s, a, u: s.review.set_profile(a, u, name), f"now {name}")
