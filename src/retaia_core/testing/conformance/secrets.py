"""The contract of the secrets port."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import timedelta
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

import pytest
from attrs import evolve

from ...domain.actors import ActorKind
from ...domain.clients import ClientKind
from ...domain.sessions import SCOPES, Claims
from ...errors import Unauthorized
from ...ports.secrets import Secrets
from ..clock import START
from ..memory_secrets import totp_code

KEY = b"a key of more than thirty-two bytes, as servers have it"
CLAIMS = Claims(
    sub="0000000e-0000-7000-8000-000000000001",
    principal_type=ActorKind.PERSON,
    client_id="é🎬 web",
    client_kind=ClientKind.UI_WEB,
    scope=SCOPES[ActorKind.PERSON],
    jti="token-1",
    exp=START.replace(microsecond=0),
)
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


def _encoded(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def _decoded(part: str) -> dict[str, object]:
    raw: dict[str, object] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return raw


def forged(token: str, key: bytes, header: dict[str, object], **claims: object) -> str:
    """A token with another header or other claims, signed with a key by hand (HMAC with SHA-256)."""
    old_header, old_body, _ = token.split(".")
    signed = f"{_encoded({**_decoded(old_header), **header})}.{_encoded({**_decoded(old_body), **claims})}"
    digest = hmac.digest(key, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


class SecretsContract:
    """What every implementation of the secrets port must do.

    Subclass it, name the subclass ``Test…``, and override the fixture ``secrets``. The tests are
    asynchronous; anyio's plugin of pytest runs them.
    """

    @pytest.fixture
    def secrets(self) -> Secrets:
        """Override this: return the implementation."""
        raise NotImplementedError(f"{type(self).__name__} must define the fixture `secrets`")

    async def test_a_password_matches_its_own_hash(self, secrets: Secrets) -> None:
        """The right one does, another does not, and the hash does not show it."""
        hashed = await secrets.hash_password("pass é🎬 word")
        assert "pass" not in hashed
        assert await secrets.check_password(hashed, "pass é🎬 word")
        assert not await secrets.check_password(hashed, "pass é🎬 wore")
        assert not await secrets.check_password(hashed, "")

    async def test_two_hashes_of_one_password_differ(self, secrets: Secrets) -> None:
        """Each has a salt of its own."""
        first, second = [await secrets.hash_password("password") for _ in range(2)]
        assert first != second
        assert await secrets.check_password(second, "password")

    @pytest.mark.parametrize("hashed", [None, "", "no hash", "$argon2id$v=19$m=8,t=1,p=1$AA$"])
    async def test_nobody_has_a_password(self, secrets: Secrets, hashed: str | None) -> None:
        """No account, or a damaged hash, matches nothing, not even nothing."""
        for password in ("", "password"):
            assert not await secrets.check_password(hashed, password)

    async def test_a_token_says_what_was_signed(self, secrets: Secrets) -> None:
        """Every claim comes back; the time is in whole seconds."""
        assert secrets.claims(secrets.sign(CLAIMS, KEY), KEY) == CLAIMS
        bare = evolve(CLAIMS, scope=frozenset(), principal_type=ActorKind.MCP)
        assert secrets.claims(secrets.sign(bare, KEY), KEY) == bare

    async def test_an_expired_token_is_still_read(self, secrets: Secrets) -> None:
        """Its time is the caller's matter."""
        old = evolve(CLAIMS, exp=CLAIMS.exp - timedelta(days=3650))
        assert secrets.claims(secrets.sign(old, KEY), KEY) == old

    async def test_a_token_carries_no_more_than_it_must(self, secrets: Secrets) -> None:
        """The claims of protocol.md and the issuer, and nothing personal."""
        body = _decoded(secrets.sign(CLAIMS, KEY).split(".")[1])
        wanted = "sub principal_type client_id client_kind scope jti exp iss"
        assert set(body) == set(wanted.split())

    async def test_another_key_is_refused(self, secrets: Secrets) -> None:
        """A token of another server is nobody's here."""
        with pytest.raises(Unauthorized):
            secrets.claims(secrets.sign(CLAIMS, KEY), KEY + b"!")

    async def test_a_forgery_by_hand_passes_only_with_the_key(self, secrets: Secrets) -> None:
        """The forgeries below are refused for what they change: with nothing changed, they pass."""
        assert secrets.claims(forged(secrets.sign(CLAIMS, KEY), KEY, {}), KEY) == CLAIMS

    @pytest.mark.parametrize("algorithm", ["none", "None", "HS384", "HS512", "RS256", ""])
    async def test_another_algorithm_is_refused(self, secrets: Secrets, algorithm: str) -> None:
        """A token may not say how it is checked."""
        with pytest.raises(Unauthorized):
            secrets.claims(forged(secrets.sign(CLAIMS, KEY), KEY, {"alg": algorithm}), KEY)

    async def test_an_unsigned_token_is_refused(self, secrets: Secrets) -> None:
        """The algorithm ``none`` with an empty signature opens nothing."""
        token = forged(secrets.sign(CLAIMS, KEY), KEY, {"alg": "none"})
        with pytest.raises(Unauthorized):
            secrets.claims(token.rpartition(".")[0] + ".", KEY)

    @pytest.mark.parametrize(
        "claims",
        [
            {"iss": "somebody"},
            {"iss": None},
            {"sub": 1},
            {"jti": None},
            {"exp": "soon"},
            {"exp": None},
            {"principal_type": "KING"},
            {"client_kind": "x"},
            {"scope": "assets:read all:all"},
            {"scope": ["assets:read"]},
        ],
        ids=str,
    )
    async def test_other_claims_are_refused(
        self, secrets: Secrets, claims: dict[str, object]
    ) -> None:
        """Another issuer, or claims that are not as they must be, even with the right key."""
        with pytest.raises(Unauthorized):
            secrets.claims(forged(secrets.sign(CLAIMS, KEY), KEY, {}, **claims), KEY)

    @pytest.mark.parametrize(
        "token", ["", ".", "..", "a.b.c", "a.b.c.d.e", "é.é.é", "{}", "e30.e30.e30", "x" * 10_000]
    )
    async def test_what_is_no_token_is_refused(self, secrets: Secrets, token: str) -> None:
        """Anything else is refused, and nothing else is raised."""
        with pytest.raises(Unauthorized):
            secrets.claims(token, KEY)

    async def test_every_flipped_character_is_noticed(self, secrets: Secrets) -> None:
        """A token is good as a whole or not at all (its last character may have unused bits)."""
        token = secrets.sign(CLAIMS, KEY)
        for n in range(0, len(token) - 1, 7):
            other = "A" if token[n] != "A" else "B"
            with pytest.raises(Unauthorized):
                secrets.claims(token[:n] + other + token[n + 1 :], KEY)

    async def test_a_secret_is_fresh(self, secrets: Secrets) -> None:
        """At least 128 bits (RFC 4226), base32, and never the same."""
        made = {secrets.totp_secret() for _ in range(20)}
        assert len(made) == 20
        assert all(len(base64.b32decode(one)) >= 16 for one in made)

    async def test_the_uri_is_what_applications_read(self, secrets: Secrets) -> None:
        """Type, label, secret and issuer, percent-encoded."""
        uri = secrets.totp_uri(SECRET, account="ana+é@example.org", issuer="Retaia & co")
        parts = urlsplit(uri)
        assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
        assert unquote(parts.path) == "/Retaia & co:ana+é@example.org"
        said = parse_qs(parts.query)
        assert said["secret"] == [SECRET]
        assert said["issuer"] == ["Retaia & co"]

    async def test_a_qr_code_is_an_svg_document(self, secrets: Secrets) -> None:
        """It is well-formed, draws no script, and differs for another text."""
        first, second = secrets.qr_svg("otpauth://totp/<&>"), secrets.qr_svg("otpauth://totp/b")
        for text in (first, second):
            tree = ElementTree.fromstring(text)
            assert tree.tag == "{http://www.w3.org/2000/svg}svg"
            assert not any("script" in element.tag for element in tree.iter())
        assert first != second

    async def test_a_code_belongs_to_its_step(self, secrets: Secrets) -> None:
        """The present step, the one before and the one after; none that is further away."""
        now = int(START.timestamp()) // 30
        found = {
            step: secrets.totp_step(SECRET, totp_code(SECRET, step), START)
            for step in range(now - 3, now + 4)
        }
        assert [step - now for step, is_step in found.items() if is_step == step] == [-1, 0, 1]
        assert [found[now + far] for far in (-3, -2, 2, 3)] == [None] * 4

    @pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６", "-12345"])
    async def test_what_is_no_code_belongs_to_no_step(self, secrets: Secrets, code: str) -> None:
        """Six ASCII digits, and nothing else."""
        assert secrets.totp_step(SECRET, code, START) is None
