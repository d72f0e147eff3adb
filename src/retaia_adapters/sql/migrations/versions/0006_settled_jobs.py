"""Indexes of jobs that completing one leaves as they are, and room for its new version beside the old."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A failed job whose reason is unknown is found by this index as well.
    op.execute("UPDATE jobs SET failure = 'null' WHERE status = 'failed' AND failure = ''")
    op.drop_index("jobs_unfinished", "jobs")
    _index("jobs_pending", "job_id", where="offered_as IS NOT NULL OR waiting")
    _index("jobs_troubled", "job_id", where="failure <> ''")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE jobs SET (fillfactor = 50)")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE jobs RESET (fillfactor)")
    op.drop_index("jobs_troubled", "jobs")
    op.drop_index("jobs_pending", "jobs")
    _index("jobs_unfinished", "status", "job_id", where="status <> 'completed'")
    op.execute("UPDATE jobs SET failure = '' WHERE failure = 'null'")


def _index(name: str, *columns: str, where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "jobs", columns, sqlite_where=condition, postgresql_where=condition)
