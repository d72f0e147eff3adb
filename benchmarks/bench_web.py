"""The review interface in a real browser, on real media and a million assets: what a person waits for.

    python benchmarks/bench_web.py --assets 1000000 --json web.json

`retaia up` serves a store that holds real photos and clips, prepared by its own agent and the newest of
all, and so many other assets. A headless Chromium drives the interface by keys and by the wheel.

- *next photo*, *next clip*: from the key press, as the browser stamps it, to the first frame of the screen
  in which the part with the picture looks as it does in the end: frames as the screen gets them, compared by
  their pixels. Beside them a bare page that fetches the same proxy from a plain file server when the key is
  pressed, and shows it;
- *first rows*: from the start of the navigation to the first frame with captions of assets (element timing),
  when the page is loaded again, and the first time with an empty cache by the link that signs in; from the
  click on the link in the menu. Beside it a bare page that fetches the same answer from a plain file server
  and writes one table row for each asset;
- *scrolling*: frame times, and the share of frames with a place whose row is not there yet, while the wheel
  turns and while the list is dragged far up and down;
- *verdicts*: a script presses P as soon as the next picture is decoded, until the server has all of them;
- *newcomer*: from `retaia up FOLDER` in an empty home, on a terminal, over the link that it prints, to the
  first decision that the server has.

The media are those of ``--media`` (default: what lies beside the checkout), which have days-old times.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pty
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
from attrs import evolve, frozen

sys.path.insert(0, str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))

from bench_store import in_chunks, make_assets
from retaia_tests.browser import Browser, browser
from retaia_tests.machine import Machine
from retaia_tests.web_stage import Stage, showing, walk
from web_screen import HEIGHT, WIDTH, Screen, Times, plain_server

from retaia_adapters.sql.store import open_store
from retaia_adapters.web.site import shipped_bytes

MEDIA = Path(__file__).parents[2] / "shared" / "media"
PHOTOS = (
    "prairie_falcon.jpg", "denali.webp", "IMG_2682.heic", "thompson-springs.jpg", "corrupted.jpg",
    "portrait-orientation-6.jpg", "density_plot.png",
)  # fmt: skip
CLIP = "sample-h264.mp4"
KEY_MS, ROWS_MS, FRAME_MS, SCRIPT_BYTES, NEWCOMER_S = 50, 500, 33.4, 250_000, 300
BLANK_SHARE = 0.05
LONG_AGO_S = 3 * 24 * 3600
QUEUE = "/review?in=all&sort=name&tags={}"

Row = dict[str, float]
Rows = dict[str, Row]


# What there is


def make_media(media: Path, inbox: Path, photos: int, clips: int) -> None:
    """Real photos, each several times, and clips that differ in their colours from each other."""
    inbox.mkdir(parents=True)
    for number in range(photos):
        name = PHOTOS[number % len(PHOTOS)]
        shutil.copyfile(media / name, inbox / f"photo-{number:03d}-{name}")
    for number in range(clips):
        to = inbox / f"clip-{number:03d}.mp4"
        hue = f"hue=h={number * 360 // clips}:b={number % 2 * 2}"
        command = ["ffmpeg", "-v", "error", "-i", str(media / CLIP), "-vf", hue, "-c:a", "copy"]
        subprocess.run([*command, "-preset", "ultrafast", str(to)], check=True)
    for path in inbox.iterdir():
        os.utime(path, (time.time() - LONG_AGO_S,) * 2)


async def fill(database: Path, count: int) -> None:
    """Add assets that are older than what is there."""
    store = open_store(f"sqlite:///{database}")
    await store.prepare()
    older = (
        evolve(a, created_at=a.created_at - timedelta(days=1), updated_at=a.updated_at - timedelta(days=1))
        for a in make_assets(count)
    )  # fmt: skip
    await in_chunks(store, older, "add_assets")
    await store.close()
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("ANALYZE")


def tag(at: Stage) -> None:
    """Tag photos and clips as such: the newest assets."""
    with api(at) as client:
        newest = client.get("/assets", params={"sort": "-created_at", "limit": 100}).json()["items"]
        for item in newest:
            kind = item["name"].partition("-")[0]
            if kind in ("photo", "clip"):
                path, body = f"/assets/{item['uuid']}", {"tags": [kind]}
                client.patch(path, json=body).raise_for_status()


# Pictures


def next_pictures(screen: Screen, at: Stage, kind: str, count: int, rounds: int) -> Times:
    """The way from each to the next by a key, in the interface."""
    page, found = screen.page, []
    for _ in range(rounds):
        walk(page, "/account")
        page.wait("document.querySelector('r-account')")
        walk(page, QUEUE.format(kind))
        showing(page, ".shown-name", f"{kind}-000")
        page.wait("document.querySelector('.stage .screen') && document.querySelector('.verdict')")
        time.sleep(1)
        found += [screen.press("ArrowRight", ".stage .screen") for _ in range(count - 1)]
    return Times(each=found)


BARE_PICTURE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<style>body { margin: 0 } #stage { width: 900px; height: 600px }
#stage > * { width: 100%; height: 100%; object-fit: contain }</style>
<div id="stage"></div>
<script>
const files = FILES; let at = -1;
addEventListener("keydown", async () => {
    const file = files[at += 1];
    const content = URL.createObjectURL(await (await fetch(file)).blob());
    const shown = document.createElement(file.endsWith(".mp4") ? "video" : "img");
    shown.muted = true; shown.src = content; stage.replaceChildren(shown);
});
</script>"""


