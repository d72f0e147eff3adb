"""What people say of an asset beside their decision (domain.md, *Suggestions and transcripts*).

Edits lose nothing of somebody else's; suggestions are settled one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from attrs import evolve, field, frozen

from ..errors import ForbiddenActor, NotFound, StateConflict, ValidationFailed
from .actors import Actor, ActorKind
from .assets import Asset, Suggestion, annotated


class SuggestionStatus(StrEnum):
    """What a person said of a suggestion; PENDING is nothing yet."""

    PENDING = "PENDING"
    ACCEPTED = "ACCEPTED"
    REFUSED = "REFUSED"


@frozen(kw_only=True)
class Edit:
    """A change of tags, notes and fields by somebody who says what they saw.

    Tags are added and removed one by one, so two people's edits never undo each other. Notes and fields
    are replaced: ``notes_seen`` and ``fields_seen`` are what the person changed, and None is no value.
    """

    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()
    notes: str | None = None
    notes_seen: str | None = None
    fields: Mapping[str, object] = field(factory=dict)
    fields_seen: Mapping[str, object] = field(factory=dict)

    def tags_of(self, asset: Asset) -> tuple[str, ...]:
        """The asset's tags after this edit."""
        removed = {tag.strip() for tag in self.remove_tags}
        return (*(tag for tag in asset.tags if tag not in removed), *self.add_tags)


def _need_seen(edit: Edit) -> None:
    missing = [f"fields_seen.{name}" for name in edit.fields if name not in edit.fields_seen]
    if edit.notes is not None and edit.notes_seen is None:
        missing.append("notes_seen")
    if missing:
        raise ValidationFailed(
            f"an edit says what it replaces: {', '.join(missing)} must be given (null: no value)",
            fields=dict.fromkeys(missing, "missing"),
        )


def _overtaken(asset: Asset, edit: Edit) -> dict[str, object]:
    """What somebody else made another meanwhile: neither as it was seen, nor as this edit wants it."""
    theirs: dict[str, object] = {}
    if edit.notes is not None and asset.notes not in (edit.notes, edit.notes_seen):
        theirs["notes"] = asset.notes
    for name, wanted in edit.fields.items():
        now = asset.fields.get(name)
        if not _same(now, wanted) and not _same(now, edit.fields_seen[name]):
            theirs[f"fields.{name}"] = now
    return theirs


def _same(one: object, other: object) -> bool:
    """Whether two values are one in JSON, where true is not 1."""
    return isinstance(one, bool) is isinstance(other, bool) and one == other


def edited(asset: Asset, edit: Edit, actor: Actor, now: datetime) -> Asset:
    """Apply an edit whole, or nothing of it; the asset itself, where nothing changes.

    Raises:
        StateConflict: somebody changed what it replaces since; ``details["theirs"]`` is what is there.
        ValidationFailed: a part is malformed, or does not say what it replaces.
        ForbiddenActor: the actor is no person.
    """
    _need_seen(edit)
    theirs = _overtaken(asset, edit)
    after = annotated(
        asset, actor, now, tags=edit.tags_of(asset), notes=edit.notes, fields=edit.fields
    )
    if theirs:
        raise StateConflict(
            f"somebody changed {', '.join(theirs)} meanwhile, so nothing was changed now; "
            "look at what is there (details: theirs), then send what you want with that as seen",
            theirs=theirs,
        )
    return asset if evolve(after, updated_at=asset.updated_at) == asset else after


def suggestion_of(asset: Asset, tag: str) -> Suggestion:
    """The suggestion of a tag.

    Raises:
        NotFound: there is none (any more).
    """
    for suggestion in asset.suggestions:
        if suggestion.tag == tag:
            return suggestion
    known = ", ".join(repr(s.tag) for s in asset.suggestions) or "none"
    raise NotFound(f"there is no suggestion {tag!r} (any more); there are: {known}")


def settled(
    asset: Asset,
    tag: str,
    status: SuggestionStatus,
    actor: Actor,
    now: datetime,
    *,
    seen: SuggestionStatus | None = None,
) -> Asset:
    """Give a suggestion the status that a person says; the asset itself, where it has it already.

    Accepted, it becomes a tag that bears its source; taken back or refused later, that tag goes again,
    unless a person had set it too. ``seen`` is the status that the person saw.

    Raises:
        ForbiddenActor: the actor is no person (domain.md, *Principles* 1).
        NotFound: no such suggestion.
        StateConflict: somebody else settled it otherwise since it was seen.
    """
    if actor.kind is not ActorKind.PERSON:
        raise ForbiddenActor("suggestions are a person's to accept or refuse")
    old = suggestion_of(asset, tag)
    if old.status == status:
        return asset
    if seen is not None and old.status != seen:
        raise StateConflict(
            f"{old.by or 'somebody'} made it {old.status} meanwhile; look at it, and say it anew",
            status=old.status,
            by=old.by,
        )
    new = evolve(old, status=status.value, since=now, by=str(actor))
    suggestions = tuple(new if one is old else one for one in asset.suggestions)
    after = evolve(asset, suggestions=suggestions, updated_at=now)
    return annotated(after, actor, now, tags=_tags_with(asset, new), source=new.source)


def _tags_with(asset: Asset, suggestion: Suggestion) -> tuple[str, ...]:
    """The tags once a suggestion has its new status."""
    tag = suggestion.tag
    if suggestion.status == SuggestionStatus.ACCEPTED:
        return (*asset.tags, tag)
    last = asset.last_changes.get(f"tag/{tag}")
    came_with_it = last is not None and bool(last.source)
    return tuple(one for one in asset.tags if one != tag or not came_with_it)
