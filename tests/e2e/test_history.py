"""The trail as a person reads it: real files and commands, and a database that somebody edits."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from PIL import Image
from retaia_tests.machine import Machine

pytestmark = pytest.mark.e2e

ODD = "INBOX/b\n\u202e.jpg"


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A folder with a photo and its sidecar, and a photo with a name that would spoil a line."""
    folder = tmp_path / "storage"
    (folder / "INBOX").mkdir(parents=True)
    Image.new("RGB", (64, 48), (9, 90, 90)).save(folder / "INBOX" / "a.jpg")
    Image.new("RGB", (64, 48), (99, 90, 90)).save(folder / ODD)
    (folder / "INBOX" / "a.xmp").write_text("<x/>")
    return folder


def test_a_trail_is_read_exported_sealed_and_checked(
    sqlite_machine: Machine, storage: Path
) -> None:
    """Every path finds the story, its lines can be read, and a later edit is named."""
    machine = sqlite_machine
    assert machine.up(storage).code == 0
    assert machine.run("decide", "keep", "INBOX/a.jpg").code == 0
    done = machine.run("batch", "apply", "--yes", "--json")
    batch = done.document["batch_id"]

    told = machine.run("history", "INBOX/a.jpg")
    assert told.code == 0, told.errors
    lines = told.output.splitlines()
    assert lines[0].endswith("Retaia found it at 'INBOX/a.jpg'")
    assert any("kept it" in line for line in lines)
    assert "moved it from 'INBOX/a.jpg' to 'ARCHIVE/a.jpg', and verified it there" in lines[-1]
    for name in ("ARCHIVE/a.jpg", "INBOX/a.xmp", "ARCHIVE/a.xmp", str(storage / "INBOX/a.jpg")):
        assert machine.run("history", name).output == told.output, name
    odd = machine.run("history", ODD)
    assert odd.code == 0
    assert "\u202e" not in odd.output
    assert r"'INBOX/b\n\u202e.jpg'" in odd.output
    of_batch = machine.run("history", batch, "--json").document
    assert [line["what"] for line in of_batch] == [
        "batch.accepted", "move.intent", "move.intent", "move.done", "move.done", "batch.done",
    ]  # fmt: skip

    sealed = machine.run("history", "--check", "--json").document
    assert (sealed["ok"], sealed["unsealed"]) == (True, 0), "the batch seals what it did"
    export = machine.run("history", "--all", "--json").document
    assert sealed["rows"] == len(export)
    assert {line["source"] for line in export} == {"event", "journal"}
    assert all(len(line["sha256"]) == 64 for line in export)
    later = machine.run("history", "--all", "--json", "--since", export[-1]["at"]).document
    assert later == [line for line in export if line["at"] >= export[-1]["at"]]
    assert machine.run("history", "--all", "--json", "--until", "2001-01-01").document == []

    assert machine.run("history", "nothing/here.jpg").code == 4
    assert machine.run("history").code == 2


def test_an_edited_trail_is_found_out(sqlite_machine: Machine, storage: Path) -> None:
    """A server seals as it runs; what is edited in the database afterwards is named, and fails the check."""
    machine = sqlite_machine
    assert machine.up(storage).code == 0
    assert machine.run("decide", "reject", "INBOX/a.jpg").code == 0
    assert machine.up(storage).code == 0
    checked = machine.run("history", "--check", "--json")
    assert checked.code == 0, checked.errors
    head = checked.document["head"]
    assert checked.document["rows"] > 10
    noted = machine.run("history", "--check", "--head", head["digest"].upper())
    assert noted.code == 0
    other = machine.run("history", "--check", "--head", "0" * 64)
    assert (other.code, "no seal has the digest" in other.output) == (1, True)

    with sqlite3.connect(machine.home / "data" / "retaia.db") as database:
        change = "UPDATE events SET actor = 'person:nobody' WHERE name = 'decision.reject'"
        assert database.execute(change).rowcount == 1
        (seq,) = database.execute(
            "SELECT seq FROM events WHERE name = 'decision.reject'"
        ).fetchone()
    found = machine.run("history", "--check")
    assert found.code == 1
    assert f"event {seq} was changed after seal" in found.output
