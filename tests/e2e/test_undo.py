"""Taking a batch back as a person does it: real files, one command, and a process that dies in the middle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from retaia_tests.killing import DIES
from retaia_tests.machine import Machine
from retaia_tests.trees import tree

pytestmark = pytest.mark.e2e

NAMES = ("INBOX/a.jpg", "INBOX/day 1/b.jpg", "INBOX/day 1/Tame.jpg")


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A folder with three photos, two with a sidecar; the name of one is taken in the archive."""
    folder = tmp_path / "storage"
    (folder / "INBOX" / "day 1").mkdir(parents=True)
    for shade, name in enumerate(NAMES):
        Image.new("RGB", (64, 48), (shade * 50, 90, 90)).save(folder / name)
    (folder / "INBOX" / "a.xmp").write_text("<x/>")
    (folder / "INBOX" / "day 1" / "b.xmp").write_text("<y/>")
    (folder / "ARCHIVE").mkdir()
    (folder / "ARCHIVE" / "A.jpg").write_bytes(b"somebody else's")
    return folder


def applied(machine: Machine, storage: Path) -> str:
    """Prepare and decide the photos, and move them; the id of the batch."""
    assert machine.up(storage).code == 0
    assert machine.run("decide", "keep", *NAMES[:2]).code == 0
    assert machine.run("decide", "reject", NAMES[2]).code == 0
    done = machine.run("batch", "apply", "--yes", "--json")
    assert done.code == 0, done.errors
    return str(done.document["batch_id"])


def states(machine: Machine) -> set[tuple[str, str]]:
    """Path and state of every asset."""
    listed = machine.run("assets", "list", "--json").document["assets"]
    return {(asset["path"], asset["state"]) for asset in listed}


BACK = set(zip(NAMES, ("DECIDED_KEEP", "DECIDED_KEEP", "DECIDED_REJECT"), strict=True))


def test_from_preview_to_refusal(sqlite_machine: Machine, storage: Path) -> None:
    """The dry run changes nothing, --yes takes the batch back, and a second time is refused."""
    machine = sqlite_machine
    before = tree(storage)
    batch = applied(machine, storage)
    why = machine.run("why", "REJECTS/day 1/Tame.jpg", "--json").document
    assert any(f"retaia batch undo {batch}" in step for step in why["next"])
    moved = tree(storage)
    assert any("/a__" in path for path in moved)
    shown = machine.run("batch", "undo", batch, "--json")
    assert (shown.code, shown.document["undone"]) == (0, False)
    assert shown.document["summary"]["files"] == 5
    assert tree(storage) == moved
    other = machine.run("batch", "undo", batch, "--yes", "--expect", "0" * 64)
    assert other.code == 1
    assert "preview again" in other.errors
    digest = shown.document["digest"]
    done = machine.run("batch", "undo", batch, "--yes", "--expect", digest, "--json")
    assert done.code == 0, done.errors
    assert done.document["undoes"] == batch
    assert tree(storage) == before
    assert states(machine) == BACK
    again = machine.run("batch", "undo", batch, "--yes")
    assert again.code == 1
    assert f"undone before by batch {done.document['batch_id']}" in again.errors
    assert machine.run("batch", "undo", done.document["batch_id"], "--yes").code == 1
    # A later scan finds everything where it is known to be.
    answer = machine.up(storage)
    assert (answer.code, answer.document["scan"]["new"]) == (0, 0)
    assert states(machine) == BACK


def test_a_part_goes_back_alone(sqlite_machine: Machine, storage: Path) -> None:
    """Assets that a person names, by where they are now, go back; the others stay archived."""
    machine = sqlite_machine
    before = tree(storage)
    batch = applied(machine, storage)
    part = machine.run("batch", "undo", batch, "REJECTS/day 1/Tame.jpg", "--yes", "--json")
    assert part.code == 0, part.errors
    assert [r["outcome"] for r in part.document["results"]] == ["MOVED"]
    assert ("INBOX/day 1/Tame.jpg", "DECIDED_REJECT") in states(machine)
    assert {state for _, state in states(machine)} == {"ARCHIVED", "DECIDED_REJECT"}
    assert machine.run("batch", "undo", batch, "--yes").code == 0
    assert tree(storage) == before
    assert states(machine) == BACK


@pytest.mark.faults
@pytest.mark.parametrize("moved", [1, 2])
def test_a_killed_undo_is_finished(machine: Machine, storage: Path, moved: int) -> None:
    """Kill -9 in the middle of a group and between two: the next start brings every file back."""
    before = tree(storage)
    batch = applied(machine, storage)
    there = tree(storage)
    command = [sys.executable, "-c", DIES, str(moved), "batch", "undo", batch, "--yes"]
    died = subprocess.run(
        command, env=machine.environment, cwd=machine.home, check=False, timeout=120
    )
    assert died.returncode == -9
    assert len(there.keys() - tree(storage).keys()) == moved
    answer = machine.up(storage)
    assert answer.code == 0, answer.errors
    assert tree(storage) == before
    assert states(machine) == BACK
    assert answer.document["scan"]["new"] == 0
