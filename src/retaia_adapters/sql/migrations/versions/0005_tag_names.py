"""The names of tags, by which completion finds them without a walk over every asset's tags."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    names = op.create_table(
        "tag_names",
        sa.Column("tag", _TEXT, nullable=False),
        sa.Column("folded", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("tag"),
        sqlite_with_rowid=False,
    )
    op.create_index("tag_names_folded", "tag_names", ["folded", "tag"])
    there = op.get_bind().execute(sa.text("SELECT DISTINCT tag FROM asset_tags"))
    op.bulk_insert(names, [{"tag": tag, "folded": tag.casefold()} for (tag,) in there])


def downgrade() -> None:
    op.drop_table("tag_names")
