"""What was done to an asset or in a batch, as a person reads it, page by page."""

from __future__ import annotations

from collections.abc import Mapping

from retaia_core.domain.history import Place, Row, name_of_row, sentence_of
from retaia_core.domain.identifiers import BatchId, asset_subject
from retaia_core.domain.journal import Event
from retaia_core.usecases.history import HistoryPage, Trail

from ..call import Call, Handler
from ..paging import decode_place, encode_place, limit_of
from ..views import View, without_unknown
from ..wire import instant


def _line(row: Row) -> View:
    line: dict[str, object] = {
        "source": "event" if isinstance(row, Event) else "journal",
        "at": instant(row.at),
        "what": name_of_row(row),
        "sentence": sentence_of(row),
        "subject_kind": row.subject.kind,
        "subject_id": row.subject.id,
    }
    if isinstance(row, Event):
        return {**line, "by": row.actor}
    place = {"storage_id": row.storage_id, "from": row.source, "to": row.target}
    return without_unknown({**line, "batch_id": row.batch_id or None, **place})


def _view(page: HistoryPage) -> View:
    items = [_line(row) for row in page.rows]
    if page.next is None:
        return {"items": items}
    return {"items": items, "next_cursor": encode_place(page.next.event, page.next.entry)}


async def _page(call: Call, trail: Trail) -> View:
    limit, cursor, place = limit_of(call.query), call.query.get("cursor"), None
    if cursor is not None:
        event, entry = decode_place(cursor, (int, int))
        place = Place(event=event, entry=entry)
    return _view(await call.services.history.page(trail, place, limit))


async def list_asset_history(call: Call) -> object:
    """What was done to an asset, a purged one too."""
    return await _page(call, Trail(subject=asset_subject(call.uuid)))


async def list_batch_history(call: Call) -> object:
    """What was done in a batch, file by file."""
    return await _page(call, Trail(batch=BatchId(call.path["batch_id"])))


HANDLERS: Mapping[str, Handler] = {
    "listAssetHistory": list_asset_history,
    "listBatchHistory": list_batch_history,
}
