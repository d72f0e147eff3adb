"""People sign in: by password and second factor, by a link, by a refresh token (protocol.md)."""

from __future__ import annotations

from attrs import frozen

from ..domain.accounts import Account, AccountId, Email, parse_email
from ..domain.clients import ClientKind
from ..domain.second_factor import code_used, step_used
from ..domain.security_events import EventName
from ..domain.sessions import OneTime, Purpose, Session, digest_of, parse_client_id
from ..errors import (
    EmailNotVerified,
    ForbiddenActor,
    Invalid2faCode,
    InvalidToken,
    MfaRequired,
    NotFound,
    RetaiaError,
    Unauthorized,
)
from ..ports.clock import Clock, Ids
from ..ports.secrets import Secrets
from ..ports.security_log import SecurityLog
from ..ports.store import Store, Transaction
from . import one_use
from .attempts import Attempts, attempt_key
from .charges import Limit, charge, give_back, per_address
from .security import record
from .sessions import Minted, Principal, Sessions

DEFAULT_CLIENTS = {ClientKind.UI_WEB: "web", ClientKind.UI_MOBILE: "mobile"}
"""The client of an interface that does not name itself."""


@frozen(kw_only=True)
class Interface:
    """What a person signs in with; they have one live token on each."""

    client_id: str
    kind: ClientKind


def interface(client_id: str | None = None, kind: ClientKind | None = None) -> Interface:
    """What a person signs in with, as the request says.

    Raises:
        ForbiddenActor: a technical client, which has its own credential.
        ValidationFailed: the client_id.
    """
    kind = kind or ClientKind.UI_WEB
    if kind.is_technical:
        raise ForbiddenActor("this is for people; a technical client gets its token by its secret")
    named = DEFAULT_CLIENTS[kind] if client_id is None else parse_client_id(client_id)
    return Interface(client_id=named, kind=kind)


@frozen(kw_only=True)
class Credentials:
    """What a person proves who they are with."""

    email: Email
    password: str
    otp_code: str | None = None
    recovery_code: str | None = None


def login_limit(email: Email) -> Limit:
    """The limit of all who try one address."""
    return Limit(key=attempt_key("login", email))


def _wrong() -> Unauthorized:
    return Unauthorized("the address or the password is wrong")


