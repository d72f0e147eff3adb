"""``retaia user``: accounts from the server's own machine."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from retaia_tests.machine import Machine
from rich.console import Console

from retaia_adapters.cli import user
from retaia_adapters.cli.app import run
from retaia_adapters.cli.output import Output
from retaia_adapters.cli.progress import ProgressView, line_of
from retaia_core.errors import SettingsError, ValidationFailed
from retaia_core.shell.runtime import Notice

PASSWORD = "correct horse battery"
ANA = "ana@example.org"


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of the test's own."""
    monkeypatch.setenv("RETAIA_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


class Command:
    """The command line in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capsys = capsys
        self.monkeypatch = monkeypatch

    def __call__(self, *arguments: str, typed: str = "") -> tuple[int, Any]:
        """Run a command; its exit code and its JSON document."""
        self.monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        code = run([*arguments, "--json"])
        out = self.capsys.readouterr().out
        return code, json.loads(out) if out else None


@pytest.fixture
def retaia(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line."""
    return Command(capsys, monkeypatch)


def add(retaia: Command, email: str = ANA, *more: str) -> tuple[int, Any]:
    """Make an account."""
    return retaia("user", "add", email, "--password-stdin", *more, typed=PASSWORD + "\n")


def test_the_life_of_an_account(retaia: Command) -> None:
    """Added, listed, given a new password, disabled and enabled."""
    assert add(retaia, ANA, "--admin", "--name", "Ana")[0] == 0
    assert add(retaia, "bob@example.org")[0] == 0
    _, listed = retaia("user", "list")
    assert [(a["email"], a["roles"], a["email_verified"]) for a in listed["accounts"]] == [
        (ANA, ["ADMIN"], True),
        ("bob@example.org", [], True),
    ]
    changed = retaia("user", "password", ANA, "--password-stdin", typed="another password\r\n")
    assert changed[0] == 0
    for act, disabled in (("disable", True), ("enable", False)):
        assert retaia("user", act, "bob@example.org")[0] == 0
        _, listed = retaia("user", "list")
        assert listed["accounts"][1]["disabled"] is disabled
    for act in ("verify", "unlock"):
        assert retaia("user", act, ANA)[0] == 0


def test_no_secret_is_shown(retaia: Command) -> None:
    """Neither the password nor its hash is in what is printed."""
    _, added = add(retaia)
    _, listed = retaia("user", "list")
    for said in (json.dumps(added), json.dumps(listed)):
        assert PASSWORD not in said
        assert "argon2" not in said


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("add", "no address", "--password-stdin"), 1),
        (("add", "bob@example.org", "--password-stdin"), 1),
        (("add", "bob@example.org"), 2),
        (("password", "bob@example.org", "--password-stdin"), 1),
        (("verify", "bob@example.org"), 4),
        (("unlock", "bob@example.org"), 4),
        (("disable", "bob@example.org"), 4),
        (("link",), 2),
    ],
    ids=lambda value: str(value),
)
def test_refusals(retaia: Command, arguments: tuple[str, ...], code: int) -> None:
    """A bad address, a short password, nobody to ask, nobody with that address, no server."""
    found, document = retaia("user", *arguments, typed="short\n")
    assert found == code
    assert set(document) == {"error"}
    assert retaia("user", "list")[1] == {"accounts": []}


def test_the_last_administrator_stays(retaia: Command) -> None:
    """A server that nobody could administer is not made by mistake."""
    add(retaia, ANA, "--admin")
    code, document = retaia("user", "disable", ANA)
    assert (code, document["error"]["code"]) == (1, "STATE_CONFLICT")


class Terminal(io.StringIO):
    """A standard input that a person sits at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "expected"), [((PASSWORD, PASSWORD), PASSWORD), ((PASSWORD, "typo"), None)]
)
def test_asked_on_the_terminal(
    monkeypatch: pytest.MonkeyPatch, typed: tuple[str, str], expected: str | None
) -> None:
    """Twice, without showing it; two that differ change nothing."""
    answers = iter(typed)
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(user, "getpass", lambda prompt: next(answers))
    if expected is None:
        with pytest.raises(ValidationFailed):
            user._ask_password(stdin=False)
    else:
        assert user._ask_password(stdin=False) == expected


def test_nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal the option is named."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(SettingsError, match="--password-stdin"):
        user._ask_password(stdin=False)


def test_the_link_is_for_who_looks_on() -> None:
    """It stands in the live picture, and is no line of a log."""
    notice = Notice(name="invited", data={"url": "http://127.0.0.1:1/device#link=secret"})
    assert line_of(notice) is None
    out = Output(as_json=False)
    said: list[str] = []
    out.teller = lambda text, style: said.append(text)
    view = ProgressView(out=out)
    view(notice)
    console = Console(file=io.StringIO(), width=200)
    console.print(view._picture())
    assert isinstance(console.file, io.StringIO)
    assert "#link=secret" in console.file.getvalue()
    assert said == []


@pytest.mark.e2e
def test_a_link_signs_in_at_a_running_server(tmp_path: Path, data_dir: Path) -> None:
    """The person at the machine gets a link beside the server, and it works once."""
    machine = Machine(home=tmp_path)
    with machine.start("serve", "--port", "0") as server:
        running = data_dir / "server.json"
        until = time.monotonic() + 60
        while not running.exists():
            assert server.poll() is None, server.communicate()
            assert time.monotonic() < until
            time.sleep(0.05)
        found = machine.run("user", "link", "--json")
        assert found.code == 0, found.errors
        base, _, token = found.document["url"].partition("/#link=")
        with httpx.Client(base_url=base + "/api/v1") as web:
            answer = web.post("/auth/link", json={"token": token})
            headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            me = web.get("/auth/me", headers=headers).json()
            assert me["email"].endswith("@localhost")
            assert me["roles"] == ["ADMIN"]
            assert web.post("/auth/link", json={"token": token}).status_code == 400
        server.terminate()
        _, said = server.communicate(timeout=30)
    assert token not in said
