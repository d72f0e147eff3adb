"""Seals: checkpoints over the audit trail and the journal that make a later edit visible.

A seal names each row that it covers by kind, number and SHA-256 of its canonical form; its own digest
covers those and the digest of the seal before it. Rows are never touched by it, and nobody who writes one
waits for it. A number that is missing when a seal is made (its transaction may still run) is awaited, and
goes into a later seal when it comes; a row that nobody awaited was put in afterwards.

What this proves and what it does not: who can write to the database can make the whole chain anew. Only a
digest that was noted elsewhere shows that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import chain, islice
from typing import NamedTuple

from attrs import define, evolve, field, frozen

from .history import Row
from .journal import Event, JournalEntry

AWAIT = timedelta(minutes=10)
"""No transaction runs this long: a number that is missing later will not come."""

MOST_AWAITED = 10_000
"""How many missing numbers are awaited at most."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DIGEST = hashlib.sha256().digest_size
_LEAF = 1 + 8 + _DIGEST


class Kind(StrEnum):
    """The two trails."""

    EVENT = "event"
    JOURNAL = "journal"


_CODES = {Kind.EVENT: b"e", Kind.JOURNAL: b"j"}
_KINDS = {code: kind for kind, code in _CODES.items()}


class Leaf(NamedTuple):
    """A row in a seal: its trail, its number, and the SHA-256 of its canonical form."""

    kind: Kind
    seq: int
    digest: bytes


class Awaited(NamedTuple):
    """A number that was missing, and since when."""

    kind: Kind
    seq: int
    since: datetime


@frozen(kw_only=True)
class Seal:
    """One seal. ``leaves`` are the rows, packed; ``events_to`` and ``journal_to`` how far the trails were.

    Rows up to these numbers are in this seal, in an earlier one, or awaited.
    """

    number: int
    previous: str
    at: datetime
    events_to: int
    journal_to: int
    leaves: bytes
    awaited: tuple[Awaited, ...] = ()
    digest: str = ""

    @property
    def rows(self) -> int:
        """How many rows it covers."""
        return len(self.leaves) // _LEAF

    def to(self, kind: Kind) -> int:
        """How far a trail was."""
        return self.events_to if kind is Kind.EVENT else self.journal_to


def kind_of(row: Row) -> Kind:
    """The trail of a row."""
    return Kind.EVENT if isinstance(row, Event) else Kind.JOURNAL


def _micros(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    if isinstance(value, datetime):
        return _micros(value)
    raise TypeError(f"{value!r} cannot be in a trail")


def _json(document: object) -> bytes:
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain
    ).encode()


def canonical(row: Row) -> bytes:
    """The bytes that a row's digest is made of: one JSON list, keys sorted, time in microseconds UTC."""
    start = [kind_of(row).value, row.seq, _micros(row.at), row.subject.kind, row.subject.id]
    if isinstance(row, Event):
        return _json([*start, row.name, row.actor, row.data])
    return _json(
        [
            *start,
            row.batch_id,
            row.operation,
            row.phase.value,
            row.storage_id,
            row.source,
            row.target,
            row.fencing,
            row.evidence,
        ]
    )


def row_digest(row: Row) -> bytes:
    """SHA-256 of a row's canonical form."""
    return hashlib.sha256(canonical(row)).digest()


def pack(rows: Iterable[Row]) -> bytes:
    """The leaves of rows."""
    return b"".join(
        _CODES[kind_of(row)] + row.seq.to_bytes(8, "big") + row_digest(row) for row in rows
    )


def leaves_of(seal: Seal) -> Iterator[Leaf]:
    """The rows of a seal; a remainder that is no leaf (somebody cut the bytes) is passed over."""
    for start in range(0, seal.rows * _LEAF, _LEAF):
        packed = seal.leaves[start : start + _LEAF]
        kind = _KINDS.get(packed[:1])
        if kind is not None:
            yield Leaf(kind, int.from_bytes(packed[1:9], "big"), packed[9:])


