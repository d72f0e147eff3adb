"""A store whose transactions an observer is told of."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from attrs import frozen

from ..errors import Refused
from ..ports.observer import Observer
from ..ports.store import SharedWork, Store, Work

Item = TypeVar("Item")
T = TypeVar("T")


@frozen
class ObservedStore(Store):
    """Passes everything on to a store, and tells how long it took; a refusal is no failure of it."""

    _store: Store
    _observer: Observer

    @contextmanager
    def _watched(self, kind: str, work: object) -> Iterator[None]:
        started, ok = time.perf_counter(), False
        name = getattr(work, "__qualname__", type(work).__name__)
        with self._observer.span(f"store.{kind}", work=name):
            try:
                yield
                ok = True
            except Refused:
                ok = True
                raise
            finally:
                self._observer.transaction(kind, time.perf_counter() - started, ok=ok)

    async def prepare(self) -> None:
        await self._store.prepare()

    async def transact(self, work: Work[T], *, durable: bool = True) -> T:
        with self._watched("write", work):
            return await self._store.transact(work, durable=durable)

    async def transact_shared(
        self, work: SharedWork[Item, T], item: Item, *, durable: bool = True
    ) -> T:
        with self._watched("write", work):
            return await self._store.transact_shared(work, item, durable=durable)

    async def read(self, work: Work[T]) -> T:
        with self._watched("read", work):
            return await self._store.read(work)

    async def close(self) -> None:
        await self._store.close()
