"""Assets in a transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import Any

from attrs import evolve, frozen
from sqlalchemy import (
    Select,
    and_,
    bindparam,
    delete,
    func,
    literal_column,
    or_,
    select,
    text,
    update,
)

from retaia_core.domain.assets import Asset, Source
from retaia_core.domain.discovery import Found
from retaia_core.domain.identifiers import AssetId, StorageId, folder_of, name_of
from retaia_core.domain.lifecycle import State
from retaia_core.domain.moves import Candidate
from retaia_core.domain.query import TAGS_COUNTED, AssetPage, AssetQuery, TagUse
from retaia_core.errors import StateConflict

from . import listing
from .asset_rows import (
    CANDIDATE_COLUMNS,
    COLUMNS,
    NEW,
    NEW_BUT_DOCUMENT,
    SOURCE_COLUMNS,
    asset_of,
    candidates_of,
    fold,
    found_rows_of,
    is_new,
    new_row_of,
    path_of,
    row_of,
    sources_of,
)
from .dialects import Dialect, Statement, parameters
from .schema import asset_tags, assets, tag_names
from .session import Session, Taken

_a = assets.c
_whole = select(*(assets.c[name] for name in COLUMNS))
_narrow = select(*(assets.c[name] for name in CANDIDATE_COLUMNS))
_places = select(*(assets.c[name] for name in SOURCE_COLUMNS))
_living = text("state <> 'PURGED'")


@frozen(kw_only=True)
class AssetStatements:
    """Every statement about assets, built once."""

    one: Statement
    one_locked: Statement
    some: Statement
    some_locked: Statement
    states: Statement
    states_locked: Statement
    sources: Statement
    at: Statement
    known_in: Statement
    in_folder: Statement
    like: Statement
    candidates: Statement
    in_state: Statement
    in_state_of: Statement
    insert: Statement
    insert_new: Statement
    insert_found: Statement
    replace: Statement
    tag: Statement
    untag: Statement
    name_tag: Statement
    tags_like: Statement
    count: Statement
    count_of: Statement

    @classmethod
    def build(cls, dialect: Dialect) -> AssetStatements:
        """Compile them for one database."""
        here = _a.storage_id == bindparam("storage_id")
        one = _whole.where(_a.uuid == bindparam("uuid"))
        these = dialect.any_of(_a.uuid, "uuids")
        some, states = _whole.where(these), select(_a.uuid, _a.state).where(these)
        there = (here, _a.folder == bindparam("folder"))
        page = _page(_whole)
        shape = dialect.table_of("size", "mtime_ns")
        alike = and_(_a.mtime_ns == shape.c.mtime_ns, _a.size == shape.c.size)
        count = select(_a.state, func.count()).group_by(_a.state)
        owner = select(bindparam("tag", type_=asset_tags.c.tag.type), _a.seq).where(
            _a.uuid == bindparam("uuid")
        )
        of_assets = select(_a.seq).where(these)
        return cls(
            one=dialect.compile(one),
            one_locked=dialect.compile(one.with_for_update()),
            some=dialect.compile(some),
            some_locked=dialect.compile(some.order_by(_a.uuid).with_for_update()),
            states=dialect.compile(states),
            states_locked=dialect.compile(states.order_by(_a.uuid).with_for_update()),
            sources=dialect.compile(_places.where(these)),
            at=dialect.compile(_whole.where(*there, _a.name == bindparam("name"), _living)),
            known_in=dialect.compile(
                select(_a.name, _a.uuid).where(*there, _living, dialect.any_of(_a.name, "names"))
            ),
            in_folder=dialect.compile(_whole.where(*there, _living).order_by(_a.name)),
            like=dialect.compile(
                _whole.select_from(shape.join(assets, alike)).where(
                    here, _living, _a.fingerprint.is_not(None)
                )
            ),
            candidates=dialect.compile(_page(_narrow)),
            in_state=dialect.compile(page),
            in_state_of=dialect.compile(page.where(here)),
            insert=dialect.insert(assets),
            insert_new=dialect.insert(assets, fixed=NEW),
            insert_found=dialect.insert(assets, fixed=NEW_BUT_DOCUMENT),
            replace=dialect.compile(_replace()),
            tag=dialect.compile(
                dialect.insert_into(asset_tags)
                .from_select(["tag", "asset"], owner)
                .on_conflict_do_nothing()
            ),
            untag=dialect.compile(
                delete(asset_tags).where(dialect.found_by(asset_tags.c.asset, of_assets))
            ),
            name_tag=dialect.insert(tag_names, ignore=True),
            tags_like=dialect.compile(_tags_like()),
            count=dialect.compile(count),
            count_of=dialect.compile(count.where(here)),
        )


def _page(columns: Select[Any]) -> Select[Any]:
    """A page of the assets in a state, in UUID order."""
    found = columns.where(_a.state == bindparam("state"), _a.uuid > bindparam("after"))
    return found.order_by(_a.uuid).limit(bindparam("limit"))


def _replace() -> Any:
    """Replace an asset at its revision, unless its path is another living asset's."""
    columns = parameters(assets)
    which = bindparam("which", type_=_a.uuid.type)
    other = assets.alias("other")
    taken = (
        select(other.c.seq)
        .where(*(other.c[name] == columns[name] for name in ("storage_id", "folder", "name")))
        .where(other.c.uuid != which, text("other.state <> 'PURGED'"))
    )
    purged = columns["state"] == literal_column("'PURGED'")
    values = {name: columns[name] for name in columns if name not in ("uuid", "revision")}
    return (
        update(assets)
        .values(values | {"revision": bindparam("next", type_=_a.revision.type)})
        .where(_a.uuid == which, _a.revision == columns["revision"])
        .where(or_(purged, ~taken.exists()))
    )


