"""What people, agents and strangers do in a run: a program of its own for every seed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
from attrs import evolve

from retaia_core.domain.actors import Actor, ActorKind
from retaia_core.domain.agents import AgentRecord
from retaia_core.domain.assets import Asset, AttachedSidecar
from retaia_core.domain.identifiers import AssetId, BatchId, RelPath, StorageId
from retaia_core.domain.lifecycle import Action, State
from retaia_core.domain.media import MediaType
from retaia_core.domain.moves import Batch
from retaia_core.domain.parked import offers
from retaia_core.domain.storage import Layout
from retaia_core.errors import RetaiaError, Unavailable
from retaia_core.usecases.processing import BundleClaim
from retaia_core.usecases.results import DerivedClaim, Submission

from .filesystem import FILE, Node
from .watch import ROOT, relative
from .world import CATALOG, STORAGE, Dropped, Process, World

T = TypeVar("T")
JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 10
FACTS = {"media_format": "jpeg", "width": 64, "height": 48}
KINDS = {"generate_proxy": "proxy_photo", "generate_thumbnails": "thumb"}
FOLDERS = ("INBOX", "INBOX/day", "INBOX/day/b")
STEMS = ("A1", "A2", "B1", "C1")
DECIDABLE = (State.DECISION_PENDING, State.DECIDED_KEEP, State.DECIDED_REJECT)
SETTLED = (State.ARCHIVED, State.REJECTED)


class Story:
    """Everybody who acts in a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.choices = world.choices
        self.batches: list[BatchId] = []
        self._contents = 0

    # Files

    def content(self, what: str) -> bytes:
        """Bytes that are like no others; remembered as not to be lost."""
        self._contents += 1
        content = f"{what} {self._contents} ".encode() * (1 + self._contents % 3)
        self.world.watch.precious[content] = f"{what} {self._contents}"
        return content

    def put(self, path: str, content: bytes) -> Node | None:
        """A camera or a stranger puts a file there, where nothing stands."""
        tree = self.world.tree
        folder = tree.look(path.rpartition("/")[0])
        name = path.rpartition("/")[2]
        if folder is None or name in folder.entries:
            return None
        node = folder.device.new(FILE, tree.tick())
        folder.device.add(folder, name, node)
        folder.device.write(node, content, tree.tick())
        folder.device.sync(node)
        folder.device.sync(folder)
        return node

    # Setting out

    async def begin(self) -> None:
        """Adopt the storage, and have some assets on it."""
        world, choices = self.world, self.choices
        process = world.start(world.machines[0])
        person = Actor(kind=ActorKind.PERSON, id="local/ana")
        work = process.storages.adopt(person, ROOT, Layout(), storage_id=STORAGE)
        await world.spawn(process, work)
        for device in world.devices:
            device.sync_all()
        used: set[str] = set()
        for _ in range(1 + choices.below(3)):
            self._make_asset(used)
        if choices.chance(0.5):
            self._put_in_the_way(used)
        for machine in world.machines[1:]:
            world.start(machine)

    def _make_asset(self, used: set[str]) -> None:
        """An original with sidecars; known already and waiting for a decision, or found by a scan."""
        choices, tree = self.choices, self.world.tree
        folder = choices.one_of(FOLDERS)
        stem = choices.one_of(STEMS)
        path = f"{folder}/{stem}.jpg"
        if path.lower() in used:
            return
        used.add(path.lower())
        tree.make_folders(f"{ROOT}/{folder}")
        original = self.put(f"{ROOT}/{path}", self.content("original"))
        assert original is not None
        group = {original.content}
        names = ((), (f"{stem}.xmp",), (f"{stem}.jpg.xmp",))[choices.below(3)]
        sidecars = []
        for name in names:
            node = self.put(f"{ROOT}/{folder}/{name}", self.content("sidecar"))
            assert node is not None
            sidecars.append((f"{folder}/{name}", node))
            group.add(node.content)
        for content in group:
            self.world.watch.groups[content] = group
        if choices.chance(0.3):
            return  # A scan finds it.
        self._know(path, original, sidecars)

    def _know(self, path: str, node: Node, sidecars: list[tuple[str, Node]]) -> None:
        world = self.world
        now = world.processes[world.machines[0]].clock.now()
        asset = Asset(
            uuid=AssetId(CountedUuid(world)),
            storage_id=StorageId(STORAGE),
            path=RelPath(path),
            media_type=MediaType.PHOTO,
            size=len(node.content),
            mtime_ns=node.mtime_ns,
            profile=CATALOG.default_profiles[MediaType.PHOTO],
            created_at=now,
            updated_at=now,
            state_since=now,
            state=State.DECISION_PENDING,
            sightings=2,
            sidecars=tuple(
                AttachedSidecar(
                    path=RelPath(name), rule="exact", size=len(s.content), mtime_ns=s.mtime_ns
                )
                for name, s in sidecars
            ),
        )
        world.watch.homes[asset.uuid] = node.content
        from .store import WatchedTransaction

        tx = WatchedTransaction(world.database.tables, writes=True)
        tx.add_assets([asset])
        storage = tx.storage(asset.storage_id)
        assert storage is not None
        tx.save_storage(evolve(storage, scans=1))  # It was found by one.
        world.database.committed([], durable=True)

    def _put_in_the_way(self, used: set[str]) -> None:
        """Files of strangers where assets would go."""
        for top in ("ARCHIVE", "REJECTS"):
            for path in sorted(used):
                if self.choices.chance(0.3):
                    inner = path.partition("/")[2].replace("a", "A").replace("b1", "B1")
                    self.world.tree.make_folders(f"{ROOT}/{top}/{inner}".rpartition("/")[0])
                    self.put(f"{ROOT}/{top}/{inner}", self.content("stranger"))

    # Acting

    async def play(self) -> None:
        """Everybody acts, at the same time, until all are done."""
        world, choices = self.world, self.choices
        world.calm = False
        world.rogue = self.rogue
        for process in list(world.processes.values()):
            world.spawn(process, world._serve(process))
        async with anyio.create_task_group() as tasks:
            for name in ("ana", "ben")[: 1 + choices.below(2)]:
                tasks.start_soon(self._person, name, 2 + choices.below(7))
            for name in ("x", "y")[: choices.below(3)]:
                tasks.start_soon(self._agent, name, 1 + choices.below(4))

    async def _try(self, work: Callable[[Process], Awaitable[T]], patience: int = 3) -> T | None:
        """Ask for something, and take no for an answer; where nobody answers, ask again."""
        for _ in range(patience):
            try:
                return await self.world.ask(work)
            except (Unavailable, Dropped) as error:
                self.world.note(self.world.outside, f"answered: {type(error).__name__} {error}")
                await anyio.sleep(self.choices.one_of((0.0, 20.0, 60.0)))
            except RetaiaError as error:
                self.world.note(self.world.outside, f"answered: {type(error).__name__} {error}")
                return None
        return None

    async def _person(self, name: str, acts: int) -> None:
        actor = Actor(kind=ActorKind.PERSON, id=f"local/{name}")
        doings = (
            self._batch, self._undo, self._purge, self._batch, self._undo, self._purge,
            self._decide, self._reopen, self._settle, self._reprocess,
        )  # fmt: skip
        for number in range(acts):
            doing = self.choices.one_of(doings) if number else self._batch
            self.world.note(self.world.outside, f"{name}: {doing.__name__}")
            await doing(actor)
            await anyio.sleep(self.choices.one_of((0.0, 0.0, 1.0, 31.0, 130.0)))

    def _assets(self, *states: State) -> list[Asset]:
        """What a person sees in the list."""
        assets = self.world.database.tables.assets.values()
        return sorted((a for a in assets if a.state in states), key=lambda a: a.uuid)

    async def _decide(self, actor: Actor) -> None:
        for asset in self._assets(*DECIDABLE):
            action = self.choices.one_of(
                (Action.KEEP, Action.REJECT, Action.REJECT, None, Action.CLEAR)
            )
            if action is not None:
                await self._try(_deciding(actor, asset.uuid, action))

    async def _batch(self, actor: Actor) -> None:
        for asset in self._assets(State.DECISION_PENDING):
            action = self.choices.one_of((Action.KEEP, Action.REJECT))
            await self._try(_deciding(actor, asset.uuid, action))
        plan = await self._try(lambda p: p.moves.preview())
        if plan is None or not plan.moves:
            return
        batch = await self._try(lambda p: p.moves.execute(actor, plan, plan.digest))
        await self._run(batch)

    async def _run(self, batch: Batch | None) -> None:
        if batch is None:
            return
        self.batches.append(batch.batch_id)
        self.world.stats["undos" if batch.undoes else "batches"] += 1
        await self._try(lambda p: p.moves.run(batch.batch_id))

    async def _undo(self, actor: Actor) -> None:
        batches = sorted(self.world.database.tables.batches.values(), key=lambda b: b.batch_id)
        batches = [batch for batch in batches if not batch.undoes]
        if not batches:
            return
        which = self.choices.one_of(batches[::-1]).batch_id
        plan = await self._try(lambda p: p.undo.preview(which))
        if plan is None or not plan.moves:
            return
        await self._run(await self._try(lambda p: p.undo.execute(actor, plan, plan.digest)))

    async def _purge(self, actor: Actor) -> None:
        rejected = self._assets(State.REJECTED)
        if not rejected:
            return
        uuid = self.choices.one_of(rejected).uuid
        plan = await self._try(lambda p: p.purges.preview(uuid))
        if plan is None or plan.blocked:
            return
        await anyio.sleep(self.choices.one_of((0.0, 0.0, 1.0, 31.0)))
        if self.world.strangers and plan.files and self.choices.chance(0.2):
            self._change(f"{ROOT}/{self.choices.one_of(plan.files).path}")
        await self._try(lambda p: p.purges.purge(actor, plan, plan.digest))

    async def _reopen(self, actor: Actor) -> None:
        settled = self._assets(*SETTLED)
        if settled:
            await self._try(lambda p: p.review.reopen(actor, settled[0].uuid))

    async def _reprocess(self, actor: Actor) -> None:
        done = self._assets(State.PROCESSED, *SETTLED)
        if done:
            await self._try(lambda p: p.review.reprocess(actor, done[0].uuid))

    async def _settle(self, actor: Actor) -> None:
        parked = await self._try(lambda p: p.recovery.parked())
        for case in parked or ():
            open_now = offers(case)
            if open_now:
                choice, uuid = self.choices.one_of(open_now).choice, case.asset.uuid
                self.world.stats["settled"] += 1
                self._touch(case.asset)
                await self._try(lambda p, u=uuid, c=choice: p.recovery.settle(actor, u, c))  # type: ignore[misc]

    def _touch(self, asset: Asset) -> None:
        """From now on it is a person's word where the files are."""
        if asset.uuid in self.world.watch.homes:
            self.world.watch.touch(self.world.watch.homes[asset.uuid])

    # Agents

    async def _agent(self, name: str, rounds: int) -> None:
        needed = {c for t in CATALOG.job_types.values() for c in t.capabilities.values()}
        record = None
        for _ in range(5):
            answer = await self._try(lambda p: p.agents.register("c", name, "1", "test", needed))
            if answer is not None:
                record = answer[0]
                break
            await anyio.sleep(10)
        for _ in range(rounds if record else 0):
            assert record is not None
            await self._work(record)
            await anyio.sleep(self.choices.one_of((0.0, 50.0, 130.0)))

    async def _work(self, agent: AgentRecord) -> None:
        offered = await self._try(lambda p: p.processing.offered(agent, limit=5))
        if not offered:
            return
        uuid = self.choices.one_of(offered).source.uuid
        bundle = await self._try(lambda p: p.processing.claim_bundle(agent, uuid))
        for job in bundle.jobs if bundle else ():
            assert bundle is not None
            self.world.stats["claimed"] += 1
            await anyio.sleep(self.choices.one_of((0.0, 0.0, 0.0, 70.0, 130.0)))
            if self.choices.chance(0.2):
                await self._try(
                    lambda p, j=job: p.processing.heartbeat(agent, j.job_id, bundle.lock.token)  # type: ignore[misc]
                )
            await self._submit(agent, bundle, job)

    async def _submit(self, agent: AgentRecord, bundle: BundleClaim, job: Any) -> None:
        derived: tuple[DerivedClaim, ...] = ()
        fate = self.choices.below(6)
        if fate == 5:
            await self._try(
                lambda p: p.processing.fail(
                    agent, job.job_id, bundle.lock.token, "TIMEOUT", "late", retryable=True
                )
            )
            return
        if job.job_type in KINDS:
            claim = await self._upload(agent, bundle.asset.uuid, KINDS[job.job_type])
            if claim is None:
                return
            derived = (claim,)
        submission = Submission(
            lock_token=bundle.lock.token,
            job_type=job.job_type,
            facts=FACTS if job.job_type == "extract_facts" else {},
            derived=derived,
        )
        done = await self._try(lambda p: p.processing.submit(agent, job.job_id, submission))
        if done is not None and done.fencing != bundle.lock.fencing:
            self.world.violate(f"{job.job_type} was taken from one whose lease was over")

    async def _upload(self, agent: AgentRecord, uuid: AssetId, kind: str) -> DerivedClaim | None:
        content = JPEG + bytes([self.choices.below(200)])
        upload = await self._try(
            lambda p: p.uploads.init(
                agent, uuid, kind=kind, content_type="image/jpeg", size_bytes=len(content)
            )
        )
        if upload is None:
            return None
        part = done = None
        for _ in range(2):
            part = part or await self._try(
                lambda p: p.uploads.put_part(agent, uuid, upload.upload_id, 1, [content])
            )
            if part is None:
                continue
            etags = {1: part.etag}
            done = await self._try(
                lambda p, e=etags: p.uploads.complete(agent, uuid, upload.upload_id, e)  # type: ignore[misc]
            )
            if done is not None:
                break
        if done is None or done.ref is None:
            return None
        self.world.stats["uploads"] += 1
        return DerivedClaim(kind=kind, ref=done.ref)

    # Strangers

    def rogue(self, about: str) -> None:
        """Another program, in any instant: puts a file where a move would go, or changes or removes one."""
        world, choices = self.world, self.choices
        if world.away is not None or world.read_only:
            return
        plans = [
            f
            for b in world.database.tables.batches.values()
            for r in b.results
            for f in r.move.files
        ]
        what = 0 if about and choices.chance(0.5) else choices.below(4)
        if what == 0 and (plans or about):
            path = about
            if plans and not (about and choices.chance(0.8)):
                file = choices.one_of(plans)
                path = f"{ROOT}/{choices.one_of((file.target, file.source))}"
            inside = relative(path).startswith(("INBOX/", "ARCHIVE/", "REJECTS/"))
            if not inside or relative(path).rpartition("/")[2].startswith("."):
                return
            if self.put(path, content := self.content("rogue")):
                world.stats["rogue file"] += 1
                world.watch.touched.add(content)
                world.watch.came_at[content] = world.steps
                world.note(world.outside, f"a stranger puts a file at {relative(path)!r}")
            else:
                world.watch.precious.pop(content)
            return
        files = [
            (path, node)
            for path, node in world.tree.files(ROOT)
            if relative(path).partition("/")[0] in ("INBOX", "ARCHIVE", "REJECTS")
            and not relative(path).rpartition("/")[2].startswith(".")
            and node.content
        ]
        if not files:
            return
        path, node = choices.one_of(files)
        world.watch.touch(node.content)
        if what == 1:
            self._change(path)
        elif what == 2:
            world.note(world.outside, f"a stranger removes {relative(path)!r}")
            world.stats["rogue removal"] += 1
            world.watch.precious.pop(node.content, None)
            folder, name = world.tree.parent(path)
            node.device.drop(folder, name)
        else:
            folder, name = world.tree.parent(path)
            to = f"moved{world.token()}.jpg"
            world.note(world.outside, f"a stranger renames {relative(path)!r} to {to}")
            world.stats["rogue rename"] += 1
            node.device.rename(folder, name, folder, to)

    def _change(self, path: str) -> None:
        """Write other bytes into a file."""
        world = self.world
        node = world.tree.look(path)
        if node is None or node.kind != FILE or world.away is not None:
            return
        world.note(world.outside, f"a stranger changes {relative(path)!r}")
        world.stats["rogue change"] += 1
        world.watch.touch(node.content)
        world.watch.precious.pop(node.content, None)
        node.device.write(node, self.content("changed"), world.tree.tick())
        node.device.sync(node)
        world.watch.touched.add(node.content)
        world.watch.came_at[node.content] = world.steps


def _deciding(actor: Actor, uuid: AssetId, action: Action) -> Callable[[Process], Awaitable[Asset]]:
    return lambda process: process.review.decide(actor, uuid, action)


def CountedUuid(world: World) -> str:  # noqa: N802
    """A UUID of the run's own."""
    return world.processes[world.machines[0]].ids.uuid()
