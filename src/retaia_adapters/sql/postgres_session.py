"""Transactions on PostgreSQL, and what its errors mean."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import errors

from retaia_core.errors import RetaiaError, StoreError, StoreUnavailable

from .dialects import POSTGRES, Row, Statement, Values
from .postgres_wire import Wire
from .session import Taken

_SERIALISE = "SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))"
# After a large scan the planner knows nothing of its rows yet, and would sort the whole queue.
_INDEX_ORDER = "SELECT " + ", ".join(
    f"set_config('enable_{way}', 'off', true)"
    for way in ("sort", "incremental_sort", "bitmapscan", "hashjoin", "mergejoin", "seqscan")
)
_AGAIN = (errors.SerializationFailure, errors.DeadlockDetected, errors.UniqueViolation)
_NOT_NOW = (
    errors.InsufficientResources,
    errors.OperatorIntervention,
    errors.LockNotAvailable,
    errors.SystemError,
)


# Writing statements look rows up by key: planning them anew each time costs more than they do, and a
# plan that was made while a table was small must not scan it when it has grown.
_BY_KEY = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET jit = off"
_BY_ESTIMATE = "SET jit = off"


def connect(url: str, *, writing: bool, settings: str = "") -> Wire:
    """Open a connection for transactions that write, or that only read; ``settings`` are its own."""
    return Wire(url, f"{_BY_KEY if writing else _BY_ESTIMATE}; {settings}")


def worth_a_new_try(error: BaseException) -> bool:
    """Whether running the whole function again may succeed."""
    return isinstance(error, _AGAIN)


def explained(error: psycopg.Error) -> RetaiaError:
    """What an error of PostgreSQL means to a user, on one line; it never repeats the URL."""
    said = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return StoreError("a function given to `read` must not write, give it to `transact`")
    if isinstance(error, _AGAIN):
        return StoreUnavailable(f"others were at the same rows each time; try again ({said})")
    # The driver's own OperationalError (no SQLSTATE) is a connection that failed or was lost.
    if isinstance(error, _NOT_NOW) or (
        isinstance(error, psycopg.OperationalError) and error.sqlstate is None
    ):
        return StoreUnavailable(f"the database does not answer ({said})")
    if isinstance(error, psycopg.OperationalError):
        return StoreUnavailable(f"the database cannot do this now ({said})")
    return StoreError(f"the database refused a statement ({said})")


class PostgresSession:
    """One open transaction on one connection."""

    dialect = POSTGRES

    def __init__(self, wire: Wire, *, writing: bool) -> None:
        self._wire = wire
        self.writing = writing

    def rows(self, statement: Statement, values: Values) -> Sequence[Row]:
        return self._wire.rows(statement.text, statement.bind(values))

    def send(self, statement: Statement, values: Values) -> None:
        self._wire.send(statement.text, statement.bind(values))

    def send_all(self, statement: Statement, rows: Sequence[tuple[object, ...]]) -> None:
        if len(rows) == 1:
            self._wire.send(statement.text, rows[0])
        elif rows:
            self._wire.send(statement.bulk, list(map(list, zip(*rows, strict=True))))

    def change(self, statement: Statement, values: Values) -> int:
        return self._wire.counts(statement.text, [statement.bind(values)])[0]

    def change_all(self, statement: Statement, rows: Sequence[tuple[object, ...]]) -> Sequence[int]:
        return self._wire.counts(statement.text, rows)

    def insert_all(self, *many: tuple[Statement, Sequence[tuple[object, ...]]]) -> None:
        if not any(rows for _, rows in many):
            return
        self._wire.begin()
        self._wire.send("SAVEPOINT many")
        try:
            for statement, rows in many:
                self.send_all(statement, rows)
            self._wire.finish()
        except errors.UniqueViolation as error:
            self._wire.send("ROLLBACK TO SAVEPOINT many")
            raise Taken(str(error)) from error
        self._wire.send("RELEASE SAVEPOINT many")

    def serialise(self, name: str) -> None:
        self._wire.send(_SERIALISE, (name,))

    def in_index_order(self) -> None:
        self._wire.send(_INDEX_ORDER)
