"""Messages to people, sent behind the answer: how long that takes tells nobody who has an account."""

from __future__ import annotations

from functools import partial

from retaia_core.ports.notifier import Message

from .call import Call


def send(call: Call, letter: Message | None) -> None:
    """Send a message, if there is one."""
    if letter is not None:
        call.serving.spawn("message", partial(call.services.people.notifier.send, letter))
