"""The filter of ``GET /assets`` in a JSON body: the same keys and the same rules."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from retaia_core.domain.query import AssetQuery
from retaia_core.errors import ValidationFailed

from .asset_query import asset_query
from .document import Parameter, load_document, operations_of
from .errors import WireRefused
from .validation import problems

PAGING = frozenset({"limit", "cursor"})
"""Of the list's parameters those that are no filter."""


@cache
def _filters() -> Mapping[str, Parameter]:
    document = load_document()
    (operation,) = operations_of(
        {**document, "paths": {"/assets": {"get": document["paths"]["/assets"]["get"]}}}
    )
    return {p.name: p for p in operation.parameters if p.where == "query" and p.name not in PAGING}


def _problem(name: str, value: object) -> str | None:
    """What is wrong with one key; None where nothing is."""
    parameter = _filters().get(name)
    if parameter is None:
        return f"there is no such filter; allowed: {', '.join(_filters())}"
    if parameter.validator.is_valid(value):
        return None
    return "; ".join(problems(parameter.validator, value).values())


def _listed(name: str, value: object) -> object:
    """A single value of a filter that may be given several times stands for a list of one."""
    parameter = _filters().get(name)
    repeated = parameter is not None and parameter.repeated
    return [value] if repeated and not isinstance(value, list) else value


def read_filter(raw: Mapping[str, object]) -> AssetQuery:
    """Read a filter; what is unknown or malformed is refused, so that never more is decided than meant.

    Raises:
        ValidationFailed: naming each key.
    """
    given = {name: _listed(name, value) for name, value in raw.items()}
    wrong = {name: said for name, value in given.items() if (said := _problem(name, value))}
    if not wrong:
        try:
            return asset_query(given)
        except WireRefused as error:
            fields = error.problem.details["fields"]
            assert isinstance(fields, dict)
            wrong = fields
    said = "; ".join(f"{name}: {text}" for name, text in wrong.items())
    raise ValidationFailed(
        f"the filter is not valid: {said}",
        fields={f"filter.{name}": text for name, text in wrong.items()},
    )
