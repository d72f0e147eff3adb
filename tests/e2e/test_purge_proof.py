"""Purging on proof as a person does it: real files, a real backup, and every way in which it is none."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from attrs import evolve
from PIL import Image
from retaia_tests.machine import Answer, Machine

pytestmark = pytest.mark.e2e

ORIGINAL, XMP = "REJECTS/day/a.jpg", "REJECTS/day/a.xmp"


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A folder with a photo and its sidecar, and another photo, in its inbox."""
    folder = tmp_path / "storage" / "INBOX" / "day"
    folder.mkdir(parents=True)
    Image.effect_noise((900, 700), 90).save(folder / "a.jpg", quality=95)
    Image.new("RGB", (64, 48), (200, 90, 90)).save(folder / "b.jpg")
    (folder / "a.xmp").write_text("<x/>")
    return tmp_path / "storage"


@pytest.fixture
def backup(storage: Path, tmp_path: Path) -> Path:
    """What a backup made of the inbox, with the times of the files."""
    folder = tmp_path / "backup"
    subprocess.run(["cp", "-a", storage, folder], check=True)
    return folder


@pytest.fixture
def machine(sqlite_machine: Machine, storage: Path, backup: Path) -> Machine:
    """A machine that asks for proof; everything in the storage is rejected."""
    plain = sqlite_machine
    assert plain.up(storage).code == 0
    assert plain.run("decide", "reject", "INBOX/day/a.jpg", "INBOX/day/b.jpg").code == 0
    assert plain.run("batch", "apply", "--yes").code == 0
    asked = {
        "RETAIA_PURGE_REQUIRE_PROOF": "copy",
        "RETAIA_PURGE_COPIES": f"nas={backup},tape={backup.parent}/not-mounted",
    }
    return evolve(plain, variables={**plain.variables, **asked})


def purge(machine: Machine, *more: str) -> Answer:
    """Purge the photo with the sidecar, where it may go."""
    return machine.run("purge", ORIGINAL, "--yes", "--json", *more)


def blocked(answer: Answer) -> dict[str, str]:
    """Which files stay, and why."""
    assert answer.code == 1, answer.output + answer.errors
    (result,) = answer.document["results"]
    return {b["path"]: b["message"] for b in result["error"]["blocked"]}


def test_on_proof(machine: Machine, storage: Path, backup: Path) -> None:
    """Both copies are read, told with their digests, left alone; the certificate says it for ever."""
    shown = machine.run("purge", ORIGINAL, "--json")
    (plan,) = shown.document["results"]
    assert [(f["path"], f["proof"]["place"], f["proof"]["copy"]) for f in plan["files"][:2]] == [
        (ORIGINAL, "nas", "INBOX/day/a.jpg"), (XMP, "nas", "INBOX/day/a.xmp"),
    ]  # fmt: skip
    early = machine.run("purge", "certificate", plan["uuid"], "--json")
    assert (early.code, early.document["error"]["code"]) == (1, "STATE_CONFLICT")
    digest = subprocess.run(
        ["sha256sum", backup / "INBOX/day/a.jpg"], check=True, capture_output=True, text=True
    ).stdout.split()[0]
    done = purge(machine)
    assert done.code == 0, done.errors
    assert not (storage / ORIGINAL).exists()
    assert not (storage / XMP).exists()
    assert {p.name for p in (backup / "INBOX/day").iterdir()} == {"a.jpg", "a.xmp", "b.jpg"}
    certificate = machine.run("purge", "certificate", plan["uuid"], "--json").document
    first = certificate["files"][0]
    assert (first["path"], first["digest"]) == (ORIGINAL, f"sha256:{digest}")
    assert first["proof"]["digest"] == first["digest"]
    assert certificate["purged_by"].startswith("person:")
    assert [p["path"] for p in certificate["paths"]] == ["INBOX/day/a.jpg"]
    read = machine.run("purge", "certificate", plan["uuid"])
    for said in (plan["uuid"], digest, "INBOX/day/a.jpg", "REJECT"):
        assert said in read.output


