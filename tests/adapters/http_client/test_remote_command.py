"""``retaia remote``: the client's calls from a command line, against a real server over a socket."""

from __future__ import annotations

import io
import json
import socket
import stat
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from cyclopts import App
from retaia_tests.house import House
from retaia_tests.http_house import PERSON_TOKEN
from retaia_tests.people import PASSWORD, code_now, person, signed_in

from retaia_adapters.http_client import Client
from retaia_adapters.http_client.modes import Resource, operation, series
from retaia_adapters.http_client.remote import build_app
from retaia_adapters.http_client.remote_login import FILE
from retaia_core.__main__ import main
from retaia_core.hooks.exits import Exit

Command = Callable[..., Awaitable[tuple[int, str, str]]]
ANA = "ana@example.org"
UNKNOWN = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of the test's own, and an environment that names no server."""
    monkeypatch.setenv("RETAIA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("RETAIA_SERVER", raising=False)
    monkeypatch.delenv("RETAIA_TOKEN", raising=False)
    return tmp_path / "data"


@pytest.fixture
def remote(
    data_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """The command line in this process, beside the server's event loop."""

    async def command(*arguments: str, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        code = await anyio.to_thread.run_sync(partial(main, ["remote", *arguments]))
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


async def logged_in(house: House, remote: Command, url: str) -> None:
    """Sign a person in on this machine."""
    await person(house)
    code, _, said = await remote(
        "login", url + "/", "--email", ANA, "--password-stdin", typed=PASSWORD + "\n"
    )
    assert (code, said) == (Exit.OK, f"signed in at {url} as {ANA}\n")


async def status(remote: Command, batch: str) -> str:
    """How far a batch is."""
    _, out, _ = await remote("batches", "get", batch)
    return str(json.loads(out)["status"])


def methods(kind: type[Resource[Any]]) -> set[str]:
    return {name for name, one in vars(kind).items() if isinstance(one, operation | series)}


def leaves(app: App) -> set[str]:
    return {name for name in app if not name.startswith("-")}


def test_every_call_of_the_client_is_a_command() -> None:
    """A call that the client gets is a command, without anybody writing one."""
    app = build_app()
    resources = {
        name: type(one)
        for name, one in vars(Client("http://localhost")).items()
        if isinstance(one, Resource)
    }
    assert leaves(app) == {"login", "logout", *resources}
    for name, kind in resources.items():
        assert methods(kind)
        assert leaves(app[name]) == methods(kind)
        for method in methods(kind):
            assert app[name][method].assemble_argument_collection() is not None


async def test_a_person_decides_elsewhere(house: House, url: str, remote: Command) -> None:
    """Signed in once, a person lists, annotates, decides, moves and takes back, from another machine."""
    asset = await house.pending("INBOX/é🎬\n.jpg")
    await logged_in(house, remote, url)
    code, out, _ = await remote("assets", "iterate", "--state", "DECISION_PENDING")
    assert code == Exit.OK
    (line,) = map(json.loads, out.splitlines())
    assert (line["uuid"], line["name"]) == (asset.uuid, "é🎬\n.jpg")
    fields = '{"reel": "7", "rating": 3}'
    code, out, _ = await remote(
        "assets", "annotate", asset.uuid, "--tags", "sea", "--fields", fields
    )
    assert (code, json.loads(out)["tags"]) == (Exit.OK, ["sea"])
    code, out, _ = await remote("assets", "get", asset.uuid)
    stored = await house.store.read(lambda tx: tx.asset(asset.uuid))
    assert stored is not None
    assert stored.fields == {"reel": "7", "rating": 3}
    code, out, _ = await remote("assets", "decide", asset.uuid, "KEEP")
    assert (code, json.loads(out)["state"]) == (Exit.OK, "DECIDED_KEEP")
    _, out, _ = await remote("batches", "preview", "--uuids", asset.uuid)
    digest = json.loads(out)["digest"]
    code, out, _ = await remote("batches", "execute", "BOTH", "--digest", digest)
    batch = json.loads(out)["batch_id"]
    assert code == Exit.OK
    with anyio.fail_after(20):
        while await status(remote, batch) != "DONE":  # noqa: ASYNC110 - the server runs beside
            await anyio.sleep(0.02)
    code, out, _ = await remote("assets", "get", asset.uuid)
    assert json.loads(out)["summary"]["state"] == "ARCHIVED"


async def test_a_refusal_is_an_exit_code(house: House, url: str, remote: Command) -> None:
    """What the server refuses is a sentence and the exit code of every other command."""
    await logged_in(house, remote, url)
    code, out, said = await remote("assets", "get", UNKNOWN)
    assert (code, out) == (Exit.NOT_FOUND, "")
    assert said.startswith("retaia: ")
    asset = await house.ready("INBOX/a.jpg", b"a")
    code, _, said = await remote("assets", "decide", asset.uuid, "KEEP")
    assert code == Exit.FAILED
    assert "READY" in said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("assets", "decide", UNKNOWN, "MAYBE"), "MAYBE"),
        (("assets", "annotate", UNKNOWN, "--fields", "[1]"), "JSON object"),
        (("assets", "annotate", UNKNOWN, "--fields", "{"), "JSON object"),
        (("jobs", "submit", "j", "{}"), "JSON object"),
        (("assets", "fly"), "fly"),
    ],
)
async def test_wrong_usage(
    house: House, url: str, remote: Command, arguments: tuple[str, ...], told: str
) -> None:
    """What cannot be a request is told as wrong usage, and none is sent."""
    await logged_in(house, remote, url)
    code, out, said = await remote(*arguments)
    assert code == Exit.USAGE
    assert told in out + said


