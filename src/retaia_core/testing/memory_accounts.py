"""The part of the store in memory that keeps people, clients and their tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from attrs import define, field

from ..domain.accounts import Account, AccountId, Email
from ..domain.clients import Client, DeviceGrant
from ..domain.sessions import OneTime, Session
from ..domain.throttling import FORGOTTEN_AFTER, Throttle
from ..errors import StateConflict
from ..ports.accounts_store import AccountsTransaction
from .memory_tables import Table, Undo

Key = TypeVar("Key")
Row = TypeVar("Row")


@define
class AccountTables:
    """What a store keeps of people, clients and their tokens."""

    accounts: Table[AccountId, Account] = field(factory=Table)
    clients: Table[str, Client] = field(factory=Table)
    device_grants: Table[str, DeviceGrant] = field(factory=Table)
    sessions: Table[tuple[str, str], Session] = field(factory=Table)
    one_times: Table[str, OneTime] = field(factory=Table)
    throttles: Table[str, Throttle] = field(factory=Table)
    app_features: Table[str, bool] = field(factory=Table)
    server_secrets: Table[str, bytes] = field(factory=Table)


class MemoryAccounts(AccountsTransaction):
    """The part of a transaction that is about them."""

    @property
    def _people(self) -> AccountTables:
        raise NotImplementedError

    @property
    def _log(self) -> Undo:
        raise NotImplementedError

    # People

    def account(self, account_id: AccountId) -> Account | None:
        return self._people.accounts.get(account_id)

    def account_by_email(self, email: Email) -> Account | None:
        return next((a for a in self._people.accounts.values() if a.email == email), None)

    def account_by_local_name(self, name: str) -> Account | None:
        return next((a for a in self._people.accounts.values() if a.local_name == name), None)

    def accounts(self) -> Sequence[Account]:
        return sorted(self._people.accounts.values(), key=lambda account: account.email)

    def save_account(self, account: Account) -> None:
        for other in self._people.accounts.values():
            local = account.local_name is not None and account.local_name == other.local_name
            same = other.email == account.email or local
            if same and other.account_id != account.account_id:
                raise StateConflict("another account has this address or local name")
        self._people.accounts.put(account.account_id, account, self._log)

    # Technical clients and the device flow

    def client(self, client_id: str) -> Client | None:
        return self._people.clients.get(client_id)

    def clients(self) -> Sequence[Client]:
        return sorted(self._people.clients.values(), key=lambda client: client.client_id)

    def save_client(self, client: Client) -> None:
        self._people.clients.put(client.client_id, client, self._log)

    def device_grant(self, digest: str) -> DeviceGrant | None:
        return self._people.device_grants.get(digest)

    def device_grant_by_code(self, user_code: str) -> DeviceGrant | None:
        grants = self._people.device_grants.values()
        return next((grant for grant in grants if grant.user_code == user_code), None)

    def save_device_grant(self, grant: DeviceGrant) -> None:
        holder = self.device_grant_by_code(grant.user_code)
        if holder is not None and holder.digest != grant.digest:
            raise StateConflict("this user code is in use; make another")
        self._people.device_grants.put(grant.digest, grant, self._log)

    def drop_device_grant(self, digest: str) -> None:
        self._people.device_grants.drop(digest, self._log)

    # Tokens

    def session(self, principal_id: str, client_id: str) -> Session | None:
        return self._people.sessions.get((principal_id, client_id))

    def session_by_refresh(self, digest: str) -> Session | None:
        return next((s for s in self._people.sessions.values() if s.refresh == digest), None)

    def sessions(self, principal_id: str) -> Sequence[Session]:
        mine = (s for s in self._people.sessions.values() if s.principal_id == principal_id)
        return sorted(mine, key=lambda session: session.client_id)

    def save_session(self, session: Session) -> None:
        key = (session.principal_id, session.client_id)
        self._people.sessions.put(key, session, self._log)

    def drop_session(self, principal_id: str, client_id: str) -> None:
        self._people.sessions.drop((principal_id, client_id), self._log)

    def drop_sessions(self, principal_id: str) -> None:
        for session in self.sessions(principal_id):
            self.drop_session(principal_id, session.client_id)

    def one_time(self, digest: str) -> OneTime | None:
        return self._people.one_times.get(digest)

    def save_one_time(self, token: OneTime) -> None:
        self._people.one_times.put(token.digest, token, self._log)

    def drop_one_time(self, digest: str) -> None:
        self._people.one_times.drop(digest, self._log)

    # Lock-out, switches, the server's own secrets

    def throttle(self, key: str) -> Throttle | None:
        return self._people.throttles.get(key)

    def save_throttle(self, throttle: Throttle) -> None:
        self._people.throttles.put(throttle.key, throttle, self._log)

    def drop_throttle(self, key: str) -> None:
        self._people.throttles.drop(key, self._log)

    def app_features(self) -> Mapping[str, bool]:
        return dict(self._people.app_features)

    def save_app_features(self, switches: Mapping[str, bool]) -> None:
        for name in list(self._people.app_features):
            self._people.app_features.drop(name, self._log)
        for name, on in switches.items():
            self._people.app_features.put(name, on, self._log)

    def server_secret(self, name: str) -> bytes | None:
        return self._people.server_secrets.get(name)

    def add_server_secret(self, name: str, value: bytes) -> bytes:
        kept = self._people.server_secrets.get(name)
        if kept is None:
            self._people.server_secrets.put(name, value, self._log)
        return value if kept is None else kept

    def drop_expired(self, now: datetime) -> int:
        people = self._people
        return (
            self._drop(
                people.one_times, [k for k, t in people.one_times.items() if t.expires_at <= now]
            )
            + self._drop(
                people.device_grants,
                [k for k, grant in people.device_grants.items() if grant.expires_at <= now],
            )
            + self._drop(
                people.sessions, [k for k, s in people.sessions.items() if s.over_at <= now]
            )
            + self._drop(
                people.throttles,
                [k for k, t in people.throttles.items() if now - t.last_at > FORGOTTEN_AFTER],
            )
        )

    def _drop(self, table: Table[Key, Row], keys: Sequence[Key]) -> int:
        for key in keys:
            table.drop(key, self._log)
        return len(keys)
