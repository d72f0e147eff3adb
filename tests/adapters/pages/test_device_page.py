"""The page that lets a device in, as a browser gets it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from importlib.resources import files

import httpx
import pytest
from retaia_tests.house import House
from retaia_tests.http_house import Served, serve_in_process
from starlette.types import Receive, Scope, Send

from retaia_adapters.http.pages import page_at, pages_of
from retaia_adapters.pages import plugin
from retaia_core.errors import PluginError
from retaia_core.hooks import Page, plugins_from

SITE = "http://127.0.0.1"
FILES = ("/device", "/device/device.css", "/device/device.js", "/device/texts.js")


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    house = House()
    await house.start()
    async with serve_in_process(house, plugins_from({"pages": plugin})) as served:
        yield served


async def ask(served: Served, path: str, **options: str) -> httpx.Response:
    return await served.anonymous.get(SITE + path, headers=options)


class TestWhatIsServed:
    """One page of its own files, under a policy that lets nothing else in."""

    @pytest.mark.parametrize("path", FILES)
    async def test_every_file_bears_the_policy(self, served: Served, path: str) -> None:
        """No script, style, frame, form or address of another place is allowed."""
        answer = await ask(served, path)
        assert answer.status_code == 200
        rules = dict(
            rule.strip().split(" ", 1)
            for rule in answer.headers["content-security-policy"].split(";")
        )
        assert rules["default-src"] == "'none'"
        assert {rules[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
        assert rules["form-action"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"

    async def test_every_file_of_the_package_is_reachable(self, served: Served) -> None:
        """What lies in the folder is what is served."""
        there = {f.name for f in files("retaia_adapters.pages").joinpath("static").iterdir()}
        assert there == {"device.html", *(path.rpartition("/")[2] for path in FILES[1:])}

    async def test_nothing_comes_from_elsewhere(self, served: Served) -> None:
        """No file names another host, and the page has no script or style inside it."""
        for path in FILES:
            assert not re.search(r"(https?:)?//[a-z]", (await ask(served, path)).text)
        page = (await ask(served, "/device")).text
        assert not re.search(r"<style|\son\w+=|\sstyle=|<script>", page)

    async def test_what_clients_say_is_never_markup(self, served: Served) -> None:
        """The script writes text only."""
        script = (await ask(served, "/device/device.js")).text
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval", script)

    async def test_an_unchanged_file_is_not_sent_again(self, served: Served) -> None:
        """Its ETag is answered with 304 and no body."""
        first = await ask(served, "/device")
        again = await ask(served, "/device", **{"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")

    @pytest.mark.parametrize("path", ["/device/", "/device/../device.py", "/device/none.js"])
    async def test_other_paths_are_the_one_error(self, served: Served, path: str) -> None:
        """A path below the page that is no file is a 404 in the API's shape."""
        answer = await ask(served, path)
        assert (answer.status_code, answer.json()["code"]) == (404, "VALIDATION_FAILED")


class TestWhatItSays:
    """English and French, with the same things said."""

    def test_both_languages_say_everything(self) -> None:
        """Every text that page and script name is there in both."""
        folder = files("retaia_adapters.pages").joinpath("static")
        page, script, texts = (
            folder.joinpath(name).read_text("utf-8")
            for name in ("device.html", "device.js", "texts.js")
        )
        english, french = (
            set(re.findall(r"^  (\w+):", part, re.MULTILINE)) for part in texts.split("const fr")
        )
        assert english == french
        named = set(re.findall(r'data-say="(\w+)"', page))
        script = script.replace("./texts.js", "")
        named |= set(re.findall(r"texts\.(\w+)", script)) | set(re.findall(r': "(\w+)",', script))
        assert named - {"POST", "UI_WEB"} <= english

    def test_every_field_has_a_label(self) -> None:
        """Who cannot see the page is told what each field is."""
        page = files("retaia_adapters.pages").joinpath("static", "device.html").read_text("utf-8")
        fields = set(re.findall(r'<input id="([\w-]+)"', page))
        assert fields == set(re.findall(r'<label for="([\w-]+)"', page))
        assert len(fields) == 5


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """A page that is never asked."""


async def something(scope: Scope, receive: Receive, send: Send) -> None:
    """Another."""


class TestPages:
    """Which page answers."""

    def test_the_longest_path_answers(self) -> None:
        """The root takes the rest, and the API keeps its own."""
        pages = pages_of(
            [Page(path="/", application=nothing), Page(path="/device", application=something)]
        )
        assert page_at(pages, "/") is page_at(pages, "/devices") is nothing
        assert page_at(pages, "/device") is page_at(pages, "/device/x.js") is something
        assert page_at(pages, "/api/v1/nothing") is None
        assert page_at(pages_of([]), "/") is None

    @pytest.mark.parametrize("paths", [("/a", "/a/"), ("/api/v1/x",), ("/api",), ("a",), ("",)])
    def test_pages_that_cannot_be_are_refused(self, paths: tuple[str, ...]) -> None:
        """Two at one path, or one where the API is."""
        with pytest.raises(PluginError):
            pages_of([Page(path=path, application=nothing) for path in paths])
