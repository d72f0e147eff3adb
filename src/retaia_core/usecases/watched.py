"""Files of a storage, watched at work: an error of the whole disk is told apart from one file's own.

Everything that touches a storage goes through here, so that a scan, a move, a purge and an upload all
report a disk that is full, read-only or gone in one way, and leave what they were about for later.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import GeneratorType
from typing import cast

from attrs import define, field, frozen

from ..domain.health import Problem, problem_of
from ..domain.identifiers import StorageId
from ..errors import StorageOffline, Unavailable
from ..ports.derived_storage import DerivedStorage
from ..ports.originals import Originals

_Call = Callable[..., object]


@define(eq=False, kw_only=True)
class Watcher:
    """Judges the errors of one piece of work; the first of the whole storage stands for all of it.

    ``tell`` is told of it, from the thread that works; ``ask`` looks at the storage, and may block.
    """

    storage_id: StorageId
    tell: Callable[[StorageId, Problem], None]
    ask: Callable[[], Problem | None]
    problem: Problem | None = field(default=None, init=False)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Raise an error of the whole storage as `StorageOffline`, and any other as it is."""
        try:
            yield
        except (OSError, Unavailable) as error:
            problem = self._judged(error)
            if problem is None:
                raise
            if self.problem is None:
                self.problem = problem
                self.tell(self.storage_id, problem)
            raise offline(self.storage_id, problem.reason) from error

    def _judged(self, error: OSError | Unavailable) -> Problem | None:
        """The storage's problem behind an error, which an adapter may have put in words."""
        cause = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(cause, OSError):
            return None
        if cause.errno == errno.EIO:
            return self.ask()  # A bad spot under one file, or a disk that is going?
        return problem_of(cause)


def offline(storage_id: StorageId, reason: str) -> StorageOffline:
    """The error that says that a storage is offline, and why."""
    return StorageOffline(
        f"storage {storage_id} is offline: {reason}",
        storage_id=storage_id,
        reason=reason,
    )


@frozen(eq=False)
class _Watched:
    """Passes every call on, watched; what a call gives one by one is watched as it is taken."""

    inner: object
    watcher: Watcher

    def __getattr__(self, name: str) -> object:
        found = getattr(self.inner, name)
        return self._watched(found) if callable(found) else found

    def _watched(self, call: _Call) -> _Call:
        def watched(*arguments: object, **options: object) -> object:
            with self.watcher.watching():
                answer = call(*arguments, **options)
            return self._each(answer) if isinstance(answer, GeneratorType) else answer

        return watched

    def _each(self, answers: Iterator[object]) -> Iterator[object]:
        with self.watcher.watching():
            yield from answers


class _WatchedOriginals(_Watched):
    def check(self) -> str | None:
        """Why the storage is offline: what this piece of work met before, else its marker."""
        met = self.watcher.problem
        return cast("Originals", self.inner).check() if met is None else met.reason


def watched_originals(originals: Originals, watcher: Watcher) -> Originals:
    """The same originals, watched, for one piece of work."""
    return cast("Originals", _WatchedOriginals(originals, watcher))


def watched_derived(derived: DerivedStorage, watcher: Watcher) -> DerivedStorage:
    """The same derived files, watched, for one piece of work."""
    return cast("DerivedStorage", _Watched(derived, watcher))
