"""What must hold when everything is quiet again: the database and the disk tell one story."""

from __future__ import annotations

import anyio

from retaia_core.domain.assets import Asset, Flag
from retaia_core.domain.lifecycle import State
from retaia_core.domain.moves import BatchStatus
from retaia_core.errors import RetaiaError

from .watch import ROOT, relative
from .world import Process, World

ROUNDS = 30


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

    async def _recover(self, process: Process) -> None:
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

    def _look(self) -> None:
        world = self.world
        places: dict[bytes, list[str]] = {}
        for path, node in world.tree.files(ROOT):
            name = relative(path)
            if name.startswith(".derived/") or name == ".retaia":
                continue
            if name.rpartition("/")[2].startswith(".retaia-"):
                world.stats["temporary files left"] += 1
                continue
            places.setdefault(node.content, []).append(name)
        self._contents(places)
        for asset in world.database.tables.assets.values():
            self._asset(asset, places)
        for batch in world.database.tables.batches.values():
            if batch.status is not BatchStatus.DONE:
                world.violate(f"batch {batch.batch_id} never ended")

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
        world = self.world
        parked = self._parked()
        for content, what in world.watch.precious.items():
            here = places.get(content, [])
            if not here and content not in world.watch.gone:
                world.violate(f"{what} is lost")
            if len(here) > 1 and not set(here) <= parked and content not in world.watch.touched:
                world.violate(f"{what} stands twice: {', '.join(here)}")

    def _asset(self, asset: Asset, places: dict[bytes, list[str]]) -> None:
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
            # Something of it could not be removed, which was reported; it can be purged again.
            if asset.state is not State.REJECTED:
                world.violate(f"{asset.path!r} was purged, and its state is {asset.state}")
            return
        if Flag.PARKED in asset.flags:
            world.stats["parked"] += 1
            return
        if asset.path not in here:
            world.violate(f"{asset.path!r} is {asset.state}, and its file is at {here}")
        top = asset.path.partition("/")[0]
        if asset.state is State.MOVE_QUEUED:
            world.violate(f"{asset.path!r} waits for ever")
        if asset.state is State.ARCHIVED and top != "ARCHIVE":
            world.violate(f"{asset.path!r} is ARCHIVED")
        if asset.state is State.REJECTED and top != "REJECTS":
            world.violate(f"{asset.path!r} is REJECTED")
        sidecar_problem(asset, world)


def sidecar_problem(asset: Asset, world: World) -> None:
    """Note a sidecar that is not where its asset says."""
    for sidecar in asset.sidecars:
        if world.tree.look(f"{ROOT}/{sidecar.path}") is None:
            world.violate(f"the sidecar {sidecar.path!r} of {asset.path!r} is not there")


_errors = RetaiaError
