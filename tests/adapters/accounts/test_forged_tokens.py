"""Tokens that somebody made or changed: the built-in authenticator takes none (protocol.md)."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from retaia_adapters.accounts import tokens
from retaia_core.domain.sessions import Claims
from retaia_core.errors import Unauthorized
from retaia_core.testing.conformance.secrets import CLAIMS, KEY

TOKEN = tokens.sign(CLAIMS, KEY)
HEAD, BODY, SIGNATURE = TOKEN.split(".")
HEADER = {"alg": "HS256", "typ": "JWT"}
WRONG: tuple[object, ...] = (None, True, 1.5, [], {})
"""Values that no claim has."""


def encoded(part: object) -> str:
    """A part of a token, from bytes or from a document."""
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


SAID: Mapping[str, Any] = json.loads(base64.urlsafe_b64decode(BODY + "=" * (-len(BODY) % 4)))


def signed(header: object, body: object, key: bytes = KEY) -> str:
    """A token with a right HS256 signature, whatever else it says."""
    text = f"{encoded(header)}.{encoded(body)}"
    return f"{text}.{encoded(hmac.digest(key, text.encode(), 'sha256'))}"


def taken(token: str) -> Claims | None:
    """What is read from a token; None where it is refused."""
    try:
        return tokens.read(token, KEY)
    except Unauthorized:
        return None


def test_these_tests_can_sign() -> None:
    """A token that they put together as ours are is taken: what is refused below is so for its flaw."""
    assert taken(signed(HEADER, SAID)) == CLAIMS


@given(st.integers(0, len(TOKEN) - 1), st.characters(codec="latin-1"))
def test_no_letter_can_be_changed(at: int, letter: str) -> None:
    """One other letter anywhere, the last of the signature too, and the token is none."""
    assume(TOKEN[at] != letter)
    assert taken(TOKEN[:at] + letter + TOKEN[at + 1 :]) is None


@given(st.integers(0, len(TOKEN)), st.text(st.characters(codec="latin-1"), min_size=1))
def test_nothing_can_be_put_in(at: int, more: str) -> None:
    """Neither padding, blanks, line ends nor anything else."""
    assert taken(TOKEN[:at] + more + TOKEN[at:]) is None


@given(st.integers(0, len(TOKEN) - 1), st.integers(1, len(TOKEN)))
def test_nothing_can_be_left_out(at: int, length: int) -> None:
    """Not one letter."""
    assert taken(TOKEN[:at] + TOKEN[at + length :]) is None


@given(st.text() | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*", fullmatch=True))
def test_no_text_is_a_token_by_chance(text: str) -> None:
    """Any text at all is refused as unauthorised, and crashes nothing."""
    assert taken(text) is None


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=40))
def test_no_parts_are_a_token_by_chance(header: bytes, body: bytes, signature: bytes) -> None:
    """Well-encoded parts that say anything are refused, signed by nobody."""
    assert taken(".".join(map(encoded, (header, body, signature)))) is None


@given(st.binary(min_size=1, max_size=64))
def test_another_key(key: bytes) -> None:
    """A signature by another key is wrong."""
    assume(key.rstrip(b"\0") != KEY)
    assert taken(signed(HEADER, SAID, key)) is None


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", "HS512", "RS256", "hs256"])
def test_another_algorithm_is_named(name: str) -> None:
    """The header does not choose the algorithm: unsigned or with ours, it is refused."""
    header = {**HEADER, "alg": name}
    for signature in ("", SIGNATURE):
        assert taken(f"{encoded(header)}.{BODY}.{signature}") is None
    assert taken(signed(header, SAID)) is None


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_with_the_right_key(algorithm: str) -> None:
    """A right signature by a stronger algorithm is none of ours."""
    key = OctKey.import_key(KEY)
    header = {**HEADER, "alg": algorithm}
    assert taken(jwt.encode(header, dict(SAID), key, algorithms=[algorithm])) is None


def test_a_public_key_signature() -> None:
    """RS256 with anybody's own key is refused, however right."""
    key = RSAKey.generate_key(2048)
    assert taken(jwt.encode({**HEADER, "alg": "RS256"}, dict(SAID), key)) is None


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "HS256"},
        {**HEADER, "typ": "at+jwt"},
        {**HEADER, "typ": "jwt"},
        {**HEADER, "typ": 5},
        {**HEADER, "kid": "../../dev/null"},
        {**HEADER, "jku": "https://example.org/keys"},
        {**HEADER, "jwk": {"kty": "oct", "k": "AA"}},
        {**HEADER, "crit": ["b64"], "b64": False},
        {**HEADER, "zip": "DEF"},
        {**HEADER, "alg": ["HS256"]},
        {**HEADER, "alg": None},
        [HEADER],
        "HS256",
    ],
    ids=str,
)
def test_another_header(header: object) -> None:
    """Another type, a key from elsewhere or a strange extension: refused, though rightly signed."""
    assert taken(signed(header, SAID)) is None


@pytest.mark.parametrize("issuer", ["Retaia", "retaia ", "", None, ["retaia"], 0])
def test_another_issuer(issuer: object) -> None:
    """Who shares a key with the server is not the server."""
    assert taken(signed(HEADER, {**SAID, "iss": issuer})) is None


@pytest.mark.parametrize("name", sorted(SAID))
def test_a_claim_is_missing_or_of_another_type(name: str) -> None:
    """Every claim is there, and is what it should be."""
    assert taken(signed(HEADER, {k: v for k, v in SAID.items() if k != name})) is None
    for value in WRONG:
        assert taken(signed(HEADER, {**SAID, name: value})) is None, value
    if name not in ("sub", "client_id", "jti"):
        assert taken(signed(HEADER, {**SAID, name: "KING"})) is None


@pytest.mark.parametrize("exp", [10**18, -(10**18), 10**30, "1", 1.5])
def test_a_time_beyond_the_calendar(exp: object) -> None:
    """No instant that there is: refused, not a crash."""
    assert taken(signed(HEADER, {**SAID, "exp": exp})) is None


@pytest.mark.parametrize(
    "body",
    [b"[" * 40_000, b'{"a":' * 10_000, b'{"exp":' + b"9" * 9000 + b"}", b'{"exp":NaN}', b"[]", b""],
    ids=["brackets", "braces", "digits", "NaN", "list", "nothing"],
)
def test_a_body_that_is_no_claims(body: bytes) -> None:
    """What no reader of JSON likes is refused, though rightly signed, and as a header too."""
    assert taken(signed(HEADER, body)) is None
    assert taken(signed(body, SAID)) is None
