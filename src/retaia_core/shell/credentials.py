"""The local credentials: two tokens in a file that only their user can read, until accounts exist."""

from __future__ import annotations

import getpass
import json
import os
from pathlib import Path

from attrs import frozen

from ..domain.actors import Actor, ActorKind
from ..errors import SettingsError
from ..ports.clock import Ids

FILE = "credentials.json"


@frozen(kw_only=True)
class Credentials:
    """The tokens of the person at this machine and of the agents that run on it."""

    person: str
    agent: str


def local_person() -> Actor:
    """The person who runs a command on this machine, by login name."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return Actor(kind=ActorKind.PERSON, id=f"local/{name}")


def _read(path: Path) -> Credentials:
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise SettingsError(
            f"{path} can be read by others; run: chmod 600 {path}",
            source=str(path),
        )
    try:
        raw = json.loads(path.read_text("utf-8"))
        return Credentials(person=str(raw["person"]), agent=str(raw["agent"]))
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path} is damaged; remove it, and the next start writes a new one", source=str(path)
        ) from error


def local_credentials(data_dir: Path, ids: Ids) -> Credentials:
    """Read the tokens, or make them at the first start (file mode 0600, never replaced).

    Raises:
        SettingsError: others can read the file, or it is damaged.
    """
    path = data_dir / FILE
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = Credentials(person=ids.token(), agent=ids.token())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"person": fresh.person, "agent": fresh.agent}, file)
    return fresh
