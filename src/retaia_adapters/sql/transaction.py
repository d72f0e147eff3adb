"""The transaction of the store port, over any session."""

from __future__ import annotations

from attrs import frozen

from retaia_core.ports.store import Transaction

from .account_store import AccountStatements, AccountTransaction
from .asset_store import AssetStatements, AssetTransaction
from .dialects import Dialect
from .fixity_store import FixityStatements, FixityTransaction
from .history import HistoryStatements, HistoryTransaction
from .job_store import JobStatements, JobTransaction
from .listing import Listing
from .monitoring import MonitoringStatements, MonitoringTransaction
from .records import RecordStatements, RecordTransaction
from .session import Session


@frozen(kw_only=True)
class Statements:
    """Everything that a store ever runs, compiled for its database."""

    assets: AssetStatements
    jobs: JobStatements
    records: RecordStatements
    listing: Listing
    people: AccountStatements
    monitoring: MonitoringStatements
    contents: FixityStatements
    history: HistoryStatements

    @classmethod
    def build(cls, dialect: Dialect) -> Statements:
        """Compile everything; this is done once, when a store is opened."""
        return cls(
            assets=AssetStatements.build(dialect),
            jobs=JobStatements.build(dialect),
            records=RecordStatements.build(dialect),
            listing=Listing(dialect),
            people=AccountStatements.build(dialect),
            monitoring=MonitoringStatements.build(dialect),
            contents=FixityStatements.build(dialect),
            history=HistoryStatements.build(dialect),
        )


class SqlTransaction(
    AssetTransaction,
    JobTransaction,
    RecordTransaction,
    AccountTransaction,
    MonitoringTransaction,
    FixityTransaction,
    HistoryTransaction,
    Transaction,
):
    """One transaction; the parts are in the modules of their tables."""

    def __init__(self, session: Session, statements: Statements) -> None:
        self._session = session
        self._assets = statements.assets
        self._jobs = statements.jobs
        self._records = statements.records
        self._listing = statements.listing
        self._people = statements.people
        self._monitoring = statements.monitoring
        self._contents = statements.contents
        self._history = statements.history
