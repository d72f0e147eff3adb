"""The file of a SQLite store: how it comes to be, is brought to this version's tables, and is left."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import tempfile
from pathlib import Path

from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from retaia_core.errors import StoreError

from . import migrate
from .sqlite_session import connect

log = logging.getLogger("retaia.store")

LEAVE_MS = 200
"""So long does closing wait for another process, to leave good statistics behind."""


def make(path: Path) -> None:
    """Make folder and file so that only their user can read them.

    The file itself is never opened here: closing any descriptor of it takes from this process every
    lock that SQLite holds on it, and another process would remove the log that is written to.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _appear(path)
    except OSError as error:
        raise StoreError(
            f"the database's file cannot be made or opened: {error.strerror}; "
            "name another place in the settings"
        ) from error


def _appear(path: Path) -> None:
    """Let an empty file appear under a name, unless one is there; only its user can read it."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    os.close(handle)
    try:
        os.link(name, path)
    except FileExistsError:
        pass  # Another was faster.
    except OSError:  # A filesystem without second names.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    finally:
        Path(name).unlink()


def leave(connection: sqlite3.Connection) -> None:
    """Close the writing connection; statistics are brought up to date where nobody else writes now."""
    try:
        connection.execute(f"PRAGMA busy_timeout={LEAVE_MS}")
        connection.execute("PRAGMA optimize")
    except sqlite3.OperationalError as error:
        log.debug("the statistics of the database are left as they are: %s", error)
    finally:
        connection.close()


def revision(path: Path) -> str | None:
    """The schema's revision, where it is one; read without the machinery of migrations."""
    with contextlib.closing(connect(str(path), writing=True)) as connection:
        # Remembered in the file; a first connection sets it, since others rely on it.
        connection.execute("PRAGMA journal_mode=WAL")
        known = connection.execute("SELECT name FROM sqlite_master WHERE name='alembic_version'")
        if known.fetchone() is None:
            return None
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return found[0] if found else None


def upgrade(path: Path) -> None:
    """Migrate in one transaction, with foreign keys off while tables are copied."""
    engine = create_engine("sqlite://", creator=lambda: _migrating(path), poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def _exclusive(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN EXCLUSIVE")

    with engine.begin() as connection:
        migrate.upgrade(connection)


def _migrating(path: Path) -> sqlite3.Connection:
    connection = connect(str(path), writing=True)
    connection.execute("PRAGMA foreign_keys=OFF")
    return connection
