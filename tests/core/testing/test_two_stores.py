"""Any two stores that are driven by one program answer the same.

Here the program meets the store in memory and one that runs every function twice; the suites of other
stores compare theirs with the store in memory.
"""

from __future__ import annotations

from retaia_core.ports.store import Store
from retaia_core.testing.agreement import store_agreement
from retaia_core.testing.memory_store import MemoryStore


async def _plain() -> Store:
    return MemoryStore()


async def _rehearsing() -> Store:
    return MemoryStore(rehearse=True)


TestTwoMemoryStores = store_agreement({"plain": _plain, "rehearsing": _rehearsing})
