"""Credentials of agents in files that only their user can read, and the person at this machine."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Mapping
from pathlib import Path

from attrs import evolve, frozen

from ..domain.actors import Actor, ActorKind
from ..errors import SettingsError
from ..ports.clock import Ids
from ..ports.device_login import ClientSecret

FILE = "credentials.json"
"""In a server's data folder: the credential of the agents on its own machine."""

LOGIN_FILE = "agent.json"
"""In an agent's data folder: what `retaia agent login` got from a server elsewhere."""


@frozen(kw_only=True)
class StoredCredentials:
    """An agent's credential as a file has it; ``server`` is where it was got from, empty for this machine."""

    secret: ClientSecret
    server: str = ""


def local_name() -> str:
    """The login name of the person who runs a command on this machine."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"


def local_person() -> Actor:
    """The person who runs a command on this machine, by login name."""
    return Actor(kind=ActorKind.PERSON, id=f"local/{local_name()}")


def embedded_secret(local: ClientSecret, ids: Ids) -> ClientSecret:
    """The credential of the agent inside a server's own process: a client of its own, its secret fresh.

    A client has one live token, so that two agents cannot share one.
    """
    return evolve(local, client_id=f"{local.client_id}-embedded", secret_key=ids.token())


def read_credentials(path: Path) -> StoredCredentials:
    """Read an agent's credential.

    Raises:
        SettingsError: there is none, others can read it, or it is damaged.
    """
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise SettingsError(
                f"{path} can be read by others; run: chmod 600 {path}", source=str(path)
            )
        raw = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path) from error
    try:
        secret = ClientSecret(client_id=str(raw["client_id"]), secret_key=str(raw["secret_key"]))
        return StoredCredentials(secret=secret, server=str(raw.get("server", "")))
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> SettingsError:
    return SettingsError(
        f"{path} is damaged or cannot be read; remove it: a server writes its own anew at its next start, "
        "and `retaia agent login` asks for another",
        source=str(path),
    )


def write_credentials(path: Path, stored: StoredCredentials) -> None:
    """Write an agent's credential (file mode 0600), in place of one that was there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    _create(part, stored)
    part.replace(path)


def _create(path: Path, stored: StoredCredentials) -> None:
    """Write a file that was not there.

    Raises:
        FileExistsError: it was.
    """
    content: Mapping[str, str] = {
        **({"server": stored.server} if stored.server else {}),
        "client_id": stored.secret.client_id,
        "secret_key": stored.secret.secret_key,
    }
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file)


def local_credentials(data_dir: Path, ids: Ids) -> ClientSecret:
    """Read the credential of the agents on this machine, or make it at the first start.

    Raises:
        SettingsError: others can read the file, or it is damaged.
    """
    path = data_dir / FILE
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = ClientSecret(client_id=ids.uuid(), secret_key=ids.token())
    try:
        _create(path, StoredCredentials(secret=fresh))
    except FileExistsError:
        return read_credentials(path).secret
    return fresh
