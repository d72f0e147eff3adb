"""An error that the server raises arrives as the same error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from retaia_adapters.http.errors import STORE_AWAY, problem_of
from retaia_adapters.http_client.answers import error_of, retry_after_s
from retaia_core import errors
from retaia_core.errors import Refused, RetaiaError, StoreUnavailable, Unavailable

CONTRACT: Any = yaml.safe_load(
    (Path(__file__).parents[2] / "data" / "retaia-v1.openapi.yaml").read_text(encoding="utf-8")
)
CODES = CONTRACT["components"]["schemas"]["ErrorResponse"]["properties"]["code"]["enum"]


def tree(kind: type[RetaiaError]) -> list[type[RetaiaError]]:
    children = [c for c in kind.__subclasses__() if c.__module__ == errors.__name__]
    return [kind, *(c for child in children for c in tree(child))]


KINDS = [kind for kind in (*tree(Refused), *tree(Unavailable)) if kind is not Refused]


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(kind: type[RetaiaError]) -> None:
    """Class, message, details and correlation id survive the wire."""
    told = problem_of(kind("no way", field="x", retry_after_s=3.2))
    headers = {name.lower(): value for name, value in told.headers.items()}
    back = error_of(told.status, told.body("c-1"), headers.get("retry-after"))
    # What ails the server's database is the server's affair.
    away = kind is StoreUnavailable
    assert type(back) is (Unavailable if away else kind)
    assert (back.message, back.details["field"]) == (STORE_AWAY if away else "no way", "x")
    assert back.details["correlation_id"] == "c-1"
    if told.status in (429, 503):
        assert back.details["retry_after_s"] == 4


def test_every_code_of_the_contract() -> None:
    """No code of the contract is without its error."""
    assert {kind.code for kind in KINDS} >= set(CODES)


@pytest.mark.parametrize(
    ("header", "date", "seconds"),
    [
        (None, None, None),
        ("0", None, 0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", None, None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", "Sat, 01 Jan 2000 00:00:10 GMT", 0),
        ("-5", None, None),
        ("soon", "Sat, 01 Jan 2000 00:00:10 GMT", None),
        ("", None, None),
    ],
)
def test_retry_after(header: str | None, date: str | None, seconds: float | None) -> None:
    """What is no time to wait is as if it were not there."""
    assert retry_after_s(header, date) == seconds
