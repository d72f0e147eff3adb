"""A store that is watched does what it did, and says how long it took."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from attrs import define, field

from retaia_core.errors import RetaiaError, StateConflict, StoreUnavailable
from retaia_core.ports.observer import SilentObserver
from retaia_core.ports.store import Store, Transaction
from retaia_core.shell.observed_store import ObservedStore
from retaia_core.testing import samples
from retaia_core.testing.memory_store import MemoryStore


@define
class Notes(SilentObserver):
    """Keeps what it is told of transactions."""

    told: list[tuple[str, bool]] = field(factory=list)

    def transaction(self, kind: str, seconds: float, *, ok: bool) -> None:
        """Keep it."""
        assert 0 <= seconds < 60
        self.told.append((kind, ok))


def _shared(tx: Transaction, items: Sequence[int]) -> Sequence[int | RetaiaError]:
    return [item + 1 for item in items]


def _refusing(tx: Transaction) -> None:
    raise StateConflict("no")


class TestObservedStore:
    """Every way in is passed on and counted."""

    def test_nothing_of_the_port_is_forgotten(self) -> None:
        """Each method of the port is the wrapper's own: the port's would do nothing."""
        ways = {name for name, way in vars(Store).items() if callable(way) and name[0] != "_"}
        assert "transact" in ways
        assert ways <= vars(ObservedStore).keys()

    async def test_answers_are_the_stores(self) -> None:
        """What is written, read and shared comes back, each counted once."""
        notes = Notes()
        store = ObservedStore(MemoryStore(), notes)
        await store.prepare()
        await store.transact(lambda tx: tx.save_storage(samples.storage()))
        assert await store.read(lambda tx: len(tx.storages())) == 1
        assert await store.transact_shared(_shared, 1) == 2
        await store.close()
        assert notes.told == [("write", True), ("read", True), ("write", True)]

    async def test_failures_and_refusals(self) -> None:
        """A store that does not answer has failed; one that carries a refusal has not."""
        notes, inner = Notes(), MemoryStore()
        store = ObservedStore(inner, notes)
        with pytest.raises(StateConflict):
            await store.transact(_refusing)
        inner.problem = StoreUnavailable("gone")
        with pytest.raises(StoreUnavailable):
            await store.read(lambda tx: tx.storages())
        assert notes.told == [("write", True), ("read", False)]
