"""A connection to PostgreSQL on which queries travel together.

The driver's own pipeline sends each query as it comes; here they wait until an answer is needed, so that
a transaction costs one round trip per question it asks, and one for its commit. What is sent up to a
`finish` is one transaction for the server without a word. Encoding of values and
rows is the driver's.
"""

from __future__ import annotations

import itertools
import select
import time
from collections.abc import Sequence

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult

from .dialects import Row

_FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE)


class TooLong(Exception):
    """The answer did not come in time; the connection was closed, and nothing was committed."""


class Wire:
    """One connection in pipeline mode; every statement is prepared once under a name of its own.

    ``until`` is the time (`time.monotonic`) to which answers are waited for; none is for ever.
    """

    def __init__(self, url: str, settings: str) -> None:
        self._connection = psycopg.connect(
            url, autocommit=True, connect_timeout=10, application_name="retaia"
        )
        self._connection.execute(settings.encode())
        self._libpq = self._connection.pgconn
        self._libpq.enter_pipeline_mode()
        self._input, self._both = select.poll(), select.poll()
        self._input.register(self._libpq.socket, select.POLLIN)
        self._both.register(self._libpq.socket, select.POLLIN | select.POLLOUT)
        self._codec = Transformer(self._connection)
        self._names: dict[str, bytes] = {}
        self._numbers = itertools.count()
        self._expected: list[tuple[str, bool]] = []
        self._begun = False
        self.until: float | None = None

    def begin(self, how: str = "BEGIN") -> None:
        """Make what follows (and precedes, to the last commit) a transaction that survives `finish`."""
        if not self._begun:
            self._begun = True
            self.send(how)

    def commit(self) -> None:
        """End the transaction.

        Raises:
            psycopg.Error: something failed, and nothing was committed.
        """
        self.send_commit()
        self.settle()

    def send_commit(self) -> None:
        """Ask for the end of the transaction; the server ends by itself one that was not begun in words."""
        if self._begun:
            self._begun = False
            self.send("COMMIT")
        self._libpq.pipeline_sync()

    def roll_back(self) -> None:
        """Take back everything since the last commit, whatever became of the queries on their way.

        Raises:
            psycopg.Error: something had failed, or fails now.
        """
        self._begun, begun = False, self._begun
        try:
            if not begun:
                self.send("BEGIN")  # to have something that can be rolled back in words
            self.send("ROLLBACK")
            self.finish()
        finally:
            if self.alive and not self.idle:
                self.send("ROLLBACK")
                self.finish()

    def send(self, query: str, values: Sequence[object] = ()) -> None:
        """Queue a query; its error, if any, shows with the next answer."""
        name = self._names.get(query)
        if name is None:
            name = self._names[query] = b"s%d" % next(self._numbers)
            self._libpq.send_prepare(name, query.encode())
            self._expected.append((query, True))
        # As text, since the types are those that the query names, not those that a value looks like.
        texts = self._codec.dump_sequence(values, [PyFormat.TEXT] * len(values))
        self._libpq.send_query_prepared(name, texts, result_format=Format.BINARY)
        self._expected.append((query, False))

    def rows(self, query: str, values: Sequence[object] = ()) -> list[Row]:
        """Send a query and all before it, and wait for its rows.

        Raises:
            psycopg.Error: it, or one that was queued before, failed.
        """
        result = self._ask(query, values)
        self._codec.set_pgresult(result)
        found: list[Row] = self._codec.load_rows(0, result.ntuples, tuple)
        return found

    def counts(self, query: str, rows: Sequence[Sequence[object]]) -> list[int]:
        """Send a statement once for each values, and all before, and wait for the numbers of rows changed.

        Raises:
            psycopg.Error: one of them, or one that was queued before, failed.
        """
        for values in rows:
            self.send(query, values)
        self._libpq.send_flush_request()
        answers = self._receive()
        return [answer.command_tuples or 0 for answer in answers[len(answers) - len(rows) :]]

    def _ask(self, query: str, values: Sequence[object]) -> PGresult:
        self.send(query, values)
        self._libpq.send_flush_request()
        return self._receive()[-1]

    def finish(self) -> None:
        """Send all that is queued, and wait until it is done.

        Raises:
            psycopg.Error: something failed; the connection can be used again, if it is alive.
        """
        self._libpq.pipeline_sync()
        self.settle()

    def settle(self) -> None:
        """Wait for the end of what was sent.

        Raises:
            psycopg.Error: as `finish`.
        """
        problem: psycopg.Error | None = None
        try:
            self._receive()
        except psycopg.Error as error:
            problem = error
        while self.alive:
            result = self._result()
            if result is not None and result.status == ExecStatus.PIPELINE_SYNC:
                break
        if problem is not None:
            raise problem

    def _receive(self) -> list[PGresult]:
        """Read the answers to all that was sent, to the last; raises the first error among them."""
        expected, self._expected = self._expected, []
        results: list[PGresult] = []
        problem: psycopg.Error | None = None
        for query, prepares in expected:
            result = self._next()
            if problem is None and result.status in _FAILED:
                problem = psycopg.errors.error_from_result(result)
            if prepares and result.status != ExecStatus.COMMAND_OK:
                self._names.pop(query, None)
            results.append(result)
        if problem is not None:
            raise problem
        return results

    def _next(self) -> PGresult:
        result = self._result()
        if result is None or not self.alive:
            said = self._libpq.get_error_message()
            raise psycopg.OperationalError(said or "the connection is lost")
        self._result()  # what ends each answer
        return result

    def _result(self) -> PGresult | None:
        """The next result; waits for it without keeping other threads from running."""
        while self._libpq.flush():
            self._wait(self._both)
        while self._libpq.is_busy():
            self._wait(self._input)
        return self._libpq.get_result()

    def _wait(self, what: select.poll) -> None:
        left = None if self.until is None else max(0.0, self.until - time.monotonic()) * 1000
        if not what.poll(left):
            self.close()
            raise TooLong
        self._libpq.consume_input()

    @property
    def answered(self) -> bool:
        """Whether nothing is queued or on its way."""
        return not self._expected

    @property
    def alive(self) -> bool:
        """Whether the connection can still be used, as far as is known here."""
        return not self._connection.closed

    @property
    def idle(self) -> bool:
        """Whether no transaction is open."""
        return self._libpq.transaction_status == TransactionStatus.IDLE

    def hung_up(self) -> bool:
        """Whether the server said something while nobody asked: its last words, as a rule."""
        return bool(self._input.poll(0))

    def answers(self, seconds: float) -> bool:
        """Whether everything was sent, and the server's answer begins to come in so many seconds."""
        return not self._libpq.flush() and bool(self._input.poll(seconds * 1000))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
