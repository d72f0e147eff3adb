"""Where the client's bearer token comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import define, field, frozen

from retaia_core.errors import Unauthorized

from .values.accounts import AuthClientTokenSuccess, AuthLoginSuccess, ClientKind, NonUiClientKind


class Accounts(Protocol):
    """The calls that give a token for something else."""

    async def login(
        self,
        email: str,
        password: str,
        *,
        otp_code: str | None = None,
        client_id: str | None = None,
        client_kind: ClientKind | None = None,
    ) -> AuthLoginSuccess: ...

    async def refresh(self, refresh_token: str) -> AuthLoginSuccess: ...

    async def client_token(
        self, client_id: str, client_kind: NonUiClientKind, secret_key: str
    ) -> AuthClientTokenSuccess: ...


class TokenSource(Protocol):
    """Gives tokens; asked again once when the server answers 401."""

    @property
    def renewable(self) -> bool:
        """Whether asking again may give another token."""
        ...

    async def mint(self, accounts: Accounts) -> str:
        """A token."""
        ...


@frozen
class FixedToken:
    """A token that somebody else minted."""

    token: str = field(repr=False)
    renewable: bool = field(default=False, init=False)

    async def mint(self, accounts: Accounts) -> str:
        """The token."""
        return self.token


@frozen(kw_only=True)
class ClientCredentials:
    """The secret of a technical client; a new token ends the old one."""

    client_id: str
    client_kind: NonUiClientKind
    secret_key: str = field(repr=False)
    renewable: bool = field(default=True, init=False)

    async def mint(self, accounts: Accounts) -> str:
        """A new token."""
        minted = await accounts.client_token(self.client_id, self.client_kind, self.secret_key)
        return minted.access_token


@define(kw_only=True)
class Login:
    """A person's e-mail and password; ``otp`` is asked for a fresh code at each login.

    When the token ends, the refresh token of the last login gives the next one, without a code; where it
    does not count any more, the person is logged in again.
    """

    email: str
    password: str = field(repr=False)
    otp: Callable[[], str] | None = field(default=None, repr=False)
    client_id: str | None = None
    client_kind: ClientKind | None = None
    renewable: bool = field(default=True, init=False)
    _refresh_token: str | None = field(default=None, init=False, repr=False)

    async def mint(self, accounts: Accounts) -> str:
        """A new token.

        Raises:
            MfaRequired: the account asks for a code and ``otp`` was not given.
        """
        minted = await self._refreshed(accounts) or await self._logged_in(accounts)
        self._refresh_token = minted.refresh_token
        return minted.access_token

    async def _refreshed(self, accounts: Accounts) -> AuthLoginSuccess | None:
        refresh_token, self._refresh_token = self._refresh_token, None
        if refresh_token is None:
            return None
        try:
            return await accounts.refresh(refresh_token)
        except Unauthorized:
            return None

    async def _logged_in(self, accounts: Accounts) -> AuthLoginSuccess:
        return await accounts.login(
            self.email,
            self.password,
            otp_code=self.otp() if self.otp else None,
            client_id=self.client_id,
            client_kind=self.client_kind,
        )
