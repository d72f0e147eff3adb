"""The device flow: a machine asks, a person lets it in (protocol.md, *Actors and scopes*)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol, TypeVar

from attrs import field, frozen

from ..domain.accounts import Account
from ..domain.clients import (
    DEVICE_TTL,
    ClientKind,
    DeviceAct,
    DeviceGrant,
    DeviceStatus,
    UserCode,
    approved,
    change,
    denied,
    make_user_code,
    parse_label,
    parse_user_code,
    polled,
    standing,
    technical,
)
from ..domain.security_events import EventName
from ..domain.sessions import digest_of
from ..errors import (
    ExpiredDeviceCode,
    Invalid2faCode,
    InvalidDeviceCode,
    StateConflict,
)
from ..ports.clock import Clock, Ids
from ..ports.security_log import SecurityLog
from ..ports.store import Store, Transaction
from .attempts import Attempts, attempt_key
from .charges import charge, give_back, per_address
from .clients import NewSecret, make_client, refuse_kind
from .security import record

T = TypeVar("T")
_STARTS = "device-start"


class SecondFactor(Protocol):
    """Checks a person's one-time code, once more than signing in did."""

    def confirm(self, tx: Transaction, account: Account, otp_code: str | None) -> None:
        """Let pass who needs no code, or gave the right one, which is used up by this.

        Raises:
            MfaRequired: a code is needed.
            Invalid2faCode: it is wrong or was used; nothing was written.
        """
        ...


@frozen(kw_only=True)
class Started:
    """What a device is told at the start; the device code is shown this once."""

    device_code: str
    grant: DeviceGrant


@frozen(kw_only=True)
class Polled:
    """What a device is told; ``made`` has its credentials, once, when it was approved."""

    status: DeviceStatus
    made: NewSecret | None = None


