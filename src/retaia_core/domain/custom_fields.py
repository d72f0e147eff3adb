"""Typed custom fields: declared by who runs the server, filled by people, asset by asset.

A declared field takes values of its type only. A field that nobody declared is kept as it is, so that
nothing is lost when a declaration is taken back.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date
from enum import StrEnum

from attrs import frozen

from ..errors import ValidationFailed

MAX_TEXT = 10_000
LARGEST_INTEGER = 2**53 - 1
"""What every JSON reader keeps exactly."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CHOICE = "choice:"


class FieldType(StrEnum):
    """What a field's values are."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    CHOICE = "choice"


@frozen(kw_only=True)
class FieldDefinition:
    """A declared field; ``choices`` are the values of a `FieldType.CHOICE`, in the order they are shown."""

    name: str
    label: str
    type: FieldType
    choices: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """What a value must be, in words."""
        if self.type is FieldType.CHOICE:
            return f"one of: {', '.join(self.choices)}"
        return _ALLOWED[self.type]

    def takes(self, value: object) -> bool:
        """Whether this is a value of the field."""
        if self.type is FieldType.CHOICE:
            return value in self.choices
        return _TAKES[self.type](value)


CustomFields = Mapping[str, FieldDefinition]
"""The declared fields by name, in the order they are shown."""


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT and "\0" not in value


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_INTEGER


def _is_number(value: object) -> bool:
    return _is_integer(value) or (isinstance(value, float) and math.isfinite(value))


def _is_date(value: object) -> bool:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


_TAKES = {
    FieldType.TEXT: _is_text,
    FieldType.INTEGER: _is_integer,
    FieldType.NUMBER: _is_number,
    FieldType.BOOLEAN: lambda value: isinstance(value, bool),
    FieldType.DATE: _is_date,
}
_ALLOWED = {
    FieldType.TEXT: f"a text of at most {MAX_TEXT} characters, without NUL",
    FieldType.INTEGER: f"a whole number from -{LARGEST_INTEGER} to {LARGEST_INTEGER}",
    FieldType.NUMBER: "a number",
    FieldType.BOOLEAN: "true or false",
    FieldType.DATE: "a date as YYYY-MM-DD",
}

DECLARABLE = "text, integer, number, boolean, date, or choice: ONE | ANOTHER"
"""How a type is written in the settings."""


def declared(types: Mapping[str, str], labels: Mapping[str, str] | None = None) -> CustomFields:
    """The fields that settings declare: a type by name, and a label where the name is not enough.

    >>> fields = declared({"take": "integer", "weather": "choice: sun | rain"}, {"take": "Take no."})
    >>> fields["take"].label, fields["weather"].label, fields["weather"].choices
    ('Take no.', 'weather', ('sun', 'rain'))

    Raises:
        ValueError: a name, a type or a label is malformed.
    """
    said = labels or {}
    return {name: _definition(name, types[name], said.get(name, name)) for name in types}


def _definition(name: str, said: str, label: str) -> FieldDefinition:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r}: a field's name is 1 to 64 of a-z, 0-9 and _, a letter first")
    if not label.strip():
        raise ValueError(f"{name}: a label must not be empty")
    if said.startswith(_CHOICE):
        choices = tuple(part.strip() for part in said.removeprefix(_CHOICE).split("|"))
        if not all(choices) or len(set(choices)) < len(choices):
            raise ValueError(f"{name}: choices must not be empty or twice the same")
        return FieldDefinition(name=name, label=label, type=FieldType.CHOICE, choices=choices)
    if said not in set(_TAKES):
        raise ValueError(f"{name}: {said!r} is no type; allowed: {DECLARABLE}")
    return FieldDefinition(name=name, label=label, type=FieldType(said))


def check_fields(fields: CustomFields, values: Mapping[str, object]) -> None:
    """Refuse values that do not fit their declared field; None takes a value away and always fits.

    Raises:
        ValidationFailed: ``details["fields"]`` says of each what is allowed.
    """
    wrong = {
        f"fields.{name}": f"must be {fields[name].allowed}"
        for name, value in values.items()
        if name in fields and value is not None and not fields[name].takes(value)
    }
    if wrong:
        said = "; ".join(f"{name} {text}" for name, text in wrong.items())
        raise ValidationFailed(f"fields are not valid: {said}", fields=wrong)
