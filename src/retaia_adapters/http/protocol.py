"""HTTP below the application: what is no request at all is refused in the one error shape too."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .errors import CORRELATION_HEADER, Problem, refused
from .wire import encode

MAX_HEAD_BYTES = 64 * 1024
"""How long a request line and its headers may be together."""

HEAD_TIMEOUT_S = 20
"""How long they may take to arrive."""

_INVALID = refused(400, "this is no valid HTTP request", reason="MALFORMED_REQUEST").problem
_TOO_LARGE = refused(
    431,
    f"the request line and headers have more than {MAX_HEAD_BYTES} bytes",
    reason="HEADERS_TOO_LARGE",
).problem
_TOO_SLOW = refused(
    408, f"the headers took more than {HEAD_TIMEOUT_S} s", reason="HEADERS_STALLED"
).problem
_PHRASES = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}


def _raw(problem: Problem) -> bytes:
    """A whole response, for a connection that is closed after it."""
    correlation_id = str(uuid4())
    body = encode(problem.body(correlation_id))
    head = (
        f"HTTP/1.1 {problem.status} {_PHRASES[problem.status]}\r\n"
        "content-type: application/json\r\n"
        f"content-length: {len(body)}\r\n"
        f"{CORRELATION_HEADER.lower()}: {correlation_id}\r\n"
        "x-content-type-options: nosniff\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


class _Pairs(asyncio.Transport):
    """A transport that keeps what it is given until the next piece, or the next turn of the loop.

    Uvicorn writes the head and the body of an answer one after the other; so they leave by one call of the
    system, in one packet where they fit.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._kept = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._kept:
            kept, self._kept = self._kept, b""
            self._transport.writelines((kept, data))
        else:
            self._kept = bytes(data)
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        if self._kept:
            kept, self._kept = self._kept, b""
            self._transport.write(kept)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()


class HttpProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with bounded headers and our error shape.

    Most heads arrive whole: only one that does not, and that of a new connection, is timed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = False
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_Pairs(transport))
        self._in_head = True
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_done()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._watch_head()
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(_TOO_LARGE)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_is_done()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(_INVALID)

    def _watch_head(self) -> None:
        if self._head_timer is None:
            self._head_bytes = 0
            loop = asyncio.get_running_loop()
            self._head_timer = loop.call_later(HEAD_TIMEOUT_S, self._refuse, _TOO_SLOW)

    def _head_is_done(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, problem: Problem) -> None:
        self._head_is_done()
        if not self.transport.is_closing():
            self.transport.write(_raw(problem))
            self.transport.close()
