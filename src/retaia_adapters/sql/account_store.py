"""Everything in a transaction that is about people, clients and their tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from attrs import frozen
from sqlalchemy import BindParameter, ColumnElement, bindparam, delete, or_, select
from sqlalchemy.sql.dml import Delete
from sqlalchemy.sql.selectable import Select

from retaia_core.domain.accounts import Account, AccountId, Email
from retaia_core.domain.clients import Client, DeviceGrant
from retaia_core.domain.sessions import OneTime
from retaia_core.domain.sessions import Session as LiveSession
from retaia_core.domain.throttling import FORGOTTEN_AFTER, Throttle
from retaia_core.errors import StateConflict

from . import schema
from .dialects import Dialect, Statement
from .session import Session
from .values import dump, maybe_micros, maybe_time, micros, time_of

T = TypeVar("T")

_account = msgspec.json.Decoder(Account)
_client = msgspec.json.Decoder(Client)
_grant = msgspec.json.Decoder(DeviceGrant)
_live = msgspec.json.Decoder(LiveSession)
_one_time = msgspec.json.Decoder(OneTime)

_accounts, _clients, _grants = schema.accounts.c, schema.clients.c, schema.device_grants.c
_sessions, _one_times, _throttles = schema.sessions.c, schema.one_times.c, schema.throttles.c
_features, _secrets = schema.app_features.c, schema.server_secrets.c


@frozen(kw_only=True)
class Lookup:
    """One query by one key: as a read asks it, and as a write does, which keeps the row to itself."""

    plain: Statement
    locked: Statement

    @classmethod
    def build(cls, dialect: Dialect, query: Select[Any]) -> Lookup:
        """Compile both."""
        return cls(plain=dialect.compile(query), locked=dialect.compile(query.with_for_update()))


@frozen(kw_only=True)
class AccountStatements:
    """Every statement about them, built once."""

    account: Lookup
    account_by_email: Lookup
    account_by_local_name: Lookup
    accounts: Statement
    like_account: Statement
    save_account: Statement
    client: Lookup
    clients: Statement
    save_client: Statement
    grant: Lookup
    grant_by_code: Lookup
    like_grant: Statement
    save_grant: Statement
    drop_grant: Statement
    session: Lookup
    session_by_refresh: Lookup
    sessions: Statement
    save_session: Statement
    drop_session: Statement
    drop_sessions: Statement
    one_time: Lookup
    save_one_time: Statement
    drop_one_time: Statement
    throttle: Statement
    save_throttle: Statement
    drop_throttle: Statement
    features: Statement
    add_feature: Statement
    clear_features: Statement
    secret: Statement
    add_secret: Statement
    expired: tuple[Statement, ...]

    @classmethod
    def build(cls, dialect: Dialect) -> AccountStatements:
        """Compile them for one database."""
        return cls(
            **_people(dialect),
            **_technical(dialect),
            **_tokens(dialect),
            **_the_rest(dialect),
            expired=tuple(dialect.compile(each) for each in _expired()),
        )


def _is(column: ColumnElement[Any], name: str = "key") -> ColumnElement[bool]:
    return column == bindparam(name, type_=column.type)


def _people(dialect: Dialect) -> dict[str, Any]:
    document = select(_accounts.document)
    same = or_(_is(_accounts.email, "email"), _is(_accounts.local_name, "local_name"))
    other = _accounts.account_id != bindparam("account_id")
    return {
        "account": Lookup.build(dialect, document.where(_is(_accounts.account_id))),
        "account_by_email": Lookup.build(dialect, document.where(_is(_accounts.email))),
        "account_by_local_name": Lookup.build(dialect, document.where(_is(_accounts.local_name))),
        "accounts": dialect.compile(document.order_by(_accounts.email)),
        "like_account": dialect.compile(select(_accounts.account_id).where(same, other)),
        "save_account": dialect.upsert(schema.accounts, "account_id"),
    }


def _technical(dialect: Dialect) -> dict[str, Any]:
    client, grant = select(_clients.document), select(_grants.document)
    other = _grants.digest != bindparam("digest")
    same_code = select(_grants.digest).where(_is(_grants.user_code, "user_code"), other)
    return {
        "client": Lookup.build(dialect, client.where(_is(_clients.client_id))),
        "clients": dialect.compile(client.order_by(_clients.client_id)),
        "save_client": dialect.upsert(schema.clients, "client_id"),
        "grant": Lookup.build(dialect, grant.where(_is(_grants.digest))),
        "grant_by_code": Lookup.build(dialect, grant.where(_is(_grants.user_code))),
        "like_grant": dialect.compile(same_code),
        "save_grant": dialect.upsert(schema.device_grants, "digest"),
        "drop_grant": dialect.compile(delete(schema.device_grants).where(_is(_grants.digest))),
    }


def _tokens(dialect: Dialect) -> dict[str, Any]:
    live, token = select(_sessions.document), select(_one_times.document)
    mine = _is(_sessions.principal_id, "principal_id")
    one = (mine, _is(_sessions.client_id, "client_id"))
    return {
        "session": Lookup.build(dialect, live.where(*one)),
        "session_by_refresh": Lookup.build(dialect, live.where(_is(_sessions.refresh))),
        "sessions": dialect.compile(live.where(mine).order_by(_sessions.client_id)),
        "save_session": dialect.upsert(schema.sessions, "principal_id", "client_id"),
        "drop_session": dialect.compile(delete(schema.sessions).where(*one)),
        "drop_sessions": dialect.compile(delete(schema.sessions).where(mine)),
        "one_time": Lookup.build(dialect, token.where(_is(_one_times.digest))),
        "save_one_time": dialect.upsert(schema.one_times, "digest"),
        "drop_one_time": dialect.compile(delete(schema.one_times).where(_is(_one_times.digest))),
    }


def _the_rest(dialect: Dialect) -> dict[str, Any]:
    return {
        "throttle": dialect.compile(select(*_throttles).where(_is(_throttles.key))),
        "save_throttle": dialect.upsert(schema.throttles, "key"),
        "drop_throttle": dialect.compile(delete(schema.throttles).where(_is(_throttles.key))),
        "features": dialect.compile(select(_features.name, _features.switched_on)),
        "add_feature": dialect.insert(schema.app_features),
        "clear_features": dialect.compile(delete(schema.app_features)),
        "secret": dialect.compile(select(_secrets.value).where(_is(_secrets.name))),
        "add_secret": dialect.insert(schema.server_secrets, ignore=True),
    }


def _expired() -> tuple[Delete, ...]:
    now: BindParameter[int] = bindparam("now")
    return (
        delete(schema.one_times).where(_one_times.expires_at <= now),
        delete(schema.device_grants).where(_grants.expires_at <= now),
        delete(schema.sessions).where(_sessions.over_at <= now),
        delete(schema.throttles).where(_throttles.last_at < bindparam("forgotten")),
    )


class AccountTransaction:
    """The part of a transaction that is about them."""

    _session: Session
    _people: AccountStatements

    def _one(
        self, lookup: Lookup, decoder: msgspec.json.Decoder[T], values: Mapping[str, object]
    ) -> T | None:
        statement = lookup.locked if self._session.writing else lookup.plain
        rows = self._session.rows(statement, values)
        return decoder.decode(rows[0][0]) if rows else None

    # People

    def account(self, account_id: AccountId) -> Account | None:
        return self._one(self._people.account, _account, {"key": account_id})

    def account_by_email(self, email: Email) -> Account | None:
        return self._one(self._people.account_by_email, _account, {"key": email})

    def account_by_local_name(self, name: str) -> Account | None:
        return self._one(self._people.account_by_local_name, _account, {"key": name})

    def accounts(self) -> Sequence[Account]:
        if self._session.writing:
            self._session.serialise("accounts")
        return [_account.decode(row[0]) for row in self._session.rows(self._people.accounts, {})]

    def save_account(self, account: Account) -> None:
        values: dict[str, object] = {
            "account_id": account.account_id,
            "email": account.email,
            "local_name": account.local_name,
        }
        if self._session.rows(self._people.like_account, values):
            raise StateConflict("another account has this address or local name")
        self._session.send(self._people.save_account, values | {"document": dump(account)})

    # Technical clients and the device flow

    def client(self, client_id: str) -> Client | None:
        return self._one(self._people.client, _client, {"key": client_id})

    def clients(self) -> Sequence[Client]:
        return [_client.decode(row[0]) for row in self._session.rows(self._people.clients, {})]

    def save_client(self, client: Client) -> None:
        values = {"client_id": client.client_id, "document": dump(client)}
        self._session.send(self._people.save_client, values)

    def device_grant(self, digest: str) -> DeviceGrant | None:
        return self._one(self._people.grant, _grant, {"key": digest})

    def device_grant_by_code(self, user_code: str) -> DeviceGrant | None:
        return self._one(self._people.grant_by_code, _grant, {"key": user_code})

    def save_device_grant(self, grant: DeviceGrant) -> None:
        values: dict[str, object] = {"digest": grant.digest, "user_code": grant.user_code}
        if self._session.rows(self._people.like_grant, values):
            raise StateConflict("this user code is in use; make another")
        rest = {"expires_at": micros(grant.expires_at), "document": dump(grant)}
        self._session.send(self._people.save_grant, values | rest)

    def drop_device_grant(self, digest: str) -> None:
        self._session.send(self._people.drop_grant, {"key": digest})

    # Tokens

    def session(self, principal_id: str, client_id: str) -> LiveSession | None:
        values = {"principal_id": principal_id, "client_id": client_id}
        return self._one(self._people.session, _live, values)

    def session_by_refresh(self, digest: str) -> LiveSession | None:
        return self._one(self._people.session_by_refresh, _live, {"key": digest})

    def sessions(self, principal_id: str) -> Sequence[LiveSession]:
        rows = self._session.rows(self._people.sessions, {"principal_id": principal_id})
        return [_live.decode(row[0]) for row in rows]

    def save_session(self, session: LiveSession) -> None:
        values = {
            "principal_id": session.principal_id,
            "client_id": session.client_id,
            "refresh": session.refresh,
            "over_at": micros(session.over_at),
            "document": dump(session),
        }
        self._session.send(self._people.save_session, values)

    def drop_session(self, principal_id: str, client_id: str) -> None:
        values = {"principal_id": principal_id, "client_id": client_id}
        self._session.send(self._people.drop_session, values)

    def drop_sessions(self, principal_id: str) -> None:
        self._session.send(self._people.drop_sessions, {"principal_id": principal_id})

    def one_time(self, digest: str) -> OneTime | None:
        return self._one(self._people.one_time, _one_time, {"key": digest})

    def save_one_time(self, token: OneTime) -> None:
        expires = micros(token.expires_at)
        values = {"digest": token.digest, "expires_at": expires, "document": dump(token)}
        self._session.send(self._people.save_one_time, values)

    def drop_one_time(self, digest: str) -> None:
        self._session.send(self._people.drop_one_time, {"key": digest})

    # Lock-out, switches, the server's own secrets

    def throttle(self, key: str) -> Throttle | None:
        if self._session.writing:  # the row may not be there yet: two first failures are two
            self._session.serialise(f"throttle {key}")
        rows = self._session.rows(self._people.throttle, {"key": key})
        if not rows:
            return None
        name, failures, last_at, blocked_until = rows[0]
        return Throttle(
            key=name,
            failures=failures,
            last_at=time_of(last_at),
            blocked_until=maybe_time(blocked_until),
        )

    def save_throttle(self, throttle: Throttle) -> None:
        values = {
            "key": throttle.key,
            "failures": throttle.failures,
            "last_at": micros(throttle.last_at),
            "blocked_until": maybe_micros(throttle.blocked_until),
        }
        self._session.send(self._people.save_throttle, values)

    def drop_throttle(self, key: str) -> None:
        self._session.send(self._people.drop_throttle, {"key": key})

    def app_features(self) -> Mapping[str, bool]:
        if self._session.writing:
            self._session.serialise("app features")
        return {name: bool(on) for name, on in self._session.rows(self._people.features, {})}

    def save_app_features(self, switches: Mapping[str, bool]) -> None:
        self._session.serialise("app features")
        self._session.send(self._people.clear_features, {})
        for name, on in switches.items():
            self._session.send(self._people.add_feature, {"name": name, "switched_on": on})

    def server_secret(self, name: str) -> bytes | None:
        rows = self._session.rows(self._people.secret, {"key": name})
        return bytes(rows[0][0]) if rows else None

    def add_server_secret(self, name: str, value: bytes) -> bytes:
        added = self._session.change(self._people.add_secret, {"name": name, "value": value})
        kept = None if added else self.server_secret(name)
        return value if kept is None else kept

    def drop_expired(self, now: datetime) -> int:
        values = {"now": micros(now), "forgotten": micros(now - FORGOTTEN_AFTER)}
        gone = 0
        for statement in self._people.expired:
            gone += self._session.change(statement, values)
        return gone
