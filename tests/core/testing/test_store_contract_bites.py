"""The store's contract and the agreement find the mistakes that a store is likely to make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from attrs import evolve
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from retaia_core.domain.accounts import Account
from retaia_core.domain.assets import Asset
from retaia_core.domain.fixity import Fixity
from retaia_core.domain.identifiers import AssetId, JobId, StorageId
from retaia_core.domain.jobs import Job, JobStatus, Offer
from retaia_core.domain.leases import Lock, LockKind
from retaia_core.domain.sessions import Session
from retaia_core.domain.workload import JobCount
from retaia_core.errors import RetaiaError
from retaia_core.ports.store import Claim, ClaimableQuery, Claimed, Completion, Replay, Store
from retaia_core.testing.agreement import StoreAgreement
from retaia_core.testing.conformance import StoreContract
from retaia_core.testing.conformance.database import OpenStore, opened
from retaia_core.testing.memory_store import MemoryStore, MemoryTransaction


class NoRollback(MemoryTransaction):
    def rewind(self) -> None:
        """Forget to take anything back."""


class NoRevisionCheck(MemoryTransaction):
    def save_asset(self, asset: Asset) -> Asset:
        stored = self.asset(asset.uuid)
        return super().save_asset(evolve(asset, revision=stored.revision if stored else 0))


class NoHolder(MemoryTransaction):
    def claim(self, claim: Claim) -> Claimed:
        current = self.lock(claim.subject)
        if current is not None:
            self.save_lock(evolve(current, expires_at=claim.now))
        return super().claim(claim)


class FencingForgotten(MemoryTransaction):
    def claim(self, claim: Claim) -> Claimed:
        won = super().claim(claim)
        lock = evolve(won.lock, fencing=1)
        self.save_lock(lock)
        return evolve(won, lock=lock)


class SecondsOnly(MemoryTransaction):
    def asset(self, uuid: AssetId) -> Asset | None:
        found = super().asset(uuid)
        return found and evolve(found, created_at=found.created_at.replace(microsecond=0))


class CrowdedOffers(MemoryTransaction):
    def claimable(self, query: ClaimableQuery) -> Sequence[Offer]:
        anybody = frozenset(c for job in self.find_jobs(limit=1000) for c in job.capabilities)
        cut = super().claimable(evolve(query, capabilities=anybody))
        return [job for job in cut if job.capabilities <= query.capabilities]


class ReplaysForgotten(MemoryTransaction):
    def replay(self, scope: str) -> Replay | None:
        return None


class CaseFolded(MemoryTransaction):
    def asset_at(self, storage_id: StorageId, path: str) -> Asset | None:
        there = self._living(storage_id)
        return next((a for a in there if a.path.casefold() == path.casefold()), None)


class CompletesAnything(MemoryTransaction):
    def complete(self, job_id: JobId, **given: Any) -> Job:
        job = self.job(job_id)
        assert job is not None
        self.save_job(evolve(job, status=JobStatus.COMPLETED))
        return job


class TokensForEverybody(MemoryTransaction):
    def drop_one_time(self, digest: str) -> None:
        """Forget to use a token up."""


class SecretsReplaced(MemoryTransaction):
    def add_server_secret(self, name: str, value: bytes) -> bytes:
        self._people.server_secrets.put(name, value, self._log)
        return value


class SharedAddresses(MemoryTransaction):
    def save_account(self, account: Account) -> None:
        self._people.accounts.put(account.account_id, account, self._log)


class SessionsPileUp(MemoryTransaction):
    def save_session(self, session: Session) -> None:
        key = (session.principal_id, session.client_id + session.jti)
        self._people.sessions.put(key, session, self._log)


class CountsReleasedLocks(MemoryTransaction):
    def count_locks(self, now: datetime) -> Mapping[LockKind, int]:
        return Counter(lock.kind for lock in self._tables.locks.values())


class PagesByTimeAlone(MemoryTransaction):
    def held_locks(
        self, *, now: datetime, after: Lock | None = None, limit: int = 100
    ) -> Sequence[Lock]:
        held = super().held_locks(now=now, limit=1000)
        return [o for o in held if after is None or o.expires_at > after.expires_at][:limit]


class CountsByTypeAlone(MemoryTransaction):
    def count_jobs(self) -> Sequence[JobCount]:
        counts: dict[str, JobCount] = {}
        for one in super().count_jobs():
            known = counts.get(one.job_type)
            counts[one.job_type] = evolve(one, count=one.count + (known.count if known else 0))
        return list(counts.values())


class RefusalForgotten(MemoryTransaction):
    def complete_all(
        self, completions: Sequence[Completion], *, now: datetime
    ) -> Sequence[RetaiaError | None]:
        return [None for _ in super().complete_all(completions, now=now)]


class LoserTakesAll(MemoryTransaction):
    def claim_all(self, claims: Sequence[Claim]) -> Sequence[Claimed | RetaiaError]:
        outcomes = super().claim_all(claims)
        lost = next((o for o in outcomes if isinstance(o, RetaiaError)), None)
        return outcomes if lost is None else [lost for _ in outcomes]


class LooksPagedByTimeAlone(MemoryTransaction):
    def fixity_due(
        self,
        *,
        before: datetime,
        storage_id: StorageId | None = None,
        after: Fixity | None = None,
        limit: int = 100,
    ) -> Sequence[Fixity]:
        due = super().fixity_due(before=before, storage_id=storage_id, limit=1000)
        return [o for o in due if after is None or o.checked_at > after.checked_at][:limit]


class EveryStorageAtOnce(MemoryTransaction):
    def assets_without_fixity(
        self, *, storage_id: StorageId | None = None, after: AssetId | None = None, limit: int = 100
    ) -> Sequence[AssetId]:
        return super().assets_without_fixity(after=after, limit=limit)


class DigestsOfThePurged(MemoryTransaction):
    def _settled(self, storage_id: StorageId | None) -> Iterator[AssetId]:
        return iter([asset.uuid for asset in self._tables.assets.values()])


MISTAKES: list[tuple[type[MemoryTransaction], str]] = [
    (NoRollback, "test_an_exception_leaves_nothing_behind"),
    (NoRollback, "test_an_exception_restores_what_was_replaced_and_removed"),
    (NoRevisionCheck, "test_a_save_from_an_old_reading_is_refused"),
    (NoHolder, "test_of_many_claimants_one_wins"),
    (NoHolder, "test_nobody_else_while_one_holds"),
    (FencingForgotten, "test_fencing_only_grows"),
    (SecondsOnly, "test_an_asset_comes_back_as_it_was"),
    (CrowdedOffers, "test_offers_are_not_crowded_out"),
    (ReplaysForgotten, "test_of_two_under_one_idempotency_scope_the_second_sees_the_first"),
    (CaseFolded, "test_names_that_only_look_alike_are_different_paths"),
    (NoRollback, "test_a_failure_takes_back_what_was_written_about_people"),
    (NoRollback, "test_a_failed_use_leaves_the_token"),
    (TokensForEverybody, "test_of_many_uses_of_a_one_use_token_one_wins"),
    (SecretsReplaced, "test_of_many_server_secrets_the_first_is_kept"),
    (SharedAddresses, "test_of_many_accounts_for_one_address_one_wins"),
    (SessionsPileUp, "test_one_session_lives_per_principal_and_client"),
    (RefusalForgotten, "test_completions_that_are_refused_hinder_none"),
    (LoserTakesAll, "test_claims_that_lose_hinder_none"),
    (CompletesAnything, "test_a_released_lease_opens_nothing"),
    (CountsReleasedLocks, "test_locks_are_counted_while_they_are_held"),
    (PagesByTimeAlone, "test_locks_are_paged_by_their_end"),
    (CountsByTypeAlone, "test_jobs_are_counted_by_what_makes_them_alike"),
    (NoRollback, "test_a_write_sees_its_own_record_and_a_failure_takes_it_back"),
    (LooksPagedByTimeAlone, "test_the_oldest_look_comes_first"),
    (EveryStorageAtOnce, "test_one_storage_can_be_asked_about"),
    (DigestsOfThePurged, "test_what_is_not_settled_is_never_due"),
    (DigestsOfThePurged, "test_assets_that_nobody_looked_at_are_found"),
]


def opening(transaction: type[MemoryTransaction]) -> OpenStore:
    """How a store in memory with transactions of this kind is opened."""

    class Broken(MemoryStore):
        transaction_type = transaction

    async def open_store() -> Store:
        return Broken()

    return open_store


@pytest.mark.parametrize(("mistake", "name"), MISTAKES, ids=lambda value: str(value))
def test_the_contract_finds_the_mistake(mistake: type[MemoryTransaction], name: str) -> None:
    """A store with one mistake fails the test of the contract that is about it."""
    with (
        start_blocking_portal(backend="asyncio") as portal,
        opened(opening(mistake), portal) as db,
        pytest.raises((AssertionError, pytest.fail.Exception)),
    ):
        getattr(StoreContract(), name)(db)


@pytest.mark.parametrize(
    "mistake",
    [
        NoRollback,
        SecondsOnly,
        pytest.param(NoRevisionCheck, marks=pytest.mark.slow),
        pytest.param(NoHolder, marks=pytest.mark.slow),
    ],
)
def test_the_agreement_finds_the_mistake(mistake: type[MemoryTransaction]) -> None:
    """A store with one mistake soon says something else than the reference."""
    machine = type(
        "Disagreement",
        (StoreAgreement,),
        {"factories": {"good": opening(MemoryTransaction), "bad": opening(mistake)}},
    )
    search = settings(
        max_examples=100,
        stateful_step_count=20,
        deadline=None,
        database=None,
        derandomize=True,
        report_multiple_bugs=False,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=search)
