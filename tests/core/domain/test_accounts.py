"""People's accounts as values: addresses, names, passwords, and the person at the server's machine."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.accounts import (
    AccountId,
    Email,
    Role,
    check_password,
    local_account,
    new_account,
    opened_again,
    parse_email,
    parse_name,
    shut,
    verified,
    with_password,
)
from retaia_core.domain.actors import Actor, ActorKind
from retaia_core.errors import ValidationFailed
from retaia_core.testing.clock import START
from retaia_core.testing.samples import account

ID = AccountId("1")


class TestAddresses:
    """An address is name@host, and case does not tell two people apart."""

    @pytest.mark.parametrize("text", ["ana@example.org", " ANA@Example.org\n", "a.b+c@localhost"])
    def test_these_are_addresses(self, text: str) -> None:
        """They come back trimmed, in lower case."""
        assert parse_email(text) == text.strip().lower()

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "@",
            "ana",
            "ana@",
            "@example.org",
            "a na@example.org",
            "ana@exam\0ple.org",
            "ana@example.org,eve@example.org",
            "eve@example.org@example.org",
            "<ana@example.org>",
            "ana@[127.0.0.1]",
            '"a b"@example.org',
            "ana\r\nBcc: eve@example.org",
            "a" * 243 + "@example.org",
        ],
    )
    def test_these_are_none(self, text: str) -> None:
        """What mail programs could read as something else is refused."""
        with pytest.raises(ValidationFailed) as caught:
            parse_email(text)
        assert "email" in caught.value.details

    @given(st.text(max_size=40))
    def test_what_is_read_stays_as_it_is(self, text: str) -> None:
        """Reading an address again changes nothing."""
        try:
            email = parse_email(text)
        except ValidationFailed:
            return
        assert parse_email(email) == email


class TestNames:
    """A name is shown, so it can be anything that is printed."""

    def test_a_name_may_be_empty(self) -> None:
        """Nobody has to give one."""
        assert parse_name(" ") == ""
        assert parse_name(" Zoë 🎬 ") == "Zoë 🎬"

    @pytest.mark.parametrize("text", ["a\nb", "a\x1b[31mb", "x" * 201])
    def test_control_characters_and_novels_are_refused(self, text: str) -> None:
        """A name cannot draw on a terminal."""
        with pytest.raises(ValidationFailed):
            parse_name(text)


class TestPasswords:
    """Length is what makes a password strong."""

    @pytest.mark.parametrize("length", [10, 1024])
    def test_long_enough(self, length: int) -> None:
        """The limits themselves are allowed."""
        assert check_password("é" * length) == "é" * length

    @pytest.mark.parametrize("length", [0, 9, 1025])
    def test_too_short_or_too_long(self, length: int) -> None:
        """The error does not repeat the password."""
        with pytest.raises(ValidationFailed) as caught:
            check_password("p" * length)
        assert "pp" not in str(caught.value)


class TestNewAccounts:
    """An account begins without a password, and its address unproven unless somebody vouches."""

    def test_a_person(self) -> None:
        """A plain account has no role, and acts under its id."""
        made = new_account(ID, Email("ana@example.org"), START)
        assert (made.roles, made.password, made.email_verified) == (frozenset(), None, False)
        assert made.actor == Actor(kind=ActorKind.PERSON, id=ID)
        assert not made.is_admin
        assert not made.mfa_enabled

    def test_an_administrator(self) -> None:
        """The role is given at once."""
        made = new_account(ID, Email("ana@example.org"), START, admin=True, verified=True)
        assert made.is_admin
        assert made.roles == {Role.ADMIN}
        assert made.email_verified

    def test_nobody_else_is_at_this_machine(self) -> None:
        """Addresses at localhost belong to the people who sign in here."""
        with pytest.raises(ValidationFailed):
            new_account(ID, Email("ana@localhost"), START)

    def test_the_person_at_this_machine(self) -> None:
        """An administrator without a password, who acts under the name that commands act under."""
        made = local_account(ID, "Ana Lee", START)
        assert made.email == parse_email("ana-lee@localhost")
        assert made.is_admin
        assert made.password is None
        assert made.actor == Actor(kind=ActorKind.PERSON, id="local/Ana Lee")


def test_each_change_changes_one_thing() -> None:
    """The constructors of legal changes touch nothing else."""
    base = account(email_verified=False)
    assert verified(base) == evolve(base, email_verified=True)
    assert with_password(base, "h") == evolve(base, password="h")
    assert shut(base) == evolve(base, disabled=True)
    assert opened_again(shut(base)) == base
