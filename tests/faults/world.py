"""The world of one run: machines, servers, disks, what goes wrong, and what is remembered of it."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import anyio

from retaia_adapters.files.derived import FilesystemDerived
from retaia_adapters.files.driver import FilesystemDriver
from retaia_core.catalog import Catalog, builtin_catalog
from retaia_core.domain.storage import Layout, Storage
from retaia_core.errors import RetaiaError
from retaia_core.ports.clock import Clock, Ids
from retaia_core.usecases.agents import Agents
from retaia_core.usecases.discovery import Discovery
from retaia_core.usecases.lifecycle_hooks import HookRunner
from retaia_core.usecases.moves import Moves
from retaia_core.usecases.processing import Processing
from retaia_core.usecases.purges import Purges
from retaia_core.usecases.recovery import Recovery
from retaia_core.usecases.review import Review
from retaia_core.usecases.scan_tally import ScanOptions
from retaia_core.usecases.storages import Storages
from retaia_core.usecases.undo import Undo
from retaia_core.usecases.uploads import Uploads

from .choices import Choices
from .disk import SimulatedDisk
from .filesystem import Device, Tree, fail
from .loop import Dead, Loop, Owner, own
from .store import Database, ProcessStore, unavailable
from .watch import Watch

T = TypeVar("T")
BASE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ROOT = "/nas"
STORAGE = "nas"
CATALOG: Catalog = builtin_catalog()
_VERSION_7 = (0x7000 << 64) | (0x8000 << 48)

SWITCH, HANG, KILL, CUT, BEFORE, AFTER, AWAY, READ_ONLY, ROGUE, CLOCK, STALL = range(1, 12)
HAPPENINGS = (
    "switch", "hang", "kill", "cut", "error", "error though done", "mount away", "read-only",
    "rogue", "clock jump", "stall",
)  # fmt: skip


NAMING = frozenset({"rename", "replace", "link", "create"})
"""The calls that give a name."""


class Dropped(Exception):
    """Nobody answered: the request or its answer was lost, or the server died over it."""


class ProcessClock(Clock):
    """The clock of a machine: right but for an error that changes now and then."""

    def __init__(self, world: World, machine: Machine) -> None:
        self._world = world
        self._machine = machine

    def now(self) -> datetime:
        self._world.watch.asked_the_time()
        return BASE + timedelta(seconds=self._world.loop.clock + self._machine.skew)


class Machine:
    """A computer on which a server runs, again and again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.skew = 0.0
        self.starts = 0


class CountedIds(Ids):
    """Identities in the order in which they are asked for, and no two alike in a run."""

    def __init__(self, world: World) -> None:
        self._world = world

    def uuid(self) -> str:
        return str(UUID(int=_VERSION_7 | self._world.token()))

    def token(self) -> str:
        return f"token-{self._world.token():024}"


