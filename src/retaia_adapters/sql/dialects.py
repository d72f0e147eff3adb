"""SQL that is built once: SQLAlchemy Core compiled to text and the order of its parameters.

SQLAlchemy's own execution costs more than the databases need for a claim, so it is left out of the hot
path: a statement is compiled when the store is opened and runs on the driver's own connection.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from attrs import evolve, frozen
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    String,
    Table,
    Text,
    bindparam,
    cast,
    false,
    func,
    literal_column,
    null,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import Dialect as SqlAlchemyDialect
from sqlalchemy.sql import ClauseElement

from .values import dump

_ROW = re.compile(r"(?<= VALUES )\([^()]*\)")

Row = tuple[Any, ...]
Values = Mapping[str, object]


@frozen
class Statement:
    """SQL text for a driver, the names of its parameters in order, and those that never change."""

    text: str
    names: tuple[str, ...]
    constants: Mapping[str, object]
    bulk: str = ""
    """The same for many rows at once, each parameter a column as a list (PostgreSQL)."""

    def bind(self, values: Values) -> tuple[object, ...]:
        """Put named values into the driver's order."""
        if self.constants:
            values = {**self.constants, **values}
        return tuple(map(values.__getitem__, self.names))


@cache
def for_rows(insert: str, count: int) -> str:
    """The text that inserts so many rows at once, whose parameters follow each other (SQLite)."""
    return _ROW.sub(lambda row: ", ".join([row[0]] * count), insert, count=1)


def parameters(table: Table) -> dict[str, Any]:
    """A parameter for every column of a table that the database does not number itself."""
    return {c.name: bindparam(c.name, type_=c.type) for c in table.c if c.autoincrement is not True}


def _literal(value: object) -> ColumnElement[Any]:
    """A value as part of the text: those that stand in this code, not a user's."""
    if value is None:
        return null()
    if isinstance(value, bool):
        return true() if value else false()
    return literal_column(repr(value))


@frozen(kw_only=True)
class Dialect:
    """One database's way to write SQL, and to pass a list as one parameter."""

    name: str
    engine: SqlAlchemyDialect
    insert_into: Callable[[Table], Any]

    @property
    def postgres(self) -> bool:
        """Whether this is PostgreSQL."""
        return self.name == "postgresql"

    def compile(self, clause: ClauseElement) -> Statement:
        """Compile a statement; every parameter is named."""
        compiled: Any = clause.compile(dialect=self.engine)
        names = tuple(compiled.positiontup or ())
        given = {bind.key for bind in compiled.bind_names if bind.required}
        constants = {name: compiled.params[name] for name in names if name not in given}
        return Statement(str(compiled), names, constants)

    def any_of(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """Say that a column is one of the list parameter ``name``, made by `array`."""
        if self.postgres:
            number = isinstance(column.type, BigInteger)
            kind = postgresql.ARRAY(BigInteger() if number else Text())
            return column == func.any(bindparam(name, type_=kind))
        values = func.json_each(bindparam(name, type_=String())).table_valued("value")
        return column.in_(select(values.c.value))

    def found_by(self, column: ColumnElement[Any], query: Select[Any]) -> ColumnElement[bool]:
        """Say that a column is one of the few values that a query finds; each is looked up by itself."""
        if self.postgres:
            return column == func.any(func.array(query.scalar_subquery()))
        return column.in_(query)

    def array(self, values: Sequence[object]) -> object:
        """A list as the parameter of `any_of`."""
        return list(values) if self.postgres else dump(values) or "[]"

    def text_in(self, document: ColumnElement[Any], *path: str) -> ColumnElement[Any]:
        """A text in a JSON document; null where it is not there. The names stand in this code."""
        if self.postgres:
            names: list[ColumnElement[Any]] = [literal_column(f"'{name}'") for name in path]
            return func.json_extract_path_text(cast(document, postgresql.JSON), *names)
        return func.json_extract(document, literal_column(f"'$.{'.'.join(path)}'"))

    def table_of(self, *names: str) -> Any:
        """A table of whole numbers that is passed as parameters; see `table_rows`."""
        if self.postgres:
            lists = [
                bindparam(f"{name}_list", type_=postgresql.ARRAY(BigInteger())) for name in names
            ]
            return func.unnest(*lists).table_valued(*names).render_derived()
        each = func.json_each(bindparam("rows_list", type_=String())).table_valued("value")
        columns = (func.json_extract(each.c.value, f"$[{n}]") for n in range(len(names)))
        return select(*(c.label(name) for c, name in zip(columns, names, strict=True))).subquery()

    def table_rows(self, *names: str, rows: Sequence[tuple[int, ...]]) -> dict[str, object]:
        """The parameters of `table_of`."""
        if not self.postgres:
            return {"rows_list": self.array(rows)}
        return {f"{name}_list": [row[n] for row in rows] for n, name in enumerate(names)}

    def insert(
        self, table: Table, *, ignore: bool = False, fixed: Mapping[str, object] | None = None
    ) -> Statement:
        """Insert a row; ``ignore`` does nothing where its key is there; ``fixed`` stands in the text."""

        def finish(insert: Any) -> Any:
            return insert.on_conflict_do_nothing() if ignore else insert

        return self._insert(table, finish, fixed or {})

    def upsert(self, table: Table, *keys: str) -> Statement:
        """Insert a row, or replace its other columns where the keys are there."""
        others = [name for name in parameters(table) if name not in keys]

        def finish(insert: Any) -> Any:
            values = {name: insert.excluded[name] for name in others}
            return insert.on_conflict_do_update(index_elements=keys, set_=values)

        return self._insert(table, finish, {})

    def _insert(
        self, table: Table, finish: Callable[[Any], Any], fixed: Mapping[str, object]
    ) -> Statement:
        literals = {name: _literal(value) for name, value in fixed.items()}
        columns = parameters(table) | literals
        one = self.compile(finish(self.insert_into(table).values(columns)).inline())
        if not self.postgres:
            return one
        lists = [bindparam(n, type_=postgresql.ARRAY(table.c[n].type)) for n in one.names]
        given = func.unnest(*lists).table_valued(*one.names).render_derived()
        values = [literals[n] if n in literals else given.c[n] for n in columns]
        bulk = self.insert_into(table).from_select(list(columns), select(*values))
        return evolve(one, bulk=self.compile(finish(bulk)).text)


SQLITE = Dialect(
    name="sqlite", engine=sqlite.dialect(paramstyle="qmark"), insert_into=sqlite.insert
)
_psycopg: Callable[..., SqlAlchemyDialect] = PGDialect_psycopg
POSTGRES = Dialect(
    name="postgresql", engine=_psycopg(paramstyle="numeric_dollar"), insert_into=postgresql.insert
)
