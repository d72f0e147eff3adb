"""Show what waits for a decision, and keep what somebody tagged ``keep``.

Without an event loop: every call returns when it is done. Run it as a person::

    RETAIA_TOKEN=… python decide.py http://127.0.0.1:8420
"""

import os
import sys

from retaia_adapters.http_client import SyncClient
from retaia_core.errors import StateConflict


def main(url: str, token: str) -> None:
    with SyncClient(url, token) as client:
        for asset in client.assets.iterate(state="DECISION_PENDING", sort="name"):
            if "keep" not in asset.tags:
                print(f"{asset.name}: waits")
                continue
            try:
                decided = client.assets.decide(asset.uuid, "KEEP")
            except StateConflict as error:  # somebody was faster
                print(f"{asset.name}: {error.message}")
            else:
                print(f"{asset.name}: {decided.state}")


if __name__ == "__main__":
    main(sys.argv[1], os.environ["RETAIA_TOKEN"])
