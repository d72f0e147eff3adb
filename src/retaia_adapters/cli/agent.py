"""The commands of an agent on this machine: ``agent run``, ``agent login``."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, cast

import anyio
from cyclopts import App, Parameter

from retaia_core.errors import ValidationFailed
from retaia_core.hooks import Role, load_plugins
from retaia_core.hooks.exits import Exit
from retaia_core.ports.agent import AgentEvent, AgentShell
from retaia_core.ports.device_login import Asked, ClientSecret, DeviceLogin
from retaia_core.ports.transport import Transport
from retaia_core.settings import Settings
from retaia_core.shell.clock import RandomIds
from retaia_core.shell.credentials import (
    LOGIN_FILE,
    StoredCredentials,
    local_credentials,
    read_credentials,
    write_credentials,
)
from retaia_core.shell.runtime import Notice, agent_options
from retaia_core.shell.wiring import open_services
from retaia_core.usecases.device_login import be_let_in

from .context import DEFAULT, Common, local_folder, perform, running_url
from .output import Output
from .watching import Watching

Overrides = dict[tuple[str, str], object]


def register(app: App) -> None:
    """Add the commands."""
    agent = App(name="agent", help="An agent on this machine: does the work, decides nothing.")
    agent.command(agent_run, name="run")
    agent.command(agent_login, name="login")
    app.command(agent)


def agent_run(
    *,
    server: str | None = None,
    credentials: Path | None = None,
    mount: Annotated[
        list[str] | None, Parameter(negative="", help="STORAGE_ID=FOLDER; may be repeated.")
    ] = None,
    name: str | None = None,
    parallel: int | None = None,
    until_idle: Annotated[bool, Parameter(negative="")] = False,
    common: Common = DEFAULT,
) -> int:
    """Run an agent that works for a server.

    Parameters
    ----------
    server
        The server's address (default: where `agent login` went, else the one that runs here).
    credentials
        The file with the agent's credential (default: what `agent login` wrote; at the server's own
        machine none is needed).
    name
        The agent's name (default: this machine's).
    parallel
        How many assets at once.
    until_idle
        Stop when nothing is offered any more.
    """
    overrides: Overrides = {}
    if name is not None:
        overrides["agent", "name"] = name
    if parallel is not None:
        overrides["agent", "parallel"] = parallel

    async def work(out: Output) -> Exit:
        settings = common.settings(overrides)
        address, secret = _connection(settings, server, credentials)
        mounts = await _mounts(settings, mount or [])
        watching = Watching.begin(settings, out, service=not until_idle)
        await _run_agent(settings, watching, address, secret, mounts, until_idle=until_idle)
        return Exit.OK

    return perform(common, work)


def agent_login(
    *,
    server: str | None = None,
    credentials: Path | None = None,
    name: str | None = None,
    common: Common = DEFAULT,
) -> int:
    """Ask a server to let this machine's agent in; a person approves it in a browser.

    Parameters
    ----------
    server
        The server's address (default: the one of the settings).
    credentials
        The file to write the credential to (default: in the data folder).
    name
        What the person is shown (default: this machine's name).
    """

    async def work(out: Output) -> Exit:
        settings = common.settings()
        address = (server or settings.agent.server).rstrip("/")
        if not address:
            raise ValidationFailed("say which server: --server http://ADDRESS:8420")
        path = _file(settings, credentials) or settings.data_dir / LOGIN_FILE
        label = name or settings.agent.name or platform.node() or "agent"
        secret = await _log_in(settings, out, address, label)
        write_credentials(path, StoredCredentials(secret=secret, server=address))
        out.result({"server": address, "client_id": secret.client_id, "credentials": str(path)})
        out.say(f"let in as {label}; start it with: retaia agent run --mount STORAGE_ID=FOLDER")
        return Exit.OK

    return perform(common, work)


async def _log_in(settings: Settings, out: Output, server: str, label: str) -> ClientSecret:
    plugins = load_plugins(disabled=settings.plugins.disabled)
    factory = plugins.provider(Role.DEVICE_LOGIN, settings.agent.transport).factory
    login = cast("DeviceLogin", factory(server))

    def show(asked: Asked) -> None:
        out.tell(f"open    {asked.page_with_code}\nor type {asked.user_code} at {asked.page}")
        out.tell(f"waiting for {asked.expires_in / 60:.0f} minutes at most; Ctrl+C gives up")

    try:
        return await be_let_in(login, label, show)
    finally:
        with anyio.CancelScope(shield=True):
            await login.close()


def _file(settings: Settings, given: Path | None) -> Path | None:
    """The credential's file, where one is named."""
    named = given or (Path(settings.agent.credentials) if settings.agent.credentials else None)
    return None if named is None else named.expanduser()


def _connection(
    settings: Settings, server: str | None, given: Path | None
) -> tuple[str, ClientSecret]:
    """The server to work for, and the credential there."""
    address = (server or settings.agent.server).rstrip("/")
    named, login = _file(settings, given), settings.data_dir / LOGIN_FILE
    if named is not None:
        stored = read_credentials(named)
        return address or stored.server or running_url(settings), stored.secret
    if login.exists():
        stored = read_credentials(login)
        if address in ("", stored.server):
            return stored.server, stored.secret
    return address or running_url(settings), local_credentials(settings.data_dir, RandomIds())


async def _mounts(settings: Settings, given: list[str]) -> Mapping[str, str]:
    """Where storages are mounted here: as given, else as this machine's own store knows them."""
    mounts: dict[str, str] = {}
    for text in given:
        storage_id, equals, folder = text.partition("=")
        if not equals:
            raise ValidationFailed(f"--mount {text!r} must read STORAGE_ID=FOLDER")
        mounts[storage_id] = str(local_folder(Path(folder)))
    if not mounts and not settings.agent.mounts:
        async with open_services(settings) as services:
            mounts = {s.storage_id: s.root for s in await services.storages.all()}
    return mounts


async def _run_agent(
    settings: Settings,
    watching: Watching,
    url: str,
    secret: ClientSecret,
    mounts: Mapping[str, str],
    *,
    until_idle: bool,
) -> None:
    plugins = watching.plugins
    shell = cast("AgentShell", plugins.provider(Role.AGENT, settings.agent.provider).factory())
    factory = plugins.provider(Role.AGENT_TRANSPORT, settings.agent.transport).factory
    transport = cast("Transport", factory(url, secret))
    options = agent_options(settings, mounts=mounts, stop_when_idle=until_idle)
    observer = watching.observer(settings)
    with watching.view() as view:

        def watch(event: AgentEvent) -> None:
            observer.agent(event.name, event.data)
            view(Notice(name=f"agent.{event.name}", data=event.data))

        try:
            await shell.run(transport, options, plugins.processors(), watch)
        finally:
            with anyio.CancelScope(shield=True):
                await transport.close()
