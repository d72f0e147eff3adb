"""A filesystem in memory that knows what was synced, and what a loss of power may leave of the rest.

Names: every change of a folder waits until the folder is synced. A cut keeps, for each folder, some
beginning of what waits (a rename within a folder is one change). A rename to another folder is one
change of two folders, which a cut may leave as it was, as it became, or with both names, never with none.
A folder that is synced is there itself, and so are those above it.

Content: a file's bytes, size and times wait until the file is synced. A cut keeps them, loses them, or
tears them: the size is the new one, and some or all of the bytes are zeros.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from .choices import Choices

FILE = stat.S_IFREG
FOLDER = stat.S_IFDIR
FIRST_TIME = 1_700_000_000_000_000_000


def fail(code: int) -> OSError:
    """The error that the system raises."""
    return OSError(code, os.strerror(code))


class Look:
    """What a look at a file tells: of `os.stat_result` what the adapter reads."""

    __slots__ = (
        "st_atime_ns", "st_ctime_ns", "st_dev", "st_gid", "st_ino", "st_mode",
        "st_mtime_ns", "st_nlink", "st_size", "st_uid",
    )  # fmt: skip

    def __init__(self, node: Node) -> None:
        self.st_mode = node.kind | node.mode
        self.st_ino = node.number
        self.st_dev = node.device.number
        self.st_nlink = node.links
        self.st_uid = self.st_gid = 1000
        self.st_size = len(node.content)
        self.st_mtime_ns = node.mtime_ns
        self.st_atime_ns = node.mtime_ns
        self.st_ctime_ns = node.ctime_ns


class Change:
    """A change of one folder that waits for its sync: names, each with what it means from then on.

    ``needs`` is the other half of a rename between folders, without which this one cannot be.
    """

    __slots__ = ("done", "folder", "names", "needs")

    def __init__(
        self, folder: Node, names: tuple[tuple[str, Node | None], ...], needs: Change | None = None
    ) -> None:
        self.folder = folder
        self.names = names
        self.needs = needs
        self.done = False


class Node:
    """A file or a folder. ``safe`` are the names, and ``kept`` the content, that no cut takes away."""

    __slots__ = (
        "born", "content", "ctime_ns", "device", "entries", "kept", "kept_mtime_ns", "kind",
        "links", "lost", "mode", "mtime_ns", "names", "number", "safe", "safe_links", "spoilt",
        "waiting",
    )  # fmt: skip

    def __init__(self, device: Device, number: int, kind: int, now: int) -> None:
        self.device = device
        self.number = number
        self.kind = kind
        self.mode = 0o644
        self.content = b""
        self.mtime_ns = self.ctime_ns = now
        self.links = 0
        self.kept: bytes | None = None
        self.kept_mtime_ns = now
        self.spoilt = False
        self.safe_links = 0
        self.born: Change | None = None
        self.entries: dict[str, Node] = {}
        self.safe: dict[str, Node] = {}
        self.waiting: list[Change] = []

    @property
    def dirty(self) -> bool:
        """Whether a cut may take something of the content."""
        return self.kept is not self.content or self.kept_mtime_ns != self.mtime_ns

    @property
    def certain(self) -> bool:
        """Whether a cut would leave this very file, whole, under a name at least."""
        return self.safe_links > 0 and self.kept == self.content


class Device:
    """A filesystem: a tree with what waits to be synced. ``room`` in bytes, None for plenty."""

    def __init__(self, number: int, *, renames: bool, links: bool, room: int | None) -> None:
        self.number = number
        self.renames = renames
        self.links = links
        self.room = room
        self.used = 0
        self.generation = 0
        self._count = 1
        self.root = Node(self, 1, FOLDER, FIRST_TIME)
        self.root.safe_links = 1
        self.root.links = 2
        self._dirty: dict[Node, None] = {}
        self._unsynced: dict[Node, None] = {}

    # Names

    def new(self, kind: int, now: int) -> Node:
        """A file or folder that has no name yet."""
        self._count += 1
        return Node(self, self._count, kind, now)

    def _wait(self, change: Change) -> None:
        change.folder.waiting.append(change)
        self._unsynced[change.folder] = None

    def add(self, folder: Node, name: str, node: Node) -> None:
        """Give a file or folder a name."""
        folder.entries[name] = node
        node.links += 1
        change = Change(folder, ((name, node),))
        if node.kind == FOLDER:
            node.born = change
        self._wait(change)

    def drop(self, folder: Node, name: str) -> None:
        """Take a name away."""
        node = folder.entries.pop(name)
        node.links -= 1
        self._wait(Change(folder, ((name, None),)))

    def rename(self, old: Node, name: str, new: Node, to: str) -> None:
        """Give a file another name in one step; what had that name loses it."""
        node = old.entries.pop(name)
        replaced = new.entries.get(to)
        if replaced is not None:
            replaced.links -= 1
        new.entries[to] = node
        if old is new:
            self._wait(Change(old, ((name, None), (to, node))))
            return
        arrival = Change(new, ((to, node),))
        self._wait(arrival)
        self._wait(Change(old, ((name, None),), needs=arrival))
        if node.kind == FOLDER:
            node.born = arrival

    # Content

    def write(self, node: Node, content: bytes, now: int) -> None:
        """Give a file other bytes."""
        self.used += len(content) - len(node.content)
        node.content = content
        node.mtime_ns = node.ctime_ns = now
        self._dirty[node] = None

    def truncate(self, node: Node, length: int, now: int) -> None:
        """End a file after so many bytes; where no dropped byte is left, it can be synced again."""
        content = node.content[:length].ljust(length, b"\0")
        if content == (node.kept or b"")[:length]:
            node.spoilt = False
        self.write(node, content, now)

    def touch(self, node: Node, mtime_ns: int, now: int) -> None:
        """Give a file another time of change."""
        node.mtime_ns, node.ctime_ns = mtime_ns, now
        self._dirty[node] = None

    # Syncing

    def sync(self, node: Node) -> None:
        """Make a file's content, or a folder's names, safe from a cut."""
        if node.kind == FILE:
            if not node.spoilt:
                node.kept, node.kept_mtime_ns = node.content, node.mtime_ns
                self._dirty.pop(node, None)
            return
        for change in node.waiting:
            self._apply(change)
        node.waiting.clear()
        self._unsynced.pop(node, None)
        if node.born is not None:
            self._apply(node.born)

    def sync_all(self) -> None:
        """Make everything safe, as time does."""
        for node in list(self._dirty):
            self.sync(node)
        for node in list(self._unsynced):
            self.sync(node)

    def _apply(self, change: Change) -> None:
        """Make a change safe, and with it all that came before in its folder."""
        if change.done:
            return
        folder = change.folder
        for earlier in folder.waiting:
            if not earlier.done:
                self._apply_one(earlier)
            if earlier is change:
                break
        if folder.born is not None and not folder.born.done:
            self._apply(folder.born)

    def _apply_one(self, change: Change) -> None:
        if change.needs is not None:
            self._apply(change.needs)
        change.done = True
        safe = change.folder.safe
        for name, node in change.names:
            before = safe.pop(name, None)
            if before is not None:
                before.safe_links -= 1
            if node is not None:
                safe[name] = node
                node.safe_links += 1

    # A loss of power

    def cut(self, choices: Choices) -> None:
        """Lose power: what was not synced is kept, lost or torn, as the choices say."""
        self.generation += 1
        how = choices.below(3)  # 0: all was written just in time; 1: nothing was; 2: something
        for folder in list(self._unsynced):
            count = len(folder.waiting)
            keep = (count, 0, 0)[how] if how < 2 else choices.below(count + 1)
            if keep:
                self._apply(folder.waiting[keep - 1])
        for folder in _folders(self.root):
            folder.entries = dict(folder.safe)
            folder.waiting.clear()
        self._unsynced.clear()
        for node in list(self._dirty):
            self._lose_content(node, choices, how)
        self._dirty.clear()
        self._count_links()

    def _lose_content(self, node: Node, choices: Choices, how: int) -> None:
        fate = how if how < 2 else choices.below(4)
        if fate == 1:
            node.content, node.mtime_ns = node.kept or b"", node.kept_mtime_ns
        elif fate == 2:
            node.content = bytes(len(node.content))
        elif fate == 3:
            whole = len(node.content) // 2
            node.content = node.content[:whole] + bytes(len(node.content) - whole)
        node.kept, node.kept_mtime_ns = node.content, node.mtime_ns
        node.spoilt = False

    def _count_links(self) -> None:
        seen: dict[Node, int] = {}
        for folder in _folders(self.root):
            for node in folder.entries.values():
                seen[node] = seen.get(node, 0) + 1
        for node, links in seen.items():
            node.links = node.safe_links = links
        self.used = sum(len(node.content) for node in seen)


def _folders(top: Node) -> Iterator[Node]:
    """A folder and all below it."""
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        yield folder
        waiting += [node for node in folder.entries.values() if node.kind == FOLDER]


class Tree:
    """What a machine sees: a root with devices mounted below it."""

    def __init__(self) -> None:
        self.base = Device(1, renames=True, links=True, room=None)
        self._mounts: dict[Node, Device] = {}
        self.now_ns = FIRST_TIME

    def tick(self) -> int:
        """The next moment of the disks' own clock, in nanoseconds."""
        self.now_ns += 1_000_000
        return self.now_ns

    def mount(self, path: str, device: Device) -> None:
        """Put a device at a folder, which is made."""
        folder = self.make_folders(path)
        self._mounts[folder] = device

    def unmount(self, path: str) -> None:
        """Take a device away; what the folder had below it is seen again."""
        parent, name = self.parent(path)
        self._mounts.pop(parent.entries[name], None)

    def is_mounted(self, device: Device) -> bool:
        """Whether a device can be reached."""
        return device is self.base or device in self._mounts.values()

    def find(self, path: str) -> Node:
        """What stands at an absolute path.

        Raises:
            OSError: nothing does.
        """
        node, mounts = self.base.root, self._mounts
        for part in path.split("/"):
            if not part:
                continue
            if node.kind != FOLDER:
                raise fail(errno.ENOTDIR)
            found = node.entries.get(part)
            if found is None:
                raise fail(errno.ENOENT)
            node = mounts[found].root if found in mounts else found
        return node

    def look(self, path: str) -> Node | None:
        """What stands at an absolute path; None where nothing does."""
        try:
            return self.find(path)
        except OSError:
            return None

    def parent(self, path: str) -> tuple[Node, str]:
        """The folder of a path, and its name there."""
        folder, _, name = path.rpartition("/")
        node = self.find(folder)
        if node.kind != FOLDER:
            raise fail(errno.ENOTDIR)
        return node, name

    def make_folders(self, path: str) -> Node:
        """Make a folder and those above it, safe from a cut."""
        at = self.base.root
        for part in path.split("/"):
            if part:
                if part not in at.entries:
                    node = at.device.new(FOLDER, self.tick())
                    at.device.add(at, part, node)
                    at.device.sync(at)
                at = at.entries[part]
                at = self._mounts[at].root if at in self._mounts else at
        return at

    def files(self, top: str) -> Iterator[tuple[str, Node]]:
        """Every file below a folder, with its path, in order."""
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            node = self.look(folder)
            if node is None:
                continue
            for name in sorted(node.entries):
                path = f"{folder}/{name}"
                found = self.find(path)
                if found.kind == FOLDER:
                    waiting.append(path)
                else:
                    yield path, found
