"""One suite per port: any implementation runs it by subclassing with pytest.

::

    class TestMyStore(StoreContract):
        @pytest.fixture
        def open_store(self, tmp_path):
            return lambda: MyStore.open(tmp_path / "db")
"""

from __future__ import annotations

import pytest

# The suites are no test modules by name; without this, their asserts would say nothing when they fail.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "claiming",
            "copies",
            "derived_storage",
            "originals",
            "processor",
            "secrets",
            "store_accounts",
            "store_assets",
            "store_claims",
            "store_find",
            "store_fixity",
            "store_history",
            "store_leases",
            "store_records",
            "store_transactions",
        )
    )
)

from .copies import CopiesContract  # noqa: E402
from .derived_storage import DerivedStorageContract  # noqa: E402
from .originals import OriginalsContract  # noqa: E402
from .processor import ProcessorContract  # noqa: E402
from .secrets import SecretsContract  # noqa: E402
from .store import StoreContract  # noqa: E402

__all__ = [
    "CopiesContract",
    "DerivedStorageContract",
    "OriginalsContract",
    "ProcessorContract",
    "SecretsContract",
    "StoreContract",
]
