"""Technical clients: made, listed, given tokens, and shut out again (protocol.md, *Actors and scopes*)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from hmac import compare_digest

from attrs import field, frozen

from ..domain.actors import Actor
from ..domain.clients import Client, ClientKind, parse_label, revoked, rotated, technical
from ..domain.features import AI, require, resolve
from ..domain.security_events import EventName
from ..domain.sessions import Session, digest_of
from ..errors import ForbiddenActor, Unauthorized, ValidationFailed
from ..ports.clock import Clock, Ids
from ..ports.security_log import SecurityLog
from ..ports.store import Store, Transaction
from .attempts import Attempts, attempt_key
from .security import record
from .sessions import Minted, Sessions


@frozen(kw_only=True)
class NewSecret:
    """A client with the secret that is shown this once."""

    client: Client
    secret_key: str


def refuse_kind(tx: Transaction, kind: ClientKind, flags: Mapping[str, bool]) -> None:
    """Let orchestration clients pass only while the feature that they are for is on.

    Raises:
        ForbiddenScope: ``features.ai`` is off.
    """
    if kind is ClientKind.MCP:
        require(resolve(server=flags, app=tx.app_features()), AI)


def make_client(
    tx: Transaction, ids: Ids, kind: ClientKind, label: str, *, by: str, now: datetime
) -> NewSecret:
    """Keep a new client; of its secret only the digest."""
    secret = ids.token()
    client = Client(
        client_id=ids.uuid(),
        kind=kind,
        label=label,
        secret=digest_of(secret),
        created_at=now,
        created_by=by,
    )
    tx.save_client(client)
    return NewSecret(client=client, secret_key=secret)


@frozen(kw_only=True)
class Clients:
    """The stories of technical clients. ``flags`` are the server's feature flags."""

    store: Store
    clock: Clock
    ids: Ids
    sessions: Sessions
    security: SecurityLog
    flags: Mapping[str, bool] = field(factory=dict)

    async def mint(
        self, client_id: str, kind: ClientKind, secret_key: str, *, address: str
    ) -> Minted:
        """Give a client a token for its secret; the token that it had before is dead at once.

        Wrong secrets are counted by client and address, so that nobody can lock out another's client
        from elsewhere.

        Raises:
            ForbiddenActor: a person's interface, which has no secret.
            ForbiddenScope: an orchestration client while ``features.ai`` is off.
            Unauthorized: no such client, another kind, a wrong secret, or it was revoked.
            TooManyAttempts: too many secrets were wrong.
        """
        technical(kind)

        def work(tx: Transaction) -> Minted:
            client = tx.client(client_id)
            _check(client, kind, secret_key)
            refuse_kind(tx, kind, self.flags)
            return self.sessions.open_for_client(tx, client_id, kind)

        attempts = Attempts(store=self.store, clock=self.clock)
        key = attempt_key("client", client_id, address)
        minted = await attempts.run(key, work, wrong=(Unauthorized,))
        actor = Actor(kind=kind.actor_kind, id=client_id)
        self._record(EventName.TOKEN_MINTED, actor, client_id)
        return minted

    async def all(self) -> Sequence[Client]:
        """Every technical client, those that were revoked too."""
        return await self.store.read(lambda tx: tuple(tx.clients()))

    async def add(self, by: Actor, kind: ClientKind, label: str) -> NewSecret:
        """Make a client without the device flow.

        Raises:
            ForbiddenActor, ForbiddenScope: as for `mint`.
            ValidationFailed: the label.
        """
        technical(kind)
        name, now = parse_label(label), self.clock.now()

        def work(tx: Transaction) -> NewSecret:
            refuse_kind(tx, kind, self.flags)
            return make_client(tx, self.ids, kind, name, by=by.id, now=now)

        return await self.store.transact(work)

    async def provision(self, by: Actor, client_id: str, secret_key: str, label: str) -> None:
        """Make the agent of the server's own machine known under credentials that it has already.

        Raises:
            Unauthorized: it was revoked.
        """
        digest, now = digest_of(secret_key), self.clock.now()

        def work(tx: Transaction) -> None:
            known = tx.client(client_id)
            if known is None:
                made = Client(
                    client_id=client_id,
                    kind=ClientKind.AGENT,
                    label=label,
                    secret=digest,
                    created_at=now,
                    created_by=by.id,
                )
                tx.save_client(made)
            elif known.revoked_at is not None:
                raise Unauthorized("this client was revoked")
            elif known.secret != digest:
                tx.save_client(rotated(known, digest, now))
                tx.drop_sessions(client_id)

        await self.store.transact(work)

    async def rotate(self, by: Actor, client_id: str) -> NewSecret:
        """Replace a client's secret, and end its tokens at once.

        Raises:
            ForbiddenActor: a person's interface, which has no secret.
            ValidationFailed: there is no such client, or it was revoked.
        """
        secret, now = self.ids.token(), self.clock.now()

        def work(tx: Transaction) -> Client:
            client = rotated(_known(tx, client_id), digest_of(secret), now)
            tx.save_client(client)
            tx.drop_sessions(client_id)
            return client

        client = await self.store.transact(work)
        self._record(EventName.SECRET_ROTATED, by, client_id)
        return NewSecret(client=client, secret_key=secret)

    async def revoke(self, by: Actor, client_id: str) -> datetime:
        """End a client's tokens at once, and let a technical client have no other; returns since when.

        Raises:
            ForbiddenActor: a person's web interface; that person signs out.
            ValidationFailed: there is no such client.
        """
        now = self.clock.now()

        def work(tx: Transaction) -> datetime:
            client = tx.client(client_id)
            if client is None:
                return _end_interface(tx, client_id, now)
            gone = revoked(client, now)
            tx.save_client(gone)
            tx.drop_sessions(client_id)
            return gone.revoked_at or now

        since = await self.store.transact(work)
        self._record(EventName.TOKEN_REVOKED, by, client_id)
        return since

    def _record(self, name: EventName, actor: Actor, client_id: str) -> None:
        now = self.clock.now()
        record(self.security, name, at=now, actor=actor, client_id=client_id)


def _check(client: Client | None, kind: ClientKind, secret_key: str) -> None:
    """Compare digests in constant time, also where there is nothing to compare with.

    Raises:
        Unauthorized: all that is wrong, told alike.
    """
    digest = digest_of(secret_key)
    right = compare_digest(digest, digest_of("") if client is None else client.secret)
    if client is None or not right or client.kind is not kind or client.revoked_at is not None:
        raise Unauthorized("this client, kind and secret do not belong together, or it was revoked")


def _known(tx: Transaction, client_id: str) -> Client:
    client = tx.client(client_id)
    if client is not None:
        return client
    if _interfaces(tx, client_id):
        raise ForbiddenActor("this is a person's interface and has no secret")
    raise ValidationFailed("there is no such client", client_id="unknown")


def _interfaces(tx: Transaction, client_id: str) -> Sequence[Session]:
    """The people's sessions at one interface."""
    found = (tx.session(account.account_id, client_id) for account in tx.accounts())
    return tuple(session for session in found if session is not None)


def _end_interface(tx: Transaction, client_id: str, now: datetime) -> datetime:
    found = _interfaces(tx, client_id)
    if not found:
        raise ValidationFailed("there is no such client", client_id="unknown")
    if any(session.client_kind is ClientKind.UI_WEB for session in found):
        raise ForbiddenActor("a web interface is not revoked; sign out there")
    for session in found:
        tx.drop_session(session.principal_id, client_id)
    return now
