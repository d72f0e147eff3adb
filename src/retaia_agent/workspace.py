"""Folders for results: one for each run of an agent, one in it for each bundle, all of them temporary."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_RUN = "run-"
_LOCK = ".lock"
_GUARD = "guard.lock"


@contextmanager
def run_folder(workspace: Path) -> Iterator[Path]:
    """Give a run of an agent a folder of its own (0700), and remove what crashed runs left behind.

    A lock file beside the folder tells a run that lives from one that crashed, so that several agents
    may share a workspace.

    Raises:
        OSError: the workspace cannot be written to.
    """
    workspace.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(workspace / _GUARD):
        _remove_left_overs(workspace)
        folder = Path(tempfile.mkdtemp(prefix=_RUN, dir=workspace))
        lock = _open_lock(_lock_of(folder))
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _lock_of(folder).unlink(missing_ok=True)
        os.close(lock)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + _LOCK)


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for the guard of the workspace: starts of agents go one after another."""
    lock = _open_lock(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _remove_left_overs(workspace: Path) -> None:
    for folder in workspace.glob(f"{_RUN}*"):
        if folder.is_dir():
            _remove_if_left(folder)


def _remove_if_left(folder: Path) -> None:
    lock = _open_lock(_lock_of(folder))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(folder, ignore_errors=True)
        _lock_of(folder).unlink(missing_ok=True)
    finally:
        os.close(lock)


@contextmanager
def bundle_folder(run: Path) -> Iterator[Path]:
    """Give a bundle an empty folder (0700), removed afterwards with all that is in it.

    Raises:
        OSError: the disk is full, say.
    """
    folder = Path(tempfile.mkdtemp(prefix="bundle-", dir=run))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def output_problem(path: Path, folder: Path) -> str | None:
    """Say why a file that a processor names is none of its results; None where it is one."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return f"{path.name!r} is not there"
    if path.is_symlink() or not real.is_relative_to(folder.resolve()):
        return f"{path.name!r} does not lie in the workspace"
    if not real.is_file():
        return f"{path.name!r} is no regular file"
    return None
