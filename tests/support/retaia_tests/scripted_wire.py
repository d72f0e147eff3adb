"""A server that says what was written for it, and a clock that only sleeping moves."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import httpx

from retaia_adapters.http_client import Client, Retries

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


def client(time: Time, script: httpx.AsyncBaseTransport, **options: object) -> Client:
    options.setdefault("retries", time.retries())
    return Client("http://x", "t", transport=script, **options)  # type: ignore[arg-type]
