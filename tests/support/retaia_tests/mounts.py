"""Small filesystems that a test mounts: each has its own device, its own room, and can be taken away."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import components


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)


@contextmanager
def filesystem(place: Path, *, kilobytes: int = 16 * 1024) -> Iterator[Path]:
    """A filesystem of its own at a folder, empty; ends the test where this machine may not mount."""
    if sys.platform != "linux" or os.geteuid() != 0:
        components.absent("mounts", "mounting needs Linux and root")
    place.mkdir(parents=True, exist_ok=True)
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "retaia-test", os.fspath(place))
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        components.absent("mounts", f"a filesystem cannot be mounted: {said}")
    try:
        yield place
    finally:
        while place.is_mount():
            take_away(place)


def take_away(place: Path) -> None:
    """Unmount it at once, whoever uses it."""
    _run("umount", "-l", os.fspath(place))


def show(disk: Path, place: Path) -> None:
    """Let a filesystem be seen at another folder too, from where it can be taken away and come back."""
    place.mkdir(parents=True, exist_ok=True)
    _run("mount", "--bind", os.fspath(disk), os.fspath(place))


def remount(place: Path, option: str) -> None:
    """Make a filesystem read-only (``ro``) or writable (``rw``)."""
    _run("mount", "-o", f"remount,{option}", os.fspath(place))
