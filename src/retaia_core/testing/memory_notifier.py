"""A notifier in memory, for tests that ask who was told what."""

from __future__ import annotations

from attrs import define, field

from ..errors import RetaiaError
from ..ports.notifier import Message, Notifier


@define
class MemoryNotifier(Notifier):
    """Keeps every message in ``messages``, the oldest first; ``problem`` is raised while it is set."""

    messages: list[Message] = field(factory=list)
    problem: RetaiaError | None = None

    async def send(self, message: Message) -> None:
        """Keep a message."""
        if self.problem is not None:
            raise self.problem
        self.messages.append(message)

    def last_to(self, address: str) -> Message:
        """The last message to an address; there must be one."""
        return [message for message in self.messages if message.to == address][-1]
