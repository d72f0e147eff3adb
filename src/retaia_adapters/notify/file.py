"""One file per message, in a folder that only its user can read."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

import anyio.to_thread

from retaia_core.errors import Unavailable
from retaia_core.ports.notifier import Message, Notifier

from .mail import document

SENDER = "retaia@localhost"


class FileNotifier(Notifier):
    """Writes e-mail documents (``*.eml``), each whole or not at all; their names sort by time."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    async def send(self, message: Message) -> None:
        """Write a message.

        Raises:
            Unavailable: the folder cannot be made or written.
        """
        try:
            await anyio.to_thread.run_sync(self._write, message)
        except OSError as error:
            raise Unavailable(f"the message cannot be written: {error.strerror}") from error

    def _write(self, message: Message) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        name = f"{time.time_ns()}-{uuid.uuid4().hex}"
        draft = self._folder / f".{name}.part"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(document(message, SENDER).as_bytes())
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self._folder / f"{name}.eml")