def bare_pictures(screen: Screen, folder: Path, files: Sequence[str], rounds: int) -> Times:
    """The same files on a bare page."""
    page, found = screen.page, []
    body = BARE_PICTURE.replace("FILES", json.dumps(list(files)))
    (folder / "pictures.html").write_text(body)
    with plain_server(folder) as url:
        for _ in range(rounds):
            page.open(f"{url}/pictures.html")
            page.wait("document.readyState === 'complete'")
            found += [screen.press("ArrowRight", "#stage") for _ in files][1:]
    return Times(each=found)


def pictures(screen: Screen, at: Stage, given: argparse.Namespace) -> Iterator[tuple[str, Row]]:
    """Photos and clips, each beside 50 ms and beside the bare page."""
    with tempfile.TemporaryDirectory() as name:
        bare_of = {kind: fetch(at, screen.page, Path(name), kind) for kind in ("photo", "clip")}
        for kind, count, what in (
            ("photo", given.photos, "the next photo on a key"),
            ("clip", given.clips, "the first frame of the next clip on a key"),
        ):
            rounds = given.rounds if kind == "photo" else given.rounds * 2
            screen.begin()
            ours = next_pictures(screen, at, kind, count, rounds)
            bare = bare_pictures(screen, Path(name), bare_of[kind], rounds)
            screen.end()
            at.enter(screen.page)
            figures = {**ours.figures(), **bare.figures("bare_")}
            yield (
                f"{what}, p95 beside {KEY_MS} ms",
                {"ratio": ours.p95 / KEY_MS, "limit": 1, **figures},
            )
            yield f"{what}, p95 beside a bare page", {"ratio": ours.p95 / bare.p95, "limit": 1}


def fetch(at: Stage, page: Browser, folder: Path, kind: str) -> list[str]:
    """Copy the proxies of a kind out of the server, in the order of their names."""
    found = []
    with api(at) as client:
        listed = client.get("/assets", params={"tags": kind, "sort": "name", "limit": 100})
        for item in listed.json()["items"]:
            derived = client.get(f"/assets/{item['uuid']}").json()["derived"]
            url = derived.get("proxy_photo_url") or derived.get("proxy_video_url")
            to = f"{item['uuid']}.{'mp4' if kind == 'clip' else 'jpg'}"
            (folder / to).write_bytes(client.get(str(httpx.URL(at.url).join(url))).content)
            found.append(to)
    return found


