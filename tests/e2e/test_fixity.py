"""Fixity as a person lives it: digests taken by a real agent, real files damaged behind its back."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from retaia_tests.machine import Machine

pytestmark = pytest.mark.e2e

ODD = "sunset 🏖️\nof \\ \t'day' 1.jpg"


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A folder with photos in its inbox: one with a sidecar, one with a name that few programs like."""
    inbox = tmp_path / "storage" / "INBOX"
    inbox.mkdir(parents=True)
    for shade, name in enumerate(("a.jpg", "b.jpg", "c.jpg", ODD)):
        Image.new("RGB", (64, 48), (shade * 40, 90, 90)).save(inbox / name)
    (inbox / "a.xmp").write_text("<x/>")
    return tmp_path / "storage"


def flip(path: Path, at: int = 100) -> None:
    """Change one byte, as a rotting disk does: size and times stay."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    ends = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)


def digests(machine: Machine) -> int:
    """How many assets have digests by now."""
    with closing(sqlite3.connect(machine.home / "data" / "retaia.db")) as store:
        count: int = store.execute("SELECT count(*) FROM fixity").fetchone()[0]
        return count


def reads(pid: int, folder: Path) -> bool:
    """Whether a process has a file of a folder's inbox open."""
    held = Path(f"/proc/{pid}/fd").iterdir()
    return any(str(folder / "INBOX") in os.path.realpath(handle) for handle in held)


def verify(machine: Machine, *arguments: str) -> tuple[int, dict[str, Any]]:
    answer = machine.run("verify", "--json", "--rate", "0", *arguments)
    assert answer.document is not None, answer.errors
    return answer.code, answer.document


def named(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(one["result"], one["path"]) for one in document["named"]}


def test_one_flipped_bit_is_named_and_nothing_else(machine: Machine, storage: Path) -> None:
    """Agents take digests of a whole group; verify names the damaged file, why says it, a copy heals it."""
    done = machine.up(storage)
    assert done.code == 0, done.errors
    code, document = verify(machine)
    assert (code, document["counts"]["match"], document["counts"]["taken"]) == (0, 5, 0)
    assert document["named"] == []

    good = (storage / "INBOX" / "b.jpg").read_bytes()
    flip(storage / "INBOX" / "b.jpg")
    assert machine.run("scan", "--json").document["scans"][0]["changed"] == 0
    code, document = verify(machine)
    assert code == 1
    assert named(document) == {("mismatch", "INBOX/b.jpg")}
    (wrong,) = document["named"]
    assert wrong["digest"] == f"sha256:{hashlib.sha256(good).hexdigest()}"
    assert (document["counts"]["match"], document["counts"]["mismatch"]) == (4, 1)

    why = machine.run("why", "INBOX/b.jpg", "--json").document
    assert "fixity_mismatch" in why["evidence"]["flags"]
    assert why["evidence"]["state"] == "DECISION_PENDING"
    assert "the content of 'INBOX/b.jpg' is not what it was" in why["sentence"]
    assert why["evidence"]["content"]["INBOX/b.jpg"]["expected"] == wrong["digest"]
    assert any("--accept" in step for step in why["next"])
    listed = machine.run("history", "INBOX/b.jpg", "--json").document
    assert "fixity.mismatch" in str(listed)

    damaged = storage / "INBOX" / "b.jpg"
    before = damaged.stat()
    damaged.write_bytes(good)
    os.utime(damaged, ns=(before.st_atime_ns, before.st_mtime_ns))
    code, document = verify(machine, "INBOX/b.jpg")
    assert (code, document["counts"]["match"], document["named"]) == (0, 1, [])
    why = machine.run("why", "INBOX/b.jpg", "--json").document
    assert why["evidence"]["flags"] == []


def test_a_damaged_sidecar_is_a_mismatch_of_its_asset(
    sqlite_machine: Machine, storage: Path
) -> None:
    """A group's every file is covered; a person may say that what is there is right."""
    machine = sqlite_machine
    assert machine.up(storage).code == 0
    flip(storage / "INBOX" / "a.xmp", at=1)
    code, document = verify(machine, str(storage / "INBOX" / "a.jpg"))
    assert (code, named(document)) == (1, {("mismatch", "INBOX/a.xmp")})
    refused = machine.run("verify", "INBOX/b.jpg", "--accept")
    assert (refused.code, "nothing to accept" in refused.errors) == (1, True)
    assert machine.run("verify", "INBOX/a.jpg", "--accept").code == 0
    code, document = verify(machine)
    assert (code, document["named"]) == (0, [])
    assert "fixity.accepted" in str(machine.run("history", "INBOX/a.jpg", "--json").document)


def test_a_truncated_and_an_unreadable_file_are_named(
    sqlite_machine: Machine, storage: Path
) -> None:
    """Each with its own reason; a truncated one is no mismatch, since a scan sees it."""
    machine = sqlite_machine
    assert machine.up(storage).code == 0
    cut = storage / "INBOX" / "b.jpg"
    before = cut.stat()
    os.truncate(cut, 50)
    os.utime(cut, ns=(before.st_atime_ns, before.st_mtime_ns))
    locked = storage / "INBOX" / "c.jpg"
    locked.chmod(0)
    root = os.access(locked, os.R_OK)
    code, document = verify(machine)
    locked.chmod(0o644)
    assert code == 1
    expected = {("changed", "INBOX/b.jpg")}
    if not root:
        expected.add(("unreadable", "INBOX/c.jpg"))
    assert named(document) == expected
    messages = {one["path"]: one["message"] for one in document["named"]}
    assert "it has 50 bytes, and had" in messages["INBOX/b.jpg"]

    assert machine.run("scan").code == 0
    code, document = verify(machine)
    assert (code, named(document)) == (0, {("renewed", "INBOX/b.jpg")})
    assert "changed" in machine.run("why", "INBOX/b.jpg", "--json").document["evidence"]["flags"]


