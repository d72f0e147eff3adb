"""What a running program tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import field, frozen


@frozen(kw_only=True)
class Notice:
    """Something that happened, for whoever watches: a name and plain data."""

    name: str
    data: Mapping[str, object] = field(factory=dict)


Watch = Callable[[Notice], None]


def ignore(notice: Notice) -> None:
    """Watch nothing."""
