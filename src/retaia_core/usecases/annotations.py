"""The stories of whoever describes footage: tags, notes, typed fields, and suggestions one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from attrs import field, frozen

from ..domain.actors import Actor
from ..domain.annotations import Edit, SuggestionStatus, edited, settled, suggestion_of
from ..domain.assets import Asset
from ..domain.custom_fields import CustomFields, check_fields
from ..domain.identifiers import AssetId
from ..domain.query import TagUse
from ..ports.clock import Clock
from ..ports.store import Store, Transaction
from .lookups import need_living
from .trail import save_step

# The words themselves stay in the asset, so that a purge can forget them; the trail counts them.
_SETTLED: Mapping[str, str] = {
    SuggestionStatus.PENDING: "suggestion.taken_back",
    SuggestionStatus.ACCEPTED: "suggestion.accepted",
    SuggestionStatus.REFUSED: "suggestion.refused",
}


@frozen(kw_only=True)
class Annotations:
    """What people say of assets; ``fields`` are the declared custom fields."""

    store: Store
    clock: Clock
    fields: CustomFields = field(factory=dict)

    async def tags(self, prefix: str, *, after: str | None = None, limit: int) -> Sequence[TagUse]:
        """The tags that begin so, without case, after the one given; in alphabetical order."""
        return await self.store.read(lambda tx: tx.find_tags(prefix, after=after, limit=limit))

    def edit_in(self, actor: Actor, uuid: AssetId, edit: Edit, tx: Transaction) -> Asset:
        """Apply an edit, in a transaction.

        Raises:
            StateConflict: somebody else changed what it replaces; nothing was changed.
            ValidationFailed: a part is malformed, or a value does not fit its declared field.
            Purged, NotFound, ForbiddenActor: as said.
        """
        asset, now = need_living(tx, uuid), self.clock.now()
        check_fields(self.fields, edit.fields)
        after = edited(asset, edit, actor, now)
        if after is asset:
            return asset
        return save_step(tx, asset, after, "asset.annotated", actor, now, **changes(asset, after))

    async def edit(self, actor: Actor, uuid: AssetId, edit: Edit) -> Asset:
        """`edit_in`, durably."""
        return await self.store.transact(partial(self.edit_in, actor, uuid, edit))

    def settle_in(
        self,
        actor: Actor,
        uuid: AssetId,
        tag: str,
        status: SuggestionStatus,
        seen: SuggestionStatus | None,
        tx: Transaction,
    ) -> Asset:
        """Accept or refuse a suggestion, or take that back, in a transaction; doing it again is harmless.

        Raises:
            NotFound: no such suggestion (any more).
            StateConflict: somebody else settled it otherwise since it was seen.
            Purged, ForbiddenActor: as said.
        """
        asset, now = need_living(tx, uuid), self.clock.now()
        after = settled(asset, tag, status, actor, now, seen=seen)
        if after is asset:
            return asset
        source = suggestion_of(asset, tag).source
        return save_step(tx, asset, after, _SETTLED[status], actor, now, source=source)

    async def settle(
        self,
        actor: Actor,
        uuid: AssetId,
        tag: str,
        status: SuggestionStatus,
        *,
        seen: SuggestionStatus | None = None,
    ) -> Asset:
        """`settle_in`, durably."""
        return await self.store.transact(partial(self.settle_in, actor, uuid, tag, status, seen))


def changes(before: Asset, after: Asset) -> dict[str, object]:
    """What an annotation changed, for the trail: the parts, how many tags, and which fields."""
    old, new = set(before.tags), set(after.tags)
    fields = sorted(
        name
        for name in {*before.fields, *after.fields}
        if before.fields.get(name) != after.fields.get(name)
    )
    parts = {"tags": before.tags != after.tags, "notes": before.notes != after.notes}
    said = {"tags_added": len(new - old), "tags_removed": len(old - new), "fields": fields}
    return {
        "changed": [name for name, is_so in {**parts, "fields": bool(fields)}.items() if is_so],
        **{name: value for name, value in said.items() if value},
    }
