"""The second factor: set up, proven, switched off, and asked for again where much is at stake."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from ..domain.accounts import Account
from ..domain.second_factor import (
    ISSUER,
    RECOVERY_CODES,
    enabled,
    enabled_totp,
    recovery_code,
    set_up,
    step_used,
    to_enable,
    with_codes,
    without,
)
from ..domain.security_events import EventName
from ..errors import Invalid2faCode, MfaRequired, Unauthorized
from ..ports.clock import Clock, Ids
from ..ports.secrets import Secrets
from ..ports.security_log import SecurityLog
from ..ports.store import Store, Transaction
from .attempts import Attempts, attempt_key
from .security import record
from .sessions import Principal


@frozen(kw_only=True)
class Setup:
    """What a person puts into their authenticator application; it is shown this once."""

    account_name: str
    secret: str
    uri: str
    qr_svg: str
    issuer: str = ISSUER


def _refused() -> Invalid2faCode:
    return Invalid2faCode("the code is wrong or was used; wait for the next one")


@frozen(kw_only=True)
class SecondFactors:
    """The stories of the second factor."""

    store: Store
    clock: Clock
    ids: Ids
    secrets: Secrets
    security: SecurityLog

    async def set_up(self, who: Principal) -> Setup:
        """Make a secret, which is asked for once it is enabled; a former try is forgotten.

        Raises:
            MfaAlreadyEnabled: a code is asked for already.
        """
        secret = self.secrets.totp_secret()

        def work(tx: Transaction) -> Account:
            account = set_up(_account(tx, who), secret)
            tx.save_account(account)
            return account

        account = await self.store.transact(work)
        self._record(EventName.TWO_FACTOR_SET_UP, who)
        uri = self.secrets.totp_uri(secret, account=account.email, issuer=ISSUER)
        return Setup(
            account_name=account.email, secret=secret, uri=uri, qr_svg=self.secrets.qr_svg(uri)
        )

    async def enable(self, who: Principal, otp_code: str) -> Sequence[str]:
        """Ask for a code from now on, once one proves that the device has the secret.

        Returns the recovery codes, which are shown this once.

        Raises:
            MfaAlreadyEnabled, StateConflict: it is on, or was not set up.
            Invalid2faCode: the code is wrong.
            TooManyAttempts: too many were.
        """
        codes = self._codes()

        def work(account: Account) -> Account:
            totp = to_enable(account)
            step = self.secrets.totp_step(totp.secret, otp_code, self.clock.now())
            if step is None:
                raise _refused()
            return enabled(account, step, codes)

        await self._with_code(who, work)
        self._record(EventName.TWO_FACTOR_ENABLED, who)
        return codes

    async def disable(self, who: Principal, otp_code: str) -> None:
        """Ask for no code any more.

        Raises:
            MfaNotEnabled: it is off.
            Invalid2faCode: the code is wrong or was used.
            TooManyAttempts: too many were.
        """
        await self._with_code(who, lambda account: without(self._used(account, otp_code)))
        self._record(EventName.TWO_FACTOR_DISABLED, who)

    async def regenerate(self, who: Principal) -> Sequence[str]:
        """Replace the recovery codes; returns the new ones, which are shown this once.

        Raises:
            MfaNotEnabled: it is off.
        """
        codes = self._codes()
        await self.store.transact(lambda tx: tx.save_account(with_codes(_account(tx, who), codes)))
        return codes

    def confirm(self, tx: Transaction, account: Account, otp_code: str | None) -> None:
        """Let pass who needs no code, or gave the right one, which is used up by this.

        Raises:
            MfaRequired: a code is needed.
            Invalid2faCode: it is wrong or was used; nothing was written.
        """
        if not account.mfa_enabled:
            return
        if otp_code is None:
            raise MfaRequired("this needs a one-time code")
        tx.save_account(self._used(account, otp_code))

    def _used(self, account: Account, otp_code: str) -> Account:
        secret = enabled_totp(account).secret
        used = step_used(account, self.secrets.totp_step(secret, otp_code, self.clock.now()))
        if used is None:
            raise _refused()
        return used

    async def _with_code(self, who: Principal, change: Callable[[Account], Account]) -> None:
        """Change an account as a code allows; wrong ones are counted."""
        attempts = Attempts(store=self.store, clock=self.clock)
        key = attempt_key("otp", who.actor.id)
        await attempts.run(
            key,
            lambda tx: tx.save_account(change(_account(tx, who))),
            wrong=(Invalid2faCode,),
        )

    def _codes(self) -> tuple[str, ...]:
        return tuple(recovery_code(self.ids.token()) for _ in range(RECOVERY_CODES))

    def _record(self, name: EventName, who: Principal) -> None:
        now = self.clock.now()
        record(self.security, name, at=now, actor=who.actor, client_id=who.client_id)


def _account(tx: Transaction, who: Principal) -> Account:
    """The account of a person who calls, as it is now.

    Raises:
        Unauthorized: it is gone.
    """
    assert who.account is not None, "only people have a second factor"
    account = tx.account(who.account.account_id)
    if account is None:
        raise Unauthorized("this account is gone")
    return account
