"""Other ways to look and to work: twice as large, without motion, by keys alone; and names that deceive."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from retaia_tests.browser import Browser
from retaia_tests.machine import Machine
from retaia_tests.web_stage import photos, showing, stage, text, walk

pytestmark = pytest.mark.browser

NAMES = ("a.jpg", "b.jpg", "c.jpg")
HOSTILE = (
    "<img src=x onerror=alert(1)>.jpg",
    "\u202egpj.exe\u2066.jpg",
    "line\nbreak\u0007\u200bbell.jpg",
    "\u05d0\u05d1\u05d2 (1).jpg",
)
"""Markup; marks that turn the direction; a line break, a bell and what has no width; honest Hebrew."""
HIDDEN = ("U+202E", "U+2066", "U+000A", "U+0007", "U+200B")

UNSEEN = """[...document.querySelectorAll("button, a, input, select")].filter((one) => {
    const box = one.getBoundingClientRect();
    const beside = box.width > 0 && (box.right > innerWidth + 1 || box.left < -1);
    for (let at = one.parentElement; beside && at; at = at.parentElement)
        if (["auto", "scroll"].includes(getComputedStyle(at).overflowX)) return false;
    return beside && one.checkVisibility({visibilityProperty: true}) && !one.closest(".aloud, .skip");
}).map((one) => one.outerHTML.slice(0, 80))"""
"""What can be worked but lies beside the window, and in nothing that scrolls there."""


def twice_as_large(page: Browser) -> None:
    """What a window of 1280 by 800 shows at 200 %, on a system that asks for less motion."""
    size = {"width": 640, "height": 400, "deviceScaleFactor": 2, "mobile": False}
    page.send("Emulation.setDeviceMetricsOverride", **size)
    still = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    page.send("Emulation.setEmulatedMedia", features=still)


def test_twice_as_large_without_motion_and_by_keys(
    either_machine: Machine, tmp_path: Path, page: Browser
) -> None:
    """Nothing lies beside the window, nothing moves by itself, and the focus comes back to where it was."""
    photos(tmp_path / "storage" / "INBOX", NAMES)
    with stage(either_machine, tmp_path / "storage") as at:
        twice_as_large(page)
        at.enter(page)
        page.wait("document.querySelectorAll('.cell img').length === 3")
        focus = "document.activeElement.localName"
        assert page.run(focus) == "r-shelf"
        page.press("ArrowRight")
        page.press("?")
        page.wait("document.querySelector('dialog[open]')")
        assert page.run("document.querySelector('dialog').contains(document.activeElement)")
        assert page.run(f"({UNSEEN}).length") == 0, page.run(UNSEEN)
        page.press("Escape")
        page.wait("!document.querySelector('dialog')")
        assert page.run(focus) == "r-shelf"

        # Into the review and back: the same photo is the current one, and keys act on it.
        second = page.run("document.querySelector('.cell.current').dataset.uuid")
        page.press("Enter")
        page.wait("document.querySelector('.verdict') && document.querySelector('.stage img')")
        assert second in page.run("location.pathname")
        assert page.run(f"({UNSEEN}).length") == 0, page.run(UNSEEN)
        page.press("p")
        page.wait("localStorage.getItem('retaia.waiting') === null")
        assert page.run("document.getAnimations().length") == 0
        page.press("Escape")
        page.wait("document.querySelector('.cell.current')")
        assert page.run(focus) == "r-shelf"
        for path in ("/apply", "/activity", "/account"):
            walk(page, path)
            page.wait("document.querySelector('main#main').innerText.length > 40")
            assert page.run("document.documentElement.scrollWidth <= innerWidth"), path
            assert page.run(f"({UNSEEN}).length") == 0, (path, page.run(UNSEEN))
        hosts = {urlsplit(url).netloc for url in page.requests if url.startswith("http")}
        assert hosts == {urlsplit(at.url).netloc}
        assert page.complaints == []


def test_names_that_deceive(machine: Machine, tmp_path: Path, page: Browser) -> None:
    """In the library, the review and the plan they are text, with what is hidden in them written out."""
    inbox = tmp_path / "storage" / "INBOX"
    photos(inbox, HOSTILE)
    with stage(machine, tmp_path / "storage") as at:
        at.enter(page)
        page.wait(f"document.querySelectorAll('.cell img').length === {len(HOSTILE)}")
        shown = page.run("document.querySelector('r-shelf').innerText")
        assert [sign for sign in HIDDEN if sign not in shown] == []
        assert "<img src=x onerror=alert(1)>.jpg" in shown
        assert "\u05d0\u05d1\u05d2 (1).jpg" in shown
        titles = page.run("[...document.querySelectorAll('.name')].map((one) => one.title).join()")
        hidden = {chr(int(f"0x{sign[2:]}", 0)) for sign in HIDDEN}
        assert not hidden & set(titles)
        walk(page, "/review?in=decide&sort=name")
        for left in range(len(HOSTILE), 0, -1):
            showing(page, ".progress", f"{left} to decide")
            page.wait("document.querySelector('.verdict')")
            assert not hidden & set(text(page, ".shown-name") + page.run("document.title"))
            page.press("p")
        page.wait("localStorage.getItem('retaia.waiting') === null")
        walk(page, "/apply")
        page.wait("document.querySelector('.plan')")
        plan = text(page, ".plan")
        assert [sign for sign in HIDDEN if sign not in plan] == []
        assert page.run("document.querySelectorAll('[onerror], img[src=x]').length") == 0
        assert page.complaints == []