class Process(Owner):
    """One life of a server, from its start to a crash: the use cases as the shell wires them."""

    def __init__(self, world: World, machine: Machine) -> None:
        super().__init__()
        machine.starts += 1
        self.world = world
        self.machine = machine
        self.name = f"{machine.name}{machine.starts}"
        self.disk = world.disk_type(world, self)
        store: Any = ProcessStore(world, self)
        clock, ids = ProcessClock(world, machine), CountedIds(world)
        self.store, self.clock, self.ids = store, clock, ids
        given = {"store": store, "clock": clock, "ids": ids}
        self.storages = Storages(
            **given, driver=FilesystemDriver(self.disk), catalog=CATALOG, blocking=self.blocking
        )
        self.discovery = Discovery(**given, catalog=CATALOG, storages=self.storages)
        self.agents = Agents(**given, catalog=CATALOG)
        self.review = Review(**given, catalog=CATALOG)
        self.processing = Processing(
            **given, catalog=CATALOG, agents=self.agents, open_derived=self.derived,
            hooks=HookRunner(store=store, clock=clock), blocking=self.blocking,
        )  # fmt: skip
        self.uploads = Uploads(
            **given, catalog=CATALOG, open_derived=self.derived, blocking=self.blocking
        )
        self.moves = Moves(**given, storages=self.storages)
        self.undo = Undo(moves=self.moves)
        self.recovery = Recovery(moves=self.moves)
        self.purges = Purges(**given, storages=self.storages, open_derived=self.derived)

    def derived(self, storage: Storage) -> FilesystemDerived:
        """The derived files of a storage."""
        from pathlib import Path

        return FilesystemDerived(Path(storage.root), storage.storage_id, disk=self.disk)

    async def blocking(self, function: Callable[..., T], *arguments: Any) -> T:
        """Where this process does what may block."""
        return await self.world.loop.blocking(self, function, *arguments)

    async def start(self) -> None:
        """What a server does first (`Runtime._recover`)."""
        await self.moves.recover()
        await self.purges.recover(held=True)

    async def watch_over(self) -> None:
        """What it does every few seconds (`Runtime._watch_over`)."""
        await self.processing.recover_leases()
        await self.processing.offer_processed()
        await self.moves.recover()
        await self.purges.recover()

    async def scan(self) -> None:
        """A look at the folders."""
        await self.discovery.scan(STORAGE, ScanOptions(quiet=timedelta(0)))  # type: ignore[arg-type]

    async def every(self, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        """Do something again and again, as `Runtime._every` does."""
        while True:
            await anyio.sleep(seconds)
            try:
                await work()
            except RetaiaError as error:
                self.world.note(self, f"{error}; again in {seconds:g} s")


FOCUS: tuple[dict[int, float], ...] = (
    {},
    {SWITCH: 0.1, HANG: 0.012, STALL: 0.02},
    {KILL: 0.015, CUT: 0.01},
    {BEFORE: 0.04, AFTER: 0.06},
    {SWITCH: 0.05, ROGUE: 0.025},
    {AWAY: 0.015, READ_ONLY: 0.004},
)
"""What a run is about: nothing; overtaking; crashes; errors; strangers; the mount."""


class Odds:
    """How often what happens in this run; many of the kinds never do, so that the others get room."""

    def __init__(self, choices: Choices) -> None:
        focus = FOCUS[choices.below(len(FOCUS))]
        usual = (
            (0.0, 0.02, 0.1, 0.4),  # switch
            (0.0, 0.0005, 0.004),  # hang
            (0.0, 0.0, 0.001, 0.006),  # kill
            (0.0, 0.0, 0.001, 0.004),  # cut
            (0.0, 0.0, 0.003, 0.02),  # error
            (0.0, 0.0, 0.003, 0.02),  # error though done
            (0.0, 0.0, 0.0007, 0.003),  # away
            (0.0, 0.0, 0.0, 0.0007),  # read-only
            (0.0, 0.0, 0.001, 0.006),  # rogue
            (0.0, 0.0, 0.001),  # clock
            (0.0, 0.0, 0.0005, 0.003),  # stall
        )
        self.rates = [
            choices.one_of(rates) + focus.get(kind, 0.0)
            for kind, rates in enumerate(usual, start=SWITCH)
        ]
        self.steps = _sums(self.rates)
        self.store = choices.one_of((0.0, 0.0, 0.01, 0.03))
        self.messages = choices.one_of((0.0, 0.1, 0.3))


def _sums(rates: Iterable[float]) -> list[float]:
    total, sums = 0.0, []
    for rate in rates:
        total += rate
        sums.append(total)
    return sums


class World:
    """One run. Planted bugs change ``unsynced``, ``durable_commits`` and ``late_intents``."""

    disk_type = SimulatedDisk
    unsynced = ""
    durable_commits = True
    late_intents: list[Any] | None = None

    def __init__(self, choices: Choices, *, trace: bool) -> None:
        self.choices = choices
        self.steps = 0
        self.trace: list[str] | None = [] if trace else None
        self.stats: Counter[str] = Counter()
        self.violations: list[str] = []
        self.loop = Loop(choices)
        self.tree = Tree()
        self.database = Database()
        self.watch = Watch(self)
        self.odds = Odds(choices)
        self.strangers = self.odds.rates[ROGUE - 1] > 0
        self.peace = choices.one_of((0, 0, 100, 300, 600))
        self.calm = True
        self.read_only = False
        self.away: int | None = None
        self.outside = Owner()
        self.rogue: Callable[[str], None] = lambda path: None
        self._tokens = 0
        machines = ["a", "b"] if choices.chance(0.6) else ["a"]
        self.machines = [Machine(name) for name in machines]
        self.processes: dict[Machine, Process] = {}
        self.devices = self._devices()

    def _devices(self) -> list[Device]:
        pick = self.choices.below(4)
        renames, links = pick in (0, 3), pick in (0, 1, 3)
        tight = self.choices.chance(0.1)
        main = Device(2, renames=renames, links=links, room=6_000 if tight else None)
        self.tree.mount(ROOT, main)
        devices = [main]
        if self.choices.chance(0.3):
            room = self.choices.one_of((None, 3_000, 1_500))
            other = Device(3, renames=renames, links=links, room=room)
            top = self.choices.one_of((Layout().archive, Layout().rejects))
            self.tree.mount(f"{ROOT}/{top}", other)
            devices.append(other)
        return devices

    # What others ask

    def token(self) -> int:
        """A number that nobody got before."""
        self._tokens += 1
        return self._tokens

    def note(self, who: Owner, said: str) -> None:
        """Write a line of the history, where somebody reads it."""
        if self.trace is not None:
            self.trace.append(f"{self.loop.clock:9.2f} {who.name:>6} {said}")

    def violate(self, said: str) -> None:
        """Something happened that must never happen."""
        self.note(self.outside, f"VIOLATION {said}")
        self.violations.append(said)

    # What happens at a call

    def refuse_dead(self, process: Process) -> None:
        """The dead do nothing."""
        if process.dead:
            raise Dead

    def reachable(self, path: str) -> None:
        """Refuse a path of a mount that is stale."""
        if self.away and (path == ROOT or path.startswith(f"{ROOT}/")):
            raise fail(self.away)

    def at_call(
        self, process: Process, call: str, path: str, before: tuple[int, ...], after: bool
    ) -> int:
        """Let happen what the choices say; returns the error to tell after the call was done, or 0."""
        if process.dead:
            raise Dead
        self.steps += 1
        if self.calm or self.steps < self.peace:
            if self.trace is not None:
                self.note(process, f"{call} {path}")
            return 0
        if self.strangers and call in NAMING and self.choices.chance(0.03):
            self.stats["rogue"] += 1
            self.rogue(path)
        happening = self.choices.kind(self.odds.steps)
        if self.trace is not None:
            said = f" [{HAPPENINGS[happening - 1]}]" if happening else ""
            self.note(process, f"{call} {path}{said}")
        if not happening:
            return 0
        self.stats[HAPPENINGS[happening - 1]] += 1
        if happening == BEFORE:
            code = self.choices.one_of(before)
            self.stats[errno.errorcode[code]] += 1
            self.note(process, f"  fails: {errno.errorcode[code]}")
            if call == "fsync":
                return -code
            raise fail(code)
        if happening == AFTER:
            code = self.choices.one_of((errno.ETIMEDOUT, errno.EIO)) if after else 0
            if code:
                self.stats[f"{errno.errorcode[code]} though done"] += 1
            return code
        self.happen(happening, process, path if call in NAMING else "")
        self.refuse_dead(process)
        return 0

    def happen(self, happening: int, process: Process, path: str = "") -> None:
        """Something that is not about this call alone; ``path`` is the name that is about to be given."""
        choices, loop = self.choices, self.loop
        if happening in (SWITCH, HANG, STALL):
            delay = 0.0
            if happening != SWITCH:
                delay = choices.one_of((1.0, 20.0, 45.0, 200.0, 400.0))
            if happening == STALL:
                process.until = loop.clock + delay
            if loop.can_stand_aside():
                loop.stand_aside(delay if happening == HANG else 0.0)
        elif happening == KILL:
            self.kill(process)
        elif happening == CUT:
            self.cut(choices.below(3))
        elif happening == AWAY:
            self.take_away()
        elif happening == READ_ONLY:
            self.read_only = True
            loop.call_later(choices.one_of((5.0, 90.0)), self._writable)
        elif happening == ROGUE:
            self.rogue(path)
        elif happening == CLOCK:
            machine = choices.one_of(self.machines)
            machine.skew += choices.one_of((1.0, -1.0, 3.0, -3.0, 60.0, -30.0))

    def _writable(self) -> None:
        self.read_only = False

    # Crashes

    def kill(self, process: Process) -> None:
        """``kill -9``: what reached the kernel stays."""
        if process.dead:
            return
        self.note(process, "is killed")
        self.loop.kill(process)
        self.processes.pop(process.machine, None)
        if not self.calm:
            delay = self.choices.one_of((0.5, 5.0, 40.0, 400.0))
            self.loop.call_later(delay, self.start, process.machine)

    def cut(self, which: int) -> None:
        """Power is lost: 0 everywhere, 1 at the disks (the servers live on), 2 at the database's server."""
        self.note(
            self.outside, f"power is cut {('everywhere', 'at the disks', 'at the store')[which]}"
        )
        self.stats[f"cut {which}"] += 1
        if which != 1:
            for process in list(self.processes.values()):
                self.kill(process)
            kept = self.choices.below(self.database.loose + 1)
            self.stats["commits lost"] += self.database.cut(self.database.loose - kept)
            self.watch.lost_commits()
        if which != 2:
            for device in self.devices:
                device.cut(self.choices)

    def take_away(self) -> None:
        """The mount goes away: as an empty folder, or with an error at every call; it comes back."""
        if self.away is not None:
            return
        self.away = self.choices.one_of((0, errno.EIO, errno.ESTALE, errno.ENOTCONN))
        if self.away == 0:
            self.tree.unmount(ROOT)
        self.note(self.outside, f"the mount goes away ({self.away})")
        delay = self.choices.one_of((0.0, 1.0, 50.0, 400.0))
        self.loop.call_later(delay, self.bring_back, self.choices.chance(0.3))

    def bring_back(self, torn: bool = False) -> None:
        """The mount is back; ``torn``: it was pulled, and lost what was not synced."""
        if self.away is None:
            return
        if torn:
            for device in self.devices:
                device.cut(self.choices)
        if self.away == 0:
            self.tree.mount(ROOT, self.devices[0])
        self.away = None
        self.note(self.outside, "the mount is back")

    # Servers

    def start(self, machine: Machine) -> Process:
        """Start a server on a machine, where none runs."""
        if machine in self.processes:
            return self.processes[machine]
        process = Process(self, machine)
        self.processes[machine] = process
        self.note(process, "starts")
        if not self.calm:
            self.spawn(process, self._serve(process))
        return process

    async def _serve(self, process: Process) -> None:
        while True:
            try:
                await process.start()
                break
            except RetaiaError:
                await anyio.sleep(5)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(process.every, 30.0, process.watch_over)
            tasks.start_soon(process.every, 100.0, process.scan)
            tasks.start_soon(process.every, 1000.0, process.uploads.collect)

    def spawn(self, owner: Owner, work: Any) -> Any:
        """Run something as an owner's task; what it raises and nobody expects is a finding."""
        task = self.loop.create_task(work)
        own(task, owner)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: Any) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not expected(error):
            self.violate(f"unexpected: {error!r}")
            if self.trace is not None:
                import traceback

                self.trace += traceback.format_exception(error)

    # Requests

    async def ask(self, work: Callable[[Process], Awaitable[T]]) -> T:
        """Ask one of the servers for something; requests and answers are late, lost, and doubled.

        Raises:
            Dropped: nobody answered.
            RetaiaError: the answer.
        """
        fate = 0
        peace = self.calm or self.steps < self.peace
        if not peace and self.odds.messages and self.choices.chance(self.odds.messages):
            fate = 1 + self.choices.below(4)
        if fate:
            self.stats[("late", "request lost", "answer lost", "doubled")[fate - 1]] += 1
        if fate == 1:
            await anyio.sleep(self.choices.one_of((1.0, 60.0, 400.0)))
        alive = [self.processes[m] for m in self.machines if m in self.processes]
        if not alive or fate == 2:
            await anyio.sleep(5)
            raise Dropped
        process = self.choices.one_of(alive)
        task = self.spawn(process, work(process))
        if fate == 4:
            self.spawn(self.choices.one_of(alive), work(self.choices.one_of([process])))
        done = self.loop.create_future()
        task.add_done_callback(lambda _: done.done() or done.set_result(None))
        if fate == 3:
            await anyio.sleep(self.choices.one_of((0.0, 1.0)))
            raise Dropped
        await done
        if task.cancelled():
            raise Dropped
        error = task.exception()
        if error is not None:
            if isinstance(error, RetaiaError):
                raise error
            raise Dropped
        answer: T = task.result()
        return answer

    # What happens at the store

    async def at_commit(self, process: Process) -> None:
        """Before a transaction: others go first, or the server dies, or the store does not answer."""
        await self._at_store(process)

    async def at_read(self, process: Process) -> None:
        """Before a read."""
        await self._at_store(process)

    async def _at_store(self, process: Process) -> None:
        if process.until > self.loop.clock:
            await self.loop.turn(process)
        if process.dead:
            raise Dead
        if self.calm or self.steps < self.peace:
            return
        happening = self.choices.kind(self.odds.steps)
        if happening in (SWITCH, HANG, STALL):
            delay = 0.0
            if happening != SWITCH:
                delay = self.choices.one_of((1.0, 20.0, 45.0, 200.0, 400.0))
            if happening == STALL:
                process.until = self.loop.clock + delay
            self.stats[HAPPENINGS[happening - 1]] += 1
            await self.loop.turn(process, delay if happening == HANG else 0.0)
        elif happening and happening not in (BEFORE, AFTER):
            self.stats[HAPPENINGS[happening - 1]] += 1
            self.happen(happening, process)
        if process.dead:
            raise Dead
        if self.odds.store and self.choices.chance(self.odds.store):
            self.stats["store unavailable"] += 1
            raise unavailable()

    async def after_commit(self, process: Process) -> None:
        """After a commit: the server dies over it, or its connection does."""
        if self.calm or self.steps < self.peace:
            return
        happening = self.choices.kind(self.odds.steps)
        if happening in (KILL, CUT):
            self.stats[f"{HAPPENINGS[happening - 1]} after a commit"] += 1
            self.happen(happening, process)
        elif happening == SWITCH:
            await self.loop.turn(process)
        elif happening == AFTER:
            self.stats["store unavailable though committed"] += 1
            raise unavailable()
        if process.dead:
            raise Dead


def expected(error: BaseException) -> bool:
    """Whether a request may end like this: refused, unavailable, or with the server dead."""
    if isinstance(error, BaseExceptionGroup):
        return all(expected(inner) for inner in error.exceptions)
    return isinstance(error, (RetaiaError, Dead, Dropped))
