"""Bearer tokens: made, checked, ended. One lives per principal and client (protocol.md)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeVar

from attrs import define, field, frozen

from ..domain.accounts import Account, AccountId
from ..domain.actors import Actor, ActorKind
from ..domain.clients import ClientKind
from ..domain.sessions import (
    ACCESS_TTL,
    REFRESH_TTL,
    SCOPES,
    Claims,
    Scope,
    Session,
    digest_of,
)
from ..errors import Unauthorized
from ..ports.clock import Clock, Ids
from ..ports.secrets import Secrets
from ..ports.store import Store, Transaction, Work

SIGNING_KEY = "signing-key"
_KNOWN_TOKENS = 4096

T = TypeVar("T")


@frozen(kw_only=True)
class Principal:
    """Who calls: the actor, and by which client; ``account`` for a person."""

    actor: Actor
    client_id: str
    client_kind: ClientKind
    scopes: frozenset[Scope]
    expires_at: datetime
    account: Account | None = None

    @property
    def is_admin(self) -> bool:
        """Whether this is a person who administers the server."""
        return self.account is not None and self.account.is_admin


@frozen(kw_only=True)
class Minted:
    """A fresh bearer token, which its holder is shown once; times in seconds."""

    access_token: str
    expires_in: int
    client_id: str
    client_kind: ClientKind
    refresh_token: str | None = None


@define(kw_only=True)
class Sessions:
    """The stories of bearer tokens."""

    store: Store
    clock: Clock
    ids: Ids
    secrets: Secrets
    access_ttl: timedelta = ACCESS_TTL
    refresh_ttl: timedelta = REFRESH_TTL
    _key: bytes | None = None
    _known: dict[str, Claims] = field(factory=dict)

    async def prepare(self) -> None:
        """Read the signing key that the servers of one store share; the first of them makes it."""
        fresh = (self.ids.token() + self.ids.token()).encode()
        self._key = await self.store.transact(lambda tx: tx.add_server_secret(SIGNING_KEY, fresh))

    @property
    def key(self) -> bytes:
        """The signing key, once `prepare` has run."""
        assert self._key is not None, "Sessions.prepare() runs before the first token"
        return self._key

    def open_for_person(
        self, tx: Transaction, account: Account, *, client_id: str, kind: ClientKind
    ) -> Minted:
        """Sign a person in on one client; the token that this client had before is dead at once."""
        return self._open(
            tx, account.account_id, client_id=client_id, kind=kind, refresh=self.ids.token()
        )

    def open_for_client(self, tx: Transaction, client_id: str, kind: ClientKind) -> Minted:
        """Give a technical client its token; the one before it is dead at once."""
        return self._open(tx, client_id, client_id=client_id, kind=kind, refresh=None)

    def _open(
        self,
        tx: Transaction,
        principal_id: str,
        *,
        client_id: str,
        kind: ClientKind,
        refresh: str | None,
    ) -> Minted:
        now = self.clock.now()
        session = Session(
            principal_id=principal_id,
            client_id=client_id,
            client_kind=kind,
            jti=self.ids.token(),
            scope=SCOPES[kind.actor_kind],
            issued_at=now,
            expires_at=now + self.access_ttl,
            refresh=None if refresh is None else digest_of(refresh),
            refresh_expires_at=None if refresh is None else now + self.refresh_ttl,
        )
        tx.save_session(session)
        return Minted(
            access_token=self.secrets.sign(claims_of(session), self.key),
            expires_in=int(self.access_ttl.total_seconds()),
            client_id=client_id,
            client_kind=kind,
            refresh_token=refresh,
        )

    async def principal(self, token: str) -> Principal:
        """Who calls with a token, looked up each time: a token that was ended is dead at once.

        Raises:
            Unauthorized: malformed, expired, replaced, revoked, or its account is closed.
        """
        principal, _ = await self.principal_and(token, lambda tx: None)
        return principal

    async def principal_and(self, token: str, also: Work[T]) -> tuple[Principal, T]:
        """`principal`, and what is to be read in the same moment.

        Raises:
            Unauthorized: as `principal` says.
        """
        claims = self._read(token)
        now = self.clock.now()
        if claims.exp <= now:
            raise Unauthorized("this token has expired; sign in again")
        return await self.store.read(lambda tx: (_principal(tx, claims), also(tx)))

    def _read(self, token: str) -> Claims:
        """The claims of a token; a signature that was right once stays right."""
        known = self._known.get(token)
        if known is None:
            known = self.secrets.claims(token, self.key)
            if len(self._known) >= _KNOWN_TOKENS:
                self._known.clear()
            self._known[token] = known
        return known


def claims_of(session: Session) -> Claims:
    """What the token of a session says."""
    return Claims(
        sub=session.principal_id,
        principal_type=session.client_kind.actor_kind,
        client_id=session.client_id,
        client_kind=session.client_kind,
        scope=session.scope,
        jti=session.jti,
        exp=session.expires_at.replace(microsecond=0),
    )


def _principal(tx: Transaction, claims: Claims) -> Principal:
    session = tx.session(claims.sub, claims.client_id)
    if session is None or session.jti != claims.jti:
        raise Unauthorized("this token was ended; sign in again")
    account = None
    actor = Actor(kind=session.client_kind.actor_kind, id=session.principal_id)
    if actor.kind is ActorKind.PERSON:
        account = tx.account(AccountId(session.principal_id))
        if account is None or account.disabled:
            raise Unauthorized("this account is closed")
        actor = account.actor
    return Principal(
        actor=actor,
        client_id=session.client_id,
        client_kind=session.client_kind,
        scopes=session.scope,
        expires_at=session.expires_at,
        account=account,
    )
