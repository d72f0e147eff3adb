"""Places of other copies in memory, with a switch, second names of originals, and faults."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from attrs import frozen

from ..domain.identifiers import parse_rel_path
from ..domain.proof import Refusal
from ..ports.copies import Copies, CopyRefused, CopySeen
from .memory_files import BLOCK, Fault


@frozen(kw_only=True)
class MemoryCopy:
    """A copy: its content, how often it was touched, and the original it is a second name of, if any."""

    content: bytes
    touched: int = 0
    same_as: str | None = None


class MemoryCopies(Copies):
    """Places by name. ``away`` are those that are not there; ``fault`` may raise before any operation."""

    def __init__(self, *places: str) -> None:
        self.places: dict[str, dict[str, MemoryCopy]] = {place: {} for place in places}
        self.away: set[str] = set()
        self.fault: Fault | None = None

    def add(self, place: str, path: str, content: bytes, *, same_as: str | None = None) -> None:
        """Put a copy there, or write over the one that is."""
        before = self.places[place].get(path)
        touched = before.touched + 1 if before else 0
        self.places[place][parse_rel_path(path)] = MemoryCopy(
            content=content, touched=touched, same_as=same_as
        )

    def look(self, place: str, path: str, original: str) -> CopySeen | None:
        self._enter("look", path)
        if place in self.away:
            raise CopyRefused(Refusal.AWAY, "its folder is not there")
        copy = self.places[place].get(path)
        if copy is None:
            return None
        if copy.same_as == original:
            raise CopyRefused(Refusal.SAME_FILE, "it is the original itself by another name")
        return CopySeen(path=path, size=len(copy.content), stamp=_stamp(copy))

    def checksum(self, place: str, seen: CopySeen, pace: Callable[[int], None]) -> str | None:
        self._enter("checksum", seen.path)
        copy = self.places[place].get(seen.path)
        if copy is None or _stamp(copy) != seen.stamp:
            return None
        digest = hashlib.sha256()
        for start in range(0, len(copy.content), BLOCK):
            block = copy.content[start : start + BLOCK]
            digest.update(block)
            pace(len(block))
        return f"sha256:{digest.hexdigest()}"

    def _enter(self, operation: str, path: str) -> None:
        if self.fault is not None:
            try:
                self.fault(operation, path)
            except OSError as error:
                raise CopyRefused(Refusal.UNREADABLE, f"it cannot be read: {error}") from error


def _stamp(copy: MemoryCopy) -> str:
    return f"{len(copy.content)}:{copy.touched}"
