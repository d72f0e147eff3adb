"""Values from the wire and back; strict about types, and about closed objects.

An object that the document leaves open has a field ``extra``, which takes what was added to it. One
without it is closed, and a key that it does not know is an error: client and server disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar, get_args, get_origin

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from retaia_core.errors import RetaiaError

T = TypeVar("T")
OPEN = "extra"


def wire_name(field: str) -> str:
    """The name on the wire: a field whose name Python keeps to itself ends with ``_`` here."""
    return field.removesuffix("_")


def _exactly(*kinds: type) -> Callable[[object, Any], Any]:
    def check(value: object, _: Any) -> object:
        if type(value) not in kinds:
            raise TypeError(f"expected {kinds[0].__name__}, got {type(value).__name__}")
        return value

    return check


def _number(value: object, _: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number, got {type(value).__name__}")
    return float(value)


def _time(value: object, _: Any) -> datetime:
    if not isinstance(value, str):
        raise TypeError(f"expected a time, got {type(value).__name__}")
    time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError(f"a time without its offset from UTC: {value}")
    return time


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _tuple(kind: Any, converter: cattrs.Converter) -> Callable[[object, Any], Any]:
    item = get_args(kind)[0]

    def structure(value: object, _: Any) -> object:
        if not isinstance(value, list):
            raise TypeError(f"expected an array, got {type(value).__name__}")
        return tuple(converter.structure(one, item) for one in value)

    return structure


def _is_mapping(kind: Any) -> bool:
    return get_origin(kind) is Mapping


def _mapping(kind: Any, converter: cattrs.Converter) -> Callable[[object, Any], Any]:
    item = get_args(kind)[1]

    def structure(value: object, _: Any) -> object:
        if not isinstance(value, Mapping):
            raise TypeError(f"expected an object, got {type(value).__name__}")
        return {key: converter.structure(one, item) for key, one in value.items()}

    return structure


def _renamed(kind: type[attrs.AttrsInstance]) -> dict[str, Any]:
    names = [field.name for field in attrs.fields(kind)]
    return {name: override(rename=wire_name(name)) for name in names if wire_name(name) != name}


def _object(kind: Any, converter: cattrs.Converter) -> Callable[[object, Any], Any]:
    names = {wire_name(field.name) for field in attrs.fields(kind)}
    is_open = OPEN in names
    # mypy cannot follow keyword arguments whose names are only known here.
    make: Any = make_dict_structure_fn
    known = make(kind, converter, _cattrs_forbid_extra_keys=not is_open, **_renamed(kind))

    def structure(value: object, _: Any) -> object:
        if not isinstance(value, Mapping):
            raise TypeError(f"expected an object, got {type(value).__name__}")
        if not is_open:
            return known(value, kind)
        extra = {key: one for key, one in value.items() if key not in names - {OPEN}}
        return known({**value, OPEN: extra}, kind)

    return structure


def _plain(kind: Any, converter: cattrs.Converter) -> Callable[[Any], dict[str, Any]]:
    make: Any = make_dict_unstructure_fn
    done: Callable[[Any], dict[str, Any]] = make(
        kind, converter, _cattrs_omit_if_default=True, **_renamed(kind)
    )
    return done


def _build() -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_structure_hook(str, _exactly(str))
    converter.register_structure_hook(int, _exactly(int))
    converter.register_structure_hook(bool, _exactly(bool))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(datetime, _time)
    converter.register_structure_hook_factory(_is_tuple, _tuple)
    converter.register_structure_hook_factory(_is_mapping, _mapping)
    converter.register_structure_hook_factory(attrs.has, _object)
    converter.register_unstructure_hook_factory(attrs.has, _plain)
    return converter


_CONVERTER = _build()


def structure(value: object, into: type[T]) -> T:
    """Make a value of what an answer says.

    Raises:
        RetaiaError: it is not what the document says; the message names each place.
    """
    try:
        return _CONVERTER.structure(value, into)
    except (cattrs.BaseValidationError, TypeError, ValueError) as error:
        raise RetaiaError(
            "the server's answer is not as documented; do client and server fit together? "
            + "; ".join(cattrs.transform_error(error, path=into.__name__))
        ) from error


def plain(value: object) -> Any:
    """The JSON types of a value; what was left at its default is left out."""
    return _CONVERTER.unstructure(value)
