"""Requests that mean harm: paths that climb, bodies that are traps, text that would forge log lines."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from retaia_tests.cells import DOCUMENT, OPERATIONS, World, world
from retaia_tests.house import House
from retaia_tests.http_house import Served
from retaia_tests.schema_samples import sample
from retaia_tests.socket_house import serve_on_a_socket

from retaia_adapters.http import validation
from retaia_adapters.http.document import Operation
from retaia_adapters.http.errors import WireRefused
from retaia_adapters.http.ranges import Span, parse_range
from retaia_adapters.observe.logs import formatter
from retaia_core.domain.authorization import Caller

PATHS = (
    "..", ".", "../../../../etc/passwd", "/etc/passwd", "..\\..\\windows\\win.ini", "C:\\x", "a/../b",
    "%2e%2e%2f%2e%2e", "....//....//", "~root", "file:///etc/passwd", "\0", "a\0b", "a\nb", "\x7f",
    "\u202egpj.exe", "\ufeff", "é" * 200, "x" * 5000, "CON", "-rf", "*", "'; DROP TABLE assets; --",
    "${jndi:ldap://x}", "{{7*7}}", " ", "\U0001f4a3",
)  # fmt: skip
"""Texts that must not become a path, or anything else than a name that nobody has."""

NUMBERS_AND_KEYS = (
    b'{"a": 1, "a": 2}', b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e999}', b'{"a": -1e999}',
    b'{"a": ' + b"9" * 100_000 + b"}", b'{"a": 1' + b"0" * 400 + b"}", b'{"a": 0.' + b"1" * 9000 + b"}",
    b'{"a": 1e-999999999}', b'{"a": "\\ud800"}', b'{"\\udfff": 1}', b'{"a": "\xed\xa0\x80"}',
    b'{"a": "\xc0\xaf"}', b"\xef\xbb\xbf{}", b"{}{}", b"{} x", b"[]", b'"text"', b"null", b"5",
    b'{"__proto__": {"x": 1}, "constructor": 1}', b'{"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    b'{"a":' * 20_000 + b"1" + b"}" * 20_000, b"[" + b"{}," * 60_000 + b"{}]", b'{"\\u0000": 1}',
    b"{" + b",".join(b'"k%d":1' % n for n in range(30_000)) + b"}", b"\0", b"-", b"tru", b'{"a"',
)  # fmt: skip
LONGEST_S = 3.0
"""How long the answer to a trap may take, on a machine that has other work."""

IN_PATHS = ("uuid", "kind", "job_id", "batch_id", "upload_id", "client_id", "account_id")
NAMES = ("upload_id", "kind", "storage_id", "batch_id", "ref", "path", "job_id", "client_id")


@pytest.fixture
async def hostile(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, f"sqlite:///{tmp_path}/retaia.db") as made:
        yield made


async def tokens(made: World) -> Mapping[Caller, str]:
    """One token of everybody who has one."""
    return {caller: await made.token(caller) for caller in Caller if caller is not Caller.ANONYMOUS}


def headers_for(operation: Operation, made: World, known: Mapping[Caller, str]) -> dict[str, str]:
    """What opens an operation's gate."""
    wanted = (Caller.ANONYMOUS, Caller.ADMIN, Caller.AGENT)
    caller = next(caller for caller in wanted if caller in operation.access.callers)
    headers = {"Idempotency-Key": "hostile"}
    if caller in known:
        headers["Authorization"] = f"Bearer {known[caller]}"
    if operation.takes("X-Retaia-Agent"):
        headers["X-Retaia-Agent"] = made.agent_id
    return headers


def in_path(text: str) -> str:
    """A text as one part of a path; its points are written so that no client resolves them."""
    return quote(text, safe="").replace(".", "%2e")


