"""The second factor: a step counts once, a recovery code counts once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.accounts import Account
from retaia_core.domain.second_factor import (
    code_used,
    enabled,
    enabled_totp,
    recovery_code,
    recovery_digest,
    set_up,
    step_used,
    to_enable,
    with_codes,
    without,
)
from retaia_core.errors import MfaAlreadyEnabled, MfaNotEnabled, StateConflict
from retaia_core.testing.samples import account

CODES = tuple(recovery_code(str(n)) for n in range(3))
PLAIN = account()
WAITING = set_up(PLAIN, "SECRET")
ON = enabled(WAITING, 100, CODES)


class TestStates:
    """Off, set up, on: each step only from the one before."""

    def test_off_set_up_on_off(self) -> None:
        """The whole way, and back."""
        assert not WAITING.mfa_enabled
        assert ON.mfa_enabled
        assert without(ON) == PLAIN

    def test_set_up_again_before_it_is_on(self) -> None:
        """A try that came to nothing is replaced."""
        assert to_enable(set_up(WAITING, "OTHER")).secret == "OTHER"

    def test_what_is_on_is_not_set_up_again(self) -> None:
        """Neither set up nor enabled twice."""
        with pytest.raises(MfaAlreadyEnabled):
            set_up(ON, "OTHER")
        with pytest.raises(MfaAlreadyEnabled):
            enabled(ON, 200, CODES)

    def test_what_was_not_set_up_is_not_enabled(self) -> None:
        """There is no secret to prove anything with."""
        with pytest.raises(StateConflict):
            enabled(PLAIN, 1, CODES)

    @pytest.mark.parametrize("off", [PLAIN, WAITING])
    def test_what_is_off_has_no_codes(self, off: Account) -> None:
        """Nothing is used or replaced of a factor that is off."""
        for use in (
            enabled_totp,
            lambda a: step_used(a, 1),
            lambda a: code_used(a, CODES[0]),
            lambda a: with_codes(a, CODES),
        ):
            with pytest.raises(MfaNotEnabled):
                use(off)


class TestSteps:
    """The code of a step counts once, and no earlier step counts after it."""

    @given(st.lists(st.none() | st.integers(95, 110), max_size=30))
    def test_accepted_steps_only_grow(self, steps: list[int | None]) -> None:
        """Whatever comes, what is accepted is newer than all that was accepted before."""
        current, accepted = ON, [100]
        for step in steps:
            used = step_used(current, step)
            assert (used is not None) == (step is not None and step > accepted[-1])
            if used is not None and step is not None:
                current = used
                accepted.append(step)
        assert accepted == sorted(set(accepted))


class TestRecoveryCodes:
    """Each code opens once; new ones replace the old."""

    @given(st.lists(st.integers(0, 4), max_size=20))
    def test_each_counts_once(self, tries: list[int]) -> None:
        """In any order, each of the codes is accepted the first time only, and others never."""
        codes, current, used_up = [*CODES, "WRONG", ""], ON, set()
        for n in tries:
            used = code_used(current, codes[n])
            assert (used is not None) == (n < len(CODES) and n not in used_up)
            if used is not None:
                current = used
                used_up.add(n)
        totp = current.totp
        assert totp is not None
        assert len(totp.recovery) == len(CODES) - len(used_up)

    def test_new_codes_replace_the_old(self) -> None:
        """After that, an old one is good for nothing."""
        changed = with_codes(ON, [recovery_code("fresh")])
        assert code_used(changed, CODES[0]) is None
        assert code_used(changed, recovery_code("fresh")) is not None

    def test_only_digests_are_kept(self) -> None:
        """The account does not show a code."""
        assert not any(code in repr(ON) for code in CODES)

    @given(st.text(max_size=50))
    def test_a_code_as_people_type_it(self, chance: str) -> None:
        """Case, spaces and dashes do not matter; it has 80 bits."""
        code = recovery_code(chance)
        assert len(code.replace("-", "")) == 16
        assert recovery_digest(code.lower().replace("-", " ")) == recovery_digest(code)
