"""The command ``settings``: what is in force here, and where each value comes from."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from retaia_core.hooks.exits import Exit
from retaia_core.shell.in_force import SettingInForce, Source, settings_in_force

from .context import DEFAULT, Common, perform
from .output import Output, plain


def register(app: App) -> None:
    """Add the command."""
    app.command(settings)


def settings(
    *, changed: Annotated[bool, Parameter(negative="")] = False, common: Common = DEFAULT
) -> int:
    """Show the settings that commands here read, and where each comes from; secrets are not shown.

    A server that runs may have been given others on its own command line: those it shows itself, to
    administrators, under Administration.

    Parameters
    ----------
    changed
        Only those that are not the default.
    """

    async def work(out: Output) -> Exit:
        read = common.settings()
        found = settings_in_force(read, places=True)
        shown = [one for one in found if not changed or one.source is not Source.DEFAULT]
        out.result({"data_dir": str(read.data_dir), "settings": [plain(one) for one in shown]})
        out.say(f"data folder  {read.data_dir}")
        rows = [(f"{one.section}.{one.key}", _value(one), _whence(one)) for one in shown]
        out.table(("setting", "value", "from"), rows)
        return Exit.OK

    return perform(common, work)


def _value(one: SettingInForce) -> str:
    if one.value is None:
        return "(set, not shown)" if one.given else "(not set)"
    return one.value


def _whence(one: SettingInForce) -> str:
    return one.name or one.source.replace("_", " ").lower()
