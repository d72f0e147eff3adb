"""The disk that one process sees: the adapter's `Disk` over the simulated tree, with all that fails."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from retaia_adapters.files.disk import DirEntry, Disk, Entries, Stat, Unsupported

from .filesystem import FILE, FOLDER, Look, Node, fail

if TYPE_CHECKING:
    from .world import Process, World

LOOK = (errno.EIO, errno.ESTALE, errno.EACCES, errno.ETIMEDOUT)
CHANGE = (errno.EIO, errno.ENOSPC, errno.EACCES, errno.ESTALE, errno.EROFS)
REMOVE = (errno.EIO, errno.EACCES, errno.ESTALE, errno.EROFS)
READ = (errno.EIO, errno.ESTALE)
WRITE = (errno.ENOSPC, errno.EIO)
SYNC = (errno.EIO, errno.ENOSPC)


class _Handle:
    __slots__ = ("at", "generation", "node", "path")

    def __init__(self, node: Node, path: str) -> None:
        self.node = node
        self.path = path
        self.at = 0
        self.generation = node.device.generation


class _Entry:
    """One name of a folder that is read."""

    def __init__(self, name: str, node: Node) -> None:
        self.name = name
        self._node = node

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return self._node.kind == FOLDER

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return self._node.kind == FILE

    def is_symlink(self) -> bool:
        return False

    def stat(self, *, follow_symlinks: bool = True) -> Stat:
        return Look(self._node)


class SimulatedDisk(Disk):
    """Every call of a process, which may fail, hang, be done although it says otherwise, or be the last."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._tree = world.tree
        self._process = process
        self._handles: dict[int, _Handle] = {}
        self._next = 3
        self._looks: dict[str, int] = {}

    def _enter(self, call: str, path: str, before: tuple[int, ...], after: bool = False) -> int:
        """Let happen what happens at a call; the error that is told after it was done, or 0."""
        code = self._world.at_call(self._process, call, path, before, after)
        self._world.reachable(path)
        return code

    def _changing(self, call: str, path: str, before: tuple[int, ...] = CHANGE) -> int:
        code = self._enter(call, path, before, after=True)
        if self._world.read_only:
            raise fail(errno.EROFS)
        return code

    def _done(self, code: int) -> None:
        if code:
            raise fail(code)

    # Looking

    def lstat(self, path: str, /) -> Stat:
        self._enter("stat", path, LOOK)
        self._looks[path] = self._world.steps
        return Look(self._tree.find(path))

    stat = lstat

    def fstat(self, handle: int, /) -> Stat:
        return Look(self._open(handle).node)

    def listdir(self, folder: str, /) -> list[str]:
        self._enter("listdir", folder, LOOK)
        return list(self._folder(folder).entries)

    def _folder(self, path: str) -> Node:
        node = self._tree.find(path)
        if node.kind != FOLDER:
            raise fail(errno.ENOTDIR)
        return node

    def scandir(self, folder: int | str, /) -> Entries:
        if isinstance(folder, int):
            handle = self._open(folder)
            self._enter("scandir", handle.path, LOOK)
            node = handle.node
        else:
            self._enter("scandir", folder, LOOK)
            node = self._folder(folder)
        path = folder if isinstance(folder, str) else self._open(folder).path
        return self._read_folder(path, node)

    @contextlib.contextmanager
    def _read_folder(self, path: str, node: Node) -> Iterator[Iterator[DirEntry]]:
        entries = ((name, self._tree.look(f"{path}/{name}")) for name in list(node.entries))
        yield (_Entry(name, found) for name, found in entries if found is not None)

    def realpath(self, path: str, /) -> str:
        return os.path.normpath(path)

    def free_bytes(self, folder: str, /) -> int | None:
        device = self._folder(folder).device
        return None if device.room is None else max(0, device.room - device.used)

    # Names

    def mkdir(self, path: str, /) -> None:
        code = self._changing("mkdir", path)
        folder, name = self._tree.parent(path)
        if name in folder.entries:
            raise fail(errno.EEXIST)
        folder.device.add(folder, name, folder.device.new(FOLDER, self._tree.tick()))
        self._done(code)

    def rmdir(self, path: str, /) -> None:
        code = self._changing("rmdir", path, REMOVE)
        folder, name = self._tree.parent(path)
        if self._folder(path).entries:
            raise fail(errno.ENOTEMPTY)
        folder.device.drop(folder, name)
        self._done(code)

    def _file(self, path: str) -> Node:
        node = self._tree.find(path)
        if node.kind != FILE:
            raise fail(errno.EISDIR)
        return node

    def _pair(self, source: str, target: str) -> tuple[Node, Node, str]:
        """The source, and the target's folder and name; a rename looks at both folders first."""
        old, _ = self._tree.parent(source)
        folder, name = self._tree.parent(target)
        if folder.device is not old.device:
            raise fail(errno.EXDEV)
        return self._file(source), folder, name

    def link(self, source: str, target: str, /) -> None:
        code = self._changing("link", target)
        node = self._file(source)
        folder, name = self._tree.parent(target)
        if name in folder.entries:
            raise fail(errno.EEXIST)
        if folder.device is not node.device:
            raise fail(errno.EXDEV)
        if not node.device.links:
            raise fail(errno.EPERM)
        self._world.watch.renaming(self._process, source, target, node)
        node.device.add(folder, name, node)
        self._done(code)

    def unlink(self, path: str, /) -> None:
        try:
            code = self._changing("unlink", path, REMOVE)
            node = self._file(path)
        except OSError as error:
            if error.errno != errno.ENOENT:
                self._world.watch.kept_by_force.add(path)
            raise
        self._world.watch.removing(self._process, path, node, self._looks.get(path, 0))
        folder, name = self._tree.parent(path)
        node.device.drop(folder, name)
        self._done(code)

    def replace(self, source: str, target: str, /) -> None:
        code = self._changing("replace", target)
        self._rename(source, target)
        self._done(code)

    def _rename(self, source: str, target: str) -> None:
        node, new, to = self._pair(source, target)
        old, name = self._tree.parent(source)
        standing = new.entries.get(to)
        if standing is node:
            return
        if standing is not None:
            if standing.kind == FOLDER:
                raise fail(errno.EISDIR)
            self._world.watch.replacing(self._process, target, standing)
        self._world.watch.renaming(self._process, source, target, node)
        old.device.rename(old, name, new, to)

    def rename_no_replace(self, source: str, target: str, /) -> None:
        code = self._changing("rename", target)
        node, folder, name = self._pair(source, target)
        if not node.device.renames:
            raise Unsupported("no such rename here")
        if name in folder.entries:
            raise fail(errno.EEXIST)
        self._rename(source, target)
        self._done(code)

    # Content

    def open(self, path: str, flags: int, mode: int = 0o666, /) -> int:
        making = bool(flags & os.O_CREAT)
        code = self._changing("create", path) if making else self._enter("open", path, LOOK)
        node = self._tree.look(path)
        if node is None:
            node = self._create(path, making=making)
        elif making and flags & os.O_EXCL:
            raise fail(errno.EEXIST)
        if flags & os.O_DIRECTORY and node.kind != FOLDER:
            raise fail(errno.ENOTDIR)
        self._done(code)
        handle, self._next = self._next, self._next + 1
        self._handles[handle] = _Handle(node, path)
        return handle

    def _create(self, path: str, *, making: bool) -> Node:
        folder, name = self._tree.parent(path)
        if not making:
            raise fail(errno.ENOENT)
        node = folder.device.new(FILE, self._tree.tick())
        folder.device.add(folder, name, node)
        folder.device.write(node, b"", self._tree.tick())
        return node

    def close(self, handle: int, /) -> None:
        self._handles.pop(handle, None)

    def _open(self, handle: int) -> _Handle:
        if self._process.dead:
            self._world.refuse_dead(self._process)
        found = self._handles[handle]
        device = found.node.device
        if found.generation != device.generation or not self._tree.is_mounted(device):
            raise fail(errno.EIO)
        return found

    def read(self, handle: int, most: int, /) -> bytes:
        found = self._open(handle)
        self._enter("read", found.path, READ)
        block = self._open(handle).node.content[found.at : found.at + most]
        found.at += len(block)
        return block

    def write(self, handle: int, block: memoryview, /) -> int:
        found = self._open(handle)
        code = self._changing("write", found.path, WRITE)
        node, length = self._open(handle).node, len(block)
        room = None if node.device.room is None else node.device.room - node.device.used
        if code or (room is not None and room < length):
            length = length // 2 if room is None else max(0, min(room, length))
        content = node.content[: found.at] + bytes(block[:length])
        if length:
            node.device.write(node, content + node.content[found.at + length :], self._tree.tick())
            found.at += length
        if code:
            raise fail(code)
        if not length:
            raise fail(errno.ENOSPC)
        return length

    def lseek(self, handle: int, position: int, whence: int, /) -> int:
        found = self._open(handle)
        base = {os.SEEK_SET: 0, os.SEEK_CUR: found.at, os.SEEK_END: len(found.node.content)}
        found.at = base[whence] + position
        return found.at

    def ftruncate(self, handle: int, length: int, /) -> None:
        found = self._open(handle)
        self._done(self._changing("truncate", found.path))
        found.node.device.truncate(found.node, length, self._tree.tick())

    def fsync(self, handle: int, /) -> None:
        found = self._open(handle)
        code = self._world.at_call(self._process, "fsync", found.path, SYNC, True)
        node = self._open(handle).node
        if code < 0:  # The disk failed: what was to be written is dropped, and never tried again.
            node.spoilt = node.kind == FILE
            raise fail(-code)
        if self._world.unsynced != ("files" if node.kind == FILE else "folders"):
            node.device.sync(node)
        self._done(code)

    def drop_cache(self, handle: int, start: int, length: int, /) -> None:
        self._open(handle)

    def reader(self, handle: int, /) -> BinaryIO:
        content = self._open(handle).node.content
        self.close(handle)
        return io.BytesIO(content)

    # Attributes

    def utime(self, handle: int, times_ns: tuple[int, int], /) -> None:
        found = self._open(handle)
        self._world.stats["copied to another disk"] += 1
        self._done(self._changing("utime", found.path, (errno.EIO, errno.EPERM)))
        found.node.device.touch(found.node, times_ns[1], self._tree.tick())

    def fchmod(self, handle: int, mode: int, /) -> None:
        self._open(handle).node.mode = stat.S_IMODE(mode)

    def fchown(self, handle: int, user: int, group: int, /) -> None:
        self._open(handle)

    def listxattr(self, handle: int, /) -> list[str]:
        self._open(handle)
        return []

    def getxattr(self, handle: int, name: str, /) -> bytes:
        raise fail(errno.ENODATA)

    def setxattr(self, handle: int, name: str, value: bytes, /) -> None:
        raise fail(errno.ENOTSUP)

    # Chance

    def token_hex(self, count: int, /) -> str:
        return f"{self._world.token():0{2 * count}x}"
