"""``retaia settings``: what is in force, and where it comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retaia_adapters.cli.app import run


def test_what_is_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what was changed, with the file or the variable; the database's address is not shown."""
    (tmp_path / "retaia.toml").write_text("[scan]\ninterval = 5\n")
    monkeypatch.setenv("RETAIA_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("RETAIA_STORE_URL", "postgresql://u:hidden-word@h/x")
    assert run(["settings", "--changed", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["data_dir"] == str(tmp_path)
    told = [(s["key"], s["value"], s["given"], s["source"], s["name"]) for s in shown["settings"]]
    assert told == [
        ("url", None, True, "ENVIRONMENT", "RETAIA_STORE_URL"),
        ("interval", "5", True, "FILE", str(tmp_path / "retaia.toml")),
    ]
    assert run(["settings"]) == 0
    said = capsys.readouterr().out
    assert "hidden-word" not in said
    assert "(set, not shown)" in said
    assert "scan.quiet_period" in said


def test_wrong_settings_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As every command tells them."""
    monkeypatch.setenv("RETAIA_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("RETAIA_SCAN_INTERVAL", "soon")
    assert run(["settings"]) == 2
    assert "scan.interval" in capsys.readouterr().err