@contextmanager
def api(at: Stage) -> Iterator[httpx.Client]:
    """The API, as the person at the machine."""
    token = at.link().partition("#link=")[2]
    body = {"token": token, "client_id": "bench", "client_kind": "UI_WEB"}
    base = f"{at.url}/api/v1"
    asked = httpx.post(f"{base}/auth/link", json=body, trust_env=False, timeout=60)
    answer = asked.raise_for_status()
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    with httpx.Client(base_url=base, headers=headers, trust_env=False, timeout=60) as client:
        yield client


# Rows

WATCH = """(() => {
    window.rows = 0;
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) window.rows ||= entry.renderTime;
    }).observe({type: "element", buffered: true});
    const mark = () => {
        for (const one of document.querySelectorAll(".cell[data-uuid] .name, td"))
            one.setAttribute("elementtiming", "row");
    };
    new MutationObserver(mark).observe(document, {childList: true, subtree: true});
})()"""


def first_rows(page: Browser, open_: Callable[[], float | None]) -> float:
    """Milliseconds until the first captions are on the screen; ``open_`` says from when, else from 0."""
    began = open_()
    page.wait("window.rows")
    return float(page.run("rows")) - (began or 0)


def again(page: Browser) -> Callable[[], None]:
    """Load the page again."""

    def open_() -> None:
        loaded: list[object] = []
        page.told["Page.loadEventFired"] = loaded.append
        page.send("Page.reload")
        while not loaded:
            page.send("Page.enable")  # Asks nothing of the page, which is being replaced.
            time.sleep(0.02)
        del page.told["Page.loadEventFired"]

    return open_


def by_menu(page: Browser) -> Callable[[], float]:
    def open_() -> float:
        walk(page, "/account")
        page.wait("document.querySelector('r-account .second button')")
        time.sleep(0.5)
        click = "document.querySelector(\"nav a[href='/']\").click()"
        return float(page.run(f"rows = 0, began = performance.now(), {click}, began"))

    return open_


