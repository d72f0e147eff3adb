"""The interface's page and files, as a browser gets them."""

from __future__ import annotations

import gzip
import posixpath
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from retaia_tests.house import House
from retaia_tests.http_house import Served, serve_in_process

from retaia_adapters.web import plugin
from retaia_adapters.web.site import shipped
from retaia_core.hooks import plugins_from

SITE = "http://127.0.0.1"
COMPRESSED_MOST = 250_000
VIEWS = {
    "/": "library",
    "/library": "library",
    "/review": "review",
    f"/review/{'0' * 36}": "review",
    "/compare/00000000-0000-4000-8000-000000000001,00000000-0000-4000-8000-000000000002": "compare",
    "/apply": "apply",
    "/purge": "purge-list",
    "/batches": "batches",
    "/batches/0190-ab": "batch",
    "/account": "account",
    "/activity": "activity",
    "/device": "device",
    "/admin": "admin",
    "/admin/features": "admin",
    "/admin/people": "admin-people",
    "/admin/clients": "admin-clients",
    "/admin/settings": "admin-settings",
    "/admin/sidecars": "admin-sidecars",
}


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    house = House()
    await house.start()
    async with serve_in_process(house, plugins_from({"web": plugin})) as served:
        yield served


async def ask(served: Served, path: str, **options: str) -> httpx.Response:
    return await served.anonymous.get(SITE + path, headers=options)


async def named(served: Served, view: str = "/") -> list[str]:
    """The addresses that the page names."""
    page = (await ask(served, view)).text
    return re.findall(r'(?:href|src)="([^"]+)"', page)


async def asked_for(served: Served, view: str) -> set[str]:
    """The files that the page names."""
    return {re.sub(r"^/web/[0-9a-f]{16}/", "", address) for address in await named(served, view)}


class TestWhatIsServed:
    """One page at every address, its files below an address of their own, and a strict policy."""

    @pytest.mark.parametrize("path", VIEWS)
    async def test_every_view_is_the_page(self, served: Served, path: str) -> None:
        """An address can be kept and sent: it is answered by the page, which is asked for each time."""
        answer = await ask(served, path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"

    @pytest.mark.parametrize("path", ["/nothing", "/review/x", "/web/style.css", "/web/0/main.js"])
    async def test_anything_else_is_not_found(self, served: Served, path: str) -> None:
        """In the one shape that errors have."""
        assert (await ask(served, path)).status_code == 404

    async def test_the_page_is_read_only(self, served: Served) -> None:
        """There is nothing to be sent there."""
        assert (await served.anonymous.post(f"{SITE}/")).status_code == 404

    async def test_every_file_bears_the_policy(self, served: Served) -> None:
        """Nothing inline, nothing from elsewhere, no frame, no form, and no markup out of text."""
        for path in ("/", "/sw.js", *await named(served)):
            answer = await ask(served, path)
            assert answer.status_code == 200, path
            policy = answer.headers["content-security-policy"]
            rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
            assert rules["default-src"] == "'none'"
            for name in ("script-src", "style-src", "connect-src", "worker-src"):
                assert rules[name] == "'self'"
            assert rules["form-action"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
            assert rules["require-trusted-types-for"] == "'script'"
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "set-cookie" not in answer.headers

    async def test_a_file_is_kept_at_an_address_of_its_content(self, served: Served) -> None:
        """Which changes with what is in any of them."""
        addresses = await named(served)
        base = addresses[0].rpartition("/")[0] + "/"
        assert re.fullmatch(r"/web/[0-9a-f]{16}/", base)
        for address in addresses:
            assert address.startswith(base)
            kept = (await ask(served, address)).headers["cache-control"]
            assert kept == "public, max-age=31536000, immutable"

    @pytest.mark.parametrize(("path", "view"), VIEWS.items())
    async def test_what_a_view_consists_of_is_asked_for_at_once(
        self, served: Served, path: str, view: str
    ) -> None:
        """The page names the module that the browser shows there, and all that its modules import."""
        there = await asked_for(served, path)
        assert {"style.css", "main.js", f"views/{view}.js"} <= there
        table = re.findall(
            r'\[/(\^.+?\$)/, "r-.*import\("\./views/(.+?)\.js"\)', shipped()["main.js"].decode()
        )
        shown = {module for pattern, module in table if re.match(pattern.replace(r"\/", "/"), path)}
        assert shown == {view}
        for name in there:
            if name.endswith(".js"):
                folder = name.rpartition("/")[0]
                for imported in re.findall(
                    r'^import (?:.* from )?"(.+)";$', shipped()[name].decode(), re.MULTILINE
                ):
                    assert posixpath.normpath(f"./{folder}/{imported}") in there, name

    async def test_no_file_is_of_no_use(self, served: Served) -> None:
        """Each is part of a view, of all of them, or a service worker."""
        used = set().union(*[await asked_for(served, path) for path in VIEWS])
        assert used == set(shipped()) - {"index.html", "sw.js"}

    async def test_what_the_browser_has_is_not_sent_again(self, served: Served) -> None:
        """By its tag; and what is sent is compressed where the browser takes that."""
        plain = await ask(served, "/", **{"Accept-Encoding": "identity"})
        packed = await ask(served, "/", **{"Accept-Encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.text == plain.text
        again = await ask(served, "/", **{"If-None-Match": plain.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


class TestWhatIsShipped:
    """The files themselves."""

    def test_all_together_are_small(self) -> None:
        """All script and style, compressed one by one as they are sent."""
        size = sum(
            len(gzip.compress(body))
            for name, body in shipped().items()
            if name.endswith((".js", ".css", ".html"))
        )
        assert 10_000 < size < COMPRESSED_MOST

    def test_no_file_names_another_host(self) -> None:
        """But for the map that a person may open, and names of formats."""
        allowed = ("https://www.openstreetmap.org/", "http://www.w3.org/2000/svg")
        for name, body in shipped().items():
            for address in re.findall(r"https?://[^\s\"'`]+", body.decode()):
                assert address.startswith(allowed), (name, address)

    def test_no_text_becomes_markup(self) -> None:
        """No script asks for it, and the policy would refuse it."""
        for name, body in shipped().items():
            found = re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", body.decode()
            )
            assert found is None, (name, found)

    def test_no_secret_goes_into_storage(self) -> None:
        """What the browser keeps are choices of the person, and decisions and notes on their way."""
        kept = set()
        for name, body in shipped().items():
            text = body.decode()
            assert not re.search(r"sessionStorage|indexedDB|document\.cookie|caches\.", text), name
            kept |= set(re.findall(r'"(retaia\.\w+)"', text))
        on_their_way = {"retaia.waiting", "retaia.annotations"}
        assert kept == {"retaia.language", "retaia.theme", "retaia.client", *on_their_way}
