"""From a locator to a file, and every reason not to open it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import anyio.to_thread
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from retaia_agent.mounts import (
    MTIME_STEP_NS,
    Asking,
    MarkerProblem,
    NotMounted,
    SourceChanged,
    SourceFile,
    SourceProblem,
    find_sidecars,
    open_source,
)
from retaia_core.domain.identifiers import StorageId
from retaia_core.domain.jobs import NOT_THE_FILE
from retaia_core.domain.storage import MARKER_NAME, Marker, render_marker


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A storage with one file."""
    root = tmp_path / "nas"
    (root / "INBOX").mkdir(parents=True)
    (root / MARKER_NAME).write_bytes(render_marker(Marker(storage_id=StorageId("nas"))))
    (root / "INBOX" / "a.mov").write_bytes(b"abc")
    return root


def source(root: Path, path: str = "INBOX/a.mov") -> SourceFile:
    """What a scan saw of a file."""
    seen = (root / path).stat()
    return SourceFile(storage_id="nas", path=path, size=seen.st_size, mtime_ns=seen.st_mtime_ns)


def test_a_good_source_is_resolved(root: Path) -> None:
    """The path is absolute and without links, also where the mount is reached through one."""
    alias = root.with_name("alias")
    alias.symlink_to(root)
    assert open_source({"nas": alias}, source(root)) == root / "INBOX" / "a.mov"


def test_a_storage_without_a_mount(root: Path) -> None:
    """The message says what is mounted, and names no path of this machine."""
    with pytest.raises(NotMounted, match="mounted: other;") as caught:
        open_source({"other": root}, source(root))
    assert str(root) not in caught.value.message
    assert caught.value.retryable


BAD_MARKERS: list[tuple[str, Callable[[Path], object], str]] = [
    ("absent", lambda marker: marker.unlink(), "has no .retaia file"),
    ("empty", lambda marker: marker.write_bytes(b""), "not valid"),
    ("no JSON", lambda marker: marker.write_bytes(b"\xff\xfe{"), "not valid"),
    ("a version to come", lambda marker: marker.write_text('{"version": 9}'), "not valid"),
    ("a folder", lambda marker: (marker.unlink(), marker.mkdir()), "cannot be read"),
    ("a pipe", lambda marker: (marker.unlink(), os.mkfifo(marker)), "not valid"),
    (
        "a link",
        lambda marker: marker.symlink_to(marker.rename(marker.with_name("elsewhere"))),
        "cannot be read",
    ),
    (
        "of another storage",
        lambda marker: marker.write_bytes(render_marker(Marker(storage_id=StorageId("b")))),
        "is storage 'b'",
    ),
]


@pytest.mark.parametrize(("what", "spoil", "words"), BAD_MARKERS, ids=[m[0] for m in BAD_MARKERS])
def test_a_marker_that_is_not_right(
    root: Path, what: str, spoil: Callable[[Path], object], words: str
) -> None:
    """No work without the marker of this very storage (domain.md, *Assets*)."""
    wanted = source(root)
    spoil(root / MARKER_NAME)
    with pytest.raises(MarkerProblem, match=words) as caught:
        open_source({"nas": root}, wanted)
    assert caught.value.retryable
    assert str(root) not in caught.value.message


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../secret", "INBOX/../../secret", "C:/x", "a\0b", "", "INBOX//a.mov"]
)
def test_a_path_that_must_not_be(root: Path, path: str) -> None:
    """Paths are relative, without ``..``, drive letters and NUL (domain.md, *Principles* 3)."""
    with pytest.raises(SourceProblem, match="is refused") as caught:
        open_source({"nas": root}, evolve(source(root), path=path))
    assert not caught.value.retryable


@given(st.text())
def test_no_path_leads_out(path: str) -> None:
    """Whatever a server says, nothing outside the root is ever opened."""
    here = Path(__file__).parent
    with pytest.raises(SourceProblem):
        open_source({"nas": here}, SourceFile(storage_id="nas", path=path, size=0, mtime_ns=0))


