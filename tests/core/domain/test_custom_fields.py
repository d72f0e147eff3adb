"""Typed custom fields: what is declared, and what a value must be."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.custom_fields import check_fields, declared
from retaia_core.errors import ValidationFailed

FIELDS = declared(
    {
        "title": "text", "take": "integer", "gain": "number", "good": "boolean",
        "shot_on": "date", "weather": "choice: sun | rain",
    },
    {"take": "Take no."},
)  # fmt: skip
JSON = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
FIT: Mapping[str, tuple[object, ...]] = {
    "title": ("", "x" * 10_000, "🎬"),
    "take": (0, -3, 2**53 - 1),
    "gain": (1, -0.5),
    "good": (True, False),
    "shot_on": ("2024-02-29",),
    "weather": ("sun", "rain"),
}
UNFIT: Mapping[str, tuple[object, ...]] = {
    "title": ("x" * 10_001, "a\0b", 3, ["x"]),
    "take": (True, 1.0, "1", 2**53),
    "gain": (True, "1", float("nan"), float("inf"), 2**53),
    "good": (1, "yes", 0),
    "shot_on": ("2023-02-29", "2024-2-3", "20240203", "2024-W05-1", 20240203, "2024-02-03\n"),
    "weather": ("snow", "", "Sun", ["sun"], {"a": 1}),
}


class TestValues:
    """A declared field takes values of its type only."""

    @pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in FIT.items() for v in vs])
    def test_that_fit(self, name: str, value: object) -> None:
        """Each type's own values are taken, and still after a way through JSON; null takes one away."""
        check_fields(FIELDS, {name: value})
        check_fields(FIELDS, {name: json.loads(json.dumps(value))})
        check_fields(FIELDS, {name: None})

    @pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in UNFIT.items() for v in vs])
    def test_that_do_not_fit(self, name: str, value: object) -> None:
        """What does not fit is refused with what is allowed, and the other field is not blamed."""
        with pytest.raises(ValidationFailed) as refused:
            check_fields(FIELDS, {name: value, "good": True} if name != "good" else {name: value})
        assert refused.value.details["fields"] == {
            f"fields.{name}": f"must be {FIELDS[name].allowed}"
        }

    @given(st.dictionaries(st.sampled_from(["other", "Take", ""]), JSON))
    def test_of_fields_that_nobody_declared(self, values: dict[str, object]) -> None:
        """What nobody declared takes anything."""
        check_fields(FIELDS, values)

    def test_a_choice_says_its_values(self) -> None:
        """The refusal lists what can be chosen."""
        with pytest.raises(ValidationFailed, match="one of: sun, rain"):
            check_fields(FIELDS, {"weather": "snow"})


class TestDeclarations:
    """Fields are declared by a name and a type in words."""

    def test_labels(self) -> None:
        """A field without a label is called by its name; the order is that of the declaration."""
        assert [(f.name, f.label) for f in FIELDS.values()][:3] == [
            ("title", "title"), ("take", "Take no."), ("gain", "gain"),
        ]  # fmt: skip
        assert FIELDS["weather"].choices == ("sun", "rain")

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("Take", "integer"), ("1st", "text"), ("", "text"), ("a b", "text"), ("x" * 65, "text"),
            ("take", "int"), ("take", ""), ("take", "choice"), ("take", "choice:"),
            ("take", "choice: a | | b"), ("take", "choice: a | a"),
        ],
    )  # fmt: skip
    def test_malformed_ones(self, name: str, said: str) -> None:
        """A name or type that is malformed is refused by name."""
        with pytest.raises(ValueError, match=name or "name"):
            declared({name: said})

    def test_an_empty_label(self) -> None:
        """A label that says nothing is refused."""
        with pytest.raises(ValueError, match="label"):
            declared({"take": "integer"}, {"take": " "})
