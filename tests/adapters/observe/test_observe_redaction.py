"""No secret, no whole address and no control character gets into a log line."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retaia_adapters.observe import redaction
from retaia_adapters.observe.logs import formatter
from retaia_adapters.observe.redaction import (
    MAX_DEPTH,
    MAX_TEXT,
    REDACTED,
    is_secret_key,
    redact,
    redact_text,
)

SECRET_KEYS = (
    "password",
    "new_password",
    "token",
    "lock_token",
    "accessToken",
    "client_secret",
    "Authorization",
    "otp",
    "otp_code",
    "totp",
    "recovery_code",
    "recoveryCodes",
    "device_code",
    "user_code",
    "api-key",
    "Set-Cookie",
    "password_hash",
)
SECRET = "S3cr3tValue"
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
DATA = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
HIDDEN_TEXT = st.one_of(
    st.sampled_from(["Bearer ", "bearer  ", "Basic "]).map(lambda s: f"header {s}{SECRET}"),
    st.sampled_from(["password=", "lock_token: ", '"otp_code": "']).map(lambda s: f"x {s}{SECRET}"),
    st.just(f"postgresql://ana:{SECRET}@db/retaia"),
    st.just(f"{SECRET}@example.org"),
)
NEARLY = st.lists(
    st.text(max_size=4)
    | st.sampled_from([*SECRET_KEYS, "passphrase", "credential", "authorisation", "private key"])
    | st.sampled_from(["PASSWD", "oTp", "Bearer ", "BASIC\t", "eyJa.b.c", "a@b.org", "://ana:x@db"])
    | st.sampled_from(["=", ": ", '"', "pa\u017f\u017fword", "to\u212aen", SECRET]),
    max_size=6,
).map("".join)
"""Texts in which a rule finds something, or nearly."""

HIDDEN = st.one_of(
    st.sampled_from(SECRET_KEYS).map(lambda key: {key: SECRET}),
    st.sampled_from(SECRET_KEYS).map(lambda key: {key: {"deep": [SECRET]}}),
    HIDDEN_TEXT,
)


def _at(depth: int, value: object) -> object:
    for level in range(depth):
        value = {"more": value} if level % 2 else [value, 1]
    return value


def line_of(data: dict[str, Any], *, as_objects: bool = True, text: str = "said") -> str:
    """A line of the log with some data, as the program writes it."""
    record = logging.LogRecord("retaia.test", logging.INFO, __file__, 1, text, (), None)
    vars(record)["retaia"] = data
    return formatter(as_objects=as_objects).format(record)


class TestSecrets:
    """What is a secret by its key or by its look stays out."""

    @given(HIDDEN, DATA, st.integers(0, MAX_DEPTH + 3), st.booleans())
    def test_no_secret_passes(
        self, hidden: object, beside: object, depth: int, as_objects: bool
    ) -> None:
        """However deep a secret lies, and whatever lies beside it, no line has it."""
        line = line_of({"data": _at(depth, hidden), "beside": beside}, as_objects=as_objects)
        assert SECRET not in line

    @given(HIDDEN_TEXT)
    def test_nor_in_the_message(self, hidden: str) -> None:
        """A secret in the text of a message is taken out as well."""
        assert SECRET not in line_of({}, text=hidden)

    @given(NEARLY)
    def test_the_quick_look_misses_nothing(self, text: str) -> None:
        """What is told harmless by a quick look is what no rule would have changed."""
        whole = text
        for pattern, instead in redaction._RULES:
            whole = pattern.sub(instead, whole)
        assert redact_text(text) == redaction._EMAIL.sub(r"\1***@\2", whole)

    def test_nor_in_a_traceback(self) -> None:
        """An exception's own words are treated like any text."""
        try:
            raise ValueError(f"refused: Bearer {SECRET}")
        except ValueError as error:
            found = (type(error), error, error.__traceback__)
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", (), found)
        for as_objects in (True, False):
            line = formatter(as_objects=as_objects).format(record)
            assert SECRET not in line
            assert "ValueError: refused" in line

    @given(DATA)
    def test_twice_is_once(self, data: object) -> None:
        """What was made fit for a log is fit, and made of JSON types."""
        once = redact(data)
        assert redact(once) == once
        json.dumps(once, allow_nan=False)

    @pytest.mark.parametrize("hostile", ["a" * 10**6, "@" * 10**5, "token" * 10**5, "-eyJ" * 10**5])
    def test_long_texts_cost_little(self, hostile: str) -> None:
        """A text from outside is bounded, and none makes the rules slow."""
        started = time.process_time()
        assert len(redact(hostile)) <= 2 * MAX_TEXT
        assert time.process_time() - started < 1

    def test_what_is_no_secret_stays(self) -> None:
        """Ordinary keys and values are as they were; an e-mail is shortened."""
        data = {"path": "INBOX/A 2.mov", "status": 404, "by": "bob@example.org", "token": None}
        assert redact(data) == {**data, "by": "b***@example.org"}
        assert not any(map(is_secret_key, ("path", "operation", "photo", "option", "states")))
        assert redact({"token": "x"}) == {"token": REDACTED}


class TestLines:
    """One event is one line."""

    @given(st.text(), DATA)
    def test_objects(self, text: str, data: object) -> None:
        """A line in JSON is one object in printable ASCII, whatever was said."""
        line = line_of({"data": data, "name": text}, text=text)
        assert line.isascii()
        assert line.isprintable()
        document = json.loads(line)
        assert {"timestamp", "level", "logger", "event"} <= document.keys()

    @given(st.text(), DATA)
    def test_text(self, text: str, data: object) -> None:
        """A line of text has no character that ends it, moves the cursor or turns its direction."""
        line = line_of({"data": data, "name": text}, as_objects=False, text=text)
        assert line.isprintable()

    def test_a_traceback_cannot_pass_for_lines(self) -> None:
        """Lines of a traceback are marked, so that an exception's text forges nothing."""
        try:
            raise ValueError("x\n2026-01-01T00:00:00Z info retaia forged")
        except ValueError as error:
            found = (type(error), error, error.__traceback__)
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", (), found)
        first, *rest = formatter(as_objects=False).format(record).splitlines()
        assert "failed" in first
        assert all(line.startswith("  | ") for line in rest)

    @pytest.mark.parametrize("char", ["\n", "\r", "\x1b", "\x7f", "\x85", "\u2028", "\u202e"])
    def test_characters_that_draw(self, char: str) -> None:
        """Each is escaped in either style."""
        for as_objects in (True, False):
            assert char not in line_of({"path": f"a{char}b"}, as_objects=as_objects)
