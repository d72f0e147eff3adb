"""Deleting for good, in the browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from retaia_tests.browser import Browser
from retaia_tests.machine import Machine
from retaia_tests.web_stage import photos, showing, stage, text, walk

pytestmark = pytest.mark.browser


def test_a_rejected_photo_is_purged_after_a_typed_word(
    either_machine: Machine, tmp_path: Path, page: Browser
) -> None:
    """What would go is shown; nothing goes without the word; its certificate is there afterwards."""
    storage = tmp_path / "storage"
    photos(storage / "INBOX", ("a.jpg", "b.jpg"))
    (storage / "INBOX" / "a.xmp").write_text("<x/>")
    with stage(either_machine, storage) as at:
        assert at.machine.run("decide", "reject", "INBOX/a.jpg").code == 0
        assert at.machine.run("batch", "apply", "--yes").code == 0
        at.enter(page, path="/review?in=rejected")
        showing(page, ".verdicts", "Purge")
        page.push(".verdicts .reject")
        showing(page, "dialog", "This cannot be undone.")
        assert "a.xmp" in text(page, "dialog")
        page.press("Enter")
        assert page.run("document.querySelector('dialog').open")
        assert page.run("document.querySelector('dialog button[value=yes]').disabled")
        page.run("document.querySelector('#confirm-word').focus()")
        page.type("PURGE")
        page.wait("!document.querySelector('dialog button[value=yes]').disabled")
        page.push("dialog button[value=yes]")
        showing(page, "dialog", "Certificate of the purge")
        showing(page, "dialog .certificate", "a.xmp")
        assert not (storage / "REJECTS" / "a.jpg").exists()
        assert not (storage / "REJECTS" / "a.xmp").exists()
        assert (storage / "INBOX" / "b.jpg").exists()
        page.press("Escape")
        showing(page, ".verdicts", "Purged")
        walk(page, "/review?in=decide")
        showing(page, ".shown-name", "b.jpg")
        page.press("w")
        page.wait("document.querySelector('.why summary')")
        page.run("[...document.querySelectorAll('.why details')].at(-1).open = true")
        page.wait("document.querySelectorAll('.why .history li').length > 2")


def test_several_are_purged_after_one_typed_word(
    either_machine: Machine, tmp_path: Path, page: Browser
) -> None:
    """Each by itself: one that is not as it was shown any more stays, and says why."""
    storage = tmp_path / "storage"
    names = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    photos(storage / "INBOX", names)
    with stage(either_machine, storage) as at:
        rejected = [f"INBOX/{name}" for name in names[:3]]
        assert at.machine.run("decide", "reject", *rejected).code == 0
        assert at.machine.run("batch", "apply", "--yes").code == 0
        at.enter(page, path="/?in=rejected&sort=name")
        page.wait("document.querySelectorAll('.cell img').length === 3")
        showing(page, ".line", "Delete what was rejected")
        for key in (" ", "ArrowRight", " ", "ArrowRight", " "):
            page.press(key)
        page.run("[...document.querySelectorAll('.chosen .reject')].at(-1).click()")
        page.wait("document.querySelectorAll('.purges input:checked').length === 3")
        showing(page, "#purge-do", "Delete 3 assets")
        assert "not asked for" in text(page, ".purges tbody")
        assert page.run("document.querySelectorAll('.purges time').length") == 3
        page.click(".purges tbody tr:nth-child(2) input")
        showing(page, "#purge-do", "Delete 2 assets")
        page.push("#purge-do")
        showing(page, "dialog", "This cannot be undone.")
        assert page.run("document.querySelector('dialog button[value=yes]').disabled")
        page.run("document.querySelector('#confirm-word').focus()")
        page.type("PURGE")
        page.wait("!document.querySelector('dialog button[value=yes]').disabled")
        (storage / "REJECTS" / "c.jpg").write_bytes(b"another")
        page.push("dialog button[value=yes]")
        showing(page, ".notes", "1 asset is purged")
        showing(page, ".notes", "1 was not deleted: see the list.")
        showing(page, ".purges tr[data-stage=gone]", "a.jpg")
        showing(page, ".purges tbody tr:nth-child(3)", "c.jpg")
        assert sorted(path.name for path in (storage / "REJECTS").iterdir()) == ["b.jpg", "c.jpg"]
        page.push(".purges tr[data-stage=gone] button")
        showing(page, "dialog", "Certificate of the purge")
        page.press("Escape")
        walk(page, "/purge")
        page.wait("document.querySelectorAll('.purges tbody tr').length === 2")
        assert page.run("document.querySelectorAll('.purges input:checked').length") == 0
