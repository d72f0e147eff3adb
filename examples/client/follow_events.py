"""Print what happens to assets as it happens, until it is stopped.

Events only say that it is worth looking; what is true stands in the assets themselves::

    RETAIA_TOKEN=… python follow_events.py http://127.0.0.1:8420
"""

import os
import sys

import anyio

from retaia_adapters.http_client import Client
from retaia_core.errors import NotFound


async def main(url: str, token: str) -> None:
    async with Client(url, token) as client:
        async for event in client.events.follow():
            if event.changed is None:  # ready, or too much happened: look at everything
                async for asset in client.assets.iterate():
                    print(f"{asset.name}: {asset.state}", flush=True)
            elif event.name == "asset":
                try:
                    detail = await client.assets.get(event.changed.id)
                except NotFound:
                    continue
                print(f"{detail.summary.name}: {detail.summary.state}", flush=True)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], os.environ["RETAIA_TOKEN"])
