"""The stories of `kill_points`, told by real use cases in a process that may die, and what is left after it.

``python -m retaia_tests.kill_stories`` reads one request per line (JSON) and answers each with one line.
Every request is done by a process of its own, which has everything loaded and opens the database itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import traceback
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from attrs import evolve, frozen

from retaia_adapters.sql.store import open_store
from retaia_core.catalog import builtin_catalog
from retaia_core.domain.actors import Actor, ActorKind
from retaia_core.domain.agents import AgentRecord
from retaia_core.domain.assets import Asset
from retaia_core.domain.identifiers import BatchId, StorageId
from retaia_core.domain.lifecycle import State, Verdict
from retaia_core.domain.storage import Layout, Storage
from retaia_core.ports.derived_storage import DerivedStorage
from retaia_core.ports.store import Transaction
from retaia_core.shell.clock import RandomIds, SystemClock
from retaia_core.usecases.agents import Agents
from retaia_core.usecases.discovery import Discovery
from retaia_core.usecases.lifecycle_hooks import HookRunner
from retaia_core.usecases.moves import Moves
from retaia_core.usecases.processing import Processing
from retaia_core.usecases.purges import Purges
from retaia_core.usecases.scan_tally import ScanOptions
from retaia_core.usecases.storages import Storages
from retaia_core.usecases.undo import Undo
from retaia_core.usecases.uploads import Uploads

from .house import JPEG
from .kill_points import POINTS, Killer, MortalDerived, MortalDriver, MortalStore, Point

PERSON = Actor(kind=ActorKind.PERSON, id="local/ana")
NAS = StorageId("nas")
VERDICTS = {
    "INBOX/a.jpg": Verdict.KEEP,
    "INBOX/day/b.jpg": Verdict.KEEP,
    "INBOX/day/c.jpg": Verdict.REJECT,
}
FILES = {
    "INBOX/a.jpg": b"a" * 70_000,
    "INBOX/a.xmp": b"<a/>",
    "INBOX/day/b.jpg": b"b" * 80_000,
    "INBOX/day/b.xmp": b"<b/>",
    "INBOX/day/c.jpg": b"c" * 90_000,
    "INBOX/day/c.xmp": b"<c/>",
    "ARCHIVE/a.jpg": b"somebody else's",
}
LATER = timedelta(minutes=10)
"""A restart comes when every lease of the process that died is over."""


class Later(SystemClock):
    """The clock of a process that starts some time after the others."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


@frozen(kw_only=True)
class Shop:
    """The use cases of one process over a database and a folder."""

    root: Path
    clock: Later
    store: MortalStore
    storages: Storages
    discovery: Discovery
    moves: Moves
    undo: Undo
    purges: Purges
    agents: Agents
    processing: Processing
    uploads: Uploads
    derived: MortalDerived

    async def asset(self, path: str) -> Asset:
        found = await self.store.read(lambda tx: tx.asset_at(NAS, path))
        assert found is not None
        return found

    async def agent(self, name: str) -> AgentRecord:
        types = self.processing.catalog.job_types.values()
        every = {c for kind in types for c in kind.capabilities.values()}
        record, _ = await self.agents.register(name, name, "1", "test", every)
        return record


@asynccontextmanager
async def opened(url: str, root: Path, killer: Killer) -> AsyncIterator[Shop]:
    """Put the use cases together, as a program does."""
    store = MortalStore(open_store(url, server=False), killer)
    clock, ids, catalog = Later(), RandomIds(), builtin_catalog()
    derived = MortalDerived(root, NAS, killer)

    def open_derived(storage: Storage) -> DerivedStorage:
        return derived

    storages = Storages(
        store=store, clock=clock, ids=ids, driver=MortalDriver(killer), catalog=catalog
    )
    agents = Agents(store=store, clock=clock, ids=ids, catalog=catalog)
    moves = Moves(store=store, clock=clock, ids=ids, storages=storages)
    hooks = HookRunner(store=store, clock=clock, hooks=())
    common: dict[str, Any] = {"store": store, "clock": clock, "ids": ids}
    await store.prepare()
    try:
        yield Shop(
            root=root,
            clock=clock,
            store=store,
            storages=storages,
            discovery=Discovery(**common, catalog=catalog, storages=storages),
            moves=moves,
            undo=Undo(moves=moves),
            purges=Purges(**common, storages=storages, open_derived=open_derived),
            agents=agents,
            processing=Processing(
                **common, catalog=catalog, agents=agents, open_derived=open_derived, hooks=hooks
            ),
            uploads=Uploads(**common, catalog=catalog, open_derived=open_derived),
            derived=derived,
        )
    finally:
        await store.close()


