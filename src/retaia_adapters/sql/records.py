"""Everything in a transaction that is neither an asset nor a job: storages, scans, batches, trails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from attrs import frozen
from sqlalchemy import bindparam, delete, select, update

from retaia_core.domain.agents import AgentRecord
from retaia_core.domain.identifiers import AgentId, BatchId, StorageId, Subject
from retaia_core.domain.journal import Event, JournalEntry, Phase
from retaia_core.domain.moves import Batch, BatchStatus, BlockedMove, MoveResult
from retaia_core.domain.results import StoredResult
from retaia_core.domain.scans import FolderRecord, UnmatchedSidecar
from retaia_core.domain.storage import Storage
from retaia_core.domain.uploads import Upload
from retaia_core.errors import NotFound, StateConflict
from retaia_core.ports.store import Replay

from . import schema
from .dialects import Dialect, Row, Statement
from .session import Session
from .values import dump, load_object, maybe_micros, maybe_time, micros, time_of

T = TypeVar("T")

_storage = msgspec.json.Decoder(Storage)
_agent = msgspec.json.Decoder(AgentRecord)
_upload = msgspec.json.Decoder(Upload)
_result = msgspec.json.Decoder(StoredResult)
_move_result = msgspec.json.Decoder(MoveResult)
_blocked = msgspec.json.Decoder(tuple[BlockedMove, ...])

_storages, _agents, _folders = schema.storages.c, schema.agents.c, schema.folders.c
_unmatched, _uploads, _results = schema.unmatched.c, schema.uploads.c, schema.results.c
_batches, _moves, _events = schema.batches.c, schema.move_results.c, schema.events.c
_journal, _replays = schema.journal.c, schema.replays.c


@frozen(kw_only=True)
class RecordStatements:
    """Every statement about them, built once."""

    storages: Statement
    storage: Statement
    save_storage: Statement
    agents: Statement
    agent: Statement
    save_agent: Statement
    folders: Statement
    save_folder: Statement
    drop_folder: Statement
    clear_unmatched: Statement
    add_unmatched: Statement
    unmatched: Statement
    unmatched_of: Statement
    upload: Statement
    save_upload: Statement
    drop_upload: Statement
    uploads_before: Statement
    result: Statement
    save_result: Statement
    add_batch: Statement
    add_move: Statement
    batch: Statement
    moves: Statement
    batches: Statement
    open_batches: Statement
    save_batch: Statement
    save_move: Statement
    add_event: Statement
    events: Statement
    events_of: Statement
    add_journal: Statement
    journal: Statement
    journal_of: Statement
    journal_in: Statement
    journal_both: Statement
    replay: Statement
    save_replay: Statement
    drop_replays: Statement

    @classmethod
    def build(cls, dialect: Dialect) -> RecordStatements:
        """Compile them for one database."""
        return cls(
            **_people(dialect),
            **_scans(dialect),
            **_files(dialect),
            **_batch_statements(dialect),
            **_trails(dialect),
        )


def _people(dialect: Dialect) -> dict[str, Statement]:
    storages, agents = select(_storages.document), select(_agents.document)
    return {
        "storages": dialect.compile(storages.order_by(_storages.storage_id)),
        "storage": dialect.compile(storages.where(_storages.storage_id == bindparam("key"))),
        "save_storage": dialect.upsert(schema.storages, "storage_id"),
        "agents": dialect.compile(agents.order_by(_agents.agent_id)),
        "agent": dialect.compile(agents.where(_agents.agent_id == bindparam("key"))),
        "save_agent": dialect.upsert(schema.agents, "agent_id"),
    }


def _scans(dialect: Dialect) -> dict[str, Statement]:
    here = _folders.storage_id == bindparam("storage_id")
    side = _unmatched.storage_id == bindparam("storage_id")
    sidecars = select(
        _unmatched.storage_id, _unmatched.path, _unmatched.rule, _unmatched.reason
    ).order_by(_unmatched.storage_id, _unmatched.path)
    return {
        "folders": dialect.compile(select(*_folders).where(here)),
        "save_folder": dialect.upsert(schema.folders, "storage_id", "folder"),
        "drop_folder": dialect.compile(
            delete(schema.folders).where(here, _folders.folder == bindparam("folder"))
        ),
        "clear_unmatched": dialect.compile(
            delete(schema.unmatched).where(side, _unmatched.folder == bindparam("folder"))
        ),
        "add_unmatched": dialect.upsert(schema.unmatched, "storage_id", "folder", "path"),
        "unmatched": dialect.compile(sidecars),
        "unmatched_of": dialect.compile(sidecars.where(side)),
    }


def _files(dialect: Dialect) -> dict[str, Statement]:
    before = _uploads.created_at < bindparam("before")
    oldest = select(_uploads.document).order_by(_uploads.created_at, _uploads.upload_id)
    which = _uploads.upload_id == bindparam("key")
    result = select(_results.document).where(_results.key == bindparam("key"))
    return {
        "upload": dialect.compile(select(_uploads.document).where(which)),
        "save_upload": dialect.upsert(schema.uploads, "upload_id"),
        "drop_upload": dialect.compile(delete(schema.uploads).where(which)),
        "uploads_before": dialect.compile(oldest.where(before).limit(bindparam("limit"))),
        "result": dialect.compile(result),
        "save_result": dialect.upsert(schema.results, "key"),
    }


def _batch_statements(dialect: Dialect) -> dict[str, Statement]:
    which = _batches.batch_id == bindparam("which")
    newest = select(*_batches).order_by(_batches.created_at.desc(), _batches.batch_id.desc())
    newest = newest.limit(bindparam("limit"))
    saved = {name: bindparam(name, type_=_batches[name].type) for name in ("status", "finished_at")}
    move = (_moves.batch_id == bindparam("which"), _moves.asset == bindparam("asset"))
    document = {"document": bindparam("document", type_=_moves.document.type)}
    moves = select(_moves.document).where(_moves.batch_id == bindparam("which"))
    return {
        "add_batch": dialect.insert(schema.batches, ignore=True),
        "add_move": dialect.insert(schema.move_results),
        "batch": dialect.compile(select(*_batches).where(which)),
        "moves": dialect.compile(moves.order_by(_moves.position)),
        "batches": dialect.compile(newest),
        "open_batches": dialect.compile(newest.where(_batches.status != "DONE")),
        "save_batch": dialect.compile(update(schema.batches).values(saved).where(which)),
        "save_move": dialect.compile(update(schema.move_results).values(document).where(*move)),
    }


def _trails(dialect: Dialect) -> dict[str, Statement]:
    def of_subject(columns: Any) -> tuple[Any, Any]:
        return (
            columns.subject_kind == bindparam("subject_kind"),
            columns.subject_id == bindparam("subject_id"),
        )

    events = select(*_events).where(_events.seq > bindparam("after")).order_by(_events.seq)
    events = events.limit(bindparam("limit"))
    entries = select(*_journal).order_by(_journal.seq)
    batch = _journal.batch_id == bindparam("batch_id")
    scope = select(*_replays).where(_replays.scope == bindparam("scope"))
    old = delete(schema.replays).where(_replays.created_at < bindparam("before"))
    return {
        "add_event": dialect.insert(schema.events),
        "events": dialect.compile(events),
        "events_of": dialect.compile(events.where(*of_subject(_events))),
        "add_journal": dialect.insert(schema.journal),
        "journal": dialect.compile(entries),
        "journal_of": dialect.compile(entries.where(*of_subject(_journal))),
        "journal_in": dialect.compile(entries.where(batch)),
        "journal_both": dialect.compile(entries.where(batch, *of_subject(_journal))),
        "replay": dialect.compile(scope),
        "save_replay": dialect.upsert(schema.replays, "scope"),
        "drop_replays": dialect.compile(old),
    }


class RecordTransaction:
    """The part of a transaction that is about them."""

    _session: Session
    _records: RecordStatements

    def _document(
        self, statement: Statement, key: str, decoder: msgspec.json.Decoder[T]
    ) -> T | None:
        rows = self._session.rows(statement, {"key": key})
        return decoder.decode(rows[0][0]) if rows else None

    # Storages and agents

    def storages(self) -> Sequence[Storage]:
        return [_storage.decode(row[0]) for row in self._session.rows(self._records.storages, {})]

    def storage(self, storage_id: StorageId) -> Storage | None:
        return self._document(self._records.storage, storage_id, _storage)

    def save_storage(self, storage: Storage) -> None:
        values = {"storage_id": storage.storage_id, "document": dump(storage)}
        self._session.send(self._records.save_storage, values)

    def agent(self, agent_id: AgentId) -> AgentRecord | None:
        return self._document(self._records.agent, agent_id, _agent)

    def agents(self) -> Sequence[AgentRecord]:
        return [_agent.decode(row[0]) for row in self._session.rows(self._records.agents, {})]

    def save_agent(self, agent: AgentRecord) -> None:
        values = {"agent_id": agent.agent_id, "document": dump(agent)}
        self._session.send(self._records.save_agent, values)

    # Discovery

    def folders(self, storage_id: StorageId) -> Mapping[str, FolderRecord]:
        rows = self._session.rows(self._records.folders, {"storage_id": storage_id})
        return {row[1]: _folder_of(row) for row in rows}

    def save_folders(self, records: Iterable[FolderRecord]) -> None:
        statement = self._records.save_folder
        last = {(record.storage_id, record.folder): record for record in records}
        rows = [statement.bind(_folder_row(record)) for record in last.values()]
        self._session.insert_all((statement, rows))

    def drop_folders(self, storage_id: StorageId, folders: Iterable[str]) -> None:
        for folder in folders:
            values = {"storage_id": storage_id, "folder": folder}
            self._session.send(self._records.drop_folder, values)

    def set_unmatched(
        self, storage_id: StorageId, folder: str, sidecars: Iterable[UnmatchedSidecar]
    ) -> None:
        here = {"storage_id": storage_id, "folder": folder}
        self._session.send(self._records.clear_unmatched, here)
        for sidecar in sidecars:
            said = {"path": sidecar.path, "rule": sidecar.rule, "reason": sidecar.reason}
            values = {"storage_id": sidecar.storage_id, "folder": folder, **said}
            self._session.send(self._records.add_unmatched, values)

    def unmatched(self, storage_id: StorageId | None = None) -> Sequence[UnmatchedSidecar]:
        of_all = storage_id is None
        statement = self._records.unmatched if of_all else self._records.unmatched_of
        rows = self._session.rows(statement, {"storage_id": storage_id})
        return [
            UnmatchedSidecar(storage_id=storage, path=path, rule=rule, reason=reason)
            for storage, path, rule, reason in rows
        ]

    # Uploads and known results

    def upload(self, upload_id: str) -> Upload | None:
        return self._document(self._records.upload, upload_id, _upload)

    def save_upload(self, upload: Upload) -> None:
        created = micros(upload.created_at)
        values = {"upload_id": upload.upload_id, "created_at": created, "document": dump(upload)}
        self._session.send(self._records.save_upload, values)

    def drop_upload(self, upload_id: str) -> None:
        self._session.send(self._records.drop_upload, {"key": upload_id})

    def uploads_before(self, time: datetime, limit: int = 100) -> Sequence[Upload]:
        values = {"before": micros(time), "limit": limit}
        rows = self._session.rows(self._records.uploads_before, values)
        return [_upload.decode(row[0]) for row in rows]

    def known_result(self, key: str) -> StoredResult | None:
        return self._document(self._records.result, key, _result)

    def save_result(self, result: StoredResult) -> None:
        values = {"key": result.key, "document": dump(result)}
        self._session.send(self._records.save_result, values)

    # Batches

    def add_batch(self, batch: Batch) -> None:
        if not self._session.change(self._records.add_batch, _batch_row(batch)):
            raise StateConflict(f"batch {batch.batch_id} is there already")
        statement = self._records.add_move
        rows = [
            statement.bind(_move_row(batch.batch_id, n, result))
            for n, result in enumerate(batch.results)
        ]
        self._session.insert_all((statement, rows))

    def batch(self, batch_id: BatchId) -> Batch | None:
        rows = self._session.rows(self._records.batch, {"which": batch_id})
        return self._batch_of(rows[0]) if rows else None

    def batches(self, *, open_only: bool = False, limit: int = 50) -> Sequence[Batch]:
        statement = self._records.open_batches if open_only else self._records.batches
        return [self._batch_of(row) for row in self._session.rows(statement, {"limit": limit})]

    def _batch_of(self, row: Row) -> Batch:
        batch_id, status, digest, created, created_by, finished, blocked = row
        moves = self._session.rows(self._records.moves, {"which": batch_id})
        return Batch(
            batch_id=batch_id,
            status=BatchStatus(status),
            digest=digest,
            created_at=time_of(created),
            created_by=created_by,
            results=tuple(_move_result.decode(move[0]) for move in moves),
            blocked=_blocked.decode(blocked) if blocked else (),
            finished_at=maybe_time(finished),
        )

    def save_batch(self, batch: Batch) -> None:
        values = {
            "which": batch.batch_id,
            "status": batch.status.value,
            "finished_at": maybe_micros(batch.finished_at),
        }
        if not self._session.change(self._records.save_batch, values):
            raise NotFound(f"there is no batch {batch.batch_id}")

    def save_move_result(self, batch_id: BatchId, *results: MoveResult) -> None:
        statement = self._records.save_move
        rows = [
            statement.bind({"which": batch_id, "asset": r.asset, "document": dump(r)})
            for r in results
        ]
        counts = self._session.change_all(statement, rows)
        for result, count in zip(results, counts, strict=True):
            if not count:
                raise NotFound(f"there is no batch {batch_id} that moves asset {result.asset}")

    # Audit trail, journal, idempotency

    def add_event(self, *events: Event) -> None:
        self._session.send_all(self._records.add_event, [_event_row(event) for event in events])

    def events(
        self, subject: Subject | None = None, *, after: int = 0, limit: int = 1000
    ) -> Sequence[Event]:
        values: dict[str, object] = {"after": after, "limit": limit}
        statement = self._records.events
        if subject is not None:
            statement = self._records.events_of
            values |= {"subject_kind": subject.kind, "subject_id": subject.id}
        return [event_of(row) for row in self._session.rows(statement, values)]

    def add_journal(self, *entries: JournalEntry) -> None:
        self._session.send_all(
            self._records.add_journal, [_journal_row(entry) for entry in entries]
        )

    def journal(
        self, *, subject: Subject | None = None, batch_id: str | None = None
    ) -> Sequence[JournalEntry]:
        values: dict[str, object] = {"batch_id": batch_id}
        if subject is not None:
            values |= {"subject_kind": subject.kind, "subject_id": subject.id}
        statement = {
            (False, False): self._records.journal,
            (True, False): self._records.journal_of,
            (False, True): self._records.journal_in,
            (True, True): self._records.journal_both,
        }[subject is not None, batch_id is not None]
        return [entry_of(row) for row in self._session.rows(statement, values)]

    def replay(self, scope: str) -> Replay | None:
        if self._session.writing:
            self._session.serialise(f"replay {scope}")
        rows = self._session.rows(self._records.replay, {"scope": scope})
        return _replay_of(rows[0]) if rows else None

    def save_replay(self, replay: Replay) -> None:
        values = {
            "scope": replay.scope,
            "body_digest": replay.body_digest,
            "status": replay.status,
            "body": replay.body,
            "created_at": micros(replay.created_at),
        }
        self._session.send(self._records.save_replay, values)

    def drop_replays_before(self, time: datetime) -> int:
        return self._session.change(self._records.drop_replays, {"before": micros(time)})


def _folder_row(record: FolderRecord) -> dict[str, object]:
    return {
        "storage_id": record.storage_id,
        "folder": record.folder,
        "digest": record.digest,
        "settled": record.settled,
        "files": record.files,
        "skipped": dump(record.skipped),
    }


def _folder_of(row: Row) -> FolderRecord:
    storage_id, folder, digest, settled, files, skipped = row
    return FolderRecord(
        storage_id=storage_id,
        folder=folder,
        digest=digest,
        settled=bool(settled),
        files=files,
        skipped=load_object(skipped),
    )


def _batch_row(batch: Batch) -> dict[str, object]:
    return {
        "batch_id": batch.batch_id,
        "status": batch.status.value,
        "digest": batch.digest,
        "created_at": micros(batch.created_at),
        "created_by": batch.created_by,
        "finished_at": maybe_micros(batch.finished_at),
        "blocked": dump(batch.blocked),
    }


def _move_row(batch_id: BatchId, position: int, result: MoveResult) -> dict[str, object]:
    place = {"batch_id": batch_id, "asset": result.asset, "position": position}
    return {**place, "document": dump(result)}


def _event_row(event: Event) -> tuple[object, ...]:
    """The row, its columns in the table's order, but for its number."""
    return (
        event.subject.kind,
        event.subject.id,
        event.name,
        event.actor,
        micros(event.at),
        dump(event.data),
    )


