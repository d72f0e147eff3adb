"""The marker file ``.retaia``: reading it, and adopting a folder (domain.md, *Assets*)."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from retaia_core.domain.discovery import skip_reason
from retaia_core.domain.identifiers import StorageId
from retaia_core.domain.media import extension_of
from retaia_core.domain.storage import (
    MARKER_NAME,
    Layout,
    Marker,
    parse_marker,
    render_marker,
)
from retaia_core.errors import StateConflict, Unavailable, ValidationFailed
from retaia_core.ports.originals import FolderFound

from . import fsio
from .disk import REAL, Disk
from .renaming import rename_without_replacing

MARKER_LIMIT = 64 * 1024
"""A marker is a few hundred bytes; more than this is something else."""

EXAMPLES = 5


def read_marker(root: Path, disk: Disk = REAL) -> Marker | None:
    """Read the marker of a folder; None where there is none.

    Raises:
        ValidationFailed: something else has its name, or its content is no marker.
        OSError: it cannot be read.
    """
    path = os.path.join(root, MARKER_NAME)
    if fsio.is_link(disk, path) or fsio.is_folder(disk, path):
        raise ValidationFailed(f"{MARKER_NAME} is not a regular file", field="marker")
    try:
        with fsio.reading(disk, path) as handle:
            content = disk.read(handle, MARKER_LIMIT + 1)
    except FileNotFoundError:
        return None
    if len(content) > MARKER_LIMIT:
        raise ValidationFailed("it is too large to be a marker", field="marker")
    return parse_marker(content)


def marker_problem(root: Path, storage_id: StorageId | None, disk: Disk = REAL) -> str | None:
    """Why a folder cannot be trusted to be a storage (any, where no id is given); None where it can."""
    try:
        marker = read_marker(root, disk)
    except ValidationFailed as error:
        return f"its marker {MARKER_NAME} is invalid: {error.message}"
    except OSError as error:
        return f"its marker {MARKER_NAME} cannot be read: {fsio.said(error)}"
    if marker is None:
        return f"its marker {MARKER_NAME} is not there; is the disk or share mounted?"
    if storage_id is not None and marker.storage_id != storage_id:
        return f"its marker {MARKER_NAME} is of another storage, {marker.storage_id!r}"
    return None


def write_marker(root: Path, marker: Marker, disk: Disk = REAL) -> None:
    """Write a marker whole and durable, or not at all.

    Raises:
        FileExistsError: something has that name already.
    """
    temporary = os.path.join(root, f"{MARKER_NAME}.{disk.token_hex(6)}.part")
    with fsio.writing_new(disk, temporary, mode=0o644) as handle:
        fsio.write_whole(disk, handle, render_marker(marker))
        disk.fsync(handle)
    try:
        rename_without_replacing(disk, temporary, os.path.join(root, MARKER_NAME))
    except BaseException:
        fsio.remove_if_there(disk, temporary)
        raise
    fsio.sync_folder(disk, os.fspath(root))


def adopt(root: Path, layout: Layout, storage_id: StorageId, disk: Disk = REAL) -> Marker:
    """Make a folder a storage: create the folders of its layout, then write its marker.

    Nothing is ever moved. Adopting again with the same id and layout changes nothing.

    Raises:
        StateConflict: another marker (or one that is invalid) is there, the folder lies inside a
            storage, or something else than a folder has a name of the layout.
        Unavailable: the folder cannot be written to.
    """
    root = Path(disk.realpath(os.fspath(root)))
    wanted = Marker(storage_id=storage_id, layout=layout)
    try:
        known = _adopted_already(root, wanted, disk)
        if not known:
            _refuse_inside_another(root, disk)
        _make_layout(root, layout, disk)
        if not known:
            write_marker(root, wanted, disk)
    except FileExistsError as error:
        raise StateConflict("another program adopted the folder just now; look again") from error
    except OSError as error:
        raise Unavailable(f"the folder cannot be adopted: {fsio.said(error)}") from error
    return wanted


def _adopted_already(root: Path, wanted: Marker, disk: Disk) -> bool:
    try:
        found = read_marker(root, disk)
    except ValidationFailed as error:
        raise StateConflict(
            f"{MARKER_NAME} is there and is no valid marker ({error.message}); "
            "look at it and move it away by hand if it is nobody's"
        ) from error
    if found is None or found == wanted:
        return found is not None
    raise StateConflict(
        f"the folder is adopted already, as storage {found.storage_id!r}; open it under that id",
        storage_id=found.storage_id,
    )


def _refuse_inside_another(root: Path, disk: Disk) -> None:
    for parent in root.parents:
        try:
            outer = read_marker(parent, disk)
        except (ValidationFailed, OSError):
            continue  # No valid marker there: no storage.
        if outer is not None:
            raise StateConflict(
                f"the folder lies inside the storage {outer.storage_id!r}; one file would have two "
                "homes. Adopt a folder outside of it",
                storage_id=outer.storage_id,
            )


def _make_layout(root: Path, layout: Layout, disk: Disk) -> None:
    tops = [top for top in (layout.inbox, layout.archive, layout.rejects) if top != "."]
    for top in tops:
        at = root
        for part in top.split("/"):
            at /= part
            if not _is_or_can_be_folder(disk, os.fspath(at)):
                raise StateConflict(f"{top!r} must be a folder, and something else has its name")
    for top in tops:
        fsio.make_folders(disk, os.path.join(root, top))


def _is_or_can_be_folder(disk: Disk, path: str) -> bool:
    if fsio.is_link(disk, path):
        return False
    found = fsio.look(disk, path)
    return found is None or stat.S_ISDIR(found.st_mode)


def survey(folder: Path, media_extensions: Collection[str], disk: Disk = REAL) -> FolderFound:
    """Look at a folder that nobody adopted: what a person is told before they decide.

    ``media_extensions`` are lower case, without the dot. Hidden files are not counted, links are not
    followed, sub-folders that cannot be read are left out. ``problem`` is why a marker cannot be used.

    Raises:
        ValidationFailed: there is no such folder, or it cannot be read.
    """
    _require_readable(folder, disk)
    marker, problem = _marker_found(folder, disk)
    files = media = 0
    examples: list[str] = []
    for path in _files_below(os.fspath(folder), disk):
        files += 1
        if extension_of(os.path.basename(path)) in media_extensions:
            media += 1
            if len(examples) < EXAMPLES:
                examples.append(fsio.printable(path))
    return FolderFound(
        files=files,
        media=media,
        has_inbox=fsio.is_folder(disk, os.path.join(folder, Layout().inbox)),
        marker=marker,
        problem=problem,
        examples=tuple(examples),
    )


def _require_readable(folder: Path, disk: Disk) -> None:
    try:
        with disk.scandir(os.fspath(folder)):
            pass
    except OSError as error:
        raise ValidationFailed(
            f"the folder cannot be looked at: {fsio.said(error)}", field="root"
        ) from error


def _marker_found(folder: Path, disk: Disk) -> tuple[Marker | None, str]:
    try:
        return read_marker(folder, disk), ""
    except ValidationFailed as error:
        return None, f"it is invalid: {error.message}"
    except OSError as error:
        return None, f"it cannot be read: {fsio.said(error)}"


def _files_below(root: str, disk: Disk) -> Iterator[str]:
    """The relative paths of all files that are not hidden, folder by folder in order of names."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            with disk.scandir(os.path.join(root, folder)) as entries:
                found = [
                    (os.path.join(folder, entry.name), entry.is_dir(follow_symlinks=False))
                    for entry in entries
                    if not skip_reason(entry.name) and not entry.is_symlink()
                ]
        except OSError:
            continue  # Left out of the count; a scan of the adopted storage names it.
        found.sort(reverse=True)
        waiting.extend(path for path, is_folder in found if is_folder)
        yield from (path for path, is_folder in reversed(found) if not is_folder)
