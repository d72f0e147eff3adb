"""What every command shares: global options, settings, services, and finding assets by path."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import anyio
from attrs import field, frozen
from cyclopts import Parameter
from platformdirs import user_data_path

from retaia_core.domain.identifiers import AssetId, StorageId, parse_asset_id, parse_rel_path
from retaia_core.errors import NotFound, RetaiaError, SettingsError, ValidationFailed
from retaia_core.hooks.exits import Exit, exit_of
from retaia_core.settings import Settings, load_settings
from retaia_core.shell.services import Services
from retaia_core.shell.wiring import open_services
from retaia_core.usecases.operations import AssetReport

from .output import Output

SETTINGS_FILE = "retaia.toml"
RUNNING = "server.json"
"""In the data folder while a server runs: where it listens."""


@Parameter(name="*")
@frozen(kw_only=True)
class Common:
    """Options of every command."""

    json: Annotated[bool, Parameter(negative="", help="Print the result as one JSON document.")] = (
        False
    )
    data_dir: Annotated[
        Path | None,
        Parameter(
            env_var="RETAIA_DATA_DIR",
            help="Where the database and local credentials lie (default: the user's data folder).",
        ),
    ] = None
    config: Annotated[
        Path | None,
        Parameter(
            env_var="RETAIA_CONFIG",
            help=f"The settings file (default: {SETTINGS_FILE} in the data folder, if there is one).",
        ),
    ] = None
    output: Annotated[Output | None, Parameter(parse=False)] = field(default=None)

    @property
    def out(self) -> Output:
        """Where this command prints."""
        return self.output or Output(as_json=self.json)

    def settings(self, overrides: Mapping[tuple[str, str], object] | None = None) -> Settings:
        """Read the settings that apply to this command.

        Raises:
            SettingsError: one or more are wrong.
        """
        data_dir = (self.data_dir or user_data_path("retaia")).expanduser().absolute()
        file = self.config
        if file is None and (data_dir / SETTINGS_FILE).is_file():
            file = data_dir / SETTINGS_FILE
        return load_settings(data_dir=data_dir, file=file, overrides=overrides)


DEFAULT = Common()


def perform(common: Common, work: Callable[[Output], Awaitable[Exit]]) -> int:
    """Run a command, and turn its errors into a sentence (or a JSON document) and an exit code."""
    out = common.out
    try:
        return anyio.run(work, out)
    except RetaiaError as error:
        return report_error(out, error)
    except KeyboardInterrupt:
        out.tell("interrupted", "yellow")
        return Exit.INTERRUPTED
    except BaseExceptionGroup as group:
        known = group.subgroup(RetaiaError)
        if known is None:
            raise
        return report_error(out, _first(known))


def _first(group: BaseExceptionGroup[RetaiaError]) -> RetaiaError:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


def report_error(out: Output, error: RetaiaError) -> Exit:
    """Say what went wrong."""
    out.result({"error": {"code": error.code, "message": str(error), "details": error.details}})
    out.tell(f"retaia: {error}", "red")
    return exit_of(error)


@asynccontextmanager
async def services_for(
    common: Common, *, server: bool = False
) -> AsyncIterator[tuple[Settings, Services]]:
    """Settings and services of a command; ``server`` claims a SQLite database for this process."""
    settings = common.settings()
    async with open_services(settings, server=server) as services:
        yield settings, services


async def seal_trail(services: Services, out: Output) -> None:
    """Seal what a command did; where that cannot be done now, the next server does."""
    try:
        await services.history.seal()
    except RetaiaError as error:
        out.tell(f"what was done is not sealed yet: {error}; a server does so", "yellow")


async def find_asset(services: Services, name: str) -> AssetReport:
    """Find an asset by UUID, by a path on this machine, or by its path in a storage.

    Raises:
        NotFound: nothing is known under this name.
    """
    try:
        return await services.operations.asset(parse_asset_id(name))
    except ValidationFailed:
        pass  # No UUID: it is a path.
    for storage_id, path in await candidates(services, name):
        try:
            return await services.operations.at(storage_id, path)
        except NotFound:
            continue
    raise NotFound(
        f"no asset is known as {name!r}; give its UUID, its path on this machine, or its path in "
        "the storage (INBOX/…); `retaia assets list` shows them"
    )


def running_url(settings: Settings) -> str:
    """Where the server of this data folder listens.

    Raises:
        SettingsError: none runs.
    """
    try:
        raw = json.loads((settings.data_dir / RUNNING).read_text("utf-8"))
        return str(raw["url"])
    except (OSError, ValueError, KeyError) as error:
        raise SettingsError(
            "no server runs on this machine; start one with `retaia serve`, or give its address"
        ) from error


def local_folder(path: Path) -> Path:
    """A folder that a person named, absolute and without links."""
    return path.expanduser().resolve()


def _spellings(name: str) -> tuple[Path, ...]:
    """A path made absolute, as it reads and with the links of its folders followed.

    The file itself may be a name that is not there any more, so it is never resolved.
    """
    absolute = Path(os.path.normpath(Path(name).expanduser().absolute()))
    return tuple(dict.fromkeys((absolute, absolute.parent.resolve() / absolute.name)))


async def candidates(services: Services, name: str) -> list[tuple[StorageId, str]]:
    """Where a path might lie: below a storage's root, else relative to one."""
    found: list[tuple[StorageId, str]] = []
    spellings = _spellings(name)
    for storage in await services.storages.all():
        root = Path(storage.root)
        found += [
            (storage.storage_id, candidate.relative_to(root).as_posix())
            for candidate in spellings
            if candidate.is_relative_to(root) and candidate != root
        ]
    for storage in await services.storages.all():
        try:
            found.append((storage.storage_id, parse_rel_path(name)))
        except ValidationFailed:
            continue  # An absolute path of another storage, say.
    return found


async def find_ids(services: Services, names: tuple[str, ...]) -> list[AssetId]:
    """The UUIDs of several assets, in the order given and each once."""
    reports = [await find_asset(services, name) for name in names]
    return list(dict.fromkeys(report.asset.uuid for report in reports))
