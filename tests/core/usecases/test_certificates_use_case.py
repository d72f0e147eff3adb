"""What is left of a purged asset: a certificate for ever, and nothing that was computed or noted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve
from retaia_tests.house import PERSON
from retaia_tests.shelf import SIDECAR, Shelf, shelf

from retaia_core.domain.assets import Suggestion, Transcript
from retaia_core.domain.fixity import Reading, noted
from retaia_core.domain.identifiers import AssetId
from retaia_core.domain.jobs import JobStatus
from retaia_core.domain.lifecycle import State
from retaia_core.domain.purge import PurgeRole
from retaia_core.errors import NotFound, StateConflict
from retaia_core.usecases.known_results import jobs_by_key, usable


@pytest.fixture
async def stage() -> Shelf:
    return await shelf()


async def purged(stage: Shelf) -> AssetId:
    """An asset that was purged on proof of its original and a waiver of its sidecar."""
    asset = await stage.rejected()
    stage.copies.add("tape", "INBOX/A.jpg", b"A")
    await stage.proofs.check(PERSON, asset.uuid)
    await stage.proofs.waive(PERSON, asset.uuid, "REJECTS/A.xmp", "made again at any time")
    await stage.purge(asset.uuid)
    return asset.uuid


class TestCertificate:
    """*Leaves a minimal audit record*, which a person can read."""

    async def test_what_it_says(self, stage: Shelf) -> None:
        """Who decided and who ordered, when, which batch, and each file with what it went on."""
        asset = await stage.rejected()
        stage.back_up()
        plan = await stage.checked(asset.uuid)
        await stage.purges.purge(PERSON, plan, plan.digest)
        told = await stage.certificates.of(asset.uuid)
        assert (told.asset.uuid, told.asset.path) == (asset.uuid, "REJECTS/A.jpg")
        assert [d.action for d in told.asset.decisions] == ["REJECT"]
        assert [p.path for p in told.asset.path_history] == ["INBOX/A.jpg"]
        assert (told.by, told.digest) == (str(PERSON), plan.digest)
        assert told.accepted_at <= told.purged_at == stage.house.clock.now()
        (batch,) = await stage.house.moves.batches()
        assert told.batch_id == batch.batch_id
        assert tuple(gone.file for gone in told.files) == plan.files
        assert told.bytes_freed == plan.bytes_freed
        events = await stage.house.operations.history(asset.uuid)
        assert told.seq == events[-1].seq

    async def test_proof_and_waiver_stand_beside_their_file(self, stage: Shelf) -> None:
        """With the digest that was read; a file that was never read has none."""
        told = await stage.certificates.of(await purged(stage))
        original, sidecar = told.files[:2]
        assert original.file.proof is not None
        assert (original.digest, sidecar.digest) == (original.file.proof.digest, "")
        assert sidecar.file.waiver is not None
        assert sidecar.file.waiver.reason == "made again at any time"

    async def test_a_digest_that_is_on_record(self) -> None:
        """Without any proof the checksum that was taken before is told."""
        stage = await shelf(required=False)
        asset = await stage.rejected()
        reading = Reading(role="original", digest="sha256:" + "7" * 64)
        record = noted(None, asset, [reading], "agent:x", stage.house.clock.now())
        await stage.house.store.transact(lambda tx: tx.save_fixity(record))
        await stage.purge(asset.uuid)
        told = await stage.certificates.of(asset.uuid)
        assert [gone.digest for gone in told.files][:2] == [reading.digest, ""]

    async def test_a_purge_that_took_two_tries(self) -> None:
        """Every file is told once, with when it went."""
        stage = await shelf(required=False)
        asset = await stage.rejected()

        def refuse(operation: str, path: str) -> None:
            if operation == "remove" and path.endswith(".xmp"):
                raise OSError(13, "Permission denied")

        stage.house.originals.fault = refuse
        with pytest.raises(StateConflict, match="Permission denied"):
            await stage.purge(asset.uuid)
        first = stage.house.clock.now()
        with pytest.raises(StateConflict, match="once it is purged"):
            await stage.certificates.of(asset.uuid)
        stage.house.originals.fault = None
        stage.house.clock.advance(timedelta(hours=1))
        await stage.purge(asset.uuid)
        told = await stage.certificates.of(asset.uuid)
        assert [(g.file.path, g.removed_at) for g in told.files][:2] == [
            ("REJECTS/A.jpg", first), ("REJECTS/A.xmp", stage.house.clock.now()),
        ]  # fmt: skip
        assert {g.file.role for g in told.files} == set(PurgeRole)

    async def test_unknown_assets(self, stage: Shelf) -> None:
        """There is no certificate of what nobody knows."""
        with pytest.raises(NotFound):
            await stage.certificates.of(AssetId("00000000-0000-7000-8000-00000000ffff"))

    async def test_it_is_kept_for_ever(self, stage: Shelf) -> None:
        """Whatever the server collects with the years, the certificate stays as it was."""
        uuid = await purged(stage)
        before = await stage.certificates.of(uuid)
        house = stage.house
        for _ in range(3):
            house.clock.advance(timedelta(days=3650))
            now = house.clock.now()
            await house.uploads.collect()
            await house.store.transact(lambda tx, now=now: tx.drop_replays_before(now))
            await house.store.transact(lambda tx, now=now: tx.drop_expired(now))
            await house.scan()
            await house.purges.recover(held=True)
        assert await stage.certificates.of(uuid) == before


class TestForgotten:
    """A minimal record: what was computed, said or suggested about it can be read nowhere any more."""

    async def test_nothing_computed_is_left(self) -> None:
        """Facts, transcript, suggestions, results of jobs and known results go with the files."""
        stage = await shelf(required=False)
        house = stage.house
        house.switched_on = frozenset({"suggest_tags"})
        asset = await stage.rejected()
        said = Transcript(text="a secret")
        idea = Suggestion(tag="secret", source="model")
        noted_asset = evolve(asset, transcript=said, suggestions=(idea,), notes="secret")

        def write(tx: Any) -> None:
            tx.save_asset(noted_asset)
            for job in tx.jobs_of(asset.subject):
                tx.save_job(evolve(job, result={"text": "a secret"}))

        await house.store.transact(write)
        jobs = await house.store.read(lambda tx: tx.jobs_of(asset.subject))
        keys = jobs_by_key(asset, jobs)
        known = await house.store.read(lambda tx: [tx.known_result(key) for key in keys])
        assert any(result and result.facts for result in known)
        await stage.purge(asset.uuid)
        after = await house.review.asset(asset.uuid)
        assert (after.facts, after.transcript, after.suggestions, after.notes) == ({}, None, (), "")
        jobs = await house.store.read(lambda tx: tx.jobs_of(asset.subject))
        assert {job.status for job in jobs} <= {JobStatus.COMPLETED, JobStatus.FAILED}
        assert not any(job.result for job in jobs)
        known = await house.store.read(lambda tx: [tx.known_result(key) for key in keys])
        assert not any(result and (result.facts or result.derived) for result in known)
        assert "secret" not in str(await house.operations.history(asset.uuid))

    async def test_a_copy_of_the_source_is_computed_anew(self) -> None:
        """What was forgotten is no known result; what a copy made by itself stays known."""
        stage = await shelf(required=False)
        house = stage.house
        asset = await stage.rejected()
        agent = await house.agent()
        twin = evolve(asset, uuid=AssetId("00000000-0000-7000-8000-0000000000ff"))
        jobs = await house.store.read(lambda tx: tx.jobs_of(asset.subject))
        keys = list(jobs_by_key(asset, jobs))
        found = await house.store.read(lambda tx: usable(tx, keys, twin, agent))
        assert found
        kept = evolve(found[0], asset=twin.uuid)
        await house.store.transact(lambda tx: tx.save_result(kept))
        await stage.purge(asset.uuid)
        assert await house.store.read(lambda tx: usable(tx, keys, asset, agent)) == [kept]
        assert await house.store.read(lambda tx: usable(tx, keys, twin, agent)) == []
        assert (await house.review.asset(asset.uuid)).state is State.PURGED
        assert SIDECAR not in {f.content for f in house.originals.files.values()}
