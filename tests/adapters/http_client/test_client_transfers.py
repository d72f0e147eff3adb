"""Files and events over a network that breaks in the middle."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from retaia_tests.scripted_wire import UUID, Script, Time, client, good, problem

from retaia_adapters.http_client import Client, Retries
from retaia_adapters.http_client.values.ops import Changed, Event
from retaia_core.errors import (
    Unauthorized,
    Unavailable,
    ValidationFailed,
)

TICKET = {"upload_id": "u", "max_part_size_bytes": 8, "part_count": 3}
DONE = {"upload_id": "u", "kind": "thumb", "ref": "r", "size_bytes": 20, "sha256": "0"}
CONTENT = b"12345678abcdefghABCD"


def state(*numbers: int) -> httpx.Response:
    parts = [
        {
            "part_number": n,
            "size_bytes": 8,
            "part_etag": hashlib.sha256(CONTENT[(n - 1) * 8 : n * 8]).hexdigest(),
        }
        for n in numbers
    ]
    return good({**TICKET, "status": "OPEN", "parts": parts})


class TestUploads:
    """Uploads in parts."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "t.jpg"
        path.write_bytes(CONTENT)
        return path

    async def test_a_part_that_was_cut(self, time: Time, path: Path) -> None:
        """A part whose connection broke is sent again, whole; those that are there are not."""
        script = Script(
            good(TICKET),
            state(1),
            httpx.WriteError("cut"),
            problem(503),
            good({"part_etag": "e"}),
            good({"part_etag": "e"}),
            good(DONE),
        )
        async with client(time, script) as c:
            done = await c.uploads.upload(UUID, path, kind="thumb", content_type="image/jpeg")
        assert done.ref == "r"
        chunks = [body.split(b"\r\n\r\n")[-1].split(b"\r\n")[0] for body in script.bodies[2:6]]
        assert chunks == [b"abcdefgh"] * 3 + [b"ABCD"]
        for request, body in zip(script.requests[2:6], script.bodies[2:6], strict=True):
            assert int(request.headers["content-length"]) == len(body)
        keys = script.sent("idempotency-key")
        assert keys[0] == keys[-1] is not None
        assert hashlib.sha256(CONTENT).hexdigest().encode() in script.bodies[0]

    async def test_a_part_that_differs(self, time: Time, path: Path) -> None:
        """A part that is there with other bytes is sent again."""
        wrong = {"part_number": 1, "size_bytes": 8, "part_etag": "0" * 64}
        script = Script(
            good(TICKET),
            good({**TICKET, "status": "OPEN", "parts": [wrong]}),
            *(good({"part_etag": "e"}) for _ in range(3)),
            good(DONE),
        )
        async with client(time, script) as c:
            await c.uploads.upload(UUID, path, kind="thumb", content_type="image/jpeg")
        assert len(script.requests) == 6

    async def test_a_file_that_shrinks(self, time: Time, path: Path) -> None:
        """A file that became shorter is told as that, not as a network that failed."""
        script = Script(good({"part_etag": "e"}))
        async with client(time, script) as c:
            with pytest.raises(ValidationFailed, match="shorter"):
                await c.uploads.part(UUID, "u", 1, path, offset=0, size=21)


