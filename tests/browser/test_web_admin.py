"""Administration in the browser, by keyboard: people, clients, features."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from attrs import evolve
from retaia_tests.browser import Browser
from retaia_tests.machine import Machine
from retaia_tests.web_stage import Stage, photos, showing, stage, text, walk

pytestmark = pytest.mark.browser

EMAIL, PASSWORD = "bob@example.org", "correct horse battery"


def press_on(page: Browser, selector: str, said: str) -> None:
    """Put the focus on the control that says this, as Tab would, and press Enter."""
    found = f"[...document.querySelectorAll({json.dumps(selector)})]"
    script = f"{found}.find((one) => one.innerText.includes({json.dumps(said)}))"
    page.wait(script)
    page.run(f"{script}.focus()")
    page.press("Enter")


def answer_yes(page: Browser) -> None:
    """Say yes to what is asked: the button comes after the question, for Tab."""
    page.wait("document.querySelector('dialog[open]')")
    page.press("Tab")
    assert page.run("document.activeElement.value") == "yes"
    page.press("Enter")
    page.wait("!document.querySelector('dialog')")


def type_into(page: Browser, **fields: str) -> None:
    """Type into fields by their id."""
    for name, typed in fields.items():
        page.wait(f"document.getElementById('{name.replace('_', '-')}')")
        page.run(f"document.getElementById('{name.replace('_', '-')}').focus()")
        page.type(typed)


def status(at: Stage) -> int:
    """How the server answers the person who signs in."""
    try:
        with at.client(EMAIL, PASSWORD) as client:
            return client.get("/auth/me").status_code
    except httpx.HTTPStatusError as error:
        return error.response.status_code


def people(at: Stage, page: Browser) -> None:
    walk(page, "/admin")
    showing(page, ".admin-pages", "1 account")
    press_on(page, ".admin-pages a", "People")
    type_into(page, person_email=EMAIL, person_name="Bob", person_password=PASSWORD)
    page.press("Enter")
    showing(page, ".people", "Bob")
    showing(page, ".people", "Address not proven")
    assert status(at) == 403
    row = f"[data-row='{EMAIL}'] button"
    press_on(page, row, "Vouch")
    page.wait(f"!document.querySelector(\"[data-row='{EMAIL}']\").innerText.includes('not proven')")
    assert status(at) == 200
    assert page.run("document.activeElement.closest('[data-row]')?.dataset.row") == EMAIL
    press_on(page, row, "Disable")
    answer_yes(page)
    showing(page, f"[data-row='{EMAIL}']", "cannot sign in")
    assert status(at) == 401
    press_on(page, row, "Enable")
    showing(page, f"[data-row='{EMAIL}']", "In order")
    assert status(at) == 200
    press_on(page, row, "Send a reset message")
    showing(page, ".notes", "was sent a message")
    mine = page.run("[...document.querySelectorAll('[data-row]')].map((r) => r.innerText).join()")
    assert mine.count("Disable") == 1, "nobody disables themselves here"


def clients(at: Stage, page: Browser) -> None:
    press_on(page, ".admin-nav a", "Technical clients")
    type_into(page, client_label="studio Mac")
    page.press("Enter")
    showing(page, ".secret-shown", "shown this once")
    client, first = (text(page, f".secret-shown dd:nth-of-type({n})") for n in (1, 2))
    assert page.run("document.activeElement.closest('.secret-shown') !== null")
    press_on(page, ".secret-shown button", "Copy the secret")
    page.wait("document.querySelector('.notes').innerText")
    press_on(page, ".secret-shown button", "I kept")
    assert text(page, ".secret-shown") == ""
    press_on(page, f"[data-row='{client}'] button", "New secret")
    answer_yes(page)
    page.wait("document.querySelector('.secret')")
    assert text(page, ".secret") != first
    press_on(page, f"[data-row='{client}'] button", "Revoke")
    answer_yes(page)
    showing(page, f"[data-row='{client}']", "Revoked")
    assert page.run(f"document.querySelectorAll(\"[data-row='{client}'] button\").length") == 0


def features(at: Stage, page: Browser) -> None:
    press_on(page, ".admin-nav a", "Features")
    ai = "[data-feature='features.ai']"
    page.wait(f'document.querySelector("{ai}")')
    showing(page, ".features", "The server’s settings do not switch it on.")
    page.run(f'document.querySelector("{ai}").focus()')
    page.press(" ")
    page.wait(f'document.activeElement.matches("{ai}") && !document.activeElement.checked')
    with at.client(EMAIL, PASSWORD) as bob:
        assert bob.get("/app/features").status_code == 403
    listed = at.machine.run("history", "--all", "--json").output
    assert "features.switched" in listed


def settings(at: Stage, page: Browser) -> None:
    press_on(page, ".admin-nav a", "Settings")
    showing(page, "tr.changed", "Command line")
    every = page.run("document.querySelectorAll('.settings tbody tr').length")
    page.run("document.querySelector('.check input').focus()")
    page.press(" ")
    page.wait(f"document.querySelectorAll('.settings tbody tr').length < {every}")
    rows = page.run("[...document.querySelectorAll('.settings tbody tr')].map((r) => r.innerText)")
    assert any("quiet_period" in row and "Command line" in row for row in rows)
    assert any("RETAIA_AGENT_WORKSPACE" in row and "not shown" in row for row in rows)
    assert str(at.machine.home) not in text(page, "main")


def test_what_a_sidecar_belongs_to(either_machine: Machine, tmp_path: Path, page: Browser) -> None:
    """Chosen among the assets beside it, kept over scans, and taken back."""
    inbox = tmp_path / "storage" / "INBOX"
    photos(inbox, ("a.jpg", "a.png"))
    (inbox / "a.xmp").write_text("<x/>")
    with stage(either_machine, tmp_path / "storage") as at:
        at.enter(page, path="/activity")
        press_on(page, "a", "Say what they belong to")
        showing(page, ".unmatched", "several files have its name")
        press_on(page, ".row-acts button", "Attach")
        page.wait("document.activeElement.matches('select')")
        assert page.run("document.activeElement.options.length") == 2
        page.press("ArrowDown")
        page.press("Tab")
        page.press("Enter")
        showing(page, ".attached", "a.xmp belongs to")
        showing(page, "main", "Every sidecar belongs to something.")
        listed = at.machine.run("sidecars", "list", "--json").document["sidecars"]
        assert listed == []
        told = at.machine.run("assets", "show", "INBOX/a.png", "--json").document
        assert told["sidecars"] == ["INBOX/a.xmp"]
        press_on(page, ".attached button", "Take back")
        showing(page, ".unmatched", "several files have its name")
        assert page.complaints == []


def test_administration(either_machine: Machine, tmp_path: Path, page: Browser) -> None:
    """Add, vouch, disable, enable, send a message; let in, rotate, revoke; switch; read settings."""
    photos(tmp_path / "storage" / "INBOX", ("a.jpg",))
    own = {"RETAIA_AGENT_WORKSPACE": str(tmp_path / "work")}
    machine = evolve(either_machine, variables={**either_machine.variables, **own})
    with stage(machine, tmp_path / "storage") as at:
        at.enter(page)
        for part in (people, clients, features, settings):
            part(at, page)
        assert page.complaints == []


def test_who_is_no_administrator(either_machine: Machine, tmp_path: Path, page: Browser) -> None:
    """Has no such entry in the menu, is told why at the address, and switches for themselves."""
    photos(tmp_path / "storage" / "INBOX", ("a.jpg",))
    with stage(either_machine, tmp_path / "storage") as at:
        at.add_person(EMAIL, PASSWORD)
        page.open(f"{at.url}/admin/people")
        type_into(page, email=EMAIL, password=PASSWORD)
        page.press("Enter")
        showing(page, "main", "This is for administrators")
        assert "Administration" not in text(page, "nav")
        for path in (
            "/admin",
            "/admin/clients",
            "/admin/features",
            "/admin/settings",
            "/admin/sidecars",
        ):
            walk(page, path)
            showing(page, "main", "This is for administrators")
        walk(page, "/account")
        bulk = "[data-feature='features.decisions.bulk']"
        page.wait(f'document.querySelector("{bulk}")')
        page.run(f'document.querySelector("{bulk}").focus()')
        page.press(" ")
        page.wait(f'document.activeElement.matches("{bulk}") && !document.activeElement.checked')
        with at.client(EMAIL, PASSWORD) as bob:
            assert not bob.get("/auth/me/features").json()["user_feature_enabled"][
                "features.decisions.bulk"
            ]
        assert [one for one in page.complaints if "403" not in one] == []
