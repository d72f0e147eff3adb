"""Lists of assets: one statement per shape of a query, built when the shape is first asked for.

A list is read in stretches, each of which an index can serve in its order: known values before unknown
ones, and one value after another where few values are shared by many assets (state, media type). What
was only just discovered is left out of some indexes (see `schema`) and merged in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import define, field, frozen
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy import true as always

from retaia_core.domain.lifecycle import State
from retaia_core.domain.media import MediaType
from retaia_core.domain.query import (
    AssetPage,
    AssetQuery,
    AssetSummary,
    Position,
    Sort,
    SortKey,
    TagsMode,
)

from .asset_rows import SORT_COLUMNS, SUMMARY_COLUMNS, flags_text, fold, sort_value, summaries_of
from .dialects import Dialect, Statement
from .schema import asset_tags, assets
from .session import Session
from .values import micros

_a = assets.c
_DISCOVERED: ColumnElement[str] = literal_column("'DISCOVERED'")
_PURGED: ColumnElement[str] = literal_column("'PURGED'")
_LIMIT: BindParameter[int] = bindparam("limit", type_=Integer())
_VALUES: Mapping[SortKey, tuple[str, ...]] = {
    SortKey.STATE: tuple(sorted(state.value for state in State)),
    SortKey.MEDIA_TYPE: tuple(sorted(media.value for media in MediaType)),
}
_UNKNOWN_LAST = (SortKey.CAPTURED_AT, SortKey.DURATION)
_WITHOUT_DISCOVERED = (SortKey.NAME, SortKey.UPDATED_AT, SortKey.MEDIA_TYPE)


@frozen
class _Stretch:
    """A part of a list: the condition and order that its statement has, and the values it binds.

    ``kind`` is ``known`` (sorted by value), ``unknown`` (no value) or ``equal`` (one value); ``after``
    says that it begins behind a position.
    """

    kind: str
    after: bool
    values: Mapping[str, object] = field(factory=dict)


@frozen
class _Shape:
    """What makes two queries one statement."""

    filters: frozenset[str]
    sort: Sort
    kind: str
    after: bool


def _stretches(query: AssetQuery) -> Iterator[_Stretch]:
    key, after = query.sort.key, query.after
    begin = {"after_uuid": after.uuid, "after_value": after.value} if after else {}
    if key in _VALUES:
        for value in _values_from(query):
            behind = after is not None and value == after.value
            yield _Stretch("equal", behind, {"value": value, **(begin if behind else {})})
        return
    if after is None or after.value is not None:
        yield _Stretch("known", after is not None, begin)
    if key in _UNKNOWN_LAST:
        inside = after is not None and after.value is None
        yield _Stretch("unknown", inside, begin if inside else {})


def _values_from(query: AssetQuery) -> list[str]:
    """The values of a column of few values, in the order of the list, from its position on."""
    after, descending = query.after, query.sort.descending
    values = sorted(_VALUES[query.sort.key], reverse=descending)
    if after is None:
        return values
    at = after.value
    if not isinstance(at, str):
        return []
    return [value for value in values if value == at or (value > at) is not descending]


def _filters(query: AssetQuery) -> dict[str, object]:
    """The values that a query filters by, by the name of the filter."""
    given: dict[str, object] = {
        "states": sorted({state.value for state in query.states}) or None,
        "media_type": query.media_type.value if query.media_type else None,
        "storage_id": query.storage_id,
        "has_proxy": query.has_proxy,
        "flag": flags_text(frozenset({query.flag})) if query.flag else None,
        "country": fold(query.location_country) or None,
        "city": fold(query.location_city) or None,
        "text": fold(query.text) or None,
        "captured_from": micros(query.captured_from) if query.captured_from else None,
        "captured_to": micros(query.captured_to) if query.captured_to else None,
    }
    if query.tags:
        given["all_tags" if query.tags_mode is TagsMode.AND else "any_tags"] = sorted(
            set(query.tags)
        )
    if (box := query.box) is not None:
        across = box.min_lon > box.max_lon
        given["box_across" if across else "box"] = True
        given |= {"min_lon": box.min_lon, "max_lon": box.max_lon}
        given |= {"min_lat": box.min_lat, "max_lat": box.max_lat}
    return {name: value for name, value in given.items() if value is not None}


@define
class Listing:
    """Answers `AssetQuery` on one database."""

    _dialect: Dialect
    _built: dict[_Shape, Statement] = field(factory=dict)

    def page(self, session: Session, query: AssetQuery) -> AssetPage:
        """The page of a query, and where the next one begins."""
        items = self._items(session, query)
        if len(items) <= query.limit:
            return AssetPage(items=tuple(items), next=None)
        kept = tuple(items[: query.limit])
        if not kept:
            return AssetPage(items=(), next=None)
        last = kept[-1]
        value = sort_value(last, query.sort.key)
        return AssetPage(items=kept, next=Position(value=value, uuid=last.uuid))

    def _items(self, session: Session, query: AssetQuery) -> list[AssetSummary]:
        """The lines of a page, and one more where there are more."""
        given = _filters(query)
        shape = frozenset(self._names(given))
        bound = self._bound(given)
        items: list[AssetSummary] = []
        for stretch in _stretches(query):
            missing = query.limit + 1 - len(items)
            if missing <= 0:
                break
            statement = self._statement(_Shape(shape, query.sort, stretch.kind, stretch.after))
            values = {**bound, **stretch.values, "limit": missing}
            items += summaries_of(session.rows(statement, values))
        return items

    def _names(self, given: Mapping[str, object]) -> Iterator[str]:
        for name, value in given.items():
            many = name == "all_tags" and isinstance(value, list)
            yield f"all_tags:{len(value)}" if many and isinstance(value, list) else name

    def _bound(self, given: Mapping[str, object]) -> dict[str, object]:
        bound: dict[str, object] = {}
        for name, value in given.items():
            if name == "all_tags" and isinstance(value, list):
                bound |= {f"tag{n}": tag for n, tag in enumerate(value)}
            else:
                bound[name] = self._dialect.array(value) if isinstance(value, list) else value
        return bound

    def _statement(self, shape: _Shape) -> Statement:
        statement = self._built.get(shape)
        if statement is None:
            statement = self._built[shape] = self._dialect.compile(self._build(shape))
        return statement

    def _build(self, shape: _Shape) -> Any:
        conditions = [self._condition(name) for name in sorted(shape.filters)]
        if "states" not in shape.filters:
            conditions.append(_a.state != _PURGED)
        conditions += _place(shape)
        order = _order(shape, _a)
        columns = select(*(_a[name] for name in SUMMARY_COLUMNS)).where(*conditions)
        if shape.sort.key in _WITHOUT_DISCOVERED:
            return _with_discovered(columns, shape, order)
        return columns.order_by(*order).limit(_LIMIT)

    def _condition(self, name: str) -> ColumnElement[bool]:
        if name.startswith("all_tags:"):
            count = int(name.partition(":")[2])
            return and_(*(_tagged(asset_tags.c.tag == bindparam(f"tag{n}")) for n in range(count)))
        simple: Mapping[str, Callable[[], ColumnElement[bool]]] = {
            "states": lambda: self._dialect.any_of(_a.state, name),
            "any_tags": lambda: _tagged(self._dialect.any_of(asset_tags.c.tag, name)),
            "media_type": lambda: _a.media_type == bindparam(name),
            "storage_id": lambda: _a.storage_id == bindparam(name),
            "has_proxy": lambda: _a.has_proxy == bindparam(name),
            "country": lambda: _a.country == bindparam(name),
            "city": lambda: _a.city == bindparam(name),
            "captured_from": lambda: _a.captured_at >= bindparam(name),
            "captured_to": lambda: _a.captured_at <= bindparam(name),
            "flag": self._flagged,
            "text": lambda: self._contains(_a.search, name),
            "box": lambda: and_(
                _latitude(), _a.longitude.between(bindparam("min_lon"), bindparam("max_lon"))
            ),
            "box_across": lambda: and_(
                _latitude(),
                or_(_a.longitude >= bindparam("min_lon"), _a.longitude <= bindparam("max_lon")),
            ),
        }
        build = simple.get(name)
        return always() if build is None else build()

    def _flagged(self) -> ColumnElement[bool]:
        """By the index of the few that have a flag, whatever the order of the list."""
        few = assets.alias("flagged").c
        found = and_(few.flags != literal_column("''"), self._contains(few.flags, "flag"))
        return _a.seq.in_(select(few.seq).where(found))

    def _contains(self, column: ColumnElement[str], name: str) -> ColumnElement[bool]:
        position = func.strpos if self._dialect.postgres else func.instr
        return position(column, bindparam(name, type_=column.type)) > 0


def _latitude() -> ColumnElement[bool]:
    return _a.latitude.between(bindparam("min_lat"), bindparam("max_lat"))


def _tagged(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return _a.seq.in_(select(asset_tags.c.asset).where(condition))


def _place(shape: _Shape) -> Iterator[ColumnElement[bool]]:
    """The conditions that keep a statement to its stretch, behind the position."""
    column = _a[SORT_COLUMNS[shape.sort.key]]
    value = bindparam("after_value", type_=column.type)
    behind = _a.uuid > bindparam("after_uuid")
    if shape.kind == "equal":
        yield column == bindparam("value")
    elif shape.kind == "unknown":
        yield column.is_(None)
    else:
        if shape.sort.key in _UNKNOWN_LAST:
            yield column.is_not(None)
        if shape.after and shape.sort.descending:
            yield column <= value
            yield or_(column < value, behind)
        elif shape.after:
            yield column >= value
            yield or_(column > value, behind)
        return
    if shape.after:
        yield behind


def _order(shape: _Shape, columns: Any) -> tuple[ColumnElement[Any], ...]:
    if shape.kind != "known":
        return (columns.uuid,)
    column = columns[SORT_COLUMNS[shape.sort.key]]
    return (column.desc() if shape.sort.descending else column, columns.uuid)


def _with_discovered(
    columns: Select[Any], shape: _Shape, order: tuple[ColumnElement[Any], ...]
) -> Any:
    """Merge what the index of this order holds with what was only just discovered."""
    parts = [
        columns.where(condition).order_by(*order).limit(_LIMIT).subquery()
        for condition in (_a.state != _DISCOVERED, _a.state == _DISCOVERED)
    ]
    merged = union_all(*(select(part) for part in parts)).subquery()
    return select(merged).order_by(*_order(shape, merged.c)).limit(_LIMIT)
