"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, _TEXT, nullable=null)


def _number(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False)


def _seq() -> sa.Column[int]:
    return sa.Column("seq", _SEQ, primary_key=True, autoincrement=True)


def _index(name: str, table: str, *columns: str, unique: bool = False, where: str = "") -> None:
    condition = sa.text(where) if where else None
    op.create_index(
        name,
        table,
        [sa.text(c) if " " in c else c for c in columns],
        unique=unique,
        sqlite_where=condition,
        postgresql_where=condition,
    )


def _create_storages() -> None:
    op.create_table(
        "storages",
        _text("storage_id"),
        _text("document"),
        sa.PrimaryKeyConstraint("storage_id"),
    )


def _create_assets() -> None:
    op.create_table(
        "assets",
        _seq(),
        _text("uuid"),
        _text("storage_id"),
        _text("folder"),
        _text("name"),
        _text("media_type"),
        _text("state"),
        _text("flags"),
        _number("size"),
        _number("mtime_ns"),
        _text("profile"),
        _number("created_at"),
        _number("updated_at"),
        _number("state_since", null=True),
        _number("sightings"),
        _text("fingerprint", null=True),
        _text("verdict", null=True),
        _number("review_version"),
        _number("revision"),
        _number("captured_at", null=True),
        _number("duration_ms", null=True),
        _flag("has_proxy"),
        _number("thumbs"),
        sa.Column("latitude", sa.Float(53), nullable=True),
        sa.Column("longitude", sa.Float(53), nullable=True),
        _text("country", null=True),
        _text("city", null=True),
        _text("tags"),
        _text("search"),
        _text("document"),
    )
    _index("assets_captured", "assets", "captured_at", "uuid", where="captured_at IS NOT NULL")
    _index("assets_created", "assets", "created_at", "uuid")
    _index("assets_duration", "assets", "duration_ms", "uuid", where="duration_ms IS NOT NULL")
    _index("assets_flagged", "assets", "uuid", where="flags <> ''")
    _index("assets_media", "assets", "media_type", "uuid", where="state <> 'DISCOVERED'")
    _index("assets_name", "assets", "name", "uuid", where="state <> 'DISCOVERED'")
    _index(
        "assets_place",
        "assets",
        "storage_id",
        "folder",
        "name",
        unique=True,
        where="state <> 'PURGED'",
    )
    _index("assets_shape", "assets", "mtime_ns", "size", where="fingerprint IS NOT NULL")
    _index("assets_state", "assets", "state", "uuid")
    _index("assets_updated", "assets", "updated_at", "uuid", where="state <> 'DISCOVERED'")
    _index("assets_uuid", "assets", "uuid", unique=True)


