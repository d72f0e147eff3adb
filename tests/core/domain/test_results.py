"""Results that are known already (domain.md, *Jobs*)."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.results import result_key
from retaia_core.testing import strategies

NAMES = st.text("abc/|", min_size=1, max_size=4)
ARGUMENTS = st.tuples(NAMES, NAMES, strategies.json_objects())


class TestTheKey:
    """*The result of a job is a function of (digest of the source, job type, …, parameters).*."""

    @given(ARGUMENTS, ARGUMENTS)
    def test_equal_work_has_one_key(
        self, one: tuple[str, str, dict[str, Any]], other: tuple[str, str, dict[str, Any]]
    ) -> None:
        """Two keys are equal exactly where source, job type and parameters are."""
        if repr(one) == repr(other):
            assert result_key(*one) == result_key(*other)
        elif one != other:
            assert result_key(*one) != result_key(*other)

    def test_the_order_of_parameters_does_not_matter(self) -> None:
        """Parameters are a mapping."""
        one, other = {"a": 1, "b": [1, {"c": 2, "d": 3}]}, {"b": [1, {"d": 3, "c": 2}], "a": 1}
        assert result_key("s", "t", one) == result_key("s", "t", other)
        assert result_key("ab", "c", {}) != result_key("a", "bc", {})
