"""Laws of running ahead in a thread: what comes out, how far ahead, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing

import pytest

from retaia_adapters.media.ahead import ahead


class TestAhead:
    @pytest.mark.parametrize("count", [0, 1, 3, 50])
    def test_items_come_out_in_order(self, count):
        """All items come out, in their order, and were made by another thread."""
        makers: set[int] = set()

        def items() -> Generator[int]:
            for n in range(count):
                makers.add(threading.get_ident())
                yield n

        assert list(ahead(items(), 3)) == list(range(count))
        assert threading.get_ident() not in makers

    def test_it_is_never_further_ahead_than_its_depth(self):
        """Beyond the items that wait, one more at most is in the making."""
        made: list[int] = []
        depth = 4

        def items() -> Generator[int]:
            for n in range(100):
                made.append(n)
                yield n

        with closing(ahead(items(), depth)) as taken:
            for item in taken:
                assert len(made) <= (item + 1) + depth + 1

    def test_an_error_comes_after_the_items_before_it(self):
        """What the maker raises is raised where the items are used."""

        def items() -> Generator[int]:
            yield 1
            raise OSError("the disk is gone")

        taken = ahead(items(), 2)
        assert next(taken) == 1
        with pytest.raises(OSError, match="the disk is gone"):
            next(taken)

    @pytest.mark.parametrize("used", [1, 3])
    def test_closing_ends_the_maker_in_its_own_thread(self, used):
        """A maker that waits for room is ended, and has tidied up when closing returns."""
        ended: list[int] = []

        def items() -> Generator[int]:
            try:
                yield from range(1000)
            finally:
                ended.append(threading.get_ident())

        with closing(ahead(items(), 2)) as taken:
            for _ in range(used):
                next(taken)
        assert len(ended) == 1
        assert ended[0] != threading.get_ident()
