"""The part of a transaction that is about the trails as a whole, and the seals over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from attrs import frozen
from sqlalchemy import Select, and_, bindparam, func, literal_column, or_, select

from retaia_core.domain.assets import Asset
from retaia_core.domain.history import Place
from retaia_core.domain.identifiers import AssetId, StorageId, Subject, folder_of, name_of
from retaia_core.domain.journal import Event, JournalEntry
from retaia_core.domain.seals import Awaited, Kind, Seal
from retaia_core.errors import StateConflict
from retaia_core.ports.history_store import Stretch

from . import schema
from .asset_rows import COLUMNS, asset_of
from .dialects import Dialect, Row, Statement
from .records import entry_of, event_of
from .session import Session
from .values import dump, micros, time_of

_e, _j, _a, _s = schema.events.c, schema.journal.c, schema.assets.c, schema.seals.c
_awaited = msgspec.json.Decoder(list[tuple[Kind, int, int]])


@frozen(kw_only=True)
class HistoryStatements:
    """Every statement about them, built once."""

    journal: Statement
    journal_of: Statement
    journal_in: Statement
    journal_both: Statement
    latest: Statement
    events_at: Statement
    journal_at: Statement
    events_from: Statement
    journal_from: Statement
    events_until: Statement
    journal_until: Statement
    events_behind: Statement
    journal_behind: Statement
    once_at: Statement
    moved_at: Statement
    last_seal: Statement
    seals: Statement
    add_seal: Statement

    @classmethod
    def build(cls, dialect: Dialect) -> HistoryStatements:
        """Compile them for one database."""
        entries = select(*_j).where(_j.seq > bindparam("after")).order_by(_j.seq)
        entries = entries.limit(bindparam("limit"))
        batch = _j.batch_id == bindparam("batch_id")
        subject = (
            _j.subject_kind == bindparam("subject_kind"),
            _j.subject_id == bindparam("subject_id"),
        )
        return cls(
            journal=dialect.compile(entries),
            journal_of=dialect.compile(entries.where(*subject)),
            journal_in=dialect.compile(entries.where(batch)),
            journal_both=dialect.compile(entries.where(batch, *subject)),
            latest=dialect.compile(
                select(*_e)
                .where(
                    _e.subject_kind == bindparam("subject_kind"),
                    _e.subject_id == bindparam("subject_id"),
                )
                .order_by(_e.seq.desc())
                .limit(bindparam("limit"))
            ),
            events_at=dialect.compile(_numbered(dialect, _e)),
            journal_at=dialect.compile(_numbered(dialect, _j)),
            events_from=dialect.compile(_first(_e)),
            journal_from=dialect.compile(_first(_j)),
            events_until=dialect.compile(_last(_e)),
            journal_until=dialect.compile(_last(_j)),
            events_behind=dialect.compile(_behind(_e)),
            journal_behind=dialect.compile(_behind(_j)),
            once_at=dialect.compile(_once_at(dialect)),
            moved_at=dialect.compile(_moved_at()),
            last_seal=dialect.compile(select(*_s).order_by(_s.number.desc()).limit(1)),
            seals=dialect.compile(
                select(*_s)
                .where(_s.number > bindparam("after"))
                .order_by(_s.number)
                .limit(bindparam("limit"))
            ),
            add_seal=dialect.insert(schema.seals, ignore=True),
        )


def _numbered(dialect: Dialect, columns: Any) -> Select[Any]:
    return select(*columns).where(dialect.any_of(columns.seq, "numbers")).order_by(columns.seq)


def _first(columns: Any) -> Select[Any]:
    """The number before the first row from a time on; none where there is no such row."""
    return select(func.min(columns.seq) - 1).where(columns.at >= bindparam("time"))


def _last(columns: Any) -> Select[Any]:
    return select(func.max(columns.seq)).where(columns.at < bindparam("time"))


def _behind(columns: Any) -> Select[Any]:
    return select(func.count()).where(columns.seq > bindparam("after"))


def _once_at(dialect: Dialect) -> Select[Any]:
    """Assets whose document names a path, or that have it now; what comes is looked at again."""
    position = func.strpos if dialect.postgres else func.instr
    named = position(_a.document, bindparam("needle", type_=_a.document.type)) > 0
    now = and_(_a.folder == bindparam("folder"), _a.name == bindparam("name"))
    here = _a.storage_id == bindparam("storage_id")
    return select(*(_a[name] for name in COLUMNS)).where(here, or_(named, now))


def _moved_at() -> Select[Any]:
    """The assets of which the journal says that a file was at a path."""
    path = bindparam("path", type_=_j.source.type)
    there = or_(_j.source == path, and_(_j.target == path, _j.phase == literal_column("'DONE'")))
    return (
        select(_j.subject_id)
        .where(_j.storage_id == bindparam("storage_id"), there)
        .where(_j.subject_kind == literal_column("'asset'"))
        .distinct()
    )


class HistoryTransaction:
    """The part of a transaction that is about them."""

    _session: Session
    _history: HistoryStatements

    def assets(self, uuids: Iterable[AssetId]) -> Any:
        """As the asset part has it."""
        raise NotImplementedError

    def journal_page(
        self,
        *,
        subject: Subject | None = None,
        batch_id: str | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> Sequence[JournalEntry]:
        values: dict[str, object] = {"after": after, "limit": limit, "batch_id": batch_id}
        if subject is not None:
            values |= {"subject_kind": subject.kind, "subject_id": subject.id}
        statement = {
            (False, False): self._history.journal,
            (True, False): self._history.journal_of,
            (False, True): self._history.journal_in,
            (True, True): self._history.journal_both,
        }[subject is not None, batch_id is not None]
        return [entry_of(row) for row in self._session.rows(statement, values)]

    def latest_events(self, subject: Subject, limit: int = 1000) -> Sequence[Event]:
        values = {"subject_kind": subject.kind, "subject_id": subject.id, "limit": limit}
        rows = self._session.rows(self._history.latest, values)
        return [event_of(row) for row in reversed(rows)]

    def _numbers(self, numbers: Iterable[int]) -> dict[str, object]:
        return {"numbers": self._session.dialect.array(list(numbers))}

    def events_at(self, numbers: Iterable[int]) -> Sequence[Event]:
        rows = self._session.rows(self._history.events_at, self._numbers(numbers))
        return [event_of(row) for row in rows]

    def journal_at(self, numbers: Iterable[int]) -> Sequence[JournalEntry]:
        rows = self._session.rows(self._history.journal_at, self._numbers(numbers))
        return [entry_of(row) for row in rows]

    def _number(self, statement: Statement, time: datetime) -> int | None:
        found = self._session.rows(statement, {"time": micros(time)})[0][0]
        return None if found is None else int(found)

    def stretch(self, since: datetime | None, until: datetime | None) -> Stretch:
        statements = self._history
        last = micros(until) if until is not None else 2**62
        ends = {"time": last}
        to = [
            int(self._session.rows(statement, ends)[0][0] or 0)
            for statement in (statements.events_until, statements.journal_until)
        ]
        after = [0, 0]
        if since is not None:
            found = (
                self._number(statements.events_from, since),
                self._number(statements.journal_from, since),
            )
            after = [
                end if number is None else number for number, end in zip(found, to, strict=True)
            ]
        return Stretch(
            after=Place(event=after[0], entry=after[1]), to=Place(event=to[0], entry=to[1])
        )

    def count_behind(self, place: Place) -> int:
        found = (
            self._session.rows(self._history.events_behind, {"after": place.event}),
            self._session.rows(self._history.journal_behind, {"after": place.entry}),
        )
        return sum(int(rows[0][0]) for rows in found)

    def assets_once_at(self, storage_id: StorageId, path: str) -> Sequence[Asset]:
        here = {"storage_id": storage_id, "folder": folder_of(path), "name": name_of(path)}
        rows = self._session.rows(self._history.once_at, {**here, "needle": f'"path":{dump(path)}'})
        named = [asset for asset in map(asset_of, rows) if _was_at(asset, path)]
        moved = self._session.rows(self._history.moved_at, {"storage_id": storage_id, "path": path})
        others = self.assets(AssetId(row[0]) for row in moved)
        found = {asset.uuid: asset for asset in (*named, *others.values())}
        return [found[uuid] for uuid in sorted(found)]

    def last_seal(self) -> Seal | None:
        rows = self._session.rows(self._history.last_seal, {})
        return _seal_of(rows[0]) if rows else None

    def seals(self, *, after: int = 0, limit: int = 10) -> Sequence[Seal]:
        rows = self._session.rows(self._history.seals, {"after": after, "limit": limit})
        return [_seal_of(row) for row in rows]

    def add_seal(self, seal: Seal) -> None:
        if not self._session.change(self._history.add_seal, _seal_row(seal)):
            raise StateConflict(f"seal {seal.number} is there already; another server made it")


def _was_at(asset: Asset, path: str) -> bool:
    paths = (asset.path, *(s.path for s in asset.sidecars), *(p.path for p in asset.path_history))
    return path in paths


def _seal_row(seal: Seal) -> dict[str, object]:
    return {
        "number": seal.number,
        "previous": seal.previous,
        "at": micros(seal.at),
        "events_to": seal.events_to,
        "journal_to": seal.journal_to,
        "leaves": seal.leaves,
        "awaited": dump([(one.kind, one.seq, micros(one.since)) for one in seal.awaited]),
        "digest": seal.digest,
    }


def _seal_of(row: Row) -> Seal:
    number, previous, at, events_to, journal_to, leaves, awaited, digest = row
    return Seal(
        number=number,
        previous=previous,
        at=time_of(at),
        events_to=events_to,
        journal_to=journal_to,
        leaves=bytes(leaves),
        awaited=tuple(
            Awaited(kind, seq, time_of(since))
            for kind, seq, since in _awaited.decode(awaited or "[]")
        ),
        digest=digest,
    )
