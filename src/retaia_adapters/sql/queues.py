"""A queue for threads that each hold something warm: a connection, its plans, its cache."""

from __future__ import annotations

import threading
from collections import deque
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class WarmestFirst(Generic[T]):
    """Hands each item to the thread that has waited the shortest; items wait their turn where none does.

    A shared `SimpleQueue` would hand them around, so that now and then one meets a thread that has to
    open its connection first.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: deque[T] = deque()
        self._waiting: list[SimpleQueue[T]] = []

    def put(self, item: T) -> None:
        """Hand over an item, or let it wait."""
        with self._lock:
            if not self._waiting:
                self._items.append(item)
                return
            thread = self._waiting.pop()
        thread.put(item)

    def get(self) -> T:
        """Take the item that has waited longest, or wait for the next."""
        with self._lock:
            if self._items:
                return self._items.popleft()
            mine: SimpleQueue[T] = SimpleQueue()
            self._waiting.append(mine)
        return mine.get()
