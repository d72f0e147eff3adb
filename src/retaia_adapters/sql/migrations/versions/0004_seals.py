"""Seals over the audit trail and the journal; the first rounds seal the rows that are there already."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "seals",
        sa.Column("number", _SEQ, autoincrement=False, nullable=False),
        sa.Column("previous", _TEXT, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("events_to", sa.BigInteger, nullable=False),
        sa.Column("journal_to", sa.BigInteger, nullable=False),
        sa.Column("leaves", sa.LargeBinary, nullable=False),
        sa.Column("awaited", _TEXT, nullable=False),
        sa.Column("digest", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )


def downgrade() -> None:
    raise NotImplementedError("seals are not given up; restore a backup from before")