BARE_TABLE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><table></table>
<script>
(async () => {
    const { items } = await (await fetch("assets.json")).json();
    document.querySelector("table").append(...items.map((item) => {
        const row = document.createElement("tr");
        for (const text of [item.name, item.state, item.media_type]) row.insertCell().textContent = text;
        return row;
    }));
})();
</script>"""


def bare_table(page: Browser, at: Stage, rounds: int) -> Times:
    """The same rows on a bare page."""
    with tempfile.TemporaryDirectory() as name, api(at) as client:
        answer = client.get("/assets", params={"sort": "-created_at", "limit": 100})
        (Path(name) / "assets.json").write_bytes(answer.content)
        (Path(name) / "table.html").write_text(BARE_TABLE)
        with plain_server(Path(name)) as url:
            page.open(f"{url}/table.html")
            page.wait("window.rows")
            return Times(each=[first_rows(page, again(page)) for _ in range(rounds)])


def by_link(at: Stage, rounds: int) -> Times:
    """The first time: an empty browser, and the link that signs in."""
    found = []
    for _ in range(rounds):
        link = at.link()
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
            browser(Path(name)) as page,
        ):
            prepare(page)

            def open_(link: str = link, page: Browser = page) -> None:
                page.open(link)

            found.append(first_rows(page, open_))
    return Times(each=found)


def rows(page: Browser, at: Stage, given: argparse.Namespace) -> Iterator[tuple[str, Row]]:
    """The library over all assets, opened in each way."""
    rounds = given.rounds * 5
    what = f"first rows of {given.assets:,}"
    bare = bare_table(page, at, rounds)
    at.enter(page)  # A service worker without a page ends, and with it the session.
    page.wait("window.rows")
    for how, times in (
        ("loaded again", Times(each=[first_rows(page, again(page)) for _ in range(rounds)])),
        ("from another view", Times(each=[first_rows(page, by_menu(page)) for _ in range(rounds)])),
        ("for the first time, by the link", by_link(at, rounds // 2 + 1)),
    ):
        ratio = {"ratio": times.p50 / ROWS_MS, "limit": 1}
        yield f"{what}, {how}, beside {ROWS_MS} ms", {**ratio, **times.figures()}
        if how == "loaded again":
            figures = {"ratio": times.p50 / bare.p50, **bare.figures("bare_")}
            yield f"{what}, {how}, beside a bare table", figures


# Scrolling

RECORD = """(() => {
    const shelf = document.querySelector("r-shelf");
    const times = window.times = [];
    window.blank = 0;
    window.recording = true;
    let last = performance.now();
    const turn = (now) => {
        if (!recording) return;
        times.push(now - last);
        last = now;
        const box = shelf.getBoundingClientRect();
        const known = shelf.querySelector(".space").getBoundingClientRect().bottom;
        const points = [0.2, 0.5, 0.8].map((share) => box.top + share * box.height).filter((y) => y < known);
        const there = points.every((y) => {
            for (const down of [0, 12, 30]) {
                const at = document.elementFromPoint(box.left + box.width / 2 - 40, y + down);
                const cell = at?.closest(".cell");
                if (cell) return Boolean(cell.dataset.uuid);
            }
            return false;
        });
        blank += there ? 0 : 1;
        requestAnimationFrame(turn);
    };
    requestAnimationFrame(turn);
})()"""


@frozen(kw_only=True)
class Scrolled:
    """How a list moved: frame times, the share of frames with a row that was not there, places passed."""

    times: Times
    blank: float
    places: int

    def row(self) -> Row:
        return {**self.times.figures("frame_"), "blank_share": self.blank, "places": self.places}


def scrolled(page: Browser, move: Callable[[], None]) -> Scrolled:
    """Record frames while something moves the list."""
    walk(page, "/account")
    page.wait("document.querySelector('r-account')")
    walk(page, "/")
    page.wait("document.querySelectorAll('.cell[data-uuid]').length > 10")
    time.sleep(1)
    page.run(RECORD)
    move()
    times = page.run("recording = false, times.slice(1)")
    blank = page.run("blank") / max(1, len(times))
    passed = page.run(
        "Math.max(...[...document.querySelectorAll('.cell')].map((cell) => Number(cell.dataset.place)))"
    )
    return Scrolled(times=Times(each=times), blank=blank, places=passed)


def wheel(page: Browser, seconds: float) -> None:
    """Turn the wheel steadily, a notch forty times a second."""
    until = time.monotonic() + seconds
    where = {"type": "mouseWheel", "x": WIDTH // 2, "y": HEIGHT // 2, "deltaX": 0, "deltaY": 100}
    while time.monotonic() < until:
        began = time.monotonic()
        page.send("Input.dispatchMouseEvent", **where)
        time.sleep(max(0, 1 / 40 - (time.monotonic() - began)))


def drag(page: Browser, seconds: float) -> None:
    """Drag the list as a scroll bar does: to its end, and back to its begin, over what is known by then."""
    script = """new Promise((done) => {
        const shelf = document.querySelector("r-shelf");
        const began = performance.now();
        const turn = () => {
            const share = ((performance.now() - began) % 2000) / 1000;
            shelf.scrollTop = (share < 1 ? share : 2 - share) * (shelf.scrollHeight - shelf.clientHeight);
            if (performance.now() - began < SECONDS * 1000) requestAnimationFrame(turn); else done(0);
        };
        requestAnimationFrame(turn);
    })"""
    page.answer(script.replace("SECONDS", str(seconds)))


def scrolling(page: Browser, given: argparse.Namespace) -> Iterator[tuple[str, Row]]:
    """By the wheel, and far."""
    for how, move in (("by the wheel", wheel), ("dragged far", drag)):
        found = scrolled(page, lambda move=move: move(page, given.seconds))  # type: ignore[misc]
        p95 = round(found.times.p95, 1)  # what the browser's clock tells; a double says more
        ratio = {"ratio": p95 / FRAME_MS, "limit": 1}
        yield f"scrolling {how}, p95 of a frame beside two at 60/s", {**ratio, **found.row()}


# Verdicts

DECIDE = """(async () => {
    const name = () => document.querySelector(".shown-name")?.innerText;
    const began = performance.now();
    for (let done = 0; done < COUNT; done += 1) {
        const last = name();
        document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "p", bubbles: true}));
        do {
            if (performance.now() - began > 120000) throw new Error(`stuck after ${done}`);
            await new Promise(requestAnimationFrame);
        } while (name() === last || !document.querySelector(".stage .screen img")?.naturalWidth);
        await document.querySelector(".stage .screen img").decode();
        await new Promise(requestAnimationFrame);
    }
    const shown = performance.now();
    while (localStorage.getItem("retaia.waiting")) await new Promise((go) => setTimeout(go, 5));
    return [shown - began, performance.now() - began];
})()"""


def verdicts(page: Browser, at: Stage, given: argparse.Namespace) -> Iterator[tuple[str, Row]]:
    """As fast as the interface shows the next one, beside the bare requests."""
    count = given.photos - 2
    walk(page, QUEUE.format("photo"))
    showing(page, ".shown-name", "photo-000")
    page.wait(
        "document.querySelector('.verdict') && document.querySelector('.stage img')?.naturalWidth"
    )
    time.sleep(1)
    shown, sent = (ms / 60_000 for ms in page.answer(DECIDE.replace("COUNT", str(count))))
    bare = clear(at) / 60
    figures = {"shown_per_minute": count / shown, "sent_per_minute": count / sent}
    yield (
        "verdicts a minute by a script, beside the bare requests",
        {"ratio": bare / sent, **figures, "bare_per_minute": count / bare},
    )


def clear(at: Stage) -> float:
    """Take the verdicts on photos back by requests, one after the other; seconds."""
    with api(at) as client:
        listed = client.get("/assets", params={"tags": "photo", "limit": 100}).json()["items"]
        decided = [item["uuid"] for item in listed if item["state"].startswith("DECIDED")]
        began = time.perf_counter()
        for uuid in decided:
            path, key = f"/assets/{uuid}/decision", {"Idempotency-Key": os.urandom(8).hex()}
            client.post(path, json={"action": "CLEAR"}, headers=key).raise_for_status()
        return time.perf_counter() - began


# A newcomer


def newcomer(media: Path, folder: Path) -> Iterator[tuple[str, Row]]:
    """`retaia up FOLDER` in an empty home, on a terminal; then the browser, by its link and by keys."""
    shot, home = folder / "shot", folder / "home"
    shutil.copytree(media, shot, ignore=shutil.ignore_patterns("README.md"))
    for path in shot.iterdir():
        os.utime(path, (time.time() - LONG_AGO_S,) * 2)
    home.mkdir()
    machine = Machine(home=home)
    began = time.monotonic()
    with Terminal.of(machine, "up", str(shot), "--port", "0") as terminal:
        link = terminal.link()
        stamps = {"link_s": time.monotonic() - began}
        with browser(folder / "profile") as page:
            page.look(width=WIDTH, height=HEIGHT)
            page.open(link)
            page.wait("document.querySelector('main#main')?.childElementCount")
            stamps["signed_in_s"] = time.monotonic() - began
            # The newcomer waits in the library until the first picture is there, and opens the queue.
            while not page.run("Boolean(document.querySelector('.cell img'))"):
                time.sleep(0.2)
                assert time.monotonic() - began < NEWCOMER_S * 2, "no picture came"
            stamps["first_picture_s"] = time.monotonic() - began
            page.press("2", alt=True)
            page.wait("document.querySelector('.verdict.keep:not([disabled])')")
            page.wait("document.querySelector('.stage .screen')")
            stamps["open_for_decision_s"] = time.monotonic() - began
            page.press("p")
            page.wait("localStorage.getItem('retaia.waiting') === null")
            stamps["decided_s"] = time.monotonic() - began
    states = machine.run("assets", "list", "--json").document["assets"]
    assert sum(one["state"] == "DECIDED_KEEP" for one in states) == 1, states
    ratio = stamps["decided_s"] / NEWCOMER_S
    yield (
        "from `retaia up FOLDER` to the first decision, beside 5 minutes",
        {"ratio": ratio, "limit": 1, **stamps},
    )


@frozen
class Terminal:
    """A command on a terminal, whose questions are answered by their defaults."""

    process: subprocess.Popen[bytes]
    said: bytearray

    @classmethod
    @contextmanager
    def of(cls, machine: Machine, *arguments: str) -> Iterator[Terminal]:
        """Start it; it is ended with the block."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            machine.command(*arguments), env={**machine.environment, "TERM": "xterm", "COLUMNS": "200"},
            cwd=machine.home, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        terminal = cls(process, bytearray())
        threading.Thread(target=terminal._read, args=(ours,), daemon=True).start()
        try:
            yield terminal
        finally:
            process.terminate()
            process.wait(60)

    def _read(self, ours: int) -> None:
        answered = 0
        while True:
            try:
                self.said.extend(os.read(ours, 65536))
            except OSError:  # The command has ended, and with it the terminal.
                return
            asked = len(re.findall(rb"\[[yY]/[nN]\]|\? $", bytes(self.said)))
            if asked > answered:
                answered = asked
                os.write(ours, b"y\n")

    def link(self) -> str:
        """The link that it prints."""
        until = time.monotonic() + NEWCOMER_S
        while not (found := re.search(rb"http://\S+#link=[\w-]+(?=\s)", bytes(self.said))):
            assert self.process.poll() is None, bytes(self.said).decode()
            assert time.monotonic() < until, bytes(self.said).decode()
            time.sleep(0.05)
        return found[0].decode()