@frozen(kw_only=True)
class SignIn:
    """The stories of signing in and out."""

    store: Store
    clock: Clock
    ids: Ids
    secrets: Secrets
    sessions: Sessions
    security: SecurityLog

    # By password

    async def log_in(self, given: Credentials, on: Interface, *, address: str) -> Minted:
        """Sign a person in; whatever is wrong, it takes as long, and counts.

        Raises:
            Unauthorized: the address or the password is wrong, or the account is closed.
            MfaRequired: the password is right, and a code is needed.
            Invalid2faCode: the password is right, and the code is wrong or was used.
            EmailNotVerified: the password is right, and the address is not proven.
            TooManyAttempts: too many were wrong, for this account or from this network address.
        """
        limits = (login_limit(given.email), per_address("login", address))
        try:
            return await self._log_in(given, on, limits)
        except RetaiaError as error:
            self._record(EventName.LOGIN_FAILED, None, on.client_id, error.code)
            raise

    async def _log_in(
        self, given: Credentials, on: Interface, limits: tuple[Limit, Limit]
    ) -> Minted:
        def begin(tx: Transaction) -> Account | None:
            # The account before its limits, as everywhere: two that wait for each other would be refused.
            account = tx.account_by_email(given.email)
            charge(tx, limits, self.clock.now())
            return account

        account = await self.store.transact(begin, durable=False)
        hashed = None if account is None else account.password
        right = await self.secrets.check_password(hashed, given.password)
        if account is None or not right:
            raise _wrong()
        done = await self.store.transact(lambda tx: self._judged(tx, account, given, on, limits))
        if isinstance(done, RetaiaError):
            raise done
        self._record(EventName.LOGIN_SUCCEEDED, account, on.client_id)
        return done

    def _judged(
        self,
        tx: Transaction,
        seen: Account,
        given: Credentials,
        on: Interface,
        limits: tuple[Limit, Limit],
    ) -> Minted | RetaiaError:
        """Judge a right password; an error that is returned is committed with what it counted."""
        account = tx.account(seen.account_id)
        if account is None or account.disabled or account.password != seen.password:
            return _wrong()
        if not account.email_verified:
            give_back(tx, limits)
            return EmailNotVerified("this address is not proven; ask for a message to verify it")
        if account.mfa_enabled:
            if given.otp_code is None and given.recovery_code is None:
                give_back(tx, limits)
                return MfaRequired("this account also asks for a one-time or a recovery code")
            used = self._second_factor(account, given)
            if used is None:
                return Invalid2faCode("the code is wrong or was used; wait for the next one")
            tx.save_account(used)
        mine, everybody = limits
        tx.drop_throttle(mine.key)
        give_back(tx, [everybody])
        return self._open(tx, account, on)

    def _second_factor(self, account: Account, given: Credentials) -> Account | None:
        assert account.totp is not None
        if given.otp_code is None:
            return code_used(account, given.recovery_code or "")
        step = self.secrets.totp_step(account.totp.secret, given.otp_code, self.clock.now())
        return step_used(account, step)

    def _open(self, tx: Transaction, account: Account, on: Interface) -> Minted:
        return self.sessions.open_for_person(tx, account, client_id=on.client_id, kind=on.kind)

    # By link

    async def make_link(self, account_id: AccountId) -> str:
        """A token that signs its person in once, within ten minutes; who gets it is that person.

        Raises:
            NotFound: there is no such account, or it is closed.
        """
        token, now = self.ids.token(), self.clock.now()

        def work(tx: Transaction) -> None:
            account = tx.account(account_id)
            if account is None or account.disabled:
                raise NotFound("there is no such account, or it is closed")
            one_use.make(tx, token, Purpose.SIGN_IN, account, now)

        await self.store.transact(work)
        return token

    async def follow_link(self, token: str, on: Interface, *, address: str) -> Minted:
        """Sign in whom a link was made for.

        Raises:
            InvalidToken: the link was used, is too old, or never was one.
            TooManyAttempts: too many were wrong from this network address.
        """

        def work(tx: Transaction) -> tuple[Account, Minted]:
            account = one_use.use(tx, token, Purpose.SIGN_IN, self.clock.now())
            return account, self._open(tx, account, on)

        attempts = Attempts(store=self.store, clock=self.clock)
        try:
            account, minted = await attempts.run(
                attempt_key("link", address), work, wrong=(InvalidToken,)
            )
        except RetaiaError as error:
            self._record(EventName.LOGIN_FAILED, None, on.client_id, error.code)
            raise
        self._record(EventName.LOGIN_SUCCEEDED, account, on.client_id)
        return minted

    # By refresh token

    async def refresh(self, token: str) -> Minted:
        """Give a new pair of tokens for a refresh token, which counts once.

        One that comes again was copied by somebody: it ends the session that grew from it.

        Raises:
            Unauthorized: it is unknown, was used, is too old, or the account is closed.
        """
        done = await self.store.transact(lambda tx: self._refreshed(tx, digest_of(token)))
        if done is None:
            raise Unauthorized("this refresh token is not valid (any more); sign in again")
        return done

    def _refreshed(self, tx: Transaction, digest: str) -> Minted | None:
        session = tx.session_by_refresh(digest)
        if session is None:
            self._end_where_reused(tx, digest)
            return None
        account = tx.account(AccountId(session.principal_id))
        until = session.refresh_expires_at
        if account is None or account.disabled or until is None or until <= self.clock.now():
            tx.drop_session(session.principal_id, session.client_id)
            return None
        tx.save_one_time(_spent(session, digest))
        on = Interface(client_id=session.client_id, kind=session.client_kind)
        return self._open(tx, account, on)

    def _end_where_reused(self, tx: Transaction, digest: str) -> None:
        spent = tx.one_time(digest)
        if spent is not None and spent.purpose is Purpose.SPENT_REFRESH:
            tx.drop_session(spent.principal_id, str(spent.data["client_id"]))

    # Out

    async def log_out(self, who: Principal) -> None:
        """End the token that a person calls with, and its refresh token."""
        account = who.account
        assert account is not None, "only people log out"
        await self.store.transact(lambda tx: tx.drop_session(account.account_id, who.client_id))
        self._record(EventName.LOGGED_OUT, account, who.client_id)

    def _record(
        self, name: EventName, account: Account | None, client_id: str, error_code: str = ""
    ) -> None:
        record(
            self.security,
            name,
            at=self.clock.now(),
            actor=None if account is None else account.actor,
            client_id=client_id,
            error_code=error_code,
        )


def credentials(
    email: str, password: str, *, otp_code: str | None = None, recovery_code: str | None = None
) -> Credentials:
    """What a request proves who somebody is with.

    Raises:
        ValidationFailed: the address is none.
    """
    return Credentials(
        email=parse_email(email),
        password=password,
        otp_code=otp_code,
        recovery_code=recovery_code,
    )


def _spent(session: Session, digest: str) -> OneTime:
    """The mark that a refresh token leaves, for as long as it could have been used."""
    assert session.refresh_expires_at is not None
    return OneTime(
        digest=digest,
        purpose=Purpose.SPENT_REFRESH,
        principal_id=session.principal_id,
        expires_at=session.refresh_expires_at,
        data={"client_id": session.client_id},
    )
