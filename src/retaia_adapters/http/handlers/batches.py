"""Batch moves: dry run, execution in the background, report."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from attrs import field, frozen

from retaia_core.domain.batch_lines import BatchPlace
from retaia_core.domain.identifiers import AssetId, BatchId, parse_asset_id
from retaia_core.domain.lifecycle import Verdict
from retaia_core.domain.moves import Batch, MovePlan
from retaia_core.domain.storage import Health
from retaia_core.errors import StateConflict, ValidationFailed

from ..call import Call, Handler, known_answer, once_only
from ..paging import bad_cursor, decode_place, encode_place, limit_of
from ..views import batch_line_of, batch_of, plan_of

_INCLUDE = {
    "KEEP": frozenset({Verdict.KEEP}),
    "REJECT": frozenset({Verdict.REJECT}),
    "BOTH": frozenset(Verdict),
}
_MOST_UUIDS = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
MOVES = "moves"
"""What dry runs of batches are remembered under."""


@frozen(kw_only=True)
class Selection:
    """Which decided assets are meant; ``digest`` is that of the dry run that was read."""

    include: frozenset[Verdict] = field(default=frozenset(Verdict))
    uuids: tuple[AssetId, ...] | None = None
    limit: int | None = None
    digest: str | None = None


def _uuids(raw: object) -> tuple[AssetId, ...]:
    if not isinstance(raw, list) or len(raw) > _MOST_UUIDS:
        raise ValueError(f"must be a list of at most {_MOST_UUIDS} UUIDs")
    return tuple(dict.fromkeys(parse_asset_id(uuid) for uuid in raw))


def _limit(raw: object) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool) or raw < 1:
        raise ValueError("must be an integer from 1")
    return raw


def _include(raw: object) -> frozenset[Verdict]:
    found = _INCLUDE.get(raw) if isinstance(raw, str) else None
    if found is None:
        raise ValueError(f"must be one of {', '.join(_INCLUDE)}")
    return found


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise ValueError("must be a text")
    return raw


_READERS = {"include": _include, "uuids": _uuids, "limit": _limit, "digest": _text}


def read_selection(raw: Mapping[str, Any]) -> Selection:
    """Read a selection; a key that is not known is refused, so that never more moves than was meant.

    Raises:
        ValidationFailed: naming each key.
    """
    wrong: dict[str, str] = {}
    values: dict[str, Any] = {}
    for name, value in raw.items():
        reader = _READERS.get(name)
        if reader is None:
            wrong[f"selection.{name}"] = f"unknown; allowed: {', '.join(_READERS)}"
            continue
        try:
            values[name] = reader(value)
        except (ValueError, ValidationFailed) as error:
            wrong[f"selection.{name}"] = str(error)
    if wrong:
        said = "; ".join(f"{name}: {text}" for name, text in wrong.items())
        raise ValidationFailed(f"the selection is not valid: {said}", fields=wrong)
    return Selection(**values)


async def _plan(call: Call, selection: Selection) -> MovePlan:
    return await call.services.moves.preview(
        selection.include, limit=selection.limit, assets=selection.uuids
    )


async def _dry_run(call: Call, selection: Selection) -> object:
    plan = await _plan(call, selection)
    await call.services.previews.remember(call.actor, MOVES, plan.digest)
    return plan_of(plan)


async def preview_moves(call: Call) -> object:
    """Show what a batch would do; changes nothing."""
    known = {name: call.body[name] for name in ("include", "limit", "uuids") if name in call.body}
    return await _dry_run(call, read_selection(known))


async def move_batch(call: Call) -> object:
    """Show, or accept what was shown as a batch that runs in the background."""
    selection = read_selection(call.body["selection"])
    if call.body["mode"] == "DRY_RUN":
        return await _dry_run(call, selection)
    known = await known_answer(call)
    return known or await _execute(call, selection)


async def _execute(call: Call, selection: Selection) -> object:
    expected = selection.digest or await call.services.previews.shown(call.actor, MOVES)
    if expected is None:
        raise StateConflict(
            "nothing moves without a dry run: preview first, and send its digest in the selection"
        )
    moves = call.services.moves
    plan = await _plan(call, selection)
    work = partial(moves.execute_in, call.actor, plan, expected)
    once = await once_only(call, work, batch_of)
    _run(call, once.made)
    return once.answer


def _run(call: Call, batch: Batch | None) -> None:
    """Do a batch that this request accepted, in the background."""
    if batch is not None:
        run = partial(call.services.moves.run, batch.batch_id)
        call.serving.spawn(f"batch {batch.batch_id}", run)


async def list_batches(call: Call) -> object:
    """The batches in numbers, newest first."""
    limit, cursor = limit_of(call.query), call.query.get("cursor")
    before = None if cursor is None else _place_of(cursor)
    found = await call.serving.monitoring.batches(before, limit)
    page: dict[str, object] = {"items": [batch_line_of(line) for line in found]}
    if len(found) == limit:
        page["next_cursor"] = _cursor_at(found[-1].place)
    return page


def _cursor_at(place: BatchPlace) -> str:
    return encode_place((place[0] - _EPOCH) // _MICROSECOND, place[1])


def _place_of(cursor: str) -> BatchPlace:
    made, batch_id = decode_place(cursor, (int, str))
    try:
        return _EPOCH + made * _MICROSECOND, BatchId(batch_id)
    except OverflowError as error:
        raise bad_cursor() from error


async def get_batch(call: Call) -> object:
    """How far a batch is, and what became of each asset."""
    batch = await call.services.moves.report(_batch_id(call))
    storages = await call.services.storages.all()
    return batch_of(batch, [s for s in storages if s.health is Health.OFFLINE])


def _batch_id(call: Call) -> BatchId:
    return BatchId(call.path["batch_id"])


def _undo_of(batch_id: BatchId) -> str:
    """What a preview of this undo is remembered under."""
    return f"undo {batch_id}"


def _part(body: Mapping[str, Any]) -> tuple[AssetId, ...] | None:
    """The assets that are named; None where all are meant."""
    return read_selection({"uuids": body["uuids"]}).uuids if "uuids" in body else None


async def preview_undo(call: Call) -> object:
    """Show what of a batch would go back; changes nothing."""
    batch_id = _batch_id(call)
    plan = await call.services.undo.preview(batch_id, _part(call.body or {}))
    await call.services.previews.remember(call.actor, _undo_of(batch_id), plan.digest)
    return plan_of(plan)


async def undo_batch(call: Call) -> object:
    """Accept what the preview of an undo showed as a batch that runs in the background."""
    return await known_answer(call) or await _undo(call, _batch_id(call))


async def _undo(call: Call, batch_id: BatchId) -> object:
    services = call.services
    expected = call.body.get("digest") or await services.previews.shown(
        call.actor, _undo_of(batch_id)
    )
    if expected is None:
        raise StateConflict(
            "nothing moves back without a preview: preview first, and send its digest"
        )
    plan = await services.undo.preview(batch_id, _part(call.body))
    work = partial(services.undo.execute_in, call.actor, plan, expected)
    once = await once_only(call, work, batch_of)
    _run(call, once.made)
    return once.answer


HANDLERS: Mapping[str, Handler] = {
    "previewMoves": preview_moves,
    "moveBatch": move_batch,
    "listMoveBatches": list_batches,
    "getMoveBatch": get_batch,
    "previewUndo": preview_undo,
    "undoMoveBatch": undo_batch,
}
