"""Which operations a path has: one look for each of its parts, however many paths there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import define, field

from .document import BASE, Operation

Found = tuple[Mapping[str, Operation], Mapping[str, str]]
"""The operations of a path by their methods, and its parameters."""


@define
class _Place:
    """Where a path has come to: what may follow, by name or whatever it is, and what is here."""

    named: dict[str, _Place] = field(factory=dict)
    other: _Place | None = None
    parameters: tuple[str, ...] = ()
    operations: dict[str, Operation] = field(factory=dict)

    def below(self, part: str) -> _Place:
        """The place that a part of a template leads to, made where it is new."""
        if not part.startswith("{"):
            return self.named.setdefault(part, _Place())
        if self.other is None:
            self.other = _Place()
        return self.other

    def find(self, parts: list[str], given: tuple[str, ...] = ()) -> Found | None:
        """The place of a path's parts; a name goes before a parameter."""
        if not parts:
            if not self.operations:
                return None
            return self.operations, dict(zip(self.parameters, given, strict=True))
        part, *rest = parts
        place = self.named.get(part)
        found = None if place is None else place.find(rest, given)
        if found is None and part and self.other is not None:
            found = self.other.find(rest, (*given, part))
        return found


class Routes:
    """The paths of the document."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._top = _Place()
        for operation in operations:
            place, parts = self._top, operation.path[1:].split("/")
            for part in parts:
                place = place.below(part)
            place.parameters = tuple(part[1:-1] for part in parts if part.startswith("{"))
            place.operations[operation.method] = operation

    def find(self, path: str) -> Found | None:
        """What a path of the API leads to; None where there is no such path."""
        if not path.startswith(f"{BASE}/"):
            return None
        return self._top.find(path[len(BASE) + 1 :].split("/"))
