"""How a person is told something outside the interface: by e-mail, in a file, on the console."""

from __future__ import annotations

from typing import Protocol

from attrs import frozen


@frozen(kw_only=True)
class Message:
    """A message in plain text to one address."""

    to: str
    subject: str
    text: str


class Notifier(Protocol):
    """Delivers messages.

    Raises:
        Unavailable: it cannot be delivered now.
    """

    async def send(self, message: Message) -> None: ...
