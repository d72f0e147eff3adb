"""Similar shots side by side in the browser, by keyboard."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from retaia_tests.browser import Browser
from retaia_tests.machine import Machine
from retaia_tests.web_stage import Stage, photos, showing, stage, text

pytestmark = pytest.mark.browser

ACTED = (
    "[...document.querySelectorAll('.pane')].findIndex((one) => one.getAttribute('aria-current'))"
)
TIMES = "[...document.querySelectorAll('.pane video')].map((one) => one.currentTime)"
SENT = "localStorage.getItem('retaia.waiting') === null"
SHOTS = ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg")


def acts_on(page: Browser, at: int, name: str) -> None:
    """Wait until exactly this one is framed, named and told to a screen reader as what keys act on."""
    page.wait(f"{ACTED} === {at - 1}")
    assert page.run("document.querySelectorAll('.pane[aria-current]').length") == 1
    showing(page, ".acted-name", f"{at} · {name}")
    page.wait(
        f"document.querySelector('.aloud[role=status]').textContent.startsWith('Keys act on {at} of ')"
    )
    label = page.run("document.querySelector('.pane[aria-current]').getAttribute('aria-label')")
    assert name in label
    assert label.endswith("keys act here")


def decided(at: Stage, page: Browser) -> str:
    """K, R or - for each photo, in the order of names, once all is sent."""
    page.wait(SENT)
    letters = {"DECIDED_KEEP": "K", "DECIDED_REJECT": "R", "DECISION_PENDING": "-"}
    return "".join(letters[state] for _, state in sorted(at.states().items()))


def test_photos_side_by_side(either_machine: Machine, tmp_path: Path, page: Browser) -> None:
    """Chosen in the library, looked at together, decided one by one and at once, and taken back."""
    photos(tmp_path / "storage" / "INBOX", SHOTS)
    with stage(either_machine, tmp_path / "storage") as at:
        at.enter(page, path="/?sort=name")
        page.wait("document.querySelectorAll('.cell img').length === 5")
        page.press("c")
        showing(page, ".notes", "choose that many")
        for key in (" ", "ArrowRight", " ", "ArrowRight", " "):
            page.press(key)
        page.press("c")
        page.wait("document.querySelectorAll('.pane r-photo img').length === 3")
        acts_on(page, 1, "a.jpg")
        address = page.run("location.pathname")

        # One zoom and one place for all.
        page.press("z")
        page.press("ArrowRight", shift=True)
        seen = (
            "new Set([...document.querySelectorAll('.pane img')].map((one) => one.style.transform))"
        )
        assert page.run(f"{seen}.size") == 1
        assert "scale(1)" not in page.run(f"[...{seen}][0]")
        page.press("z")

        # Keys act on the one that was chosen, and on no other.
        page.press("ArrowRight")
        acts_on(page, 2, "b.jpg")
        page.press("x")
        assert decided(at, page) == "-R---"
        page.press("3")
        acts_on(page, 3, "c.jpg")
        page.press("p", shift=True)
        showing(page, ".notes", "c.jpg is kept, 2 others rejected.")
        assert decided(at, page) == "RRK--"

        # Back: one of the act alone, then the rest of it, then what was before.
        page.press("1")
        page.press("Backspace")
        assert decided(at, page) == "-RK--"
        page.press("z", control=True)
        assert decided(at, page) == "-R---"
        page.press("z", control=True)
        assert decided(at, page) == "-----"
        page.press("p", shift=True)
        assert decided(at, page) == "KRR--"
        page.press("z", control=True)
        showing(page, ".notes", "3 decisions are taken back")
        assert decided(at, page) == "-----"

        # Back to the library, as it was left; and by its address again.
        page.press("Escape")
        showing(page, ".chosen", "3 chosen")
        assert page.run("location.search") == "?sort=name"
        page.open(at.url + address)
        page.wait("document.querySelectorAll('.pane r-photo img').length === 3")
        acts_on(page, 1, "a.jpg")
        page.press("Escape")
        showing(page, ".shown-name", "a.jpg")


def test_from_the_queue_on_a_narrow_screen(
    either_machine: Machine, tmp_path: Path, page: Browser
) -> None:
    """The shown one and the next three; stacked, so that each is as wide as the screen."""
    photos(tmp_path / "storage" / "INBOX", SHOTS)
    with stage(either_machine, tmp_path / "storage") as at:
        at.enter(page, path="/review?in=decide&sort=name")
        showing(page, ".shown-name", "a.jpg")
        page.wait("document.querySelector('.verdict')")
        page.press("ArrowRight")
        showing(page, ".shown-name", "b.jpg")
        page.press("4")
        page.wait("document.querySelectorAll('.pane r-photo img').length === 4")
        acts_on(page, 1, "b.jpg")
        page.press("ArrowDown")
        acts_on(page, 3, "d.jpg")  # two rows of two
        page.look(width=400, height=800)
        lefts = "new Set([...document.querySelectorAll('.pane')].map((one) => one.offsetLeft)).size"
        page.wait(f"{lefts} === 1")
        assert page.run("document.documentElement.scrollWidth") <= 400
        page.press("ArrowDown")
        acts_on(page, 4, "e.jpg")
        page.press("p")
        assert decided(at, page) == "----K"
        page.press("Escape")
        showing(page, ".shown-name", "b.jpg")
        page.wait("location.search.includes('in=decide')")


def test_one_that_is_not_there(either_machine: Machine, tmp_path: Path, page: Browser) -> None:
    """The others are compared all the same; too many or too few are explained."""
    photos(tmp_path / "storage" / "INBOX", SHOTS)
    with stage(either_machine, tmp_path / "storage") as at:
        at.enter(page)
        page.wait("document.querySelectorAll('.cell img').length === 5")
        uuid = page.run("document.querySelector('.cell').dataset.uuid")
        page.open(f"{at.url}/compare/{uuid},00000000-0000-4000-8000-000000000000")
        page.wait("document.querySelector('.pane r-photo img')")
        showing(page, ".pane:nth-child(2)", "there is no asset")
        page.press("2")
        page.press("p", shift=True)
        showing(page, ".notes", "Not open for a decision now")
        assert decided(at, page) == "-----"
        page.open(f"{at.url}/compare/{uuid}")
        showing(page, ".blank", "Two to four")


def test_videos_side_by_side(
    either_machine: Machine, media: Path, tmp_path: Path, page: Browser
) -> None:
    """They play, stop, step and seek together; one of them is heard."""
    inbox = tmp_path / "storage" / "INBOX"
    inbox.mkdir(parents=True)
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(media / "sample-h264.mp4", inbox / name)
    with stage(either_machine, tmp_path / "storage") as at:
        at.enter(page, path="/review?in=all&sort=name")
        page.wait("document.querySelector('.verdict')")
        page.press("c")
        all_of = "[...document.querySelectorAll('.pane video')].every((one) => {})"
        page.wait("document.querySelectorAll('.pane video').length === 2")
        page.wait(all_of.format("one.readyState >= 2"))
        acts_on(page, 1, "a.mp4")
        muted = "[...document.querySelectorAll('.pane video')].map((one) => one.muted)"
        assert page.run(muted) == [False, True]
        page.press("2")
        acts_on(page, 2, "b.mp4")
        assert page.run(muted) == [True, False]
        page.press("m")
        assert page.run(muted) == [True, True]
        page.press("1")
        page.press(".")
        page.press(".")
        page.wait(f"{TIMES}.every((time) => Math.abs(time - 2 / 25) < 0.005)")
        page.press(" ")
        page.wait(all_of.format("!one.paused && one.currentTime > 0.3"))
        page.press(" ")
        page.wait(all_of.format("one.paused"))
        page.wait(f"(([a, b]) => Math.abs(a - b) < 0.005)({TIMES})")
        page.run(
            """(([, bar]) => {
                bar.value = 1;
                bar.dispatchEvent(new Event("input"));
            })(document.querySelectorAll(".pane .seek"))"""
        )
        page.wait(f"{TIMES}.every((time) => Math.abs(time - 1) < 0.05)")
        page.press("l")
        page.press("l")
        page.wait(all_of.format("one.playbackRate === 1.5"))
        page.press("k")
        assert json.dumps(text(page, ".notes")) == '""'
        assert page.complaints == []
