"""Folders for results."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from retaia_agent.workspace import bundle_folder, output_problem, run_folder

HOLD = """
import sys, time
from pathlib import Path
from retaia_agent.workspace import run_folder
with run_folder(Path(sys.argv[1])) as folder:
    (folder / "half-made.mp4").write_bytes(b"x")
    print(folder, flush=True)
    time.sleep(600)
"""


def runs(workspace: Path) -> list[Path]:
    """The folders of runs."""
    return [path for path in workspace.iterdir() if path.is_dir()]


def test_left_overs_of_a_crash_are_removed_and_live_runs_are_left_alone(tmp_path: Path) -> None:
    """A run that was killed is cleared by the next; a run that lives is not touched."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        with run_folder(tmp_path) as ours:
            assert set(runs(tmp_path)) == {ours, theirs}
            assert (theirs / "half-made.mp4").exists()
        other.send_signal(signal.SIGKILL)
    assert runs(tmp_path) == [theirs]
    with run_folder(tmp_path) as ours:
        assert runs(tmp_path) == [ours]
    assert [path.name for path in tmp_path.iterdir()] == ["guard.lock"]


def test_folders_are_private_and_temporary(tmp_path: Path) -> None:
    """0700, empty, and gone afterwards, also after an error."""
    with run_folder(tmp_path / "deep" / "workspace") as run:
        with suppress(ZeroDivisionError), bundle_folder(run) as folder:
            assert folder.stat().st_mode & 0o777 == 0o700
            assert list(folder.iterdir()) == []
            (folder / "x").mkdir()
            (folder / "x" / "y").write_bytes(b"z")
            raise ZeroDivisionError
        assert list(run.iterdir()) == []


def test_what_counts_as_an_output(tmp_path: Path) -> None:
    """A result is a regular file in the workspace, reached without links."""
    folder, outside = tmp_path / "w", tmp_path / "outside"
    (folder / "sub").mkdir(parents=True)
    outside.write_bytes(b"secret")
    (folder / "sub" / "good").write_bytes(b"x")
    (folder / "link").symlink_to(outside)
    (folder / "inner").symlink_to(folder / "sub" / "good")
    (folder / "away").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    assert output_problem(folder / "sub" / "good", folder) is None
    refused = ["link", "inner", "away/outside", "pipe", "sub", "none", "../outside"]
    assert [name for name in refused if output_problem(folder / name, folder) is None] == []
