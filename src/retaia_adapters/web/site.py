"""``/``: the interface's one page and its files, of this package alone.

The files lie below a path that has their digest in it, so that a browser keeps them for ever and a new
version is fetched whole; what they import of each other is relative, and so needs no build step.
"""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
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

VIEWS: Mapping[str, str] = {
    r"/(?:library)?": "library",
    r"/review(?:/[0-9a-f-]{36})?": "review",
    r"/compare/[0-9a-f,-]{1,400}": "compare",
    r"/apply": "apply",
    r"/purge": "purge-list",
    r"/batches": "batches",
    r"/batches/[\w-]{1,100}": "batch",
    r"/account": "account",
    r"/activity": "activity",
    r"/device": "device",
    r"/admin(?:/features)?": "admin",
    r"/admin/people": "admin-people",
    r"/admin/clients": "admin-clients",
    r"/admin/settings": "admin-settings",
    r"/admin/sidecars": "admin-sidecars",
}
"""The addresses that the page answers, each with the module of the view that the browser shows there."""

_IMPORT = re.compile(r'^import .*"(\.[^"]+)";$', re.MULTILINE)

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
def _base() -> str:
    """Where the files lie: with another content of any of them elsewhere."""
    digest = hashlib.sha256()
    for name, body in shipped().items():
        digest.update(f"{name}\0{len(body)}\0".encode() + body)
    return f"/web/{digest.hexdigest()[:16]}/"


@cache
def _site() -> Mapping[str, File]:
    """Every file by its address."""
    given, base = shipped(), _base()
    found = {
        base + name: File(body=body, content_type=_type(name), kept=_FOR_EVER)
        for name, body in given.items()
    }
    # A service worker rules over what lies below its own address.
    found["/sw.js"] = File(body=given["sw.js"], content_type=_TYPES[".js"], kept=_ASK)
    return found


def shipped_bytes() -> int:
    """Bytes of all script and style, compressed as they are sent."""
    files = {name: file for name, file in _site().items() if name.endswith((".js", ".css"))}
    return sum(len(file.packed) for file in files.values())


def _type(name: str) -> str:
    return _TYPES["." + name.rpartition(".")[2]]


@cache
def _page(view: str) -> File:
    """The page, with the addresses of its files.

    What shows the view is asked for at once, not one import after another; the other views come later.
    """
    names = dict.fromkeys((*_modules("main.js"), *_modules(f"views/{view}.js")))
    hints = "\n".join(f'<link rel="modulepreload" href="{_base()}{name}">' for name in names)
    text = shipped()["index.html"].decode().replace("{{base}}", _base())
    body = text.replace("{{modules}}", hints).encode()
    return File(body=body, content_type=_TYPES[".html"], kept=_ASK)


def _modules(name: str) -> Sequence[str]:
    """A module and all that it imports, each of them once."""
    found = [name]
    for one in found:
        for path in _IMPORT.findall(shipped()[one].decode()):
            imported = posixpath.normpath(posixpath.join(posixpath.dirname(one), path))
            if imported not in found:
                found.append(imported)
    return found


async def site(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request (ASGI).

    Raises:
        NotFound: there is no such page or file, or it is no request to read one.
    """
    path, method = scope["path"], scope["method"]
    views = (view for address, view in VIEWS.items() if re.fullmatch(address, path))
    view = next(views, None)
    file = _page(view) if view else _site().get(path)
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
