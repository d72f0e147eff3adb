"""The page that lets a device in, in a real browser against a real server."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import frozen
from retaia_tests.browser import PATIENCE_S, Browser, browser
from retaia_tests.components import program
from retaia_tests.machine import Machine

from retaia_core.domain.clients import DEVICE_INTERVAL_S

pytestmark = pytest.mark.browser
EMAIL, PASSWORD = "ana@example.org", "correct horse battery"
HOSTILE = "<img src=x onerror=document.title='caught'> Mac"


@frozen
class Server:
    """A server that runs, and devices that ask it."""

    url: str
    machine: Machine

    def post(self, path: str, **body: str) -> Any:
        answer = httpx.post(f"{self.url}/api/v1/auth{path}", json=body, trust_env=False)
        assert answer.is_success, answer.text
        return answer.json()

    def ask(self) -> Any:
        return self.post("/clients/device/start", client_kind="AGENT", client_label=HOSTILE)

    def status(self, device: Any) -> str:
        time.sleep(DEVICE_INTERVAL_S)
        return str(self.post("/clients/device/poll", device_code=device["device_code"])["status"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    machine = Machine(home=tmp_path_factory.mktemp("home"))
    subprocess.run(
        machine.command("user", "add", EMAIL, "--password-stdin"),
        env=machine.environment, input=f"{PASSWORD}\n", text=True, check=True, capture_output=True,
    )  # fmt: skip
    serving = subprocess.Popen(
        machine.command("serve", "--port", "0"),
        env=machine.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield Server(_url(machine.home / "data" / "server.json"), machine)
    finally:
        serving.terminate()
        serving.wait(PATIENCE_S)


def _url(running: Path) -> str:
    """The address that a server writes down once it serves."""
    until = time.monotonic() + PATIENCE_S
    while not running.exists():
        assert time.monotonic() < until, "the server did not start"
        time.sleep(0.1)
    return str(json.loads(running.read_text())["url"])


def sign_in(page: Browser, password: str = PASSWORD) -> None:
    """As a person who uses no mouse."""
    page.wait("document.activeElement?.id === 'email'")
    page.type(EMAIL)
    page.press("Tab")
    page.type(password)
    page.press("Enter")


def said(page: Browser) -> str:
    """What the page says in the end."""
    page.wait("document.getElementById('said')?.textContent")
    return str(page.run("document.getElementById('said').textContent"))


def test_a_person_lets_a_device_in(server: Server, tmp_path: Path) -> None:
    """By keyboard alone; what the device calls itself is text, and the code leaves the address."""
    program("chromium")
    device = server.ask()
    with browser(tmp_path) as page:
        page.open(device["verification_uri_complete"])
        sign_in(page)
        page.wait("document.getElementById('seen-code')?.textContent")
        shown = page.run("document.getElementById('seen-label').textContent")
        assert shown == HOSTILE
        assert page.run("document.title") == "Connect a device – Retaia"
        assert page.run("location.hash") == ""
        page.press("Enter")  # once too often: nothing is decided by it
        assert page.run("!document.getElementById('decide').hidden")
        page.press("Tab")
        page.press("Enter")
        assert said(page) == "The device is let in. You may close this page and go back to it."
        assert page.complaints == []
    assert server.status(device) == "APPROVED"


def test_a_person_turns_a_device_away_in_french(server: Server, tmp_path: Path) -> None:
    """After a wrong password and a wrong code, each said in the browser's language."""
    program("chromium")
    device = server.ask()
    with browser(tmp_path, language="fr-FR") as page:
        page.open(device["verification_uri"])
        sign_in(page, "not the password")
        assert said(page) == "L’adresse, le mot de passe ou le code n’est pas juste."
        page.open("about:blank")
        page.open(device["verification_uri"])
        sign_in(page)
        page.wait("document.activeElement?.id === 'code'")
        page.type("bbbb bbbb")
        page.press("Enter")
        assert said(page).startswith("Aucun appareil n’affiche ce code")
        page.run("document.getElementById('code').select()")
        page.type(device["user_code"].lower().replace("-", " "))
        page.press("Enter")
        page.wait("document.getElementById('seen-code')?.textContent")
        page.press("Tab")
        page.press("Tab")
        page.press("Enter")
        assert said(page) == "L’appareil a été refusé."
        assert page.run("document.documentElement.lang") == "fr"
    assert server.status(device) == "DENIED"


def test_a_link_signs_the_person_at_the_machine_in(server: Server, tmp_path: Path) -> None:
    """Once: the page goes on to ask for a code, and the same link says that it was used."""
    program("chromium")
    link = server.machine.run("user", "link", "--json").document["url"]
    link = link.replace("/#link=", "/device#link=")
    with browser(tmp_path) as page:
        page.open(link)
        page.wait("document.activeElement?.id === 'code'")
        assert page.run("location.hash") == ""
        page.open("about:blank")
        page.open(link)
        assert said(page).startswith("This link was used or is over its time.")
        assert page.run("!document.getElementById('sign-in').hidden")
