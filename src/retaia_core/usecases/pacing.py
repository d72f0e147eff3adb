"""Reading politely from a worker thread: a pace that sleeps as `domain.pacing` says, and can be stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.lowlevel
from attrs import define, field

from ..domain.pacing import Bucket, full, take
from ..errors import StorageOffline
from .blocking import Blocking

T = TypeVar("T")


class Stopped(Exception):
    """Whoever wanted the bytes does not want them any more."""


@define(eq=False)
class Pace:
    """Called with the bytes just read; sleeps so that ``rate`` bytes a second (0: no limit) are kept.

    ``clock`` tells steady seconds, ``wait`` sleeps so long and says whether to stop; both are for tests.
    """

    rate: float = 0.0
    clock: Callable[[], float] = time.monotonic
    wait: Callable[[float], bool] | None = None
    bytes_read: int = field(default=0, init=False)
    _stop: threading.Event = field(factory=threading.Event, init=False)
    _bucket: Bucket | None = field(default=None, init=False)

    def __call__(self, count: int) -> None:
        """Count what was read, and wait.

        Raises:
            Stopped: `stop` was called, before or meanwhile.
        """
        self.bytes_read += count
        now = self.clock()
        bucket = self._bucket or full(self.rate, now)
        self._bucket, seconds = take(bucket, self.rate, count, now)
        wait = self.wait or self._stop.wait
        if (wait(seconds) if seconds else False) or self._stop.is_set():
            raise Stopped

    def stop(self) -> None:
        """Let whoever reads stop at the next block, out of a sleep too; from any thread."""
        self._stop.set()


async def read_long(blocking: Blocking, work: Callable[[Pace], T], pace: Pace) -> T:
    """Run what reads for long; it stops at the next block where this task is cancelled.

    Raises:
        StorageOffline, Stopped: as the work raised it, in no group of errors.
    """
    ended = anyio.Event()

    async def stop_with_this_task() -> None:
        try:
            await ended.wait()
        finally:
            if not ended.is_set():
                pace.stop()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop_with_this_task)
        answer = await blocking(_tried, work, pace)
        ended.set()
    await anyio.lowlevel.checkpoint()  # Where this task was cancelled, it ends here.
    if isinstance(answer, StorageOffline | Stopped):
        raise answer
    return answer


def _tried(work: Callable[[Pace], T], pace: Pace) -> T | StorageOffline | Stopped:
    """What the work answers, or why it could not, so that no group of tasks wraps that up."""
    try:
        return work(pace)
    except (StorageOffline, Stopped) as error:
        return error