def _create_asset_tags() -> None:
    op.create_table(
        "asset_tags",
        _text("tag"),
        sa.Column("asset", _SEQ, nullable=False),
        sa.ForeignKeyConstraint(["asset"], ["assets.seq"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tag", "asset"),
        sqlite_with_rowid=False,
    )
    _index("asset_tags_asset", "asset_tags", "asset")


def _create_folders() -> None:
    op.create_table(
        "folders",
        _text("storage_id"),
        _text("folder"),
        _text("digest"),
        _flag("settled"),
        _number("files"),
        _text("skipped"),
        sa.PrimaryKeyConstraint("storage_id", "folder"),
        sqlite_with_rowid=False,
    )


def _create_unmatched_sidecars() -> None:
    op.create_table(
        "unmatched_sidecars",
        _text("storage_id"),
        _text("folder"),
        _text("path"),
        _text("rule"),
        _text("reason"),
        sa.PrimaryKeyConstraint("storage_id", "folder", "path"),
        sqlite_with_rowid=False,
    )


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        _text("job_id"),
        _text("job_type"),
        _text("subject_kind"),
        _text("subject_id"),
        _text("capabilities"),
        _text("offered_as", null=True),
        _text("status"),
        _flag("required"),
        _flag("review"),
        _number("priority"),
        _number("not_before", null=True),
        _flag("waiting"),
        _number("review_version"),
        _number("attempts"),
        _number("max_attempts"),
        _text("claimed_by", null=True),
        _text("lock_token", null=True),
        _number("locked_until", null=True),
        _number("fencing"),
        _number("created_at"),
        _number("updated_at"),
        _text("failure"),
        _text("progress"),
        _text("result"),
        _text("warnings"),
        _text("document"),
        sa.PrimaryKeyConstraint("job_id"),
    )
    _index(
        "jobs_offered",
        "jobs",
        "offered_as",
        "priority DESC",
        "created_at",
        "job_id",
        where="offered_as IS NOT NULL",
    )
    _index("jobs_subject", "jobs", "subject_kind", "subject_id")
    _index("jobs_unfinished", "jobs", "status", "job_id", where="status <> 'completed'")


def _create_locks() -> None:
    op.create_table(
        "locks",
        _text("subject_kind"),
        _text("subject_id"),
        _text("kind"),
        _text("holder"),
        _text("token"),
        _number("fencing"),
        _number("expires_at"),
        sa.PrimaryKeyConstraint("subject_kind", "subject_id"),
        sqlite_with_rowid=False,
    )
    _index("locks_held", "locks", "expires_at", where="token <> ''")


def _create_agents() -> None:
    op.create_table(
        "agents",
        _text("agent_id"),
        _text("document"),
        sa.PrimaryKeyConstraint("agent_id"),
    )


def _create_uploads() -> None:
    op.create_table(
        "uploads",
        _text("upload_id"),
        _number("created_at"),
        _text("document"),
        sa.PrimaryKeyConstraint("upload_id"),
    )
    _index("uploads_created", "uploads", "created_at", "upload_id")


def _create_known_results() -> None:
    op.create_table(
        "known_results",
        _text("key"),
        _text("document"),
        sa.PrimaryKeyConstraint("key"),
    )


def _create_batches() -> None:
    op.create_table(
        "batches",
        _text("batch_id"),
        _text("status"),
        _text("digest"),
        _number("created_at"),
        _text("created_by"),
        _number("finished_at", null=True),
        _text("blocked"),
        sa.PrimaryKeyConstraint("batch_id"),
    )
    _index("batches_created", "batches", "created_at", "batch_id")


def _create_move_results() -> None:
    op.create_table(
        "move_results",
        _text("batch_id"),
        _text("asset"),
        _number("position"),
        _text("document"),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.batch_id"]),
        sa.PrimaryKeyConstraint("batch_id", "asset"),
        sqlite_with_rowid=False,
    )


def _create_events() -> None:
    op.create_table(
        "events",
        _seq(),
        _text("subject_kind"),
        _text("subject_id"),
        _text("name"),
        _text("actor"),
        _number("at"),
        _text("data"),
        sqlite_autoincrement=True,
    )
    _index("events_subject", "events", "subject_kind", "subject_id", "seq")


def _create_journal() -> None:
    op.create_table(
        "journal",
        _seq(),
        _text("subject_kind"),
        _text("subject_id"),
        _text("batch_id"),
        _text("operation"),
        _text("phase"),
        _text("storage_id"),
        _text("source"),
        _text("target", null=True),
        _number("at"),
        _number("fencing"),
        _text("evidence"),
        sqlite_autoincrement=True,
    )
    _index("journal_batch", "journal", "batch_id", "seq")
    _index("journal_subject", "journal", "subject_kind", "subject_id", "seq")


def _create_replays() -> None:
    op.create_table(
        "replays",
        _text("scope"),
        _text("body_digest"),
        _number("status"),
        sa.Column("body", sa.LargeBinary, nullable=False),
        _number("created_at"),
        sa.PrimaryKeyConstraint("scope"),
    )
    _index("replays_created", "replays", "created_at")


def upgrade() -> None:
    _create_storages()
    _create_assets()
    _create_asset_tags()
    _create_folders()
    _create_unmatched_sidecars()
    _create_jobs()
    _create_locks()
    _create_agents()
    _create_uploads()
    _create_known_results()
    _create_batches()
    _create_move_results()
    _create_events()
    _create_journal()
    _create_replays()


def downgrade() -> None:
    raise NotImplementedError("there is nothing before the first schema")
