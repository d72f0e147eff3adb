"""What ``verify`` refuses before it reads anything, and the quantities that it understands."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from retaia_adapters.cli.app import run
from retaia_adapters.cli.quantities import bytes_of, rate_of, span_of
from retaia_core.errors import SettingsError
from retaia_core.hooks.exits import Exit


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("17", 17),
        ("17 B", 17),
        ("200GB", 200 * 10**9),
        ("1.5tib", 3 * 2**39),
        (" 2 kB ", 2000),
        ("1KiB", 1024),
    ],
)
def test_bytes(text: str, count: int) -> None:
    """Decimal and binary units, in any case, with or without a space."""
    assert bytes_of(text) == count


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1XB", "1GB/s", "1,5GB", "١GB", "1GB1"])
def test_what_is_no_number_of_bytes(text: str) -> None:
    """It is refused with an example of what is one."""
    with pytest.raises(SettingsError, match="200GB"):
        bytes_of(text)


def test_rates() -> None:
    """A rate may say that it is one."""
    assert rate_of("50MB/s") == rate_of("50MB") == 50_000_000
    with pytest.raises(SettingsError):
        rate_of("50MB/h")


def test_spans() -> None:
    """From seconds to weeks; nothing longer than a century."""
    spans = {"30d": 30, "2w": 14, "24h": 1, "1440m": 1, "86400s": 1}
    assert {text: span_of(text) for text in spans} == {
        text: timedelta(days=days) for text, days in spans.items()
    }
    for wrong in ("30", "d", "1y", "-1d", "99999999w"):
        with pytest.raises(SettingsError):
            span_of(wrong)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--accept"], Exit.USAGE, "name the assets"),
        (["--budget", "much"], Exit.USAGE, "200GB"),
        (["--rate", "fast"], Exit.USAGE, "no quantity"),
        (["--older-than", "long"], Exit.USAGE, "30d"),
        (["--storage", "nowhere"], Exit.NOT_FOUND, "no storage is known"),
        (["--export", "list"], Exit.USAGE, "for one storage"),
        (["INBOX/none.mov"], Exit.NOT_FOUND, "no asset is known"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: Exit, said: str
) -> None:
    """Each with its exit code, and what is allowed instead."""
    assert run(["verify", *arguments, "--data-dir", str(tmp_path)]) == code
    assert said in capsys.readouterr().err


def test_nothing_to_verify_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A store without assets is verified at once."""
    assert run(["verify", "--data-dir", str(tmp_path)]) == Exit.OK
    assert "nothing was due" in capsys.readouterr().out