def with_names(document: object, text: str) -> object:
    """The same body, every field that names something naming this."""
    if isinstance(document, list):
        return [with_names(item, text) for item in document]
    if not isinstance(document, dict):
        return document
    return {k: text if k in NAMES else with_names(v, text) for k, v in document.items()}


def body_of(operation: Operation) -> Any:
    """A whole body that the document allows."""
    node = DOCUMENT["paths"][operation.path][operation.method.lower()]
    schema = node["requestBody"]["content"]["application/json"]["schema"]
    return sample(DOCUMENT, schema, full=True)


def files_of(folder: Path) -> set[str]:
    """Every file, the database's own aside."""
    every = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in every if not name.startswith("retaia.db")}


def harmless(answer: httpx.Response) -> bool:
    """Refused in the one shape, and with nothing of a file."""
    return 400 <= answer.status_code < 500 and "root:" not in answer.text


class TestPaths:
    """Texts that could become a path."""

    async def test_in_every_path(self, hostile: World, tmp_path: Path) -> None:
        """Whatever stands for a name in a path names nothing: 4xx, and no file comes or goes."""
        before, known = files_of(tmp_path), await tokens(hostile)
        named = [o for o in OPERATIONS if any(f"{{{name}}}" in o.path for name in IN_PATHS)]
        assert len(named) > 25
        for operation in named:
            headers = headers_for(operation, hostile, known)
            content = {"json": body_of(operation)} if "application/json" in operation.bodies else {}
            for text in PATHS:
                path = operation.path
                for name in IN_PATHS:
                    path = path.replace(f"{{{name}}}", in_path(text))
                answer = await hostile.client.request(
                    operation.method, path, headers=headers, **content
                )
                assert harmless(answer), (operation.operation_id, text, answer.text)
        assert files_of(tmp_path) == before

    async def test_in_every_body(self, hostile: World, tmp_path: Path) -> None:
        """A body that names an upload, a kind, a storage or a path so names nothing: never a crash."""
        before, known = files_of(tmp_path), await tokens(hostile)
        for operation in OPERATIONS:
            body = body_of(operation) if "application/json" in operation.bodies else None
            if body is None or with_names(body, "x") == body:
                continue
            path = operation.path
            for name in IN_PATHS:
                path = path.replace(f"{{{name}}}", "00000000-0000-7000-8000-00000000000f")
            headers = headers_for(operation, hostile, known)
            for text in PATHS:
                answer = await hostile.client.request(
                    operation.method, path, json=with_names(body, text), headers=headers
                )
                assert answer.status_code < 500, (operation.operation_id, text, answer.text)
        assert files_of(tmp_path) == before

    async def test_an_uploads_own_names(self, served: Served) -> None:
        """Of an upload that is open, neither its id nor its kind can be bent."""
        asset = await served.house.ready("INBOX/A.jpg")
        await served.register()
        await served.agent.post(f"/assets/{asset.uuid}/claim-bundle")
        base = f"/assets/{asset.uuid}/derived/upload"
        for text in PATHS:
            body = {"kind": text, "content_type": "image/jpeg", "size_bytes": 3}
            announced = await served.agent.post(f"{base}/init", json=body, headers=served.key())
            form = {"upload_id": text, "part_number": "1"}
            part = await served.agent.post(
                f"{base}/part", data=form, files={"chunk": ("../../x", b"abc")}
            )
            done = {"upload_id": text, "parts": []}
            complete = await served.agent.post(f"{base}/complete", json=done, headers=served.key())
            assert all(map(harmless, (announced, part, complete))), text

    @pytest.mark.parametrize(
        "target",
        [
            "/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/device/../../../etc/passwd",
            "/device/%2e%2e%2f%2e%2e%2fdevice.html", "/device/..\\..\\x", "/device/%00", "//etc/passwd",
            "/api/docs.css/../../openapi.yaml", "/api/v1/x/../ops/status", "/api/v1/x/%2e%2e/y",
            "/api/v1/../../etc/passwd", "/api/v1/assets/%ff%fe", "/" + "a/" * 10_000, "/api/v1/%c0%ae",
        ],
        ids=lambda target: target[:40],
    )  # fmt: skip
    async def test_of_pages_and_plugins(self, hostile: World, target: str) -> None:
        """Beside the API nothing is served but what was put there."""
        port = int(str(hostile.client.base_url.port))
        head = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(head.encode())
            answer = b""
            while True:
                try:
                    answer += await stream.receive()
                except anyio.EndOfStream:
                    break
        assert answer.split(b" ", 2)[1] in (b"400", b"401", b"404"), answer[:200]
        assert b"root:" not in answer


