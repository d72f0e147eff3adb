"""A store as a test that knows no event loop drives it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from ...errors import RetaiaError
from ...ports.store import SharedWork, Store, Work

Item = TypeVar("Item")
T = TypeVar("T")

OpenStore = Callable[[], Awaitable[Store]]
"""Opens a store over a new and empty database; `Store.prepare` is called by the suite."""


class Database:
    """A store behind blocking calls."""

    def __init__(self, store: Store, portal: BlockingPortal) -> None:
        self.store = store
        self._portal = portal

    def write(self, work: Work[T], *, durable: bool = True) -> T:
        """Run a function in one write transaction."""
        return self._portal.call(lambda: self.store.transact(work, durable=durable))

    def read(self, work: Work[T]) -> T:
        """Run a function that only reads."""
        return self._portal.call(lambda: self.store.read(work))

    def prepare(self) -> None:
        """Prepare the store (again)."""
        self._portal.call(self.store.prepare)

    def race(self, works: Sequence[Work[T]]) -> list[T | RetaiaError]:
        """Run functions at the same time, each in a transaction of its own.

        Returns the answer or the error of each, in the order given.
        """
        return self._portal.call(self._race, works)

    def share(
        self, work: SharedWork[Item, T], items: Iterable[Item], *, durable: bool = True
    ) -> list[T | RetaiaError]:
        """Run a shared function for items that come at the same time; the outcome of each, in order."""
        return self.share_all([(work, item) for item in items], durable=durable)

    def share_all(
        self, shared: Sequence[tuple[SharedWork[Item, T], Item]], *, durable: bool = True
    ) -> list[T | RetaiaError]:
        """Run shared functions at the same time, each for an item of its own."""
        acts = [
            partial(self.store.transact_shared, work, item, durable=durable)
            for work, item in shared
        ]
        return self._portal.call(_outcomes, acts)

    async def _race(self, works: Sequence[Work[T]]) -> list[T | RetaiaError]:
        return await _outcomes([partial(self.store.transact, work) for work in works])


async def _outcomes(acts: Sequence[Callable[[], Awaitable[T]]]) -> list[T | RetaiaError]:
    """What comes of acts that begin at the same time, in their order."""
    outcomes: dict[int, T | RetaiaError] = {}

    async def run(index: int, act: Callable[[], Awaitable[T]]) -> None:
        try:
            outcomes[index] = await act()
        except RetaiaError as error:
            outcomes[index] = error

    async with anyio.create_task_group() as group:
        for index, act in enumerate(acts):
            group.start_soon(run, index, act)
    return [outcomes[index] for index in range(len(acts))]


@contextmanager
def opened(open_store: OpenStore, portal: BlockingPortal) -> Iterator[Database]:
    """Open, prepare and at the end close a store on the event loop of a portal."""

    async def prepared() -> Store:
        store = await open_store()
        await store.prepare()
        return store

    store = portal.call(prepared)
    try:
        yield Database(store, portal)
    finally:
        portal.call(store.close)


class StoreSuite:
    """The fixtures that every part of the store's contract stands on."""

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """Override this: return an async function that opens a store over an empty database."""
        raise NotImplementedError(f"{type(self).__name__} must define the fixture `open_store`")

    @pytest.fixture
    def db(self, open_store: OpenStore) -> Iterator[Database]:
        """A new store, prepared and empty."""
        with (
            start_blocking_portal(backend="asyncio") as portal,
            opened(open_store, portal) as database,
        ):
            yield database
