"""A move that could not be proven, from the crash to a person's word, with real files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from retaia_tests.killing import DIES
from retaia_tests.machine import Machine
from retaia_tests.trees import tree

pytestmark = [pytest.mark.e2e, pytest.mark.faults]


def test_from_the_crash_to_a_persons_word(sqlite_machine: Machine, tmp_path: Path) -> None:
    """Killed between two files, one changed meanwhile: parked, shown, refused what is not so, settled."""
    machine, folder = sqlite_machine, tmp_path / "storage"
    (folder / "INBOX").mkdir(parents=True)
    Image.new("RGB", (64, 48), (10, 90, 90)).save(folder / "INBOX" / "a.jpg")
    (folder / "INBOX" / "a.xmp").write_text("<x/>")
    assert machine.up(folder).code == 0
    assert machine.run("decide", "keep", "INBOX/a.jpg").code == 0
    command = [sys.executable, "-c", DIES, "1", "batch", "apply", "--yes"]
    died = subprocess.run(
        command, env=machine.environment, cwd=machine.home, check=False, timeout=120
    )
    assert died.returncode == -9
    with (folder / "ARCHIVE" / "a.jpg").open("ab") as file:
        file.write(b"more")
    there = tree(folder)

    # The next start cannot prove it, waits for nobody, and touches nothing.
    assert machine.up(folder).code == 0
    assert tree(folder) == there
    why = machine.run("why", "INBOX/a.jpg", "--json").document
    assert any("retaia recover" in step for step in why["next"])
    (parked,) = machine.run("recover", "--json").document["parked"]
    original, sidecar = parked["files"]
    assert (original["at_source"], sidecar["at_target"]) == (None, None)
    assert [choice["choice"] for choice in parked["choices"]] == ["moved"]
    assert len(parked["choices"][0]["consequences"]) == 2
    refused = machine.run("recover", parked["uuid"], "--accept", "not-moved")
    assert refused.code == 1
    assert "open now: moved" in refused.errors
    assert machine.run("recover", "--accept", "moved").code == 2

    settled = machine.run("recover", parked["uuid"], "--accept", "moved", "--json")
    assert settled.code == 0, settled.errors
    assert (settled.document["state"], settled.document["flags"]) == ("ARCHIVED", ["changed"])
    assert tree(folder) == there
    assert machine.run("recover", "--json").document == {"parked": []}
    history = machine.run("history", parked["uuid"], "--json").document
    assert "move.settled" in str(history)
