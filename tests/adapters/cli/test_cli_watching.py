"""How a program that runs for long tells what happens."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from rich.console import Console

from retaia_adapters.cli import watching
from retaia_adapters.cli.output import Output
from retaia_adapters.cli.watching import log_style
from retaia_core.domain.scans import ScanReport
from retaia_core.ports.observer import LogStyle
from retaia_core.settings import LogSettings, Settings
from retaia_core.shell.runtime import Notice
from retaia_core.testing import samples
from retaia_core.testing.clock import START


def style(
    wanted: str, *, terminal: bool, as_json: bool = False, service: bool = True
) -> tuple[bool, bool]:
    """The style that settings and place come to: JSON, and everything."""
    out = Output(as_json=as_json)
    out.errors = Console(stderr=True, force_terminal=terminal)
    found = log_style(
        Settings(data_dir=Path("/x"), log=LogSettings(format=wanted)), out, service=service
    )
    assert found == LogStyle(json=found.json, everything=found.everything)
    return found.json, found.everything


class TestStyle:
    """Objects for programs, text for people, and what a person watches live is not written twice."""

    @pytest.mark.parametrize(
        ("wanted", "terminal", "as_json", "found"),
        [
            ("auto", True, False, (False, False)),
            ("auto", False, False, (True, True)),
            ("auto", False, True, (True, False)),
            ("auto", True, True, (False, False)),
            ("json", True, False, (True, True)),
            ("text", False, True, (False, True)),
        ],
    )
    def test_it_follows_settings_and_place(
        self, wanted: str, *, terminal: bool, as_json: bool, found: tuple[bool, bool]
    ) -> None:
        """The setting wins; where it leaves it open, a terminal and ``--json`` decide."""
        assert style(wanted, terminal=terminal, as_json=as_json) == found

    def test_a_persons_command_shows_progress_everywhere(self) -> None:
        """What a person runs writes no log beside its progress, on a terminal or into a file."""
        assert style("auto", terminal=False, service=False) == (False, False)
        assert style("auto", terminal=True, service=False) == (False, False)
        assert style("json", terminal=False, service=False) == (True, True)


class TestNotices:
    """What happens becomes lines."""

    def test_data_and_level(self, caplog: pytest.LogCaptureFixture) -> None:
        """A line has the notice's name and plain data; trouble is a warning, chatter is no line."""
        caplog.set_level(logging.INFO, "retaia.run")
        report = ScanReport(storage_id=samples.NAS, number=3, started_at=START, duration_s=1.5)
        watching._write(Notice(name="scanned", data={"report": report}))
        watching._write(Notice(name="scanning", data={"seen": 1}))
        watching._write(Notice(name="agent.failed", data={"code": "TIMEOUT"}))
        said = [(r.levelname, vars(r)["retaia"]) for r in caplog.records]
        assert [(level, line["event"]) for level, line in said] == [
            ("INFO", "scanned"),
            ("WARNING", "agent.failed"),
        ]
        assert said[0][1]["report"]["number"] == 3
        assert said[0][1]["report"]["started_at"] == "2026-01-02T03:04:05Z"
