"""People's accounts: made, listed, closed and opened again by those who run the server."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from ..domain.accounts import (
    Account,
    AccountId,
    Email,
    check_password,
    local_account,
    new_account,
    opened_again,
    parse_name,
    shut,
    with_password,
)
from ..domain.actors import Actor
from ..domain.sessions import Purpose
from ..errors import StateConflict, UserNotFound
from ..ports.clock import Clock, Ids
from ..ports.notifier import Message
from ..ports.secrets import Secrets
from ..ports.store import Store, Transaction
from . import letters, one_use
from .attempts import attempt_key
from .passwords import make_reset
from .sign_in import login_limit
from .trail import record, subject_of


@frozen(kw_only=True)
class Added:
    """A new account, and what its person is to be told."""

    account: Account
    message: Message | None


@frozen(kw_only=True)
class Accounts:
    """The stories of accounts."""

    store: Store
    clock: Clock
    ids: Ids
    secrets: Secrets

    async def add(
        self,
        email: Email,
        password: str | None,
        *,
        display_name: str = "",
        admin: bool = False,
        verified: bool = False,
    ) -> Added:
        """Make an account. Without a password the person chooses one by the message that is returned.

        ``verified`` is the word of who adds it that the address is this person's.

        Raises:
            ValidationFailed: the address, the name, or the password.
            StateConflict: the address has an account.
        """
        now, token = self.clock.now(), self.ids.token()
        name, account_id = parse_name(display_name), AccountId(self.ids.uuid())
        account = new_account(
            account_id, email, now, display_name=name, admin=admin, verified=verified
        )
        if password is not None:
            hashed = await self.secrets.hash_password(check_password(password))
            account = with_password(account, hashed)

        def work(tx: Transaction) -> Added:
            tx.save_account(account)
            message = None
            if account.password is None:
                make_reset(tx, token, account, now)
                message = letters.choose_password(account, token)
            elif not account.email_verified:
                one_use.make(tx, token, Purpose.VERIFY_EMAIL, account, now)
                message = letters.verify_email(account, token)
            return Added(account=account, message=message)

        return await self.store.transact(work)

    async def local(self, name: str) -> Account:
        """The account of the person at this machine, by login name; made at the first start."""
        made = local_account(AccountId(self.ids.uuid()), name, self.clock.now())

        def work(tx: Transaction) -> Account:
            known = tx.account_by_local_name(name)
            if known is None:
                tx.save_account(made)
            return known or made

        return await self.store.transact(work)

    async def all(self) -> Sequence[Account]:
        """Every account, by address."""
        return await self.store.read(lambda tx: tuple(tx.accounts()))

    async def close(self, by: Actor, email: Email) -> Account:
        """Let nobody sign in to an account any more; its sessions end at once.

        Raises:
            UserNotFound: nobody has this address.
            StateConflict: nobody would be left to administer the server.
        """
        now = self.clock.now()

        def work(tx: Transaction, account: Account) -> Account:
            others = (a for a in tx.accounts() if a.account_id != account.account_id)
            if account.is_admin and not any(a.is_admin and not a.disabled for a in others):
                raise StateConflict("this is the last administrator; add another one first")
            tx.drop_sessions(account.account_id)
            record(tx, subject_of(account), "account.disabled", by, now)
            return shut(account)

        return await self._change(email, work)

    async def open_again(self, by: Actor, email: Email) -> Account:
        """Let a person sign in again.

        Raises:
            UserNotFound: nobody has this address.
        """
        now = self.clock.now()

        def work(tx: Transaction, account: Account) -> Account:
            record(tx, subject_of(account), "account.enabled", by, now)
            return opened_again(account)

        return await self._change(email, work)

    async def unlock(self, by: Actor, email: Email) -> Account:
        """Forget an account's wrong attempts, so that its person need not wait.

        Raises:
            UserNotFound: nobody has this address.
        """
        now = self.clock.now()

        def work(tx: Transaction, account: Account) -> Account:
            tx.drop_throttle(login_limit(account.email).key)
            tx.drop_throttle(attempt_key("otp", account.actor.id))
            tx.drop_throttle(attempt_key("password", account.account_id))
            record(tx, subject_of(account), "account.unlocked", by, now)
            return account

        return await self._change(email, work)

    async def _change(
        self, email: Email, change: Callable[[Transaction, Account], Account]
    ) -> Account:
        def work(tx: Transaction) -> Account:
            account = tx.account_by_email(email)
            if account is None:
                raise UserNotFound("no account has this address")
            changed = change(tx, account)
            tx.save_account(changed)
            return changed

        return await self.store.transact(work)
