"""The contract of the store port, put together from its parts."""

from __future__ import annotations

from .store_accounts import AccountRules
from .store_assets import AssetRules
from .store_bundles import BundleRules, SharedRules
from .store_claims import ClaimRules
from .store_find import FindRules, PageRules
from .store_fixity import FixityRules
from .store_history import HistoryRules
from .store_leases import LeaseRules
from .store_monitoring import MonitoringRules
from .store_records import RecordRules
from .store_transactions import TransactionRules


class StoreContract(
    TransactionRules,
    AssetRules,
    FindRules,
    PageRules,
    ClaimRules,
    LeaseRules,
    BundleRules,
    SharedRules,
    RecordRules,
    AccountRules,
    MonitoringRules,
    FixityRules,
    HistoryRules,
):
    """What every store must do.

    Subclass it, name the subclass ``Test…``, and override the fixture ``open_store``.
    """
