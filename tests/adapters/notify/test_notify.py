"""Messages reach the terminal, a folder, or a mail server, and nobody else."""

from __future__ import annotations

import email
import io
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from email import policy
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field

from retaia_adapters.notify.console import ConsoleNotifier
from retaia_adapters.notify.file import FileNotifier
from retaia_adapters.notify.plugin import retaia_providers
from retaia_adapters.notify.smtp import SmtpNotifier
from retaia_core.errors import SettingsError, Unavailable
from retaia_core.hooks import Role
from retaia_core.ports.notifier import Message

MESSAGE = Message(to="zoe@example.org", subject="Retaia: été 🎬", text="Hello Zoë,\n\ntoken-1\n")
OPTIONS = {
    "folder": "",
    "host": "mail.example.org",
    "port": "587",
    "security": "starttls",
    "username": "",
    "password_file": "",
    "sender": "retaia@example.org",
}


@define
class MailServer:
    """A mail server that speaks just enough SMTP, without TLS, and keeps what it was told."""

    said: list[str] = field(factory=list)
    refuse: str = ""
    _listener: socket.socket = field(factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def serve(self) -> None:
        """Answer connections until the listener is shut."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as file:
                self._talk(file)

    def _talk(self, file: io.BufferedRWPair) -> None:
        self._say(file, "220 here")
        while line := file.readline().decode().strip():
            self.said.append(line)
            command = line.split()[0].upper()
            if command == "DATA":
                self._say(file, "354 go on")
                while (part := file.readline().decode()) != ".\r\n":
                    self.said.append(part.rstrip("\r\n"))
                self._say(file, "250 taken")
            elif command == self.refuse:
                self._say(file, "550 not for zoe@example.org")
            elif command == "EHLO":
                self._say(file, "250-here\r\n250 8BITMIME")
            else:
                self._say(file, "221 bye" if command == "QUIT" else "250 fine")

    def _say(self, file: io.BufferedRWPair, line: str) -> None:
        file.write(f"{line}\r\n".encode())
        file.flush()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def server() -> Iterator[MailServer]:
    """A mail server in a thread."""
    server = MailServer()
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server
    server.stop()
    thread.join()


def notifier(server: MailServer, **changes: Any) -> SmtpNotifier:
    """A notifier without TLS."""
    plain = SmtpNotifier.of({**OPTIONS, "host": "127.0.0.1", "security": "none"})
    return evolve(plain, port=server.port, **changes)


def test_the_three_are_offered() -> None:
    """The plugin offers each for the role, and each takes all options of the settings."""
    providers = {provider.name: provider for provider in retaia_providers()}
    assert {provider.role for provider in providers.values()} == {Role.NOTIFIER}
    kinds = {name: type(each.factory(**OPTIONS)) for name, each in providers.items()}
    assert kinds == {"console": ConsoleNotifier, "file": FileNotifier, "smtp": SmtpNotifier}


async def test_the_console_shows_the_whole_message() -> None:
    """Whom it is for, what it is about, and all its text."""
    stream = io.StringIO()
    await ConsoleNotifier(stream).send(MESSAGE)
    for part in (MESSAGE.to, MESSAGE.subject, MESSAGE.text):
        assert part in stream.getvalue()


async def test_the_console_is_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Commands keep standard output for their result."""
    await ConsoleNotifier().send(MESSAGE)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "token-1" in captured.err


async def test_a_file_is_a_mail_that_only_its_user_reads(tmp_path: Path) -> None:
    """One file per message, in order, mode 600 in a folder of mode 700, and nothing half-written."""
    folder = tmp_path / "deep" / "messages"
    sent = [evolve(MESSAGE, text=f"message {n} é\n") for n in range(3)]
    for message in sent:
        await FileNotifier(str(folder)).send(message)
    files = sorted(folder.iterdir())
    assert [file.suffix for file in files] == [".eml"] * 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    read = [email.message_from_bytes(f.read_bytes(), policy=policy.default) for f in files]
    assert [mail.get_content() for mail in read] == [message.text for message in sent]
    assert {(mail["To"], mail["Subject"]) for mail in read} == {(MESSAGE.to, MESSAGE.subject)}


async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """The error is one that passes, and says no path."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unavailable) as caught:
        await FileNotifier(str(tmp_path / "file" / "folder")).send(MESSAGE)
    assert str(tmp_path) not in caught.value.message


async def test_a_mail_server_gets_the_message(server: MailServer) -> None:
    """From the sender to one address, with the text."""
    await notifier(server).send(MESSAGE)
    assert "mail FROM:<retaia@example.org>" in [line.partition(" size")[0] for line in server.said]
    assert [line for line in server.said if line.lower().startswith("rcpt")] == [
        "rcpt TO:<zoe@example.org>"
    ]
    assert "Auto-Submitted: auto-generated" in server.said


async def test_a_server_without_starttls_gets_nothing(server: MailServer) -> None:
    """By default a message does not go over a connection that others can read."""
    with pytest.raises(Unavailable):
        await notifier(server, security="starttls").send(MESSAGE)
    assert not [line for line in server.said if line.lower().startswith(("mail", "rcpt", "data"))]


async def test_a_refused_address_is_not_repeated(server: MailServer) -> None:
    """The server's own words stay in the cause."""
    server.refuse = "RCPT"
    with pytest.raises(Unavailable) as caught:
        await notifier(server).send(MESSAGE)
    assert "zoe" not in caught.value.message


async def test_no_mail_server_is_a_passing_trouble(server: MailServer, tmp_path: Path) -> None:
    """A connection that is refused, or a password file that is gone, can be mended."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = int(closed.getsockname()[1])
    with pytest.raises(Unavailable):
        await evolve(notifier(server), port=port).send(MESSAGE)
    locked_out = notifier(server, username="retaia", password_file=tmp_path / "gone")
    with pytest.raises(Unavailable):
        await locked_out.send(MESSAGE)


async def test_an_odd_address_cannot_add_another(server: MailServer) -> None:
    """A header has one address or the message is not sent."""
    for odd in ("a@example.org, b@example.org", "a@example.org\nBcc: b@example.org"):
        with pytest.raises(Unavailable):
            await notifier(server).send(evolve(MESSAGE, to=odd))
    assert server.said == []


@pytest.mark.parametrize("key", ["host", "sender"])
def test_a_mail_server_has_to_be_named(key: str) -> None:
    """The settings that are missing are named."""
    with pytest.raises(SettingsError, match=f"notify.{key}"):
        SmtpNotifier.of({**OPTIONS, key: ""})


def test_certificates_are_checked() -> None:
    """The connection is to the server that was named, and to nobody in between."""
    context = SmtpNotifier.of(OPTIONS).context
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


async def test_the_password_is_read_each_time(server: MailServer, tmp_path: Path) -> None:
    """It lies in a file, and can be changed while the server runs."""
    path = tmp_path / "password"
    path.write_text("secret\n")
    os.chmod(path, 0o600)  # noqa: PTH101
    mine = notifier(server, username="retaia", password_file=path)
    assert mine._password() == "secret"
    path.write_text("other")
    assert mine._password() == "other"
