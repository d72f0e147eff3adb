"""The part of a transaction that is about the content of files: digests, and when they were verified."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from attrs import frozen
from sqlalchemy import ColumnElement, Select, bindparam, func, or_, select, text, tuple_

from retaia_core.domain.fixity import Fixity
from retaia_core.domain.identifiers import AssetId, StorageId
from retaia_core.ports.fixity_store import FixitySums

from . import schema
from .dialects import Dialect, Statement
from .session import Session
from .values import EPOCH, dump, maybe_time, micros

_a, _f = schema.assets.c, schema.fixity.c
_fixity = msgspec.json.Decoder(Fixity)
_settled = text("assets.state NOT IN ('DISCOVERED', 'PURGED')")


@frozen(kw_only=True)
class FixityStatements:
    """Every statement about it, built once."""

    one: Statement
    some: Statement
    save: Statement
    due: Statement
    never: Statement
    sums: Statement

    @classmethod
    def build(cls, dialect: Dialect) -> FixityStatements:
        """Compile them for one database."""
        document = select(_f.document)
        return cls(
            one=dialect.compile(document.where(_f.asset == bindparam("asset"))),
            some=dialect.compile(document.where(dialect.any_of(_f.asset, "assets"))),
            save=dialect.upsert(schema.fixity, "asset"),
            due=dialect.compile(_due()),
            never=dialect.compile(_never()),
            sums=dialect.compile(_sums()),
        )


def _here() -> ColumnElement[bool]:
    """Of one storage, or (an empty text) of any."""
    storage = bindparam("storage_id", type_=_a.storage_id.type)
    return or_(storage == "", _a.storage_id == storage)


def _due() -> Select[Any]:
    order = (_f.checked_at, _f.asset)
    place = (
        bindparam("after_at", type_=_f.checked_at.type),
        bindparam("after", type_=_f.asset.type),
    )
    joined = schema.fixity.join(schema.assets, _a.uuid == _f.asset)
    due = select(_f.document).select_from(joined)
    before = _f.checked_at < bindparam("before", type_=_f.checked_at.type)
    due = due.where(_settled, _here(), before, tuple_(*order) > tuple_(*place))
    return due.order_by(*order).limit(bindparam("limit"))


def _never() -> Select[Any]:
    known = select(_f.asset).where(_f.asset == _a.uuid).exists()
    after = _a.uuid > bindparam("after", type_=_a.uuid.type)
    never = select(_a.uuid).where(_settled, _here(), ~known, after)
    return never.order_by(_a.uuid).limit(bindparam("limit"))


def _sums() -> Select[Any]:
    joined = schema.assets.outerjoin(schema.fixity, _a.uuid == _f.asset)
    columns: tuple[Any, ...] = (func.count(), func.count(_f.asset), func.min(_f.checked_at))
    sums: Select[Any] = select(*columns)
    return sums.select_from(joined).where(_settled, _here())


class FixityTransaction:
    """The part of a transaction that is about it."""

    _session: Session
    _contents: FixityStatements

    def fixity(self, uuid: AssetId) -> Fixity | None:
        rows = self._session.rows(self._contents.one, {"asset": uuid})
        return _fixity.decode(rows[0][0]) if rows else None

    def fixities(self, uuids: Iterable[AssetId]) -> Mapping[AssetId, Fixity]:
        values = {"assets": self._session.dialect.array(list(dict.fromkeys(uuids)))}
        found = [_fixity.decode(row[0]) for row in self._session.rows(self._contents.some, values)]
        return {one.asset: one for one in found}

    def save_fixity(self, fixity: Fixity) -> None:
        values = {
            "asset": fixity.asset,
            "checked_at": micros(fixity.checked_at),
            "document": dump(fixity),
        }
        self._session.send(self._contents.save, values)

    def fixity_due(
        self,
        *,
        before: datetime,
        storage_id: StorageId | None = None,
        after: Fixity | None = None,
        limit: int = 100,
    ) -> Sequence[Fixity]:
        values = {
            "storage_id": storage_id or "",
            "before": micros(before),
            "after_at": micros(after.checked_at if after else EPOCH),
            "after": after.asset if after else "",
            "limit": limit,
        }
        return [_fixity.decode(row[0]) for row in self._session.rows(self._contents.due, values)]

    def assets_without_fixity(
        self, *, storage_id: StorageId | None = None, after: AssetId | None = None, limit: int = 100
    ) -> Sequence[AssetId]:
        values = {"storage_id": storage_id or "", "after": after or "", "limit": limit}
        return [AssetId(row[0]) for row in self._session.rows(self._contents.never, values)]

    def fixity_sums(self, storage_id: StorageId | None = None) -> FixitySums:
        values = {"storage_id": storage_id or ""}
        total, known, oldest = self._session.rows(self._contents.sums, values)[0]
        return FixitySums(known=known, never=total - known, oldest=maybe_time(oldest))
