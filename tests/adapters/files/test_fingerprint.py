"""The processor that reads files whole: every file of a group, untouched, at the pace it was told."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from retaia_adapters.files import fsio
from retaia_adapters.files.disk import REAL, Disk, RealDisk
from retaia_adapters.files.fingerprint import FingerprintProcessor
from retaia_adapters.files.marker import adopt
from retaia_adapters.files.originals import FilesystemOriginals
from retaia_core.domain.discovery import SeenFile
from retaia_core.domain.identifiers import RelPath, StorageId
from retaia_core.domain.media import MediaType
from retaia_core.domain.pacing import DEFAULT_RATE
from retaia_core.domain.storage import Layout
from retaia_core.ports.processor import Done, Failed, Outcome, Processor, Progress, Task, Work
from retaia_core.testing.conformance import ProcessorContract
from retaia_core.testing.conformance.processor import Source

CONTENT = bytes(range(256)) * 9000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recording with two sidecars."""
    folder = tmp_path / "INBOX"
    folder.mkdir()
    (folder / "é🎬\n.mov").write_bytes(CONTENT)
    (folder / "é🎬\n.srt").write_bytes(b"words")
    (folder / "é🎬\n.lrf").write_bytes(b"")
    return folder


class TestFingerprintProcessor(ProcessorContract):
    reads_source = False
    """Any content can be read whole: there is no garbage for it. What is absent is tested below."""

    @pytest.fixture
    def processor(self) -> Processor:
        return FingerprintProcessor()

    @pytest.fixture
    def source(self, folder: Path) -> Source:
        parameters = {"fingerprint_source": {"bytes_per_second": 0}}
        return Source(path=folder / "é🎬\n.mov", media_type=MediaType.VIDEO, parameters=parameters)


def work(folder: Path, *, rate: int = 0, sidecars: tuple[str, ...] = (".srt", ".lrf")) -> Work:
    task = Task(job_id="j", job_type="fingerprint_source", parameters={"bytes_per_second": rate})
    stem = folder / "é🎬\n"
    return Work(
        source=Path(f"{stem}.mov"),
        media_type=MediaType.VIDEO,
        tasks=(task,),
        workspace=folder,
        sidecars=tuple(Path(f"{stem}{s}") for s in sidecars),
    )


def outcome(of: Work, processor: FingerprintProcessor | None = None) -> Outcome:
    (made,) = (processor or FingerprintProcessor()).process(of, lambda progress: None)
    return made


def rows(made: Outcome) -> list[dict[str, Any]]:
    assert isinstance(made, Done), made
    files = made.data["files"]
    assert isinstance(files, list)
    return files


def test_every_file_of_the_group_has_its_digest(folder: Path) -> None:
    """SHA-256 of all bytes, with the size and time that it belongs to; an empty file has one too."""
    found = {row["name"]: row for row in rows(outcome(work(folder)))}
    assert set(found) == {"é🎬\n.mov", "é🎬\n.srt", "é🎬\n.lrf"}
    for name, row in found.items():
        path = folder / name
        assert row["digest"] == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        assert (row["size_bytes"], row["mtime_ns"]) == (
            path.stat().st_size,
            path.stat().st_mtime_ns,
        )


def test_it_reads_no_faster_than_it_is_told(folder: Path) -> None:
    """On its own clock: the first second's worth at once, then the rate."""
    now, rate = [0.0], 500_000

    def sleep(seconds: float) -> None:
        now[0] += seconds

    processor = FingerprintProcessor(clock=lambda: now[0], sleep=sleep)
    rows(outcome(work(folder, rate=rate), processor))
    total = len(CONTENT) + len(b"words")
    assert now[0] == pytest.approx(total / rate - 1, abs=0.01)


def test_it_is_polite_by_default() -> None:
    """The job type's own pace is that of the settings' default."""
    from retaia_core.domain.job_types import FINGERPRINT, JOB_TYPES, parse_parameters

    (row,) = (row for row in JOB_TYPES if row.name == FINGERPRINT)
    assert parse_parameters(row, {}) == {"bytes_per_second": DEFAULT_RATE}


def test_progress_is_of_the_whole_group(folder: Path) -> None:
    """It ends at the bytes of all files."""
    reported: list[Progress] = []
    list(FingerprintProcessor().process(work(folder), reported.append))
    total = len(CONTENT) + len(b"words")
    assert (reported[-1].current, reported[-1].total) == (total, total)


def test_the_access_time_stays(folder: Path) -> None:
    """Reading leaves no trace, where the system allows that."""
    path = folder / "é🎬\n.mov"
    os.utime(path, ns=(10**18, 10**18))
    rows(outcome(work(folder)))
    assert (path.stat().st_atime_ns, path.stat().st_mtime_ns) == (10**18, 10**18)


