"""Requests are held against the document before a handler runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import anyio
from jsonschema_rs import Draft202012Validator, ValidationError
from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.types import Message, Receive

from .document import IDEMPOTENCY_KEY, Operation, Parameter, Whole
from .errors import WireRefused, refused
from .wire import JSON, decode

MAX_KEY = 200
STALL_S = 60.0
"""A body that makes no progress for this long is given up."""

SLOWEST = 1024
"""Bytes a second below which a body that goes on is given up, too; it may begin `STALL_S` late."""

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_BOOLEANS = {"true": True, "false": False}


def _place(error: ValidationError) -> str:
    named = getattr(error.kind, "property", None)
    steps = [*error.instance_path, *([named] if named else [])]
    return ".".join(str(step) for step in steps) or "body"


def _leaves(error: ValidationError) -> Sequence[ValidationError]:
    """The errors of the alternative that fits best, where there are alternatives."""
    branches: list[list[ValidationError]] = getattr(error.kind, "context", [])
    return min(branches, key=len) if branches else [error]


def problems(schema: Draft202012Validator, value: object) -> dict[str, str]:
    """What is wrong with a value, by place; values are not repeated."""
    found: dict[str, str] = {}
    for error in schema.iter_errors(value):
        for leaf in _leaves(error):
            found.setdefault(_place(leaf), leaf.message)
    return found


def _malformed(name: str, said: str) -> WireRefused:
    return refused(400, f"parameter {name}: {said}", fields={name: said})


def _convert(parameter: Parameter, text: str) -> object:
    if "\0" in text:
        raise _malformed(parameter.name, "it has a NUL character")
    if parameter.type == "integer":
        if not _INTEGER.fullmatch(text):
            raise _malformed(parameter.name, "it must be an integer")
        return int(text)
    if parameter.type == "boolean":
        if text not in _BOOLEANS:
            raise _malformed(parameter.name, "it must be true or false")
        return _BOOLEANS[text]
    return text


def _checked(parameter: Parameter, value: object) -> object:
    if not parameter.validator.is_valid(value):
        said = "; ".join(problems(parameter.validator, value).values())
        raise _malformed(parameter.name, said)
    return value


def read_query(operation: Operation, query: QueryParams) -> dict[str, object]:
    """The query, by name and with its types.

    Raises:
        WireRefused: 400; a name that is not listed, or a value that does not fit.
    """
    known = operation.placed["query"]
    found: dict[str, object] = {}
    for name in dict.fromkeys(query.keys()):
        parameter = known.get(name)
        if parameter is None:
            allowed = ", ".join(known) or "none"
            raise _malformed(name, f"there is no such parameter; allowed: {allowed}")
        values = [_convert(parameter, text) for text in query.getlist(name)]
        if not parameter.repeated and len(values) > 1:
            raise _malformed(name, "it may be given once only")
        found[name] = _checked(parameter, values if parameter.repeated else values[0])
    for parameter in known.values():
        if parameter.required and parameter.name not in found:
            raise _malformed(parameter.name, "it is required")
    return found


def read_path(operation: Operation, given: Mapping[str, str]) -> dict[str, str]:
    """The parts of the path.

    Raises:
        WireRefused: 404; a part that names nothing here.
    """
    for parameter in operation.placed["path"].values():
        text = given[parameter.name]
        if "\0" in text or not parameter.validator.is_valid(text):
            raise refused(
                404, f"there is no such {parameter.name}", reason="NOT_FOUND", field=parameter.name
            )
    return dict(given)


def read_headers(operation: Operation, headers: Headers) -> dict[str, str]:
    """The headers that the operation declares.

    Raises:
        WireRefused: 422 where the Idempotency-Key is missing, 400 where a value does not fit.
    """
    found: dict[str, str] = {}
    for parameter in operation.placed["header"].values():
        value = headers.get(parameter.name)
        if value is None:
            if parameter.required and operation.key_required:
                raise missing_header(parameter.name)
            continue
        if parameter.name == IDEMPOTENCY_KEY and not (value.strip() and len(value) <= MAX_KEY):
            raise _malformed(parameter.name, f"it must have 1 to {MAX_KEY} characters")
        _checked(parameter, value)
        found[parameter.name] = value
    return found


def missing_header(name: str) -> WireRefused:
    """The refusal of a request without a header that it needs."""
    return refused(422, f"the header {name} is required", fields={name: "missing"})


def limited(receive: Receive, limit: int) -> Receive:
    """Receive at most so many bytes of body, and none that comes too slowly."""
    got, since = 0, anyio.current_time()

    async def next_message() -> Message:
        nonlocal got
        left = since + STALL_S + got / SLOWEST - anyio.current_time()
        try:
            with anyio.fail_after(min(STALL_S, left)):
                message = await receive()
        except TimeoutError as error:
            raise refused(400, "the body stopped arriving", reason="BODY_STALLED") from error
        got += len(message.get("body", b""))
        if got > limit:
            raise too_large(limit)
        return message

    return next_message


def too_large(limit: int) -> WireRefused:
    """The refusal of a body beyond its limit."""
    return refused(413, f"the body has more than {limit} bytes", reason="TOO_LARGE", limit=limit)


def check_length(headers: Headers, limit: int) -> None:
    """Refuse by the announced length, before a byte is read."""
    announced = headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:20]) > limit:
        raise too_large(limit)


def content_type(request: Request) -> str:
    """The media type of the body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(operation: Operation, request: Request) -> Any:
    """The JSON body; None where there is none, or where the handler reads it itself.

    Raises:
        WireRefused: 400 no JSON, 413 too large, 415 another type, 422 content that does not fit.
    """
    if not operation.bodies:
        return None
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise refused(415, "compressed bodies are not read", reason="UNSUPPORTED_ENCODING")
    given = content_type(request)
    if not (operation.body_required or given or await request.body()):
        return None
    if given not in operation.bodies:
        raise refused(
            415,
            f"the body must be {' or '.join(operation.bodies)}",
            reason="UNSUPPORTED_MEDIA_TYPE",
        )
    body = operation.bodies[given]
    if body is None or given != JSON:
        return None
    value = decode(await request.body())
    if not body.validator.is_valid(value):
        wrong = problems(body.validator, value)
        said = "; ".join(f"{place}: {text}" for place, text in list(wrong.items())[:5])
        raise refused(422, f"the body is not valid: {said}", fields=wrong)
    return with_whole_numbers(value, body.whole)


def with_whole_numbers(value: Any, where: Whole) -> Any:
    """The same value, its whole numbers as integers: to a schema 1.0 is one too.

    >>> with_whole_numbers({"size": 10.0, "rate": 25.0}, {"size": True})
    {'size': 10, 'rate': 25.0}
    """
    if isinstance(where, bool):
        return int(value) if where and isinstance(value, float) else value
    if isinstance(value, dict):
        for name in where.keys() & value.keys():
            value[name] = with_whole_numbers(value[name], where[name])
    elif isinstance(value, list) and "[]" in where:
        value[:] = [with_whole_numbers(item, where["[]"]) for item in value]
    return value
