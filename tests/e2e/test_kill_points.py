"""Real processes, ``kill -9`` at every named point, a restart, and a look: nothing lost, nothing twice.

A real filesystem (two of them, where the point is across), SQLite and PostgreSQL.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from attrs import define
from retaia_tests.kill_points import POINTS, Point
from retaia_tests.kill_stories import FILES, VERDICTS
from retaia_tests.mounts import filesystem
from retaia_tests.postgres import Server

from retaia_core.domain.lifecycle import Verdict

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

SUPPORT = Path(__file__).parents[1] / "support"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


LETTERS = {digest(content): content[:1].decode() for content in FILES.values()}
LETTERS |= {digest(FILES[path]): path[-5] for path in FILES if path.endswith(".xmp")}
WITH = {digest(content): Path(path).suffix for path, content in FILES.items()}
KEPT = {path[-5] for path, verdict in VERDICTS.items() if verdict is Verdict.KEEP}


@define
class Stage:
    """The process that begins the processes of the stories, and the databases that they start from."""

    process: subprocess.Popen[str]

    def ask(self, **request: str) -> int:
        """Do a request in a process of its own; how that ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A process that has everything loaded."""
    path = os.pathsep.join(filter(None, (str(SUPPORT), os.environ.get("PYTHONPATH"))))
    with subprocess.Popen(
        [sys.executable, "-m", "retaia_tests.kill_stories"],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Stage(process)


@pytest.fixture(scope="module")
def empty_sqlite(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with nothing but its tables."""
    path = tmp_path_factory.mktemp("empty") / "retaia.db"
    assert stage.ask(act="schema", url=f"sqlite:///{path}") == 0
    return path


@pytest.fixture(scope="module")
def empty_postgres(stage: Stage, postgres_server: Server) -> Iterator[str]:
    """The name of a database with nothing but its tables."""
    with postgres_server.database() as url:
        assert stage.ask(act="schema", url=url) == 0
        with psycopg.connect(url) as connection:
            name = connection.info.dbname
        yield name


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database of this test, with its tables."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("empty_sqlite"), tmp_path / "retaia.db")
        yield f"sqlite:///{tmp_path / 'retaia.db'}"
        return
    server: Server = request.getfixturevalue("postgres_server")
    with server.database(template=request.getfixturevalue("empty_postgres")) as url:
        yield url


@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point.story}: {point.name}")
def test_a_killed_process_loses_nothing(
    stage: Stage, database: str, tmp_path: Path, point: Point
) -> None:
    """The restart brings what was ordered to its end, a second one changes nothing, and all agree."""
    root = tmp_path / "nas"
    root.mkdir()
    with ExitStack() as mounts:
        if point.across:
            for top in ("ARCHIVE", "REJECTS"):
                mounts.enter_context(filesystem(root / top))
        told = stage.ask(
            act="tell", url=database, root=str(root), story=point.story, point=point.name
        )
        assert told == -signal.SIGKILL, "the point was never passed"
        answer = tmp_path / "answer"
        restarted = stage.ask(
            act="restart", url=database, root=str(root), story=point.story, answer=str(answer)
        )
        assert restarted == 0
        found = json.loads(answer.read_text())
    assert found["second"] == found["first"], "a second recovery changed something"
    after = found["second"]
    assert after["files"]["ARCHIVE/a.jpg"] == digest(b"somebody else's")
    CHECKS[point.story](point, after, found)


def contents(picture: dict[str, Any]) -> list[str]:
    """What lies in the three folders, each as often as it lies there."""
    return sorted(
        found for path, found in picture["files"].items() if not path.startswith(".derived/")
    )


def everything() -> list[str]:
    return sorted(map(digest, FILES.values()))


