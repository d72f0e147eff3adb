"""People, clients and their tokens."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, _TEXT, nullable=null)


def _number(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null)


def _create_people() -> None:
    op.create_table(
        "accounts",
        _text("account_id"),
        _text("email"),
        _text("local_name", null=True),
        _text("document"),
        sa.PrimaryKeyConstraint("account_id"),
    )
    op.create_index("accounts_email", "accounts", ["email"], unique=True)
    op.create_index("accounts_local_name", "accounts", ["local_name"], unique=True)


def _create_clients() -> None:
    op.create_table(
        "clients",
        _text("client_id"),
        _text("document"),
        sa.PrimaryKeyConstraint("client_id"),
    )
    op.create_table(
        "device_grants",
        _text("digest"),
        _text("user_code"),
        _number("expires_at"),
        _text("document"),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("device_grants_code", "device_grants", ["user_code"], unique=True)


def _create_tokens() -> None:
    op.create_table(
        "sessions",
        _text("principal_id"),
        _text("client_id"),
        _text("refresh", null=True),
        _number("over_at"),
        _text("document"),
        sa.PrimaryKeyConstraint("principal_id", "client_id"),
    )
    op.create_index("sessions_refresh", "sessions", ["refresh"])
    op.create_table(
        "one_time_tokens",
        _text("digest"),
        _number("expires_at"),
        _text("document"),
        sa.PrimaryKeyConstraint("digest"),
    )


def _create_the_rest() -> None:
    op.create_table(
        "throttles",
        _text("key"),
        _number("failures"),
        _number("last_at"),
        _number("blocked_until", null=True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "app_features",
        _text("name"),
        sa.Column("switched_on", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "server_secrets",
        _text("name"),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def upgrade() -> None:
    _create_people()
    _create_clients()
    _create_tokens()
    _create_the_rest()


def downgrade() -> None:
    raise NotImplementedError("accounts are not given up; restore a backup from before")