def event_of(row: Row) -> Event:
    """The event of a row, its columns in the table's order."""
    seq, kind, identity, name, actor, at, data = row
    return Event(
        subject=Subject(kind=kind, id=identity),
        name=name,
        actor=actor,
        at=time_of(at),
        data=load_object(data),
        seq=seq,
    )


def _journal_row(entry: JournalEntry) -> tuple[object, ...]:
    """The row, its columns in the table's order, but for its number."""
    return (
        entry.subject.kind,
        entry.subject.id,
        entry.batch_id,
        entry.operation,
        entry.phase.value,
        entry.storage_id,
        entry.source,
        entry.target,
        micros(entry.at),
        entry.fencing,
        dump(entry.evidence),
    )


def entry_of(row: Row) -> JournalEntry:
    """The line of the journal of a row, its columns in the table's order."""
    seq, kind, identity, batch_id, operation, phase, storage_id, source, target, at = row[:10]
    fencing, evidence = row[10:12]
    return JournalEntry(
        operation=operation,
        phase=Phase(phase),
        subject=Subject(kind=kind, id=identity),
        storage_id=storage_id,
        source=source,
        target=target,
        at=time_of(at),
        batch_id=batch_id,
        fencing=fencing,
        evidence=load_object(evidence),
        seq=seq,
    )


def _replay_of(row: Row) -> Replay:
    scope, digest, status, body, created = row
    return Replay(
        scope=scope,
        body_digest=digest,
        status=status,
        body=bytes(body),
        created_at=time_of(created),
    )