def by_letter(picture: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The assets by what their files hold; each has its own sidecar, where it says."""
    found = {}
    for asset in picture["assets"].values():
        if asset["path"] not in picture["files"]:
            continue
        (letter,) = {
            LETTERS[picture["files"][path]] for path in (asset["path"], *asset["sidecars"])
        }
        assert len(asset["sidecars"]) == 1
        assert Path(asset["sidecars"][0]).stem == Path(asset["path"]).stem
        assert asset["flags"] == []
        found[letter] = asset
    return found


def assert_at_rest(picture: dict[str, Any]) -> None:
    """Nobody holds anything, and every batch has ended."""
    assert picture["held"] == 0
    for status, outcomes in picture["batches"]:
        assert (status, set(outcomes)) == ("DONE", {"MOVED"})
    for entries in picture["journal"].values():
        done = [(op, path) for op, phase, path in entries if phase == "DONE"]
        intended = {(op, path) for op, phase, path in entries if phase == "INTENT"}
        assert sorted(done) == sorted(intended)


def check_moved(point: Point, after: dict[str, Any], found: dict[str, Any]) -> None:
    """All content once, each group where its verdict says or all where they were, one event for each."""
    assert contents(after) == everything()
    assert_at_rest(after)
    moved = point.begun
    assert len(by_letter(after)) == len(VERDICTS)
    for letter, asset in by_letter(after).items():
        kept = letter in KEPT
        top = ("ARCHIVE" if kept else "REJECTS") if moved else "INBOX"
        state = ("ARCHIVED" if kept else "REJECTED") if moved else "DECIDED_KEEP"
        assert asset["path"].startswith(f"{top}/")
        assert asset["state"] == state or (not moved and asset["state"] == "DECIDED_REJECT")
    assert [names.get("move.moved", 0) for names in after["events"].values()] == [moved] * 3
    assert len(after["batches"]) == moved


def check_undone(point: Point, after: dict[str, Any], found: dict[str, Any]) -> None:
    """Everything is back under its own name and decided as before, or nothing is."""
    assert contents(after) == everything()
    assert_at_rest(after)
    undone = point.begun
    if undone:
        assert after["files"] == {path: digest(content) for path, content in FILES.items()}
    for letter, asset in by_letter(after).items():
        state = f"DECIDED_{'KEEP' if letter in KEPT else 'REJECT'}"
        assert (asset["state"] == state) is undone
    assert [names.get("undo.moved", 0) for names in after["events"].values()] == [undone] * 3
    assert len(after["batches"]) == 1 + undone


def check_purged(point: Point, after: dict[str, Any], found: dict[str, Any]) -> None:
    """The rejected group and its derived file are gone and recorded once, or all of it stands."""
    gone = {digest(FILES[path]) for path in ("INBOX/day/c.jpg", "INBOX/day/c.xmp")}
    purged = point.begun
    assert contents(after) == [one for one in everything() if not (purged and one in gone)]
    derived = [path for path in after["files"] if path.startswith(".derived/")]
    assert len(derived) == (not purged)
    assert_at_rest(after)
    states = sorted(asset["state"] for asset in after["assets"].values())
    assert states == ["ARCHIVED", "ARCHIVED", "PURGED" if purged else "REJECTED"]
    events = [names.get("asset.purged", 0) for names in after["events"].values()]
    assert sum(events) == purged


def check_uploaded(point: Point, after: dict[str, Any], found: dict[str, Any]) -> None:
    """The file is published once, whole, and nothing of the upload is left; the originals are untouched."""
    assert contents(after) == everything()
    derived = [path for path in after["files"] if path.startswith(".derived/")]
    assert len(derived) == 1
    assert "/.uploads/" not in derived[0]


def check_claimed(point: Point, after: dict[str, Any], found: dict[str, Any]) -> None:
    """What the first agent held is free again; the second holds all of it, under a higher number."""
    assert contents(after) == everything()
    assert after["held"] == 0
    claimed = found["claimed"]
    before, now = claimed["fencing"]
    assert now > before
    assert (before > 0) is point.begun
    assert claimed["jobs"] > 0
    assert claimed["holders"] == ["claimed"]


CHECKS = {
    "move": check_moved,
    "undo": check_undone,
    "purge": check_purged,
    "upload": check_uploaded,
    "claim": check_claimed,
}
