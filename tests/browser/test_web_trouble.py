"""What goes wrong in the middle: nothing that the person did is lost, and they are told."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from retaia_tests.barriers import barriers
from retaia_tests.browser import Browser
from retaia_tests.machine import Machine
from retaia_tests.web_stage import Stage, photos, showing, stage, text, walk

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

PLACES = (
    "/", "/review?in=decide", "/apply", "/purge", "/batches", "/batches/unknown", "/activity",
    "/account", "/device", "/admin/people", "/admin/clients", "/admin/features",
    "/admin/settings", "/admin/sidecars",
)  # fmt: skip
NAMES = ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg")
EMAIL, PASSWORD = "bob@example.org", "correct horse battery"

READ = (
    "performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/facts')).length"
)
"""Of how many assets the browser has read everything."""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A storage with a few small photos."""
    photos(tmp_path / "storage" / "INBOX", NAMES)
    return tmp_path / "storage"


def begin(at: Stage, page: Browser) -> None:
    """Sign in, and look at the first photo of the queue."""
    at.enter(page, path="/review?in=decide&sort=name")
    showing(page, ".shown-name", "a.jpg")
    page.wait("document.querySelector('.verdict')")


def decide(page: Browser, key: str, then: str) -> None:
    """Press a key, and wait for the photo that follows."""
    page.press(key)
    showing(page, ".shown-name", then)
    page.wait("document.querySelector('.verdict')")


def waiting(page: Browser) -> int:
    """How many decisions the browser keeps."""
    kept = page.run("localStorage.getItem('retaia.waiting')")
    return len(json.loads(kept)["queue"]) if kept else 0


def test_a_server_that_is_killed_and_comes_back(
    either_machine: Machine, small: Path, page: Browser
) -> None:
    """Decisions go on without it, outlive a reload, and reach it once each."""
    with stage(either_machine, small) as at:
        begin(at, page)
        decide(page, "p", "b.jpg")
        page.wait("localStorage.getItem('retaia.waiting') === null")
        page.wait(f"{READ} >= 4")  # the next ones are here
        at.stop(signal.SIGKILL)
        decide(page, "x", "c.jpg")
        decide(page, "p", "d.jpg")
        showing(page, ".state-of-things", "The server does not answer")
        showing(page, ".state-of-things", "2 decisions wait")
        page.press("z", control=True)  # also what was not sent yet can be taken back
        showing(page, ".state-of-things", "3 decisions wait")
        assert waiting(page) == 3
        at.start()
        page.wait("localStorage.getItem('retaia.waiting') === null")
        page.wait("document.querySelector('.state-of-things').innerText === ''")
        found = at.states()
    assert found["INBOX/a.jpg"] == "DECIDED_KEEP"
    assert found["INBOX/b.jpg"] == "DECIDED_REJECT"
    assert found["INBOX/c.jpg"] == found["INBOX/d.jpg"] == "DECISION_PENDING"


def test_a_network_that_is_gone_and_a_page_that_is_closed(
    machine: Machine, small: Path, page: Browser
) -> None:
    """What waits is sent by the next page of the same person."""
    with stage(machine, small) as at:
        begin(at, page)
        gone = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        page.send("Network.emulateNetworkConditions", offline=True, **gone)
        page.press("p")
        page.wait("localStorage.getItem('retaia.waiting') !== null")
        page.open("about:blank")
        page.send("Network.emulateNetworkConditions", offline=False, **gone)
        at.enter(page)
        page.wait("localStorage.getItem('retaia.waiting') === null")
        assert at.states()["INBOX/a.jpg"] == "DECIDED_KEEP"


def test_pages_of_a_server_that_takes_its_time(
    machine: Machine, small: Path, page: Browser, axe: str
) -> None:
    """While they wait, too, pages say what they are and have no barrier."""
    with stage(machine, small) as at:
        begin(at, page)
        for path in PLACES:
            walk(page, path)
            page.wait("document.querySelector('main h1')")
        page.wait("customElements.get('r-admin-sidecars')")  # the last view is loaded
        slow = {"latency": 60_000, "downloadThroughput": -1, "uploadThroughput": -1}
        page.send("Network.emulateNetworkConditions", offline=False, **slow)
        found = []
        for path in PLACES:
            walk(page, path)
            found += [f"{path}: {one}" for one in barriers(page, axe)]
        assert found == []


