"""Runs the migrations on the connection that `retaia_adapters.sql.migrate` hands over."""

from alembic import context

from retaia_adapters.sql.schema import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    # SQLite cannot alter a table in place: it is copied, within the one transaction.
    render_as_batch=connection.dialect.name == "sqlite",
    transactional_ddl=True,
)
context.run_migrations()
