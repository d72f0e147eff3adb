"""The odd things that people do to a program that guards their footage."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from pathlib import Path

import pytest
from PIL import Image
from retaia_tests.machine import Machine
from retaia_tests.trees import tree

pytestmark = pytest.mark.e2e


def photo(path: Path, shade: int = 128) -> Path:
    """A small picture that differs by its shade."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48), (shade % 256, (shade * 7) % 256, 90)).save(path)
    return path


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A folder with two photos in its inbox."""
    folder = tmp_path / "storage"
    photo(folder / "INBOX" / "a.jpg", 10)
    photo(folder / "INBOX" / "day 1" / "b.jpg", 20)
    return folder


def states(document: dict[str, object]) -> dict[str, str]:
    """The state of each asset of a report, by path."""
    assets = document["assets"]
    assert isinstance(assets, list)
    return {asset["path"]: asset["state"] for asset in assets}


class TestLayouts:
    def test_a_folder_without_an_inbox_is_asked_about(
        self, sqlite_machine: Machine, tmp_path: Path
    ) -> None:
        """Media without an INBOX: the layout is explained and nothing is written; ``--inbox .`` works."""
        folder = tmp_path / "card"
        photo(folder / "DCIM" / "a.jpg")
        asked = sqlite_machine.up(folder)
        assert asked.code == 2
        assert "--inbox ." in asked.errors
        assert sorted(p.name for p in folder.iterdir()) == ["DCIM"]
        photo(folder / "ARCHIVE" / "old.jpg")
        answer = sqlite_machine.up(folder, "--inbox", ".")
        assert answer.code == 0, answer.errors
        assert states(answer.document) == {"DCIM/a.jpg": "DECISION_PENDING"}
        assert sqlite_machine.run("decide", "keep", "DCIM/a.jpg").code == 0
        assert sqlite_machine.run("batch", "apply", "--yes").code == 0
        assert (folder / "ARCHIVE" / "DCIM" / "a.jpg").is_file()
        again = sqlite_machine.up(folder)
        assert states(again.document) == {"ARCHIVE/DCIM/a.jpg": "ARCHIVED"}


class TestLostMounts:
    def test_without_its_marker_nothing_is_touched(
        self, sqlite_machine: Machine, storage: Path
    ) -> None:
        """A lost mount is offline: exit 3, nothing is called missing, and it comes back by itself."""
        assert sqlite_machine.up(storage).code == 0
        marker = (storage / ".retaia").read_bytes()
        hidden = storage.rename(storage.with_name("unplugged"))
        (storage / "INBOX").mkdir(parents=True)
        lost = sqlite_machine.up(storage)
        assert lost.code == 3
        assert lost.document["health"] == "OFFLINE"
        assert "its marker .retaia is not there" in lost.document["health_reason"]
        assert not (storage / ".retaia").exists()
        status = sqlite_machine.run("storage", "status", "--json")
        assert status.code == 3
        assert status.document["storages"][0]["health"] == "OFFLINE"
        listed = sqlite_machine.run("assets", "list", "--json").document["assets"]
        assert [asset["flags"] for asset in listed] == [[], []]
        (storage / "INBOX").rmdir()
        storage.rmdir()
        hidden.rename(storage)
        assert (storage / ".retaia").read_bytes() == marker
        assert sqlite_machine.up(storage).code == 0

    def test_another_storages_marker_is_refused(
        self, sqlite_machine: Machine, storage: Path
    ) -> None:
        """A marker of another storage is not ours: offline, with the reason."""
        assert sqlite_machine.up(storage).code == 0
        marker = json.loads((storage / ".retaia").read_text())
        (storage / ".retaia").write_text(json.dumps(marker | {"storage_id": "somebody-elses"}))
        answer = sqlite_machine.up(storage)
        assert answer.code == 3
        assert "somebody-elses" in answer.errors


class TestStoresAndSettings:
    def test_a_second_server_is_refused(self, sqlite_machine: Machine, storage: Path) -> None:
        """Two servers on one SQLite file: the second says who has it; commands work beside the first."""
        arguments = ("--port", "0", "--scan-interval", "0.5", "--quiet-period", "0")
        with sqlite_machine.start("up", str(storage), *arguments) as server:
            _wait(lambda: (sqlite_machine.home / "data" / "server.json").exists())
            second = sqlite_machine.run("serve", "--port", "0")
            assert second.code == 1
            assert str(server.pid) in second.errors
            _wait(lambda: _pending(sqlite_machine) == 2)
            assert sqlite_machine.run("decide", "keep", "INBOX/a.jpg").code == 0
            assert sqlite_machine.run("batch", "apply", "--yes").code == 0
            server.send_signal(signal.SIGTERM)
            code = server.wait(timeout=60)
        assert code == 0
        assert (storage / "ARCHIVE" / "a.jpg").is_file()
        assert not (sqlite_machine.home / "data" / "server.json").exists()

    def test_a_wrong_setting_is_named(self, sqlite_machine: Machine) -> None:
        """An unknown key and a wrong value are refused with file, key, value and what is allowed."""
        data = sqlite_machine.home / "data"
        data.mkdir()
        (data / "retaia.toml").write_text("[scan]\nintervall = 5\nquiet_period = -1\n")
        answer = sqlite_machine.run("assets", "list")
        assert answer.code == 2
        assert "scan.intervall = 5 is refused; allowed: the keys interval" in answer.errors
        assert "scan.quiet_period = -1" in answer.errors

    def test_a_database_from_a_newer_version_is_left_alone(
        self, sqlite_machine: Machine, storage: Path
    ) -> None:
        """An older program does not touch a newer database; it says so."""
        assert sqlite_machine.up(storage).code == 0
        database = sqlite_machine.home / "data" / "retaia.db"
        with sqlite3.connect(database) as connection:
            connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        connection.close()
        answer = sqlite_machine.run("assets", "list")
        assert answer.code == 1
        assert "newer" in answer.errors


class TestOddNames:
    def test_names_are_data(self, sqlite_machine: Machine, tmp_path: Path) -> None:
        """Emoji, newlines, 255 bytes, case twins: each is an asset; a name that is no text is reported."""
        folder = tmp_path / "storage"
        names = ["🎬 take\n2.jpg", "x" * 251 + ".jpg", "Twin.jpg", "tWin.jpg", "a\u202egpj.jpg"]
        for number, name in enumerate(names):
            photo(folder / "INBOX" / name, number * 9)
        bad = os.fsencode(folder / "INBOX") + b"/bad\xff.jpg"
        photo(folder / "INBOX" / "bad.jpg", 99).rename(os.fsdecode(bad))
        (folder / "INBOX" / "empty.mp4").touch()
        (folder / "INBOX" / "text.mov").write_text("this is no film")
        answer = sqlite_machine.up(folder)
        assert answer.code == 0, answer.errors
        found = states(answer.document)
        assert {found[f"INBOX/{name}"] for name in names} == {"DECISION_PENDING"}
        assert found["INBOX/text.mov"] == "READY"
        skipped = answer.document["scan"]["skipped"]
        assert skipped["INBOX/empty.mp4"] == "empty_file"
        assert "name_is_no_valid_text" in skipped.values()
        for name in names:
            assert sqlite_machine.run("decide", "keep", f"INBOX/{name}").code == 0
        applied = sqlite_machine.run("batch", "apply", "--yes", "--json")
        assert applied.code == 0, applied.errors
        kept = {p.name for p in (folder / "ARCHIVE").iterdir()}
        assert {"🎬 take\n2.jpg", "x" * 251 + ".jpg", "a\u202egpj.jpg"} <= kept
        # The twins differ by case alone: on a careful file server they are one name, so one is renamed.
        assert len([name for name in kept if name.lower().startswith("twin")]) == 2
        assert len({name.casefold() for name in kept}) == len(kept) == 5

    def test_a_file_that_is_still_copied_waits(
        self, sqlite_machine: Machine, storage: Path
    ) -> None:
        """A file that grows is not processed before it is whole."""
        source = photo(storage / "big.png", 77)
        content = source.read_bytes()
        source.unlink()
        target = storage / "INBOX" / "copied.png"
        target.write_bytes(content[:50])
        arguments = ("--until-idle", "--json", "--quiet-period", "2", "--scan-interval", "0.3")
        with sqlite_machine.start("up", str(storage), *arguments) as server:
            for end in range(60, len(content), max(1, len(content) // 20)):
                time.sleep(0.2)
                with target.open("ab") as file:
                    file.write(content[target.stat().st_size : end])
            with target.open("ab") as file:
                file.write(content[target.stat().st_size :])
            output, errors = server.communicate(timeout=120)
        assert server.returncode == 0, errors
        document = json.loads(output)
        assert states(document)["INBOX/copied.png"] == "DECISION_PENDING"
        asset = next(a for a in document["assets"] if a["path"] == "INBOX/copied.png")
        assert asset["problems"] == []


class TestCrashes:
    def test_a_killed_program_goes_on_where_it_was(self, machine: Machine, tmp_path: Path) -> None:
        """Kill -9 in the middle of the work: the next run finishes it, with nothing half-made."""
        folder = tmp_path / "storage"
        for number in range(12):
            photo(folder / "INBOX" / f"{number:02}.jpg", number * 5)
        before = tree(folder)
        arguments = ("--quiet-period", "0", "--scan-interval", "0.3", "--port", "0")
        with machine.start("up", str(folder), *arguments) as victim:
            _wait(lambda: any((folder / ".derived").rglob("thumb-*")))
            victim.kill()
            victim.wait(timeout=10)
        assert tree(folder) == before
        answer = machine.up(folder)
        assert answer.code == 0, answer.errors
        assert set(states(answer.document).values()) == {"DECISION_PENDING"}
        refs = {ref["path"] for asset in answer.document["assets"] for ref in asset["derived"]}
        assert all((folder / ref).stat().st_size for ref in refs)

    def test_a_killed_batch_is_finished(self, machine: Machine, tmp_path: Path) -> None:
        """Kill -9 in the middle of a batch: after the next start every asset moved, each file once."""
        folder = tmp_path / "storage"
        for number in range(40):
            photo(folder / "INBOX" / f"{number:02}.jpg", number * 5)
        before = {path.rpartition("/")[2]: file for path, file in tree(folder).items()}
        answer = machine.up(folder)
        names = sorted(states(answer.document))
        assert machine.run("decide", "keep", *names).code == 0
        with machine.start("batch", "apply", "--yes") as victim:
            _wait(lambda: any((folder / "ARCHIVE").iterdir()))
            victim.kill()
            victim.wait(timeout=10)
        again = machine.up(folder)
        assert again.code == 0, again.errors
        assert set(states(again.document).values()) == {"ARCHIVED"}
        assert tree(folder) == {f"ARCHIVE/{name}": file for name, file in before.items()}


def _pending(machine: Machine) -> int:
    listed = machine.run("assets", "list", "--state", "DECISION_PENDING", "--json")
    return len(listed.document["assets"])


def _wait(condition: object, seconds: float = 60) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
