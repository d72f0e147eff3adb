"""A watch over the whole run: what the suite issues as a secret must not be in any log record.

Secrets are taken from HTTP requests and answers, from messages to people and from what commands print.
Every log record is looked at whole: its sentence, its structured data and its traceback, before any
redaction. Whatever a test finds of its own secrets there fails that test.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import wraps
from typing import Any

import httpx
import pytest
from attrs import define, field

from retaia_adapters.cli.output import Output
from retaia_core.ports.notifier import Message

SECRET_FIELDS = frozenset(
    {
        "access_token", "refresh_token", "secret_key", "device_code", "recovery_code",
        "recovery_codes", "secret", "otpauth_uri", "token", "password", "new_password",
        "current_password",
    }
)  # fmt: skip
SHORTEST = 10
"""Shorter texts are too likely to be in a line for another reason; no password is shorter."""

_TOKEN = re.compile(r"(?<!\S)(?!\w{8}(?:-\w{4}){3}-\w{12}(?!\S))[\w-]{30,}(?!\S)", re.ASCII)
"""A word that nobody wrote, and no UUID: how a message or a command shows a token."""

_LOUD = "adapters/http/"
"""Here every record that the server could make is made, whatever the level of the log."""


def secrets_in(document: object, name: str = "") -> Iterator[str]:
    """The secrets of a JSON document, by the names of its fields."""
    if isinstance(document, Mapping):
        for key, value in document.items():
            yield from secrets_in(value, str(key))
    elif isinstance(document, list | tuple):
        for value in document:
            yield from secrets_in(value, name)
    elif isinstance(document, str) and name in SECRET_FIELDS and len(document) >= SHORTEST:
        yield document


@define(eq=False)
class Watch(logging.Handler):
    """Keeps what one test issued, and what was logged meanwhile."""

    issued: set[str] = field(factory=set)
    logged: list[str] = field(factory=list)

    def __attrs_pre_init__(self) -> None:
        super().__init__(logging.NOTSET)

    def clear(self) -> None:
        """Begin with the next test."""
        self.issued.clear()
        self.logged.clear()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record's every word."""
        said = [record.getMessage(), repr(record.__dict__.get("retaia", ""))]
        if record.exc_info:
            said.append(logging.Formatter().formatException(record.exc_info))
        self.logged.append("\n".join(said))

    def leaks(self) -> list[str]:
        """The records with a secret in them."""
        return [line for line in self.logged if any(secret in line for secret in self.issued)]

    # Where secrets come from

    def request(self, request: httpx.Request) -> None:
        """What a client proves who it is with."""
        scheme, _, credential = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and len(credential) >= SHORTEST:
            self.issued.add(credential)
        self._body(request.headers, getattr(request, "_content", b""))

    def answer(self, response: httpx.Response) -> None:
        """What it is given."""
        self._body(response.headers, getattr(response, "_content", b""))

    def _body(self, headers: httpx.Headers, content: bytes) -> None:
        if headers.get("content-type") != "application/json" or not content:
            return
        try:
            self.issued.update(secrets_in(json.loads(content)))
        except (ValueError, RecursionError):
            return  # a body that is no JSON on purpose has no fields

    def text(self, text: str) -> None:
        """What a person is shown."""
        self.issued.update(_TOKEN.findall(text))

    # pytest

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Forget the test before; make the server's log complete where it is served."""
        self.clear()
        loud = _LOUD in item.path.as_posix()
        logging.getLogger("retaia").setLevel(logging.DEBUG if loud else logging.NOTSET)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Fail the test that left a secret in the log."""
        done = yield
        leaks = self.leaks()
        if leaks:
            pytest.fail(f"{item.nodeid} left a secret in the log:\n" + "\n".join(leaks[:3]))
        return done


def begin() -> Watch:
    """Watch this process until it ends: each worker watches over its own tests."""
    watch = Watch()
    logging.getLogger().addHandler(watch)
    _after(httpx.Client, "send", watch)
    _after_async(httpx.AsyncClient, "send", watch)
    _before(Message, "__init__", lambda _, **said: watch.text(said["text"]))
    _before(Output, "say", lambda _, text, *more: watch.text(text))
    _before(Output, "result", lambda _, document: watch.issued.update(secrets_in(document)))
    return watch


def _before(kind: type, name: str, look: Callable[..., None]) -> None:
    plain = getattr(kind, name)

    @wraps(plain)
    def watched(*given: Any, **named: Any) -> Any:
        look(*given, **named)
        return plain(*given, **named)

    setattr(kind, name, watched)


def _after(kind: type, name: str, watch: Watch) -> None:
    plain = getattr(kind, name)

    @wraps(plain)
    def watched(self: object, request: httpx.Request, **named: Any) -> Any:
        watch.request(request)
        answer = plain(self, request, **named)
        watch.answer(answer)
        return answer

    setattr(kind, name, watched)


def _after_async(kind: type, name: str, watch: Watch) -> None:
    plain = getattr(kind, name)

    @wraps(plain)
    async def watched(self: object, request: httpx.Request, **named: Any) -> Any:
        watch.request(request)
        answer = await plain(self, request, **named)
        watch.answer(answer)
        return answer

    setattr(kind, name, watched)
