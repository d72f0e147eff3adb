"""Moving one file so that nothing is ever replaced, and nothing lost at any point.

On one filesystem that is a rename (`renaming`); across filesystems a copy that is proven before the
source goes (`crossing`). `settle` finishes what a crash left with both names.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat

from retaia_core.domain.moves import same_name
from retaia_core.ports.originals import Moved, MoveRefused, Progress, no_progress

from . import crossing, fsio
from .crossing import Step, Watch, unwatched
from .disk import Disk, Stat
from .renaming import is_one_file, rename_without_replacing


def move(
    disk: Disk,
    source: str,
    target: str,
    *,
    watch: Watch = unwatched,
    progress: Progress = no_progress,
) -> Moved:
    """Move a regular file to a path where nothing stands; both are absolute. Folders are made.

    Within one filesystem the new name is durable when the folders were synced, which is the caller's.

    Raises:
        MoveRefused: the target is taken, the source is not there, or nothing could be done; nothing
            was changed.
        OSError: it failed in the middle; what stands on disk is to be looked at.
    """
    before = _movable(disk, source)
    if source == target:
        raise MoveRefused("the target is the source")
    _make_target_folder(disk, os.path.dirname(target))
    try:
        _rename(disk, source, target, before)
    except OSError as error:
        if error.errno == errno.EXDEV:
            return crossing.move_across(disk, source, target, watch=watch, progress=progress)
        raise _refusal(error) from error
    watch(Step.DONE)
    return Moved()


def _rename(disk: Disk, source: str, target: str, before: Stat) -> None:
    try:
        rename_without_replacing(disk, source, target)
    except (FileExistsError, FileNotFoundError) as error:
        if _arrived(disk, source, target, before):
            return
        if not isinstance(error, FileExistsError):
            raise
        if not _spelling_only(disk, source, target):
            raise MoveRefused("the target is taken") from error
        _respell(disk, source, target)


def _arrived(disk: Disk, source: str, target: str, before: Stat) -> bool:
    """Whether a rename was done that a file server, asked again, would not own up to."""
    if fsio.is_taken(disk, source) or not fsio.is_taken(disk, target):
        return False
    now = disk.lstat(target)
    same = (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    return same and fsio.is_same(now, before)


def _movable(disk: Disk, source: str) -> Stat:
    try:
        found = disk.lstat(source)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MoveRefused("the source is not there") from error
    if stat.S_ISLNK(found.st_mode):
        raise MoveRefused("the source is a link; a link is never moved")
    if not stat.S_ISREG(found.st_mode):
        raise MoveRefused("the source is not a regular file")
    return found


def _is_one_folder(disk: Disk, source: str, target: str) -> bool:
    return fsio.is_same(disk.stat(os.path.dirname(source)), disk.stat(os.path.dirname(target)))


def _spelling_only(disk: Disk, source: str, target: str) -> bool:
    """Whether two names are one directory entry, told apart by nothing but their spelling."""
    old, new = os.path.basename(source), os.path.basename(target)
    if old == new or same_name(old) != same_name(new) or not is_one_file(disk, source, target):
        return False
    return _is_one_folder(disk, source, target) and not _are_two_entries(disk, source, target)


def _are_two_entries(disk: Disk, source: str, target: str) -> bool:
    """Whether two paths are two names, of whatever: to remove one leaves the other.

    One folder can be reached by two paths (a mount, a link), and two spellings be one name.
    """
    if not _is_one_folder(disk, source, target):
        return True
    names = {os.path.basename(source), os.path.basename(target)}
    return len(names & set(disk.listdir(os.path.dirname(target)))) == 2


def _respell(disk: Disk, source: str, target: str) -> None:
    """Change only the case of a name, where the filesystem takes both for one."""
    disk.replace(source, target)
    if os.path.basename(target) not in disk.listdir(os.path.dirname(target)):
        raise MoveRefused("this filesystem does not change the case of a name")


def settle(disk: Disk, source: str, target: str) -> None:
    """Remove the source of a move that was interrupted after its target was published.

    Raises:
        MoveRefused: one of them is not there or no regular file, they differ, or both are one name;
            nothing was changed.
        OSError: they could not be compared, or the source could not be removed.
    """
    before = _movable(disk, source)
    _movable(disk, target)
    if not _are_two_entries(disk, source, target):
        raise MoveRefused("source and target are one and the same name")
    # Durable first, compared then: what is compared is what stays, whatever the disk forgets.
    fsio.sync_file(disk, target)
    fsio.sync_folder(disk, os.path.dirname(target))
    two_names = is_one_file(disk, source, target) and before.st_nlink > 1
    if not two_names and _digest(disk, source) != _digest(disk, target):
        raise MoveRefused("source and target are both there, and differ")
    fsio.remove_if_there(disk, source)
    fsio.sync_folder(disk, os.path.dirname(source))
    crossing.clear(disk, source, target)


def _digest(disk: Disk, path: str) -> bytes:
    """The digest of what the disk, rather than memory, holds of a file."""
    digest = hashlib.sha256()
    with fsio.reading(disk, path) as handle:
        with contextlib.suppress(OSError):
            disk.drop_cache(handle, 0, 0)
        for block in fsio.blocks(disk, handle):
            digest.update(block)
    return digest.digest()


def _make_target_folder(disk: Disk, folder: str) -> None:
    try:
        fsio.make_folders(disk, folder)
    except OSError as error:
        if error.errno in fsio.WHOLE_DISK:
            raise
        raise MoveRefused(f"the target's folder cannot be made: {fsio.said(error)}") from error


def _refusal(error: OSError) -> Exception:
    """Nothing was changed, unless the disk went away while it was asked."""
    return error if error.errno in fsio.WHOLE_DISK else MoveRefused(fsio.said(error))
