"""A disk that a test may pull out, fill up or make read-only: a small filesystem, really mounted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import frozen

from . import components

MEGABYTE = 2**20


def _system(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def _must(*command: str) -> None:
    done = _system(*command)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


@frozen(kw_only=True)
class Plug:
    """A disk (``disk``: where it always is) and the folder in which a person sees it (``root``)."""

    disk: Path
    root: Path

    def plug_in(self) -> None:
        """Mount the disk at its folder."""
        _must("mount", "--bind", str(self.disk), str(self.root))

    def pull(self) -> None:
        """Take the disk away at once, whoever uses it; the folder is empty then."""
        _must("umount", "-l", str(self.root))

    @property
    def pull_command(self) -> list[str]:
        """What `pull` runs."""
        return ["umount", "-l", str(self.root)]

    def remount(self, option: str) -> None:
        """Make the mount read-only (``ro``) or writable (``rw``)."""
        _must("mount", "-o", f"remount,bind,{option}", str(self.root))

    def fill(self) -> Path:
        """Write a file until the disk is full, and say which."""
        big = self.disk / "somebody-else.bin"
        with suppress(OSError), big.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(MEGABYTE // 4))
        return big


@contextmanager
def plugged(folder: Path, megabytes: int = 64) -> Iterator[Plug]:
    """A disk of so many megabytes, plugged in; ends the test where this machine may not mount."""
    if sys.platform != "linux" or os.geteuid() != 0:
        components.absent("mounts", "mounting needs Linux and root")
    plug = Plug(disk=folder / "disk", root=folder / "plug")
    plug.disk.mkdir()
    plug.root.mkdir()
    made = _system("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(plug.disk))
    if made.returncode:
        components.absent("mounts", f"a filesystem cannot be mounted: {made.stderr.strip()}")
    try:
        plug.plug_in()
        yield plug
    finally:
        for place in (plug.root, plug.disk):
            while os.path.ismount(place):
                _must("umount", "-l", str(place))
