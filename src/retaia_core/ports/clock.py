"""Time and identity come in from outside, so that the domain has neither."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is: aware, UTC."""

    def now(self) -> datetime: ...


class Ids(Protocol):
    """Fresh identities and secrets."""

    def uuid(self) -> str:
        """A new UUID, canonical lower case; time-ordered, so that indexes stay compact."""
        ...

    def uuids(self, count: int) -> Sequence[str]:
        """So many new UUIDs, in ascending order."""
        return [self.uuid() for _ in range(count)]

    def token(self) -> str:
        """At least 128 bits of unguessable text, safe in a URL."""
        ...