class Troubled(RealDisk):
    """A disk on which reading a file meets something first."""

    def __init__(self, name: str, trouble: Callable[[], None]) -> None:
        self.name, self.trouble = name, trouble
        self.handle = -1

    def open(self, path: str, flags: int, mode: int = 0o666, /) -> int:  # type: ignore[override]
        handle = os.open(path, flags, mode)
        if path.endswith(self.name):
            self.handle = handle
        return handle

    def read(self, handle: int, most: int, /) -> bytes:  # type: ignore[override]
        if handle == self.handle:
            self.handle = -1
            self.trouble()
        return os.read(handle, most)


def rotten() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_an_original_that_cannot_be_read_fails_the_job(folder: Path) -> None:
    """It may be tried again; no path of this machine is told."""
    disk: Disk = Troubled(".mov", rotten)
    made = outcome(work(folder), FingerprintProcessor(disk=disk))
    assert isinstance(made, Failed)
    assert (made.code, made.retryable) == ("IO_ERROR", True)
    assert "input/output error" in made.message
    assert str(folder) not in made.message


def test_an_original_that_is_gone_fails_the_job(folder: Path) -> None:
    """As one that cannot be read."""
    (folder / "é🎬\n.mov").unlink()
    made = outcome(work(folder))
    assert isinstance(made, Failed)
    assert (made.code, made.retryable) == ("IO_ERROR", True)


def test_a_sidecar_that_cannot_be_read_is_a_warning(folder: Path) -> None:
    """The others have their digests."""
    made = outcome(work(folder), FingerprintProcessor(disk=Troubled(".srt", rotten)))
    assert {row["name"] for row in rows(made)} == {"é🎬\n.mov", "é🎬\n.lrf"}
    assert isinstance(made, Done)
    (warning,) = made.warnings
    assert "input/output error" in warning


@pytest.mark.parametrize("growth", [b"more", b""])
def test_a_file_that_is_written_to_meanwhile_has_no_digest(folder: Path, growth: bytes) -> None:
    """Neither where it grows, nor where it keeps its size."""
    path = folder / "é🎬\n.mov"

    def write() -> None:
        path.write_bytes(CONTENT + growth)

    made = outcome(work(folder), FingerprintProcessor(disk=Troubled(".mov", write)))
    assert isinstance(made, Failed)
    assert (made.code, made.retryable) == ("SOURCE_CHANGED", True)


def test_a_link_in_place_of_the_file_is_not_followed(folder: Path) -> None:
    """The agent resolved the path; a link that stands there now is another thing."""
    path = folder / "é🎬\n.mov"
    path.rename(folder / "real.mov")
    path.symlink_to(folder / "real.mov")
    assert isinstance(outcome(work(folder)), Failed)


def test_a_filesystem_that_knows_no_advice_is_read_all_the_same(folder: Path) -> None:
    """Dropping the cache is a courtesy."""

    class Plain(RealDisk):
        def drop_cache(self, handle: int, start: int, length: int, /) -> None:  # type: ignore[override]
            raise OSError(errno.ENOTSUP, "no")

    assert len(rows(outcome(work(folder), FingerprintProcessor(disk=Plain())))) == 3


class Watched(RealDisk):
    """A disk that remembers what was read and forgotten, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def read(self, handle: int, most: int, /) -> bytes:  # type: ignore[override]
        self.calls.append("read")
        return os.read(handle, most)

    def drop_cache(self, handle: int, start: int, length: int, /) -> None:  # type: ignore[override]
        self.calls.append("forget" if length else "forget all")


def test_the_disk_answers_and_not_the_memory(folder: Path, tmp_path: Path) -> None:
    """Before the first byte is read, what memory holds of the file is dropped; by agent and server alike."""
    agent = Watched()
    rows(outcome(work(folder, sidecars=()), FingerprintProcessor(disk=agent)))
    adopt(tmp_path, Layout(), StorageId("nas"))
    server = Watched()
    path = folder / "é🎬\n.mov"
    found = path.stat()
    seen = SeenFile(path=RelPath("INBOX/é🎬\n.mov"), size=found.st_size, mtime_ns=found.st_mtime_ns)
    originals = FilesystemOriginals(tmp_path, StorageId("nas"), disk=server)
    assert originals.checksum(seen) == f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    for disk in (agent, server):
        reads = [n for n, call in enumerate(disk.calls) if call == "read"]
        assert "forget all" in disk.calls[: reads[-4]]
        assert disk.calls.count("forget all") == 1


def test_the_real_disk_is_the_default() -> None:
    """Nothing to configure, nothing to install."""
    processor = FingerprintProcessor()
    assert processor.disk is REAL
    assert processor.availability().available
    assert fsio.BLOCK_BYTES <= 2**20
    assert evolve(processor).capabilities == {"media.fingerprint@1"}
