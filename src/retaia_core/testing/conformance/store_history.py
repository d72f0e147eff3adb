"""What a store promises about the trails as a whole, and the seals over them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve

from ...domain.assets import PathRecord
from ...domain.history import Place
from ...domain.identifiers import RelPath, StorageId
from ...domain.journal import Phase
from ...domain.lifecycle import State
from ...domain.seals import Awaited, Kind, Seal, Unsealed, canonical, digest_of, row_digest, sealed
from ...errors import StateConflict
from ...ports.store import Transaction
from ..clock import START
from ..samples import NAS, after, asset, event, journal_entry, sidecar
from .database import Database, StoreSuite
from .store_records import writing

ODD = "INBOX/é🎬\n\"\\'%_\u202e\x01.mov"


def _trail(tx: Transaction) -> None:
    """Six events and six lines of the journal, of two subjects and two batches, a second apart."""
    for n in range(6):
        tx.add_event(event(f"e{n}", of=n % 2, at=after(n)))
        tx.add_journal(journal_entry(of=n % 2, batch_id=f"b{n % 3}", at=after(n + 1)))


def _seal(number: int = 1, **changes: object) -> Seal:
    values: dict[str, object] = {
        "number": number,
        "previous": "ab" * 32,
        "at": START + timedelta(microseconds=1),
        "events_to": 2**40,
        "journal_to": 0,
        "leaves": bytes(range(82)),
        "digest": "cd" * 32,
    }
    return Seal(**values | changes)  # type: ignore[arg-type]


class HistoryRules(StoreSuite):
    """Pages, times, former paths, and the chain of seals."""

    def test_the_journal_comes_in_pages(self, db: Database) -> None:
        """Behind a number, up to a limit; of a subject, of a batch, or of both."""
        db.write(_trail)
        whole = list(db.read(lambda tx: tx.journal()))
        assert db.read(lambda tx: tx.journal_page()) == whole
        second = db.read(lambda tx: tx.journal_page(after=whole[1].seq, limit=3))
        assert second == whole[2:5]
        odd = asset(1).subject
        found = db.read(lambda tx: tx.journal_page(subject=odd, after=whole[1].seq))
        assert found == [whole[3], whole[5]]
        found = db.read(lambda tx: tx.journal_page(batch_id="b0", after=whole[0].seq))
        assert found == [whole[3]]
        found = db.read(lambda tx: tx.journal_page(batch_id="b1", subject=odd))
        assert found == [whole[1]]

    def test_the_newest_events_come_in_their_order(self, db: Database) -> None:
        """The last ones of a subject, up to a limit."""
        db.write(_trail)
        newest = db.read(lambda tx: tx.latest_events(asset(1).subject, limit=2))
        assert [found.name for found in newest] == ["e3", "e5"]
        assert len(db.read(lambda tx: tx.latest_events(asset(0).subject))) == 3
        assert db.read(lambda tx: tx.latest_events(asset(7).subject)) == []

    def test_rows_are_found_by_their_numbers(self, db: Database) -> None:
        """Those that are there, in their order, each once; none is asked of a number nobody has."""
        db.write(_trail)
        events, journal = db.read(lambda tx: (tx.events(), tx.journal()))
        wanted = [events[4].seq, events[1].seq, events[1].seq, 2**40]
        assert db.read(lambda tx: tx.events_at(wanted)) == [events[1], events[4]]
        wanted = [journal[5].seq, journal[0].seq, 2**40]
        assert db.read(lambda tx: tx.journal_at(wanted)) == [journal[0], journal[5]]
        assert db.read(lambda tx: (tx.events_at([]), tx.journal_at([]))) == ([], [])

    def test_a_stretch_holds_every_row_of_its_time(self, db: Database) -> None:
        """From the first row of the time to the last, in each trail by itself."""
        db.write(_trail)
        events, journal = db.read(lambda tx: (tx.events(), tx.journal()))
        found = db.read(lambda tx: tx.stretch(after(2), after(4)))
        assert found.after == Place(event=events[1].seq, entry=journal[0].seq)
        assert found.to == Place(event=events[3].seq, entry=journal[2].seq)
        whole = db.read(lambda tx: tx.stretch(None, None))
        assert whole.after == Place()
        assert whole.to == Place(event=events[5].seq, entry=journal[5].seq)
        later = db.read(lambda tx: tx.stretch(after(60), None))
        assert later.after == whole.to

    def test_rows_behind_a_place_are_counted(self, db: Database) -> None:
        """Both trails together."""
        assert db.read(lambda tx: tx.count_behind(Place())) == 0
        db.write(_trail)
        events, journal = db.read(lambda tx: (tx.events(), tx.journal()))
        place = Place(event=events[3].seq, entry=journal[4].seq)
        assert db.read(lambda tx: tx.count_behind(place)) == 3

    def test_assets_are_found_by_any_path_they_had(self, db: Database) -> None:
        """By the present path, a former one, a sidecar's, one of the journal; purged ones too."""
        was = (PathRecord(path=RelPath(ODD), until=after(1), cause="move"),)
        moved = asset(1, path=RelPath("ARCHIVE/x.mov"), path_history=was)
        now = asset(2, path=RelPath(ODD), sidecars=(sidecar("INBOX/day/s.xmp"),))
        purged = asset(3, path=RelPath("REJECTS/y.mov"), state=State.PURGED)
        elsewhere = asset(4, path=RelPath(ODD), storage_id=StorageId("other"))

        def work(tx: Transaction) -> None:
            tx.add_assets([moved, now, purged, elsewhere])
            gone = journal_entry(of=3, operation="purge", source=RelPath("REJECTS/y.xmp"))
            tx.add_journal(evolve(gone, target=None))
            failed = journal_entry(Phase.FAILED, of=3, source=RelPath("REJECTS/y.mov"))
            tx.add_journal(evolve(failed, target=RelPath("never/there.mov")))
            done = journal_entry(Phase.DONE, of=3, source=RelPath("REJECTS/y.mov"))
            tx.add_journal(evolve(done, target=RelPath("was/there.mov")))

        db.write(work)

        def at(path: str) -> list[str]:
            return [a.uuid for a in db.read(lambda tx: tx.assets_once_at(NAS, path))]

        assert at(ODD) == [moved.uuid, now.uuid]
        assert at("INBOX/day/s.xmp") == [now.uuid]
        assert at("REJECTS/y.mov") == at("REJECTS/y.xmp") == [purged.uuid]
        assert at("was/there.mov") == [purged.uuid]
        assert at("never/there.mov") == at("INBOX/s.xmp") == at("%") == []

    def test_seals_are_kept_as_they_are(self, db: Database) -> None:
        """Every field comes back; they come in order of their numbers, and the last is the highest."""
        assert db.read(lambda tx: tx.last_seal()) is None
        late = (Awaited(Kind.EVENT, 7, after(1)), Awaited(Kind.JOURNAL, 2**40, after(2)))
        first, second = _seal(1, awaited=late), _seal(2, leaves=b"")
        db.write(writing("add_seal", second))
        db.write(writing("add_seal", first))
        assert db.read(lambda tx: tx.seals()) == [first, second]
        assert db.read(lambda tx: tx.seals(after=1)) == [second]
        assert db.read(lambda tx: tx.seals(limit=1)) == [first]
        assert db.read(lambda tx: tx.last_seal()) == second

    def test_a_number_is_sealed_once(self, db: Database) -> None:
        """Of several seals of one number one is kept, whoever comes when."""
        outcomes = db.race([writing("add_seal", _seal(1, journal_to=n)) for n in range(8)])
        refused = [outcome for outcome in outcomes if isinstance(outcome, StateConflict)]
        assert len(refused) == 7
        assert len(db.read(lambda tx: tx.seals())) == 1
        with pytest.raises(StateConflict, match="there already"):
            db.write(writing("add_seal", _seal(1)))

    def test_a_row_has_the_same_digest_in_every_store(self, db: Database) -> None:
        """What is digested is what was said, not how a database keeps it."""
        data = {"é": [1, 2.5, None, True, {"z": ODD, "a": 2**62}], "": "", "n": -0.0}

        def work(tx: Transaction) -> None:
            tx.add_event(event("asset.moved_by_hand", at=after(0.000001), data=data))
            tx.add_journal(journal_entry(Phase.DONE, evidence=data, source=RelPath(ODD)))

        db.write(work)
        [kept], [entry] = db.read(lambda tx: (tx.events(), tx.journal()))
        assert canonical(evolve(kept, seq=1)) == (
            b'["event",1,1767323045678902,"asset","0000000a-0000-7000-8000-000000000001",'
            b'"asset.moved_by_hand","system:retaia",'
            b'{"":"","n":-0.0,"\xc3\xa9":[1,2.5,null,true,{"a":4611686018427387904,"z":'
            b'"INBOX/\xc3\xa9\xf0\x9f\x8e\xac\\n\\"\\\\\'%_\xe2\x80\xae\\u0001.mov"}]}]'
        )
        said = event("asset.moved_by_hand", at=after(0.000001), data=data, seq=kept.seq)
        assert row_digest(kept) == row_digest(said)
        told = journal_entry(Phase.DONE, evidence=data, source=RelPath(ODD), seq=entry.seq)
        assert row_digest(entry) == row_digest(told)

    def test_a_seal_over_kept_rows_is_kept_whole(self, db: Database) -> None:
        """Read back, it has the digest that was made before it was written."""
        db.write(_trail)

        def found(tx: Transaction) -> Unsealed:
            return Unsealed(last=None, events=tx.events(), journal=tx.journal_page())

        seal = sealed(db.read(found), START)
        assert seal is not None
        db.write(writing("add_seal", seal))
        kept = db.read(lambda tx: tx.last_seal())
        assert kept == seal
        assert digest_of(kept) == seal.digest
        assert (kept.rows, kept.awaited) == (12, ())