def digest_of(seal: Seal) -> str:
    """SHA-256 (hex) over everything that a seal says, the digest of the one before included."""
    document = [
        "retaia-seal-1",
        seal.number,
        seal.previous,
        _micros(seal.at),
        seal.events_to,
        seal.journal_to,
        [[one.kind.value, one.seq, _micros(one.since)] for one in seal.awaited],
        hashlib.sha256(seal.leaves).hexdigest(),
    ]
    return hashlib.sha256(_json(document)).hexdigest()


def _missing(kind: Kind, after: int, rows: Sequence[Row], now: datetime) -> Iterator[Awaited]:
    """The numbers behind ``after`` that were passed over by rows in their order."""
    expected = after + 1
    for row in rows:
        yield from (Awaited(kind, seq, now) for seq in range(expected, row.seq))
        expected = row.seq + 1


@frozen(kw_only=True)
class Unsealed:
    """What is to be sealed: the seal before, the rows behind it in order, and those that were awaited."""

    last: Seal | None
    events: Sequence[Event] = ()
    journal: Sequence[JournalEntry] = ()
    late: Sequence[Row] = ()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.events) + len(self.journal) + len(self.late)


def _still_awaited(found: Unsealed, now: datetime) -> Iterator[Awaited]:
    came = {(kind_of(row), row.seq) for row in found.late}
    for one in found.last.awaited if found.last else ():
        if (one.kind, one.seq) not in came and now - one.since < AWAIT:
            yield one


def sealed(found: Unsealed, now: datetime) -> Seal | None:
    """The seal over what is to be sealed; None where that is nothing."""
    if not found.rows:
        return None
    last = found.last
    events_to, journal_to = (last.events_to, last.journal_to) if last else (0, 0)
    missing = chain(
        _still_awaited(found, now),
        _missing(Kind.EVENT, events_to, found.events, now),
        _missing(Kind.JOURNAL, journal_to, found.journal, now),
    )
    seal = Seal(
        number=last.number + 1 if last else 1,
        previous=last.digest if last else "",
        at=now,
        events_to=found.events[-1].seq if found.events else events_to,
        journal_to=found.journal[-1].seq if found.journal else journal_to,
        leaves=pack(chain(found.late, found.events, found.journal)),
        awaited=tuple(islice(missing, MOST_AWAITED)),
    )
    return evolve(seal, digest=digest_of(seal))


class Wrong(StrEnum):
    """What a check found wrong."""

    ROW_CHANGED = "row_changed"
    ROW_REMOVED = "row_removed"
    ROW_INSERTED = "row_inserted"
    SEAL_CHANGED = "seal_changed"
    SEAL_REMOVED = "seal_removed"
    CHAIN_BROKEN = "chain_broken"
    HEAD_UNKNOWN = "head_unknown"


@frozen(kw_only=True)
class Finding:
    """One thing that is wrong: which seal, and which row where that is known."""

    wrong: Wrong
    sentence: str
    seal: int | None = None
    kind: Kind | None = None
    seq: int | None = None


MOST_FINDINGS = 1000
"""So many findings are kept; the rest is counted."""


def _named(kind: Kind, seq: int) -> str:
    return f"event {seq}" if kind is Kind.EVENT else f"line {seq} of the journal"


