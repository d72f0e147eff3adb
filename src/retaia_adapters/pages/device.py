"""``/device``: where a person lets a device in. Files of this package, and nothing from elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import cache
from importlib.resources import files
from typing import Any

from attrs import frozen

from retaia_core.errors import NotFound

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy: no inline script or style, no frame, no form that leaves the page."""

_TEXT = "text/javascript; charset=utf-8"
_FILES: Mapping[str, tuple[str, str]] = {
    "/device": ("device.html", "text/html; charset=utf-8"),
    "/device/device.css": ("device.css", "text/css; charset=utf-8"),
    "/device/device.js": ("device.js", _TEXT),
    "/device/texts.js": ("texts.js", _TEXT),
}


@frozen(kw_only=True)
class _File:
    """A file as it is sent."""

    body: bytes
    etag: bytes
    content_type: str


@cache
def _file(path: str) -> _File:
    name, content_type = _FILES[path]
    body = files(__package__).joinpath("static", name).read_bytes()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return _File(body=body, etag=etag.encode(), content_type=content_type)


async def device_page(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request (ASGI).

    Raises:
        NotFound: there is no such file, or it is no request to read one.
    """
    path, method = scope["path"], scope["method"]
    if path not in _FILES or method not in ("GET", "HEAD"):
        raise NotFound("there is no such page; /device is one")
    file = _file(path)
    known = (b"if-none-match", file.etag) in scope["headers"]
    body = b"" if known or method == "HEAD" else file.body
    headers = [
        (b"content-type", file.content_type.encode()),
        (b"content-security-policy", POLICY.encode()),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cache-control", b"no-cache"),
        (b"etag", file.etag),
    ]
    if not known:
        headers.append((b"content-length", str(len(file.body)).encode()))
    await send({"type": "http.response.start", "status": 304 if known else 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
