"""Transactions: whole or not at all, one after another, and never written by a read."""

from __future__ import annotations

from contextlib import suppress

import pytest
from attrs import evolve

from ...domain.assets import Asset
from ...domain.identifiers import RelPath
from ...domain.lifecycle import State
from ...errors import NotFound, StateConflict, ValidationFailed
from ...ports.store import Replay, Transaction, Work
from .. import samples
from ..clock import START
from ..samples import asset, asset_id, event
from .database import Database, StoreSuite


def _replay(scope: str, body: bytes = b"{}") -> Replay:
    return Replay(scope=scope, body_digest="b", status=200, body=body, created_at=START)


def _everything(tx: Transaction) -> None:
    """Write at least one row of everything that a transaction can write."""
    tx.save_storage(samples.storage())
    tx.add_assets([asset(1), asset(2)])
    tx.save_asset(evolve(asset(1), notes="changed"))
    tx.save_folders([samples.folder()])
    tx.set_unmatched(samples.NAS, "INBOX", [samples.unmatched("INBOX/x.xmp")])
    tx.add_jobs([samples.job()])
    tx.save_lock(samples.lock())
    tx.save_agent(samples.agent())
    tx.save_upload(samples.upload())
    tx.add_batch(samples.batch())
    tx.add_event(event())
    tx.add_journal(samples.journal_entry())
    tx.save_replay(_replay("POST /x:1"))


def _seen(tx: Transaction) -> list[object]:
    return [
        tx.storages(),
        tx.assets([asset_id(1), asset_id(2)]),
        tx.asset_at(samples.NAS, asset(1).path),
        tx.count_assets(),
        tx.folders(samples.NAS),
        tx.unmatched(),
        tx.job(samples.job_id()),
        tx.jobs_of(asset(1).subject),
        tx.lock(asset(1).subject),
        tx.agents(),
        tx.upload(samples.upload().upload_id),
        tx.batches(),
        tx.events(),
        tx.journal(),
        tx.replay("POST /x:1"),
    ]