@frozen(kw_only=True)
class Devices:
    """The stories of the device flow. ``flags`` are the server's feature flags."""

    store: Store
    clock: Clock
    ids: Ids
    security: SecurityLog
    factor: SecondFactor
    flags: Mapping[str, bool] = field(factory=dict)

    # The device

    async def start(self, kind: ClientKind, label: str, *, address: str) -> Started:
        """Begin; whoever begins often and never comes to an end has to wait.

        Raises:
            ForbiddenActor: a person's interface, which needs no such thing.
            ForbiddenScope: an orchestration client while ``features.ai`` is off.
            ValidationFailed: the label.
            TooManyAttempts: too many from this address came to nothing.
        """
        technical(kind)
        name, now, device_code = parse_label(label), self.clock.now(), self.ids.token()

        def work(tx: Transaction) -> DeviceGrant:
            refuse_kind(tx, kind, self.flags)
            charge(tx, [per_address(_STARTS, address)], now)
            grant = DeviceGrant(
                digest=digest_of(device_code),
                user_code=self._free_code(tx, now),
                kind=kind,
                label=name,
                address=address,
                created_at=now,
                expires_at=now + DEVICE_TTL,
            )
            tx.save_device_grant(grant)
            return grant

        return Started(device_code=device_code, grant=await self.store.transact(work))

    def _free_code(self, tx: Transaction, now: datetime) -> UserCode:
        """A user code that no other device shows now."""
        while True:
            code = make_user_code(self.ids.token())
            other = tx.device_grant_by_code(code)
            if other is None:
                return code
            if standing(other, now) is DeviceStatus.EXPIRED:
                tx.drop_device_grant(other.digest)
                return code

    async def poll(self, device_code: str, *, address: str) -> Polled:
        """Say how it stands; the first poll after the approval makes the client and shows its secret.

        Raises:
            InvalidDeviceCode: no flow has this code, or it came to its end.
            SlowDown: sooner than the interval allows.
            TooManyAttempts: too many codes from this address were wrong.
        """
        now = self.clock.now()

        def work(tx: Transaction) -> Polled:
            grant = _grant(tx, device_code)
            status, left = polled(grant, now)
            if left is None:
                tx.drop_device_grant(grant.digest)
                by = grant.approved_by or ""
                made = make_client(tx, self.ids, grant.kind, grant.label, by=by, now=now)
                return Polled(status=status, made=made)
            if left is not grant:
                tx.save_device_grant(left)
            return Polled(status=status)

        return await self._by_device(device_code, address, work)

    async def cancel(self, device_code: str, *, address: str) -> bool:
        """Give up; whether there was anything to give up.

        Raises:
            InvalidDeviceCode: no flow has this code, or it came to its end.
            ExpiredDeviceCode: its time is over.
            TooManyAttempts: too many codes from this address were wrong.
        """
        now = self.clock.now()

        def work(tx: Transaction) -> bool:
            grant = _grant(tx, device_code)
            try:
                change(grant, DeviceAct.CANCEL, now)
            except StateConflict:
                return False
            tx.drop_device_grant(grant.digest)
            give_back(tx, [per_address(_STARTS, grant.address)])
            return True

        return await self._by_device(device_code, address, work)

    async def _by_device(
        self, device_code: str, address: str, work: Callable[[Transaction], T]
    ) -> T:
        """Do what a device asks.

        Its code has too much chance in it to be guessed: a right one is always served, so that no
        neighbour behind the same address can lock a device out; wrong ones have to wait.
        """
        digest = digest_of(device_code)
        if await self.store.read(lambda tx: tx.device_grant(digest)) is not None:
            return await self.store.transact(work)
        key = attempt_key("device", address)
        return await self._attempts.run(key, work, wrong=(InvalidDeviceCode,))

    # The person

    async def look_up(self, account: Account, user_code: str) -> DeviceGrant:
        """What asks under a code, for whoever is about to decide.

        Raises:
            ValidationFailed: it is no code.
            InvalidDeviceCode, ExpiredDeviceCode: nothing asks under it, or not any more.
            TooManyAttempts: this person gave too many wrong codes.
        """

        def work(tx: Transaction, grant: DeviceGrant, now: datetime) -> DeviceGrant:
            if standing(grant, now) is DeviceStatus.EXPIRED:
                raise ExpiredDeviceCode("this code is over its time; start again on the device")
            return grant

        return await self._by_person("device-code", account, user_code, work)

    async def approve(self, account: Account, user_code: str, otp_code: str | None) -> DeviceGrant:
        """Let the device in.

        Raises:
            ValidationFailed, InvalidDeviceCode, ExpiredDeviceCode, TooManyAttempts: as `look_up`.
            StateConflict: it was decided already.
            MfaRequired, Invalid2faCode: this person's second factor.
        """

        def work(tx: Transaction, grant: DeviceGrant, now: datetime) -> DeviceGrant:
            let_in = approved(grant, account.actor.id, now)
            self.factor.confirm(tx, tx.account(account.account_id) or account, otp_code)
            tx.save_device_grant(let_in)
            give_back(tx, [per_address(_STARTS, grant.address)])
            return let_in

        # Counted apart: looking a code up again must not forget the one-time codes that were wrong.
        grant = await self._by_person("device-approve", account, user_code, work)
        self._record(EventName.DEVICE_APPROVED, account)
        return grant

    async def deny(self, account: Account, user_code: str) -> DeviceGrant:
        """Turn the device away.

        Raises:
            ValidationFailed, InvalidDeviceCode, ExpiredDeviceCode, TooManyAttempts: as `look_up`.
            StateConflict: it was decided already.
        """

        def work(tx: Transaction, grant: DeviceGrant, now: datetime) -> DeviceGrant:
            refused = denied(grant, now)
            tx.save_device_grant(refused)
            return refused

        grant = await self._by_person("device-code", account, user_code, work)
        self._record(EventName.DEVICE_DENIED, account)
        return grant

    async def _by_person(
        self,
        counted_as: str,
        account: Account,
        user_code: str,
        work: Callable[[Transaction, DeviceGrant, datetime], DeviceGrant],
    ) -> DeviceGrant:
        code, now = parse_user_code(user_code), self.clock.now()

        def found(tx: Transaction) -> DeviceGrant:
            grant = tx.device_grant_by_code(code)
            if grant is None:
                raise InvalidDeviceCode("no device shows this code; compare it letter by letter")
            return work(tx, grant, now)

        key = attempt_key(counted_as, account.account_id)
        return await self._attempts.run(key, found, wrong=(InvalidDeviceCode, Invalid2faCode))

    @property
    def _attempts(self) -> Attempts:
        return Attempts(store=self.store, clock=self.clock)

    def _record(self, name: EventName, account: Account) -> None:
        record(self.security, name, at=self.clock.now(), actor=account.actor)


def _grant(tx: Transaction, device_code: str) -> DeviceGrant:
    grant = tx.device_grant(digest_of(device_code))
    if grant is None:
        raise InvalidDeviceCode("no request has this device code; start again")
    return grant
