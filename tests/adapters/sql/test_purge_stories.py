"""Purges on proof, by the policy, and their certificates, with the audit trail in a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from retaia_tests.house import PERSON, House
from retaia_tests.shelf import PLACE, Shelf

from retaia_adapters.sql.store import open_store
from retaia_core.domain.lifecycle import State
from retaia_core.domain.purge import POLICY

DAY = timedelta(days=1)


@pytest.fixture
async def stage(url: str) -> AsyncIterator[Shelf]:
    store = open_store(url, server=False)
    made = Shelf(house=House(store=store), required=True, policy_on=True, after_days=3)
    await made.house.start()
    yield made
    await store.close()


async def test_the_policy_purges_on_proof(stage: Shelf) -> None:
    """Unproven for a day, then proven: what the trail kept is read back as it was written."""
    asset, policy = await stage.rejected(), stage.policy()
    stage.house.clock.advance(1000 * DAY)
    for _ in range(3):
        assert (await policy.round()).purged == ()
        assert (await policy.round()).purged == ()
        stage.house.clock.advance(DAY)
    assert policy.on
    stage.back_up()
    assert (await policy.round()).purged == (asset.uuid,)
    told = await stage.certificates.of(asset.uuid)
    assert told.by == str(POLICY)
    assert [g.file.proof.place for g in told.files if g.file.proof] == [PLACE, PLACE]
    assert told.files[0].digest.startswith("sha256:")
    history = await stage.house.operations.history(asset.uuid)
    assert [event.name for event in history].count("purge.skipped") == 1


async def test_a_waiver_is_read_back(stage: Shelf) -> None:
    """With who said it, when and why; and a crash in the middle is finished on it."""
    asset = await stage.rejected()
    for path in ("REJECTS/A.jpg", "REJECTS/A.xmp"):
        await stage.proofs.waive(PERSON, asset.uuid, path, "enough")
    plan = await stage.purges.preview(asset.uuid)
    await stage.purges.accept(PERSON, plan, plan.digest)
    assert await stage.purges.recover(held=True) == 1
    told = await stage.certificates.of(asset.uuid)
    assert told.asset.state is State.PURGED
    assert tuple(gone.file for gone in told.files) == plan.files
