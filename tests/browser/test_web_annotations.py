"""What a person says of footage, in the browser: tags, notes, fields, suggestions, and what is said in it.

Suggestions and transcripts come from an agent of the test's own, which registers, claims and submits through
the API as any other does; what it submits stands here, where an engine's output would.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve
from retaia_tests.barriers import looked_over
from retaia_tests.browser import Browser, browser
from retaia_tests.machine import Machine
from retaia_tests.web_stage import Stage, photos, showing, stage, walk

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

EMAIL, PASSWORD = "bob@example.org", "correct horse battery"
TAGS, NOTES = "document.querySelector('.tag-input')", "document.querySelector('#notes')"
SETTINGS = {
    "RETAIA_PROCESSING_ENABLED": "transcribe_audio,suggest_tags",
    "RETAIA_FIELDS_TYPES": "take=integer,good=boolean,weather=choice: sun | rain",
    "RETAIA_FIELDS_LABELS": "take=Take no.",
}
SAID = {
    "text": "Low tide. The boats lie dry.",
    "language": "en",
    "segments": [
        {"start_ms": 0, "end_ms": 1000, "text": "Low tide."},
        {"start_ms": 1000, "end_ms": 2000, "text": "The boats lie dry."},
        {"start_ms": 2000, "end_ms": 3000, "text": "<b>Gulls.</b>"},
    ],
}


@pytest.fixture
def described(either_machine: Machine) -> Machine:
    """A machine whose settings declare fields, and ask for transcripts and suggestions."""
    return evolve(either_machine, variables={**either_machine.variables, **SETTINGS})


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A storage with a few small photos."""
    photos(tmp_path / "storage" / "INBOX", ("a.jpg", "b.jpg"))
    return tmp_path / "storage"


@pytest.fixture
def spoken(small: Path, media: Path) -> Path:
    """The same, and a video with sound."""
    shutil.copy(media / "sample-h264.mp4", small / "INBOX" / "boats.mp4")
    return small


LATE = """
    window.late = [];
    const real = window.fetch;
    window.fetch = async (url, options = {}) => {
        const answer = await real(url, options);
        if (String(url).endsWith('/annotations') && (options.method ?? 'GET') === 'GET')
            await new Promise((go) => window.late.push(go));
        return answer;
    };
"""
"""Holds back what the page reads of an asset's annotations."""


@contextmanager
def agent(at: Stage) -> Iterator[httpx.Client]:
    """An agent that can transcribe and suggest, at the API."""
    base = f"{at.url}/api/v1"
    client = at.machine.run("client", "add", "--kind", "agent", "--json").document
    wanted = {
        "client_kind": "AGENT",
        **{name: client[name] for name in ("client_id", "secret_key")},
    }
    token = httpx.post(f"{base}/auth/clients/token", json=wanted, trust_env=False)
    headers = {"Authorization": f"Bearer {token.raise_for_status().json()['access_token']}"}
    capabilities = ["speech.transcription@1", "meta.tags.suggestions@1"]
    body = {"agent_name": "test", "agent_version": "1", "capabilities": capabilities}
    with httpx.Client(base_url=base, headers=headers, trust_env=False) as api:
        answer = api.post("/agents/register", json=body).raise_for_status()
        api.headers["X-Agent-Id"] = answer.json()["agent_id"]
        yield api


def submit(api: httpx.Client, uuid: str, results: Mapping[str, object]) -> None:
    """Do the jobs of an asset, with these as the engines' output by job type."""
    bundle = api.post(f"/assets/{uuid}/claim-bundle").raise_for_status().json()
    token = bundle["lock_token"]
    for job in bundle["jobs"]:
        if job["job_type"] in results:
            body = {
                "lock_token": token, "job_type": job["job_type"], "data": results[job["job_type"]],
            }  # fmt: skip
            key = {"Idempotency-Key": job["job_id"]}
            path = f"/jobs/{job['job_id']}/result"
            api.post(path, json=body, headers=key).raise_for_status()
        else:
            path = f"/jobs/{job['job_id']}/release"
            api.post(path, json={"lock_token": token}).raise_for_status()


def uuid_of(api: httpx.Client, name: str) -> str:
    """The asset of a file name."""
    items = api.get("/assets", params={"q": name}).raise_for_status().json()["items"]
    return str(items[0]["uuid"])


