"""The tables, as SQLAlchemy metadata; the migrations make the same (a test compares them).

Times are whole microseconds since 1970, texts sort by code point in both databases, and what is neither
filtered nor sorted lies in JSON documents (``document`` and the like), empty where all is default.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects import postgresql

metadata = MetaData()

_Text = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
# SQLite numbers rows by itself only where the key is spelt INTEGER.
_Seq = BigInteger().with_variant(Integer, "sqlite")


def _text(name: str, *, null: bool = False, key: bool = False) -> Column[str]:
    return Column(name, _Text, nullable=null, primary_key=key)


def _number(name: str, *, null: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=null)


def _seq() -> Column[int]:
    return Column("seq", _Seq, primary_key=True, autoincrement=True)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean(create_constraint=False), nullable=False)


storages = Table("storages", metadata, _text("storage_id", key=True), _text("document"))

assets = Table(
    "assets",
    metadata,
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
    Column("latitude", Float(53), nullable=True),
    Column("longitude", Float(53), nullable=True),
    _text("country", null=True),
    _text("city", null=True),
    _text("tags"),
    _text("search"),
    _text("document"),
)
"""``search`` is the folded text that ``q`` looks in; ``country`` and ``city`` are folded as well."""

# What a first scan pays for: identity, place, state and age. Identifiers are time-ordered, so
# most of these grow at their end.
Index("assets_uuid", assets.c.uuid, unique=True)
_living = text("state <> 'PURGED'")
Index(
    "assets_place",
    assets.c.storage_id,
    assets.c.folder,
    assets.c.name,
    unique=True,
    sqlite_where=_living,
    postgresql_where=_living,
)
_proven = assets.c.fingerprint.is_not(None)
Index(
    "assets_shape",
    assets.c.mtime_ns,
    assets.c.size,
    sqlite_where=_proven,
    postgresql_where=_proven,
)
Index("assets_state", assets.c.state, assets.c.uuid)
Index("assets_created", assets.c.created_at, assets.c.uuid)
# The other orders leave out what was only just discovered (`listing` adds it), so that a first scan
# does not pay for them; unknown capture times and durations are found through the UUIDs.
_settled = text("state <> 'DISCOVERED'")
for _name, _column in (
    ("assets_updated", assets.c.updated_at),
    ("assets_name", assets.c.name),
    ("assets_media", assets.c.media_type),
):
    Index(_name, _column, assets.c.uuid, sqlite_where=_settled, postgresql_where=_settled)
for _name, _column in (
    ("assets_captured", assets.c.captured_at),
    ("assets_duration", assets.c.duration_ms),
):
    _known = _column.is_not(None)
    Index(_name, _column, assets.c.uuid, sqlite_where=_known, postgresql_where=_known)
_flagged = text("flags <> ''")
Index("assets_flagged", assets.c.uuid, sqlite_where=_flagged, postgresql_where=_flagged)

asset_tags = Table(
    "asset_tags",
    metadata,
    _text("tag", key=True),
    Column("asset", _Seq, ForeignKey("assets.seq", ondelete="CASCADE"), primary_key=True),
    sqlite_with_rowid=False,
)
Index("asset_tags_asset", asset_tags.c.asset)

tag_names = Table(
    "tag_names",
    metadata,
    _text("tag", key=True),
    _text("folded"),
    sqlite_with_rowid=False,
)
"""Every tag that an asset ever had, to complete what is typed; one that no asset has now is passed over."""
Index("tag_names_folded", tag_names.c.folded, tag_names.c.tag)

folders = Table(
    "folders",
    metadata,
    _text("storage_id", key=True),
    _text("folder", key=True),
    _text("digest"),
    _flag("settled"),
    _number("files"),
    _text("skipped"),
    sqlite_with_rowid=False,
)

unmatched = Table(
    "unmatched_sidecars",
    metadata,
    _text("storage_id", key=True),
    _text("folder", key=True),
    _text("path", key=True),
    _text("rule"),
    _text("reason"),
    sqlite_with_rowid=False,
)

jobs = Table(
    "jobs",
    metadata,
    _text("job_id", key=True),
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
    postgresql_with={"fillfactor": 50},
)
"""``offered_as`` names type and capabilities of a job while it is pending and not waiting, else NULL."""

# Each claim writes anew to the indexes that it is in: there are no more than these. None looks at what
# completing a job changes, so that PostgreSQL writes to no index then, where the page has room (below).
Index("jobs_subject", jobs.c.subject_kind, jobs.c.subject_id)
for _name, _which in (
    ("jobs_pending", "offered_as IS NOT NULL OR waiting"),
    ("jobs_troubled", "failure <> ''"),
):
    Index(_name, jobs.c.job_id, sqlite_where=text(_which), postgresql_where=text(_which))
_offered = jobs.c.offered_as.is_not(None)
Index(
    "jobs_offered",
    jobs.c.offered_as,
    jobs.c.priority.desc(),
    jobs.c.created_at,
    jobs.c.job_id,
    sqlite_where=_offered,
    postgresql_where=_offered,
)

locks = Table(
    "locks",
    metadata,
    _text("subject_kind", key=True),
    _text("subject_id", key=True),
    _text("kind"),
    _text("holder"),
    _text("token"),
    _number("fencing"),
    _number("expires_at"),
    sqlite_with_rowid=False,
)
_held = text("token <> ''")
Index("locks_held", locks.c.expires_at, sqlite_where=_held, postgresql_where=_held)

agents = Table("agents", metadata, _text("agent_id", key=True), _text("document"))

uploads = Table(
    "uploads",
    metadata,
    _text("upload_id", key=True),
    _number("created_at"),
    _text("document"),
)
Index("uploads_created", uploads.c.created_at, uploads.c.upload_id)

results = Table("known_results", metadata, _text("key", key=True), _text("document"))

batches = Table(
    "batches",
    metadata,
    _text("batch_id", key=True),
    _text("status"),
    _text("digest"),
    _number("created_at"),
    _text("created_by"),
    _number("finished_at", null=True),
    _text("blocked"),
)
Index("batches_created", batches.c.created_at, batches.c.batch_id)

move_results = Table(
    "move_results",
    metadata,
    Column("batch_id", _Text, ForeignKey("batches.batch_id"), primary_key=True),
    _text("asset", key=True),
    _number("position"),
    _text("document"),
    sqlite_with_rowid=False,
)

events = Table(
    "events",
    metadata,
    _seq(),
    _text("subject_kind"),
    _text("subject_id"),
    _text("name"),
    _text("actor"),
    _number("at"),
    _text("data"),
    sqlite_autoincrement=True,
)
Index("events_subject", events.c.subject_kind, events.c.subject_id, events.c.seq)

journal = Table(
    "journal",
    metadata,
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
Index("journal_subject", journal.c.subject_kind, journal.c.subject_id, journal.c.seq)
Index("journal_batch", journal.c.batch_id, journal.c.seq)

seals = Table(
    "seals",
    metadata,
    Column("number", _Seq, primary_key=True, autoincrement=False),
    _text("previous"),
    _number("at"),
    _number("events_to"),
    _number("journal_to"),
    Column("leaves", LargeBinary, nullable=False),
    _text("awaited"),
    _text("digest"),
)

replays = Table(
    "replays",
    metadata,
    _text("scope", key=True),
    _text("body_digest"),
    _number("status"),
    Column("body", LargeBinary, nullable=False),
    _number("created_at"),
)
Index("replays_created", replays.c.created_at)

fixity = Table(
    "fixity",
    metadata,
    _text("asset", key=True),
    _number("checked_at"),
    _text("document"),
)
Index("fixity_checked", fixity.c.checked_at, fixity.c.asset)

accounts = Table(
    "accounts",
    metadata,
    _text("account_id", key=True),
    _text("email"),
    _text("local_name", null=True),
    _text("document"),
)
Index("accounts_email", accounts.c.email, unique=True)
Index("accounts_local_name", accounts.c.local_name, unique=True)

clients = Table("clients", metadata, _text("client_id", key=True), _text("document"))

device_grants = Table(
    "device_grants",
    metadata,
    _text("digest", key=True),
    _text("user_code"),
    _number("expires_at"),
    _text("document"),
)
Index("device_grants_code", device_grants.c.user_code, unique=True)

sessions = Table(
    "sessions",
    metadata,
    _text("principal_id", key=True),
    _text("client_id", key=True),
    _text("refresh", null=True),
    _number("over_at"),
    _text("document"),
)
Index("sessions_refresh", sessions.c.refresh)

one_times = Table(
    "one_time_tokens",
    metadata,
    _text("digest", key=True),
    _number("expires_at"),
    _text("document"),
)

throttles = Table(
    "throttles",
    metadata,
    _text("key", key=True),
    _number("failures"),
    _number("last_at"),
    _number("blocked_until", null=True),
)

app_features = Table("app_features", metadata, _text("name", key=True), _flag("switched_on"))

server_secrets = Table(
    "server_secrets",
    metadata,
    _text("name", key=True),
    Column("value", LargeBinary, nullable=False),
)