class Cut(httpx.AsyncByteStream):
    """A body that breaks in the middle."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.content
        raise httpx.ReadError("cut")


def broken(status: int, content: bytes, tag: str = '"e"') -> httpx.Response:
    return httpx.Response(status, stream=Cut(content), headers={"ETag": tag})


def whole(status: int, content: bytes, tag: str = '"e"') -> httpx.Response:
    return httpx.Response(status, content=content, headers={"ETag": tag})


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class TestDownloads:
    """Derived files arrive whole or not at all."""

    async def test_it_goes_on(self, time: Time, tmp_path: Path) -> None:
        """After a cut only what is missing is asked for, if it is still the same file."""
        script = Script(broken(200, b"abc"), broken(206, b"d"), whole(206, b"ef"))
        digest = hashlib.sha256(b"abcdef").hexdigest()
        async with client(time, script) as c:
            path = await c.derived.download(UUID, "thumb", tmp_path / "t", sha256=digest)
        assert path.read_bytes() == b"abcdef"
        assert script.sent("range") == [None, "bytes=3-", "bytes=4-"]
        assert script.sent("if-range") == [None, '"e"', '"e"']
        assert time.slept == [2, 2], "what moves on is not waited for longer each time"
        assert names(tmp_path) == ["t"]

    async def test_it_goes_on_after_a_restart(self, time: Time, tmp_path: Path) -> None:
        """Another program goes on where the first ended; until then there is no file."""
        target = tmp_path / "t"
        async with client(time, Script(broken(200, b"abc")), retries=Retries(tries=1)) as c:
            with pytest.raises(Unavailable):
                await c.derived.download(UUID, "thumb", target)
        assert not target.exists()
        script = Script(whole(206, b"def"))
        async with client(time, script) as c:
            await c.derived.download(UUID, "thumb", target)
        assert target.read_bytes() == b"abcdef"
        assert script.sent("range") == ["bytes=3-"]

    async def test_another_file_by_now(self, time: Time, tmp_path: Path) -> None:
        """A server that has another file sends it whole, and nothing of the old one stays."""
        script = Script(broken(200, b"abc"), broken(200, b"x", '"f"'), whole(206, b"y", '"f"'))
        async with client(time, script) as c:
            path = await c.derived.download(UUID, "thumb", tmp_path / "t")
        assert path.read_bytes() == b"xy"
        assert script.sent("if-range") == [None, '"e"', '"f"']

    @pytest.mark.parametrize("tag", ['W/"e"', ""])
    async def test_tags_that_prove_nothing(self, time: Time, tmp_path: Path, tag: str) -> None:
        """With a weak tag, or none, it begins anew."""
        script = Script(broken(200, b"abc", tag), whole(200, b"abcdef", tag))
        async with client(time, script) as c:
            path = await c.derived.download(UUID, "thumb", tmp_path / "t")
        assert path.read_bytes() == b"abcdef"
        assert script.sent("range") == [None, None]

    async def test_nothing_was_missing(self, time: Time, tmp_path: Path) -> None:
        """Where all of it had arrived (416), it begins anew rather than failing for ever."""
        (tmp_path / "t.part").write_bytes(b"abc")
        (tmp_path / "t.etag").write_text('"e"')
        script = Script(problem(416, "VALIDATION_FAILED"), whole(200, b"abc"))
        async with client(time, script) as c:
            path = await c.derived.download(UUID, "thumb", tmp_path / "t")
        assert path.read_bytes() == b"abc"

    async def test_damage(self, time: Time, tmp_path: Path) -> None:
        """What does not have its digest is removed."""
        async with client(time, Script(whole(200, b"abc"))) as c:
            with pytest.raises(Unavailable, match="damaged"):
                await c.derived.download(UUID, "thumb", tmp_path / "t", sha256="0" * 64)
        assert names(tmp_path) == []


class Feed(httpx.AsyncByteStream):
    """A stream of events, in crumbs, that ends or breaks."""

    def __init__(self, text: str, error: Exception | None = None) -> None:
        self.text = text
        self.error = error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.text), 5):
            yield self.text[start : start + 5].encode()
        if self.error:
            raise self.error


def feed(text: str, error: Exception | None = None) -> httpx.Response:
    kind = {"Content-Type": "text/event-stream"}
    return httpx.Response(200, stream=Feed(text, error), headers=kind)


class TestEvents:
    """Events go on after a connection ended."""

    async def test_it_connects_again(self, time: Time) -> None:
        """After a cut, an end or a 503 it asks for what follows the last event; half of one is none."""
        data = '{"kind": "asset", "id": "u", "change": "decided"}'
        script = Script(
            feed(f"id: 1\nevent: asset\ndata: {data}\n\nid: 2\ndata: {{", httpx.ReadError("cut")),
            problem(503),
            feed(": hello\n\nretry: 9000\nid: 3\r\nevent: reset\r\ndata: {\r\ndata: }\r\n\r\n"),
            feed('event: closed\ndata: {"code": "UNAUTHORIZED"}\n\n'),
            problem(401, "UNAUTHORIZED"),
        )
        found: list[Event] = []

        async def follow(c: Client) -> None:
            async for event in c.events.follow():
                found.append(event)  # noqa: PERF401 - what came before the end counts

        async with client(time, script, retries=time.retries(deadline_s=1)) as c:
            with pytest.raises(Unauthorized):
                await follow(c)
        assert found == [
            Event(name="asset", id="1", changed=Changed(kind="asset", id="u", change="decided")),
            Event(name="reset", id="3"),
        ]
        assert script.sent("last-event-id") == [None, "1", "1", "3", "3"]
        assert time.slept == [2, 4, 9, 9]
