"""The client on a bad network: what is tried again, how long, and with what."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retaia_adapters.http_client import Client, ClientCredentials, Login, Retries
from retaia_adapters.http_client.values.ops import Changed, Event
from retaia_core.domain.backoff import backoff_s
from retaia_core.errors import (
    MfaRequired,
    RateLimited,
    RetaiaError,
    StateConflict,
    TooManyAttempts,
    Unauthorized,
    Unavailable,
    ValidationFailed,
)

UUID = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
SUMMARY = {
    "uuid": UUID,
    "media_type": "PHOTO",
    "state": "DECIDED_KEEP",
    "created_at": "2026-05-12T18:00:00Z",
}


def problem(status: int, code: str = "TEMPORARY_UNAVAILABLE", **headers: str) -> httpx.Response:
    """A refusal."""
    body = {"code": code, "message": "no", "retryable": True, "correlation_id": "c-1"}
    return httpx.Response(
        status, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def good(body: object = SUMMARY) -> httpx.Response:
    return httpx.Response(200, json=body)


class Script(httpx.AsyncBaseTransport):
    """A server that gives what was written for it, and remembers what it was asked."""

    def __init__(self, *steps: httpx.Response | Exception) -> None:
        self.steps: Iterator[httpx.Response | Exception] = iter(steps)
        self.requests: list[httpx.Request] = []
        self.bodies: list[bytes] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.bodies.append(await request.aread())
        step = next(self.steps)
        if isinstance(step, Exception):
            raise step
        return step

    def sent(self, header: str) -> list[str | None]:
        """What each request had in a header."""
        return [request.headers.get(header) for request in self.requests]


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.at = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds
        await anyio.lowlevel.checkpoint()

    def retries(self, deadline_s: float | None = 300.0, tries: int | None = None) -> Retries:
        """Without jitter."""
        return Retries(
            deadline_s=deadline_s, tries=tries, chance=lambda: 1.0, now=self.now, sleep=self.sleep
        )


@pytest.fixture
def time() -> Time:
    return Time()


def client(time: Time, script: httpx.AsyncBaseTransport, **options: object) -> Client:
    options.setdefault("retries", time.retries())
    return Client("http://x", "t", transport=script, **options)  # type: ignore[arg-type]


class TestBackoff:
    """From 2 s, doubling, at most 60 s, full jitter (protocol.md)."""

    @given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.floats(0, 600))
    def test_bounds(self, tries: int, chance: float, asked: float) -> None:
        """A pause is at least what was asked for, and else below its doubling and a minute."""
        pause = backoff_s(tries, chance, at_least=asked)
        assert pause >= asked
        assert pause <= max(asked, min(60.0, 2.0**tries) if tries < 60 else 60.0)

    @given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=50))
    def test_a_call_ends_by_its_deadline(self, chances: list[float]) -> None:
        """Whatever chance says, no pause reaches beyond the deadline."""
        time, drawn, tries = Time(), itertools.cycle(chances), itertools.count()
        retries = Retries(
            deadline_s=100, chance=lambda: max(0.01, next(drawn)), now=time.now, sleep=time.sleep
        )

        async def attempt() -> None:
            next(tries)
            raise Unavailable("away")

        with pytest.raises(Unavailable, match="away"):
            anyio.run(partial(retries.run, attempt, repeatable=True))
        assert time.at < 100
        assert next(tries) == len(time.slept) + 1


class TestRetries:
    """What is safe is tried again."""

    async def test_the_key_is_kept(self, time: Time) -> None:
        """Every try of a decision has the key of the first; the next decision has another."""
        script = Script(problem(503), httpx.ReadError("cut"), problem(429), good(), good())
        async with client(time, script) as c:
            assert (await c.assets.decide(UUID, "KEEP")).state == "DECIDED_KEEP"
            await c.assets.decide(UUID, "KEEP")
        first, *others, last = script.sent("idempotency-key")
        assert first
        assert set(others) == {first}
        assert last not in (first, None)
        assert time.slept == [2, 4, 8]

    async def test_retry_after(self, time: Time) -> None:
        """What the server asks for is kept, in seconds or as a time."""
        script = Script(
            problem(503, Retry_After="30"),
            problem(
                429,
                "RATE_LIMITED",
                Retry_After="Fri, 31 Dec 1999 23:59:59 GMT",
                Date="Fri, 31 Dec 1999 23:58:59 GMT",
            ),
            problem(503, Retry_After="soon"),
            good(),
        )
        async with client(time, script) as c:
            await c.assets.decide(UUID, "KEEP")
        assert time.slept == [30, 60, 8]

    @pytest.mark.parametrize("step", [problem(503), httpx.ReadError("cut"), problem(502)])
    async def test_a_post_without_a_key(self, time: Time, step: httpx.Response | Exception) -> None:
        """What may have been done and has no key is not sent twice."""
        script = Script(step)
        async with client(time, script) as c:
            with pytest.raises(Unavailable):
                await c.assets.reopen(UUID)
        assert len(script.requests) == 1

    async def test_refusals_are_final(self, time: Time) -> None:
        """A refusal is raised at once, with its correlation id."""
        script = Script(problem(409, "STATE_CONFLICT"))
        async with client(time, script) as c:
            with pytest.raises(StateConflict) as refused:
                await c.assets.decide(UUID, "KEEP")
        assert refused.value.details["correlation_id"] == "c-1"

    async def test_a_crash_is_final(self, time: Time) -> None:
        """500 is no promise that another try would help."""
        script = Script(problem(500))
        async with client(time, script) as c:
            with pytest.raises(RetaiaError) as failed:
                await c.assets.get(UUID)
        assert not isinstance(failed.value, Unavailable)

    async def test_the_deadline(self, time: Time) -> None:
        """A pause that would pass the deadline is not made: the last error is raised."""
        script = Script(problem(429, "RATE_LIMITED", Retry_After="301"))
        async with client(time, script) as c:
            with pytest.raises(RateLimited):
                await c.assets.get(UUID)
        assert time.slept == []

    async def test_a_silent_server(self) -> None:
        """A try under way is ended at the deadline."""

        async def answer(request: httpx.Request) -> httpx.Response:
            await anyio.sleep_forever()
            raise AssertionError

        async with Client(
            "http://x", "t", retries=Retries(deadline_s=0.05), transport=httpx.MockTransport(answer)
        ) as c:
            with pytest.raises(Unavailable, match=r"within 0\.05 s"):
                await c.assets.get(UUID)

    async def test_the_number_of_tries(self, time: Time) -> None:
        """Who wants fewer tries says so."""
        script = Script(problem(503), problem(503), good())
        async with client(time, script, retries=time.retries(tries=2)) as c:
            with pytest.raises(Unavailable):
                await c.assets.decide(UUID, "KEEP")
        assert len(script.requests) == 2

    @pytest.mark.parametrize("url", ["nas.local", "ftp://nas", "http://", "file:///etc"])
    async def test_addresses(self, url: str) -> None:
        """What is no address of a server is refused before anything is sent."""
        with pytest.raises(ValidationFailed, match="http://"):
            Client(url)


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


def minted(token: str) -> httpx.Response:
    return good(
        {"client_id": "i", "client_kind": "AGENT", "access_token": token, "token_type": "Bearer"}
    )


def credentials() -> ClientCredentials:
    return ClientCredentials(client_id="i", client_kind="AGENT", secret_key="hush")


class TestTokens:
    """Where tokens come from."""

    def client(self, script: Script, source: object, time: Time) -> Client:
        return Client("http://x", source, transport=script, retries=time.retries())  # type: ignore[arg-type]

    async def test_minted_once_and_again(self, time: Time) -> None:
        """A token is minted before the first call, kept, and minted anew when it is refused."""
        script = Script(
            minted("a"), good(), good(), problem(401, "UNAUTHORIZED"), minted("b"), good()
        )
        async with self.client(script, credentials(), time) as c:
            await c.assets.decide(UUID, "KEEP")
            await c.assets.decide(UUID, "KEEP")
            await c.assets.decide(UUID, "KEEP")
        bearer = [text and text.removeprefix("Bearer ") for text in script.sent("authorization")]
        assert bearer == [None, "a", "a", "a", None, "b"]
        keys = script.sent("idempotency-key")
        assert keys[3] == keys[5]

    async def test_minting_on_a_bad_network(self, time: Time) -> None:
        """A token that could not be had is tried again; with the call's patience where it is a person's."""
        script = Script(problem(503), httpx.ConnectError("down"), minted("a"), good())
        async with self.client(script, credentials(), time) as c:
            await c.assets.reopen(UUID)
        token = {"access_token": "a", "token_type": "Bearer"}
        script = Script(problem(503), good(token), good())
        async with self.client(script, Login(email="a@b.org", password="pw"), time) as c:
            await c.assets.decide(UUID, "KEEP")
        assert time.slept == [2, 4, 2]

    async def test_a_lock_out(self, time: Time) -> None:
        """A technical client that is locked out is told so, and how long."""
        script = Script(problem(429, "TOO_MANY_ATTEMPTS", Retry_After="5"))
        async with self.client(script, credentials(), time) as c:
            with pytest.raises(TooManyAttempts):
                await c.assets.get(UUID)
        assert time.slept == []

    async def test_refused_twice(self, time: Time) -> None:
        """A fresh token that is refused as well is an error, not a loop."""
        script = Script(
            minted("a"), problem(401, "UNAUTHORIZED"), minted("b"), problem(401, "UNAUTHORIZED")
        )
        async with self.client(script, credentials(), time) as c:
            with pytest.raises(Unauthorized):
                await c.assets.decide(UUID, "KEEP")

    async def test_a_fixed_token(self, time: Time) -> None:
        """A token that cannot be made anew is asked with once."""
        script = Script(problem(401, "UNAUTHORIZED"))
        async with client(time, script) as c:
            with pytest.raises(Unauthorized):
                await c.assets.decide(UUID, "KEEP")
        assert len(script.requests) == 1

    async def test_many_at_once(self, time: Time) -> None:
        """Calls that start together share one token."""
        script = Script(minted("a"), *(good() for _ in range(5)))
        async with (
            self.client(script, credentials(), time) as c,
            anyio.create_task_group() as tasks,
        ):
            for _ in range(5):
                tasks.start_soon(c.assets.reopen, UUID)
        assert script.sent("authorization") == [None, *["Bearer a"] * 5]

    async def test_login(self, time: Time) -> None:
        """A person logs in with a fresh code each time; wrong or missing ones are told apart."""
        codes = iter(["111111", "222222"])
        login = Login(email="ana@example.org", password="pw", otp=lambda: next(codes))
        token = {"access_token": "a", "token_type": "Bearer"}
        script = Script(
            good(token), problem(401, "UNAUTHORIZED"), good({**token, "access_token": "b"}), good()
        )
        async with self.client(script, login, time) as c:
            await c.assets.decide(UUID, "KEEP")
        assert b"111111" in script.bodies[0]
        assert b"222222" in script.bodies[2]

    async def test_refreshing(self, time: Time) -> None:
        """A refresh token counts once and needs no code; where it is refused, the person logs in again."""
        codes = iter(["111111", "222222"])
        login = Login(email="ana@example.org", password="pw", otp=lambda: next(codes))

        def token(name: str) -> httpx.Response:
            return good({"access_token": name, "token_type": "Bearer", "refresh_token": f"r{name}"})

        def refused() -> httpx.Response:
            return problem(401, "UNAUTHORIZED")

        script = Script(
            token("a"), refused(), token("b"), refused(), refused(), refused(), token("c"), good()
        )
        async with self.client(script, login, time) as c:
            with pytest.raises(Unauthorized):
                await c.assets.decide(UUID, "KEEP")
            await c.assets.decide(UUID, "KEEP")
        assert [request.url.path.rpartition("/")[2] for request in script.requests] == [
            "login", "decision", "refresh", "decision", "decision", "refresh", "login", "decision",
        ]  # fmt: skip
        assert b'"ra"' in script.bodies[2]
        assert b'"rb"' in script.bodies[5]

    async def test_logging_in_fails(self, time: Time) -> None:
        """A missing code and a lock-out are told apart, and a lock-out is not met with more attempts."""
        asked = Script(problem(401, "MFA_REQUIRED"))
        async with self.client(asked, Login(email="a@b.org", password="pw"), time) as c:
            with pytest.raises(MfaRequired):
                await c.assets.get(UUID)
        locked = Script(problem(429, "TOO_MANY_ATTEMPTS", Retry_After="5"))
        async with self.client(locked, Login(email="a@b.org", password="pw"), time) as c:
            with pytest.raises(TooManyAttempts) as error:
                await c.assets.get(UUID)
        assert error.value.details["retry_after_s"] == 5
        assert time.slept == [], "a lock-out is not met with more attempts"

    @pytest.mark.parametrize("source", [credentials(), Login(email="a@b.c", password="hush")])
    def test_secrets_are_not_shown(self, source: object) -> None:
        """No secret stands in a source's repr."""
        assert "hush" not in repr(source)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({**SUMMARY, "has_proxy": "yes"}, "has_proxy"),
        ({**SUMMARY, "state": "LOST"}, "state"),
        ({**SUMMARY, "tags": "ab"}, "tags"),
        ({**SUMMARY, "tags": [1]}, "tags"),
        ({**SUMMARY, "duration": True}, "duration"),
        ({**SUMMARY, "created_at": "2026-05-12T18:00:00"}, "created_at"),
        ({**SUMMARY, "created_at": 5}, "created_at"),
        ({k: v for k, v in SUMMARY.items() if k != "uuid"}, "uuid"),
        ([], "object"),
        ("text", "object"),
    ],
)
async def test_answers_of_the_wrong_form(time: Time, body: object, said: str) -> None:
    """An answer that is not as documented is an error that names the place; nothing is coerced."""
    async with client(time, Script(good(body))) as c:
        with pytest.raises(RetaiaError, match=said):
            await c.assets.decide(UUID, "KEEP")


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
