"""Which sidecar belongs to which media file: deterministic, and never a guess (domain.md, *Sidecars*)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from attrs import frozen

from .media import MediaType, extension_of
from .naming import stem_of

LEGACY_VIDEO = "video_legacy_sidecars"
BY_PERSON = "by_person"
"""The rule of what a person attached; no table has a row of this name."""


@frozen(kw_only=True)
class SidecarRule:
    """One row of the table: files of this extension belong to parents of this media type.

    ``policy`` names a switch that must be on for the rule to attach anything.
    """

    name: str
    extension: str
    media_type: MediaType
    policy: str | None = None


SIDECAR_RULES: tuple[SidecarRule, ...] = (
    SidecarRule(name="photo_xmp", extension="xmp", media_type=MediaType.PHOTO),
    SidecarRule(name="video_srt", extension="srt", media_type=MediaType.VIDEO),
    SidecarRule(name="video_lrf", extension="lrf", media_type=MediaType.VIDEO),
    SidecarRule(name="video_lrv", extension="lrv", media_type=MediaType.VIDEO, policy=LEGACY_VIDEO),
    SidecarRule(name="video_thm", extension="thm", media_type=MediaType.VIDEO, policy=LEGACY_VIDEO),
)
"""The built-in rules; plugins add rows through the ``retaia_sidecar_rules`` hook."""


class Unmatched(StrEnum):
    """Why a sidecar is attached to nothing."""

    MISSING_PARENT = "missing_parent"
    AMBIGUOUS_PARENT = "ambiguous_parent"
    DISABLED_BY_POLICY = "disabled_by_policy"


@frozen(kw_only=True)
class Trace:
    """What was decided for one sidecar: its parent and the rule, or the reason why it has none."""

    sidecar: str
    rule: str
    parent: str | None = None
    reason: Unmatched | None = None


class Parent(NamedTuple):
    """A media file of the folder, as a possible parent."""

    name: str
    media_type: MediaType


def _by_base(parents: Iterable[Parent], bases: Iterable[str]) -> dict[str, list[Parent]]:
    """The parents that each of these points at without case, in base-name style or in full-name style."""
    found: dict[str, list[Parent]] = {base: [] for base in bases}
    for parent in parents:
        whole = parent.name.casefold()
        stem = stem_of(whole)
        if stem in found:
            found[stem].append(parent)
        if whole in found and whole != stem:
            found[whole].append(parent)
    return found


def _matches(base: str, parents: Sequence[Parent]) -> Sequence[Parent]:
    """The parents that a name points at: those that it spells as they are, else all."""
    exact = [p for p in parents if base in (stem_of(p.name), p.name)]
    return exact or parents


def _resolve(
    name: str, rules: Sequence[SidecarRule], parents: Sequence[Parent], policies: frozenset[str]
) -> Trace:
    on = [rule for rule in rules if rule.policy is None or rule.policy in policies]
    if not on:
        return Trace(sidecar=name, rule=rules[0].name, reason=Unmatched.DISABLED_BY_POLICY)
    types = {rule.media_type for rule in on}
    valid = [parent for parent in parents if parent.media_type in types]
    found = _matches(stem_of(name), valid)
    if not found:
        return Trace(sidecar=name, rule=on[0].name, reason=Unmatched.MISSING_PARENT)
    rule = next(rule for rule in on if rule.media_type is found[0].media_type)
    if len(found) > 1:
        return Trace(sidecar=name, rule=rule.name, reason=Unmatched.AMBIGUOUS_PARENT)
    return Trace(sidecar=name, rule=rule.name, parent=found[0].name)


_NOBODY: Mapping[str, str] = MappingProxyType({})


def attach(
    sidecars: Iterable[str],
    parents: Sequence[Parent],
    *,
    rules: Sequence[SidecarRule] = SIDECAR_RULES,
    policies: frozenset[str] = frozenset(),
    by_person: Mapping[str, str] = _NOBODY,
) -> tuple[Trace, ...]:
    """Decide for each sidecar of one folder, by name; the order of the input does not matter.

    ``by_person`` has the parents that people gave to sidecars: their word stands, whatever the rules
    say, and the rules decide for the others as if those were not there.

    >>> photo = Parent(name="A001.jpg", media_type=MediaType.PHOTO)
    >>> attach(["a001.XMP"], [photo])[0].parent
    'A001.jpg'
    >>> twin = Parent(name="A001.png", media_type=MediaType.PHOTO)
    >>> attach(["A001.xmp"], [photo, twin])[0].reason
    <Unmatched.AMBIGUOUS_PARENT: 'ambiguous_parent'>
    >>> attach(["A001.jpg.xmp"], [photo, twin])[0].parent
    'A001.jpg'
    >>> attach(["A001.xmp"], [photo, twin], by_person={"A001.xmp": "A001.png"})[0].parent
    'A001.png'
    """
    names = frozenset(sidecars)
    said = [
        Trace(sidecar=name, rule=BY_PERSON, parent=by_person[name])
        for name in by_person.keys() & names
    ]
    by_rule = _by_rules(names - by_person.keys(), parents, rules, policies)
    return tuple(sorted((*said, *by_rule), key=lambda trace: trace.sidecar)) if said else by_rule


def _by_rules(
    sidecars: Iterable[str],
    parents: Sequence[Parent],
    rules: Sequence[SidecarRule],
    policies: frozenset[str],
) -> tuple[Trace, ...]:
    by_extension: dict[str, list[SidecarRule]] = defaultdict(list)
    for rule in rules:
        by_extension[rule.extension].append(rule)
    known = sorted(name for name in sidecars if extension_of(name) in by_extension)
    pointed_at = _by_base(parents, (stem_of(name).casefold() for name in known))
    traces = [
        _resolve(
            name,
            by_extension[extension_of(name)],
            pointed_at[stem_of(name).casefold()],
            policies,
        )
        for name in known
    ]
    claims: dict[tuple[str, str], int] = defaultdict(int)
    for trace in traces:
        if trace.parent is not None:
            claims[trace.parent, extension_of(trace.sidecar)] += 1
    return tuple(
        Trace(sidecar=t.sidecar, rule=t.rule, reason=Unmatched.AMBIGUOUS_PARENT)
        if t.parent is not None and claims[t.parent, extension_of(t.sidecar)] > 1
        else t
        for t in traces
    )


def sidecar_extensions(rules: Iterable[SidecarRule]) -> frozenset[str]:
    """The extensions that make a file a sidecar and never an asset."""
    return frozenset(rule.extension for rule in rules)