def _tags_like() -> Any:
    """Names of tags within two bounds behind a place, each with its assets, counted so far and no farther."""
    name, folded = tag_names.c.tag, tag_names.c.folded
    place, tag = (bindparam(key, type_=name.type) for key in ("place", "tag"))
    behind = or_(folded > place, and_(folded == place, name > tag))
    of_it: Select[Any] = (
        select(literal_column("1")).where(asset_tags.c.tag == name).correlate(tag_names)
    )
    some = of_it.limit(TAGS_COUNTED).subquery()
    return (
        select(name, select(func.count()).select_from(some).scalar_subquery())
        .where(folded >= bindparam("low"), folded < bindparam("high"), behind, of_it.exists())
        .order_by(folded, name)
        .limit(bindparam("limit"))
    )


def _one(session: Session, statement: Statement, values: Mapping[str, object]) -> Asset | None:
    rows = session.rows(statement, values)
    return asset_of(rows[0]) if rows else None


def _change(asset: Asset) -> dict[str, object]:
    """The parameters of `_replace`."""
    row = dict(zip(COLUMNS, row_of(asset, asset.revision), strict=True))
    return row | {"which": asset.uuid, "next": asset.revision + 1}


class AssetTransaction:
    """The part of a transaction that is about assets."""

    _session: Session
    _assets: AssetStatements
    _listing: listing.Listing

    def asset(self, uuid: AssetId) -> Asset | None:
        which = self._assets.one_locked if self._session.writing else self._assets.one
        return _one(self._session, which, {"uuid": uuid})

    def assets(self, uuids: Iterable[AssetId]) -> Mapping[AssetId, Asset]:
        wanted = list(dict.fromkeys(uuids))
        values = {"uuids": self._session.dialect.array(wanted)}
        which = self._assets.some_locked if self._session.writing else self._assets.some
        found = {a.uuid: a for a in map(asset_of, self._session.rows(which, values))}
        return {uuid: found[uuid] for uuid in wanted if uuid in found}

    def states(self, uuids: Iterable[AssetId]) -> Mapping[AssetId, State]:
        values = {"uuids": self._session.dialect.array(list(uuids))}
        which = self._assets.states_locked if self._session.writing else self._assets.states
        return {uuid: State(state) for uuid, state in self._session.rows(which, values)}

    def sources(self, uuids: Iterable[AssetId]) -> Mapping[AssetId, Source]:
        wanted = list(dict.fromkeys(uuids))
        values = {"uuids": self._session.dialect.array(wanted)}
        return sources_of(self._session.rows(self._assets.sources, values))

    def asset_at(self, storage_id: StorageId, path: str) -> Asset | None:
        values = {"storage_id": storage_id, "folder": folder_of(path), "name": name_of(path)}
        return _one(self._session, self._assets.at, values)

    def known_at(self, storage_id: StorageId, paths: Iterable[str]) -> Mapping[str, AssetId]:
        names = defaultdict[str, list[str]](list)
        for path in paths:
            names[folder_of(path)].append(name_of(path))
        found: dict[str, AssetId] = {}
        for folder, some in names.items():
            values = {"folder": folder, "names": self._session.dialect.array(some)}
            rows = self._session.rows(self._assets.known_in, values | {"storage_id": storage_id})
            found |= {path_of(folder, name): uuid for name, uuid in rows}
        return found

    def assets_in_folder(self, storage_id: StorageId, folder: str) -> Sequence[Asset]:
        values = {"storage_id": storage_id, "folder": folder}
        return [asset_of(row) for row in self._session.rows(self._assets.in_folder, values)]

    def assets_like(
        self, storage_id: StorageId, shapes: Iterable[tuple[int, int]]
    ) -> Sequence[Asset]:
        values = self._session.dialect.table_rows(
            "size", "mtime_ns", rows=list(dict.fromkeys(shapes))
        )
        rows = self._session.rows(self._assets.like, values | {"storage_id": storage_id})
        return sorted(map(asset_of, rows), key=lambda asset: asset.path)

    def assets_in_states(
        self,
        states: Iterable[State],
        *,
        storage_id: StorageId | None = None,
        after: AssetId | None = None,
        limit: int = 1000,
    ) -> Sequence[Asset]:
        of_all = storage_id is None
        statement = self._assets.in_state if of_all else self._assets.in_state_of
        values = {"storage_id": storage_id, "after": after or "", "limit": limit}
        # One state at a time: each is a stretch of an index, in order.
        found = [
            [asset_of(row) for row in self._session.rows(statement, {**values, "state": state})]
            for state in sorted({state.value for state in states})
        ]
        return list(islice(merge(*found, key=attrgetter("uuid")), limit))

    def candidates(
        self, state: State, *, after: AssetId | None = None, limit: int = 1000
    ) -> Sequence[Candidate]:
        values = {"state": state.value, "after": after or "", "limit": limit}
        return candidates_of(state, self._session.rows(self._assets.candidates, values))

    def add_assets(self, assets: Iterable[Asset]) -> None:
        # Most of what a scan adds is new in every way, and shorter to write.
        plain: list[tuple[object, ...]] = []
        others: list[Asset] = []
        for asset in assets:
            if is_new(asset):
                plain.append(new_row_of(asset))
            else:
                others.append(asset)
        rows = [row_of(asset, asset.revision) for asset in others]
        self._insert((self._assets.insert_new, plain), (self._assets.insert, rows))
        for asset in others:
            self._add_tags(asset)

    def _insert(self, *many: tuple[Statement, list[tuple[object, ...]]]) -> None:
        try:
            self._session.insert_all(*((statement, rows) for statement, rows in many if rows))
        except Taken as taken:
            raise StateConflict(
                "one of the assets, or its path, is there already; scan again"
            ) from taken

    def add_found(self, found: Found) -> None:
        self._insert((self._assets.insert_found, found_rows_of(found)))

    def save_asset(self, asset: Asset) -> Asset:
        self.save_assets([asset])
        return evolve(asset, revision=asset.revision + 1)

    def save_assets(self, assets: Sequence[Asset]) -> None:
        statement = self._assets.replace
        counts = self._session.change_all(statement, [statement.bind(_change(a)) for a in assets])
        for asset, count in zip(assets, counts, strict=True):
            if not count:
                raise self._conflict(asset)
        uuids = self._session.dialect.array([asset.uuid for asset in assets])
        self._session.send(self._assets.untag, {"uuids": uuids})
        for asset in assets:
            self._add_tags(asset)

    def _conflict(self, asset: Asset) -> StateConflict:
        """Why an asset could not be replaced."""
        stored = _one(self._session, self._assets.one, {"uuid": asset.uuid})
        if stored is None or stored.revision != asset.revision:
            return StateConflict(
                f"asset {asset.uuid} was changed since it was read; read it again",
                asset=asset.uuid,
            )
        return StateConflict(
            f"{asset.path!r} is another asset's path already; scan again", path=asset.path
        )

    def _add_tags(self, asset: Asset) -> None:
        # In one order, so that two transactions that name the same new tags wait, and never for each other.
        for tag in sorted(asset.tags):
            self._session.send(self._assets.name_tag, {"tag": tag, "folded": fold(tag)})
            self._session.send(self._assets.tag, {"tag": tag, "uuid": asset.uuid})

    def find_assets(self, query: AssetQuery) -> AssetPage:
        return self._listing.page(self._session, query)

    def find_tags(self, prefix: str, *, after: str | None, limit: int) -> Sequence[TagUse]:
        low, place = fold(prefix), fold(after or "")
        # The last code point is no character: it sorts behind every text that goes on from the prefix.
        values = {"low": max(low, place), "high": f"{low}\U0010ffff", "place": place}
        rows = self._session.rows(
            self._assets.tags_like, {**values, "tag": after or "", "limit": limit}
        )
        return [TagUse(tag=tag, assets=assets) for tag, assets in rows]

    def count_assets(self, storage_id: StorageId | None = None) -> Mapping[State, int]:
        of_all = storage_id is None
        statement = self._assets.count if of_all else self._assets.count_of
        values = {} if of_all else {"storage_id": storage_id}
        return {State(state): n for state, n in self._session.rows(statement, values)}