def said(api: httpx.Client, uuid: str) -> Any:
    """What people say of an asset, as the server has it."""
    return api.get(f"/assets/{uuid}/annotations").raise_for_status().json()


def tags(api: httpx.Client, uuid: str) -> list[str]:
    return [one["tag"] for one in said(api, uuid)["tags"]]


def begin(at: Stage, page: Browser, name: str = "a.jpg", query: str = "in=all&sort=name") -> None:
    """Sign in, and look at an asset; what is said of it is there."""
    at.enter(page, path=f"/review?{query}")
    showing(page, ".shown-name", name)
    page.wait(f"{NOTES} && !{NOTES}.readOnly")


def all_sent(page: Browser) -> None:
    page.wait("localStorage.getItem('retaia.annotations') === null")


def chips(page: Browser) -> list[str]:
    """The tags that are shown."""
    shown = "document.querySelectorAll('r-annotations > .chips li:not(.none) bdi')"
    found: list[str] = page.run(f"[...{shown}].map((one) => one.innerText)")
    return found


def test_by_keyboard_through_an_outage(described: Machine, small: Path, page: Browser) -> None:
    """Tags, notes and fields; a server that is killed and a page that is left lose nothing."""
    with stage(described, small) as at:
        at.add_person(EMAIL, PASSWORD)
        begin(at, page)
        page.press("t")
        page.wait(f"document.activeElement === {TAGS}")
        page.type("Low tide")
        page.press("Enter")
        assert chips(page) == ["Low tide"]
        all_sent(page)
        page.press("Escape")
        page.press("ArrowRight")
        showing(page, ".shown-name", "b.jpg")
        page.wait(f"!{NOTES}.readOnly")

        # Completed without case, and chosen with arrows.
        page.press("t")
        page.type("lo")
        showing(page, ".completion", "Low tide")
        page.press("ArrowDown")
        page.wait("document.querySelector('.completion [aria-selected=true]')")
        page.press("Enter")
        assert chips(page) == ["Low tide"]
        all_sent(page)
        at.stop(signal.SIGKILL)
        page.type("sea")
        page.press("Enter")
        page.press("Escape")
        page.press("n")
        page.wait(f"document.activeElement === {NOTES}")
        page.type("Boats lie dry")
        page.press("Tab")
        page.wait("document.activeElement.id === 'field-take'")
        page.type("3")
        page.press("Escape")
        showing(page, ".saved", "Kept here until the server is back")
        showing(page, ".state-of-things", "3 notes wait to be sent")
        page.press("n")
        page.type(", all of them")  # not even left
        page.open("about:blank")
        at.start()
        begin(at, page, "a.jpg")
        all_sent(page)
        with at.client(EMAIL, PASSWORD) as bob:
            uuid = uuid_of(bob, "b.jpg")
            found = said(bob, uuid)
            assert [one["tag"] for one in found["tags"]] == ["Low tide", "sea"]
            assert found["notes"]["text"] == "Boats lie dry, all of them"
            assert [(one["name"], one["value"]) for one in found["fields"]] == [("take", 3)]

            # What was said is taken back like a decision, in order.
            page.press("ArrowRight")
            showing(page, ".shown-name", "b.jpg")
            page.wait(f"{NOTES}.value.startsWith('Boats')")
            page.press("t")
            page.type("gull")
            page.press("Enter")
            page.press("Escape")
            page.press("p")
            showing(page, ".shown-name", "a.jpg")
            page.press("z", control=True)
            showing(page, ".note:last-child", "b.jpg is back to")
            page.press("z", control=True)
            showing(page, ".note:last-child", "b.jpg: taken back (Tags)")
            all_sent(page)
            assert tags(bob, uuid) == ["Low tide", "sea"]
        assert not [one for one in page.complaints if "net::ERR_" not in one]


