"""The settings as they are in force: each with its value and where that comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import attrs
from attrs import frozen

from ..settings import COMMAND_LINE, SECTIONS, VARIABLE, Settings


class Source(StrEnum):
    """Where a value comes from."""

    DEFAULT = "DEFAULT"
    FILE = "FILE"
    ENVIRONMENT = "ENVIRONMENT"
    COMMAND_LINE = "COMMAND_LINE"


@frozen(kw_only=True)
class SettingInForce:
    """One setting. ``value`` is None where it is kept back; ``given`` says whether it is set at all.

    ``name`` is the file, or the variable, that it comes from.
    """

    section: str
    key: str
    value: str | None
    given: bool
    source: Source
    name: str = ""


def settings_in_force(settings: Settings, *, places: bool) -> tuple[SettingInForce, ...]:
    """Every setting. Secrets are always kept back; folders of this machine where ``places`` is no.

    >>> found = settings_in_force(Settings(data_dir=Path("/x")), places=False)
    >>> [(one.value, one.source.value) for one in found if one.key == "quiet_period"]
    [('300', 'DEFAULT')]
    """
    return tuple(
        _in_force(settings, section, attribute, places=places)
        for section, cls in SECTIONS.items()
        for attribute in attrs.fields(cls)
    )


def _in_force(
    settings: Settings, section: str, attribute: attrs.Attribute[object], *, places: bool
) -> SettingInForce:
    value = getattr(getattr(settings, section), attribute.name)
    source, name = _source(settings.sources.get((section, attribute.name)), places=places)
    kept_back = attribute.metadata.get("holds") in ({"secret"} if places else {"secret", "place"})
    return SettingInForce(
        section=section,
        key=attribute.name,
        value=None if kept_back else _text(value),
        given=value not in ("", (), {}),
        source=source,
        name=name,
    )


def _source(said: str | None, *, places: bool) -> tuple[Source, str]:
    if said is None:
        return Source.DEFAULT, ""
    if said == COMMAND_LINE:
        return Source.COMMAND_LINE, ""
    if said.startswith(VARIABLE):
        return Source.ENVIRONMENT, said.removeprefix(VARIABLE)
    return Source.FILE, said if places else Path(said).name


def _text(value: object) -> str:
    """A value as it is written in the settings file, texts without their quotes.

    >>> _text(300.0), _text(True), _text(("a", "b")), _text({"nas": "/mnt"})
    ('300', 'true', '["a", "b"]', '{"nas": "/mnt"}')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return json.dumps(dict(value), ensure_ascii=False)
    return f"{value:g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
