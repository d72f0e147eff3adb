"""Where the client's bearer token comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import field, frozen

from .values.accounts import AuthClientTokenSuccess, AuthLoginSuccess, ClientKind, NonUiClientKind


class Accounts(Protocol):
    """The two calls that give a token for something else."""

    async def login(
        self,
        email: str,
        password: str,
        *,
        otp_code: str | None = None,
        client_id: str | None = None,
        client_kind: ClientKind | None = None,
    ) -> AuthLoginSuccess: ...

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


@frozen(kw_only=True)
class Login:
    """A person's e-mail and password; ``otp`` is asked for a fresh code at each login."""

    email: str
    password: str = field(repr=False)
    otp: Callable[[], str] | None = field(default=None, repr=False)
    client_id: str | None = None
    client_kind: ClientKind | None = None
    renewable: bool = field(default=True, init=False)

    async def mint(self, accounts: Accounts) -> str:
        """A new token.

        Raises:
            MfaRequired: the account asks for a code and ``otp`` was not given.
        """
        logged_in = await accounts.login(
            self.email,
            self.password,
            otp_code=self.otp() if self.otp else None,
            client_id=self.client_id,
            client_kind=self.client_kind,
        )
        return logged_in.access_token