def _flip(backup: Path, storage: Path) -> None:
    copy = backup / "INBOX/day/a.jpg"
    seen = copy.stat()
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)
    os.utime(copy, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def _hard_link(backup: Path, storage: Path) -> None:
    (backup / "INBOX/day/a.jpg").unlink()
    (backup / "INBOX/day/a.jpg").hardlink_to(storage / ORIGINAL)


def _link(backup: Path, storage: Path) -> None:
    (backup / "INBOX/day/a.jpg").unlink()
    (backup / "INBOX/day/a.jpg").symlink_to(storage / ORIGINAL)


def _cut_off(backup: Path, storage: Path) -> None:
    with (backup / "INBOX/day/a.jpg").open("r+b") as file:
        file.truncate(100)


def _unmount(backup: Path, storage: Path) -> None:
    backup.rename(backup.with_name("unplugged"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_flip, "it has another content"),
        (_hard_link, "it is the original itself"),
        (_link, "it is a link"),
        (_cut_off, "it has 100 bytes"),
        (_unmount, "its folder is not there"),
    ],
)
def test_what_is_no_copy(
    machine: Machine,
    storage: Path,
    backup: Path,
    spoil: Callable[[Path, Path], None],
    said: str,
) -> None:
    """It is named with its place and its reason, and nothing goes."""
    spoil(backup, storage)
    why = blocked(purge(machine))
    assert said in why[ORIGINAL]
    assert "tape: its folder is not there" in why[ORIGINAL]
    assert (storage / ORIGINAL).exists()
    assert (storage / XMP).exists()


def test_a_waiver_names_its_file(machine: Machine, storage: Path, backup: Path) -> None:
    """What cannot be proven goes on a person's written word for that very file, which is kept."""
    (backup / "INBOX/day/a.xmp").unlink()
    assert set(blocked(purge(machine))) == {XMP}
    for wrong in (["--waive", XMP], ["--because", "x"], ["--waive", "a.xmp", "--because", "x"]):
        assert purge(machine, *wrong).code in (1, 2)
        assert (storage / XMP).exists()
    done = purge(machine, "--waive", XMP, "--because", "the editor has its own")
    assert done.code == 0, done.errors
    (result,) = done.document["results"]
    certificate = machine.run("purge", "certificate", result["uuid"], "--json").document
    waivers = {f["path"]: f["waiver"] for f in certificate["files"] if f["waiver"]}
    assert waivers[XMP]["reason"] == "the editor has its own"
    assert set(waivers) == {XMP}


