"""Where use cases do what may block for long: a look at a share, a rename, a checksum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar, TypeVarTuple

import anyio.to_thread

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class Blocking(Protocol):
    """Runs a synchronous function away from the event loop, and answers or raises what it does."""

    async def __call__(self, function: Callable[[*Arguments], T], *arguments: *Arguments) -> T: ...


async def in_thread(function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    """Run a function in a worker thread; it is waited for even where the caller is cancelled."""
    return await anyio.to_thread.run_sync(function, *arguments)
