"""A person's own account in the browser."""

from __future__ import annotations

from pathlib import Path

import pyotp
import pytest
from retaia_tests.browser import Browser
from retaia_tests.machine import Machine
from retaia_tests.web_stage import photos, showing, stage, text, walk

pytestmark = pytest.mark.browser

EMAIL, PASSWORD, OTHER = "ana@example.org", "correct horse battery", "another horse battery"


def fill_in(page: Browser, **fields: str) -> None:
    """Type into fields by their id, and send the form with Enter."""
    for name, typed in fields.items():
        page.wait(f"document.getElementById('{name.replace('_', '-')}')")
        page.run(f"document.getElementById('{name.replace('_', '-')}').focus()")
        page.run("document.activeElement.select()")
        page.type(typed)
    page.press("Enter")


def test_a_new_password_and_a_second_factor(
    either_machine: Machine, tmp_path: Path, page: Browser
) -> None:
    """Changed, switched on, asked for at the next sign-in, where a recovery code also counts."""
    photos(tmp_path / "storage" / "INBOX", ("a.jpg",))
    with stage(either_machine, tmp_path / "storage") as at:
        at.add_person(EMAIL, PASSWORD)
        page.open(at.url)
        fill_in(page, email=EMAIL, password=PASSWORD)
        page.wait("document.querySelector('main#main')?.childElementCount")
        walk(page, "/account")
        fill_in(page, password_now="wrong", password_next=OTHER)
        page.wait("document.querySelector('.account-form .wrong-text').innerText")
        fill_in(page, password_now=PASSWORD, password_next=OTHER)
        showing(page, ".notes", "The password is changed.")
        page.push(".second button")
        page.wait("document.querySelector('.qr')?.naturalWidth")
        secret = text(page, ".second code")
        fill_in(page, code=pyotp.TOTP(secret).now())
        page.wait("document.querySelectorAll('.codes li').length === 10")
        recovery = text(page, ".codes li")
        page.push(".second button")
        showing(page, ".second", "On: signing in also asks")
        page.run("[...document.querySelectorAll('#menu button')].at(-1).click()")
        fill_in(page, email=EMAIL, password=PASSWORD)
        showing(page, "#said", "The address or the password is not right.")
        fill_in(page, password=OTHER)
        showing(page, "#said", "Your account also asks for a code.")
        fill_in(page, otp=recovery)
        page.wait("document.querySelector('main#main')?.childElementCount")
