"""A server with footage that is prepared, and a person in a browser before it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from attrs import define, field
from PIL import Image

from retaia_tests.browser import PATIENCE_S, Browser
from retaia_tests.machine import Machine

QUICK = ("--quiet-period", "0", "--scan-interval", "1")
SHADES = ((150, 60, 40), (50, 120, 70), (50, 80, 150), (150, 130, 40), (90, 60, 130))


def photos(folder: Path, names: tuple[str, ...]) -> None:
    """Small photos, each of a colour of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for at, name in enumerate(names):
        Image.new("RGB", (320, 240), SHADES[at % len(SHADES)]).save(folder / name)


@define
class Stage:
    """``retaia up`` on a folder, again at the same address after a stop."""

    machine: Machine
    storage: Path
    port: int = 0
    url: str = ""
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def prepare(self) -> None:
        """Have everything in the inbox prepared."""
        answer = self.machine.up(self.storage)
        assert answer.code == 0, answer.errors

    def start(self) -> None:
        """Serve, at the port that was used before."""
        running = self.machine.home / "data" / "server.json"
        running.unlink(missing_ok=True)
        command = self.machine.command("up", str(self.storage), *QUICK, "--port", str(self.port))
        said = self.machine.home / "server.log"
        with said.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self.machine.environment, cwd=self.machine.home,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
            )  # fmt: skip
        until = time.monotonic() + PATIENCE_S
        while not running.exists():
            assert time.monotonic() < until, "the server did not start"
            assert self._process.poll() is None, said.read_text()
            time.sleep(0.05)
        self.url = str(json.loads(running.read_text())["url"])
        self.port = int(self.url.rpartition(":")[2])

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the server."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE_S)
            self._process = None

    def link(self) -> str:
        """A link that signs the person at this machine in."""
        answer = self.machine.run("user", "link", "--json")
        assert answer.code == 0, answer.errors
        return str(answer.document["url"])

    def enter(self, page: Browser, *, path: str = "/") -> None:
        """Sign in by the link, until the session outlives the page, and go to a view."""
        page.open(self.link())
        page.wait("document.querySelector('main#main')?.childElementCount")
        page.wait("navigator.serviceWorker.controller")
        if path != "/":
            walk(page, path)

    def add_person(self, email: str, password: str, *options: str) -> None:
        """Somebody else."""
        subprocess.run(
            self.machine.command("user", "add", email, "--password-stdin", *options),
            env=self.machine.environment, input=f"{password}\n", text=True, check=True,
            capture_output=True,
        )  # fmt: skip

    def client(self, email: str, password: str) -> httpx.Client:
        """Somebody else, at the API."""
        base = f"{self.url}/api/v1"
        body = {"email": email, "password": password}
        answer = httpx.post(f"{base}/auth/login", json=body, trust_env=False).raise_for_status()
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        return httpx.Client(base_url=base, headers=headers, trust_env=False)

    def states(self) -> Mapping[str, str]:
        """The state of every asset by its path, as the command line says."""
        listed = self.machine.run("assets", "list", "--json").document["assets"]
        return {asset["path"]: asset["state"] for asset in listed}


@contextmanager
def stage(machine: Machine, storage: Path) -> Iterator[Stage]:
    """Footage that is prepared, and served until the block ends."""
    found = Stage(machine, storage)
    found.prepare()
    found.start()
    try:
        yield found
    finally:
        found.stop()


def walk(page: Browser, path: str) -> None:
    """Go to another view as a link within the page does."""
    script = f"""(() => {{
        const link = Object.assign(document.createElement('a'), {{href: {json.dumps(path)}}});
        document.body.append(link); link.click(); link.remove();
    }})()"""
    page.run(script)


def text(page: Browser, selector: str) -> Any:
    """What an element says; None where there is none."""
    return page.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? null")


def showing(page: Browser, selector: str, said: str) -> None:
    """Wait until an element says this, among other things."""
    page.wait(
        f"document.querySelector({json.dumps(selector)})?.innerText.includes({json.dumps(said)})"
    )
