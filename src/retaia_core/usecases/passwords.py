"""Passwords: changed by who knows the old one, reset by who gets the message, set by who runs the server."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from ..domain.accounts import Account, Email, check_password, verified, with_password
from ..domain.actors import Actor
from ..domain.sessions import OneTime, Purpose, digest_of
from ..errors import InvalidToken, StateConflict, Unauthorized, UserNotFound, ValidationFailed
from ..ports.clock import Clock, Ids
from ..ports.notifier import Message
from ..ports.secrets import Secrets
from ..ports.store import Store, Transaction
from . import letters, one_use
from .attempts import Attempts, attempt_key
from .charges import Limit, charge, give_back, per_address
from .sessions import Principal
from .sign_in import login_limit
from .trail import record, subject_of


@frozen(kw_only=True)
class Passwords:
    """The stories of a new password. Hashing runs outside of transactions, which check again."""

    store: Store
    clock: Clock
    ids: Ids
    secrets: Secrets

    async def request_reset(self, email: Email, *, address: str) -> Message | None:
        """The message to send; None where nobody has the address, which nobody is told.

        Raises:
            TooManyAttempts: asked too often, for this address or from this network address.
        """
        token, now = self.ids.token(), self.clock.now()
        limits = (Limit(key=attempt_key("lost", email)), per_address("lost", address))

        def work(tx: Transaction) -> Message | None:
            account = tx.account_by_email(email)
            charge(tx, limits, now)
            if account is None or account.disabled:
                return None
            make_reset(tx, token, account, now)
            return letters.reset_password(account, token)

        return await self.store.transact(work)

    async def offer_reset(self, by: Actor, email: Email) -> Message:
        """The message by which somebody chooses a new password, on an administrator's word.

        Nothing changes until it is used: the present password and the sessions stay.

        Raises:
            UserNotFound: nobody has this address.
            StateConflict: the account is disabled, or its person signs in by link only.
        """
        token, now = self.ids.token(), self.clock.now()

        def work(tx: Transaction) -> Message:
            account = tx.account_by_email(email)
            if account is None:
                raise UserNotFound("no account has this address")
            if account.disabled:
                raise StateConflict("this account is disabled; enable it first")
            if account.local_name is not None:
                raise StateConflict(
                    "this is the person at the server's machine, whom no message reaches; "
                    "`retaia user link` signs them in there"
                )
            make_reset(tx, token, account, now)
            record(tx, subject_of(account), "account.reset_sent", by, now)
            return letters.offer_reset(account, token)

        return await self.store.transact(work)

    async def reset(self, token: str, password: str, *, address: str) -> Message:
        """Set a new password by the token of a message; every session of the account ends.

        Returns the message that says so.

        Raises:
            ValidationFailed: the password is too short or too long; the token is still good.
            InvalidToken: it was used, is too old, or never was one.
            TooManyAttempts: too many were wrong from this network address.
        """
        check_password(password)
        attempts = Attempts(store=self.store, clock=self.clock)
        key = attempt_key("reset-token", address)
        await attempts.run(key, lambda tx: self._resettable(tx, token), wrong=(InvalidToken,))
        hashed = await self.secrets.hash_password(password)

        def work(tx: Transaction) -> Account:
            used, account = self._resettable(tx, token)
            tx.drop_one_time(used.digest)
            changed = verified(with_password(account, hashed))
            _replace(tx, changed)
            tx.drop_throttle(attempt_key("lost", account.email))
            return changed

        return letters.password_changed(await self.store.transact(work))

    def _resettable(self, tx: Transaction, token: str) -> tuple[OneTime, Account]:
        """A token and its account, unless the password was changed since the token was made."""
        known, account = one_use.look_at(tx, token, Purpose.RESET_PASSWORD, self.clock.now())
        if known.data["of"] != _mark(account):
            raise InvalidToken("the password was changed since; ask for another message")
        return known, account

    async def change(self, who: Principal, current: str | None, password: str) -> Message:
        """Replace one's own password; the person's other sessions end.

        An account that has none yet (of the person at this machine) needs no current one.

        Raises:
            ValidationFailed: the current password is wrong, or the new one too short or too long.
            TooManyAttempts: too many were wrong.
            StateConflict: it was changed by somebody else meanwhile.
        """
        assert who.account is not None, "only people have passwords"
        check_password(password)
        seen = who.account
        if seen.password is not None:
            await self._prove(seen, current)
        hashed = await self.secrets.hash_password(password)

        def work(tx: Transaction) -> Account:
            account = tx.account(seen.account_id)
            if account is None:
                raise Unauthorized("this account is gone")
            if account.password != seen.password:
                raise StateConflict("the password was changed meanwhile; sign in again")
            changed = with_password(account, hashed)
            tx.save_account(changed)
            for session in tx.sessions(account.account_id):
                if session.client_id != who.client_id:
                    tx.drop_session(account.account_id, session.client_id)
            return changed

        return letters.password_changed(await self.store.transact(work))

    async def _prove(self, account: Account, current: str | None) -> None:
        limits = (Limit(key=attempt_key("password", account.account_id)),)
        await self.store.transact(lambda tx: charge(tx, limits, self.clock.now()), durable=False)
        if not await self.secrets.check_password(account.password, current or ""):
            raise ValidationFailed("the current password is wrong", current_password="wrong")
        await self.store.transact(lambda tx: give_back(tx, limits), durable=False)

    async def set_for(self, email: Email, password: str) -> None:
        """Set somebody's password, on the word of who runs the server; their sessions end.

        Raises:
            UserNotFound: nobody has this address.
            ValidationFailed: the password is too short or too long.
        """
        check_password(password)
        hashed = await self.secrets.hash_password(password)

        def work(tx: Transaction) -> None:
            account = tx.account_by_email(email)
            if account is None:
                raise UserNotFound("no account has this address")
            _replace(tx, with_password(account, hashed))

        await self.store.transact(work)


def make_reset(tx: Transaction, token: str, account: Account, now: datetime) -> None:
    """Keep a token that sets the password, as long as it is the present one."""
    one_use.make(tx, token, Purpose.RESET_PASSWORD, account, now, {"of": _mark(account)})


def _mark(account: Account) -> str:
    return digest_of(account.password or "")


def _replace(tx: Transaction, account: Account) -> None:
    tx.save_account(account)
    tx.drop_sessions(account.account_id)
    tx.drop_throttle(login_limit(account.email).key)
