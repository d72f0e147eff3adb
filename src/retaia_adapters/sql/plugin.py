"""The SQL store, registered the way any other distribution registers its own."""

from __future__ import annotations

from collections.abc import Iterable

from retaia_core.hooks import Provider, Role, hookimpl
from retaia_core.ports.store import Store


def _open(url: str, *, server: bool = True) -> Store:
    # SQLAlchemy takes long to import, and many commands need no store.
    from .store import open_store

    return open_store(url, server=server)


@hookimpl
def retaia_providers() -> Iterable[Provider]:
    """The store ``sql``: SQLite and PostgreSQL, by the URL's scheme."""
    return [Provider(role=Role.STORE, name="sql", factory=_open)]
