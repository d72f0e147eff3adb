"""What people are told by message: plain text, and tokens that are good once."""

from __future__ import annotations

from datetime import timedelta

from ..domain.accounts import Account
from ..domain.sessions import LIFETIMES, Purpose
from ..ports.notifier import Message


def verify_email(account: Account, token: str) -> Message:
    """The proof that an address is somebody's."""
    return _message(
        account,
        "Verify your e-mail address",
        "Somebody, probably you, wants to use this address with Retaia.",
        *_with_token(token, Purpose.VERIFY_EMAIL),
        "If it was not you, do nothing.",
    )


def reset_password(account: Account, token: str) -> Message:
    """The way back in for who lost a password."""
    return _message(
        account,
        "Choose a new password",
        "Somebody, probably you, asked for a new password for this address in Retaia.",
        *_with_token(token, Purpose.RESET_PASSWORD),
        "If it was not you, do nothing: the password stays as it is.",
    )


def offer_reset(account: Account, token: str) -> Message:
    """The way back in that an administrator opens for somebody."""
    return _message(
        account,
        "Choose a new password",
        "An administrator of Retaia sends you this, so that you can choose a new password.",
        *_with_token(token, Purpose.RESET_PASSWORD),
        "If you do not need one, do nothing: the password stays as it is.",
    )


def choose_password(account: Account, token: str) -> Message:
    """The way in for a person whose account was just made."""
    return _message(
        account,
        "An account was made for you",
        "An administrator made an account in Retaia for this address. Choose a password for it.",
        *_with_token(token, Purpose.RESET_PASSWORD),
        "After that time, ask for a new password for this address.",
    )


def password_changed(account: Account) -> Message:
    """Word that a password is another one now."""
    return _message(
        account,
        "Your password was changed",
        "The password of your account in Retaia was changed, and it was signed out elsewhere.",
        "If it was not you, ask for a new password at once, and tell your administrator.",
    )


def _with_token(token: str, purpose: Purpose) -> tuple[str, ...]:
    lasts = _said(LIFETIMES[purpose])
    return f"Give this to the application that asks for it; it is good once, for {lasts}:", token


def _said(time: timedelta) -> str:
    hours = time // timedelta(hours=1)
    return "one hour" if hours == 1 else f"{hours} hours"


def _message(account: Account, subject: str, *paragraphs: str) -> Message:
    text = "\n\n".join((f"Hello {account.display_name}".strip() + ",", *paragraphs)) + "\n"
    return Message(to=account.email, subject=f"Retaia: {subject}", text=text)