def test_sha256sum_reads_the_export(sqlite_machine: Machine, storage: Path) -> None:
    """Whatever a name has in it; and it finds the same damage that verify finds."""
    machine = sqlite_machine
    assert machine.up(storage).code == 0
    listed = machine.home / "SHA256SUMS"
    exported = machine.run("verify", "--export", str(listed), "--json")
    assert (exported.code, exported.document["written"]) == (0, 5), exported.errors
    check = ["sha256sum", "--check", "--strict", "--quiet", str(listed)]
    checked = subprocess.run(check, cwd=storage, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")

    flip(storage / "INBOX" / ODD)
    checked = subprocess.run(check, cwd=storage, capture_output=True, text=True, check=False)
    assert checked.returncode == 1
    assert checked.stdout.count("FAILED") == 1
    code, document = verify(machine)
    assert (code, named(document)) == (1, {("mismatch", f"INBOX/{ODD}")})
    again = machine.run("verify", "--export", str(listed))
    assert (again.code, "name another file" in again.errors) == (1, True)
    to_standard_output = machine.run("verify", "--export=-")
    assert to_standard_output.output == listed.read_text()


def test_a_storage_that_is_away_is_offline_and_nothing_in_it_missing(
    sqlite_machine: Machine, storage: Path
) -> None:
    """It is named with its reason, exits with 3, and leaves every record as it was."""
    machine = sqlite_machine
    assert machine.up(storage).code == 0
    away = storage.with_name("away")
    storage.rename(away)
    code, document = verify(machine)
    assert (code, len(document["offline"])) == (3, 1)
    assert (document["named"], document["bytes_read"]) == ([], 0)
    away.rename(storage)
    code, document = verify(machine)
    assert (code, document["counts"]["match"]) == (0, 5)


def test_a_move_keeps_the_digests(sqlite_machine: Machine, storage: Path) -> None:
    """What was kept and rejected is verified where it lies now, against the digest from before."""
    machine = sqlite_machine
    assert machine.up(storage).code == 0
    assert machine.run("decide", "keep", "INBOX/a.jpg").code == 0
    assert machine.run("decide", "reject", "INBOX/b.jpg").code == 0
    assert machine.run("batch", "apply", "--yes").code == 0
    code, document = verify(machine)
    assert (code, document["counts"]["match"], document["counts"]["taken"]) == (0, 5, 0)
    flip(storage / "ARCHIVE" / "a.xmp", at=1)
    flip(storage / "REJECTS" / "b.jpg")
    code, document = verify(machine)
    assert code == 1
    assert named(document) == {("mismatch", "ARCHIVE/a.xmp"), ("mismatch", "REJECTS/b.jpg")}


def test_a_run_that_is_killed_is_gone_on_with(sqlite_machine: Machine, tmp_path: Path) -> None:
    """Without digests from agents, verify takes them; what a killed run read is not read again first."""
    machine = Machine(home=sqlite_machine.home, variables={"RETAIA_FIXITY_FINGERPRINT": "false"})
    inbox = tmp_path / "storage" / "INBOX"
    inbox.mkdir(parents=True)
    for n in range(6):
        Image.new("RGB", (400, 300), (n * 40, 90, 90)).save(
            inbox / f"{n}.bmp.png", compress_level=0
        )
    storage = inbox.parent
    assert machine.up(storage).code == 0
    size = (inbox / "0.bmp.png").stat().st_size
    with machine.start("verify", "--rate", str(size // 6)) as process:  # five seconds a file
        until(lambda: digests(machine) > 0)
        process.send_signal(signal.SIGKILL)
        process.wait()
    code, document = verify(machine, "--budget", str(size))
    taken_before = 6 - document["never"] - 1
    assert (code, document["counts"]["taken"]) == (0, 1)
    assert 1 <= taken_before <= 5
    assert "bytes were read" in document["stopped"]
    code, document = verify(machine)
    assert (code, document["never"], document["counts"]["taken"]) == (0, 0, 5 - taken_before)
    code, document = verify(machine, "--older-than", "1d")
    assert document["bytes_read"] == 0


def test_a_run_is_interrupted_within_a_moment(sqlite_machine: Machine, storage: Path) -> None:
    """Ctrl-C ends it in the middle of a slow file, with 130, and nothing wrong is said of the file."""
    machine = sqlite_machine
    assert machine.up(storage).code == 0
    with machine.start("verify", "--rate", "1") as process:
        until(lambda: reads(process.pid, storage))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    code, document = verify(machine)
    assert (code, document["counts"]["match"]) == (0, 5)


def test_the_server_of_another_machine_needs_nothing_of_it(
    sqlite_machine: Machine, storage: Path
) -> None:
    """With fingerprints switched off nobody reads files whole, and verify says what has no digest."""
    machine = Machine(home=sqlite_machine.home, variables={"RETAIA_FIXITY_FINGERPRINT": "false"})
    assert machine.up(storage).code == 0
    code, document = verify(machine, "--budget", "0")
    assert (code, document["never"], document["known"]) == (0, 4, 0)
    shutil.rmtree(storage / ".derived")
    code, document = verify(machine)
    assert (code, document["counts"]["taken"]) == (0, 5)