# All of it


def prepare(page: Browser) -> None:
    """A window, in which first rows are watched."""
    page.look(width=WIDTH, height=HEIGHT)
    page.send("Page.addScriptToEvaluateOnNewDocument", source=WATCH)


def size() -> Iterator[tuple[str, Row]]:
    """Script and style as they are sent."""
    sent = shipped_bytes()
    yield (
        "all script and style, compressed, beside 250 kB",
        {"ratio": sent / SCRIPT_BYTES, "limit": 1, "kB": sent / 1000},
    )


def measure(folder: Path, given: argparse.Namespace) -> Iterator[tuple[str, Row]]:
    """Every case."""
    yield from size()
    yield from newcomer(given.media, folder / "new")
    storage = folder / "storage"
    make_media(given.media, storage / "INBOX", given.photos, given.clips)
    home = folder / "home"
    home.mkdir()
    at = Stage(Machine(home=home), storage)
    told("preparing photos and clips")
    at.prepare()
    told(f"adding {given.assets:,} assets")
    asyncio.run(fill(home / "data" / "retaia.db", given.assets))
    told("the server starts")
    at.start()
    try:
        tag(at)
        with browser(folder / "profile") as page:
            prepare(page)
            at.enter(page)
            page.wait("window.rows")
            yield from rows(page, at, given)
            yield from scrolling(page, given)
            yield from pictures(Screen(page), at, given)
            yield from verdicts(page, at, given)
    finally:
        at.stop()


_BEGAN = time.monotonic()


def told(text: str) -> None:
    """Say how far it is."""
    print(f"{time.monotonic() - _BEGAN:6.1f} s  {text}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--assets", type=int, default=1_000_000)
    parser.add_argument("--photos", type=int, default=28)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=8, help="of each way to scroll")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--media", type=Path, default=Path(os.environ.get("RETAIA_MEDIA", MEDIA)))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found: Rows = {}
    with tempfile.TemporaryDirectory(prefix="retaia-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "new").mkdir()
        for what, row in measure(folder, given):
            found[what] = row
            shown: Mapping[str, str] = {k: f"{v:.4g}" for k, v in row.items()}
            told(f"{what}: {shown}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