class TransactionRules(StoreSuite):
    """What `Store.transact` and `Store.read` promise."""

    def test_a_transaction_answers_what_its_function_returns(self, db: Database) -> None:
        """The function's return value is the transaction's, whether durable or not."""
        assert db.write(lambda tx: "answer") == "answer"
        assert db.write(lambda tx: "soon", durable=False) == "soon"
        assert db.read(lambda tx: 7) == 7

    def test_a_commit_is_seen_by_the_next_read(self, db: Database) -> None:
        """What was committed is there for reads and for later transactions."""
        db.write(lambda tx: tx.add_assets([asset()]))
        assert db.read(lambda tx: tx.asset(asset_id())) == asset()
        assert db.write(lambda tx: tx.asset(asset_id())) == asset()

    def test_a_commit_without_durability_is_seen_as_well(self, db: Database) -> None:
        """``durable=False`` weakens what survives a loss of power, not what is seen."""
        db.write(lambda tx: tx.add_assets([asset()]), durable=False)
        assert db.read(lambda tx: tx.asset(asset_id())) == asset()

    def test_an_exception_leaves_nothing_behind(self, db: Database) -> None:
        """A function that raises after writing everything leaves an empty store."""
        empty = db.read(_seen)

        def work(tx: Transaction) -> None:
            _everything(tx)
            raise ValidationFailed("no")

        with pytest.raises(ValidationFailed, match="no"):
            db.write(work)
        assert db.read(_seen) == empty

    def test_an_exception_restores_what_was_replaced_and_removed(self, db: Database) -> None:
        """A function that raises after replacing and removing rows leaves them as they were."""
        db.write(_everything)
        before = db.read(_seen)

        def work(tx: Transaction) -> None:
            stored = tx.asset(asset_id(1))
            assert stored is not None
            tx.save_asset(evolve(stored, path=RelPath("INBOX/other.mov"), state=State.READY))
            tx.save_job(samples.job(priority=9))
            tx.save_lock(samples.lock(token="", fencing=5))
            tx.drop_folders(samples.NAS, ["INBOX"])
            tx.set_unmatched(samples.NAS, "INBOX", [])
            tx.drop_upload(samples.upload().upload_id)
            tx.drop_replays_before(samples.after(1))
            raise NotFound("gone")

        with pytest.raises(NotFound):
            db.write(work)
        assert db.read(_seen) == before

    def test_any_exception_rolls_back(self, db: Database) -> None:
        """An exception that is none of ours rolls back too, and comes out as it is."""

        def work(tx: Transaction) -> None:
            tx.add_assets([asset()])
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            db.write(work)
        assert db.read(lambda tx: tx.asset(asset_id())) is None

    def test_a_transaction_goes_on_after_a_refused_save(self, db: Database) -> None:
        """A function may catch a refused `save_asset` and write something else."""
        db.write(lambda tx: tx.add_assets([asset()]))

        def work(tx: Transaction) -> None:
            with pytest.raises(StateConflict):
                tx.save_asset(evolve(asset(), revision=7))
            tx.add_event(event("refused"))

        db.write(work)
        assert [e.name for e in db.read(lambda tx: tx.events())] == ["refused"]
        assert db.read(lambda tx: tx.asset(asset_id())) == asset()

    def test_reads_in_a_transaction_see_its_own_writes(self, db: Database) -> None:
        """Everything written can be read back before the commit."""

        def work(tx: Transaction) -> list[object]:
            _everything(tx)
            return _seen(tx)

        assert db.write(work) == db.read(_seen)

    def test_a_read_writes_nothing(self, db: Database) -> None:
        """A function given to `read` that writes all the same is refused or has no effect."""
        with suppress(Exception):  # how a store refuses is its own matter
            db.read(lambda tx: tx.add_assets([asset()]))
        assert db.read(lambda tx: tx.asset(asset_id())) is None

    def test_concurrent_changes_of_one_asset_are_all_kept(self, db: Database) -> None:
        """Twenty transactions that read and then write one asset lose no update."""
        db.write(lambda tx: tx.add_assets([asset()]))

        def work(tx: Transaction) -> Asset:
            stored = tx.asset(asset_id())
            assert stored is not None
            return tx.save_asset(evolve(stored, notes=stored.notes + "x"))

        outcomes = db.race([work] * 20)
        assert all(isinstance(outcome, Asset) for outcome in outcomes), outcomes
        stored = db.read(lambda tx: tx.asset(asset_id()))
        assert stored is not None
        assert (stored.notes, stored.revision) == ("x" * 20, 20)

    def test_one_failing_transaction_takes_no_other_with_it(self, db: Database) -> None:
        """Of concurrent transactions, those that raise roll back and the others commit."""

        def adding(n: int) -> Work[int]:
            def work(tx: Transaction) -> int:
                tx.add_assets([asset(n)])
                if n % 2:
                    raise ValidationFailed(str(n))
                return n

            return work

        outcomes = db.race([adding(n) for n in range(10)])
        assert [o for o in outcomes if isinstance(o, int)] == [0, 2, 4, 6, 8]
        there = db.read(lambda tx: tx.assets(asset_id(n) for n in range(10)))
        assert sorted(there) == [asset_id(n) for n in (0, 2, 4, 6, 8)]

    def test_of_two_under_one_idempotency_scope_the_second_sees_the_first(
        self, db: Database
    ) -> None:
        """Only one of many concurrent requests with one key finds nothing and does the work."""

        def work(tx: Transaction) -> bytes:
            known = tx.replay("submit:1")
            if known is not None:
                return known.body
            tx.add_event(event("submitted"))
            tx.save_replay(_replay("submit:1", body=b"first"))
            return b"first"

        assert db.race([work] * 12) == [b"first"] * 12
        assert len(db.read(lambda tx: tx.events())) == 1

    def test_prepare_is_harmless_on_a_prepared_store(self, db: Database) -> None:
        """A store is prepared at every start, and keeps what it has."""
        db.write(lambda tx: tx.add_assets([asset()]))
        db.prepare()
        assert db.read(lambda tx: tx.asset(asset_id())) == asset()
