"""What never reaches a log: secrets, whole e-mail addresses, and characters that draw on a terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from math import isfinite
from typing import Any

REDACTED = "[redacted]"
MAX_DEPTH = 8
"""Data that is nested deeper is left out."""

MAX_TEXT = 10_000
"""A longer text is cut, so that a line from outside stays a line."""

_PLAIN = (bool, int, type(None))
_SECRET = r"passw(?:or)?d|passphrase|secret|token|authori[sz]ation|credential|cookie"
_CODE = r"recovery_?codes?|api[_-]?key|private[_-]?key|(?:device|user)_?code"
_SECRET_KEY = re.compile(rf"{_SECRET}|{_CODE}|(?:^|_)t?otp(?:_|$)", re.IGNORECASE)
_MARKS = (
    *("passw", "passphrase", "secret", "token", "authori", "credential", "cookie"),
    *("recovery", "api", "private", "device", "user", "otp", "bearer", "basic", "eyj", "@"),
)
"""What every rule needs one of to find something: most texts are told harmless by a quick look."""
_MARKED = re.compile("|".join(_MARKS), re.IGNORECASE)
_WORD_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_VALUE = r"\"[^\"]*\"?|'[^']*'?|[^\s\"',;&]+"
_RULES = (
    # Bearer eyJ…, Basic dXNlcjpw…: whatever follows the scheme's name
    (re.compile(r"\b(bearer|basic)(\s+)[^\s\"',;]+", re.IGNORECASE), rf"\1\2{REDACTED}"),
    # scheme://user:password@host
    (re.compile(r"(://[^\s/:@]*):[^\s/]+@"), rf"\1:{REDACTED}@"),
    # password=…, "otp_code": "…"
    (
        re.compile(
            rf"((?:{_SECRET}|{_CODE}|\bt?otp(?:_code)?)[\w-]{{0,32}}[\"']?\s{{0,8}}[=:]\s{{0,8}})"
            rf"(?!{re.escape(REDACTED)}|(?:bearer|basic)\s)(?:{_VALUE})",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    # A signed token that stands alone
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), REDACTED),
)
_EMAIL = re.compile(
    r"([^\s@<>\"'(),;:=/\[\]])[^\s@<>\"'(),;:=/\]]{0,63}@([^\s@<>\"'(),;:=/]{1,255})"
)


@lru_cache(maxsize=1024)
def is_secret_key(key: str) -> bool:
    """Whether what stands under a key is a secret, by its name.

    >>> [is_secret_key(key) for key in ("lock_token", "otpCode", "Authorization", "path", "photo")]
    [True, True, True, False, False]
    """
    return bool(_SECRET_KEY.search(_WORD_BREAK.sub("_", key)))


def _is_suspicious(text: str) -> bool:
    """Whether a rule may find something."""
    # Every line of the log is searched, and this takes half the time of an expression.
    if not text.isascii():
        return _MARKED.search(text) is not None
    lower = text.lower()
    for mark in _MARKS:  # noqa: SIM110 - `any` takes twice as long
        if mark in lower:
            return True
    return False


def redact_text(text: str) -> str:
    """Take secrets out of a text, and shorten its e-mail addresses.

    >>> redact_text("GET with Bearer abc.def.ghi by bob@example.org")
    'GET with Bearer [redacted] by b***@example.org'
    >>> redact_text("postgresql://ana:hunter2@db/retaia: refused, password=hunter2")
    'postgresql://ana:[redacted]@db/retaia: refused, password=[redacted]'
    """
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT - 1] + "…"
    if not _is_suspicious(text):
        return text
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return _EMAIL.sub(r"\1***@\2", text)


def redact(value: object, depth: int = 0) -> Any:
    """Make data fit for a log: JSON types only, secrets left out by key and in texts.

    >>> redact({"user": "bob@example.org", "password": "hunter2", "tries": (1, 2)})
    {'user': 'b***@example.org', 'password': '[redacted]', 'tries': [1, 2]}
    """
    if isinstance(value, str):
        return redact_text(str(value))
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if depth >= MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {_key(str(key)): _under(key, item, depth) for key, item in value.items()}
    if isinstance(value, list | tuple | AbstractSet):
        return [redact(item, depth + 1) for item in value]
    if isinstance(value, bytes):
        return redact_text(value.decode("utf-8", "backslashreplace"))
    return redact_text(str(value))


_key = lru_cache(maxsize=1024)(redact_text)


def _under(key: object, value: object, depth: int) -> Any:
    if is_secret_key(str(key)) and value not in (None, "", False, True):
        return REDACTED
    return redact(value, depth + 1)


def printable(text: str) -> str:
    r"""Show a text on one line whatever it contains: control and direction marks are escaped.

    >>> printable("a\nb\x1b[31m\u202egpj")
    'a\\nb\\x1b[31m\\u202egpj'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
