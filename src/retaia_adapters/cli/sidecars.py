"""The commands about sidecars that belong to nothing: ``sidecars list``, ``attach`` and ``detach``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from cyclopts import App

from retaia_core.domain.actors import Actor
from retaia_core.domain.assets import Asset
from retaia_core.domain.identifiers import AssetId, RelPath
from retaia_core.errors import NotFound
from retaia_core.hooks.exits import Exit
from retaia_core.shell.credentials import local_person
from retaia_core.shell.services import Services
from retaia_core.usecases.attachments import Attachments

from .context import DEFAULT, Common, candidates, find_asset, perform, seal_trail, services_for
from .output import Output, plain


def register(app: App) -> None:
    """Add the commands."""
    sidecars = App(
        name="sidecars", help="Sidecars that belong to nothing, and a person's word on them."
    )
    sidecars.command(sidecars_list, name="list")
    sidecars.command(sidecars_attach, name="attach")
    sidecars.command(sidecars_detach, name="detach")
    app.command(sidecars)


def sidecars_list(*, common: Common = DEFAULT) -> int:
    """List the sidecars that are attached to nothing, and why."""

    async def work(out: Output) -> Exit:
        async with services_for(common) as (_, services):
            found = await services.store.read(lambda tx: tuple(tx.unmatched()))
        out.result({"sidecars": [plain(each) for each in found]})
        out.table(("sidecar", "why"), [(each.path, each.reason) for each in found])
        return Exit.OK

    return perform(common, work)


def sidecars_attach(sidecar: str, asset: str, *, common: Common = DEFAULT) -> int:
    """Say that a sidecar belongs to an asset beside it: from now on they move and are purged together.

    Parameters
    ----------
    sidecar
        Its path, on this machine or in the storage.
    asset
        The asset's path or UUID.
    """
    return _change(common, asset, sidecar, Attachments.attach, "belongs to {} now")


def sidecars_detach(sidecar: str, *, common: Common = DEFAULT) -> int:
    """Take back that a person attached a sidecar; the next scan decides by its name again.

    Parameters
    ----------
    sidecar
        Its path, on this machine or in the storage.
    """
    return _change(common, sidecar, sidecar, Attachments.detach, "does not belong to {} any more")


def _change(
    common: Common,
    asset: str,
    sidecar: str,
    act: Callable[[Attachments, Actor, AssetId, RelPath], Awaitable[Asset]],
    said: str,
) -> int:
    async def work(out: Output) -> Exit:
        async with services_for(common) as (_, services):
            found = (await find_asset(services, asset)).asset
            path = await _path(services, found, sidecar)
            after = await act(services.attachments, local_person(), found.uuid, path)
            await seal_trail(services, out)
        _show(out, after, f"{path!r} {said.format(repr(after.path))}")
        return Exit.OK

    return perform(common, work)


async def _path(services: Services, asset: Asset, name: str) -> RelPath:
    """A path that a person typed, in the asset's storage."""
    for storage_id, path in await candidates(services, name):
        if storage_id == asset.storage_id:
            return RelPath(path)
    raise NotFound(f"{name!r} is no path in the storage of {asset.path!r}")


def _show(out: Output, asset: Asset, said: str) -> None:
    out.say(said)
    sidecars = [plain(sidecar) for sidecar in asset.sidecars]
    out.result({"uuid": asset.uuid, "path": asset.path, "sidecars": sidecars})
