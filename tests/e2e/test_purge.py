"""Purging as a person does it: rejected footage, real files, one command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from retaia_tests.machine import Machine

pytestmark = pytest.mark.e2e


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A folder with two photos, one with a sidecar, in its inbox."""
    folder = tmp_path / "storage"
    (folder / "INBOX").mkdir(parents=True)
    for name, shade in (("a", 10), ("b", 200)):
        Image.new("RGB", (64, 48), (shade, 90, 90)).save(folder / "INBOX" / f"{name}.jpg")
    (folder / "INBOX" / "a.xmp").write_text("<x/>")
    return folder


def files_in(folder: Path) -> set[str]:
    """Every file of a storage but its marker."""
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    return found - {".retaia"}


def test_only_what_was_rejected_goes(sqlite_machine: Machine, storage: Path) -> None:
    """The preview changes nothing; --yes deletes every file of the asset and no other; again is harmless."""
    machine = sqlite_machine
    assert machine.up(storage).code == 0
    assert machine.run("decide", "reject", "INBOX/a.jpg").code == 0
    early = machine.run("purge", "INBOX/a.jpg", "--yes", "--json")
    assert early.code == 1
    assert early.document["results"][0]["error"]["code"] == "STATE_CONFLICT"
    assert machine.run("batch", "apply", "--yes").code == 0
    before = files_in(storage)
    assert {"REJECTS/a.jpg", "REJECTS/a.xmp", "INBOX/b.jpg"} <= before

    shown = machine.run("purge", "REJECTS/a.jpg", "--json")
    assert (shown.code, shown.document["deleted"]) == (0, False)
    (plan,) = shown.document["results"]
    assert files_in(storage) == before
    why = machine.run("why", "REJECTS/a.jpg", "--json")
    assert any("purge" in step for step in why.document["next"])

    done = machine.run("purge", plan["uuid"], "--yes", "--json")
    assert done.code == 0, done.errors
    assert done.document["results"][0]["state"] == "PURGED"
    gone = before - files_in(storage)
    derived = {f".derived/{f['path']}" for f in plan["files"] if f["role"] == "derived"}
    assert gone == {"REJECTS/a.jpg", "REJECTS/a.xmp", *derived}
    assert len(derived) >= 2

    again = machine.run("purge", plan["uuid"], "--yes", "--json")
    assert (again.code, again.document["results"][0]["state"]) == (0, "PURGED")
    history = machine.run("history", plan["uuid"], "--json")
    assert "asset.purged" in str(history.document)
    assert machine.up(storage).code == 0
    assert files_in(storage) == before - gone


def test_a_file_that_was_worked_on_stays(sqlite_machine: Machine, storage: Path) -> None:
    """A rejected file that somebody changed is not deleted, and the difference is told."""
    machine = sqlite_machine
    assert machine.up(storage).code == 0
    assert machine.run("decide", "reject", "INBOX/a.jpg").code == 0
    assert machine.run("batch", "apply", "--yes").code == 0
    rejected = storage / "REJECTS" / "a.jpg"
    Image.new("RGB", (65, 49), (1, 2, 3)).save(rejected)
    before = files_in(storage)
    refused = machine.run("purge", "REJECTS/a.jpg", "--yes", "--json")
    assert refused.code == 1
    (block,) = refused.document["results"][0]["error"]["blocked"]
    assert (block["reason"], block["found"]["size"]) == ("changed", rejected.stat().st_size)
    assert files_in(storage) == before


DIES = """
import os, sys
from retaia_adapters.files import removal

left, whole = int(sys.argv[1]), removal.remove


def cut(disk, place, seen):
    global left
    if left == 0:
        os._exit(9)
    left -= 1
    return whole(disk, place, seen)


removal.remove = cut
from retaia_adapters.cli.app import run

sys.exit(run(sys.argv[2:]))
"""
"""The command, in a process that dies before it removes another original than so many."""


@pytest.mark.faults
@pytest.mark.parametrize("removed", [0, 1])
def test_a_process_that_dies_in_the_middle(
    sqlite_machine: Machine, storage: Path, removed: int
) -> None:
    """The next start finishes what was accepted: every file goes, once, and is recorded once."""
    machine = sqlite_machine
    assert machine.up(storage).code == 0
    assert machine.run("decide", "reject", "INBOX/a.jpg").code == 0
    assert machine.run("batch", "apply", "--yes").code == 0
    (plan,) = machine.run("purge", "REJECTS/a.jpg", "--json").document["results"]
    before = files_in(storage)
    command = [sys.executable, "-c", DIES, str(removed), "purge", plan["uuid"], "--yes"]
    died = subprocess.run(
        command, env=machine.environment, cwd=machine.home, check=False, timeout=120
    )
    assert died.returncode == 9
    assert len(before - files_in(storage)) == removed
    early = machine.run("purge", plan["uuid"], "--yes", "--json")
    assert early.code == 1
    assert "asset_purge_lock" in str(early.document)
    assert machine.up(storage).code == 0
    derived = {f".derived/{f['path']}" for f in plan["files"] if f["role"] == "derived"}
    assert before - files_in(storage) == {"REJECTS/a.jpg", "REJECTS/a.xmp", *derived}
    history = machine.run("history", plan["uuid"], "--json").document
    assert str(history).count("'asset.purged'") == 1
