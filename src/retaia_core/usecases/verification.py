"""Proving that an address is somebody's: by message, or by an administrator's word."""

from __future__ import annotations

from attrs import frozen

from ..domain.accounts import Email, verified
from ..domain.actors import Actor
from ..domain.sessions import Purpose
from ..errors import InvalidToken, UserNotFound
from ..ports.clock import Clock, Ids
from ..ports.notifier import Message
from ..ports.store import Store, Transaction
from . import letters, one_use
from .attempts import Attempts, attempt_key
from .charges import Limit, charge, per_address
from .trail import record, subject_of


@frozen(kw_only=True)
class Verification:
    """The stories of a proven address."""

    store: Store
    clock: Clock
    ids: Ids

    async def request(self, email: Email, *, address: str) -> Message | None:
        """The message to send; None where there is nobody to prove anything, which nobody is told.

        Raises:
            TooManyAttempts: asked too often, for this address or from this network address.
        """
        token, now = self.ids.token(), self.clock.now()
        limits = (Limit(key=attempt_key("verify", email)), per_address("verify", address))

        def work(tx: Transaction) -> Message | None:
            account = tx.account_by_email(email)
            charge(tx, limits, now)
            if account is None or account.disabled or account.email_verified:
                return None
            one_use.make(tx, token, Purpose.VERIFY_EMAIL, account, now)
            return letters.verify_email(account, token)

        return await self.store.transact(work)

    async def confirm(self, token: str, *, address: str) -> None:
        """Use the token of a message.

        Raises:
            InvalidToken: it was used, is too old, or never was one.
            TooManyAttempts: too many were wrong from this network address.
        """

        def work(tx: Transaction) -> None:
            account = one_use.use(tx, token, Purpose.VERIFY_EMAIL, self.clock.now())
            tx.save_account(verified(account))
            tx.drop_throttle(attempt_key("verify", account.email))

        attempts = Attempts(store=self.store, clock=self.clock)
        key = attempt_key("verify-token", address)
        await attempts.run(key, work, wrong=(InvalidToken,))

    async def vouch(self, by: Actor, email: Email) -> None:
        """Take an administrator's word for it.

        Raises:
            UserNotFound: nobody has this address.
        """
        now = self.clock.now()

        def work(tx: Transaction) -> None:
            account = tx.account_by_email(email)
            if account is None:
                raise UserNotFound("no account has this address")
            tx.save_account(verified(account))
            record(tx, subject_of(account), "account.vouched", by, now)

        await self.store.transact(work)