async def test_the_login_is_for_this_user_and_this_server(
    house: House, url: str, remote: Command, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tokens lie in a file of mode 0600, and are told to no other server."""
    await logged_in(house, remote, url)
    assert stat.S_IMODE((data_dir / FILE).stat().st_mode) == 0o600
    monkeypatch.setenv("RETAIA_SERVER", "http://127.0.0.1:9")
    code, _, said = await remote("auth", "me")
    assert code == Exit.FAILED
    assert f"signed in at {url}" in said


async def test_a_second_factor_is_asked_for(house: House, url: str, remote: Command) -> None:
    """Where the account has one, a code is the second thing that is typed."""
    await person(house)
    who = await signed_in(house)
    setup = await house.people.second_factors.set_up(who)
    await house.people.second_factors.enable(who, code_now(house, setup.secret))
    house.clock.advance(timedelta(seconds=60))
    typed = f"{PASSWORD}\n{code_now(house, setup.secret)}\n"
    code, _, _ = await remote("login", url, "--email", ANA, "--password-stdin", typed=typed)
    assert code == Exit.OK
    _, out, _ = await remote("auth", "me")
    assert json.loads(out)["email"] == ANA


async def test_side_by_side_over_the_end_of_a_token(
    house: House, url: str, remote: Command, data_dir: Path
) -> None:
    """When the token ends, commands that run at once renew it one time, and none of them fails."""
    await logged_in(house, remote, url)
    before = json.loads((data_dir / FILE).read_text())
    house.clock.advance(timedelta(hours=2))
    codes: list[int] = []

    async def ask() -> None:
        codes.append(await anyio.to_thread.run_sync(partial(main, ["remote", "auth", "me"])))

    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(ask)
    assert codes == [Exit.OK] * 6
    after = json.loads((data_dir / FILE).read_text())
    assert after["access_token"] != before["access_token"]


async def test_a_login_that_ended(house: House, url: str, remote: Command) -> None:
    """After the refresh token's time the person is told to sign in again."""
    await logged_in(house, remote, url)
    house.clock.advance(timedelta(days=40))
    code, _, said = await remote("auth", "me")
    assert code == Exit.FAILED
    assert "retaia remote login" in said


async def test_signing_out(house: House, url: str, remote: Command, data_dir: Path) -> None:
    """Nothing is left of a login, here or there."""
    await logged_in(house, remote, url)
    token = json.loads((data_dir / FILE).read_text())["access_token"]
    code, _, _ = await remote("logout")
    assert (code, (data_dir / FILE).exists()) == (Exit.OK, False)
    async with Client(url, token) as client:
        with pytest.raises(Exception, match="token"):
            await client.auth.me()
    code, _, said = await remote("auth", "me")
    assert code == Exit.USAGE
    assert "retaia remote login" in said


async def test_a_token_by_the_environment(
    house: House, url: str, remote: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that has a token needs no login; a token alone says to whom it must go."""
    monkeypatch.setenv("RETAIA_TOKEN", PERSON_TOKEN)
    assert (await remote("auth", "me"))[0] == Exit.FAILED
    monkeypatch.setenv("RETAIA_SERVER", url)
    assert (await remote("assets", "list"))[0] == Exit.OK


async def test_a_server_that_is_not_there(remote: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer has the exit code of everything that is away."""
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RETAIA_TOKEN", "t")
        monkeypatch.setenv("RETAIA_SERVER", f"http://127.0.0.1:{taken.getsockname()[1]}")
        assert (await remote("auth", "me"))[0] == Exit.UNAVAILABLE
