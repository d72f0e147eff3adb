"""Transactions on PostgreSQL, and what its errors mean.

A transaction runs in the driver's pipeline mode: what needs no answer is queued, and travels with the
next question. A claim of its own then costs two round trips, one for everything up to its answer and
one for the commit.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import errors

from retaia_core.errors import RetaiaError, StoreError, StoreUnavailable

from .dialects import POSTGRES, Row, Statement, Values
from .session import Taken

Connection = psycopg.Connection[Row]

_SERIALISE = "SELECT pg_advisory_xact_lock(hashtextextended(%s::text, 0))"
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


def connect(url: str, *, writing: bool = False) -> Connection:
    """Open a connection on which the caller begins and ends transactions itself."""
    connection = psycopg.connect(
        url,
        autocommit=True,
        prepare_threshold=0,
        connect_timeout=10,
        application_name="retaia",
    )
    connection.prepared_max = 1000
    connection.execute(_BY_KEY if writing else _BY_ESTIMATE, prepare=False)
    return connection


def hung_up(connection: Connection) -> bool:
    """Whether the server closed an idle connection; looks only at what has arrived already."""
    try:
        # The first look may find the server's last words, the second that nothing follows them.
        connection.pgconn.consume_input()
        connection.pgconn.consume_input()
    except psycopg.OperationalError:
        return True
    return connection.pgconn.status != psycopg.pq.ConnStatus.OK


def worth_a_new_try(error: BaseException) -> bool:
    """Whether running the whole function again may succeed."""
    return isinstance(error, _AGAIN)


def explained(error: psycopg.Error) -> RetaiaError:
    """What an error of PostgreSQL means to a user; it never repeats the URL."""
    said = str(error).strip() or type(error).__name__
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
    """One open transaction on one connection, in pipeline mode."""

    dialect = POSTGRES

    def __init__(
        self, connection: Connection, pipeline: psycopg.Pipeline, *, writing: bool
    ) -> None:
        self._connection = connection
        self._pipeline = pipeline
        self.writing = writing

    def _execute(self, query: str, values: Sequence[object]) -> psycopg.Cursor[Row]:
        return self._connection.execute(query, values, binary=True)

    def rows(self, statement: Statement, values: Values) -> Sequence[Row]:
        return self._execute(statement.text, statement.bind(values)).fetchall()

    def send(self, statement: Statement, values: Values) -> None:
        self._execute(statement.text, statement.bind(values))

    def change(self, statement: Statement, values: Values) -> int:
        cursor = self._execute(statement.text, statement.bind(values))
        self._pipeline.sync()
        return cursor.rowcount

    def insert_all(self, *many: tuple[Statement, Sequence[tuple[object, ...]]]) -> None:
        if not any(rows for _, rows in many):
            return
        self._execute("SAVEPOINT many", ())
        try:
            for statement, rows in many:
                if rows:
                    self._execute(statement.bulk, list(map(list, zip(*rows, strict=True))))
            self._pipeline.sync()
        except errors.UniqueViolation as error:
            self._pipeline.sync()
            self._execute("ROLLBACK TO SAVEPOINT many", ())
            raise Taken(str(error)) from error
        self._execute("RELEASE SAVEPOINT many", ())

    def serialise(self, name: str) -> None:
        self._execute(_SERIALISE, (name,))

    def in_index_order(self) -> None:
        self._execute(_INDEX_ORDER, ())
