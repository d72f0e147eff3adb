"""A person's login at a server elsewhere, kept in a file that only they can read."""

from __future__ import annotations

import json
import os
from pathlib import Path

from attrs import asdict, evolve, field, frozen
from filelock import FileLock

from retaia_core.errors import SettingsError, Unauthorized

from .tokens import Accounts
from .values.accounts import AuthLoginSuccess

FILE = "remote.json"
"""In the data folder: where `retaia remote login` went, and its tokens."""

_AGAIN = "sign in with `retaia remote login URL`"


@frozen(kw_only=True)
class RemoteLogin:
    """A login: the server's address, the name under which this machine holds its one live token, tokens."""

    server: str
    client_id: str
    access_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)

    def renewed(self, minted: AuthLoginSuccess) -> RemoteLogin:
        """The same login with newer tokens."""
        tokens = (minted.access_token, minted.refresh_token or "")
        return evolve(self, access_token=tokens[0], refresh_token=tokens[1])


def read_login(path: Path) -> RemoteLogin:
    """Read the login.

    Raises:
        SettingsError: nobody signed in, or the file is damaged.
    """
    try:
        raw = json.loads(path.read_text("utf-8"))
        return RemoteLogin(**{name: str(value) for name, value in raw.items()})
    except FileNotFoundError as error:
        raise SettingsError(f"no server is named and nobody signed in; {_AGAIN}") from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise SettingsError(f"{path} is damaged; {_AGAIN}", source=str(path)) from error


def write_login(path: Path, login: RemoteLogin) -> None:
    """Write the login (file mode 0600), in place of one that was there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(login), file)
    part.replace(path)


@frozen(kw_only=True)
class StoredTokens:
    """Tokens from the file of a login; a newer pair is written back.

    A refresh token counts once, and using it again ends the login. So commands that run side by side take
    turns, and whoever comes second finds the newer token in the file.
    """

    path: Path
    _given: list[str] = field(factory=list, init=False, repr=False)
    renewable: bool = field(default=True, init=False)

    async def mint(self, accounts: Accounts) -> str:
        """The token in the file; where that one was refused, a newer one.

        Raises:
            Unauthorized: the login ended.
        """
        with FileLock(f"{self.path}.lock", mode=0o600):
            login = read_login(self.path)
            if login.access_token in self._given:
                login = await self._refreshed(accounts, login)
                write_login(self.path, login)
        self._given.append(login.access_token)
        return login.access_token

    async def _refreshed(self, accounts: Accounts, login: RemoteLogin) -> RemoteLogin:
        try:
            return login.renewed(await accounts.refresh(login.refresh_token))
        except Unauthorized as error:
            raise Unauthorized(f"the login at {login.server} ended; {_AGAIN} again") from error
