"""The page that lets a device in, in a real browser against a real server."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
from attrs import frozen
from retaia_tests.browser import PATIENCE_S, Browser, browser
from retaia_tests.components import program
from retaia_tests.machine import Machine
from retaia_tests.web_stage import showing, text

from retaia_core.domain.clients import DEVICE_INTERVAL_S

pytestmark = pytest.mark.browser
EMAIL, CAREFUL, PASSWORD = "ana@example.org", "eve@example.org", "correct horse battery"
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
    for email in (EMAIL, CAREFUL):
        subprocess.run(
            machine.command("user", "add", email, "--password-stdin"),
            env=machine.environment, input=f"{PASSWORD}\n", text=True, check=True,
            capture_output=True,
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
    sign_in_as(page, EMAIL, password)


def sign_in_as(page: Browser, email: str, password: str = PASSWORD) -> None:
    page.wait("document.activeElement?.id === 'email'")
    page.type(email)
    page.press("Tab")
    page.type(password)
    page.press("Enter")


def test_a_person_lets_a_device_in(server: Server, tmp_path: Path) -> None:
    """By keyboard alone; what the device calls itself is text, and the code leaves the address."""
    program("chromium")
    device = server.ask()
    with browser(tmp_path) as page:
        page.open(device["verification_uri_complete"])
        sign_in(page)
        page.wait("document.querySelector('.device-code')")
        assert text(page, ".device-label") == HOSTILE
        assert text(page, ".device-code") == device["user_code"]
        assert page.run("document.title") == "Connect a device – Retaia"
        assert page.run("location.pathname + location.hash") == "/device"
        page.press("Enter")  # once too often: nothing is decided by it
        assert page.run("document.querySelector('.device-code') !== null")
        page.press("Tab")
        page.press("Enter")
        showing(page, "#device-said", "The device is let in. You may close this page")
        assert page.complaints == []
    assert server.status(device) == "APPROVED"


def test_a_person_turns_a_device_away_in_french(server: Server, tmp_path: Path) -> None:
    """After a wrong password and a wrong code, each said in the browser's language."""
    program("chromium")
    device = server.ask()
    with browser(tmp_path, language="fr-FR") as page:
        page.open(device["verification_uri"])
        sign_in(page, "not the password")
        showing(page, "#said", "L’adresse ou le mot de passe n’est pas juste.")
        page.open("about:blank")
        page.open(device["verification_uri"])
        sign_in(page)
        page.wait("document.activeElement?.id === 'device-code'")
        page.type("bbbb bbbb")
        page.press("Enter")
        showing(page, "r-device [role=alert]", "Aucun appareil n’affiche ce code")
        page.run("document.getElementById('device-code').select()")
        page.type(device["user_code"].lower().replace("-", " "))
        page.press("Enter")
        page.wait("document.querySelector('.device-code')")
        page.press("Tab")
        page.press("Tab")
        page.press("Enter")
        showing(page, "#device-said", "L’appareil a été refusé.")
        assert page.run("document.documentElement.lang") == "fr"
    assert server.status(device) == "DENIED"


def test_a_link_signs_the_person_at_the_machine_in(server: Server, tmp_path: Path) -> None:
    """Once: the page goes on to ask for a code, and the same link says that it was used."""
    program("chromium")
    link = server.machine.run("user", "link", "--json").document["url"]
    link = link.replace("/#link=", "/device#link=")
    with browser(tmp_path) as page:
        page.open(link)
        page.wait("document.activeElement?.id === 'device-code'")
        assert page.run("location.hash") == ""
    with browser(tmp_path / "other") as page:
        page.open(link)
        showing(page, "#said", "This link was used or is over its time.")


def test_a_second_factor_is_asked_for(server: Server, tmp_path: Path) -> None:
    """Who signed in with a code is asked for another one to let a device in; a wrong one is told."""
    program("chromium")
    minted = server.post("/login", email=CAREFUL, password=PASSWORD)["access_token"]
    headers = {"Authorization": f"Bearer {minted}"}
    base = f"{server.url}/api/v1/auth/2fa"
    setup = httpx.post(f"{base}/setup", headers=headers, json={}, trust_env=False).json()
    totp, now = pyotp.TOTP(setup["secret"]), time.time()
    enable = {"otp_code": totp.at(now - 30)}
    answer = httpx.post(f"{base}/enable", headers=headers, json=enable, trust_env=False)
    codes = answer.raise_for_status().json()["recovery_codes"]
    device = server.ask()
    with browser(tmp_path) as page:
        page.open(device["verification_uri_complete"])
        sign_in_as(page, CAREFUL)
        showing(page, "#said", "also asks for a code")
        page.type(codes[0])
        page.press("Enter")
        page.wait("document.querySelector('.device-code')")
        page.press("Tab")
        assert page.run("document.activeElement.id") == "device-otp"
        page.type("000000")
        page.press("Enter")
        showing(page, "r-device [role=alert]", "The code is not right")
        page.run("document.getElementById('device-otp').focus()")
        page.run("document.activeElement.select()")
        page.type(totp.now())
        page.press("Enter")
        showing(page, "#device-said", "The device is let in.")
    assert server.status(device) == "APPROVED"


def test_who_is_signed_in_already(server: Server, tmp_path: Path) -> None:
    """Is asked at once; a code that is opened in the same window is looked up anew."""
    program("chromium")
    first, second = server.ask(), server.ask()
    with browser(tmp_path) as page:
        page.open(first["verification_uri_complete"])
        sign_in(page)
        showing(page, ".device-code", first["user_code"])
        page.open(second["verification_uri_complete"])
        showing(page, ".device-code", second["user_code"])
        assert page.run("document.querySelector('#email')") is None
