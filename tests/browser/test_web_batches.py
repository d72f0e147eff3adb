"""The list of batches in the browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from retaia_tests.browser import Browser
from retaia_tests.machine import Machine
from retaia_tests.web_stage import photos, showing, stage, walk

pytestmark = pytest.mark.browser

ROWS = "document.querySelectorAll('.batches tbody tr').length"


def test_every_batch_is_listed(either_machine: Machine, tmp_path: Path, page: Browser) -> None:
    """Newest first, with what became of it, each leading to its page; one that ends meanwhile appears."""
    machine = either_machine
    photos(tmp_path / "storage" / "INBOX", ("a.jpg", "b.jpg"))
    with stage(machine, tmp_path / "storage") as at:
        at.enter(page, path="/apply")
        page.wait("document.querySelector('r-apply a[href=\"/batches\"]')")
        page.push('r-apply a[href="/batches"]')
        showing(page, "r-batches", "Nothing was moved yet")
        assert machine.run("decide", "keep", "INBOX/a.jpg", "INBOX/b.jpg").code == 0
        assert machine.run("batch", "apply", "--yes").code == 0
        page.wait(f"{ROWS} === 1")
        listed = machine.run("batch", "list", "--json").document["batches"]
        first = listed[0]["batch_id"]
        assert (listed[0]["moved"], listed[0]["undone"]) == (2, 0)
        assert machine.run("batch", "undo", first, "--yes").code == 0
        page.wait(f"{ROWS} === 2")
        showing(page, ".batches tbody tr:first-child", "Undo of an earlier batch")
        page.wait(
            "document.querySelector('.batches tbody tr:nth-child(2) td:last-child').innerText === '2'"
        )
        page.push(".batches tbody tr:nth-child(2) a")
        showing(page, "r-batch", "Done: 2 assets moved.")
        assert page.run("location.pathname") == f"/batches/{first}"
        walk(page, "/activity")
        page.wait("document.querySelector('r-activity a[href=\"/batches\"]')")
        assert page.complaints == []
