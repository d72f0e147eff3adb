"""Opening the store that a URL names."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from retaia_core.errors import SettingsError
from retaia_core.ports.store import Store

_ALLOWED = (
    "sqlite:////absolute/path, sqlite:///relative/path, postgresql://user:password@host/database"
)


def open_store(url: str, *, server: bool = True) -> Store:
    """Return the store of a URL, still closed: `prepare` opens it.

    ``server`` claims a SQLite file for this process, as the one server that may use it; commands that
    work beside a server (or without one) open it with ``server=False``.

    Raises:
        SettingsError: the URL is none of a store.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise _refused(url) from error
    if parsed.drivername == "sqlite" and parsed.database not in (None, "", ":memory:"):
        from .sqlite_store import SqliteStore

        return SqliteStore(Path(str(parsed.database)), server=server)
    if parsed.drivername in ("postgresql", "postgres"):
        from .postgres_store import PostgresStore

        return PostgresStore(url)
    raise _refused(url)


def _refused(url: str) -> SettingsError:
    # The URL may hold a password: it is not repeated.
    scheme = url.partition(":")[0]
    return SettingsError(
        f"the store's URL (scheme {scheme!r}) is none that is known; allowed: {_ALLOWED}",
        key="store.url",
        allowed=_ALLOWED,
    )
