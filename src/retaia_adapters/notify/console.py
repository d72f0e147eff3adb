"""Messages on the terminal where the server runs: for one person on one machine."""

from __future__ import annotations

import sys
from typing import TextIO

from retaia_core.ports.notifier import Message, Notifier


class ConsoleNotifier(Notifier):
    """Writes to standard error, never to the log: a message carries what must not lie in a log."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    async def send(self, message: Message) -> None:
        """Print a message."""
        stream = self._stream or sys.stderr
        stream.write(f"\nMessage to {message.to}: {message.subject}\n\n{message.text}\n")
        stream.flush()
