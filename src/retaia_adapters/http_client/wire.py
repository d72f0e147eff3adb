"""Requests and answers over HTTP; the only module that imports httpx."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import msgspec

from retaia_core.errors import RetaiaError, Unavailable, ValidationFailed

from .answers import error_of
from .ask import Ask, FilePart

BASE = "/api/v1"
AGENT_HEADER = "X-Retaia-Agent"
HttpxTransport = httpx.AsyncBaseTransport
_BLOCK = 2**18
_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
_PATIENT = httpx.Timeout(900.0, connect=5.0)
"""For requests after which the server reads a whole file."""


class Streamed:
    """A good answer whose body is still to come."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._response = response

    async def read(self) -> bytes:
        """The whole body."""
        return await self._response.aread()

    def blocks(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        return self._response.aiter_bytes()

    def lines(self) -> AsyncIterator[str]:
        """The body line by line."""
        return self._response.aiter_lines()


class Wire:
    """A connection to a server: every request is sent once.

    Foreign errors stop here: without an answer it is `Unavailable`, with one of 300 or more the error
    that the server names.
    """

    def __init__(
        self,
        url: str,
        *,
        user_agent: str = "retaia-client",
        transport: HttpxTransport | None = None,
    ) -> None:
        self.headers: dict[str, str] = {}
        self._http = httpx.AsyncClient(
            base_url=_checked(url) + BASE,
            headers={"User-Agent": user_agent},
            timeout=_TIMEOUT,
            transport=transport,
            trust_env=False,
            verify=url.startswith("https:"),
        )

    @asynccontextmanager
    async def stream(self, ask: Ask, token: str | None) -> AsyncIterator[Streamed]:
        """Send a request and leave the body of its answer to the caller.

        Raises:
            Unavailable: no connection, or the server asks to come back later.
            RetaiaError: what the server said.
        """
        content, headers = _body(ask)
        try:
            async with self._http.stream(
                ask.method,
                ask.path,
                params=_query(ask),
                content=content,
                headers={**self._headers(ask, token), **headers},
                timeout=_PATIENT if ask.long else _TIMEOUT,
            ) as response:
                if not response.is_success:
                    await response.aread()
                    raise _refusal(response)
                yield Streamed(response)
        except httpx.RequestError as error:
            said = str(error) or type(error).__name__
            raise Unavailable(f"the server cannot be reached: {said}") from error

    def _headers(self, ask: Ask, token: str | None) -> dict[str, str]:
        headers = {**self.headers, **ask.headers}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if ask.key is not None:
            headers["Idempotency-Key"] = ask.key
        return headers

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def json_of(content: bytes) -> Any:
    """The JSON of an answer.

    Raises:
        RetaiaError: it is none.
    """
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise RetaiaError(
            "the answer is no JSON; is this the address of a Retaia server?"
        ) from error


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValidationFailed(
            f"{url!r} is no address of a server; it starts with http:// or https://"
        )
    return url.rstrip("/")


def _query(ask: Ask) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    for name, value in ask.query.items():
        if isinstance(value, bool):
            pairs.append((name, "true" if value else "false"))
        elif isinstance(value, str | int):
            pairs.append((name, str(value)))
        elif value is not None:
            pairs.extend((name, item) for item in value)
    return tuple(pairs)


def _body(ask: Ask) -> tuple[bytes | AsyncIterator[bytes] | None, dict[str, str]]:
    """The body of a request and the headers that go with it; made anew for each try."""
    if ask.part is not None:
        return _form(ask.part)
    if ask.body is None:
        return None, {}
    return msgspec.json.encode(ask.body), {"Content-Type": "application/json"}


def _form(part: FilePart) -> tuple[AsyncIterator[bytes], dict[str, str]]:
    """A form (RFC 7578) whose chunk is read from the file while it is sent."""
    boundary = uuid.uuid4().hex
    start = f"--{boundary}\r\nContent-Disposition: form-data; name="
    fields = [f'{start}"{name}"\r\n\r\n{value}\r\n' for name, value in part.fields.items()]
    chunk = f'{start}"chunk"; filename="chunk"\r\nContent-Type: application/octet-stream\r\n\r\n'
    head = ("".join(fields) + chunk).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(len(head) + part.size + len(tail)),
    }
    return _form_blocks(head, part, tail), headers


async def _form_blocks(head: bytes, part: FilePart, tail: bytes) -> AsyncIterator[bytes]:
    yield head
    async for block in file_blocks(part.path, part.offset, part.size):
        yield block
    yield tail


async def file_blocks(path: Path, offset: int, size: int) -> AsyncIterator[bytes]:
    """A stretch of a file, block by block.

    Raises:
        ValidationFailed: the file is shorter than it was.
    """
    async with await anyio.open_file(path, "rb") as file:
        await file.seek(offset)
        left = size
        while left:
            block = await file.read(min(_BLOCK, left))
            if not block:
                raise ValidationFailed("the file became shorter while it was sent")
            left -= len(block)
            yield block


def _refusal(response: httpx.Response) -> RetaiaError:
    try:
        body = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        body = None
    headers = response.headers
    return error_of(response.status_code, body, headers.get("retry-after"), headers.get("date"))
