"""One request as the client thinks of it, before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from attrs import evolve, field, frozen

Method = Literal["GET", "POST", "PATCH"]
QueryValue = str | int | bool | Sequence[str] | None


@frozen(kw_only=True)
class FilePart:
    """A stretch of a file, sent as the ``chunk`` of a form that has ``fields`` beside it."""

    path: Path
    offset: int
    size: int
    fields: Mapping[str, str]


@frozen(kw_only=True)
class Ask:
    """One request. ``path`` is filled in and quoted, relative to the API's base.

    ``again`` says that sending it twice is the same as sending it once, whatever its method.
    ``long`` marks what moves a whole file: it may last as long as something moves.
    """

    method: Method
    path: str
    query: Mapping[str, QueryValue] = field(factory=dict)
    body: object = None
    part: FilePart | None = None
    key: str | None = None
    headers: Mapping[str, str] = field(factory=dict)
    anonymous: bool = False
    again: bool = False
    long: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether it may be tried again though the first try may have arrived."""
        return self.again or self.method == "GET" or self.key is not None


def ask(method: Method, template: str, /, *values: str, **options: Any) -> Ask:
    """Fill a path of the document with values, each quoted.

    >>> ask("GET", "/assets/{uuid}/derived/{kind}", "a/b", "thumb").path
    '/assets/a%2Fb/derived/thumb'
    """
    filled = template
    for value in values:
        before, _, rest = filled.partition("{")
        filled = before + quote(value, safe="") + rest.partition("}")[2]
    return evolve(Ask(method=method, path=filled), **options)
