"""What `batch` commands show while files are moved."""

from __future__ import annotations

from io import StringIO

import pytest
from attrs import evolve
from rich.console import Console

from retaia_adapters.cli.batches import show_results
from retaia_adapters.cli.output import Output
from retaia_core.domain.identifiers import RelPath
from retaia_core.domain.moves import Copying, Outcome
from retaia_core.testing.samples import batch

HALF = Copying(source=RelPath("INBOX/A\n.mov"), done=3 * 2**20, total=8 * 2**20)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_long_copy_shows_how_far_it_is(terminal: bool) -> None:
    """Where a person looks on; elsewhere only what is done is printed, once."""
    out = Output(as_json=False)
    out.console, out.errors = (
        Console(file=StringIO(), width=200),
        Console(file=StringIO(), force_terminal=terminal, width=200),
    )
    waiting = batch().results[0]
    with show_results(out) as show:
        show(evolve(waiting, copying=HALF))
        show(evolve(waiting, outcome=Outcome.MOVED))
    said, live = (console.file.getvalue() for console in (out.console, out.errors))  # type: ignore[attr-defined]
    assert said.splitlines() == [line for line in said.splitlines() if line.startswith("MOVED: ")]
    assert len(said.splitlines()) == 1
    assert ("INBOX/A\\n.mov: 38% of 4.0 MiB copied" in live) is terminal
