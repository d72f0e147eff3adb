"""The one source of chance: every choice of a run is drawn here, kept, and can be given again."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Draws numbers from a seed, or hands out those of an earlier run.

    0 is always the harmless choice: no fault, the first of a list, go on as before. So a sequence that is
    cut short, or has numbers replaced by 0, is a tamer run.
    """

    def __init__(self, seed: int, given: Sequence[int] | None = None) -> None:
        self.made: list[int] = []
        self._given = given
        self._at = 0
        self._random = Random(seed).random

    def _next(self) -> int:
        assert self._given is not None
        value = self._given[self._at] if self._at < len(self._given) else 0
        self._at += 1
        self.made.append(value)
        return value

    def below(self, count: int) -> int:
        """A number from 0 to ``count - 1``."""
        if self._given is not None:
            return min(self._next(), count - 1)
        value = int(self._random() * count)
        self.made.append(value)
        return value

    def chance(self, probability: float) -> bool:
        """Whether something that is not harmless happens."""
        if self._given is not None:
            return self._next() > 0
        value = self._random() < probability
        self.made.append(1 if value else 0)
        return value

    def one_of(self, items: Sequence[T]) -> T:
        """One of some items."""
        return items[self.below(len(items))]

    def kind(self, steps: Sequence[float]) -> int:
        """0, or the number of the step that was hit; ``steps`` are growing sums of probabilities."""
        if self._given is not None:
            return min(self._next(), len(steps))
        value = self._random()
        hit = 0 if value >= steps[-1] else bisect_right(steps, value) + 1
        self.made.append(hit)
        return hit
