"""Each example runs as a program of its own against a real server."""

import os
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.streams.text
import pytest
from PIL import Image
from retaia_tests.house import PERSON, House
from retaia_tests.http_house import AGENT_TOKEN, PERSON_TOKEN
from retaia_tests.socket_house import serve_on_a_socket

from retaia_core.domain.lifecycle import Action, State

HERE = Path(__file__).parent


@pytest.fixture
async def house():
    house = House()
    await house.start()
    return house


def command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", str(HERE / name), *arguments]


def environment(token: str) -> dict[str, str]:
    return {**os.environ, "RETAIA_TOKEN": token, "PYTHONUNBUFFERED": "1"}


async def run(token: str, name: str, *arguments: str) -> str:
    """What an example prints; it has to end well."""
    with anyio.fail_after(60):
        done = await anyio.run_process(
            command(name, *arguments), env=environment(token), check=False
        )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


async def test_decide(house):
    """What is tagged is kept, the rest is shown and left alone."""
    first, second = await house.pending("INBOX/A.jpg"), await house.pending("INBOX/B.jpg", b"b")
    async with serve_on_a_socket(house) as url:
        assert await run(PERSON_TOKEN, "decide.py", url) == "A.jpg: waits\nB.jpg: waits\n"
        await house.review.annotate(PERSON, second.uuid, tags=("keep",))
        shown = await run(PERSON_TOKEN, "decide.py", url)
    assert shown == "A.jpg: waits\nB.jpg: DECIDED_KEEP\n"
    assert (await house.review.asset(first.uuid)).state is State.DECISION_PENDING


async def test_thumbnail_agent(house, tmp_path):
    """A good photo gets its thumbnail, a broken one a failure that people can read."""
    inbox = tmp_path / "INBOX"
    inbox.mkdir()
    Image.new("RGB", (640, 480), "teal").save(inbox / "A.png")
    (inbox / "B.png").write_bytes(b"no picture")
    good, broken = await house.ready("INBOX/A.png"), await house.ready("INBOX/B.png", b"b")
    async with serve_on_a_socket(house) as url:
        shown = await run(AGENT_TOKEN, "thumbnail_agent.py", url, str(tmp_path))
    assert sorted(shown.splitlines()) == ["INBOX/A.png: completed", "INBOX/B.png: failed"]
    [thumb] = [ref for ref in (await house.review.asset(good.uuid)).derived if ref.kind == "thumb"]
    assert house.derived.files[thumb.ref].startswith(b"\xff\xd8")
    [job] = [j for j in await house.review.jobs(broken.uuid) if j.failure]
    assert job.failure.code == "SOURCE_UNREADABLE"


@asynccontextmanager
async def following(url):
    """The lines that the example prints while it runs."""
    process = await anyio.open_process(
        command("follow_events.py", url), env=environment(PERSON_TOKEN), stderr=subprocess.PIPE
    )
    async with process:
        yield anyio.streams.text.TextReceiveStream(process.stdout)
        process.terminate()


async def test_follow_events(house):
    """First it shows what is there, then each change as it happens."""
    asset = await house.pending("INBOX/A.jpg")
    async with serve_on_a_socket(house) as url, following(url) as printed:
        with anyio.fail_after(60):
            text = ""
            while "A.jpg: DECISION_PENDING\n" not in text:
                text += await printed.receive()
            await house.review.decide(PERSON, asset.uuid, Action.KEEP)
            while "A.jpg: DECIDED_KEEP\n" not in text:
                text += await printed.receive()
