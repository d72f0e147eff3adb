"""What is known of the content of files: digests, and when they were verified."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "fixity",
        sa.Column("asset", _TEXT, nullable=False),
        sa.Column("checked_at", sa.BigInteger, nullable=False),
        sa.Column("document", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("asset"),
    )
    op.create_index("fixity_checked", "fixity", ["checked_at", "asset"])


def downgrade() -> None:
    raise NotImplementedError("digests are not given up; restore a backup from before")
