"""``/``: the interface's one page and its files, of this package alone.

The files lie below a path that has their digest in it, so that a browser keeps them for ever and a new
version is fetched whole; what they import of each other is relative, and so needs no build step.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from attrs import field, frozen

from retaia_core.errors import NotFound

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; worker-src 'self'; "
    "img-src 'self' blob:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""The Content-Security-Policy: nothing inline, nothing from elsewhere, no markup made from text."""

VIEWS = re.compile(
    r"/(?:|library|activity|account|device|apply"
    r"|admin(?:/(?:people|clients|features|settings|sidecars))?"
    r"|review(?:/[0-9a-f-]{36})?|compare/[0-9a-f,-]{1,400}|batches(?:/[\w-]{1,100})?|purge)"
)
"""The addresses that the page answers; which view one shows is told apart in the browser."""

_TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK = "no-cache"


@frozen(kw_only=True)
class File:
    """A file as it is sent, plain and compressed."""

    body: bytes
    content_type: str
    kept: str
    packed: bytes = field(init=False)
    etag: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "packed", gzip.compress(self.body, mtime=0))
        object.__setattr__(self, "etag", f'"{hashlib.sha256(self.body).hexdigest()[:32]}"')


def _walk(folder: Traversable, at: str = "") -> Iterator[tuple[str, bytes]]:
    """The files that are served, by path; the types that only a type checker reads are not."""
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.is_dir():
            yield from _walk(entry, f"{at}{entry.name}/")
        elif "." + entry.name.rpartition(".")[2] in _TYPES:
            yield at + entry.name, entry.read_bytes()


@cache
def shipped() -> Mapping[str, bytes]:
    """Everything that the interface consists of, by its path in the package."""
    return dict(_walk(files(__package__).joinpath("static")))


@cache
def _site() -> Mapping[str, File]:
    """Every file by its address; the page itself is at ``/``."""
    given = shipped()
    digest = hashlib.sha256()
    for name, body in given.items():
        digest.update(f"{name}\0{len(body)}\0".encode() + body)
    base = f"/web/{digest.hexdigest()[:16]}/"
    found = {
        base + name: File(body=body, content_type=_type(name), kept=_FOR_EVER)
        for name, body in given.items()
    }
    page = _page(given["index.html"].decode(), base, given)
    found["/"] = File(body=page.encode(), content_type=_TYPES[".html"], kept=_ASK)
    # A service worker rules over what lies below its own address.
    found["/sw.js"] = File(body=given["sw.js"], content_type=_TYPES[".js"], kept=_ASK)
    return found


def shipped_bytes() -> int:
    """Bytes of all script and style, compressed as they are sent."""
    files = {name: file for name, file in _site().items() if name.endswith((".js", ".css"))}
    return sum(len(file.packed) for file in files.values())


def _type(name: str) -> str:
    return _TYPES["." + name.rpartition(".")[2]]


def _page(text: str, base: str, given: Mapping[str, bytes]) -> str:
    """The page, with the addresses of its files; scripts are asked for at once, not one after another."""
    modules = (name for name in given if name.endswith(".js") and name != "sw.js")
    hints = "\n".join(f'<link rel="modulepreload" href="{base}{name}">' for name in modules)
    return text.replace("{{base}}", base).replace("{{modules}}", hints)


async def site(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request (ASGI).

    Raises:
        NotFound: there is no such page or file, or it is no request to read one.
    """
    path, method = scope["path"], scope["method"]
    file = _site().get("/" if VIEWS.fullmatch(path) else path)
    if file is None or method not in ("GET", "HEAD"):
        raise NotFound("there is no such page; / is the interface, and /api/docs tells of the API")
    given = {name: value.decode("latin-1") for name, value in scope["headers"]}
    packed = "gzip" in given.get(b"accept-encoding", "")
    known = given.get(b"if-none-match") == file.etag
    body = file.packed if packed else file.body
    headers = {
        "content-type": file.content_type,
        "content-security-policy": POLICY,
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "permissions-policy": "camera=(), microphone=(), geolocation=()",
        "cache-control": file.kept,
        "vary": "Accept-Encoding",
        "etag": file.etag,
    }
    if not known:
        headers["content-length"] = str(len(body))
        if packed:
            headers["content-encoding"] = "gzip"
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 304 if known else 200, "headers": raw})
    empty = known or method == "HEAD"
    await send({"type": "http.response.body", "body": b"" if empty else body})
