"""A headless Chromium on a pipe: opens a page, runs script in it, takes pictures."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define, field

from retaia_tests import components

PATIENCE_S = 30.0
_QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--remote-debugging-pipe",
)

_KEYS = {
    "Backspace": 8, "Enter": 13, "Tab": 9, "Escape": 27, " ": 32, "PageUp": 33, "PageDown": 34,
    "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
}  # fmt: skip


_LEFT = (
    "Inspected target navigated or closed",
    "Execution context was destroyed.",
    "Cannot find default execution context",
)


class PageLeft(Exception):
    """The page went to another address while a script ran in it."""


@define
class Browser:
    """One page of a browser, over the DevTools protocol: JSON, each message ended by a NUL."""

    reading: int
    writing: int
    session: str = ""
    complaints: list[str] = field(factory=list)
    requests: list[str] = field(factory=list)
    told: dict[str, Callable[[Any], None]] = field(factory=dict)
    """What is called with the parameters of an event, by its name."""
    _last: int = 0
    _rest: bytes = b""

    def send(self, method: str, **params: object) -> Any:
        """Call a method and wait for its result; what the page complains of meanwhile is kept."""
        mine = self.post(method, **params)
        while True:
            answer = self._next()
            self._heed(answer)
            if answer.get("id") == mine:
                if answer.get("error", {}).get("message") in _LEFT:
                    raise PageLeft(answer)
                assert "error" not in answer, answer
                return answer["result"]

    def post(self, method: str, **params: object) -> int:
        """Call a method without waiting; its number."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writing, json.dumps(message).encode() + b"\0")
        return self._last

    def _heed(self, said: Any) -> None:
        if said.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
            self.complaints.append(json.dumps(said["params"]))
        if said.get("method") == "Network.requestWillBeSent":
            self.requests.append(said["params"]["request"]["url"])
        if act := self.told.get(said.get("method", "")):
            act(said["params"])
        if said.get("method") == "Page.javascriptDialogOpening":
            self.post("Page.handleJavaScriptDialog", accept=True)  # whether to leave a page: yes

    def _next(self) -> Any:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self.reading], [], [], PATIENCE_S)
            assert ready, "the browser says nothing any more"
            read = os.read(self.reading, 1 << 20)
            assert read, "the browser is gone"
            self._rest += read
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def open(self, url: str) -> None:
        """Go to a page."""
        self.send("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def answer(self, script: str) -> Any:
        """What a promise in the page comes to."""
        asked = {"returnByValue": True, "awaitPromise": True}
        found = self.send("Runtime.evaluate", expression=script, **asked)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until an expression is true, on the page that follows where this one is being left."""
        until = time.monotonic() + PATIENCE_S
        while not self._holds(script):
            assert time.monotonic() < until, f"never true: {script}; {self.complaints}"
            time.sleep(0.05)

    def _holds(self, script: str) -> bool:
        try:
            return bool(self.run(f"Boolean({script})"))
        except PageLeft:
            return False

    def type(self, text: str) -> None:
        """Type where the focus is."""
        self.send("Input.insertText", text=text)

    def press(
        self, key: str, *, control: bool = False, shift: bool = False, alt: bool = False
    ) -> None:
        """Press a key, by the name that ``KeyboardEvent.key`` has for it."""
        code = _KEYS.get(key) or ord(key.upper())
        plain = len(key) == 1 and not control and not alt
        typed = "\r" if key == "Enter" else key if plain else ""
        held = alt + 2 * control + 8 * shift
        said = {"key": key, "windowsVirtualKeyCode": code, "modifiers": held}
        text = {"text": typed} if typed else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **said, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **said)

    def click(self, selector: str) -> None:
        """Click in the middle of an element."""
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        x, y, wide, tall = self.run(f"(({{x, y, width, height}}) => [x, y, width, height])({box})")
        where = {"x": x + wide / 2, "y": y + tall / 2, "button": "left", "clickCount": 1}
        self.send("Input.dispatchMouseEvent", type="mousePressed", **where)
        self.send("Input.dispatchMouseEvent", type="mouseReleased", **where)

    def push(self, selector: str) -> None:
        """Click an element as a program does, once it is there, wherever it is on the page."""
        self.wait(f"document.querySelector({json.dumps(selector)})")
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def look(self, *, width: int = 1280, height: int = 800, scheme: str = "light") -> None:
        """Be a window of this size, in pixels, on a system of these colours: ``light`` or ``dark``."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        wanted = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", features=wanted)

    def picture(self, path: Path) -> None:
        """Take a picture of the page."""
        shot = self.send("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are out of the way of the descriptors that the browser uses."""
    low = os.pipe()
    reading, writing = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in low)
    for end in low:
        os.close(end)
    return reading, writing


@contextmanager
def browser(profile: Path, *, language: str = "en-US") -> Iterator[Browser]:
    """A browser with an empty profile, until the block ends."""
    chromium = components.program("chromium")
    theirs_in, ours_out = _pipe()
    ours_in, theirs_out = _pipe()
    command = [chromium, *_QUIET, f"--user-data-dir={profile}", f"--accept-lang={language}"]
    # The browser reads commands from descriptor 3 and answers on 4.
    process = subprocess.Popen(
        ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "-", *command, "about:blank"],
        pass_fds=(theirs_in, theirs_out),
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        page = Browser(ours_in, ours_out)
        target = page.send("Target.createTarget", url="about:blank")["targetId"]
        attached = page.send("Target.attachToTarget", targetId=target, flatten=True)
        page.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.send(f"{domain}.enable")
        yield page
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        os.close(ours_in)
        os.close(ours_out)
