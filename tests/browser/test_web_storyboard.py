"""The storyboard of a video in the browser."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from attrs import evolve
from retaia_tests.browser import Browser
from retaia_tests.machine import Machine
from retaia_tests.web_stage import showing, stage

pytestmark = pytest.mark.browser

FRAME = "document.querySelector('.cell .frame.video')"


def point(page: Browser, share: float) -> None:
    """Move the pointer to a place over the video's picture, by its share of the width."""
    box = page.run(
        f"(({{x, y, width, height}}) => [x, y, width, height])({FRAME}.getBoundingClientRect())"
    )
    x, y, wide, tall = box
    page.send("Input.dispatchMouseEvent", type="mouseMoved", x=x + wide * share, y=y + tall / 2)


def asked(page: Browser) -> set[str]:
    """What was asked of assets so far, without the one picture that a list shows."""
    return {
        url.partition("/assets/")[2]
        for url in page.requests
        if "/assets/" in url and not url.endswith("/derived/thumb?index=0")
    }


def test_going_through_a_storyboard(
    either_machine: Machine, media: Path, tmp_path: Path, page: Browser
) -> None:
    """Nothing is asked for before; by pointer and by keys; in review a picture leads to its place."""
    chosen = {"RETAIA_PROCESSING_PROFILES": "video_storyboard"}
    inbox = tmp_path / "storage" / "INBOX"
    inbox.mkdir(parents=True)
    shutil.copy(media / "sample-h264.mp4", inbox / "a.mp4")
    shutil.copy(media / "denali.webp", inbox / "b.webp")
    machine = evolve(either_machine, variables={**either_machine.variables, **chosen})
    with stage(machine, tmp_path / "storage") as at:
        at.enter(page, path="/?sort=name")
        page.wait("document.querySelectorAll('.cell img').length === 2")
        assert asked(page) == set()
        point(page, 0.05)
        page.wait("document.querySelector('.scrub img')")
        page.wait("document.querySelector('.scrub').dataset.at === '0'")
        assert asked(page)
        for place in (3, 9, 6):
            point(page, (place + 0.5) / 10)
            page.wait(f"document.querySelector('.scrub').dataset.at === '{place}'")
            page.wait("document.querySelector('.scrub img')?.naturalWidth")
        showing(page, ".scrub-time", "0:06")
        page.send("Input.dispatchMouseEvent", type="mouseMoved", x=2, y=2)
        page.wait("!document.querySelector('.scrub')")

        # With keys, and told to who does not see it.
        aloud = "document.querySelector('.aloud[role=status]').textContent"
        for key, said in ((".", "Picture 1 of 10, 0:00"), (".", "Picture 2 of 10, 0:01")):
            page.press(key)
            page.wait(f"{aloud} === '{said}'")
        page.press("ArrowRight")
        page.wait("!document.querySelector('.scrub')")
        page.press(".")
        showing(page, ".notes", "This has no storyboard")

        # Who wants no motion has it only by keys.
        page.send(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-reduced-motion", "value": "reduce"}],
        )
        point(page, 0.5)
        page.press("ArrowLeft")
        page.press(".")
        page.wait(f"{aloud}.startsWith('Picture 1 of 10')")
        page.look()

        # In review.
        page.press("Enter")
        page.wait("document.querySelectorAll('.board img[src]').length === 10")
        media_at = "document.querySelector('r-player video')"
        page.wait(f"{media_at}.readyState >= 2")
        page.click(".board-picture:nth-child(8)")
        page.wait(f"Math.abs({media_at}.currentTime - 0.75 * {media_at}.duration) < 0.01")
        page.wait(
            "document.querySelector('.board [aria-current]').ariaLabel === 'Picture 8 of 10: go to 0:07'"
        )
        page.press("ArrowLeft")
        page.press("Enter")
        page.wait(f"Math.abs({media_at}.currentTime - 0.65 * {media_at}.duration) < 0.01")
        page.press("]")
        page.wait(f"Math.abs({media_at}.currentTime - 0.75 * {media_at}.duration) < 0.01")
        assert page.complaints == []