def test_two_people(described: Machine, small: Path, page: Browser) -> None:
    """What somebody else says is there at once; where both changed one thing, neither is lost."""
    with stage(described, small) as at:
        at.add_person(EMAIL, PASSWORD)
        begin(at, page)
        with at.client(EMAIL, PASSWORD) as bob:
            uuid, key = uuid_of(bob, "a.jpg"), iter(range(99))

            def edit(**body: object) -> None:
                headers = {"Idempotency-Key": f"bob {next(key)}"}
                bob.post(f"/assets/{uuid}/annotations", json=body, headers=headers)

            edit(add_tags=["theirs"])
            showing(page, ".chips", "theirs")
            page.press("t")
            page.type("mine")
            page.press("Enter")
            all_sent(page)
            assert tags(bob, uuid) == ["theirs", "mine"]
            page.press("Escape")
            # Whatever comes and goes, Enter takes away what the focus is on.
            edit(add_tags=["also"])
            showing(page, ".chips", "also")
            page.run("document.querySelector('.chips [data-act=mine]').focus()")
            edit(remove_tags=["theirs"])
            page.wait("!document.querySelector('.chips').innerText.includes('theirs')")
            assert page.run("document.activeElement.dataset.act") == "mine"
            page.press("n")
            page.type("mine")
            edit(notes="theirs", notes_seen="")
            page.press("Escape")
            showing(page, ".conflict", "Somebody else changed this meanwhile: Notes")
            assert said(bob, uuid)["notes"]["text"] == "theirs"
            page.push(".conflict button:last-child")
            page.wait("!document.querySelector('.conflict')")
            all_sent(page)
            assert said(bob, uuid)["notes"]["text"] == "theirs\nmine"
            assert page.run(f"{NOTES}.value") == "theirs\nmine"
        assert not [one for one in page.complaints if "409" not in one]


def test_an_answer_that_comes_late(described: Machine, small: Path, page: Browser) -> None:
    """What was read before the person said something does not take it away again."""
    with stage(described, small) as at:
        at.add_person(EMAIL, PASSWORD)
        begin(at, page)
        page.run(LATE)
        with at.client(EMAIL, PASSWORD) as bob:
            uuid, body = uuid_of(bob, "a.jpg"), {"add_tags": ["theirs"]}
            bob.post(f"/assets/{uuid}/annotations", json=body, headers={"Idempotency-Key": "bob"})
        page.wait("window.late.length")
        page.press("t")
        page.type("mine")
        page.press("Enter")
        all_sent(page)
        page.wait("document.querySelector('.chips').innerText.includes('theirs')")
        page.run("window.late.forEach((go) => go())")
        page.answer("new Promise((go) => setTimeout(go, 100))")  # what is released is read
        assert chips(page) == ["theirs", "mine"]


def test_suggestions(described: Machine, small: Path, page: Browser) -> None:
    """Accepted and refused one by one, by keyboard; each is taken back, and a refused one stays refused."""
    with stage(described, small) as at, agent(at) as api:
        uuid = uuid_of(api, "a.jpg")
        submit(api, uuid, {"suggest_tags": {"tags": ["sea", "<i>car</i>"], "source": "model/1"}})
        begin(at, page)
        showing(page, ".suggested", "<i>car</i>")
        assert page.run("document.querySelector('.suggestion').title") == "suggested by model/1"
        page.run("document.querySelector('.suggestion button').focus()")
        page.press("Enter")
        assert chips(page) == ["sea"]
        assert "model/1" in page.run("document.querySelector('.from-model').title")
        page.wait("document.activeElement.ariaLabel === 'Accept the tag <i>car</i>'")
        page.press("Tab")
        page.press("Enter")
        showing(page, ".suggested", "You have answered every suggestion.")
        all_sent(page)
        found = {one["tag"]: one["status"] for one in said(api, uuid)["suggestions"]}
        assert found == {"sea": "ACCEPTED", "<i>car</i>": "REFUSED"}
        page.run("document.activeElement.blur()")
        page.press("z", control=True)
        showing(page, ".suggestion", "<i>car</i>")
        page.press("z", control=True)
        page.wait("document.querySelectorAll('.suggestion').length === 2")
        all_sent(page)
        assert tags(api, uuid) == []
        assert {one["status"] for one in said(api, uuid)["suggestions"]} == {"PENDING"}
        walk(page, "/review?in=all&sort=-name")
        showing(page, ".shown-name", "b.jpg")
        showing(page, ".suggested", "Nothing is suggested yet")
        assert page.complaints == []


