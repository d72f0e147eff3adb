"""The demonstration's own checks bite: each thing that must not happen is found and said."""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path

import pytest
from attrs import evolve
from rich.console import Console

from retaia_adapters.demo.checks import (
    Print,
    prints_below,
    wrong_assets,
    wrong_batch,
    wrong_files,
    wrong_reasons,
)
from retaia_adapters.demo.stage import Stage
from retaia_adapters.demo.storage import ITEMS, Fate
from retaia_core.domain.identifiers import AssetId, BatchId, RelPath, StorageId
from retaia_core.domain.lifecycle import Verdict
from retaia_core.domain.moves import (
    Batch,
    BatchStatus,
    MovePlan,
    MoveResult,
    Outcome,
    PlannedFile,
    PlannedMove,
)
from retaia_core.testing.clock import FakeClock

SOURCE, TARGET = RelPath("INBOX/a.mov"), RelPath("ARCHIVE/a.mov")
PRINT = Print(sha256="ab", mtime_ns=1)
PLAN = MovePlan(
    moves=(
        PlannedMove(
            asset=AssetId("0" * 8),
            storage_id=StorageId("nas"),
            verdict=Verdict.KEEP,
            files=(PlannedFile(source=SOURCE, target=TARGET, size=1, mtime_ns=1, role="original"),),
        ),
    )
)


class TestFiles:
    """Every file is where the dry run put it, unchanged."""

    def test_a_file_where_the_dry_run_put_it_is_right(self) -> None:
        """Nothing is said about a file that moved as planned."""
        assert list(wrong_files({SOURCE: PRINT}, PLAN, {TARGET: PRINT})) == []

    @pytest.mark.parametrize(
        ("found", "said"),
        [
            ({SOURCE: PRINT}, "did not reach"),
            ({TARGET: evolve(PRINT, sha256="cd")}, "the content of"),
            ({TARGET: evolve(PRINT, mtime_ns=2)}, "the time of"),
            ({TARGET: PRINT, "ARCHIVE/b.mov": PRINT}, "came from nowhere"),
        ],
    )
    def test_anything_else_is_said(self, found: dict[str, Print], said: str) -> None:
        """A file that stayed, changed or appeared is named."""
        assert said in " ".join(wrong_files({SOURCE: PRINT}, PLAN, found))

    def test_prints_leave_marker_and_derived_files_out(self, tmp_path: Path) -> None:
        """The prints of a storage are those of its originals and sidecars."""
        for name in (".retaia", ".derived/x/thumb.jpg", "INBOX/a.mov"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"x")
        assert list(prints_below(tmp_path)) == ["INBOX/a.mov"]


class TestBatch:
    """The report of the batch is the dry run, and the dry run is what was decided."""

    def test_what_was_decided_and_not_planned_is_said(self) -> None:
        """A decided file that the dry run leaves out is named, and a missing collision too."""
        batch = _batch(Outcome.MOVED)
        said = " ".join(wrong_batch(ITEMS, PLAN, batch))
        assert "ZOOM0007.WAV' was decided and is not in the dry run" in said
        assert "one collision was laid out, and the dry run shows 0" in said

    def test_a_move_that_failed_is_said(self) -> None:
        """An outcome other than moved is named with its error."""
        said = list(wrong_batch((), MovePlan(), _batch(Outcome.FAILED)))
        assert "'INBOX/a.mov' is FAILED: the disk is full" in said


def _batch(outcome: Outcome) -> Batch:
    (move,) = PLAN.moves
    error = "" if outcome is Outcome.MOVED else "the disk is full"
    return Batch(
        batch_id=BatchId("b"),
        status=BatchStatus.DONE,
        digest=PLAN.digest,
        created_at=FakeClock().now(),
        created_by="person:local/anna",
        results=(MoveResult(asset=move.asset, outcome=outcome, move=move, error=error),),
    )


class TestAssetsAndReasons:
    """Every file has its fate."""

    def test_a_file_that_became_no_asset_is_said(self) -> None:
        """With nothing in the store, every file that should be an asset is named."""
        said = list(wrong_assets(ITEMS, MovePlan(), {}))
        wanted = [i for i in ITEMS if i.fate in (Fate.PREPARED, Fate.DAMAGED, Fate.COPYING)]
        assert len(said) == len(wanted)
        assert all("is no asset" in line for line in said)

    def test_another_reason_is_said(self) -> None:
        """A file left alone for the wrong reason, or for none, is named."""
        right = {i.path: i.reason for i in ITEMS if i.reason}
        assert list(wrong_reasons(ITEMS, right, right)) == []
        path = next(i.path for i in ITEMS if i.reason == "missing_parent")
        (said,) = wrong_reasons(ITEMS, right | {path: "ambiguous_parent"}, right)
        assert "should be left alone as missing_parent" in said
        assert len(list(wrong_reasons(ITEMS, {}, {}))) == len(right)


class TestPlainLines:
    """Where no terminal is, lines are plain."""

    def test_no_control_character_is_printed(self) -> None:
        """Whatever a name contains, it is shown on its one line without control characters."""
        into = io.StringIO()
        stage = Stage(Console(file=into, force_terminal=False))
        stage.step("A step", "of several")
        stage.rows([("a\x1b[31m\nb", "c"), ("long enough", "d")])
        stage.box("Title", [("x\u202ey", "z")], ("", "dim"), "green")
        stage.say("made [bold]of[/bold] tabs\t", "bold")
        lines = into.getvalue().splitlines()
        assert "   a\\x1b[31m\\nb  c" in lines
        assert "   long enough   d" in lines
        assert not any(unicodedata.category(c) in ("Cc", "Cf") for line in lines for c in line)

    def test_a_command_is_never_broken(self) -> None:
        """A line to be copied stays one line on a narrow terminal."""
        into = io.StringIO()
        Stage(Console(file=into, force_terminal=True, width=20)).command("retaia why " + "x" * 60)
        assert into.getvalue().count("\n") == 1
