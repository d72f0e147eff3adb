"""A disk that goes away, as an editor meets it: real mounts and processes, nothing lost or missing."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

import pytest
from attrs import define, evolve, field
from PIL import Image
from retaia_tests.machine import Machine
from retaia_tests.plugs import Plug, plugged
from retaia_tests.trees import tree

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

QUICK = ("--quiet-period", "0", "--scan-interval", "0.5", "--port", "0")
PATIENCE_S = 120

PULLS = """
import subprocess, sys
from retaia_adapters.files import moves

left, command, whole = int(sys.argv[1]), sys.argv[2].split(), moves.move


def pull(*arguments, **named):
    global left
    if left == 0:
        subprocess.run(command, check=True)
    left -= 1
    return whole(*arguments, **named)


moves.move = pull
from retaia_adapters.cli.app import run

sys.exit(run(sys.argv[3:]))
"""
"""The command, in a process that pulls the disk before it moves another file than so many."""


@pytest.fixture
def plug(tmp_path: Path) -> Iterator[Plug]:
    """A small disk with photos in its inbox, some with a sidecar."""
    with plugged(tmp_path) as plug:
        for number in range(12):
            folder = plug.root / "INBOX" / f"day {number % 3}"
            folder.mkdir(parents=True, exist_ok=True)
            photo = folder / f"{number:02}.jpg"
            Image.new("RGB", (64, 48), (number * 20, 90, 90)).save(photo)
            if number % 2:
                photo.with_suffix(".xmp").write_text(f"<x n='{number}'/>")
        yield plug


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine for which a disk with 1 MiB of free space is not full yet."""
    home = tmp_path / "home"
    home.mkdir()
    return Machine(home=home, variables={"RETAIA_STORAGE_RESERVE": "1"})


@define
class Running:
    """A program that runs, and what it said so far."""

    process: subprocess.Popen[str]
    said: list[str] = field(factory=list)
    _lines: Queue[str] = field(factory=Queue)

    def __attrs_post_init__(self) -> None:
        stream = self.process.stderr
        assert stream is not None
        Thread(target=lambda: [self._lines.put(line) for line in stream], daemon=True).start()

    def until(self, word: str) -> str:
        """The next line with this word."""
        ends = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends:
            try:
                line = self._lines.get(timeout=0.2).rstrip()
            except Empty:
                continue
            self.said.append(line)
            if word in line:
                return line
        pytest.fail(f"{word!r} was not said; it said {self.said}")

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)


def until(fact: Callable[[], bool], what: str) -> None:
    """Wait for something to be so."""
    ends = time.monotonic() + PATIENCE_S
    while not fact():
        assert time.monotonic() < ends, what
        time.sleep(0.3)


def assets(machine: Machine) -> list[dict[str, object]]:
    """Every asset, as the command lists it."""
    listed: list[dict[str, object]] = machine.run("assets", "list", "--json").document["assets"]
    return listed


def states(machine: Machine) -> set[tuple[object, object]]:
    """State and flags of all assets."""
    return {(asset["state"], tuple(asset["flags"])) for asset in assets(machine)}  # type: ignore[arg-type]


def health(machine: Machine) -> tuple[str, str]:
    """Health and reason of the storage, looked at now."""
    storage = machine.run("storage", "status", "--json").document["storages"][0]
    return storage["health"], storage["health_reason"]


def decided(machine: Machine, plug: Plug) -> None:
    """Adopt, prepare and decide everything."""
    answer = machine.up(plug.root)
    assert answer.code == 0, answer.errors
    paths = [str(asset["path"]) for asset in assets(machine)]
    assert len(paths) == 12
    assert machine.run("decide", "keep", *paths[:9]).code == 0
    assert machine.run("decide", "reject", *paths[9:]).code == 0


