"""What people say of assets: tags, notes, typed fields, suggestions; and what is said in a recording."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from retaia_core.domain.annotations import Edit, SuggestionStatus
from retaia_core.domain.assets import Asset, Suggestion
from retaia_core.domain.custom_fields import CustomFields, FieldDefinition
from retaia_core.domain.query import TAGS_COUNTED

from ..call import Call, Handler, once_only
from ..paging import decode_place, encode_place, limit_of
from ..views import View, transcript_status, without_unknown
from ..wire import instant


def _last(asset: Asset, name: str) -> View:
    """Who gave a part what it is now, where that is known."""
    change = asset.last_changes.get(name)
    if change is None:
        return {}
    return {"by": change.by, "since": instant(change.at)}


def _tag(asset: Asset, tag: str) -> View:
    last = asset.last_changes.get(f"tag/{tag}")
    source = {"source": last.source} if last is not None and last.source else {}
    return {"tag": tag, **_last(asset, f"tag/{tag}"), **source}


def _field(asset: Asset, name: str, value: object, definition: FieldDefinition | None) -> View:
    fits = definition is None or definition.takes(value)
    problem = {} if definition is None or fits else {"problem": f"must be {definition.allowed}"}
    return {"name": name, "value": value, **_last(asset, f"field/{name}"), **problem}


def _suggestion(suggestion: Suggestion) -> View:
    return without_unknown(
        {
            "tag": suggestion.tag,
            "source": suggestion.source,
            "status": suggestion.status,
            "since": None if suggestion.since is None else instant(suggestion.since),
            "by": suggestion.by or None,
        }
    )


def annotations_of(fields: CustomFields, asset: Asset) -> View:
    """Everything that people say of an asset, and what is suggested to them."""
    return {
        "tags": [_tag(asset, tag) for tag in asset.tags],
        "notes": {"text": asset.notes, **_last(asset, "notes")},
        "fields": [
            _field(asset, name, value, fields.get(name))
            for name, value in asset.fields.items()
            if value is not None
        ],
        "suggestions": [_suggestion(suggestion) for suggestion in asset.suggestions],
    }


def _view(call: Call) -> partial[View]:
    return partial(annotations_of, call.services.annotations.fields)


async def get_annotations(call: Call) -> object:
    """What people say of an asset."""
    return _view(call)(await call.services.review.asset(call.uuid))


async def edit_annotations(call: Call) -> object:
    """Change tags, notes or fields, saying what is replaced."""
    body = call.body
    edit = Edit(
        add_tags=tuple(body.get("add_tags", ())),
        remove_tags=tuple(body.get("remove_tags", ())),
        notes=body.get("notes"),
        notes_seen=body.get("notes_seen"),
        fields=body.get("fields", {}),
        fields_seen=body.get("fields_seen", {}),
    )
    work = partial(call.services.annotations.edit_in, call.actor, call.uuid, edit)
    return (await once_only(call, work, _view(call))).answer


async def settle_suggestion(call: Call) -> object:
    """Accept or refuse a suggestion, or take that back."""
    body = call.body
    status = SuggestionStatus(body["status"])
    seen = SuggestionStatus(body["seen"]) if "seen" in body else None
    settle = call.services.annotations.settle_in
    work = partial(settle, call.actor, call.uuid, body["tag"], status, seen)
    return (await once_only(call, work, _view(call))).answer


async def get_transcript(call: Call) -> object:
    """The whole transcript."""
    report = await call.services.operations.asset(call.uuid)
    status, said = transcript_status(report.asset, report.jobs), report.asset.transcript
    if said is None:
        return {"status": status, "segments": []}
    return without_unknown(
        {
            "status": status,
            "text": said.text,
            "language": said.language or None,
            "confidence": said.confidence,
            "updated_at": None if said.updated_at is None else instant(said.updated_at),
            "segments": said.segments,
        }
    )


async def list_tags(call: Call) -> object:
    """The tags that complete what is typed."""
    limit, cursor, after = limit_of(call.query), call.query.get("cursor"), None
    if cursor is not None:
        (after,) = decode_place(cursor, (str,))
    prefix = call.query.get("prefix", "")
    found = await call.services.annotations.tags(prefix, after=after, limit=limit + 1)
    items = [
        {"tag": use.tag, "assets": use.assets, "at_least": use.assets >= TAGS_COUNTED}
        for use in found[:limit]
    ]
    if len(found) <= limit:
        return {"items": items}
    return {"items": items, "next_cursor": encode_place(found[limit - 1].tag)}


async def list_fields(call: Call) -> object:
    """The custom fields that are declared."""
    items = [
        {
            "name": one.name,
            "label": one.label,
            "type": one.type,
            **({"choices": one.choices} if one.choices else {}),
        }
        for one in call.services.annotations.fields.values()
    ]
    return {"items": items}


HANDLERS: Mapping[str, Handler] = {
    "getAnnotations": get_annotations,
    "editAnnotations": edit_annotations,
    "settleSuggestion": settle_suggestion,
    "getTranscript": get_transcript,
    "listTags": list_tags,
    "listFields": list_fields,
}