# Before the story


async def prepare(shop: Shop) -> None:
    """A storage with three photos, one of whose names is taken in the archive, all proven stable."""
    await shop.storages.adopt(PERSON, str(shop.root), Layout(), storage_id=NAS)
    for path, content in FILES.items():
        place = shop.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        os.utime(place, ns=(10**18, 10**18))
    for _ in range(2):
        await shop.discovery.scan(NAS, ScanOptions(quiet=timedelta(0), policies=frozenset()))


async def decide(shop: Shop) -> None:
    def save(tx: Transaction) -> None:
        for path, verdict in VERDICTS.items():
            asset = tx.asset_at(NAS, path)
            assert asset is not None
            tx.save_asset(evolve(asset, state=State(f"DECIDED_{verdict}"), verdict=verdict))

    await shop.store.transact(save)


async def apply(shop: Shop) -> BatchId:
    plan = await shop.moves.preview()
    assert len(plan.moves) == len(VERDICTS)
    batch = await shop.moves.execute(PERSON, plan, plan.digest)
    await shop.moves.run(batch.batch_id)
    return batch.batch_id


# The stories


async def _move(shop: Shop, killer: Killer, point: Point) -> None:
    await decide(shop)
    killer.point = point
    await apply(shop)


async def _undo(shop: Shop, killer: Killer, point: Point) -> None:
    await decide(shop)
    done = await apply(shop)
    plan = await shop.undo.preview(done)
    assert len(plan.moves) == len(VERDICTS)
    killer.point = point
    batch = await shop.undo.execute(PERSON, plan, plan.digest)
    await shop.moves.run(batch.batch_id)


async def _purge(shop: Shop, killer: Killer, point: Point) -> None:
    await decide(shop)
    await apply(shop)
    asset = await shop.asset("REJECTS/day/c.jpg")
    shop.derived.put_part("u1", 1, [b"thumb"], 100)
    shop.derived.publish("u1", 1, f"{asset.uuid}/thumb-0.jpg")
    shop.derived.discard("u1")
    plan = await shop.purges.preview(asset.uuid)
    assert len(plan.files) == 3
    killer.point = point
    await shop.purges.purge(PERSON, plan, plan.digest)


async def _claim(shop: Shop, killer: Killer, point: Point) -> None:
    agent, asset = await shop.agent("first"), await shop.asset("INBOX/a.jpg")
    killer.point = point
    await shop.processing.claim_bundle(agent, asset.uuid)


async def _upload(shop: Shop, killer: Killer, point: Point) -> None:
    agent, asset = await shop.agent("first"), await shop.asset("INBOX/a.jpg")
    await shop.processing.claim_bundle(agent, asset.uuid)
    upload = await shop.uploads.init(
        agent, asset.uuid, kind="proxy_photo", content_type="image/jpeg", size_bytes=len(JPEG)
    )
    part = await shop.uploads.put_part(agent, asset.uuid, upload.upload_id, 1, [JPEG])
    (shop.root / "upload").write_text(json.dumps([upload.upload_id, part.etag]))
    killer.point = point
    await shop.uploads.complete(agent, asset.uuid, upload.upload_id, {1: part.etag})


STORIES = {"move": _move, "undo": _undo, "purge": _purge, "claim": _claim, "upload": _upload}


# After it


async def _recover(shop: Shop, story: str) -> None:
    """What a start and the watchdog do."""
    await shop.moves.recover()
    await shop.purges.recover(held=True)
    await shop.processing.recover_leases()
    if story == "upload":
        await _complete_again(shop)