def test_a_cautious_editor(machine: Machine, plug: Plug) -> None:
    """Pull the disk in the middle of a batch, kill the server, plug in again, undo: all is as it was."""
    decided(machine, plug)
    before = tree(plug.root)
    command = [sys.executable, "-c", PULLS, "7", " ".join(plug.pull_command)]
    batch = subprocess.run(
        [*command, "batch", "apply", "--yes"], env=machine.environment, cwd=machine.home,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert batch.returncode == 3, batch.stderr
    assert "is offline: its marker .retaia is not there" in batch.stdout
    assert "wait; a running server" in batch.stdout
    assert list(plug.root.iterdir()) == []
    assert tree(plug.disk).keys() != before.keys()
    with machine.start("up", str(plug.root), *QUICK) as process:
        running = Running(process)
        assert "its marker .retaia is not there" in running.until("is offline since")
        running.until("waits: the storage of")
        running.kill()
    assert {flags for _, flags in states(machine)} == {()}
    assert list(plug.root.iterdir()) == []
    with machine.start("up", str(plug.root), *QUICK) as process:
        running = Running(process)
        running.until("is offline since")
        plug.plug_in()
        running.until("is back; its work goes on")
        batch_id = running.until("was brought to its end").split()[1]
        until(lambda: {s for s, _ in states(machine)} == {"ARCHIVED", "REJECTED"}, "not moved")
        running.kill()
    assert states(machine) == {("ARCHIVED", ()), ("REJECTED", ())}
    undone = machine.run("batch", "undo", batch_id, "--yes", "--json")
    assert undone.code == 0, undone.errors
    assert tree(plug.root) == before
    assert states(machine) == {("DECIDED_KEEP", ()), ("DECIDED_REJECT", ())}
    scan = machine.up(plug.root).document["scan"]
    assert (scan["new"], scan["missing"], scan["changed"]) == (0, 0, 0)


def test_a_disk_that_becomes_read_only(machine: Machine, plug: Plug) -> None:
    """Nothing is moved or called missing; decisions go on; made writable, the batch goes on by itself."""
    decided(machine, plug)
    before = tree(plug.root)
    plug.remount("ro")
    state, reason = health(machine)
    assert (state, "read-only" in reason) == ("OFFLINE", True)
    shown = machine.run("batch", "apply", "--yes")
    assert "is read-only" in shown.output + shown.errors
    assert tree(plug.root) == before
    path = str(assets(machine)[0]["path"])
    assert machine.run("decide", "reject", path).code == 0
    with machine.start("up", str(plug.root), *QUICK) as process:
        running = Running(process)
        assert "make it writable again" in running.until("is offline since")
        plug.remount("rw")
        running.until("is back")
    assert {flags for _, flags in states(machine)} == {()}
    assert health(machine) == ("ONLINE", "")


def test_a_disk_that_is_full(machine: Machine, plug: Plug) -> None:
    """It is offline until there is room; what is there is neither missing nor touched."""
    decided(machine, plug)
    before = tree(plug.root)
    big = plug.fill()
    state, reason = health(machine)
    assert (state, "the disk is full" in reason) == ("OFFLINE", True)
    with machine.start("up", str(plug.root), *QUICK) as process:
        running = Running(process)
        assert "make room" in running.until("is offline since")
        big.unlink()
        running.until("is back")
        running.until("scan")
    assert tree(plug.root) == before
    assert {flags for _, flags in states(machine)} == {()}


def test_another_disk_in_its_place(machine: Machine, plug: Plug, tmp_path: Path) -> None:
    """A foreign disk under the known folder is offline, and none of its files becomes an asset."""
    decided(machine, plug)
    (tmp_path / "other").mkdir()
    with plugged(tmp_path / "other") as other:
        (other.root / "INBOX").mkdir()
        Image.new("RGB", (64, 48)).save(other.root / "INBOX" / "strange.jpg")
        elsewhere = evolve(machine, home=tmp_path / "other")
        assert elsewhere.run("storage", "adopt", str(other.root)).code == 0
        plug.pull()
        subprocess.run(["mount", "--bind", str(other.disk), str(plug.root)], check=True)
        assert "is of another storage" in health(machine)[1]
        answer = machine.up(plug.root)
        assert answer.code == 3
        assert "another storage" in answer.errors
        assert not (other.root / ".derived").exists()
    assert len(assets(machine)) == 12
    assert {flags for _, flags in states(machine)} == {()}
