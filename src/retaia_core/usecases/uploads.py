"""The story of a derived file: announced, sent in parts, checked, published, read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import BinaryIO

from attrs import evolve, frozen

from ..catalog import Catalog
from ..domain.agents import AgentRecord
from ..domain.assets import Asset, DerivedRef
from ..domain.derived import DerivedKind, check_content, check_declared
from ..domain.identifiers import AssetId
from ..domain.jobs import JobStatus
from ..domain.lifecycle import State
from ..domain.uploads import ABANDONED_AFTER, Part, Upload, UploadStatus
from ..errors import ForbiddenActor, NotFound, StateConflict, Unavailable, ValidationFailed
from ..ports.clock import Clock, Ids
from ..ports.derived_storage import DerivedStorage
from ..ports.store import Store, Transaction
from .agents import agent_actor
from .blocking import Blocking, in_thread
from .lookups import need_asset, need_living
from .storages import OpenDerived

COLLECTED_AT_ONCE = 10_000
"""How many abandoned uploads are looked at, at most, each time."""

_HEX = frozenset("0123456789abcdef")


def need_upload(tx: Transaction, upload_id: str) -> Upload:
    """Read an upload.

    Raises:
        NotFound: it was never announced, or was collected.
    """
    upload = tx.upload(upload_id)
    if upload is None:
        raise NotFound("there is no such upload; it may have been abandoned for too long")
    return upload


def _owner(agent: AgentRecord) -> str:
    return str(agent_actor(agent.agent_id))


def _owned(upload: Upload, uuid: AssetId, agent: AgentRecord) -> Upload:
    if upload.created_by != _owner(agent):
        raise ForbiddenActor("this upload is another agent's")
    if upload.asset != uuid:
        raise ValidationFailed(
            "this upload is of another asset", fields={"upload_id": "another asset's"}
        )
    return upload


@frozen(kw_only=True)
class Uploads:
    """The stories of derived files."""

    store: Store
    clock: Clock
    ids: Ids
    catalog: Catalog
    open_derived: OpenDerived
    blocking: Blocking = in_thread

    def _kind(self, name: str) -> DerivedKind:
        kind = self.catalog.derived_kinds.get(name)
        if kind is None:
            known = ", ".join(self.catalog.derived_kinds)
            raise ValidationFailed(
                f"{name!r} is no derived kind; known: {known}", fields={"kind": "unknown"}
            )
        return kind

    def init_in(
        self,
        agent: AgentRecord,
        uuid: AssetId,
        kind: str,
        content_type: str,
        size_bytes: int,
        sha256: str | None,
        tx: Transaction,
    ) -> Upload:
        """Announce a file, in a transaction.

        Raises:
            NotFound: no such asset.
            Purged: it was purged.
            StateConflict: the agent holds no job of it that makes this kind.
            ValidationFailed: kind, type, size or digest are not allowed.
        """
        check_declared(self._kind(kind), content_type=content_type, size_bytes=size_bytes)
        digest = sha256.lower() if sha256 else None
        if digest is not None and (len(digest) != 64 or not set(digest) <= _HEX):
            raise ValidationFailed(
                "sha256 must be 64 hexadecimal digits", fields={"sha256": "malformed"}
            )
        asset = need_living(tx, uuid)
        makes = any(
            job.status is JobStatus.CLAIMED
            and job.claimed_by == agent.agent_id
            and kind in self.catalog.job_types[job.job_type].outputs_for(asset.media_type)
            for job in tx.jobs_of(asset.subject, asset.review_version)
        )
        if not makes:
            raise StateConflict(
                f"this agent holds no job of the asset that makes a {kind}; claim one first"
            )
        upload = Upload(
            upload_id=self.ids.uuid().replace("-", ""),
            asset=uuid,
            kind=kind,
            content_type=content_type,
            size_bytes=size_bytes,
            sha256=digest,
            created_at=self.clock.now(),
            created_by=_owner(agent),
        )
        tx.save_upload(upload)
        return upload

    async def init(
        self,
        agent: AgentRecord,
        uuid: AssetId,
        *,
        kind: str,
        content_type: str,
        size_bytes: int,
        sha256: str | None = None,
    ) -> Upload:
        """Announce a file; see `init_in`."""
        work = partial(self.init_in, agent, uuid, kind, content_type, size_bytes, sha256)
        return await self.store.transact(work, durable=False)

    async def get(self, agent: AgentRecord, uuid: AssetId, upload_id: str) -> Upload:
        """An upload of this agent, with the parts that arrived (to go on after a restart)."""
        return await self.store.read(lambda tx: _owned(need_upload(tx, upload_id), uuid, agent))

    async def open_for(self, agent: AgentRecord, uuid: AssetId, upload_id: str) -> Upload:
        """An upload of this agent that is about to be written.

        Raises:
            NotFound: no such asset or upload.
            Purged: the asset was purged.
        """

        def find(tx: Transaction) -> Upload:
            need_living(tx, uuid)
            return _owned(need_upload(tx, upload_id), uuid, agent)

        return await self.store.read(find)

    async def _derived(self, uuid: AssetId) -> DerivedStorage:
        return await self.store.read(lambda tx: self._derived_of(tx, need_asset(tx, uuid)))

    def _derived_of(self, tx: Transaction, asset: Asset) -> DerivedStorage:
        storage = tx.storage(asset.storage_id)
        assert storage is not None
        return self.open_derived(storage)

    async def put_part(
        self,
        agent: AgentRecord,
        uuid: AssetId,
        upload_id: str,
        number: int,
        chunks: Iterable[bytes],
    ) -> Part:
        """Take one part; parts come in any order and may be repeated.

        Raises:
            ValidationFailed: the number or the size does not fit what was announced; what arrived of
                this part before is kept.
            StateConflict: the upload is complete.
        """
        upload = await self.open_for(agent, uuid, upload_id)
        if upload.status is UploadStatus.COMPLETE:
            raise StateConflict("the upload is complete; announce a new one")
        if not 1 <= number <= upload.part_count:
            raise ValidationFailed(
                f"part_number must be 1 to {upload.part_count}", fields={"part_number": "range"}
            )
        expected = upload.part_size(number)
        derived = await self._derived(uuid)
        whole = _exactly(expected, number, chunks)
        write = partial(derived.put_part, upload_id, number, whole, expected)
        part = await self.blocking(write)
        await self.store.transact(partial(self._note_part, upload_id, part), durable=False)
        return part

    def _note_part(self, upload_id: str, part: Part, tx: Transaction) -> None:
        upload = need_upload(tx, upload_id)
        others = [p for p in upload.parts if p.number != part.number]
        tx.save_upload(evolve(upload, parts=tuple(sorted((*others, part), key=_number))))

    async def publish(
        self, agent: AgentRecord, uuid: AssetId, upload_id: str, etags: Mapping[int, str]
    ) -> Upload:
        """Check and publish the file; the upload that comes back is to be saved by `complete_in`.

        Safe to repeat, also at the same time on another server: a file that was published before is
        found as it is. Until a submit names it, nobody sees it.

        Raises:
            ValidationFailed: parts are missing, or size, digest or content are not as announced;
                then nothing is kept.
        """
        upload = await self.open_for(agent, uuid, upload_id)
        if upload.status is UploadStatus.COMPLETE:
            return upload
        _check_parts(upload, etags)
        derived = await self._derived(uuid)
        try:
            return await self.blocking(partial(self._publish, upload, derived))
        except (NotFound, Unavailable):
            # Parts are removed once their upload is complete: another server may have done that.
            done = await self.open_for(agent, uuid, upload_id)
            if done.status is UploadStatus.COMPLETE:
                return done
            raise

    def _publish(self, upload: Upload, derived: DerivedStorage) -> Upload:
        kind = self._kind(upload.kind)
        count = upload.part_count
        sample = derived.sample(upload.upload_id, count, whole=kind.whole)
        try:
            check_content(kind, upload.content_type, sample)
        except ValidationFailed:
            derived.discard(upload.upload_id)
            raise
        ref = self._ref(upload)
        stored = derived.publish(upload.upload_id, count, ref)
        expected = upload.sha256 or stored.sha256
        if (stored.size_bytes, stored.sha256) != (upload.size_bytes, expected):
            derived.remove(ref)
            raise ValidationFailed(
                "the file that arrived is not the one that was announced (size or SHA-256); "
                "announce and send it again",
                fields={"sha256": "differs"},
            )
        return evolve(upload, status=UploadStatus.COMPLETE, ref=ref, sha256=stored.sha256)

    def complete_in(self, published: Upload, tx: Transaction) -> Upload:
        """Remember that an upload is complete, in a transaction."""
        current = need_upload(tx, published.upload_id)
        if current.status is UploadStatus.COMPLETE:
            return current
        tx.save_upload(published)
        return published

    async def complete(
        self, agent: AgentRecord, uuid: AssetId, upload_id: str, etags: Mapping[int, str]
    ) -> Upload:
        """`publish`, then `complete_in`, then `tidy`."""
        published = await self.publish(agent, uuid, upload_id, etags)
        work = partial(self.complete_in, published)
        done = await self.store.transact(work, durable=False)
        await self.tidy(done)
        return done

    async def tidy(self, upload: Upload) -> None:
        """Remove the parts of an upload that is complete; until then a crash may need them again."""
        derived = await self._derived(upload.asset)
        await self.blocking(derived.discard, upload.upload_id)

    # Reading

    async def refs(self, uuid: AssetId) -> tuple[DerivedRef, ...]:
        """The derived files of an asset, by kind and index; none of a purged one.

        Raises:
            NotFound: no such asset.
        """
        return await self.store.read(lambda tx: _refs(need_asset(tx, uuid)))

    async def find(
        self, uuid: AssetId, kind: str, index: int = 0
    ) -> tuple[DerivedRef, Callable[[], BinaryIO]]:
        """A derived file, and what opens it for reading, which may block, and raise `NotFound`.

        Raises:
            NotFound: there is no such asset or file.
        """

        def look(tx: Transaction) -> tuple[DerivedRef, DerivedStorage]:
            asset = need_asset(tx, uuid)
            for ref in _refs(asset):
                if (ref.kind, ref.index) == (kind, index):
                    return ref, self._derived_of(tx, asset)
            raise NotFound(f"the asset has no {kind} number {index}")

        ref, derived = await self.store.read(look)
        return ref, partial(derived.open, ref.ref)

    async def open(self, uuid: AssetId, kind: str, index: int = 0) -> tuple[DerivedRef, BinaryIO]:
        """Open a derived file for reading.

        Raises:
            NotFound: there is no such asset or file.
        """
        ref, opener = await self.find(uuid, kind, index)
        return ref, await self.blocking(opener)

    # Watchdog

    async def collect(self, age: timedelta = ABANDONED_AFTER) -> int:
        """Remove uploads that were abandoned, and published files that no asset refers to.

        Returns how many uploads it removed. What lies on a storage that is away is collected later.
        """
        limit = self.clock.now() - age
        old = await self.store.read(lambda tx: tuple(tx.uploads_before(limit, COLLECTED_AT_ONCE)))
        removed = 0
        for upload in old:
            with suppress(Unavailable):
                await self._collect(upload)
                removed += 1
        for storage in await self.store.read(lambda tx: tuple(tx.storages())):
            with suppress(Unavailable):
                await self._sweep(self.open_derived(storage), limit)
        return removed

    async def _collect(self, upload: Upload) -> None:
        derived = await self._derived(upload.asset)
        used = {ref.ref for ref in await self.refs(upload.asset)}
        # A crash after publishing leaves the file under the name that it was to have.
        known = upload.kind in self.catalog.derived_kinds
        ref = upload.ref or (self._ref(upload) if known else None)
        if ref is not None and ref not in used:
            await self.blocking(derived.remove, ref)
        await self.blocking(derived.discard, upload.upload_id)
        await self.store.transact(partial(_drop, upload.upload_id), durable=False)

    async def _sweep(self, derived: DerivedStorage, limit: datetime) -> None:
        """Remove what is left of uploads that nobody knows any more."""
        for upload_id in await self.blocking(derived.stale, limit):
            if await self.store.read(partial(_upload, upload_id)) is None:
                await self.blocking(derived.discard, upload_id)

    def _ref(self, upload: Upload) -> str:
        suffix = self._kind(upload.kind).suffixes[upload.content_type]
        return f"{upload.asset}/{upload.kind}-{upload.upload_id}{suffix}"


def _upload(upload_id: str, tx: Transaction) -> Upload | None:
    return tx.upload(upload_id)


def _refs(asset: Asset) -> tuple[DerivedRef, ...]:
    if asset.state is State.PURGED:
        return ()
    return tuple(sorted(asset.derived, key=lambda d: (d.kind, d.index)))


def _drop(upload_id: str, tx: Transaction) -> None:
    tx.drop_upload(upload_id)


def _number(part: Part) -> int:
    return part.number


def _exactly(expected: int, number: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of a part, which raise where they end early, before they replace what arrived before.

    Raises:
        ValidationFailed: there are fewer than expected; more are the storage's to refuse.
    """
    got = 0
    for chunk in chunks:
        got += len(chunk)
        yield chunk
    if got < expected:
        raise ValidationFailed(
            f"part {number} must have {expected} bytes, not {got}; send it again",
            fields={"chunk": "size"},
        )


def _check_parts(upload: Upload, etags: Mapping[int, str]) -> None:
    have = {part.number: part.etag for part in upload.parts}
    wanted = range(1, upload.part_count + 1)
    missing = [number for number in wanted if number not in have]
    wrong = [number for number, etag in etags.items() if have.get(number) != etag]
    if missing or wrong:
        said = [f"missing: {missing}"] * bool(missing) + [f"another ETag: {wrong}"] * bool(wrong)
        raise ValidationFailed(
            f"the parts are not complete; {'; '.join(said)}", fields={"parts": said}
        )
