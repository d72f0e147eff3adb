"""The example plugin as a stranger: its own distribution, in an environment that is not ours."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from PIL import Image
from retaia_tests import components
from retaia_tests.machine import Machine
from retaia_tests.trees import tree

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "retaia-histogram"
SIZE = (32, 24)


@frozen(kw_only=True)
class Stranger(Machine):
    """A machine where Retaia and the plugin were installed, and nothing else."""

    venv: Path

    def command(self, *arguments: str) -> list[str]:
        return [str(self.venv / "bin" / "retaia"), *arguments]


def pip(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=600, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def need_index(folder: Path) -> None:
    """End the test where no package index answers."""
    if pip("download", "--no-deps", "--dest", folder, "attrs").returncode:
        components.absent("index", "pip reaches no package index")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    """Wheels of Retaia and of the example, installed with what they need into a new environment."""
    folder = tmp_path_factory.mktemp("stranger")
    need_index(folder / "probe")
    wheels, venv = folder / "wheels", folder / "venv"
    built = pip("wheel", "--no-deps", "--no-build-isolation", "-w", wheels, ROOT, EXAMPLE)
    assert built.returncode == 0, built.stderr
    [retaia] = wheels.glob("retaia-*.whl")
    [example] = wheels.glob("retaia_histogram-*.whl")
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, timeout=120
    )
    installed = pip("--python", venv, "install", f"{retaia}[cli,http,media,sql]", example)
    assert installed.returncode == 0, installed.stderr
    (folder / "home").mkdir()
    return Stranger(home=folder / "home", venv=venv)


def changed_files(venv: Path) -> list[str]:
    """The installed files of Retaia that are not what its wheel had."""
    [site] = venv.glob("lib/python*/site-packages")
    [record] = site.glob("retaia-*.dist-info/RECORD")
    wrong = []
    for name, digest, _ in csv.reader(record.read_text().splitlines()):
        if digest:
            found = hashlib.sha256((site / name).read_bytes()).digest()
            said = base64.urlsafe_b64encode(found).rstrip(b"=").decode()
            wrong += [] if digest == f"sha256={said}" else [name]
    return wrong


def photos(folder: Path) -> Path:
    """A storage to be, with two photos."""
    inbox = folder / "INBOX"
    inbox.mkdir(parents=True)
    Image.linear_gradient("L").resize(SIZE).save(inbox / "a.jpg")
    Image.new("RGB", SIZE, (10, 80, 160)).save(inbox / "b.jpg")
    return folder


def histograms(storage: Path, asset: dict[str, Any]) -> list[list[int]]:
    """The counts of an asset's histograms."""
    paths = [ref["path"] for ref in asset["derived"] if ref["kind"] == "histogram"]
    return [json.loads((storage / path).read_text())["counts"] for path in paths]


class TestExamplePlugin:
    def test_doctor_names_it(self, stranger: Stranger) -> None:
        """The plugin and its processor are found by being installed."""
        answer = stranger.run("doctor", "--json")
        found = {f["what"]: f for f in answer.document["findings"]}
        assert found["plugin histogram"]["level"] == "ok"
        assert found["processor histogram"]["text"] == "photo.histogram@1"

    def test_its_job_runs_beside_ours(self, stranger: Stranger, tmp_path: Path) -> None:
        """The photo that got the profile has a histogram, the other has none, and nothing of ours changed."""
        storage = photos(tmp_path / "storage")
        before = tree(storage)
        assert stranger.run("storage", "adopt", str(storage)).code == 0
        for _ in range(2):
            assert stranger.run("scan", "--quiet-period", "0").code == 0
        chosen = stranger.run("profile", "photo_histogram", "INBOX/a.jpg")
        assert chosen.code == 0, chosen.errors
        answer = stranger.up(storage)
        assert answer.code == 0, answer.errors
        assets = {asset["path"]: asset for asset in answer.document["assets"]}
        assert {a["state"] for a in assets.values()} == {"DECISION_PENDING"}
        assert assets["INBOX/a.jpg"]["jobs"]["make_histogram"] == "completed"
        [counts] = histograms(storage, assets["INBOX/a.jpg"])
        assert len(counts) == 256
        assert sum(counts) == SIZE[0] * SIZE[1]
        assert "make_histogram" not in assets["INBOX/b.jpg"]["jobs"]
        assert histograms(storage, assets["INBOX/b.jpg"]) == []
        assert tree(storage) == before
        assert changed_files(stranger.venv) == []
