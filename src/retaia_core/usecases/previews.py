"""What a person was shown last, so that only what they saw is carried out; any server of a store knows it."""

from __future__ import annotations

from attrs import frozen

from ..domain.actors import Actor
from ..domain.sessions import LIFETIMES, OneTime, Purpose, digest_of
from ..ports.clock import Clock
from ..ports.store import Store, Transaction


@frozen(kw_only=True)
class Previews:
    """The digests of dry runs, by who was shown them and of what; the last one counts, for a day."""

    store: Store
    clock: Clock

    async def remember(self, actor: Actor, of: str, digest: str) -> None:
        """Keep the digest of a dry run that an actor is about to be shown."""
        kept = OneTime(
            digest=_key(actor, of),
            purpose=Purpose.PREVIEW,
            principal_id=actor.id,
            expires_at=self.clock.now() + LIFETIMES[Purpose.PREVIEW],
            data={"digest": digest},
        )
        await self.store.transact(lambda tx: tx.save_one_time(kept), durable=False)

    async def shown(self, actor: Actor, of: str) -> str | None:
        """The digest of the last dry run of something that an actor was shown; None where it is too old."""

        def find(tx: Transaction) -> OneTime | None:
            return tx.one_time(_key(actor, of))

        kept = await self.store.read(find)
        if kept is None or kept.expires_at <= self.clock.now():
            return None
        return str(kept.data["digest"])


def _key(actor: Actor, of: str) -> str:
    return digest_of(f"{Purpose.PREVIEW} {actor} {of}")
