"""What must hold when everything is quiet again: the database and the disk tell one story."""

from __future__ import annotations

from collections.abc import Iterable

import anyio

from retaia_core.domain.actors import Actor, ActorKind
from retaia_core.domain.assets import Asset, Flag
from retaia_core.domain.identifiers import Subject
from retaia_core.domain.journal import JournalEntry, Phase
from retaia_core.domain.lifecycle import State
from retaia_core.domain.moves import BatchStatus, MovePlan

from .watch import ROOT, relative
from .world import Process, World

ROUNDS = 30
PERSON = Actor(kind=ActorKind.PERSON, id="local/ana")


class Ending:
    """Ends the faults, lets recovery work until it is quiet, and looks."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def check(self) -> None:
        """End the run, and note every violation."""
        world = self.world
        world.calm = True
        world.note(world.outside, "everything is calm from now on")
        world.bring_back()
        world.read_only = False
        for device in world.devices:
            device.room = None
        for process in list(world.processes.values()):
            world.kill(process)
        process = world.start(world.machines[0])
        await world.spawn(process, self._recover(process))
        if world.violations:
            return
        self._look()
        if not world.violations and world.choices.chance(0.3):
            await world.spawn(process, self._undo_all(process))

    async def _recover(self, process: Process) -> None:
        """Recover again and again, until it changes nothing any more."""
        await process.start()
        for _ in range(ROUNDS):
            await anyio.sleep(400)
            before = self._picture()
            await process.watch_over()
            await process.scan()
            if self._picture() == before:
                break
        else:
            self.world.violate("recovery does not come to rest")

    def _picture(self) -> object:
        """All that recovery could change."""
        tables = self.world.database.tables
        files = [(path, node.content) for path, node in self.world.tree.files(ROOT)]
        assets = {a.uuid: a for a in tables.assets.values()}
        return (files, assets, len(tables.events), len(tables.journal), dict(tables.batches))

    # Looking

    def _look(self) -> None:
        world = self.world
        places = self._places()
        self._contents(places)
        for asset in world.database.tables.assets.values():
            self._asset(asset, places)
            self._trail(asset)
        for batch in world.database.tables.batches.values():
            if batch.status is not BatchStatus.DONE:
                world.violate(f"batch {batch.batch_id} never ended")
        self._outcomes(world.database.tables.journal.values())

    def _places(self) -> dict[bytes, list[str]]:
        """Where each content stands."""
        places: dict[bytes, list[str]] = {}
        for path, node in self.world.tree.files(ROOT):
            name = relative(path)
            if name.startswith(".derived/") or name == ".retaia":
                continue
            if name.rpartition("/")[2].startswith(".retaia-"):
                self.world.stats["temporary files left"] += 1
                continue
            places.setdefault(node.content, []).append(name)
        return places

    def _parked(self) -> set[str]:
        """The places that the evidence of parked assets names."""
        tables, named = self.world.database.tables, set()
        parked = {a.uuid for a in tables.assets.values() if Flag.PARKED in a.flags}
        for batch in tables.batches.values():
            for result in batch.results:
                if result.asset in parked:
                    for file in result.move.files:
                        named |= {str(file.source), str(file.target)}
        return named

    def _contents(self, places: dict[bytes, list[str]]) -> None:
        """No content is lost, and none stands twice."""
        world = self.world
        parked = self._parked()
        for content, what in world.watch.precious.items():
            here = places.get(content, [])
            if not here and content not in world.watch.gone:
                world.violate(f"{what} is lost")
            if len(here) > 1 and not set(here) <= parked and content not in world.watch.touched:
                world.violate(f"{what} stands twice: {', '.join(here)}")

    def _asset(self, asset: Asset, places: dict[bytes, list[str]]) -> None:
        """An asset's state and path agree with the disk."""
        world = self.world
        content = world.watch.homes.get(asset.uuid)
        if content is None or content in world.watch.touched:
            return
        here = places.get(content, [])
        if asset.state is State.PURGED:
            if here:
                world.violate(f"{asset.path!r} is PURGED, and stands at {here[0]!r}")
            return
        if content in world.watch.gone and not here:
            # Something of it could not be removed; who ordered it was told, and may do anything now.
            events = world.database.tables.events.values()
            if not any((e.subject, e.name) == (asset.subject, "purge.failed") for e in events):
                world.violate(f"{asset.path!r} was purged, and its state is {asset.state}")
            return
        if Flag.PARKED in asset.flags:
            world.stats["parked"] += 1
            return
        if asset.path not in here:
            world.violate(f"{asset.path!r} is {asset.state}, and its file is at {here}")
        if asset.state is State.MOVE_QUEUED:
            world.violate(f"{asset.path!r} waits for ever")
        top = {State.ARCHIVED: "ARCHIVE/", State.REJECTED: "REJECTS/"}.get(asset.state, "")
        if not asset.path.startswith(top):
            world.violate(f"{asset.path!r} is {asset.state}")
        for sidecar in asset.sidecars:
            if world.tree.look(f"{ROOT}/{sidecar.path}") is None:
                world.violate(f"the sidecar {sidecar.path!r} of {asset.path!r} is not there")

    def _trail(self, asset: Asset) -> None:
        """The events of an asset tell its states without a gap, up to the one it has."""
        at = ""
        for event in self.world.database.tables.events.values():
            if event.subject != asset.subject or "to" not in event.data:
                continue
            if at not in ("", event.data["from"]):
                self.world.violate(f"the trail of {asset.path!r} has a gap before {event.name}")
            at = str(event.data["to"])
        if at not in ("", asset.state.value):
            self.world.violate(f"the trail of {asset.path!r} ends at {at}, not at {asset.state}")

    def _outcomes(self, journal: Iterable[JournalEntry]) -> None:
        """Every intent has an outcome after it."""
        last: dict[tuple[Subject, str, str], JournalEntry] = {}
        for entry in journal:
            last[entry.subject, entry.source, str(entry.target)] = entry
        events = self.world.database.tables.events.values()
        abandoned = {event.subject for event in events if event.name == "purge.abandoned"}
        for entry in last.values():
            if entry.phase is Phase.INTENT and entry.subject not in abandoned:
                said = f"the {entry.operation} of {entry.source!r} was begun"
                self.world.violate(f"{said}, and nobody says what became of it")

    # Taking everything back

    async def _undo_all(self, process: Process) -> None:
        """Undo every batch, the newest first: what a plan says goes back, goes back whole."""
        tables = self.world.database.tables
        batches = sorted(tables.batches.values(), key=lambda b: (b.created_at, b.batch_id))
        for batch in reversed([b for b in batches if not b.undoes]):
            plan = await process.undo.preview(batch.batch_id)
            if not plan.moves:
                continue
            self.world.stats["undone in the end"] += 1
            undo = await process.undo.execute(PERSON, plan, plan.digest)
            await process.moves.run(undo.batch_id)
            self._undone(plan)
        self._look()

    def _undone(self, plan: MovePlan) -> None:
        for move in plan.moves:
            asset = self.world.database.tables.assets[move.asset]
            back = move.files[0].target
            if asset.path != back or not asset.state.startswith("DECIDED_"):
                said = f"{move.files[0].source!r} was to go back to {back!r}"
                self.world.violate(f"{said}, and is {asset.state} at {asset.path!r}")
