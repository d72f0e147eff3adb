"""``retaia client`` and ``retaia agent``: technical clients from the command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from retaia_tests.machine import Machine

from retaia_adapters.cli.app import run

PATIENCE_S = 60


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of the test's own."""
    monkeypatch.setenv("RETAIA_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


class TestClients:
    """Made, listed, given another secret, shut out."""

    def retaia(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
        code = run(["client", *arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    def test_the_life_of_a_client(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Its secret is shown when it is made and when it is replaced, and never in a list."""
        code, made = self.retaia(capsys, "add", "NAS")
        assert (code, sorted(made)) == (0, ["client_id", "secret_key"])
        _, again = self.retaia(capsys, "rotate", made["client_id"])
        assert again["client_id"] == made["client_id"]
        assert again["secret_key"] != made["secret_key"]
        assert self.retaia(capsys, "revoke", made["client_id"])[0] == 0
        _, listed = self.retaia(capsys, "list")
        (client,) = listed["clients"]
        assert client["label"] == "NAS"
        assert client["revoked_at"]
        assert "secret" not in client

    @pytest.mark.parametrize(
        "arguments",
        [
            ("rotate", "nobody"),
            ("revoke", "nobody"),
            ("add", "--kind", "UI_WEB"),
            ("add", "--kind", "MCP"),
        ],
    )
    def test_refusals(self, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
        """What cannot be is a sentence and an exit code."""
        code, said = self.retaia(capsys, *arguments)
        assert code != 0
        assert said["error"]["message"]


@contextmanager
def program(*arguments: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command line as a program of its own until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "retaia_core", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environ,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


def served_at(data_dir: Path) -> str:
    """The address of the server of a data folder, once it serves."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            return str(json.loads((data_dir / "server.json").read_text())["url"])
        except FileNotFoundError:
            time.sleep(0.1)
    raise AssertionError("the server did not start")


@pytest.mark.e2e
def test_agents_of_one_machine_need_nobody(tmp_path: Path) -> None:
    """The server makes both known at its start; who was revoked is told how to come back."""
    machine = Machine(home=tmp_path)
    (tmp_path / "footage").mkdir()
    assert machine.up(tmp_path / "footage").code == 0
    listed = machine.run("client", "list", "--json").document["clients"]
    kept = json.loads((tmp_path / "data" / "credentials.json").read_text())["client_id"]
    assert [c["client_id"] for c in listed] == [kept, f"{kept}-embedded"]
    assert machine.up(tmp_path / "footage").code == 0
    assert len(machine.run("client", "list", "--json").document["clients"]) == 2
    assert machine.run("client", "revoke", kept).code == 0
    assert machine.up(tmp_path / "footage").code == 0
    assert machine.run("client", "revoke", f"{kept}-embedded").code == 0
    refused = machine.up(tmp_path / "footage")
    assert refused.code == 2
    assert "credentials.json" in refused.document["error"]["message"]
    (tmp_path / "data" / "credentials.json").unlink()
    assert machine.up(tmp_path / "footage").code == 0


@pytest.mark.e2e
def test_an_agent_elsewhere_logs_in_and_works(tmp_path: Path, data_dir: Path) -> None:
    """It shows a code, a person approves it, its secret lies in a private file and opens the server."""
    added = subprocess.run(
        [sys.executable, "-m", "retaia_core", "user", "add", "ana@example.org",
         "--password-stdin"],
        input="correct horse battery\n", text=True, check=True, capture_output=True,
    )  # fmt: skip
    assert added.returncode == 0
    with program("serve", "--port", "0"):
        url = served_at(data_dir)
        elsewhere = {"RETAIA_DATA_DIR": str(tmp_path / "elsewhere")}
        with program("agent", "login", "--server", url, "--name", "mac", **elsewhere) as login:
            assert login.stderr is not None
            code = ""
            while not code:
                found = re.search(r"#code=([A-Z]{4}-[A-Z]{4})", login.stderr.readline())
                code = found[1] if found else ""
            body = {"email": "ana@example.org", "password": "correct horse battery"}
            with httpx.Client(base_url=f"{url}/api/v1", trust_env=False) as person:
                token = person.post("/auth/login", json=body).json()["access_token"]
                person.headers["Authorization"] = f"Bearer {token}"
                seen = person.post("/auth/device/lookup", json={"user_code": code}).json()
                assert seen["client_label"] == "mac"
                person.post("/auth/device/approve", json={"user_code": code}).raise_for_status()
            assert login.wait(PATIENCE_S) == 0
        file = tmp_path / "elsewhere" / "agent.json"
        assert file.stat().st_mode & 0o777 == 0o600
        assert sorted(json.loads(file.read_text())) == ["client_id", "secret_key", "server"]
        worked = subprocess.run(
            [sys.executable, "-m", "retaia_core", "agent", "run", "--until-idle",
             "--mount", f"nas={tmp_path}"],
            env=os.environ | elsewhere, capture_output=True, text=True, timeout=PATIENCE_S,
        )  # fmt: skip
        assert worked.returncode == 0, worked.stderr
