"""What stands beside an asset in the library, and leads the page of what happens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from retaia_tests.browser import Browser
from retaia_tests.machine import Machine
from retaia_tests.web_stage import photos, showing, stage, walk

pytestmark = pytest.mark.browser


def marked(page: Browser, name: str, *marks: str) -> None:
    """Wait until the cell of an asset shows exactly these marks, in the grid or in the list."""
    said = json.dumps(json.dumps(marks, separators=(",", ":")))
    page.wait(
        f"""[...document.querySelectorAll(".cell")].some((cell) =>
            cell.querySelector(".name")?.textContent === {json.dumps(name)} &&
            JSON.stringify([...cell.querySelectorAll(".marks > *")]
                .map((one) => one.firstChild.textContent)) === {said})"""
    )


def test_marks_in_grid_and_list(either_machine: Machine, tmp_path: Path, page: Browser) -> None:
    """Sidecars, what is missing and a storage that is away are seen at once, and go when they are over."""
    storage = tmp_path / "storage"
    photos(storage / "INBOX", ("a.jpg", "b.jpg", "c.jpg"))
    (storage / "INBOX" / "a.xmp").write_text("<x/>")
    with stage(either_machine, storage) as at:
        at.enter(page)
        marked(page, "a.jpg", "+1")
        marked(page, "c.jpg")
        (storage / "INBOX" / "b.jpg").rename(tmp_path / "b.jpg")
        marked(page, "b.jpg", "Missing")
        walk(page, "/?view=list")
        page.wait("document.querySelector('[data-mode=list] .cell')")
        marked(page, "a.jpg", "+1")
        marked(page, "b.jpg", "Missing")
        walk(page, "/activity")
        showing(page, ".needs", "Missing: 1 asset.")
        page.push(".needs a")
        page.wait("location.search === '?in=missing'")
        marked(page, "b.jpg", "Missing")
        walk(page, "/")
        marker = storage / ".retaia"
        marker.rename(tmp_path / "marker")
        marked(page, "c.jpg", "Storage offline")
        marked(page, "a.jpg", "Storage offline", "+1")
        (tmp_path / "marker").rename(marker)
        marked(page, "c.jpg")
        (tmp_path / "b.jpg").rename(storage / "INBOX" / "b.jpg")
        marked(page, "b.jpg")
        assert at.states()["INBOX/b.jpg"] == "DECISION_PENDING"
