"""Who looks on at every step: no content lost or replaced, intent before effect, one holder, a full trail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from greenlet import getcurrent, greenlet

from retaia_core.domain.assets import Asset
from retaia_core.domain.jobs import Job, JobStatus
from retaia_core.domain.journal import JournalEntry, Phase
from retaia_core.domain.leases import Lock, LockKind
from retaia_core.domain.lifecycle import State

from .filesystem import FILE, FOLDER, Node

if TYPE_CHECKING:
    from .store import WatchedTransaction
    from .world import Process, World

ROOT = "/nas"
_SETTLED = (State.ARCHIVED, State.REJECTED)


def relative(path: str) -> str:
    """A path as the database has it."""
    return path.removeprefix(f"{ROOT}/")


class Watch:
    """What must hold at every step, and what is remembered for the end."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.precious: dict[bytes, str] = {}
        """Content that must not be lost, and what it is."""
        self.homes: dict[str, bytes] = {}
        """The content of each asset's original, by its UUID."""
        self.touched: set[bytes] = set()
        """Content that somebody outside moved, changed or removed."""
        self.groups: dict[bytes, set[bytes]] = {}
        """Which contents go together."""
        self.kept_by_force: set[str] = set()
        """Temporary files that could not be removed when it was tried."""
        self.came_at: dict[bytes, int] = {}
        """At which step somebody outside put content there."""
        self.gone: set[bytes] = set()
        """Content that a purge removed."""
        self._journal: list[tuple[int, JournalEntry]] = []
        self._by: dict[int, str] = {}
        self._asked: dict[greenlet, int] = {}
        self._durable = 0

    def touch(self, content: bytes) -> None:
        """Somebody outside did something to a file."""
        self.touched |= self.groups.get(content, {content})

    # The disk

    def is_precious(self, node: Node) -> bool:
        """Whether a file's content must not be lost."""
        return node.kind == FILE and node.content in self.precious

    def standing(self, content: bytes) -> Iterator[tuple[str, bool]]:
        """Where some content stands now, and whether a cut would leave it there."""
        waiting = [(ROOT, self._world.tree.look(ROOT), True)]
        while waiting:
            path, folder, safe = waiting.pop()
            if folder is None:
                continue
            for name, entry in folder.entries.items():
                node = self._world.tree.find(f"{path}/{name}")
                kept = safe and folder.safe.get(name) is entry
                if node.kind == FOLDER:
                    waiting.append((f"{path}/{name}", node, kept))
                elif node.content == content:
                    yield f"{path}/{name}", kept and node.kept == content

    def removing(self, process: Process, path: str, node: Node, looked: int) -> None:
        """A name is about to be taken away; its last look was at that step."""
        if not self.is_precious(node) or _temporary(path):
            return
        world, name = self._world, relative(path)
        last = next((e for _, e in reversed(self._journal) if name in (e.source, e.target)), None)
        if last is not None and last.operation == "purge" and self._intended("purge", name, None):
            self._purging(process, name, node, looked)
            return
        if not self._survives(path, node) and not self._unseen(node, looked):
            world.violate(
                f"{process.name} removes {name!r}, the last place where "
                f"{self.precious[node.content]} is safe"
            )
        if not self._intended_at(name):
            world.violate(f"{process.name} removes {name!r}, and no journal says so")

    def _unseen(self, node: Node, looked: int) -> bool:
        """Whether a stranger wrote a file after the last look: nobody can look and remove in one step."""
        unseen = self.came_at.get(node.content, 0) > looked
        if unseen:
            self.gone.add(node.content)
            self._world.stats["removed between look and removal"] += 1
        return unseen

    def _survives(self, path: str, node: Node) -> bool:
        """Whether a cut would leave a file's content under another name than this, be it a former one."""
        folder, name = self._world.tree.parent(path)
        for where, safe in self.standing(node.content):
            if where == path:
                continue
            other = self._world.tree.find(where)
            own = int(other is node and folder.safe.get(name) is node)
            # A stranger may have renamed it just now: until that is synced, a cut shows the former name.
            if safe or (other.kept == other.content and other.safe_links > own):
                return True
        return False

    def _purging(self, process: Process, name: str, node: Node, looked: int) -> None:
        self.gone.add(node.content)
        ordered = (len(node.content), node.mtime_ns)
        if ordered in {
            (e.evidence.get("size"), e.evidence.get("mtime_ns"))
            for _, e in self._journal
            if (e.operation, e.source) == ("purge", name)
        }:
            return
        if self._unseen(node, looked):
            return
        what = self.precious[node.content]
        self._world.violate(
            f"{process.name} purges {name!r}, which is {what}, and nobody ordered it"
        )

    def replacing(self, process: Process, path: str, node: Node) -> None:
        """A file is about to take the name of another."""
        if self.is_precious(node):
            what = self.precious[node.content]
            self._world.violate(f"{process.name} overwrites {what} at {relative(path)!r}")

    def renaming(self, process: Process, source: str, target: str, node: Node) -> None:
        """A file is about to get another name."""
        if not self.is_precious(node) or _temporary(source):
            return
        old, new = relative(source), relative(target)
        self._in_time(process, old, new, node.content)
        if not (self._intended("move", old, new) or self._intended("undo", old, new)):
            self._world.violate(f"{process.name} moves {old!r} to {new!r}, and no journal says so")

    def asked_the_time(self) -> None:
        """Work on the disk looks at the clock before each file: whether the file is its to move."""
        if self._world.loop.can_stand_aside():
            self._asked[getcurrent()] = self._world.database.commits

    def _in_time(self, process: Process, source: str, target: str, content: bytes) -> None:
        """Nobody moves what another has taken over, or ended, before the last look at the clock.

        Between that look and the last call for the file nothing can be told: a disk knows no fencing.
        What such a late call did is no violation, and from then on nobody knows where the file should be.
        """
        last = next(
            (
                (at, entry)
                for at, entry in reversed(self._journal)
                if {entry.source, entry.target} == {source, target}
            ),
            None,
        )
        if last is None:
            return
        at, entry = last
        if entry.phase is Phase.INTENT and self._by.get(at) == process.name:
            return
        if at > self._asked.get(getcurrent(), at):
            self._world.stats["late effect"] += 1
            self.touch(content)
            return
        said = "ended" if entry.phase is not Phase.INTENT else "taken over"
        self._world.violate(
            f"{process.name} moves {source!r} to {target!r}, which another has {said}"
        )

    def _intended(self, operation: str, source: str, target: str | None) -> bool:
        """Whether the journal has the intent, safe from a cut; a move may be taken back."""
        return any(
            e.phase is Phase.INTENT
            and e.operation == operation
            and {e.source, e.target} == {source, target}
            for at, e in self._journal
            if at <= self._durable
        )

    def _intended_at(self, path: str) -> bool:
        return any(
            e.phase is Phase.INTENT and path in (e.source, e.target)
            for at, e in self._journal
            if at <= self._durable
        )

    # The store

    def committed(self, process: Process, tx: WatchedTransaction, *, durable: bool) -> None:
        """A transaction was committed."""
        number = self._world.database.commits + 1
        self._ordered(process, tx)
        self._journal += [(number, entry) for entry in tx.new_journal]
        self._by[number] = process.name
        if durable:
            self._durable = number
        for uuid, before in tx.assets_before.items():
            after = tx.asset(uuid)  # type: ignore[arg-type]
            if after is not None:
                self._changed(process, tx, before, after)
        for subject, lock in tx.locks_before.items():
            now = tx.lock(subject)
            if lock is not None and now is not None:
                self._locked(process, lock, now)
        for job_id, job in tx.jobs_before.items():
            after_job = tx.job(job_id)  # type: ignore[arg-type]
            if job is not None and after_job is not None:
                self._worked(process, tx, job, after_job)
        if self._world.trace is not None:
            said = [f"{e.name}({e.subject.id[-4:]})" for e in tx.new_events]
            said += [f"{e.operation} {e.phase} {e.source}" for e in tx.new_journal]
            self._world.note(process, f"commits{' durably' if durable else ''} {' '.join(said)}")

    def _ordered(self, process: Process, tx: WatchedTransaction) -> None:
        """An outcome has an intent before it, and is written by whoever has the lock now."""
        for entry in tx.new_journal:
            if entry.phase is Phase.INTENT:
                continue
            lock = tx.locks_before.get(entry.subject) or tx.lock(entry.subject)
            if lock is not None and lock.fencing > entry.fencing:
                said = f"{process.name} writes what became of {entry.source!r}"
                self._world.violate(f"{said}, and another has taken it over")
            before = (
                e.phase is Phase.INTENT
                and (e.operation, e.source, e.target)
                == (entry.operation, entry.source, entry.target)
                for _, e in self._journal
            )
            if not any(before):
                self._world.violate(
                    f"{process.name} writes an outcome without intent: {entry.source}"
                )

    def lost_commits(self) -> None:
        """A cut took commits back."""
        limit = self._world.database.commits
        known = {
            (e.operation, e.phase, e.source, e.target, e.fencing, e.at)
            for e in self._world.database.tables.journal.values()
        }
        self._journal = [
            (at, e)
            for at, e in self._journal
            if (e.operation, e.phase, e.source, e.target, e.fencing, e.at) in known
        ]
        self._durable = limit

    def _changed(
        self, process: Process, tx: WatchedTransaction, before: Asset | None, after: Asset
    ) -> None:
        if before is None:
            return
        events = [e for e in tx.new_events if e.subject == after.subject]
        world = self._world
        if before.state is not after.state:
            told = {(e.data.get("from"), e.data.get("to")) for e in events}
            if not any(pair[1] == after.state.value for pair in told):
                world.violate(f"{after.path!r} went {before.state} → {after.state} without event")
        if before.verdict is not after.verdict and not any(
            e.actor.startswith("person:") for e in events
        ):
            world.violate(f"the decision about {after.path!r} changed, and no person did it")
        if before.path != after.path and len(after.path_history) != len(before.path_history) + 1:
            world.violate(f"{before.path!r} became {after.path!r} without a history")
        if before.state is State.MOVE_QUEUED and after.state is not before.state:
            moved = after.state in _SETTLED
            world.stats["moved" if moved else "not moved, or undone"] += 1
            self._verify(process, after)
        if after.state is State.PURGED and before.state is not State.PURGED:
            self._world.stats["purged"] += 1

    def _verify(self, process: Process, asset: Asset) -> None:
        """A move that is said to be done, or undone, is so on the disk, and safe there."""
        world = self._world
        content = self.homes.get(asset.uuid)
        if content is None or world.away == 0:
            return
        if content in self.touched or content in self.gone:
            return  # somebody outside had it, or a purge that did not end: another file stands there now
        here = dict(self.standing(content))
        if not here.get(f"{ROOT}/{asset.path}"):
            safe = "not safe" if f"{ROOT}/{asset.path}" in here else "not there"
            world.violate(f"{process.name} says {asset.state} of {asset.path!r}, which is {safe}")

    def _locked(self, process: Process, before: Lock, after: Lock) -> None:
        world = self._world
        if after.fencing < before.fencing:
            world.violate(f"the fencing number of {after.subject} went back")
        if not after.token or after.token == before.token:
            return
        if after.fencing <= before.fencing:
            world.violate(f"{after.subject} has another holder with the same fencing number")
        if not before.held(process.clock.now()):
            return
        taken_over = before.kind is after.kind and before.holder == after.holder
        of_asset = after.subject.kind == "asset"
        if before.kind is LockKind.JOB_LEASE or not (taken_over and of_asset):
            world.violate(f"{after.subject} was taken from {before.holder}, who holds it")

    def _worked(self, process: Process, tx: WatchedTransaction, before: Job, after: Job) -> None:
        if before.status is not JobStatus.CLAIMED or after.status is not JobStatus.COMPLETED:
            return
        self._world.stats["jobs done"] += 1
        lock = tx.locks_before.get(after.subject) or tx.lock(after.subject)
        held = lock is not None and lock.token == before.lock_token
        if not held or lock is None or not lock.held(process.clock.now()):
            self._world.violate(f"{after.job_type} was completed by one who does not hold it")


def _temporary(path: str) -> bool:
    return path.rpartition("/")[2].startswith(".retaia-")
