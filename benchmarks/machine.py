"""The machine that measures: what it is, and whether it has anything else to do."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from attrs import frozen

LIBRARIES = (
    "anyio", "asyncpg", "attrs", "av", "httpx", "msgspec", "numpy", "pgqueuer", "pillow",
    "procrastinate", "psycopg", "retaia", "sqlalchemy", "starlette", "uvicorn", "uvloop",
)  # fmt: skip
_MOST_BUSY = 0.1
_LOOK_S = 2.0


@frozen(kw_only=True)
class Machine:
    """What the figures depend on. Memory in GiB."""

    cores: int
    processor: str
    memory: float
    system: str
    python: str
    versions: Mapping[str, str]


@frozen(kw_only=True)
class Load:
    """How busy the machine was just before a benchmark.

    ``average`` is the load average of the last minute, which still holds what was measured before;
    ``busy`` is the share (0 to 1) of all cores that others used during two seconds in which nothing of
    ours ran (None where the system does not tell).
    """

    average: float
    busy: float | None

    @property
    def quiet(self) -> bool:
        """Whether figures by the clock can be believed."""
        return self.busy is not None and self.busy <= _MOST_BUSY

    def __str__(self) -> str:
        busy = "unknown" if self.busy is None else f"{self.busy:.0%} of the cores in use"
        return f"load average {self.average:.1f}, {busy}"


def machine() -> Machine:
    """Describe this machine, without its name."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        cores=len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
        processor=_processor(),
        memory=round(pages / 2**30, 1),
        system=f"{platform.system()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        versions={**_programs(), **_libraries()},
    )


def load() -> Load:
    """Look for a moment at what others do."""
    before = _ticks()
    time.sleep(_LOOK_S)
    after = _ticks()
    busy = None
    if before and after and after[1] > before[1]:
        busy = round((after[0] - before[0]) / (after[1] - before[1]), 3)
    return Load(average=round(os.getloadavg()[0], 2), busy=busy)


def _ticks() -> tuple[int, int] | None:
    """Busy and all ticks of all cores since the start, on Linux."""
    try:
        first = Path("/proc/stat").read_text().splitlines()[0]
    except OSError:
        return None
    user, nice, system, idle, iowait, *rest = map(int, first.split()[1:9])
    busy = user + nice + system + sum(rest)
    return busy, busy + idle + iowait


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")


def _libraries() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _programs() -> dict[str, str]:
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_release)
    postgres = shutil.which("postgres") or next(map(str, reversed(places)), None)
    return {
        "ffmpeg": _version_of(shutil.which("ffmpeg"), "-version"),
        "PostgreSQL": _version_of(postgres, "--version"),
        "SQLite": sqlite3.sqlite_version,
    }


def _release(program: Path) -> int:
    return int(program.parts[-3].partition(".")[0])


def _version_of(program: str | None, option: str) -> str:
    if program is None:
        return "not installed"
    said = subprocess.run([program, option], check=True, capture_output=True, text=True).stdout
    found = re.search(r"\d[\w.+-]*", said)
    return found.group() if found else "unknown"
