"""Messages by e-mail, through a mail server that takes them on (SMTP)."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from pathlib import Path

import anyio.to_thread
from attrs import field, frozen

from retaia_core.errors import SettingsError, Unavailable
from retaia_core.ports.notifier import Message, Notifier

from .mail import document

SECONDS = 30.0
"""How long the mail server may take for one step."""


@frozen(kw_only=True)
class SmtpNotifier(Notifier):
    """Hands each message over on a connection of its own; in a thread, for the library waits.

    ``security`` is ``starttls`` (a connection that does not become secret is given up), ``tls`` or
    ``none``. The password is read anew each time, so that it can be changed.
    """

    host: str
    port: int
    sender: str
    security: str = "starttls"
    username: str = ""
    password_file: Path | None = None
    context: ssl.SSLContext = field(factory=ssl.create_default_context)

    @classmethod
    def of(cls, options: Mapping[str, str]) -> SmtpNotifier:
        """The notifier that settings describe.

        Raises:
            SettingsError: the server or the sender is not named.
        """
        for key in ("host", "sender"):
            if not options[key]:
                raise SettingsError(
                    f"notify.{key} is empty; the provider smtp needs it", key=f"notify.{key}"
                )
        password_file = options["password_file"]
        return cls(
            host=options["host"],
            port=int(options["port"]),
            sender=options["sender"],
            security=options["security"],
            username=options["username"],
            password_file=Path(password_file) if password_file else None,
        )

    async def send(self, message: Message) -> None:
        """Hand a message to the mail server.

        Raises:
            Unavailable: it does not answer, or does not take the message.
        """
        try:
            await anyio.to_thread.run_sync(self._send, message)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            # What the server said may repeat the address, and belongs to the cause alone.
            raise Unavailable(
                f"the mail server does not take the message ({type(error).__name__})"
            ) from error

    def _send(self, message: Message) -> None:
        mail = document(message, self.sender)
        with self._connected() as server:
            if self.username:
                server.login(self.username, self._password())
            server.send_message(mail, from_addr=self.sender, to_addrs=[message.to])

    def _connected(self) -> smtplib.SMTP:
        if self.security == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=SECONDS, context=self.context)
        server = smtplib.SMTP(self.host, self.port, timeout=SECONDS)
        if self.security == "starttls":
            try:
                server.starttls(context=self.context)
            except BaseException:
                server.close()
                raise
        return server

    def _password(self) -> str:
        return "" if self.password_file is None else self.password_file.read_text("utf-8").strip()