def test_links(root: Path) -> None:
    """A link inside the storage is followed, one that leaves it is refused."""
    outside = root.parent / "outside.mov"
    outside.write_bytes(b"abc")
    (root / "INBOX" / "in.mov").symlink_to("a.mov")
    (root / "INBOX" / "out.mov").symlink_to(outside)
    (root / "away").symlink_to(root.parent)
    (root / "INBOX" / "loop.mov").symlink_to("loop.mov")
    mounts = {"nas": root}
    assert open_source(mounts, source(root, "INBOX/in.mov")) == root / "INBOX" / "a.mov"
    for path in ("INBOX/out.mov", "away/outside.mov"):
        with pytest.raises(SourceProblem, match="leads out of its storage"):
            open_source(mounts, source(root, path))
    with pytest.raises(SourceProblem):
        open_source(mounts, evolve(source(root), path="INBOX/loop.mov"))


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file(root: Path, kind: str) -> None:
    """Only a regular file is opened."""
    path = root / "INBOX" / "odd.mov"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.raises(SourceProblem, match="no regular file"):
        open_source({"nas": root}, source(root, "INBOX/odd.mov"))


def test_a_file_that_is_not_the_one_scanned(root: Path) -> None:
    """Another size or time is another file; gone is gone. All of it may be seen by the next scan."""
    mounts, seen = {"nas": root}, source(root)
    changes = [
        evolve(seen, size=4),
        evolve(seen, mtime_ns=seen.mtime_ns + MTIME_STEP_NS),
        evolve(seen, mtime_ns=seen.mtime_ns - MTIME_STEP_NS),
        evolve(seen, path="INBOX/gone.mov"),
        evolve(seen, path="INBOX/a.mov/b"),
    ]
    for change in changes[:-1]:
        with pytest.raises(SourceChanged) as caught:
            open_source(mounts, change)
        assert caught.value.retryable
    with pytest.raises(SourceProblem):
        open_source(mounts, changes[-1])


def test_a_network_filesystem_that_rounds_times(root: Path) -> None:
    """Less than a second of difference is rounding, not a change."""
    seen = source(root)
    rounded = evolve(seen, mtime_ns=seen.mtime_ns // 10**9 * 10**9)
    assert open_source({"nas": root}, rounded).name == "a.mov"


def test_sidecars_are_found_and_nothing_else(root: Path, tmp_path: Path) -> None:
    """One that is gone, leads out of the storage, or is no file is left out; the others are resolved."""
    inbox = root / "INBOX"
    (inbox / "a.srt").write_bytes(b"words")
    (tmp_path / "outside.lrf").write_bytes(b"secret")
    (inbox / "a.lrf").symlink_to(tmp_path / "outside.lrf")
    (inbox / "a.xmp").mkdir()
    names = [f"INBOX/a.{suffix}" for suffix in ("srt", "lrf", "xmp", "thm")]
    found = find_sidecars({"nas": root}, source(root), [*names, "../outside.lrf"])
    assert found == (inbox / "a.srt",)


class TestAMountThatHangs:
    """A share may hold whoever touches it for ever; the agent goes on without it."""

    async def test_it_is_given_up_in_time(self) -> None:
        """The answer is that the storage is offline, which costs the file no attempt; others go on."""
        asking, gate = Asking(within=0.05), threading.Event()
        threads: list[threading.Thread] = []

        def hang() -> None:
            threads.append(threading.current_thread())
            gate.wait(30)

        for _ in range(10):
            with pytest.raises(MarkerProblem, match=r"did not answer within 0\.05 s") as caught:
                await asking.ask("nas", hang)
            assert caught.value.code in NOT_THE_FILE
        assert len(threads) == 1
        assert threads[0].daemon
        assert await asking.ask("usb", lambda: "there") == "there"
        gate.set()
        await anyio.to_thread.run_sync(threads[0].join)
        assert await asking.ask("nas", lambda: "there") == "there"

    async def test_what_a_look_raises_is_raised(self) -> None:
        """A refusal is an answer."""
        asking = Asking(within=5)

        def refuse() -> None:
            raise SourceProblem("no")

        for _ in range(2):
            with pytest.raises(SourceProblem, match="no"):
                await asking.ask("nas", refuse)
