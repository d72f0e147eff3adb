"""Deleting for good, in the browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from retaia_tests.browser import Browser
from retaia_tests.machine import Machine
from retaia_tests.web_stage import photos, showing, stage, text, walk

pytestmark = pytest.mark.browser


def test_a_rejected_photo_is_purged_after_a_typed_word(
    machine: Machine, tmp_path: Path, page: Browser
) -> None:
    """What would go is shown; nothing goes without the word; its certificate is there afterwards."""
    storage = tmp_path / "storage"
    photos(storage / "INBOX", ("a.jpg", "b.jpg"))
    (storage / "INBOX" / "a.xmp").write_text("<x/>")
    with stage(machine, storage) as at:
        assert at.machine.run("decide", "reject", "INBOX/a.jpg").code == 0
        assert at.machine.run("batch", "apply", "--yes").code == 0
        at.enter(page, path="/review?in=rejected")
        showing(page, ".verdicts", "Purge")
        page.run("document.querySelector('.verdicts .reject').click()")
        showing(page, "dialog", "This cannot be undone.")
        assert "a.xmp" in text(page, "dialog")
        page.press("Enter")
        assert page.run("document.querySelector('dialog').open")
        assert page.run("document.querySelector('dialog button[value=yes]').disabled")
        page.run("document.querySelector('#purge-word').focus()")
        page.type("PURGE")
        page.wait("!document.querySelector('dialog button[value=yes]').disabled")
        page.run("document.querySelector('dialog button[value=yes]').click()")
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
