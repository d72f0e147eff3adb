"""Work goes to the thread that did the last of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from queue import SimpleQueue

from retaia_adapters.sql.queues import WarmestFirst

THREADS = 4


def _started(queue: WarmestFirst[int | None], done: SimpleQueue[tuple[int, str]]) -> None:
    def work() -> None:
        while (item := queue.get()) is not None:
            done.put((item, threading.current_thread().name))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    while len(queue._waiting) < THREADS:
        time.sleep(0.001)


def test_one_after_the_other_goes_to_one_thread() -> None:
    """Where nothing runs at the same time, a single thread does it all."""
    queue, done = WarmestFirst[int | None](), SimpleQueue[tuple[int, str]]()
    _started(queue, done)
    names = set()
    for number in range(100):
        queue.put(number)
        names.add(done.get(timeout=10)[1])
        while len(queue._waiting) < THREADS:
            time.sleep(0.0001)
    assert len(names) == 1


def test_nothing_is_lost_or_done_twice() -> None:
    """What is put by several threads at once comes out once each; what waits, in order."""
    queue, done = WarmestFirst[int | None](), SimpleQueue[tuple[int, str]]()
    for number in range(5):
        queue.put(number)
    assert [queue.get() for _ in range(5)] == [0, 1, 2, 3, 4]
    _started(queue, done)

    def put(start: int) -> None:
        for number in range(start, start + 500):
            queue.put(number)

    threads = [threading.Thread(target=put, args=(start,)) for start in (0, 500, 1000)]
    for thread in threads:
        thread.start()
    found = Counter(done.get(timeout=10)[0] for _ in range(1500))
    assert found == Counter(range(1500))
    for _ in range(THREADS):
        queue.put(None)
