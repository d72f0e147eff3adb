"""A message as an e-mail document."""

from __future__ import annotations

from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime, make_msgid

from retaia_core.ports.notifier import Message


def document(message: Message, sender: str) -> EmailMessage:
    """The e-mail of a message, to exactly one address."""
    mail = EmailMessage()
    mail["From"] = Address(addr_spec=sender)
    mail["To"] = Address(addr_spec=message.to)
    mail["Subject"] = message.subject
    mail["Date"] = localtime()
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"  # no answer from a machine (RFC 3834)
    mail.set_content(message.text)
    return mail
