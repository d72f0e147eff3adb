"""Every page and state, in both languages and colours: no barrier that axe-core knows, and a picture."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from retaia_tests.barriers import looked_over
from retaia_tests.browser import Browser, browser
from retaia_tests.machine import Machine
from retaia_tests.web_stage import Stage, showing, stage, walk

pytestmark = pytest.mark.browser

EMAIL, PASSWORD = "ana@example.org", "correct horse battery"
HOSTILE = "<b onclick=x>\u202egpj.exe.jpg"
"""Markup, and a mark that turns the direction: `<b onclick=x>` and then `gpj.exe` read backwards."""


def press_until(page: Browser, key: str, script: str) -> None:
    page.press(key)
    page.wait(script)


def put_away(page: Browser) -> None:
    """Close a dialog, and wait until what was said is gone."""
    page.press("Escape")
    page.wait("!document.querySelector('dialog')")
    page.run("document.querySelectorAll('.note').forEach((note) => note.remove())")


def before_the_door(at: Stage, page: Browser) -> Iterator[str]:
    page.open(at.url)
    page.wait("document.activeElement?.id === 'email'")
    yield "sign-in"
    page.type(EMAIL)
    page.press("Tab")
    page.type("not the password")
    page.press("Enter")
    page.wait("document.getElementById('said').innerText")
    yield "sign-in-refused"


def library(at: Stage, page: Browser) -> Iterator[str]:
    at.enter(page)
    page.wait("document.querySelectorAll('.cell img').length >= 10")
    page.wait("document.querySelector('.flag')")
    yield "library"
    for key in (" ", "ArrowRight", " "):
        page.press(key)
    press_until(page, "p", "document.querySelector('dialog')")
    yield "library-decide-all"
    put_away(page)
    page.press("Escape")
    press_until(page, "?", "document.querySelector('dialog')")
    yield "library-keys"
    put_away(page)
    page.click("[popovertarget=menu]")
    page.wait("document.querySelector('#menu').matches(':popover-open')")
    yield "menu"
    page.press("Escape")
    walk(page, "/?view=list")
    page.wait("document.querySelector('[data-mode=list] .cell img')")
    yield "library-list"
    walk(page, "/?q=nothing+has+this+name")
    page.wait("document.querySelector('.empty .blank')")
    yield "library-nothing-fits"


def review(at: Stage, page: Browser) -> Iterator[str]:
    for media, tag in (("PHOTO", "r-photo img"), ("VIDEO", "r-player video"), ("AUDIO", "audio")):
        walk(page, f"/review?in=decide&media_type={media}&sort=-name")
        page.wait(f"document.querySelector('{tag}')?.src && document.querySelector('.verdict')")
        page.wait("!document.querySelector('[aria-busy]')")
        yield f"review-{media.lower()}"
    page.run("document.querySelector('.tag-input').focus()")
    page.type("<i>wind</i>")
    page.press("Enter")
    showing(page, ".chips", "<i>wind</i>")
    yield "review-tag"
    put_away(page)
    walk(page, "/review?in=decide&q=onclick")
    showing(page, ".shown-name", "<b onclick=x>U+202Egpj.exe.jpg")
    assert page.run("document.querySelector('.shown-name b')") is None
    yield "review-hostile-name"
    press_until(page, "w", "document.querySelector('.why ul')")
    yield "why"
    put_away(page)
    walk(page, "/review?in=unprocessable")
    showing(page, ".facts-panel", "truncated")
    yield "review-unprocessable"


def compare(at: Stage, page: Browser) -> Iterator[str]:
    walk(page, "/?in=decide&media_type=PHOTO&sort=name")
    page.wait("document.querySelectorAll('.cell img').length >= 3")
    for key in (" ", "ArrowRight", " ", "ArrowRight", " "):
        page.press(key)
    press_until(page, "c", "document.querySelectorAll('.pane img').length === 3")
    page.wait("!document.querySelector('.pane [aria-busy]')")
    press_until(page, "2", "document.querySelector('.pane:nth-child(2)[aria-current]')")
    yield "compare-photos"
    walk(page, "/review?in=decide&media_type=VIDEO&sort=name")
    page.wait("document.querySelector('.verdict')")
    press_until(page, "c", "document.querySelectorAll('.pane video').length === 2")
    page.wait("!document.querySelector('.pane [aria-busy]')")
    yield "compare-videos"


def apply(at: Stage, page: Browser) -> Iterator[str]:
    walk(page, "/apply")
    page.wait("document.querySelector('r-apply .blank')")
    yield "apply-nothing"
    walk(page, "/review?in=decide&sort=name")
    page.wait("document.querySelector('.verdict')")
    for key in "ppx":
        name = page.run("document.querySelector('.shown-name').innerText")
        page.press(key)
        other = f"document.querySelector('.shown-name').innerText !== {json.dumps(name)}"
        page.wait(f"document.querySelector('.verdict') && {other}")
    yield "review-decided"
    walk(page, "/apply")
    page.wait("document.querySelector('.plan')")
    yield "apply"
    page.push("r-apply button.main")
    page.wait("document.querySelector('dialog')")
    yield "apply-confirm"
    page.push("dialog button")
    page.wait("document.querySelector('r-batch table') && !document.querySelector('progress')")
    yield "batch"
    page.push("r-batch button")
    page.wait("document.querySelector('dialog table')")
    yield "undo-confirm"
    page.push("dialog button[value=yes]")
    page.wait("document.querySelector('r-batch a[href^=\"/batches/\"]')")
    page.wait("document.querySelector('r-batch table') && !document.querySelector('progress')")
    yield "batch-undo"
    walk(page, "/purge")
    page.wait("document.querySelector('r-purge-list .blank')")
    yield "purge-nothing"
    walk(page, "/batches")
    page.wait("document.querySelectorAll('.batches tbody tr').length === 2")
    yield "batches"
    walk(page, "/batches/there-is-none")
    page.wait("document.querySelector('r-batch .blank')")
    yield "batch-unknown"


def activity(at: Stage, page: Browser) -> Iterator[str]:
    walk(page, "/activity")
    page.wait("document.querySelector('.cause') && document.querySelector('.jobs')")
    yield "activity"


def account(at: Stage, page: Browser) -> Iterator[str]:
    walk(page, "/account")
    page.wait("document.querySelector('.second button')")
    yield "account"
    page.push(".second button")
    page.wait("document.querySelector('.qr')?.naturalWidth")
    yield "account-second-factor"


def device(at: Stage, page: Browser) -> Iterator[str]:
    walk(page, "/device")
    page.wait("document.activeElement?.id === 'device-code'")
    yield "device"
    body = {"client_kind": "AGENT", "client_label": "<b>studio</b>"}
    asked = httpx.post(f"{at.url}/api/v1/auth/clients/device/start", json=body, trust_env=False)
    page.type(asked.json()["user_code"])
    page.press("Enter")
    page.wait("document.querySelector('.device-code')")
    yield "device-asks"
    page.press("Tab")
    page.press("Tab")
    page.press("Enter")
    page.wait("document.querySelector('#device-said').innerText")
    yield "device-denied"


def admin(at: Stage, page: Browser) -> Iterator[str]:
    if EMAIL not in at.machine.run("user", "list", "--json").output:
        at.add_person(EMAIL, PASSWORD)
    walk(page, "/admin")
    page.wait("document.querySelector('.admin-pages .soft')")
    yield "admin"
    walk(page, "/admin/people")
    page.wait("document.querySelectorAll('.people tbody tr').length === 2")
    yield "admin-people"
    page.push("[data-row='ana@example.org'] button:last-child")
    page.wait("document.querySelector('dialog')")
    yield "admin-people-disable"
    put_away(page)
    walk(page, "/admin/clients")
    page.wait("document.querySelector('.clients tbody tr')")
    page.push(".account-form button")
    page.wait("document.querySelector('.secret')")
    yield "admin-clients"
    walk(page, "/admin/features")
    page.wait("document.querySelector('.features tbody tr')")
    yield "admin-features"
    walk(page, "/admin/settings")
    page.wait("document.querySelector('.settings tbody tr')")
    yield "admin-settings"
    walk(page, "/admin/sidecars")
    page.wait("document.querySelector('.unmatched .row-acts button')")
    page.push(".unmatched .row-acts button")
    page.wait("document.activeElement.matches('.unmatched select')")
    yield "admin-sidecars"


TOUR: tuple[Callable[[Stage, Browser], Iterator[str]], ...] = (
    before_the_door, library, review, compare, apply, activity, account, admin,
    device,
)  # fmt: skip


@pytest.mark.parametrize(
    ("language", "either_machine"),
    [("en-GB", "sqlite"), ("fr-FR", "postgresql")],
    indirect=["either_machine"],
)
def test_every_page(
    either_machine: Machine, footage: Path, tmp_path: Path, axe: str, language: str
) -> None:
    """None has a barrier, in light and in dark; none is wider than a narrow window. Pictures are kept."""
    pictures = Path(os.environ.get("RETAIA_PICTURES", tmp_path / "pictures"))
    pictures.mkdir(parents=True, exist_ok=True)
    found: list[str] = []
    shutil.copy(footage / "INBOX" / "denali.webp", footage / "INBOX" / HOSTILE)
    (footage / "INBOX" / "of nothing.xmp").write_text("<x/>")
    with (
        browser(tmp_path / "profile", language=language) as page,
        stage(either_machine, footage) as at,
    ):
        for part in TOUR:
            for state in part(at, page):
                found += looked_over(page, axe, f"{state}-{language[:2]}", pictures)
    (pictures / f"barriers-{language[:2]}.txt").write_text("\n".join(found))
    assert found == []
    asked = [one for one in page.complaints if "401" not in one and "404" not in one]
    assert asked == []