class TestBodies:
    """Bodies that are traps."""

    async def test_in_every_operation(self, hostile: World) -> None:
        """No document, however odd, crashes an operation or keeps it busy."""
        known = await tokens(hostile)
        asking = [o for o in OPERATIONS if "application/json" in o.bodies]
        assert len(asking) > 30
        for operation in asking:
            path = operation.path
            for name in IN_PATHS:
                path = path.replace(f"{{{name}}}", "00000000-0000-7000-8000-00000000000f")
            headers = headers_for(operation, hostile, known)
            for body in NUMBERS_AND_KEYS:
                began = time.process_time()  # not what other programs take
                answer = await hostile.client.request(
                    operation.method,
                    path,
                    content=body,
                    headers={**headers, "Content-Type": "application/json"},
                )
                took = time.process_time() - began
                assert harmless(answer), (operation.operation_id, body[:40], answer.text[:300])
                assert took < LONGEST_S, (operation.operation_id, body[:40])

    @pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x", ""])
    async def test_nothing_is_unpacked(self, served: Served, encoding: str) -> None:
        """A compressed body is refused before a byte of it is read; an empty name is none."""
        read = False

        async def bomb() -> AsyncIterator[bytes]:
            nonlocal read
            read = True
            yield b"\x1f\x8b"

        headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
        answer = await served.anonymous.post("/auth/login", content=bomb(), headers=headers)
        assert (answer.status_code, answer.json()["details"]["reason"]) == (
            415,
            "UNSUPPORTED_ENCODING",
        )
        assert not read

    async def test_a_body_that_drips(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who sends a byte now and then is not waited for without end, and nobody else waits."""
        monkeypatch.setattr(validation, "STALL_S", 0.5)
        async with serve_on_a_socket(house) as url:
            head = (
                b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\n"
                b"Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"
            )
            port = int(url.rpartition(":")[2])
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                await stream.send(head)
                with anyio.fail_after(10):
                    async with anyio.create_task_group() as tasks:

                        async def drip() -> None:
                            while True:
                                await anyio.sleep(0.1)
                                await stream.send(b" ")

                        tasks.start_soon(drip)
                        answer = await stream.receive()
                        tasks.cancel_scope.cancel()
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"BODY_STALLED" in answer


class Lines(logging.Handler):
    """The lines that a log would have, in one style."""

    def __init__(self, *, as_objects: bool) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(formatter(as_objects=as_objects))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


FORGERIES = (
    "a\nb", "a\r\nERROR retaia forged", "\x1b[31mred", "\u202egpj", "a\u2028b", "\x85", "\x9b31m", "\t",
    "a\x0bb", "\x00", "x" * 20_000, "%s %n %(x)s {}", '"}\n{"event":"forged"',
)  # fmt: skip


@pytest.mark.parametrize("as_objects", [True, False], ids=["json", "text"])
async def test_a_record_is_a_line(served: Served, *, as_objects: bool) -> None:
    """Whatever a request says, in headers, names, labels, notes, filters: one record is one plain line."""
    lines = Lines(as_objects=as_objects)
    logging.getLogger("retaia").addHandler(lines)
    asset = await served.house.ready("INBOX/A.jpg")
    try:
        for text in FORGERIES:
            raw = {b"X-Correlation-Id": text.encode("utf-8")}
            await served.person.get("/assets", params={"q": text}, headers=raw)
            await served.person.patch(f"/assets/{asset.uuid}", json={"notes": text, "tags": [text]})
            body: dict[str, Any] = {"agent_name": text, "agent_version": text, "capabilities": []}
            await served.agent.post("/agents/register", json=body)
            login = {"email": f"{text}@example.org", "password": text, "client_id": text}
            await served.anonymous.post("/auth/login", json=login)
            body = {"client_kind": "AGENT", "client_label": text}
            await served.anonymous.post("/auth/clients/device/start", json=body)
            await served.anonymous.get(f"/{quote(text)}")
    finally:
        logging.getLogger("retaia").removeHandler(lines)
    assert len(lines.lines) >= 6 * len(FORGERIES)
    assert [line for line in lines.lines if not line.isprintable()] == []
    if as_objects:
        assert all(json.loads(line)["event"] != "forged" for line in lines.lines)


@pytest.mark.parametrize("odd", [b"\x00", b"\x0b", b"\x1b[31m", b"\x7f", b"\x85", b"\xe2\x80\xae"])
async def test_an_odd_header_on_the_wire(house: House, odd: bytes) -> None:
    """A correlation id with a control character is refused or replaced, and never comes back."""
    async with serve_on_a_socket(house) as url:
        head = b"GET /api/v1/assets HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Correlation-Id: a"
        async with await anyio.connect_tcp("127.0.0.1", int(url.rpartition(":")[2])) as stream:
            await stream.send(head + odd + b"b\r\n\r\n")
            answer = await stream.receive()
    assert answer.split(b" ", 2)[1] in (b"400", b"401")
    assert odd not in answer


def model_of(header: str, size: int) -> tuple[int, int] | int | None:
    """What RFC 9110 says of one range of bytes: the span, 416, or None for the whole file."""
    first, _, last = header.partition("-")
    if first == "":
        return (max(0, size - int(last)), size - 1) if int(last) else 416
    if last != "" and int(last) < int(first):
        return None
    if int(first) >= size:
        return 416
    return int(first), int(min(int(last) if last else math.inf, size - 1))


def span_of(header: str, size: int) -> tuple[int, int] | int | None:
    """What the server says of it, in the model's words."""
    try:
        span = parse_range(f"bytes={header}", size)
    except WireRefused as refused:
        return refused.problem.status
    return (span.first, span.last) if isinstance(span, Span) else None


PLACES = st.integers(0, 120) | st.integers(0, 10**17)


@given(PLACES, PLACES, st.sampled_from(["{0}-{1}", "{0}-", "-{1}"]), st.integers(1, 100))
def test_ranges_are_as_the_rfc_says(first: int, last: int, form: str, size: int) -> None:
    """Every well-formed range is read as the model reads it."""
    header = form.format(first, last)
    assert span_of(header, size) == model_of(header, size)


@pytest.mark.parametrize("sort", ["name", "-updated_at", "duration"])
async def test_a_changed_cursor(served: Served, sort: str) -> None:
    """A cursor with one other letter is refused, or is another place of the same list; never a crash."""
    for n in range(3):
        await served.house.ready(f"INBOX/{n}.jpg")
    query = {"limit": "1", "sort": sort}
    page = (await served.person.get("/assets", params=query)).json()
    cursor = page["next_cursor"]
    for at in range(len(cursor)):
        for letter in "A_9=%\u00e9":
            changed = cursor[:at] + letter + cursor[at + 1 :]
            answer = await served.person.get("/assets", params={**query, "cursor": changed})
            assert answer.status_code in (200, 400), (changed, answer.text)
    for path in ("/ops/agents", "/ops/locks", "/ops/unmatched-sidecars"):
        answer = await served.person.get(path, params={"cursor": cursor})
        assert answer.status_code == 400
