"""``retaia demo`` as its user runs it: a process of its own, a real server, a real agent, real files."""

from __future__ import annotations

import shlex
import signal
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from retaia_tests.machine import Answer, Machine

from retaia_adapters.demo.checks import print_of
from retaia_adapters.demo.storage import ITEMS

pytestmark = pytest.mark.e2e

HARBOUR = "2026-05-12 Harbour"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """The machine of somebody whose own settings and library must not be met."""
    home = tmp_path_factory.mktemp("home")
    return Machine(home=home, variables={"RETAIA_STORE_URL": "sqlite:////nowhere/at/all.db"})


@pytest.fixture(scope="module")
def shown(machine: Machine) -> Answer:
    """A run whose folder is kept, read as plain lines."""
    return machine.run("demo", "--folder", "kept")


@pytest.fixture(scope="module")
def reported(machine: Machine) -> Answer:
    """A run whose folder is removed, with the report as JSON."""
    return machine.run("demo", "--folder", "removed", "--remove", "--json")


class TestTheReport:
    """What the JSON document says."""

    def test_all_happened_as_announced(self, reported: Answer) -> None:
        """The run exits 0, with nothing on standard error and no problem in its report."""
        assert (reported.code, reported.errors) == (0, "")
        assert reported.document["ok"] is True
        assert reported.document["problems"] == []

    def test_every_asset_is_in_its_state(self, reported: Answer) -> None:
        """Kept ones are archived, rejected ones set aside, damaged ones flagged, the others wait."""
        assets = [f["asset"] for f in reported.document["files"] if "asset" in f]
        states = Counter((a["state"], *a["flags"]) for a in assets)
        assert states == {
            ("ARCHIVED",): 7,
            ("REJECTED",): 3,
            ("DECISION_PENDING",): 3,
            ("READY", "unprocessable"): 2,
        }

    def test_the_collision_got_another_name_as_a_group(self, reported: Answer) -> None:
        """The video whose name was taken is renamed together with its subtitles, and nothing else is."""
        (renamed,) = (m for m in reported.document["plan"]["moves"] if m["renamed"])
        stems = {Path(f["to"]).stem for f in renamed["files"]}
        assert [Path(f["from"]).name for f in renamed["files"]] == [
            "A001_C003.MOV",
            "A001_C003.srt",
        ]
        assert len(stems) == 1
        assert "A001_C003__" in stems.pop()

    def test_every_move_is_reported_as_moved(self, reported: Answer) -> None:
        """The report of the batch has one outcome for each planned move: moved."""
        outcomes = reported.document["batch"]["outcomes"]
        assert set(outcomes.values()) == {"MOVED"}
        assert len(outcomes) == len(reported.document["plan"]["moves"]) == 10

    def test_what_was_left_alone_has_its_reason(self, reported: Answer) -> None:
        """Sidecars without a parent, a temporary copy and an empty file are named with their reasons."""
        unmatched, passed = (reported.document[k] for k in ("unmatched_sidecars", "passed_over"))
        assert sorted(unmatched.values()) == ["ambiguous_parent", "missing_parent"]
        assert sorted(passed.values()) == ["empty_file", "temporary_copy"]

    def test_the_folder_is_removed(self, reported: Answer, machine: Machine) -> None:
        """With --remove nothing is left, and no command is offered."""
        assert reported.document["next"] == []
        assert not (machine.home / "removed").exists()


class TestTheFolder:
    """What lies in a folder that is kept."""

    def test_the_run_succeeds_and_touches_nothing_else(
        self, shown: Answer, machine: Machine
    ) -> None:
        """The run exits 0, and made nothing in the person's own data folder."""
        assert (shown.code, shown.errors) == (0, "")
        assert not (machine.home / "data").exists()

    def test_kept_files_are_those_of_the_card(self, shown: Answer, machine: Machine) -> None:
        """The file that was being copied is whole; the archive's own file of a wanted name still stands."""
        folder = machine.home / "kept"
        inner = f"INBOX/{HARBOUR}/A001_C005.MOV"
        assert print_of(folder / "storage" / inner) == print_of(folder / "card" / inner)
        archived = folder / "storage/ARCHIVE" / HARBOUR
        assert len(list(archived.glob("A001_C003*.MOV"))) == 2

    def test_the_thumbnail_of_the_black_opening_shows_something(
        self, shown: Answer, machine: Machine
    ) -> None:
        """No thumbnail is black, that of the video with a black opening included."""
        thumbs = sorted((machine.home / "kept/storage/.derived").rglob("*thumb*"))
        assert len(thumbs) == 13
        for thumb in thumbs:
            with Image.open(thumb) as image:
                assert np.asarray(image.convert("L")).std() > 10, thumb

    def test_lines_are_plain(self, shown: Answer) -> None:
        """Away from a terminal there is no control character, and every file is told of on its line."""
        lines = shown.output.splitlines()
        assert not [c for line in lines for c in line if unicodedata.category(c) in ("Cc", "Cf")]
        for item in ITEMS:
            name = item.path.rpartition("/")[2].replace("\n", "\\n")
            assert any(name in line and item.says in line for line in lines), name
        assert "this demo decides for you, because you started it" in shown.output

    def test_its_commands_work(self, shown: Answer, machine: Machine) -> None:
        """Each command that the demonstration ends with does what it says."""
        lines = [line.strip() for line in shown.output.splitlines() if "--data-dir" in line]
        assert len(lines) == 5
        plain = Machine(home=machine.home)
        answers = [plain.run(*shlex.split(line)[1:]) for line in lines]
        assert [answer.code for answer in answers] == [0] * 5
        assert "is ARCHIVED" in answers[0].output
        assert "required work failed for good" in answers[1].output
        assert "moved it" in answers[2].output
        assert "DECIDED_KEEP" in answers[3].output
        assert "1 assets would move" in answers[4].output


class TestRefusals:
    """What the command does not do."""

    def test_a_folder_with_something_in_it_is_refused(
        self, machine: Machine, tmp_path: Path
    ) -> None:
        """A folder that is not empty is named, left as it is, and the exit code is 2."""
        (tmp_path / "mine.txt").write_text("mine")
        answer = machine.run("demo", "--folder", str(tmp_path), "--remove")
        assert answer.code == 2
        assert "is not empty" in answer.errors
        assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]

    def test_an_interrupt_ends_it_at_once(self, machine: Machine) -> None:
        """SIGINT in the middle exits 130 and says where the folder is."""
        with machine.start("demo", "--folder", "interrupted", "--remove") as process:
            assert process.stdout is not None
            assert any("A001_C004.MOV" in line for line in process.stdout)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "interrupted; the folder is interrupted, it is removed" in errors
        assert not (machine.home / "interrupted").exists()
