"""SQL that is built once: SQLAlchemy Core compiled to text and the order of its parameters.

SQLAlchemy's own execution costs more than the databases need for a claim, so it is left out of the hot
path: a statement is compiled when the store is opened and runs on the driver's own connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import BigInteger, ColumnElement, String, Table, Text, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import Dialect as SqlAlchemyDialect
from sqlalchemy.sql import ClauseElement

from .values import dump

Row = tuple[Any, ...]
Values = Mapping[str, object]


@frozen
class Statement:
    """SQL text for a driver, the names of its parameters in order, and those that never change."""

    text: str
    names: tuple[str, ...]
    constants: Mapping[str, object]

    def bind(self, values: Values) -> tuple[object, ...]:
        """Put named values into the driver's order."""
        if self.constants:
            values = {**self.constants, **values}
        return tuple([values[name] for name in self.names])


def parameters(table: Table) -> dict[str, Any]:
    """A parameter for every column of a table that the database does not number itself."""
    return {c.name: bindparam(c.name, type_=c.type) for c in table.c if c.autoincrement is not True}


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

    def array(self, values: Sequence[object]) -> object:
        """A list as the parameter of `any_of`."""
        return list(values) if self.postgres else dump(values) or "[]"

    def insert(self, table: Table) -> Statement:
        """Insert one row."""
        return self.compile(self.insert_into(table).values(parameters(table)))

    def upsert(self, table: Table, *keys: str) -> Statement:
        """Insert one row, or replace its other columns where the keys are there."""
        columns = parameters(table)
        insert = self.insert_into(table).values(columns)
        others = {name: insert.excluded[name] for name in columns if name not in keys}
        return self.compile(insert.on_conflict_do_update(index_elements=keys, set_=others))


SQLITE = Dialect(
    name="sqlite", engine=sqlite.dialect(paramstyle="qmark"), insert_into=sqlite.insert
)
_psycopg: Callable[..., SqlAlchemyDialect] = PGDialect_psycopg
POSTGRES = Dialect(
    name="postgresql", engine=_psycopg(paramstyle="format"), insert_into=postgresql.insert
)