async def _complete_again(shop: Shop) -> None:
    """The agent got no answer, and asks once more."""
    upload_id, etag = json.loads((shop.root / "upload").read_text())
    agent, asset = await shop.agent("first"), await shop.asset("INBOX/a.jpg")
    done = await shop.uploads.complete(agent, asset.uuid, upload_id, {1: etag})
    assert done.ref is not None
    with shop.derived.open(done.ref) as file:
        assert file.read() == JPEG


async def _claim_again(shop: Shop) -> dict[str, Any]:
    """Another agent asks for the jobs of the one that was never heard of again."""
    agent, asset = await shop.agent("second"), await shop.asset("INBOX/a.jpg")
    before = await shop.store.read(lambda tx: tx.lock(asset.subject))
    bundle = await shop.processing.claim_bundle(agent, asset.uuid)
    jobs = await shop.store.read(lambda tx: tuple(tx.jobs_of(asset.subject)))
    return {
        "fencing": [before.fencing if before else 0, bundle.lock.fencing],
        "holders": sorted({str(job.status) for job in jobs}),
        "jobs": len(bundle.jobs),
    }


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def _picture(shop: Shop) -> dict[str, Any]:
    """Everything on disk and in the database that recovery could change."""
    files = {
        path.relative_to(shop.root).as_posix(): _digest(path)
        for path in sorted(shop.root.rglob("*"))
        if path.is_file() and path.name not in (".retaia", "upload")
    }
    return {"files": files, **await shop.store.read(partial(_rows, shop.clock.now()))}


def _rows(now: datetime, tx: Transaction) -> dict[str, Any]:
    assets = [asset for state in State for asset in tx.assets_in_states([state], limit=100)]
    batches = [tx.batch(batch.batch_id) for batch in tx.batches(limit=100)]
    trail = {asset.uuid: list(tx.events(subject=asset.subject, limit=1000)) for asset in assets}
    return {
        "assets": {asset.uuid: _told(asset) for asset in assets},
        "batches": [
            [batch.status.value, [result.outcome.value for result in batch.results]]
            for batch in batches
            if batch is not None
        ],
        "events": {uuid: Counter(e.name for e in events) for uuid, events in trail.items()},
        "journal": {
            asset.uuid: [
                [entry.operation, entry.phase.value, entry.source]
                for entry in tx.journal(subject=asset.subject)
            ]
            for asset in assets
        },
        "held": len(tx.locks(now=now, expired=False)) + len(tx.locks(now=now, expired=True)),
    }


def _told(asset: Asset) -> dict[str, Any]:
    return {
        "state": asset.state.value,
        "path": asset.path,
        "sidecars": [sidecar.path for sidecar in asset.sidecars],
        "flags": sorted(asset.flags),
    }


# Requests


async def _tell(url: str, root: Path, name: str, story: str) -> None:
    killer = Killer()
    (point,) = [p for p in POINTS if (p.story, p.name) == (story, name)]
    async with opened(url, root, killer) as shop:
        await prepare(shop)
        await STORIES[story](shop, killer, point)


async def _restart(url: str, root: Path, story: str) -> dict[str, Any]:
    """A start after the time of every lease, and the watchdog as long after that."""
    pictures = []
    async with opened(url, root, Killer()) as shop:
        for _ in range(2):
            shop.clock.ahead += LATER
            await _recover(shop, story)
            pictures.append(await _picture(shop))
        claimed = await _claim_again(shop) if story == "claim" else None
    return {"first": pictures[0], "second": pictures[1], "claimed": claimed}


async def _schema(url: str) -> None:
    store = open_store(url, server=False)
    await store.prepare()
    await store.close()


def _do(request: dict[str, str]) -> None:
    url, act = request["url"], request["act"]
    if act == "schema":
        anyio.run(_schema, url)
    elif act == "tell":
        anyio.run(_tell, url, Path(request["root"]), request["point"], request["story"])
    else:
        found = anyio.run(_restart, url, Path(request["root"]), request["story"])
        Path(request["answer"]).write_text(json.dumps(found))


def _in_a_process(request: dict[str, str]) -> int:
    """Do a request in a process of its own; its exit status, negative for a signal."""
    child = os.fork()
    if child == 0:
        try:
            _do(request)
        except BaseException:  # noqa: BLE001 - whatever it is, it is told, and this process ends
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    for line in sys.stdin:
        print(_in_a_process(json.loads(line)), flush=True)
