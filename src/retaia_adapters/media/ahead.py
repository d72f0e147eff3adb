"""Doing one half of the work in a thread that runs a little ahead of the other half."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Generator[T], depth: int) -> Generator[T]:
    """Yield what a generator makes in a thread of its own, up to ``depth`` items ahead of their use.

    What it raises is raised here, after the items made before. Closing this generator ends the other
    one, in its own thread, and waits until it has ended.
    """
    made: SimpleQueue[T | None] = SimpleQueue()
    room, stop = threading.Semaphore(depth), threading.Event()

    def make() -> None:
        try:
            with closing(items):
                for item in items:
                    room.acquire()
                    if stop.is_set():
                        return
                    made.put(item)
        finally:
            made.put(None)

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead") as pool:
        making = pool.submit(make)
        try:
            yield from _taken(made, room)
            making.result()
        finally:
            stop.set()
            room.release()


def _taken(made: SimpleQueue[T | None], room: threading.Semaphore) -> Iterator[T]:
    while (item := made.get()) is not None:
        room.release()
        yield item
