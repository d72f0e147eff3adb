"""Cursors: opaque, bound to their order, and nothing else is let in."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from retaia_core.domain.identifiers import AssetId
from retaia_core.domain.query import (
    MAX_LIMIT,
    AssetQuery,
    Position,
    Sort,
    SortKey,
    decode_cursor,
    encode_cursor,
)
from retaia_core.errors import ValidationFailed
from retaia_core.testing import strategies

TEXTS = (SortKey.NAME, SortKey.MEDIA_TYPE, SortKey.STATE)
OPTIONAL = (SortKey.CAPTURED_AT, SortKey.DURATION)
UUID = AssetId("6f9619ff-8b86-d011-b42d-00cf4fc964ff")


def values(key: SortKey) -> st.SearchStrategy[Any]:
    """What a list that is sorted by a key may end at."""
    if key in TEXTS:
        return strategies.texts()
    numbers = st.integers(-(2**63), 2**63 - 1)
    return st.none() | numbers if key in OPTIONAL else numbers


def raw_cursor(document: object) -> str:
    """A cursor of any content."""
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


class TestRoundTrip:
    """A cursor is a position, written down."""

    @given(strategies.sorts(), strategies.asset_ids(), st.data())
    def test_a_position_reads_back(self, sort: Sort, uuid: AssetId, data: st.DataObject) -> None:
        """Whatever a page of this order can end at comes back as it was, in URL-safe text."""
        position = Position(value=data.draw(values(sort.key)), uuid=uuid)
        cursor = encode_cursor(sort, position)
        assert decode_cursor(sort, cursor) == position
        assert set(cursor) <= set(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        )

    @given(strategies.sorts(), strategies.sorts(), st.data())
    def test_it_is_bound_to_its_order(self, sort: Sort, other: Sort, data: st.DataObject) -> None:
        """A cursor of one order is refused by every other."""
        assume(sort != other)
        position = Position(value=data.draw(values(sort.key)), uuid=UUID)
        with pytest.raises(ValidationFailed):
            decode_cursor(other, encode_cursor(sort, position))


class TestTampering:
    """What is no cursor of ours is refused, and nothing else comes of it."""

    @given(strategies.sorts(), st.text(max_size=40))
    def test_any_text_is_refused(self, sort: Sort, text: str) -> None:
        """No text that somebody makes up is a cursor."""
        with pytest.raises(ValidationFailed):
            decode_cursor(sort, text)

    @given(strategies.sorts(), st.data())
    def test_a_changed_cursor_is_refused_or_still_fits(
        self, sort: Sort, data: st.DataObject
    ) -> None:
        """A flipped, lost or added sign gives a refusal, or a position that this order can have."""
        position = Position(value=data.draw(values(sort.key)), uuid=UUID)
        cursor = encode_cursor(sort, position)
        at = data.draw(st.integers(0, len(cursor) - 1))
        sign = data.draw(st.sampled_from("AZaz09-_=é "))
        for changed in (cursor[:at] + sign + cursor[at + 1 :], cursor[:at], cursor + sign):
            try:
                found = decode_cursor(sort, changed)
            except ValidationFailed:
                continue
            assert decode_cursor(sort, encode_cursor(sort, found)) == found

    @given(strategies.sorts(), strategies.json_values())
    def test_any_document_is_refused(self, sort: Sort, document: object) -> None:
        """JSON of another shape is no position."""
        with pytest.raises(ValidationFailed):
            decode_cursor(sort, raw_cursor(document))

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            (SortKey.NAME, None),
            (SortKey.NAME, 1),
            (SortKey.NAME, "a\0b"),
            (SortKey.NAME, "\ud800"),
            (SortKey.NAME, ["a"]),
            (SortKey.CREATED_AT, None),
            (SortKey.CREATED_AT, "1"),
            (SortKey.CREATED_AT, 1.5),
            (SortKey.CREATED_AT, True),
            (SortKey.DURATION, 2**63),
            (SortKey.DURATION, -(2**63) - 1),
            (SortKey.CAPTURED_AT, "x"),
        ],
    )
    def test_a_value_must_fit_its_order(self, key: SortKey, value: object) -> None:
        """Another type, a number beyond 64 bits, or no real text would end in the database."""
        with pytest.raises(ValidationFailed):
            decode_cursor(Sort(key=key), raw_cursor([key.value, False, value, UUID]))

    @pytest.mark.parametrize("uuid", ["", "x", 1, None, ["a"], "6f9619ff"])
    def test_the_row_must_be_an_assets_uuid(self, uuid: object) -> None:
        """A position ends at an asset."""
        with pytest.raises(ValidationFailed):
            decode_cursor(Sort(), raw_cursor(["created_at", False, 1, uuid]))

    def test_a_bottomless_document_is_refused(self) -> None:
        """Deeply nested JSON is malformed like any other."""
        deep = base64.urlsafe_b64encode(b"[" * 200_000).decode()
        with pytest.raises(ValidationFailed):
            decode_cursor(Sort(), deep)


class TestDefaults:
    """*Pagination `limit` (default 50, at most 200).*."""

    def test_an_empty_query_is_the_first_page_of_everything(self) -> None:
        """Fifty rows, oldest first, no filter."""
        query = AssetQuery()
        assert (query.limit, MAX_LIMIT) == (50, 200)
        assert query.sort == Sort(key=SortKey.CREATED_AT, descending=False)
        assert (query.states, query.after) == ((), None)
