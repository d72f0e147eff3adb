"""The story of what is left of a purged asset: its certificate, from audit trail and journal alone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial

from attrs import frozen

from ..domain.assets import Asset
from ..domain.identifiers import AssetId
from ..domain.journal import Event, JournalEntry, Phase
from ..domain.lifecycle import State
from ..domain.purge import PurgeFile, PurgeRole
from ..domain.undo import last_move
from ..errors import StateConflict
from ..ports.store import Store, Transaction
from .copy_evidence import trail_of
from .lookups import need_asset
from .purging import OPERATION, journal_file


@frozen(kw_only=True)
class PurgedFile:
    """A file that went, when that was verified, on which proof, and its SHA-256 where it was ever taken."""

    file: PurgeFile
    removed_at: datetime
    digest: str = ""


@frozen(kw_only=True)
class Certificate:
    """That an asset was purged: what it was, who decided and ordered it, and every file that went.

    ``asset`` is the minimal record that is left. ``batch_id`` is the batch that brought it among the
    rejects; ``accepted_at`` is when the last purge was ordered, ``digest`` what was confirmed then; ``seq``
    is the number of the event in the audit trail that says it is purged.
    """

    asset: Asset
    purged_at: datetime
    by: str
    accepted_at: datetime
    digest: str
    batch_id: str
    files: tuple[PurgedFile, ...]
    seq: int

    @property
    def bytes_freed(self) -> int:
        """The bytes of every file that went."""
        return sum(gone.file.size for gone in self.files)


@frozen(kw_only=True)
class Certificates:
    """The story of certificates."""

    store: Store

    async def of(self, uuid: AssetId) -> Certificate:
        """The certificate of a purged asset.

        Raises:
            NotFound: there is no such asset.
            StateConflict: it was not purged.
        """
        return await self.store.read(partial(_certificate, uuid))


def _certificate(uuid: AssetId, tx: Transaction) -> Certificate:
    asset = need_asset(tx, uuid)
    if asset.state is not State.PURGED:
        raise StateConflict(
            f"{asset.path!r} is {asset.state}; there is a certificate once it is purged",
            state=asset.state.value,
        )
    journal = tx.journal(subject=asset.subject)
    moved = last_move(journal)
    accepted, purged = _orders(tx, asset)
    return Certificate(
        asset=asset,
        purged_at=purged.at,
        by=purged.actor,
        accepted_at=accepted.at,
        digest=str(accepted.data["digest"]),
        batch_id="" if moved is None else moved.batch_id,
        files=_files(journal),
        seq=purged.seq,
    )


def _orders(tx: Transaction, asset: Asset) -> tuple[Event, Event]:
    """The last order, and the event that says it was carried out."""
    last = {event.name: event for event in trail_of(tx, asset.subject)}
    return last["purge.accepted"], last["asset.purged"]


_ORDER = list(PurgeRole)


def _files(journal: Iterable[JournalEntry]) -> tuple[PurgedFile, ...]:
    """Every file that a purge of the asset took away, by role and path."""
    gone: dict[str, PurgedFile] = {}
    for entry in journal:
        if (entry.operation, entry.phase) == (OPERATION, Phase.DONE):
            digest = str(entry.evidence.get("digest", ""))
            known = PurgedFile(file=journal_file(entry), removed_at=entry.at, digest=digest)
            gone.setdefault(entry.source, known)
    return tuple(sorted(gone.values(), key=lambda g: (_ORDER.index(g.file.role), g.file.path)))
