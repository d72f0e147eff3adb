"""The arithmetic of uploads in parts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.uploads import PART_BYTES
from retaia_core.testing.samples import upload

SIZES = st.integers(1, 2**45) | st.integers(1, 9).map(lambda n: n * PART_BYTES)


class TestParts:
    """Every part but the last has exactly one size."""

    @given(SIZES)
    def test_the_parts_make_the_file(self, size: int) -> None:
        """The sizes of all parts add up to the file's; each has at least a byte and at most a part."""
        one = upload(size_bytes=size)
        last = one.part_size(one.part_count)
        assert (one.part_count - 1) * PART_BYTES + last == size
        assert 1 <= last <= PART_BYTES
        if one.part_count > 1:
            assert one.part_size(1) == one.part_size(one.part_count - 1) == PART_BYTES

    def test_the_smallest_file_is_one_part(self) -> None:
        """A byte is a part; a byte more than a part are two."""
        assert upload(size_bytes=1).part_count == 1
        assert upload(size_bytes=PART_BYTES).part_count == 1
        assert upload(size_bytes=PART_BYTES + 1).part_count == 2