def test_a_file_that_rotted(machine: Machine, storage: Path, backup: Path) -> None:
    """Its content is not what it was, size and time are: nothing goes, the copy may be the good one."""
    assert machine.run("verify", ORIGINAL).code == 0
    original = storage / ORIGINAL
    seen = original.stat()
    content = bytearray(original.read_bytes())
    content[100_000] ^= 1  # beyond the blocks that a quick fingerprint reads
    original.write_bytes(content)
    os.utime(original, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert "its content is no longer what it was" in blocked(purge(machine))[ORIGINAL]
    waived = purge(machine, "--waive", ORIGINAL, "--because", "I do not mind")
    assert "may be the good one" in blocked(waived)[ORIGINAL]
    assert original.exists()


DIES = """
import os, sys
from retaia_adapters.files import removal

left, whole = int(sys.argv[1]), removal.remove


def cut(disk, place, seen):
    global left
    if left == 0:
        os._exit(9)
    left -= 1
    return whole(disk, place, seen)


removal.remove = cut
from retaia_adapters.cli.app import run

sys.exit(run(sys.argv[2:]))
"""


@pytest.mark.faults
@pytest.mark.parametrize("copies_stay", [True, False])
def test_killed_in_the_middle(
    machine: Machine, storage: Path, backup: Path, *, copies_stay: bool
) -> None:
    """The next start finishes only what is still proven; else the rest stays, and says why."""
    command = [sys.executable, "-c", DIES, "1", "purge", ORIGINAL, "--yes"]
    died = subprocess.run(
        command, env=machine.environment, cwd=machine.home, check=False, timeout=120
    )
    assert died.returncode == 9
    assert ((storage / ORIGINAL).exists(), (storage / XMP).exists()) == (False, True)
    if not copies_stay:
        (backup / "INBOX/day/a.xmp").write_text("<other/>")
    assert machine.up(storage).code == 0
    assert (storage / XMP).exists() is not copies_stay
    if not copies_stay:
        why = machine.run("why", XMP, "--json").document
        assert "gone or was touched" in str(why)
        again = purge(machine, "--waive", XMP, "--because", "it is made anew")
        assert again.code == 0, again.errors
        assert not (storage / XMP).exists()


def answered(machine: Machine, words: str, *arguments: str) -> tuple[int, str]:
    """A command on a terminal, where a person types these words at its first question."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        machine.command(*arguments), env=_terminal(machine.environment), cwd=machine.home,
        stdin=follower, stdout=follower, stderr=follower, close_fds=True,
    )  # fmt: skip
    os.close(follower)
    said, typed = "", False
    while select.select([leader], [], [], 120)[0]:
        try:
            said += os.read(leader, 4096).decode()
        except OSError:  # the other end is closed
            break
        if not typed and "for good: " in said:
            os.write(leader, f"{words}\n".encode())
            typed = True
    os.close(leader)
    return process.wait(120), said


def _terminal(environment: Mapping[str, str]) -> dict[str, str]:
    return {**environment, "TERM": "dumb", "COLUMNS": "200"}


def test_many_by_date_and_typed_word(machine: Machine, storage: Path) -> None:
    """All that was rejected before a day is shown; only the exact words delete it."""
    none = machine.run("purge", "--rejected-before", "2020-01-01", "--json", "--yes")
    assert (none.code, none.document["results"]) == (0, [])
    assert machine.run("purge", "--rejected-before", "soon", "--yes").code == 2
    for wrong in ("yes", "delete 1", ""):
        code, said = answered(machine, wrong, "purge", "--rejected-before", "2099-01-01")
        assert code == 0
        assert "Type 'delete 2' to delete them for good" in said
        assert "nothing was deleted" in said
        assert (storage / ORIGINAL).exists()
    code, said = answered(machine, "delete 2", "purge", "--rejected-before", "2099-01-01")
    assert (code, "purged" in said) == (0, True), said
    assert not [p for p in (storage / "REJECTS").rglob("*") if p.is_file()]


def test_the_policy_shows_what_comes(machine: Machine) -> None:
    """When it would be, whether it is on or off; nothing is deleted."""
    shown = machine.run("purge", "policy", "--json")
    assert (shown.code, shown.document["policy"]) == (0, "off")
    assert [one["path"] for one in shown.document["coming"]] == [ORIGINAL, "REJECTS/day/b.jpg"]


def test_doctor_looks_at_the_places(sqlite_machine: Machine, tmp_path: Path) -> None:
    """A place that is not there, and proof that nothing could ever give, are warned of."""
    required = {**sqlite_machine.variables, "RETAIA_PURGE_REQUIRE_PROOF": "copy"}
    places = {**required, "RETAIA_PURGE_COPIES": f"nas={tmp_path},tape={tmp_path}/no"}
    found = [
        {f["what"]: f["level"] for f in machine.run("doctor", "--json").document["findings"]}
        for machine in (
            evolve(sqlite_machine, variables=required), evolve(sqlite_machine, variables=places),
        )
    ]  # fmt: skip
    assert found[0]["other copies"] == "warning"
    assert (found[1]["other copies in nas"], found[1]["other copies in tape"]) == ("ok", "warning")
