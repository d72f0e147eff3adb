"""The command for moves that could not be proven: ``recover`` shows the evidence and takes a choice."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from retaia_core.domain.moves import DiskFile
from retaia_core.domain.parked import Choice, Parked, offers
from retaia_core.errors import SettingsError
from retaia_core.hooks.exits import Exit
from retaia_core.shell.credentials import local_person
from retaia_core.shell.services import Services

from .context import DEFAULT, Common, find_asset, perform, services_for
from .output import Output, plain, printable


def register(app: App) -> None:
    """Add the command."""
    app.command(recover)


_SPELLINGS = {choice.value.replace("_", "-"): choice for choice in Choice}


def _spelt(choice: Choice) -> str:
    return choice.value.replace("_", "-")


def _document(parked: Parked) -> dict[str, object]:
    return {
        "uuid": parked.asset.uuid,
        "path": parked.asset.path,
        "state": parked.asset.state.value,
        "batch_id": parked.batch_id,
        "undoes": parked.move.undoes or None,
        "error": parked.result.error,
        "at": plain(parked.result.at),
        "unseen": parked.unseen or None,
        "files": [
            {
                "role": seen.file.role,
                "source": seen.file.source,
                "target": seen.file.target,
                "planned": {"size": seen.file.size, "mtime_ns": seen.file.mtime_ns},
                "at_source": plain(seen.at_source),
                "at_target": plain(seen.at_target),
                "found_then": seen.recorded,
                "found_now": seen.where.value,
            }
            for seen in parked.files
        ],
        "choices": [
            {
                "choice": _spelt(offer.choice),
                "sentence": offer.sentence,
                "consequences": list(offer.consequences),
            }
            for offer in offers(parked)
        ],
    }


def _there(found: DiskFile | None) -> str:
    return "nothing" if found is None else f"{found.size} bytes"


def _print(out: Output, parked: Parked) -> None:
    batch = f"the undo {parked.batch_id}" if parked.move.undoes else f"batch {parked.batch_id}"
    error = f": {parked.result.error}" if parked.result.error else ""
    out.say(f"{printable(parked.asset.path)} ({parked.asset.uuid})", "bold")
    out.say(f"  {batch} could not be proven at {plain(parked.result.at)}{error}")
    for seen in parked.files:
        mark = "  " if seen.file.role == "original" else "  + "
        out.say(f"{mark}{seen.file.size} bytes were to go:")
        out.say(f"    from {printable(seen.file.source)}: now {_there(seen.at_source)}")
        out.say(f"    to   {printable(seen.file.target)}: now {_there(seen.at_target)}")
    for offer in offers(parked):
        out.say(f"  --accept {_spelt(offer.choice)}: {printable(offer.sentence)}", "yellow")
        for said in offer.consequences:
            out.say(f"      {printable(said)}")
    if parked.unseen:
        out.say(f"  it cannot be looked at now: {parked.unseen}", "yellow")
    elif not offers(parked):
        out.say(
            "  the original is in neither place; put it back into one, and look again", "yellow"
        )


async def _list(services: Services, out: Output) -> Exit:
    parked = await services.recovery.parked()
    for one in parked:
        _print(out, one)
    out.say(f"{len(parked)} parked assets")
    out.result({"parked": [_document(one) for one in parked]})
    return Exit.OK


def recover(
    asset: str | None = None,
    *,
    every: Annotated[bool, Parameter(name="--list", negative="")] = False,
    accept: str | None = None,
    common: Common = DEFAULT,
) -> int:
    """Show the evidence of moves that could not be proven, and settle one by saying what is so.

    Parameters
    ----------
    asset
        A parked asset: its UUID or a path (default: all of them).
    every
        All parked assets.
    accept
        ``moved``, ``not-moved`` or ``retry``, as the evidence offers; without it nothing is changed.
    """

    async def work(out: Output) -> Exit:
        if accept is not None and (asset is None or accept not in _SPELLINGS):
            allowed = ", ".join(_SPELLINGS)
            raise SettingsError(f"--accept is for one asset, and takes one of {allowed}")
        async with services_for(common) as (_, services):
            if asset is None or every:
                return await _list(services, out)
            uuid = (await find_asset(services, asset)).asset.uuid
            if accept is None:
                parked = await services.recovery.evidence(uuid)
                _print(out, parked)
                out.result(_document(parked))
                return Exit.OK
            choice = _SPELLINGS[accept]
            after = await services.recovery.settle(local_person(), uuid, choice)
        flags = sorted(after.flags)
        out.say(f"{printable(after.path)}: it is {after.state} now {' '.join(flags)}".rstrip())
        settled = {"uuid": uuid, "path": after.path, "state": after.state.value, "flags": flags}
        out.result({**settled, "accepted": accept, "by": str(local_person())})
        return Exit.OK if "parked" not in flags else Exit.FAILED

    return perform(common, work)
