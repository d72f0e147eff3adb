"""Bringing a database to the schema of this version, and refusing what is not ours to touch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from retaia_core.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

HEAD = "0006"
"""The newest revision; a test holds it equal to the last migration script."""

SCRIPTS = Path(__file__).parent / "migrations"


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, within the caller's transaction.

    Raises:
        StoreError: the database is from a newer version, or holds somebody else's tables.
    """
    from alembic import command  # slow to import, and needed once per version
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import inspect

    heads = MigrationContext.configure(connection).get_current_heads()
    if not heads and inspect(connection).get_table_names():
        raise StoreError(
            "the database holds tables that are not Retaia's; name an empty database in the settings"
        )
    for head in heads:
        refuse_newer(head)
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def refuse_newer(revision: str) -> None:
    """Refuse a database whose revision this version does not know.

    Raises:
        StoreError: it was written by a newer version.
    """
    if revision not in known_revisions():
        raise StoreError(
            f"the database is from a newer version of Retaia (schema {revision}, known here: {HEAD}); "
            "install that version, or restore a backup that was made with this one",
            schema=revision,
            known=HEAD,
        )


def known_revisions() -> frozenset[str]:
    """The revisions that this version brings, from the names of their scripts."""
    return frozenset(path.name.partition("_")[0] for path in SCRIPTS.glob("versions/[0-9]*.py"))
