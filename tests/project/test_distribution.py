"""What is installed is what the project says it is."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from email import message_from_bytes
from email.message import Message
from importlib.metadata import distribution, version
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("retaia_adapters", "retaia_agent", "retaia_core")


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    """The table `project` of pyproject.toml."""
    table: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """The wheel, built from this checkout without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return ZipFile(built)


@pytest.fixture(scope="module")
def metadata(wheel: ZipFile) -> Message:
    """The wheel's metadata."""
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return message_from_bytes(wheel.read(name))


def test_the_installed_version_is_the_projects(project: dict[str, object]) -> None:
    """The metadata that code asks for its version says what pyproject.toml says."""
    assert version("retaia") == project["version"]


def test_the_changelog_knows_the_version(project: dict[str, object]) -> None:
    """A released version has its heading; work towards one is under Unreleased."""
    headings = [
        line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")
    ]
    assert any(str(project["version"]) in line or line == "## Unreleased" for line in headings)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_typed(wheel: ZipFile, package: str) -> None:
    """Type checkers of users read our annotations."""
    assert f"{package}/py.typed" in wheel.namelist()


def test_the_wheel_has_every_source_file_and_no_other(wheel: ZipFile) -> None:
    """Scripts, schemas and templates travel with the code; tests and documentation do not."""
    inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    sources = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    assert inside == sources


def test_the_wheel_has_licence_and_notice(wheel: ZipFile) -> None:
    """Apache-2.0 asks for both to travel with the work."""
    names = [name for name in wheel.namelist() if ".dist-info/licenses/" in name]
    assert {Path(name).name for name in names} == {"LICENSE", "NOTICE"}


def test_the_plain_install_is_light(metadata: Message) -> None:
    """Without an extra, four libraries are all that is asked for."""
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert sorted(line.split(">")[0] for line in required) == ["anyio", "attrs", "cattrs", "pluggy"]


def test_every_built_in_plugin_loads() -> None:
    """Each entry point of ours names something that is there."""
    points = [p for p in distribution("retaia").entry_points if p.group == "retaia"]
    assert points
    broken = {point.name: error for point in points if (error := _load_error(point))}
    assert broken == {}


def _load_error(point: object) -> str:
    try:
        point.load()  # type: ignore[attr-defined]
    except Exception as error:  # noqa: BLE001 - reported in the assertion
        return repr(error)
    return ""