def test_a_view_that_comes_late_and_one_that_does_not_come(
    machine: Machine, small: Path, page: Browser
) -> None:
    """What was shown stays until the next view is here; where it cannot be had, that is said."""
    heading = "document.querySelector('main h1')?.innerText"
    held: list[str] = []
    page.told["Fetch.requestPaused"] = lambda said: held.append(said["requestId"])
    page.send("Network.setBlockedURLs", urls=["*/views/apply.js"])
    page.send("Fetch.enable", patterns=[{"urlPattern": "*/views/activity.js"}])
    with stage(machine, small) as at:
        at.enter(page)
        page.wait("document.querySelector('.cell')")
        page.press("4", alt=True)
        page.wait("location.pathname === '/activity'")
        while not held:
            page.run("0")
        assert page.run(heading) == "Library"
        assert page.run("document.title").startswith("Library")
        page.send("Fetch.continueRequest", requestId=held[0])
        page.wait("document.querySelector('r-activity')")
        page.wait(f"{heading} === 'Activity'")

        page.press("3", alt=True)
        showing(page, "main", "This view could not be loaded")
        assert page.run(heading) == "Apply"
        assert page.run("document.activeElement.id") == "main"
        page.send("Network.setBlockedURLs", urls=[])
        page.push("main button")
        page.wait("document.querySelector('r-apply')")


def test_a_session_that_is_over(either_machine: Machine, small: Path, page: Browser) -> None:
    """The person signs in over what they were doing, and what they decided meanwhile arrives."""
    with stage(either_machine, small) as at:
        at.add_person(EMAIL, PASSWORD)
        page.open(at.url)
        sign_in(page)
        page.wait("document.querySelector('main#main')?.childElementCount")
        at.machine.run("user", "disable", EMAIL)
        at.machine.run("user", "enable", EMAIL)
        page.push("a[href='/review']")
        showing(page, "dialog.again", "Your session is over")
        sign_in(page)
        page.wait("!document.querySelector('dialog.again')")
        page.wait("document.querySelector('.verdict')")
        before = text(page, ".shown-name")
        page.press("x")
        page.wait("localStorage.getItem('retaia.waiting') === null")
        assert at.states()[f"INBOX/{before}"] == "DECIDED_REJECT"
        tokens = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
        kept = page.run(tokens)
        assert "eyJ" not in kept
        assert "token" not in kept
        # A reload goes on without asking, one past the service worker too; leaving asks again.
        for past_worker in (False, True):
            page.run("window.old = true")
            page.send("Page.reload", ignoreCache=past_worker)
            page.wait("!window.old && document.querySelector('main#main')?.childElementCount")
        # Players are served again, though the page was loaded past their server.
        page.wait("navigator.serviceWorker.controller")
        page.run("[...document.querySelectorAll('#menu button')].at(-1).click()")
        page.wait("document.querySelector('#email')")
        page.run("window.old = true; location.reload()")
        page.wait("!window.old && document.querySelector('#email')")


def sign_in(page: Browser) -> None:
    page.wait("document.querySelector('#email')")
    page.run("document.querySelector('#email').focus()")
    page.run("document.querySelector('#email').select()")
    page.type(EMAIL)
    page.press("Tab")
    page.type(PASSWORD)
    page.press("Enter")


def test_two_people_decide_on_the_same_photo(
    either_machine: Machine, small: Path, page: Browser
) -> None:
    """The second is told what the first decided; both are in the history, and the later one stands."""
    with stage(either_machine, small) as at:
        at.add_person(EMAIL, PASSWORD)
        begin(at, page)
        bob = at.client(EMAIL, PASSWORD)
        listed = bob.get("/assets", params={"sort": "name"}).json()["items"]
        first, second = listed[0]["uuid"], listed[1]["uuid"]

        # What is open shows the other's decision by itself.
        page.press("ArrowRight")
        showing(page, ".shown-name", "b.jpg")
        said = bob.post(
            f"/assets/{second}/decision",
            json={"action": "REJECT"},
            headers={"Idempotency-Key": "1"},
        )
        assert said.is_success
        showing(page, ".verdicts", "bob@example.org: Reject")

        # At once: the page has not heard of it yet.
        page.press("ArrowLeft")
        showing(page, ".shown-name", "a.jpg")
        page.send("Network.setBlockedURLs", urls=[f"*/assets/{first}", "*/events"])
        bob.post(
            f"/assets/{first}/decision", json={"action": "REJECT"}, headers={"Idempotency-Key": "2"}
        )
        page.send("Network.setBlockedURLs", urls=[])
        page.press("p")
        showing(page, ".notes", "bob@example.org decided “Reject” meanwhile")
        assert at.states()["INBOX/a.jpg"] == "DECIDED_KEEP"
        history = bob.get(f"/assets/{first}").json()["decisions"]["history"]
        assert [one["action"] for one in history] == ["REJECT", "KEEP"]
        bob.close()
