"""The whole way of a person, by keyboard: first sign-in, decisions, files on disk, and back."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from retaia_tests.browser import Browser
from retaia_tests.machine import Machine
from retaia_tests.trees import tree
from retaia_tests.web_stage import showing, stage, text, walk

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

OPEN = 12
"""Of the real media, so many can be looked at; two are cut off."""

INKED = """(() => {
    const canvas = CANVAS;
    const pen = canvas.getContext("2d");
    const inks = pen.getImageData(0, 0, canvas.width, canvas.height).data.filter((_, at) => at % 4 === 3);
    return inks.reduce((sum, ink) => sum + (ink > 0), 0) / inks.length;
})()"""
"""The share of a canvas that something is drawn on."""


def decide_all(page: Browser) -> dict[str, str]:
    """Decide everything in the queue with single keys; every third is rejected."""
    decided: dict[str, str] = {}
    for at in range(OPEN):
        page.wait("document.querySelector('.verdict')")
        page.wait(
            f"document.querySelector('.progress').innerText.includes('{OPEN - at} to decide')"
        )
        name = text(page, ".shown-name")
        assert name not in decided
        page.press("x" if at % 3 == 2 else "p")
        decided[name] = "REJECTS" if at % 3 == 2 else "ARCHIVE"
    showing(page, ".progress", "0 to decide")
    return decided


def by_keyboard_to(page: Browser, selector: str) -> None:
    """Press Tab until this has the focus."""
    for _ in range(60):
        if page.run(f"document.activeElement?.matches({selector!r})"):
            return
        page.press("Tab")
    raise AssertionError(f"Tab never reached {selector}")


def test_from_the_link_to_the_archive_and_back(
    either_machine: Machine, footage: Path, page: Browser
) -> None:
    """Real media, a real agent, no mouse; nothing is asked of any other host, nothing is complained of."""
    with stage(either_machine, footage) as at:
        before = tree(footage / "INBOX")
        page.open(at.link())
        page.wait("document.querySelectorAll('.cell img').length >= 10")
        assert page.run("location.hash + location.search") == ""
        assert page.run("document.activeElement.localName") == "r-shelf"

        # To the queue, and through it.
        by_keyboard_to(page, "a[href='/review']")
        page.press("Enter")
        decided = decide_all(page)
        page.press("z", control=True)
        showing(page, ".progress", "1 to decide")
        last = text(page, ".shown-name")
        page.press("p")
        decided[last] = "ARCHIVE"
        showing(page, ".progress", "0 to decide")

        # The plan, read and confirmed.
        by_keyboard_to(page, "nav a[href='/apply']")
        page.press("Enter")
        showing(page, "r-apply h2", f"{OPEN} assets move")
        assert (
            text(page, "table.moves").count("prairie_falcon") == 4
        )  # with its sidecar, from and to
        assert tree(footage / "INBOX") == before
        by_keyboard_to(page, "r-apply button.main")
        page.press("Enter")
        showing(page, "dialog", "No file is deleted or overwritten")
        page.press("Enter")  # once too often: the focus is on no button
        assert page.run("document.querySelector('dialog').open")
        by_keyboard_to(page, "dialog button[value=yes]")
        page.press("Enter")
        showing(page, "r-batch", f"Done: {OPEN} assets moved.")
        for name, folder in decided.items():
            assert (footage / folder / name).exists(), name
            assert not (footage / "INBOX" / name).exists()
        assert (footage / decided["prairie_falcon.jpg"] / "prairie_falcon.xmp").exists()

        # And back.
        by_keyboard_to(page, "r-batch button")
        page.press("Enter")
        showing(page, "dialog", "files back?")
        by_keyboard_to(page, "dialog button[value=yes]")
        page.press("Enter")
        showing(page, "r-batch h1", "Undo of a batch")
        showing(page, "r-batch", f"Done: {OPEN} assets moved.")
        assert tree(footage / "INBOX") == before

        # What cannot be prepared leads the page of what happens.
        walk(page, "/activity")
        showing(page, ".needs", "truncated.mp4")
        showing(page, ".cause button:nth-of-type(2)", "Decide all the same")
        page.push(".cause button:nth-of-type(2)")
        page.wait("document.querySelectorAll('.cause').length === 1")
        assert sorted(at.states().values()).count("DECISION_PENDING") == 1
        hosts = {urlsplit(url).netloc for url in page.requests if url.startswith("http")}
        assert hosts == {urlsplit(at.url).netloc}
        assert not any("token" in url or "link=" in url for url in page.requests)
        assert page.complaints == []


def test_players(machine: Machine, footage: Path, page: Browser) -> None:
    """Video and sound play from the proxy: by frames, by J, K and L, and from a place in the waveform."""
    with stage(machine, footage) as at:
        at.enter(page, path="/review?media_type=VIDEO&in=all")
        showing(page, ".shown-name", "sample-h264.mp4")
        media = "document.querySelector('r-player video')"
        page.wait(f"{media}?.readyState >= 2")
        assert page.run(f"{media}.src").startswith(at.url)  # streamed, not loaded whole
        page.press(".")
        page.press(".")
        page.wait(f"Math.abs({media}.currentTime - 2 / 25) < 0.005")
        showing(page, ".time .code", "01:00:00:02")
        page.press(",")
        showing(page, ".time .code", "01:00:00:01")
        page.press("l")
        page.wait(f"!{media}.paused && {media}.currentTime > 0.3")
        page.press("l")
        assert page.run(f"{media}.playbackRate") == 1.5
        page.press("k")
        page.wait(f"{media}.paused")
        there = float(page.run(f"{media}.currentTime"))
        page.press("j")
        page.wait(f"{media}.currentTime < {there} - 0.2")
        page.press("k")
        page.click(".seek")
        page.wait(f"Math.abs({media}.currentTime - {media}.duration / 2) < 0.2")
        walk(page, "/review?media_type=AUDIO&in=all")
        page.wait("document.querySelector('r-player audio')?.readyState >= 2")
        drawn = INKED.replace("CANVAS", "document.querySelector('.wave')")
        page.wait(f"{drawn} > 0.01")
        assert page.complaints == []
