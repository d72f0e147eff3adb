"""What a store keeps of the content of files: digests, and when they were verified."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from ...domain.fixity import Fixity, Outcome
from ...domain.identifiers import AssetId, StorageId
from ...domain.lifecycle import State
from ...errors import StateConflict
from ...ports.fixity_store import FixitySums
from ...ports.store import Transaction
from ..samples import NAS, after, asset, asset_id, file_fixity, fixity
from .database import Database, StoreSuite

OTHER = StorageId("other")


def _add(
    db: Database, *numbers: int, storage_id: StorageId = NAS, state: State = State.READY
) -> None:
    made = [asset(n, storage_id=storage_id, state=state) for n in numbers]
    db.write(lambda tx: tx.add_assets(made))


def _save(db: Database, *records: Fixity) -> None:
    def work(tx: Transaction) -> None:
        for record in records:
            tx.save_fixity(record)

    db.write(work)


class FixityRules(StoreSuite):
    """What records of content promise."""

    def test_a_record_is_kept_as_it_is(self, db: Database) -> None:
        """Every field comes back: odd names, what was found instead, why it could not be read."""
        odd = file_fixity(
            role="/é🎬\n.xmp",
            path="INBOX/é🎬\n.xmp",
            size=2**62,
            mtime_ns=2**62,
            digest=None,
            checked_at=after(0.000001),
            outcome=Outcome.UNREADABLE,
            found="sha256:" + "f" * 64,
            problem="input/output error",
        )
        record = fixity(1, files=(file_fixity(verified_at=after(3)), odd))
        assert db.read(lambda tx: tx.fixity(record.asset)) is None
        _save(db, record)
        assert db.read(lambda tx: tx.fixity(record.asset)) == record

    def test_a_record_is_replaced_by_asset(self, db: Database) -> None:
        """The newer one stands alone, and in its own place of the order."""
        _add(db, 1)
        _save(db, fixity(1, at=1), fixity(1, at=5))
        assert db.read(lambda tx: tx.fixity(asset_id(1))) == fixity(1, at=5)
        assert db.read(lambda tx: tx.fixity_due(before=after(5))) == []
        assert db.read(lambda tx: tx.fixity_due(before=after(6))) == [fixity(1, at=5)]

    def test_several_are_read_at_once(self, db: Database) -> None:
        """Those that are there, each once."""
        _save(db, fixity(1), fixity(2))
        asked = [asset_id(n) for n in (1, 2, 2, 3)]
        found = db.read(lambda tx: tx.fixities(asked))
        assert dict(found) == {asset_id(1): fixity(1), asset_id(2): fixity(2)}
        assert dict(db.read(lambda tx: tx.fixities([]))) == {}

    def test_a_write_sees_its_own_record_and_a_failure_takes_it_back(self, db: Database) -> None:
        """What is raised leaves the record of before."""
        _save(db, fixity(1, at=1))

        def work(tx: Transaction) -> None:
            tx.save_fixity(fixity(1, at=9))
            assert tx.fixity(asset_id(1)) == fixity(1, at=9)
            raise StateConflict("take it back")

        (error,) = db.race([work])
        assert isinstance(error, StateConflict)
        assert db.read(lambda tx: tx.fixity(asset_id(1))) == fixity(1, at=1)

    def test_the_oldest_look_comes_first(self, db: Database) -> None:
        """Pages go from the oldest look on, through many of one time, to the last before the time given."""
        _add(db, *range(1, 7))
        _save(
            db, *(fixity(n, at=at) for n, at in {1: 30, 2: 10, 3: 10, 4: 10, 5: 99, 6: 40}.items())
        )

        def page(last: Fixity | None) -> Sequence[Fixity]:
            return db.read(lambda tx: tx.fixity_due(before=after(99), after=last, limit=2))

        found: list[Fixity] = []
        while more := page(found[-1] if found else None):
            found += more
        assert [one.asset for one in found] == [asset_id(n) for n in (2, 3, 4, 1, 6)]

    def test_a_record_that_is_looked_at_again_moves_to_the_end(self, db: Database) -> None:
        """What was verified between two pages is not met a second time before its turn."""
        _add(db, 1, 2)
        _save(db, fixity(1, at=1), fixity(2, at=2))
        (first,) = db.read(lambda tx: tx.fixity_due(before=after(5), limit=1))
        _save(db, fixity(1, at=5))
        rest = db.read(lambda tx: tx.fixity_due(before=after(5), after=first))
        assert [one.asset for one in rest] == [asset_id(2)]

    def test_assets_that_nobody_looked_at_are_found(self, db: Database) -> None:
        """In UUID order, page by page; not those whose file may still grow, and not those purged."""
        _add(db, 3, 1, 5)
        _add(db, 2, state=State.DISCOVERED)
        _add(db, 4, state=State.PURGED)
        _save(db, fixity(3))

        def page(last: AssetId | None) -> Sequence[AssetId]:
            return db.read(lambda tx: tx.assets_without_fixity(after=last, limit=1))

        found: list[AssetId] = []
        while more := page(found[-1] if found else None):
            found += more
        assert found == [asset_id(1), asset_id(5)]

    def test_what_is_not_settled_is_never_due(self, db: Database) -> None:
        """Records outlive a purge, and are not looked at again."""
        _add(db, 1, state=State.PURGED)
        _add(db, 2, state=State.DISCOVERED)
        _add(db, 3)
        _save(db, *(fixity(n) for n in (1, 2, 3)))
        due = db.read(lambda tx: tx.fixity_due(before=after(5)))
        assert [one.asset for one in due] == [asset_id(3)]
        assert db.read(lambda tx: tx.fixity(asset_id(1))) == fixity(1)

    def test_one_storage_can_be_asked_about(self, db: Database) -> None:
        """Where an asset lies now is what counts."""
        _add(db, 1, 2)
        _add(db, 3, 4, storage_id=OTHER)
        _save(db, fixity(1, at=1), fixity(3, at=2))
        for storage_id, due, never in ((NAS, 1, 2), (OTHER, 3, 4)):
            found = _due_in(db, storage_id)
            assert found == ([asset_id(due)], [asset_id(never)])

    def test_they_are_counted(self, db: Database) -> None:
        """How many have records, how many have none, and the oldest look."""
        assert db.read(lambda tx: tx.fixity_sums()) == FixitySums()
        _add(db, 1, 2, 3)
        _add(db, 4, storage_id=OTHER)
        _add(db, 5, state=State.PURGED)
        _save(db, fixity(1, at=7), fixity(2, at=4), fixity(5, at=0))
        assert db.read(lambda tx: tx.fixity_sums()) == FixitySums(known=2, never=2, oldest=after(4))
        assert db.read(lambda tx: tx.fixity_sums(OTHER)) == FixitySums(never=1)
        assert db.read(lambda tx: tx.fixity_sums(NAS)) == FixitySums(
            known=2, never=1, oldest=after(4)
        )

    def test_the_record_of_an_asset_is_not_part_of_it(self, db: Database) -> None:
        """Saving one leaves the other, its revision included, as it was."""
        _add(db, 1)
        before = db.read(lambda tx: tx.asset(asset_id(1)))
        _save(db, fixity(1))
        assert db.read(lambda tx: tx.asset(asset_id(1))) == before
        assert before is not None
        db.write(lambda tx: tx.save_asset(evolve(before, notes="seen")))
        assert db.read(lambda tx: tx.fixity(asset_id(1))) == fixity(1)


def _due_in(db: Database, storage_id: StorageId) -> tuple[list[AssetId], list[AssetId]]:
    def work(tx: Transaction) -> tuple[list[AssetId], list[AssetId]]:
        due = tx.fixity_due(before=after(50), storage_id=storage_id)
        return [one.asset for one in due], list(tx.assets_without_fixity(storage_id=storage_id))

    return db.read(work)