def test_a_transcript_leads_the_player(described: Machine, spoken: Path, page: Browser) -> None:
    """Each passage leads to its moment, by mouse and by keyboard; the one that is said is marked."""
    with stage(described, spoken) as at, agent(at) as api:
        submit(api, uuid_of(api, "boats.mp4"), {"transcribe_audio": SAID})
        begin(at, page, "boats.mp4", "in=all&media_type=VIDEO")
        media = "document.querySelector('r-player video')"
        page.wait(f"{media}.readyState >= 2 && document.querySelectorAll('.segment').length === 3")
        page.run("document.querySelector('r-transcript').scrollIntoView()")
        page.click("li:nth-child(2) > .segment")
        page.wait(f"Math.abs({media}.currentTime - 1) < 0.01")
        page.wait("document.querySelector('.segment[aria-current]').innerText.includes('boats')")
        page.run("document.querySelector('.segment').focus()")
        page.press("ArrowDown")
        page.press("ArrowDown")
        page.press("Enter")
        page.wait(f"Math.abs({media}.currentTime - 2) < 0.01")
        page.wait("document.querySelector('.segment[aria-current]').innerText.includes('<b>')")
        page.run("document.querySelector('r-transcript input').focus()")
        page.type("TIDE")
        showing(page, "r-transcript [role=status]", "1 passage")
        page.press("Enter")
        page.press("Enter")
        page.wait(f"{media}.currentTime < 0.01")
        assert page.complaints == []


@pytest.mark.parametrize(
    ("language", "either_machine"),
    [("en-GB", "sqlite"), ("fr-FR", "postgresql")],
    indirect=["either_machine"],
)
def test_no_barrier(
    described: Machine, spoken: Path, tmp_path: Path, axe: str, language: str
) -> None:
    """Neither in light nor in dark, with everything in the panel; a narrow window has room for it."""
    pictures = Path(os.environ.get("RETAIA_PICTURES", tmp_path / "pictures"))
    pictures.mkdir(parents=True, exist_ok=True)
    found: list[str] = []
    with (
        browser(tmp_path / "profile", language=language) as page,
        stage(described, spoken) as at,
        agent(at) as api,
    ):
        page.look()
        suggested = {"tags": ["sea", "boat", "car"], "source": "model/1"}
        uuid = uuid_of(api, "boats.mp4")
        submit(api, uuid, {"transcribe_audio": SAID, "suggest_tags": suggested})
        begin(at, page, "boats.mp4", "in=all&media_type=VIDEO")
        page.press("t")
        for tag in ("low tide", "lovely", "loud"):
            page.type(tag)
            page.press("Enter")
        page.wait("document.querySelectorAll('.suggestion').length === 3")
        page.push(".suggestion button")
        page.push(".suggestion button:last-child")
        page.run("document.querySelector('.suggested details').open = true")
        all_sent(page)
        page.press("Escape")
        page.run("document.activeElement.blur()")
        page.press("n")
        page.type("The boats lie dry until six.")
        page.press("Escape")
        all_sent(page)
        walk(page, "/review?in=all&media_type=PHOTO&sort=name")
        showing(page, ".shown-name", "a.jpg")
        page.wait(f"!{NOTES}.readOnly")
        page.press("t")
        page.type("lo")
        page.wait("document.querySelectorAll('.completion li').length === 3")
        page.press("ArrowDown")
        found += looked_over(page, axe, f"completion-{language[:2]}", pictures)
        page.press("Escape")
        page.press("Escape")
        walk(page, "/review?in=all&media_type=VIDEO")
        showing(page, ".shown-name", "boats.mp4")
        page.wait("document.querySelector('.segment')")
        found += looked_over(page, axe, f"annotations-{language[:2]}", pictures)
        page.run("document.querySelector('r-transcript').scrollIntoView()")
        found += looked_over(page, axe, f"annotations-below-{language[:2]}", pictures)
    assert found == []


def test_what_waits_is_nobody_elses(described: Machine, small: Path, page: Browser) -> None:
    """What one person left in a browser is not sent for another."""
    with stage(described, small) as at:
        begin(at, page)
        left = {"account": "somebody", "queue": [{"uuid": "x", "name": "x", "key": "k"}]}
        kept = json.dumps({**left, "conflicts": []})
        page.run(f"localStorage.setItem('retaia.annotations', {json.dumps(kept)})")
        page.open("about:blank")
        begin(at, page)
        assert not [url for url in page.requests if "/assets/x/" in url]
        assert page.complaints == []