@define(kw_only=True)
class Verifier:
    """Checks a chain seal by seal, and each row of the trails once; its memory is one seal's.

    For each seal: `begin`, `row` for every row of its window, `later` for those of `unseen`, `end`;
    at last `close`. ``head`` is a digest that was noted, which one of the seals must have.
    """

    head: str | None = None
    last: Seal | None = field(default=None, init=False)
    rows: int = field(default=0, init=False)
    unproven: int = field(default=0, init=False)
    """Rows of which nothing can be said, since the seal that covered them is gone."""
    waiting: int = field(default=0, init=False)
    """Rows that were late and go into the next seal."""
    wrong: int = field(default=0, init=False)
    findings: list[Finding] = field(factory=list, init=False)
    _seal: Seal | None = field(default=None, init=False)
    _leaves: dict[tuple[Kind, int], bytes] = field(factory=dict, init=False)
    _awaited: set[tuple[Kind, int]] = field(factory=set, init=False)
    _came: set[tuple[Kind, int]] = field(factory=set, init=False)
    _gap: bool = field(default=False, init=False)
    _met: bool = field(default=False, init=False)

    def _found(
        self, wrong: Wrong, sentence: str, kind: Kind | None = None, seq: int | None = None
    ) -> None:
        self.wrong += 1
        if len(self.findings) < MOST_FINDINGS:
            seal = self._seal.number if self._seal else None
            self.findings.append(
                Finding(wrong=wrong, sentence=sentence, seal=seal, kind=kind, seq=seq)
            )

    def begin(self, seal: Seal) -> None:
        """Take up the next seal, and hold it against its own digest and the seal before."""
        expected = self.last.number + 1 if self.last else 1
        self._seal, self._gap = seal, seal.number != expected
        if self._gap:
            last = seal.number - 1
            gone = f"seal {expected} is" if last == expected else f"seals {expected} to {last} are"
            self._found(Wrong.SEAL_REMOVED, f"{gone} gone; what they covered cannot be checked")
        if digest_of(seal) != seal.digest:
            self._found(Wrong.SEAL_CHANGED, f"seal {seal.number} was changed after it was made")
        elif not self._gap and seal.previous != (self.last.digest if self.last else ""):
            said = f"seal {seal.number} does not continue seal {expected - 1}: one was made anew"
            self._found(Wrong.CHAIN_BROKEN, said)
        self._met = self._met or seal.digest == self.head
        self._leaves = {(leaf.kind, leaf.seq): leaf.digest for leaf in leaves_of(seal)}
        self._awaited = {(one.kind, one.seq) for one in seal.awaited}

    def row(self, row: Row) -> None:
        """Hold a row of the seal's window against the seal."""
        key = kind_of(row), row.seq
        if key in self._leaves:
            self.later(row)
        elif key in self._awaited:
            self._came.add(key)
        elif self._gap:
            self.unproven += 1
        else:
            said = f"{_named(*key)} was put in after seal {self._number} was made over its place"
            self._found(Wrong.ROW_INSERTED, said, *key)

    @property
    def _number(self) -> int:
        assert self._seal is not None
        return self._seal.number

    @property
    def unseen(self) -> tuple[tuple[Kind, int], ...]:
        """The rows of the seal that were not in its window: those that were late, or are gone."""
        return tuple(self._leaves)

    def later(self, row: Row) -> None:
        """Hold a row that the seal names against it."""
        key = kind_of(row), row.seq
        self.rows += 1
        self._came.discard(key)
        if self._leaves.pop(key) != row_digest(row):
            said = f"{_named(*key)} was changed after seal {self._number} was made"
            self._found(Wrong.ROW_CHANGED, said, *key)

    def end(self) -> None:
        """Be done with the seal: what it names and nobody found is gone."""
        assert self._seal is not None
        for kind, seq in self._leaves:
            said = f"{_named(kind, seq)} is gone: seal {self._number} names it"
            self._found(Wrong.ROW_REMOVED, said, kind, seq)
        self.last, self._seal = self._seal, None

    def close(self) -> None:
        """Say what is left: rows that came too late to be awaited, and a head that is not there."""
        awaited = {(one.kind, one.seq) for one in self.last.awaited} if self.last else set()
        self.waiting = len(self._came & awaited)
        for key in sorted(self._came - awaited):
            said = f"{_named(*key)} was put in after the seals over its place were made"
            self._found(Wrong.ROW_INSERTED, said, *key)
        if self.head is not None and not self._met:
            said = f"no seal has the digest {self.head}: the trail was cut off or made anew"
            self._found(Wrong.HEAD_UNKNOWN, said)
