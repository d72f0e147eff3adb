"""What a type checker has to say of the client; read by mypy, never run."""

from __future__ import annotations

from typing import assert_type

from retaia_adapters.http_client import Client, SyncClient
from retaia_adapters.http_client.values.assets import AssetDetail, AssetSummary


def typed(client: SyncClient) -> None:
    """What a type checker has to say of a blocking client."""
    assert_type(client.assets.get("u"), AssetDetail)
    assert_type(client.assets.decide("u", "KEEP", key="k"), AssetSummary)
    for asset in client.assets.iterate(state=("READY", "ARCHIVED"), q="sea"):
        assert_type(asset, AssetSummary)
    client.assets.decide("u", "PERHAPS")  # type: ignore[arg-type]
    client.assets.iterate(stat="READY")  # type: ignore[call-arg]


async def typed_awaited(client: Client) -> None:
    """What a type checker has to say of an awaited client."""
    assert_type(await client.assets.get("u"), AssetDetail)
    async for asset in client.assets.iterate():
        assert_type(asset, AssetSummary)
    await client.assets.get(5)  # type: ignore[arg-type]
