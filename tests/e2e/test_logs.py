"""A server as a process: every line of its log is an object, and says nothing that is secret."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from retaia_tests.machine import Machine

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

HOSTILE = 'x\r\n{"level":"info"}\x1b[31m'


def running(home: Path, patience: float = 60) -> str:
    """The address of the server, once it says so."""
    until = time.monotonic() + patience
    file = home / "data" / "server.json"
    while time.monotonic() < until:
        if file.exists():
            return str(json.loads(file.read_text())["url"])
        time.sleep(0.05)
    raise AssertionError("the server did not start")


def mint(url: str, home: Path) -> tuple[str, str]:
    """A token of this machine's agent, and the secret that it was got for."""
    kept = json.loads((home / "data" / "credentials.json").read_text())
    given = {key: kept[key] for key in ("client_id", "secret_key")}
    answer = httpx.post(
        url + "/api/v1/auth/clients/token", json={**given, "client_kind": "AGENT"}, timeout=20
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"], kept["secret_key"]


def ask(url: str, token: str) -> None:
    """Ask for this and that, rightly and wrongly."""
    rightly = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=url, timeout=20) as client:
        correlated = {**rightly, "X-Correlation-Id": "my-own-name"}
        assert client.get("/api/v1/assets", headers=correlated).status_code == 200
        wrong = {"Authorization": "Bearer not-the-token-not-the-token"}
        assert client.get("/api/v1/assets", headers=wrong).status_code == 401
        assert client.get(f"/api/v1/{HOSTILE!r}", headers=rightly).status_code == 404
        families = text_string_to_metric_families(client.get("/metrics").text)
        assert "retaia_request_seconds" in {family.name for family in families}


@pytest.mark.parametrize("variables", [{}, {"RETAIA_LOG_FORMAT": "json"}])
def test_every_line_is_an_object(tmp_path: Path, variables: dict[str, str]) -> None:
    """Away from a terminal, and where it is asked for, the log is JSON from the first line to the last."""
    machine = Machine(home=tmp_path, variables=variables)
    with machine.start("serve", "--port", "0") as process:
        url = running(tmp_path)
        token, secret = mint(url, tmp_path)
        ask(url, token)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    lines: list[dict[str, Any]] = [json.loads(line) for line in errors.splitlines()]
    assert all({"timestamp", "level", "logger", "event"} <= line.keys() for line in lines)
    told = [line["event"] for line in lines]
    assert {"started", "serving", "http.request", "authz.denied", "stopped"} <= set(told)
    requests = [line for line in lines if line["event"] == "http.request"]
    assert all(line["correlation_id"] for line in requests)
    assert "my-own-name" in {line["correlation_id"] for line in requests}
    (denied,) = [line for line in lines if line["event"] == "authz.denied"]
    refused = [line for line in requests if line["status"] == 401]
    assert [line["correlation_id"] for line in refused] == [denied["correlation_id"]]
    assert denied["actor_type"] == "ANONYMOUS"
    assert not any(hidden in errors for hidden in (token, secret, "not-the-token"))


def test_text_where_it_is_asked_for(tmp_path: Path) -> None:
    """With ``log.format = "text"`` lines are for a person."""
    machine = Machine(home=tmp_path, variables={"RETAIA_LOG_FORMAT": "text"})
    with machine.start("serve", "--port", "0") as process:
        url = running(tmp_path)
        assert httpx.get(url + "/api/v1/assets", timeout=20).status_code == 401
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert "http.request" in errors
    assert "status=401" in errors
    assert not errors.startswith("{")
