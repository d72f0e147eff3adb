"""What a person sees in a browser, and when: frames as the screen gets them, and bare pages beside ours."""

from __future__ import annotations

import base64
import io
import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from attrs import define, field, frozen
from PIL import Image
from retaia_tests.browser import Browser

WIDTH, HEIGHT = 1280, 800
SETTLED_S = 0.3
LONGEST_S = 5.0
UNLIKE = 12.0
"""Mean difference of brightness (of 255) between two pictures that are not the same one."""
ALIKE = 3.0


_STAMP = """window.pressed = 0; addEventListener("keydown", (event) => {
    pressed = performance.timeOrigin + event.timeStamp;
}, {capture: true, once: true})"""


class NothingPainted(AssertionError):
    """A key was pressed, and the picture on the screen stayed as it was."""


@frozen(kw_only=True)
class Times:
    """Milliseconds, in the order in which they were measured."""

    each: Sequence[float]

    @property
    def p50(self) -> float:
        return statistics.median(self.each)

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.each, n=20, method="inclusive")[-1]

    def figures(self, prefix: str = "") -> Mapping[str, float]:
        """For the table."""
        return {f"{prefix}p50_ms": self.p50, f"{prefix}p95_ms": self.p95}


@define
class Screen:
    """A page whose frames are kept, each with the moment at which the screen got it."""

    page: Browser
    frames: list[tuple[float, str]] = field(factory=list)

    def begin(self) -> None:
        """Keep frames from now on, at half of their size: what is compared is what they show."""
        self.page.told["Page.screencastFrame"] = self._take
        half = {"maxWidth": WIDTH // 2, "maxHeight": HEIGHT // 2}
        self.page.send("Page.startScreencast", format="jpeg", quality=50, **half)

    def end(self) -> None:
        """Keep none any more: they cost the browser time."""
        self.page.send("Page.stopScreencast")
        del self.page.told["Page.screencastFrame"]

    def _take(self, said: Any) -> None:
        self.page.post("Page.screencastFrameAck", sessionId=said["sessionId"])
        self.frames.append((said["metadata"]["timestamp"], said["data"]))

    def press(self, key: str, selector: str) -> float:
        """Press a key; milliseconds until an element of the page shows what it shows in the end.

        Raises:
            NothingPainted: as said.
        """
        box = self._box(selector)
        before = self._settle()
        self.frames.clear()
        self.page.run(_STAMP)
        self.page.press(key)
        after = _part(self._settle(), box)
        if _difference(_part(before, box), after) < UNLIKE:
            raise NothingPainted(f"{key} in {self.page.run('location.href')}")
        pressed = self.page.run("pressed") / 1000
        painted = next(
            at for at, data in self.frames if _difference(_part(data, box), after) < ALIKE
        )
        return (painted - pressed) * 1000

    def _box(self, selector: str) -> tuple[int, int, int, int]:
        """Where an element is in a frame."""
        x, y, right, bottom = self.page.run(
            f"(({{x, y, right, bottom}}) => [x, y, right, bottom])"
            f"(document.querySelector({selector!r}).getBoundingClientRect())"
        )
        return int(x / 2) + 1, int(y / 2) + 1, int(right / 2) - 1, int(bottom / 2) - 1

    def _settle(self) -> str:
        """Wait until nothing changes any more; the last frame."""
        began = last = time.monotonic()
        count = len(self.frames)
        while not self.frames or time.monotonic() - last < SETTLED_S:
            self.page.run("0")
            if len(self.frames) != count:
                count, last = len(self.frames), time.monotonic()
            assert time.monotonic() - began < LONGEST_S, "the page never rests"
            time.sleep(0.02)
        return self.frames[-1][1]


def _part(data: str, box: tuple[int, int, int, int]) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        return np.asarray(picture.convert("L").crop(box), dtype=np.int16)


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def plain_server(folder: Path) -> Iterator[str]:
    """The files of a folder over HTTP, and nothing else; its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
