"""Reading a file in ranges, and not at all where the client has it (RFC 9110)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import BinaryIO

import anyio.to_thread
from attrs import frozen
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from .errors import refused

BLOCK = 256 * 1024

Opener = Callable[[], BinaryIO]
_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})\s*", re.IGNORECASE)


@frozen(kw_only=True)
class Span:
    """The bytes from ``first`` to ``last``, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.last - self.first + 1


def parse_range(header: str | None, size: int) -> Span | None:
    """The span that a Range header asks for; None where the whole file is to be sent.

    Several ranges, and units that are not bytes, may be ignored and are.

    >>> parse_range("bytes=-3", 10)
    Span(first=7, last=9)
    >>> parse_range("bytes=0-1,5-6", 10) is None
    True

    Raises:
        WireRefused: 416; no byte of it exists.
    """
    match = _RANGE.fullmatch(header) if header else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        span = Span(first=max(0, size - int(last)), last=size - 1)
    else:
        span = Span(first=int(first), last=min(int(last), size - 1) if last else size - 1)
        if last and int(last) < int(first):
            return None
    if span.length < 1 or span.first >= size:
        raise refused(
            416,
            f"the file has {size} bytes; the range has none of them",
            headers={"Content-Range": f"bytes */{size}"},
            reason="RANGE_NOT_SATISFIABLE",
        )
    return span


def same_tag(header: str | None, tag: str) -> bool:
    """Whether an If-None-Match header names an entity tag (weakly compared)."""
    if header is None:
        return False
    tags = {item.strip().removeprefix("W/") for item in header.split(",")}
    return tag in tags or "*" in tags


def _begin(opener: Opener, span: Span) -> tuple[BinaryIO | None, bytes]:
    """The first block of a span, and the file where there is more of it."""
    file = opener()
    try:
        file.seek(span.first)
        block = file.read(min(BLOCK, span.length))
    except BaseException:
        file.close()
        raise
    if len(block) < span.length:
        return file, block
    file.close()
    return None, block


async def _blocks(file: BinaryIO, block: bytes, span: Span) -> AsyncIterator[bytes]:
    yield block
    left = span.length - len(block)
    while left:
        block = await anyio.to_thread.run_sync(file.read, min(BLOCK, left))
        if not block:
            raise OSError("the file is shorter than it was")
        left -= len(block)
        yield block


class FileResponse(StreamingResponse):
    """Sends a span of an open file, and closes it whatever happens; its first block was read."""

    def __init__(
        self, file: BinaryIO, block: bytes, span: Span, status: int, headers: dict[str, str]
    ) -> None:
        super().__init__(_blocks(file, block, span), status, headers)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


async def file_response(
    opener: Opener,
    *,
    size: int,
    content_type: str,
    tag: str,
    wanted: str | None,
    if_range: str | None,
) -> Response:
    """Answer a file, or the range of it that is wanted; ``tag`` is its quoted entity tag.

    What fits into a block is read in one turn of a thread, and sent as a whole.

    Raises:
        WireRefused: 416; no byte of the range exists.
    """
    usable = if_range is None or if_range.strip() == tag
    span = parse_range(wanted, size) if usable else None
    sent = span or Span(first=0, last=size - 1)
    headers = {
        "Content-Type": content_type,
        "Content-Length": str(sent.length),
        "Accept-Ranges": "bytes",
        "ETag": tag,
        "Cache-Control": "private, no-cache",
    }
    if span is not None:
        headers["Content-Range"] = f"bytes {span.first}-{span.last}/{size}"
    status = 200 if span is None else 206
    file, block = await anyio.to_thread.run_sync(_begin, opener, sent)
    if file is None:
        return Response(block, status, headers)
    return FileResponse(file, block, sent, status, headers)
