"""A copy that takes its time: the file grows for as long as nobody asks it to finish."""

from __future__ import annotations

import shutil
from pathlib import Path
from threading import Event, Thread
from types import TracebackType

from attrs import define, field

PAUSE_S = 0.2
_FIRST, _STEP = 3, 60


@define
class SlowCopy:
    """Copies ``source`` to ``target`` in ever smaller parts, in a thread of its own.

    A context manager: the copy has begun when it is entered, and is whole when it is left. ``finish``
    writes the rest at once and keeps the source's times.
    """

    source: Path
    target: Path
    _hurry: Event = field(factory=Event, init=False)
    _thread: Thread | None = field(default=None, init=False)

    def __enter__(self) -> SlowCopy:
        content = self.source.read_bytes()
        first = len(content) // _FIRST
        self.target.write_bytes(content[:first])
        self._thread = Thread(target=self._copy, args=(content[first:],), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.finish()

    def finish(self) -> None:
        """Bring the copy to its end; harmless where it is there already."""
        self._hurry.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            shutil.copystat(self.source, self.target)

    def _copy(self, rest: bytes) -> None:
        with self.target.open("ab", buffering=0) as file:
            while not self._hurry.wait(PAUSE_S):
                part = max(1, len(rest) // _STEP)
                file.write(rest[:part])
                rest = rest[part:]
            file.write(rest)
